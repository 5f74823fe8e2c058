"""The metric for torchmetrics: sums that join, and a network that is no part of the state."""

import copy
import pickle
from typing import Any

import pytest
import torch
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.utilities.checks import check_forward_full_state_property

from defnet import DEFNetError, Scorer, load_scorer


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.rand(7, 3, 230, 240, generator=torch.Generator().manual_seed(4)) ** torch.linspace(0.3, 3, 7).view(
        -1, 1, 1, 1
    )


def test_update_and_compute(scorer: Scorer, pixels: torch.Tensor) -> None:
    metric = scorer.as_metric()
    for batch in pixels.split(3):
        metric.update(batch)
    quality = scorer(pixels)
    assert quality.std() > 0.01
    assert metric.compute().item() == pytest.approx(quality.mean().item(), abs=1e-5)


def test_it_says_of_itself_what_torchmetrics_asks(scorer: Scorer) -> None:
    # By these a tracker knows the best epoch, a plot its range, and `forward` that two updates need not be made.
    metric = scorer.as_metric()
    assert (metric.higher_is_better, metric.is_differentiable, metric.full_state_update) == (True, True, False)
    assert (metric.plot_lower_bound, metric.plot_upper_bound) == (1.0, 5.0)


def test_forward_gives_the_batchs_mean_and_goes_on_with_the_whole(scorer: Scorer, pixels: torch.Tensor) -> None:
    metric = scorer.as_metric()
    for batch in pixels.split(3):
        assert metric(batch).item() == pytest.approx(scorer(batch).mean().item(), abs=1e-5)
    assert metric.compute().item() == pytest.approx(scorer(pixels).mean().item(), abs=1e-5)
    assert not metric.total.requires_grad  # no graph grows from batch to batch


def test_one_image_and_uint8(scorer: Scorer, pixels: torch.Tensor) -> None:
    metric = scorer.as_metric()
    eight_bits = (pixels[0] * 255).round().byte()
    metric.update(eight_bits)
    assert metric.compute().item() == pytest.approx(scorer(eight_bits).item(), abs=1e-6)


def test_merging_is_as_one(scorer: Scorer, pixels: torch.Tensor) -> None:
    """What processes do: each has its images, then the states are joined."""
    one, other, whole = scorer.as_metric(), scorer.as_metric(), scorer.as_metric()
    one.update(pixels[:2])
    other.update(pixels[2:])
    whole.update(pixels)
    one.merge_state(other)
    assert one.compute().item() == pytest.approx(whole.compute().item(), abs=1e-5)


def test_reset(scorer: Scorer, pixels: torch.Tensor) -> None:
    metric = scorer.as_metric()
    metric.update(pixels[:3])
    metric.reset()
    metric.update(pixels[3:])
    assert metric.compute().item() == pytest.approx(scorer(pixels[3:]).mean().item(), abs=1e-5)


def test_differentiable(scorer: Scorer, pixels: torch.Tensor) -> None:
    given = pixels[:2].clone().requires_grad_()
    scorer.as_metric()(given).backward()
    expected = torch.autograd.grad(scorer.quality(given, rounded=True).mean(), given)[0]
    assert torch.allclose(given.grad, expected, atol=1e-7)
    assert given.grad.abs().max() > 0


def test_the_state_holds_no_weights_and_survives(scorer: Scorer, pixels: torch.Tensor) -> None:
    metric = scorer.as_metric()
    metric.persistent(True)
    metric.update(pixels[:3])
    assert set(metric.state_dict()) == {"total", "images"}
    assert list(metric.parameters()) == []
    for copied in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.clone()):
        copied.update(pixels[3:])
        assert copied.compute().item() == pytest.approx(scorer(pixels).mean().item(), abs=1e-5)
    again = scorer.as_metric()
    again.load_state_dict(metric.state_dict())
    assert again.images == 3


def test_in_a_collection(scorer: Scorer, pixels: torch.Tensor) -> None:
    collection = MetricCollection({"quality": scorer.as_metric(), "brightness": MeanMetric()}, prefix="val/")
    for batch in pixels.split(4):
        collection.update(batch)
    found = collection.compute()
    assert found["val/quality"].item() == pytest.approx(scorer(pixels).mean().item(), abs=1e-5)
    assert found["val/brightness"].item() == pytest.approx(pixels.mean().item(), abs=1e-4)
    collection.reset()
    assert collection["quality"].images == 0


def test_torchmetrics_own_check_of_the_short_way_through_forward(
    scorer: Scorer, pixels: torch.Tensor, capsys: pytest.CaptureFixture[str]
) -> None:
    check_forward_full_state_property(
        type(scorer.as_metric()), {"scorer": scorer}, {"pixels": pixels[:1]}, num_update_to_compare=[1, 2], reps=2
    )
    assert "Full state" in capsys.readouterr().out


def test_moving_the_metric_moves_the_network(scorer: Scorer) -> None:
    metric = copy.deepcopy(scorer).as_metric()
    metric.to("meta")
    assert metric.scorer.device.type == "meta"
    metric.half()
    assert {weight.dtype for weight in metric.scorer.model.parameters()} == {torch.float32}


def test_without_torchmetrics(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "defnet.scoring.quality_metric", raising=False)
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(DEFNetError, match=r"torchmetrics is not installed; pip install 'defnet\[torchmetrics\]'"):
        scorer.as_metric()


def test_options_are_torchmetrics_own(model_file: Any) -> None:
    metric = load_scorer(model_file, device="cpu").as_metric(compute_on_cpu=True)
    assert metric.compute_on_cpu
