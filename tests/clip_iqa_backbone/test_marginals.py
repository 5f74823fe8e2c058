import mpmath
import numpy as np
import pytest
import torch

from clip_iqa_backbone import distortion_marginal, expected_quality, quality_marginal, scene_marginal

SHAPE = (5, 9, 11)


@pytest.fixture
def logits() -> torch.Tensor:
    return 8 * torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def log_p(logits) -> torch.Tensor:
    return logits.flatten(1).log_softmax(1).view(3, *SHAPE)


def exact_joint(logits: torch.Tensor) -> np.ndarray:
    """The joint probabilities of one view in 40 digits."""
    with mpmath.workdps(40):
        weights = [mpmath.exp(mpmath.mpf(float(value))) for value in logits.flatten()]
        total = mpmath.fsum(weights)
        return np.array([weight / total for weight in weights], dtype=object).reshape(SHAPE)


def test_eq6_quality_marginal_sums_over_scenes_and_distortions(logits, log_p):
    exact = exact_joint(logits[1])
    expected = [float(mpmath.fsum(exact[c].ravel().tolist())) for c in range(5)]
    np.testing.assert_allclose(quality_marginal(log_p)[1], expected, rtol=2e-5)


def test_eq9_scene_marginal_sums_over_qualities_and_distortions(logits, log_p):
    exact = exact_joint(logits[1])
    expected = [float(mpmath.fsum(exact[:, s].ravel().tolist())) for s in range(9)]
    np.testing.assert_allclose(scene_marginal(log_p)[1], expected, rtol=2e-5)


def test_eq11_distortion_marginal_sums_over_qualities_and_scenes(logits, log_p):
    exact = exact_joint(logits[1])
    expected = [float(mpmath.fsum(exact[:, :, d].ravel().tolist())) for d in range(11)]
    np.testing.assert_allclose(distortion_marginal(log_p)[1], expected, rtol=2e-5)


def test_eq5_expected_quality_counts_bad_as_one_and_perfect_as_five(logits, log_p):
    exact = exact_joint(logits[1])
    expected = mpmath.fsum([(c + 1) * mpmath.fsum(exact[c].ravel().tolist()) for c in range(5)])
    assert expected_quality(quality_marginal(log_p))[1].item() == pytest.approx(float(expected), rel=1e-6)
    assert expected_quality(torch.eye(5)).tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("marginal", [quality_marginal, scene_marginal, distortion_marginal])
def test_marginals_sum_to_one_for_any_leading_shape(marginal, log_p):
    probabilities = marginal(log_p.expand(2, 4, 3, *SHAPE))
    assert probabilities.shape[:3] == (2, 4, 3)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(2, 4, 3))


@pytest.mark.parametrize("marginal", [quality_marginal, scene_marginal, distortion_marginal])
def test_marginals_have_the_gradient_of_the_sum(marginal):
    logits = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: marginal(x.flatten().log_softmax(0).view(SHAPE)), logits)


@pytest.mark.parametrize("marginal", [quality_marginal, scene_marginal, distortion_marginal])
def test_a_certain_view_has_finite_probabilities_and_gradients(marginal):
    logits = torch.zeros(SHAPE)
    logits[4, 2, 7] = 1e4
    logits.requires_grad_()
    probabilities = marginal(logits.flatten().log_softmax(0).view(SHAPE))
    probabilities.max().backward()
    assert probabilities.max() == 1
    assert torch.isfinite(logits.grad).all()


def test_half_precision_is_summed_in_single(log_p):
    marginal = quality_marginal(log_p.bfloat16())
    assert marginal.dtype == torch.float32
    # Eight bits of the logarithm are lost before; the sum must lose nothing more.
    torch.testing.assert_close(marginal, quality_marginal(log_p.bfloat16().float()), rtol=0, atol=0)
    assert quality_marginal(log_p.double()).dtype == torch.float64


def test_a_shape_without_the_three_axes_is_refused():
    with pytest.raises(ValueError, match=r"three axes .* got shape \(9, 11\)"):
        scene_marginal(torch.zeros(9, 11))
