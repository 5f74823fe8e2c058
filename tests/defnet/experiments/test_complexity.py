"""Parameters and operations, counted again by hand."""

from collections.abc import Callable

import pytest

from defnet import DEFNet, TrainConfig
from defnet.config.liqe import as_liqe
from defnet.experiments.complexity import complexity_table, measure, model_of, parts_of
from defnet.model.initial_model import build_model
from defnet.training.optimizer import make_optimizer


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backbone": {"freeze_text": True}},
        {"objective": {"cross": False, "fusion": False}},
        {"model": {"global_head": "shared", "features": "embedding"}},
        {"model": {"global_tower": "pretrained"}},
        {"model": {"global_tower": "learnt", "tasks": ["quality"]}},
        {"model": {"evidence": False}},
    ],
    ids=str,
)
def test_parts_are_the_whole_and_what_is_learnt_is_what_the_optimiser_has(
    changes: dict[str, dict[str, object]], make_config: Callable[..., TrainConfig]
) -> None:
    config = make_config(**changes)
    model = build_model(config)
    parts = parts_of(model, config)
    assert sum(part.parameters for part in parts) == sum(p.numel() for p in model.parameters())
    assert sum(part.buffers for part in parts) == sum(b.numel() for b in model.buffers())
    optimizer = make_optimizer(model, config)
    assert sum(part.learnt for part in parts) == sum(
        p.numel() for group in optimizer.param_groups for p in group["params"]
    )
    by_name = {part.name: part for part in parts}
    if config.model.evidence and config.model.features == "marginals":
        # Linear layers from 5, 9 and 11 probabilities to four numbers for each of 1, 9 and 11 outputs.
        outputs = {"quality": (5, 1), "scene": (9, 9), "distortion": (11, 11)}
        expected = sum((seen + 1) * 4 * given for seen, given in map(outputs.__getitem__, config.model.tasks))
        assert by_name["heads of the sub-images"].parameters == expected
    assert ("heads of the sub-images" in by_name) is config.model.evidence


def test_operations_are_those_of_the_views(
    make_model: Callable[..., DEFNet], make_config: Callable[..., TrainConfig]
) -> None:
    """Of a convolution 2 · H · W · C_out · C_in/groups · k², summed by hooks over every layer of one view."""
    import torch

    model = make_model().eval()
    counted = [0]

    def count(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(layer, torch.nn.Conv2d):
            kernel = layer.kernel_size[0] * layer.kernel_size[1]
            counted[0] += 2 * output.numel() * layer.in_channels // layer.groups * kernel
        elif isinstance(layer, torch.nn.Linear):
            counted[0] += 2 * output.numel() * layer.in_features

    found = measure(model, make_config(), crops=(1, 3), min_seconds=0.01)
    local, whole = torch.zeros(1, 3, 3, 224, 224, dtype=torch.uint8), torch.zeros(1, 3, 224, 224, dtype=torch.uint8)
    handles = [layer.register_forward_hook(count) for layer in model.modules()]
    with torch.inference_mode():
        model(local, whole)
    for handle in handles:
        handle.remove()
    one, three = found.costs
    # Three sub-images and the whole, with the products of 495 texts and embeddings, which no layer makes.
    texts = 2 * 495 * model.backbone.image.embed_dim * 4
    assert three.flops == pytest.approx(counted[0] + texts, rel=1e-3)
    assert one.flops == pytest.approx(three.flops / 2, rel=1e-2)
    assert 0 < one.seconds < 60


def test_liqe_looks_at_no_whole_image(make_config: Callable[..., TrainConfig]) -> None:
    config = make_config()
    full = measure(model_of(config), config, crops=(1,), min_seconds=0.01)
    liqe = measure(model_of(as_liqe(config)), as_liqe(config), crops=(1,), min_seconds=0.01)
    assert liqe.costs[0].flops == pytest.approx(full.costs[0].flops / 2, rel=1e-2)
    table = complexity_table([("defnet", full), ("liqe", liqe)])
    totals = {row[0]: row for row in table.rows if row[1] == "all"}
    heads = 2 * sum((seen + 1) * 4 * given for seen, given in ((5, 1), (9, 9), (11, 11)))
    assert totals["defnet"][2] - totals["liqe"][2] == heads  # type: ignore[operator]
    assert totals["defnet (paper)"][2] == 84_220_000
    assert totals["liqe (paper)"][2] == 59_020_000
    assert totals["defnet"][5] == full.costs[0].flops / 1e9
    assert totals["defnet"][6] == full.costs[0].seconds * 1e3
