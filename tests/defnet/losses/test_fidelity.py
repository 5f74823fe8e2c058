"""Fidelity losses at their edges: certain probabilities, ties, lonely images, several data sets, low precision."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from defnet.losses.fidelity import (
    distortion_fidelity,
    pair_fidelity,
    quality_fidelity,
    scene_fidelity,
    thurstone_probability,
)


def expected_quality_loss(
    estimate: list[float], quality: list[float], dataset: list[int], variant: str, reduction: str
) -> float:
    groups: dict[int, list[float]] = {}
    for i, j in itertools.combinations(range(len(estimate)), 2):
        if dataset[i] != dataset[j]:
            continue
        label = (1 + np.sign(quality[i] - quality[j])) / 2
        difference = (estimate[i] - estimate[j]) / (math.sqrt(2) if variant == "sqrt2" else 1)
        p, complement = stats.norm.cdf(difference), stats.norm.sf(difference)
        groups.setdefault(dataset[i], []).append(1 - math.sqrt(label * p) - math.sqrt((1 - label) * complement))
    if not groups:
        return 0.0
    if reduction == "pairs":
        return float(np.mean([loss for group in groups.values() for loss in group]))
    return float(np.mean([np.mean(group) for group in groups.values()]))


@pytest.mark.parametrize("reduction", ["dataset", "pairs"])
@pytest.mark.parametrize("variant", ["sqrt2", "unit"])
@given(
    batch=st.lists(
        st.tuples(st.floats(1, 5, width=32), st.sampled_from([1.0, 2.5, 2.5, 4.0]), st.integers(0, 3)), max_size=9
    )
)
def test_every_pair_within_a_data_set_and_none_across(
    batch: list[tuple[float, float, int]], variant: str, reduction: str
) -> None:
    estimate, quality, dataset = ([row[k] for row in batch] for k in range(3))
    found = quality_fidelity(
        torch.tensor(estimate, dtype=torch.float64),
        torch.tensor(quality, dtype=torch.float64),
        torch.tensor(dataset, dtype=torch.int64),
        variant=variant,
        reduction=reduction,
    )
    assert found.item() == pytest.approx(
        expected_quality_loss(estimate, quality, dataset, variant, reduction), abs=3e-5
    )


def test_the_two_reductions_differ_where_data_sets_differ_in_size() -> None:
    arguments = (torch.tensor([1.0, 2, 3, 4, 5]), torch.tensor([5.0, 4, 3, 1, 2]), torch.tensor([0, 0, 0, 1, 1]))
    by_dataset = quality_fidelity(*arguments)
    over_pairs = quality_fidelity(*arguments, reduction="pairs")
    assert abs(by_dataset - over_pairs) > 0.05


def test_pairs_never_cross_data_sets() -> None:
    estimate, quality = torch.tensor([1.0, 5.0, 2.0, 4.0]), torch.tensor([5.0, 1.0, 1.0, 5.0])
    dataset = torch.tensor([0, 1, 0, 1])
    one = quality_fidelity(estimate[dataset == 0], quality[dataset == 0], dataset[dataset == 0])
    other = quality_fidelity(estimate[dataset == 1], quality[dataset == 1], dataset[dataset == 1])
    assert quality_fidelity(estimate, quality, dataset).item() == pytest.approx((one + other).item() / 2, rel=1e-6)
    # Any monotone change of one data set's scale changes nothing.
    rescaled = torch.where(dataset == 0, 10 * quality, quality)
    assert torch.equal(quality_fidelity(estimate, rescaled, dataset), quality_fidelity(estimate, quality, dataset))


def test_a_lonely_image_of_a_data_set_is_not_counted() -> None:
    pair = quality_fidelity(torch.tensor([2.0, 3.0]), torch.tensor([3.0, 2.0]), torch.tensor([0, 0]))
    estimate = torch.tensor([2.0, 3.0, 4.0], requires_grad=True)
    lonely = quality_fidelity(estimate, torch.tensor([3.0, 2.0, 4.0]), torch.tensor([0, 0, 7]))
    assert lonely.item() == pytest.approx(pair.item(), rel=1e-6)
    lonely.backward()
    assert estimate.grad is not None
    assert estimate.grad[2] == 0
    assert torch.isfinite(estimate.grad).all()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_a_pair_the_loss_and_its_gradient_are_zero(count: int) -> None:
    estimate = torch.linspace(2, 4, count).requires_grad_()
    loss = quality_fidelity(estimate, torch.linspace(1, 5, count), torch.arange(count))
    loss.backward()
    assert loss.item() == 0
    assert estimate.grad is not None
    assert not estimate.grad.any()


def test_a_tie_is_labelled_one_half() -> None:
    estimate = torch.tensor([2.0, 2.0], dtype=torch.float64, requires_grad=True)
    tied = torch.tensor([3.0, 3.0])
    loss = quality_fidelity(estimate, tied, torch.tensor([0, 0]))
    assert loss.item() == pytest.approx(0, abs=1e-12)
    apart = quality_fidelity(torch.tensor([1.0, 4.0], dtype=torch.float64), tied, torch.tensor([0, 0]))
    p = stats.norm.cdf(-3 / math.sqrt(2))
    assert apart.item() == pytest.approx(1 - math.sqrt(p / 2) - math.sqrt((1 - p) / 2), rel=1e-9)
    # Almost tied is not tied.
    almost = quality_fidelity(torch.tensor([1.0, 4.0]), torch.tensor([3.0, 3.0 + 1e-6]), torch.tensor([0, 0]))
    assert almost.item() == pytest.approx(1 - math.sqrt(1 - p), abs=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(0)
    quality = torch.tensor([1.0, 3.0, 3.0, 5.0, 2.0, 4.0])
    dataset = torch.tensor([0, 0, 0, 0, 1, 1])
    estimate = (1 + 4 * torch.rand(6, dtype=torch.float64)).requires_grad_()
    for variant, reduction in itertools.product(["sqrt2", "unit"], ["dataset", "pairs"]):
        assert torch.autograd.gradcheck(
            lambda e, v=variant, r=reduction: quality_fidelity(e, quality, dataset, variant=v, reduction=r), estimate
        )
    logits = torch.randn(3, 9, dtype=torch.float64, requires_grad=True)
    scenes = (torch.rand(3, 9) < 0.4).double()
    assert torch.autograd.gradcheck(lambda x: scene_fidelity(x.softmax(-1), scenes), logits)
    logits = torch.randn(3, 11, dtype=torch.float64, requires_grad=True)
    one_hot = torch.eye(11, dtype=torch.float64)[[0, 5, 10]]
    assert torch.autograd.gradcheck(lambda x: distortion_fidelity(x.softmax(-1), one_hot), logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_gradients_are_finite_where_a_probability_is_exactly_0_or_1(dtype: torch.dtype) -> None:
    certain = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5], dtype=dtype, requires_grad=True)
    label = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.5], dtype=dtype)
    loss = pair_fidelity(label, certain)
    assert loss.dtype == torch.float32
    assert loss.tolist() == pytest.approx([0, 1, 1, 0, 0], abs=1e-6)
    loss.sum().backward()
    assert certain.grad is not None
    assert torch.isfinite(certain.grad).all()
    for fidelity, classes in ((scene_fidelity, 9), (distortion_fidelity, 11)):
        probability = torch.zeros(2, classes, dtype=dtype)
        probability[:, 3] = 1
        probability.requires_grad_()
        target = torch.zeros(2, classes)
        target[0, 3] = target[1, 4] = 1
        losses = fidelity(probability, target)
        assert losses[0].item() == 0
        assert losses[1].item() == pytest.approx(2 / 9 if classes == 9 else 1)
        losses.sum().backward()
        assert probability.grad is not None
        assert torch.isfinite(probability.grad).all()
        # And it points the right way: more of class 4, less of class 3.
        assert probability.grad[1, 4] < 0 <= probability.grad[1, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=["fp32", "bf16", "fp16"])
def test_gradients_are_finite_for_estimates_as_far_apart_as_they_can_be(dtype: torch.dtype) -> None:
    for far in (4.0, 40.0):
        estimate = torch.tensor([1.0, 1.0 + far, 3.0], dtype=dtype, requires_grad=True)
        loss = quality_fidelity(estimate, torch.tensor([5.0, 1.0, 3.0], dtype=dtype), torch.zeros(3, dtype=torch.int64))
        assert loss.dtype == torch.float32
        loss.backward()
        assert estimate.grad is not None
        assert torch.isfinite(estimate.grad).all()


def test_small_probabilities_keep_their_gradient_direction() -> None:
    """Below the knee of the square root the loss still falls with the probability."""
    for p in (0.0, 1e-12, 1e-9, 1e-8, 1e-4):
        probability = torch.tensor([p], requires_grad=True)
        pair_fidelity(torch.ones(1), probability).backward()
        assert probability.grad is not None
        assert -1e4 - 1 <= probability.grad.item() < 0


probabilities = arrays(np.float64, (4, 9), elements=st.floats(0, 1))
labels = arrays(np.float64, (4, 9), elements=st.sampled_from([0.0, 1.0]))


@given(probability=st.floats(0, 1), label=st.sampled_from([0.0, 0.5, 1.0]))
def test_a_pairs_loss_lies_in_0_to_1_and_is_symmetric(probability: float, label: float) -> None:
    p, y = torch.tensor(probability, dtype=torch.float64), torch.tensor(label, dtype=torch.float64)
    loss = pair_fidelity(y, p).item()
    assert -1e-12 <= loss <= 1
    assert pair_fidelity(1 - y, 1 - p).item() == pytest.approx(loss, abs=3e-5)
    # Zero if and only if the prediction is the label; ¼(p − y)² bounds the loss from below.
    assert loss >= (probability - label) ** 2 / 4 - 3e-5
    assert pair_fidelity(y, y).item() == pytest.approx(0, abs=1e-12)


@given(probability=probabilities, label=labels)
def test_scene_loss_lies_in_0_to_1_and_is_0_only_for_the_truth(probability: np.ndarray, label: np.ndarray) -> None:
    loss = scene_fidelity(torch.from_numpy(probability), torch.from_numpy(label)).numpy()
    assert ((loss >= -1e-12) & (loss <= 1)).all()
    assert (loss >= ((probability - label) ** 2).mean(-1) / 4 - 3e-5).all()
    assert scene_fidelity(torch.from_numpy(label), torch.from_numpy(label)).abs().max() < 1e-12


@given(probability=arrays(np.float64, 11, elements=st.floats(0, 1)), truth=st.integers(0, 10))
def test_distortion_loss_lies_in_0_to_1_and_is_0_only_for_the_truth(probability: np.ndarray, truth: int) -> None:
    one_hot = torch.eye(11, dtype=torch.float64)[truth]
    loss = distortion_fidelity(torch.from_numpy(probability), one_hot).item()
    assert 0 <= loss <= 1
    assert loss >= (1 - probability[truth]) / 2 - 1e-12
    assert distortion_fidelity(one_hot, one_hot).item() == 0


@given(
    quality=st.lists(st.floats(1, 5), min_size=2, max_size=6, unique=True),
    order=st.randoms(use_true_random=False),
)
def test_quality_loss_does_not_depend_on_the_order_and_falls_to_0_for_a_clear_right_order(
    quality: list[float], order
) -> None:
    truth = torch.tensor(quality, dtype=torch.float64)
    dataset = torch.zeros(len(quality), dtype=torch.int64)
    ranks = truth.argsort().argsort().double()
    clear = quality_fidelity(40 * ranks, truth, dataset).item()
    assert clear == pytest.approx(0, abs=1e-9)
    assert quality_fidelity(-40 * ranks, truth, dataset).item() == pytest.approx(1, abs=1e-9)
    permutation = list(range(len(quality)))
    order.shuffle(permutation)
    loss = quality_fidelity(ranks, truth, dataset).item()
    assert 0 < loss < 1
    assert quality_fidelity(ranks[permutation], truth[permutation], dataset).item() == pytest.approx(loss, rel=1e-9)


def test_thurstone_probability_is_symmetric() -> None:
    a, b = torch.tensor([1.0, 2.0, 4.5]), torch.tensor([3.0, 2.0, 1.0])
    for variant in ("sqrt2", "unit"):
        both = thurstone_probability(a, b, variant) + thurstone_probability(b, a, variant)
        assert both.tolist() == pytest.approx([1, 1, 1], abs=1e-7)


def test_low_precision_input_gives_the_loss_of_its_values() -> None:
    torch.manual_seed(1)
    estimate, quality = (1 + 4 * torch.rand(2, 8)).bfloat16()
    dataset = torch.zeros(8, dtype=torch.int64)
    low = quality_fidelity(estimate, quality, dataset)
    assert low.item() == pytest.approx(
        expected_quality_loss(estimate.tolist(), quality.tolist(), [0] * 8, "sqrt2", "dataset"), abs=3e-5
    )


@pytest.mark.parametrize(
    "shapes", [((3, 1), (3, 1), (3, 1)), ((3,), (3, 1), (3,)), ((3,), (3,), (2,)), ((), (), ())], ids=str
)
def test_other_shapes_are_refused_by_name(shapes: tuple[tuple[int, ...], ...]) -> None:
    estimate, quality, dataset = (torch.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"estimate, quality and dataset must have one and the same shape \(B,\)"):
        quality_fidelity(estimate, quality, dataset.long())
