"""Figures of the uncertainty against scipy."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from defnet.evaluation.uncertainty import INTERVAL_LEVELS, uncertainty_figures
from evidential_nig import NormalInverseGamma

MakeEvidence = Callable[..., NormalInverseGamma]


def simulated(make_evidence: MakeEvidence, images: int) -> tuple[NormalInverseGamma, Tensor]:
    """Claims that are true."""
    rng = np.random.default_rng(3)
    df, loc, scale = rng.uniform(3, 20, images), rng.uniform(1, 5, images), rng.uniform(0.1, 0.8, images)
    return make_evidence(df, loc, scale), torch.from_numpy(loc + scale * rng.standard_t(df))


def test_figures_of_true_distributions(make_evidence: MakeEvidence) -> None:
    evidence, target = simulated(make_evidence, 40_000)
    df, loc, scale = (t.numpy() for t in (evidence.predictive_df, evidence.loc, evidence.predictive_scale))
    y = target.numpy()
    found = uncertainty_figures(evidence, target, bounds=(-1e9, 1e9), constant_std=0.6)
    for level in INTERVAL_LEVELS:
        # Four standard deviations of the share of 40,000 draws.
        margin = 4 * math.sqrt(level * (1 - level) / len(y))
        assert found[f"coverage_{level * 100:.0f}"] == pytest.approx(level, abs=margin)
        half = stats.t.ppf(0.5 + level / 2, df) * scale
        assert found[f"coverage_{level * 100:.0f}"] == np.mean(np.abs(y - loc) <= half)
        assert found[f"width_{level * 100:.0f}"] == pytest.approx(2 * half.mean(), rel=1e-12)
    assert found["nll"] == pytest.approx(-stats.t.logpdf(y, df, loc, scale).mean(), rel=1e-12)
    assert found["nll_constant"] == pytest.approx(-stats.norm.logpdf(y, loc, 0.6).mean(), rel=1e-12)
    # The truth beats one variance for all, and its spread tells where errors are large.
    assert found["nll"] < found["nll_constant"]
    assert found["crps"] < found["crps_constant"]
    deviation = scale * np.sqrt(df / (df - 2))
    expected = stats.spearmanr(deviation, np.abs(y - loc))[0]
    assert found["error_spearman"] == pytest.approx(expected)
    assert 0.2 < expected < 0.6


def integrated_crps(cdf: Callable[[float], float], target: float, scale: float) -> float:
    """∫ (F(x) − 1{x ≥ y})² dx."""
    edges = [-math.inf, *sorted({3 - 3 * scale, 3.0, 3 + 3 * scale, target}), math.inf]
    return sum(
        integrate.quad(lambda x: (cdf(x) - (x >= target)) ** 2, a, b, epsabs=1e-12, epsrel=1e-10, limit=200)[0]
        for a, b in itertools.pairwise(edges)
    )


@pytest.mark.parametrize("target", [0.5, 2.9, 3.0, 4.2])
def test_crps_is_the_integral(target: float, make_evidence: MakeEvidence) -> None:
    evidence = make_evidence([5.5], [3.0], [0.5])
    found = uncertainty_figures(evidence, torch.tensor([target], dtype=torch.float64), bounds=(1, 5), constant_std=0.7)
    student, normal = stats.t(5.5, 3.0, 0.5), stats.norm(3.0, 0.7)
    assert found["crps"] == pytest.approx(integrated_crps(student.cdf, target, 0.5), rel=1e-5)
    assert found["crps_constant"] == pytest.approx(integrated_crps(normal.cdf, target, 0.7), rel=1e-7)


def test_half_the_true_scale_covers_too_little(make_evidence: MakeEvidence) -> None:
    evidence, target = simulated(make_evidence, 5000)
    tight = make_evidence(evidence.predictive_df, evidence.loc, evidence.predictive_scale / 2)
    assert uncertainty_figures(tight, target, bounds=(-1e9, 1e9), constant_std=1.0)["coverage_95"] < 0.80


def test_intervals_are_cut_to_the_scale_of_the_ratings(make_evidence: MakeEvidence) -> None:
    wide = make_evidence([5.0, 5.0], [1.2, 4.9], [3.0, 3.0])
    found = uncertainty_figures(wide, torch.tensor([1.0, 5.0]).double(), bounds=(1.0, 5.0), constant_std=1.0)
    assert found["coverage_95"] == 1  # the ends belong to it
    assert found["width_95"] == pytest.approx(4)


def test_one_uncertainty_for_all_images_has_no_correlation_with_their_errors(make_evidence: MakeEvidence) -> None:
    same = make_evidence([5.0] * 3, [2.0, 3.0, 4.0], [0.5] * 3)
    target = torch.tensor([2.1, 3.5, 4.0], dtype=torch.float64)
    assert math.isnan(uncertainty_figures(same, target, bounds=(1, 5), constant_std=1.0)["error_spearman"])


def test_the_rival_has_one_variance_for_all(make_evidence: MakeEvidence) -> None:
    evidence, target = simulated(make_evidence, 500)
    rmse = (target - evidence.loc).square().mean().sqrt().item()
    found = uncertainty_figures(evidence, target, bounds=(1, 5), constant_std=rmse)
    # A normal distribution's mean negative log-likelihood at its own root mean squared error.
    assert found["nll_constant"] == pytest.approx(0.5 * math.log(2 * math.pi * rmse**2) + 0.5)
