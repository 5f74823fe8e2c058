"""One LIQE checkpoint in this package and in pyiqa: the same answers, and what each takes for them.

    python packages/clip-iqa-backbone/benchmarks/liqe_parity.py [--quick] [--threads N] [--repeats N] [--only PART ...]

Needs what is in requirements-no-deps.txt beside it, which `nox -s "bench(clip-iqa-backbone)"` installs. The weights are
random, in the size of ViT-B/32: neither times nor equality depend on what they are. Three parts:

- answers: quality, scene and distortion of the same crops, for one image and many; features against open_clip's own.
- crops: 15 crops of a photograph of 12 megapixels, from the decoded image to what the tower takes; time and memory.
  Ours come with the whole frame made small, which takes nearly all of their time; pyiqa has no such view.
- path: from a file to its score with the same number of views, each after the other in turn; time and memory.

Photographs are those of LIVE In the Wild under IQA_DATA_ROOT, else the repository's samples; those of 12 megapixels are
enlarged from them. Memory is what a work adds at most to a process that has loaded what it needs, and is read on Linux
alone.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from clip_iqa_backbone import (
    CropPlan,
    JointProbability,
    average_over_views,
    create_backbone,
    distortion_marginal,
    expected_quality,
    freeze_text_features,
    make_views,
    open_image,
    quality_marginal,
    scene_marginal,
)

REPOSITORY = Path(__file__).parents[3]
VIT_B_32 = open_clip.get_model_config("ViT-B-32-quickgelu")
SMALL = VIT_B_32 | {
    "vision_cfg": VIT_B_32["vision_cfg"] | {"layers": 2, "width": 128},
    "text_cfg": VIT_B_32["text_cfg"] | {"layers": 2, "width": 64, "heads": 1},
}
VIEWS = 15
WIDTH, HEIGHT = 4000, 3000


@dataclass(frozen=True)
class Liqe:
    """pyiqa's LIQE, and what passed through it last: pixels of the crops and their embeddings."""

    net: nn.Module
    seen: dict[str, Tensor]

    def joint(self, text: Tensor) -> Tensor:
        """Probability of each sentence, (B, 495), from pyiqa's embeddings of its last images; it returns none."""
        image, text = (features / features.norm(dim=-1, keepdim=True) for features in (self.seen["features"], text))
        logits = self.net.clip_model.logit_scale.exp() * image @ text.T  # type: ignore[operator,union-attr]
        return logits.unflatten(0, (-1, VIEWS)).mean(1).softmax(-1)


def write_checkpoint(path: Path, config: dict[str, Any], *, seed: int = 0) -> Path:
    """Random weights in the layout that pyiqa publishes LIQE's in, far enough apart that scores differ."""
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name == "logit_scale":
                weight.fill_(np.log(100))
            else:
                weight.add_(0.03 * torch.randn(weight.shape))
    torch.save({"params": {f"clip_model.{name}": value for name, value in model.state_dict().items()}}, path)
    return path


def load_theirs(checkpoint: Path) -> Liqe:
    """Load pyiqa's LIQE with these weights; it keeps its text features in the folder of torch's hub."""
    from pyiqa.archs import clip_model, liqe_arch  # type: ignore[import-not-found]

    weights = torch.load(checkpoint, weights_only=True)["params"]
    plain = {name.removeprefix("clip_model."): value for name, value in weights.items()}
    # It would fetch OpenAI's weights, only to load the checkpoint over them.
    liqe_arch.load = lambda backbone, device: clip_model.build_model(dict(plain)).float()  # noqa: ARG005
    with torch.no_grad():
        net = liqe_arch.LIQE(pretrained=False, pretrained_model_path=str(checkpoint), mtl=True).eval()
    seen: dict[str, Tensor] = {}

    def keep(module: nn.Module, given: tuple[Tensor, ...], features: Tensor) -> None:  # noqa: ARG001
        seen.update(crops=given[0], features=features)

    net.clip_model.visual.register_forward_hook(keep)
    return Liqe(net, seen)


def load_ours(checkpoint: Path) -> JointProbability:
    """Our backbone with the same weights, its text features kept."""
    model = create_backbone(f"liqe:{checkpoint}")
    model.text = freeze_text_features(model.text, model.vocabulary, cache_dir=checkpoint.parent)
    return model


def our_quality(logits: Tensor) -> Tensor:
    """LIQE's score of images whose views have these logits."""
    return expected_quality(average_over_views(logits, quality_marginal, "logits"))


def photographs(count: int) -> list[Path]:
    """Files of LIVE In the Wild, all over its numbers, or the repository's samples."""
    root = os.environ.get("IQA_DATA_ROOT")
    folder = Path(root) / "ChallengeDB_release" / "Images" if root else REPOSITORY / "samples"
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".bmp"))
    return found[:: max(1, len(found) // count)][:count]


def enlarged(paths: Sequence[Path], folder: Path, size: tuple[int, int]) -> list[Path]:
    """The photographs at `size`, as JPEG files of quality 95."""
    made = []
    for path in paths:
        made.append(folder / f"{path.stem}-large.jpg")
        open_image(path).resize(size, Image.Resampling.BICUBIC).save(made[-1], quality=95)
    return made


def compare_answers(checkpoint: Path, quick: bool) -> None:
    """Print the largest differences."""
    ours, theirs = load_ours(checkpoint), load_theirs(checkpoint)
    text = theirs.net.text_features
    images = [open_image(path) for path in photographs(4 if quick else 16)]
    sizes = [image.size for image in images]
    several = [image for image in images if image.size == max(set(sizes), key=sizes.count)]
    batches = [[image] for image in images] + [several]
    worst = dict.fromkeys(("crops", "text features", "quality", "scene", "distortion"), 0.0)
    scores = []
    worst["text features"] = (ours.text_embeddings() - text).abs().max().item()
    for batch in batches:
        pixels = torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in batch]).float() / 255
        quality = theirs.net(pixels)[:, 0]
        # LIQE's plan draws its positions where pyiqa does, on frames with room for so many.
        views = torch.stack([make_views(image, CropPlan("liqe", VIEWS)).local for image in batch])
        crops = ours.normalize(views).flatten(0, 1)
        logits = ours.logits(ours.embed(ours.image_features(views)))
        joint = theirs.joint(text).unflatten(-1, ours.vocabulary.shape)
        found = {
            "crops": (crops, theirs.seen["crops"]),
            "quality": (our_quality(logits), quality),
            "scene": (average_over_views(logits, scene_marginal, "logits"), joint.sum((1, 3))),
            "distortion": (average_over_views(logits, distortion_marginal, "logits"), joint.sum((1, 2))),
        }
        for name, (mine, other) in found.items():
            worst[name] = max(worst[name], (mine - other).abs().max().item())
        scores.append(quality)
    alone, together = torch.cat(scores[: len(images)]), scores[-1]
    again = alone[[index for index, size in enumerate(sizes) if size == several[0].size]]
    print(f"{len(images)} photographs one by one and {len(several)} of one size in a batch; largest differences:")
    for name, difference in worst.items():
        print(f"  {name:>14}: {difference:.1e}")
    print(f"  scores from {alone.min():.4f} to {alone.max():.4f}, deviation {alone.std():.4f}")
    print(f"  pyiqa's in a batch less those alone: {(together - again).abs().max():.1e}")
    reference = open_clip.CLIP(**(SMALL if quick else VIT_B_32)).eval()
    weights = torch.load(checkpoint, weights_only=True)["params"]
    reference.load_state_dict({name.removeprefix("clip_model."): value for name, value in weights.items()})
    few = crops[:4]
    print(f"  image features equal open_clip's to the bit: {torch.equal(ours.image(few), reference.encode_image(few))}")
    # The file of pyiqa's text features has a name for the kind of sentences, and none for the weights.
    other = write_checkpoint(checkpoint.with_name("other.pt"), SMALL if quick else VIT_B_32, seed=1)
    stale = torch.equal(load_theirs(other).net.text_features, text)
    print(f"  pyiqa's text features of other weights are the first ones': {stale}")


def our_crops(model: JointProbability, image: Image.Image) -> Tensor:
    """15 crops as the tower takes them."""
    return model.normalize(make_views(image, CropPlan("liqe", VIEWS)).local)


def their_crops(liqe: Liqe, image: Image.Image) -> Tensor:
    """The same by pyiqa: its reading of the decoded image and its forward pass, with a tower that does nothing."""
    from pyiqa.utils.img_util import imread2tensor  # type: ignore[import-not-found]

    kept: list[Tensor] = []

    def encode(crops: Tensor, pos_embedding: bool) -> Tensor:  # noqa: ARG001
        kept.append(crops)
        return torch.ones(len(crops), liqe.net.text_features.shape[1])

    liqe.net.clip_model.encode_image = encode  # type: ignore[union-attr,assignment]
    liqe.net(imread2tensor(image, rgb=True).unsqueeze(0))
    return kept[0]


def our_score(model: JointProbability, path: Path) -> float:
    """From the file to the score."""
    views = make_views(open_image(path), CropPlan("liqe", VIEWS)).local
    return our_quality(model.logits(model.embed(model.image_features(views)))).item()


def their_score(liqe: Liqe, path: Path) -> float:
    """The same by pyiqa."""
    from pyiqa.utils.img_util import imread2tensor

    return float(liqe.net(imread2tensor(str(path), rgb=True).unsqueeze(0)).item())


@dataclass
class Runs:
    """Seconds of a work's runs by the clock and by the processor, which other load hardly moves."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


def in_turn(
    works: dict[str, Callable[[], object]], repeats: int, runs: dict[str, Runs] | None = None
) -> dict[str, Runs]:
    """Run each work, one after the other, again and again, so that other load falls on all alike."""
    runs = {name: Runs() for name in works} if runs is None else runs
    for _ in range(repeats):
        for name, work in works.items():
            clock, processor = time.perf_counter(), time.process_time()
            work()
            runs[name].clock.append(time.perf_counter() - clock)
            runs[name].processor.append(time.process_time() - processor)
    return runs


def time_lines(what: str, runs: dict[str, Runs]) -> str:
    """Medians of both and the median of their ratios, with the range of these, by the clock and by the processor."""
    lines = []
    for measure in ("clock", "processor"):
        ours, theirs = (getattr(runs[name], measure) for name in ("ours", "theirs"))
        ratios = sorted(other / own for own, other in zip(ours, theirs, strict=True))
        lines.append(
            f"{what if measure == 'clock' else 'of the processor':>38}: ours {statistics.median(ours):8.4f} s, "
            f"pyiqa {statistics.median(theirs):8.4f} s, ratio {statistics.median(ratios):6.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}, {len(ratios)} runs)"
        )
    return "\n".join(lines)


def memory_line(what: str, peaks: Sequence[float]) -> str:
    """Peaks of both in MiB and their ratio."""
    ours, theirs = peaks
    return f"{what:>38}: ours {ours:8.1f} MiB, pyiqa {theirs:8.1f} MiB, ratio {theirs / max(ours, 0.1):6.1f}"


WORKS: dict[str, Callable[[Any, Any], object]] = {
    "our-crops": our_crops,
    "their-crops": their_crops,
    "our-score": our_score,
    "their-score": their_score,
}


def peak(work: str, checkpoint: Path, path: Path, threads: int) -> float:
    """MiB that one run of a work takes at most above what its process holds before it."""
    command = [sys.executable, __file__, "--child", work, str(checkpoint), str(path), "--threads", str(threads)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return float(output.splitlines()[-1])


def run_child(work: str, checkpoint: Path, path: Path) -> None:
    """Load what the work needs, do it and print what it added to this process."""
    model: Any = load_ours(checkpoint) if work.startswith("our") else load_theirs(checkpoint)
    source = open_image(path) if work.endswith("crops") else path
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else the work takes what loading has left with the allocator
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # loading is over: forget its peak
    before = memory("VmRSS")
    WORKS[work](model, source)
    print((memory("VmHWM") - before) / 1024)


def memory(field: str) -> int:
    """KiB of this process, as Linux says it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


def compare_crops(checkpoint: Path, large: Path, repeats: int, threads: int) -> None:
    """Print time and memory of the crops alone."""
    ours, theirs, image = load_ours(checkpoint), load_theirs(checkpoint), open_image(large)
    assert torch.equal(our_crops(ours, image), their_crops(theirs, image))
    took = in_turn({"ours": lambda: our_crops(ours, image), "theirs": lambda: their_crops(theirs, image)}, repeats)
    print(time_lines(f"{VIEWS} crops of {image.width}x{image.height}", took))
    peaks = [peak(work, checkpoint, large, threads) for work in ("our-crops", "their-crops")]
    print(memory_line("peak memory of them", peaks))


def compare_path(checkpoint: Path, small: list[Path], large: list[Path], repeats: int, threads: int) -> None:
    """Print time and memory from the file to the score, and what the machine's matrix product would allow."""
    ours, theirs = load_ours(checkpoint), load_theirs(checkpoint)
    for what, paths in (("photographs as they are", small), ("photographs enlarged", large)):
        took = {"ours": Runs(), "theirs": Runs()}
        for path in paths:
            works = {"ours": lambda p=path: our_score(ours, p), "theirs": lambda p=path: their_score(theirs, p)}
            difference = abs(our_score(ours, path) - their_score(theirs, path))  # and warms up
            assert difference < 1e-4, (path, difference)
            in_turn(works, repeats, took)
        print(time_lines(f"{len(paths)} {what}", took))
    peaks = [peak(work, checkpoint, large[0], threads) for work in ("our-score", "their-score")]
    print(memory_line("peak memory of the last", peaks))
    views = make_views(open_image(small[0]), CropPlan("liqe", VIEWS)).local
    torch.backends.mha.set_fastpath_enabled(False)  # whose operations the counter does not know
    with FlopCounterMode(display=False) as counter:
        ours.image_features(views)
    torch.backends.mha.set_fastpath_enabled(True)
    factors = torch.rand(2, 2048, 2048)
    [product] = in_turn({"product": lambda: factors[0] @ factors[1]}, 10).values()
    limit = 2 * 2048**3 / min(product.processor)
    [tower] = in_turn({"tower": lambda: ours.image_features(views)}, max(repeats, 3)).values()
    work, seconds = counter.get_total_flops(), min(tower.processor)
    print(
        f"{'tower alone, of the processor':>38}: {seconds:.4f} s for {work / 1e9:.0f} GFLOP, "
        f"{work / seconds / limit:.0%} of the {limit / 1e9:.0f} GFLOP/s of a matrix product"
    )


def main() -> None:
    """Run the parts and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small towers, few photographs, one run")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=["answers", "crops", "path"], nargs="+", default=["answers", "crops", "path"])
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.child:
        work, *files = arguments.child
        with torch.inference_mode():
            run_child(work, *map(Path, files))
        return
    with tempfile.TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        # Where pyiqa keeps text features; children take it over.
        os.environ["TORCH_HOME"] = name
        (folder / "hub" / "pyiqa").mkdir(parents=True)
        checkpoint = write_checkpoint(folder / "liqe.pt", SMALL if arguments.quick else VIT_B_32)
        repeats = 1 if arguments.quick else arguments.repeats
        print(f"torch {torch.__version__}, {arguments.threads} threads, {VIEWS} views")
        if "answers" in arguments.only:
            compare_answers(checkpoint, arguments.quick)
        small = photographs(3 if arguments.quick else 10)
        large = enlarged(photographs(3), folder, (1500, 1000) if arguments.quick else (WIDTH, HEIGHT))
        if "crops" in arguments.only:
            compare_crops(checkpoint, large[0], repeats, arguments.threads)
        if "path" in arguments.only:
            compare_path(checkpoint, small, large, repeats, arguments.threads)


if __name__ == "__main__":
    main()
