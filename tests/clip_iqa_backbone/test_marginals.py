import mpmath
import numpy as np
import pytest
import torch

from clip_iqa_backbone import (
    average_over_views,
    distortion_marginal,
    expected_quality,
    quality_marginal,
    scene_marginal,
)

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


@pytest.mark.parametrize(
    ("marginal", "axes"), [(quality_marginal, (1, 2)), (scene_marginal, (0, 2)), (distortion_marginal, (0, 1))]
)
def test_eq6_averages_probabilities_as_the_paper_or_logits_as_liqe(marginal, axes, logits):
    views = logits.double()
    joints = np.stack([exact_joint(view) for view in views])
    expected = joints.mean(axis=0).sum(axis=axes).astype(float)
    np.testing.assert_allclose(average_over_views(views, marginal), expected, rtol=1e-12)
    expected = exact_joint(views.mean(dim=0)).sum(axis=axes).astype(float)
    averaged = average_over_views(views, marginal, "logits")
    np.testing.assert_allclose(averaged, expected, rtol=1e-12)
    assert (averaged - average_over_views(views, marginal)).abs().max() > 0.01


@pytest.mark.parametrize("averaging", ["probabilities", "logits"])
@pytest.mark.parametrize("dim", [1, -4, -6, 0, 2, -5])
def test_views_are_averaged_along_the_axis_asked_for(averaging, dim):
    logits = torch.randn(2, 3, 4, *SHAPE, generator=torch.Generator().manual_seed(1))
    given = average_over_views(logits, scene_marginal, averaging, dim=dim)
    expected = average_over_views(logits.movedim(dim, 2), scene_marginal, averaging)
    torch.testing.assert_close(given, expected)
    torch.testing.assert_close(given.sum(-1), torch.ones(given.shape[:-1]))
    # Log-probabilities do for logits either way.
    log_p = logits.flatten(-3).log_softmax(-1).view(logits.shape)
    torch.testing.assert_close(average_over_views(log_p, scene_marginal, averaging, dim=dim), given)


def test_an_average_that_is_none_is_refused(logits):
    with pytest.raises(ValueError, match="averaging must be one of probabilities, logits, got 'mean'"):
        average_over_views(logits, quality_marginal, "mean")
    for bad in (-1, -3, 1, 4, -5):
        with pytest.raises(ValueError, match=r"an axis of views before .* got shape \(3, 5, 9, 11\) and dim="):
            average_over_views(logits, quality_marginal, dim=bad)
    with pytest.raises(ValueError, match=r"got shape \(5, 9, 11\)"):
        average_over_views(logits[0], quality_marginal)
