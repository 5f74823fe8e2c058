"""clip-iqa-backbone on a device: the image towers in fp32 and bf16, as they are and compiled; how fast, how far apart.

    python tests/gpu/towers.py [--device cuda] [--steps 20] [--backbone ViT-B-32-quickgelu ...] [--views 240]

Weights are random: what is measured does not depend on them.
"""

import warnings

import torch
from measuring import arguments, begin_memory, gigabytes, peak_tflops, seconds, show
from torch.utils.flop_counter import FlopCounterMode

from clip_iqa_backbone import JointProbability, create_backbone

LEAST_COSINE = {"bf16": 0.99, "fp32": 0.9999}


def embeddings(model: JointProbability, pixels: torch.Tensor) -> torch.Tensor:
    """Unit vectors of views."""
    return model.embed(model.image_features(pixels))


def main() -> None:
    """Measure, compare and print."""
    parser = arguments(__doc__, steps=20)
    parser.add_argument("--backbone", nargs="+", default=["ViT-B-32-quickgelu", "lite"])
    parser.add_argument("--views", type=int, default=240, help="at once: 16 images of 15 sub-images")
    parser.add_argument("--compiler", default=None, help="of torch.compile: by default inductor, on a CPU eager")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*random weights")
    device = torch.device(options.device)
    compiler = options.compiler or ("eager" if device.type == "cpu" else "inductor")
    for name in options.backbone:
        torch.manual_seed(0)
        model = create_backbone(name).to(device)
        size = model.image.input_size
        pixels = torch.randint(0, 256, (options.views, 3, size, size), dtype=torch.uint8).to(device)
        with torch.no_grad():
            expected = embeddings(model, pixels)
            with FlopCounterMode(display=False) as counter:
                embeddings(model, pixels)
        work = counter.get_total_flops()
        show(f"{name}: GFLOPs a view", f"{work / options.views / 1e9:.2f}")
        for precision in ("fp32", "bf16"):
            for compiled in (False, True):
                model.precision = precision
                trunk = model.image.trunk
                if compiled:
                    torch._dynamo.reset()
                    model.image.trunk = torch.compile(trunk, backend=compiler)  # type: ignore[method-assign]
                try:
                    measure(
                        model,
                        pixels,
                        expected,
                        work,
                        device,
                        options.steps,
                        f"{precision}, {compiler if compiled else 'as it is'}",
                    )
                finally:
                    if compiled:
                        del model.image.trunk


def measure(
    model: JointProbability,
    pixels: torch.Tensor,
    expected: torch.Tensor,
    work: int,
    device: torch.device,
    steps: int,
    what: str,
) -> None:
    """Scoring and training of one tower, and how far its embeddings are from those in fp32."""
    with torch.no_grad():
        cosine = (embeddings(model, pixels) * expected).sum(-1).min().item()
        begin_memory(device)
        took = seconds(lambda: embeddings(model, pixels), device, steps, warm_up=2)
    peak = peak_tflops(device)
    share = f", {100 * work / took / peak / 1e12:.1f} % of the bf16 peak" if peak else ""
    show(f"  {what}: views a second, forward", f"{len(pixels) / took:.0f}{share}")
    show("    memory", gigabytes(device))
    show("    least cosine with fp32", f"{cosine:.6f}")

    def step() -> None:
        model.zero_grad(set_to_none=True)
        embeddings(model, pixels).mean().backward()

    model.image.requires_grad_(True)
    begin_memory(device)
    took = seconds(step, device, steps, warm_up=2)
    show("    views a second, forward and back", f"{len(pixels) / took:.0f}")
    show("    memory", gigabytes(device))
    wrong = [n for n, p in model.image.named_parameters() if p.dtype != torch.float32]
    if wrong or cosine < LEAST_COSINE[model.precision]:
        raise SystemExit(f"{what}: cosine {cosine} with fp32; weights that are not fp32: {wrong[:3]}")


if __name__ == "__main__":
    main()
