"""Which pairs of ratings are compared, how sure their order is, and what they weigh."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from defnet import ObjectiveConfig, Targets, overall_loss
from defnet.losses.fidelity import quality_fidelity
from defnet.model.evidence import Prediction
from evidential_nig import NormalInverseGamma, evidential_loss

rows = st.tuples(
    st.floats(1, 5, width=32),
    st.sampled_from([1.0, 2.5, 2.5, 4.0]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.sampled_from([0.0, 0.0, 0.1, 2.0]),
)
dataset_weights = st.lists(st.sampled_from([0.0, 0.25, 1.0, 3.0]), min_size=3, max_size=3)


def loss_of_pair(estimates: tuple[float, float], label: float) -> float:
    difference = (estimates[0] - estimates[1]) / math.sqrt(2)
    better, worse = stats.norm.cdf(difference), stats.norm.sf(difference)
    return 1 - math.sqrt(label * better) - math.sqrt((1 - label) * worse)


@pytest.mark.parametrize("ties", ["half", "one"])
@pytest.mark.parametrize("reduction", ["dataset", "pairs"])
@given(batch=st.lists(rows, max_size=9), weights=dataset_weights)
def test_pairs_of_a_group_with_the_label_of_their_deviations_weighed_by_data_set(
    batch: list[tuple[float, float, int, int, float]], weights: list[float], reduction: str, ties: str
) -> None:
    """Against a double loop over all pairs."""
    estimate, quality, dataset, group, std = ([row[k] for row in batch] for k in range(5))
    losses: dict[int, list[float]] = {}
    for i, j in itertools.combinations(range(len(batch)), 2):
        if dataset[i] != dataset[j] or group[i] != group[j]:
            continue
        difference, deviation = quality[i] - quality[j], math.sqrt(std[i] ** 2 + std[j] ** 2)
        certain = (1 + np.sign(difference)) / 2 if ties == "half" else float(difference >= 0)
        label = stats.norm.cdf(difference / deviation) if deviation else certain
        losses.setdefault(dataset[i], []).append(loss_of_pair((estimate[i], estimate[j]), float(label)))
    if reduction == "dataset":
        terms = [(weights[number], float(np.mean(found))) for number, found in losses.items()]
    else:
        terms = [(weights[number], loss) for number, found in losses.items() for loss in found]
    total = sum(weight for weight, _ in terms)
    expected = sum(weight * loss for weight, loss in terms) / total if total else 0.0
    double = {"dtype": torch.float64}
    found = quality_fidelity(
        torch.tensor(estimate, **double),
        torch.tensor(quality, **double),
        torch.tensor(dataset, dtype=torch.int64),
        ties=ties,
        reduction=reduction,
        groups=torch.tensor(group, dtype=torch.int64),
        std=torch.tensor(std, **double),
        weights=torch.tensor([weights[number] for number in dataset], **double),
    )
    assert found.item() == pytest.approx(expected, abs=3e-5)


@pytest.mark.parametrize("reduction", ["dataset", "pairs"])
def test_one_group_certain_ratings_and_equal_weights_change_no_bit(reduction: str) -> None:
    torch.manual_seed(2)
    estimate, quality = 1 + 4 * torch.rand(2, 12)
    quality[3] = quality[7]
    estimate.requires_grad_()
    dataset = torch.tensor([0, 0, 0, 0, 0, 2, 2, 0, 2, 2, 3, 2])
    plain = quality_fidelity(estimate, quality, dataset, reduction=reduction)
    same = quality_fidelity(
        estimate,
        quality,
        dataset,
        reduction=reduction,
        groups=torch.full((12,), -1),
        std=torch.zeros(12),
        weights=torch.ones(12),
    )
    assert torch.equal(plain, same)
    [one], [other] = (torch.autograd.grad(loss, estimate) for loss in (plain, same))
    assert torch.equal(one, other)


def test_the_less_is_known_the_less_is_asked() -> None:
    """Loss of the same wrong order, from certain ratings to ratings that say nothing."""
    estimate, quality, dataset = torch.tensor([2.0, 3.0]), torch.tensor([3.5, 2.0]), torch.tensor([0, 0])
    losses = [
        quality_fidelity(estimate, quality, dataset, std=torch.tensor([std, 0.0])).item() for std in (0, 0.5, 2, 1e6)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(loss_of_pair((2.0, 3.0), 0.5), abs=1e-5)
    # The loss is least where the estimate says what the ratings do: Δq̂/√2 = Δy/√(s₁² + s₂²).
    right = torch.tensor([2.0 + math.sqrt(2) * 1.5 / 0.5, 2.0])
    assert quality_fidelity(right, quality, dataset, std=torch.tensor([0.3, 0.4])).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("deviation", [0.0, 1e-30, 1e-3, 50.0])
def test_gradients_are_finite(dtype: torch.dtype, deviation: float) -> None:
    estimate = torch.tensor([1.0, 5.0, 3.0, 3.0], dtype=dtype, requires_grad=True)
    loss = quality_fidelity(
        estimate,
        torch.tensor([5.0, 1.0, 3.0, 3.0], dtype=dtype),
        torch.tensor([0, 0, 1, 1]),
        groups=torch.tensor([0, 0, 1, 1]),
        std=torch.full((4,), deviation),
        weights=torch.tensor([1.0, 1.0, 0.0, 0.0]),
    )
    loss.backward()
    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()
    assert estimate.grad[:2].all()
    assert not estimate.grad[2:].any()


@pytest.mark.parametrize("name", ["groups", "std", "weights"])
def test_another_shape_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must have shape \(2,\), got \(2, 1\)"):
        quality_fidelity(
            torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]), torch.tensor([0, 0]), **{name: torch.ones(2, 1)}
        )


def prediction() -> Prediction:
    """Four images with evidence of quality and of the scene, each of which says something else."""
    generator = torch.Generator().manual_seed(1)

    def evidence(outputs: int) -> NormalInverseGamma:
        parameters = [0.5 + torch.rand(4, outputs, generator=generator) for _ in range(4)]
        return NormalInverseGamma.from_alpha_minus_one(*(parameter.requires_grad_() for parameter in parameters))

    scene = torch.rand(4, 9, generator=generator).softmax(-1).requires_grad_()
    said: list[dict[Any, NormalInverseGamma]] = [{"quality": evidence(1), "scene": evidence(9)} for _ in range(4)]
    expected = torch.tensor([1.2, 2.0, 4.0, 3.5], requires_grad=True)
    return Prediction({"quality": torch.ones(4, 5) / 5, "scene": scene}, expected, *said, "fusion")


def truth(**changes: torch.Tensor) -> Targets:
    return Targets(
        torch.tensor([1.5, 4.0, 2.0, 3.0]), torch.eye(9)[:4], torch.eye(11)[:4], torch.tensor([0, 0, 1, 1]), **changes
    )


WEIGHTS: dict[Any, float] = {"quality": 1.0, "scene": 1.0, "distortion": 1.0}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_evidence_of_quality_is_a_weighted_mean_and_all_else_is_left_alone(reduction: Any) -> None:
    said, weight = prediction(), torch.tensor([2.0, 2.0, 0.5, 0.5])
    config = ObjectiveConfig(fusion_reduction=reduction)
    _, plain = overall_loss(said, truth(), config, WEIGHTS)
    _, ones = overall_loss(said, truth(quality_evidence=torch.ones(4)), config, WEIGHTS)
    _, terms = overall_loss(said, truth(quality_evidence=weight), config, WEIGHTS)
    for name, evidence in (("cross_quality", said.cross), ("fusion_quality", said.fusion)):
        of_images = evidential_loss(evidence["quality"][:, 0], truth().quality, 0.05, reduction="none")
        total = (weight * of_images).sum()
        summed = name == "fusion_quality" and reduction == "sum"
        assert terms[name].item() == pytest.approx(total.item() if summed else total.item() / 5, rel=1e-5)
        assert torch.equal(ones[name], plain[name])
        assert abs(terms[name] - plain[name]) > 1e-3
    for name in ("fidelity_quality", "fidelity_scene", "cross_scene", "fusion_scene"):
        assert torch.equal(terms[name], plain[name])


def test_what_weighs_nothing_teaches_nothing() -> None:
    said = prediction()
    _, terms = overall_loss(said, truth(quality_evidence=torch.zeros(4)), ObjectiveConfig(), WEIGHTS)
    assert terms["cross_quality"] == terms["fusion_quality"] == 0
    half = torch.tensor([1.0, 1.0, 0.0, 0.0])
    _, terms = overall_loss(said, truth(quality_evidence=half, pair_weight=1 - half), ObjectiveConfig(), WEIGHTS)
    [evidence] = torch.autograd.grad(terms["fusion_quality"], said.fusion["quality"].loc, retain_graph=True)
    assert evidence[:2].all()
    assert not evidence[2:].any()
    [pairs] = torch.autograd.grad(terms["fidelity_quality"], said.expected_quality)
    assert not pairs[:2].any()
    assert pairs[2:].all()


def test_the_evidence_of_an_uncertain_rating_is_that_of_truth_plus_noise() -> None:
    said, std = prediction(), torch.tensor([0.0, 0.0, 0.6, 1.5])
    _, plain = overall_loss(said, truth(), ObjectiveConfig(), WEIGHTS)
    _, certain = overall_loss(said, truth(quality_std=torch.zeros(4)), ObjectiveConfig(), WEIGHTS)
    _, terms = overall_loss(said, truth(quality_std=std), ObjectiveConfig(), WEIGHTS)
    for name, evidence in (("cross_quality", said.cross), ("fusion_quality", said.fusion)):
        assert torch.equal(certain[name], plain[name])
        expected = evidential_loss(evidence["quality"][:, 0], truth().quality, 0.05, target_std=std)
        assert terms[name].item() == pytest.approx(expected.item(), rel=1e-6)
        assert abs(terms[name] - plain[name]) > 1e-3
    for name in ("fidelity_scene", "cross_scene", "fusion_scene"):
        assert torch.equal(terms[name], plain[name])
