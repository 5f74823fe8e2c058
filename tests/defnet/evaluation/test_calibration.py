"""The factor on the variance, recovered from data where it is known."""

import numpy as np
import pytest

from defnet import DataError
from defnet.evaluation.calibration import fit_variance_scale
from defnet.model.student_t import StudentT


def simulated(factor: float, images: int = 4000) -> tuple[StudentT, np.ndarray]:
    """Claims whose variance is to be multiplied by `factor` to be true."""
    rng = np.random.default_rng(6)
    df, loc, scale = rng.uniform(3, 30, images), rng.uniform(1, 5, images), rng.uniform(0.2, 0.6, images)
    return StudentT(df, loc, scale), loc + np.sqrt(factor) * scale * rng.standard_t(df)


@pytest.mark.parametrize("factor", [0.01, 0.25, 1.0, 4.0, 300.0])
def test_recovers_a_known_factor(factor: float) -> None:
    assert fit_variance_scale(*simulated(factor)) == pytest.approx(factor, rel=0.1)


def test_is_the_most_likely_factor() -> None:
    predictive, target = simulated(2.5, images=200)
    found = fit_variance_scale(predictive, target)

    def nll(factor: float) -> float:
        return float(StudentT(predictive.df, predictive.loc, predictive.scale * np.sqrt(factor)).nll(target).mean())

    grid = np.exp(np.linspace(np.log(1e-4), np.log(1e4), 2001))
    assert nll(found) <= min(map(nll, grid)) + 1e-7


def test_repairs_coverage() -> None:
    predictive, target = simulated(5.0)
    scaled = StudentT(predictive.df, predictive.loc, predictive.scale * np.sqrt(fit_variance_scale(predictive, target)))
    covered = []
    for claim in (predictive, scaled):
        lower, upper = claim.interval(0.95)
        covered.append(float(np.mean((lower <= target) & (target <= upper))))
    assert covered[0] < 0.75
    assert covered[1] == pytest.approx(0.95, abs=0.015)


def test_stays_within_its_bounds_for_predictions_that_are_exactly_right() -> None:
    predictive = StudentT(np.full(5, 8.0), np.full(5, 3.0), np.full(5, 1.0))
    assert 1e-4 <= fit_variance_scale(predictive, np.full(5, 3.0)) < 2e-4


@pytest.mark.parametrize("images", [0, 1])
def test_needs_two_images(images: int) -> None:
    predictive = StudentT(np.full(images, 8.0), np.full(images, 3.0), np.full(images, 1.0))
    with pytest.raises(DataError, match=f"at least two validation images, got {images}"):
        fit_variance_scale(predictive, np.full(images, 3.0))
