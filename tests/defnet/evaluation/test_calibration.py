"""The factor on the variance, recovered from data where it is known, and within each data set."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from defnet import DataError
from defnet.data.table import ImageTable
from defnet.evaluation.calibration import calibrate, fit_variance_scale
from defnet.evaluation.predictions import Predictions
from evidential_nig import NormalInverseGamma

MakeEvidence = Callable[..., NormalInverseGamma]


def simulated(make_evidence: MakeEvidence, factor: float, images: int = 4000) -> tuple[NormalInverseGamma, Tensor]:
    """Claims whose variance is to be multiplied by `factor` to be true."""
    rng = np.random.default_rng(6)
    df, loc, scale = rng.uniform(3, 30, images), rng.uniform(1, 5, images), rng.uniform(0.2, 0.6, images)
    return make_evidence(df, loc, scale), torch.from_numpy(loc + np.sqrt(factor) * scale * rng.standard_t(df))


def scaled(evidence: NormalInverseGamma, factor: float) -> NormalInverseGamma:
    parameters = evidence.loc, evidence.nu, evidence.alpha_minus_one, evidence.beta * factor
    return NormalInverseGamma.from_alpha_minus_one(*parameters)


@pytest.mark.parametrize("factor", [0.01, 0.25, 1.0, 4.0, 300.0])
def test_recovers_a_known_factor(factor: float, make_evidence: MakeEvidence) -> None:
    assert fit_variance_scale(*simulated(make_evidence, factor)) == pytest.approx(factor, rel=0.1)


def test_is_the_most_likely_factor(make_evidence: MakeEvidence) -> None:
    evidence, target = simulated(make_evidence, 2.5, images=200)
    found = fit_variance_scale(evidence, target)

    def nll(factor: float) -> float:
        return -scaled(evidence, factor).predictive().log_prob(target).mean().item()

    grid = np.exp(np.linspace(np.log(1e-4), np.log(1e4), 2001))
    assert nll(found) <= min(map(nll, grid)) + 1e-9


def test_repairs_coverage(make_evidence: MakeEvidence) -> None:
    evidence, target = simulated(make_evidence, 5.0)
    covered = []
    for claim in (evidence, scaled(evidence, fit_variance_scale(evidence, target))):
        lower, upper = claim.predictive().interval(0.95)
        covered.append(((lower <= target) & (target <= upper)).double().mean().item())
    assert covered[0] < 0.75
    assert covered[1] == pytest.approx(0.95, abs=0.015)


def test_stays_within_its_bounds(make_evidence: MakeEvidence) -> None:
    evidence = make_evidence([8.0] * 5, [3.0] * 5, [1.0] * 5)
    assert fit_variance_scale(evidence, torch.full((5,), 3.0).double()) == 1e-4
    assert fit_variance_scale(evidence, torch.full((5,), 3.0 + 1e-9).double()) == 1e-4
    assert fit_variance_scale(evidence, torch.full((5,), 3e5).double()) == 1e4


@pytest.mark.parametrize("images", [0, 1])
def test_needs_two_images(images: int, make_evidence: MakeEvidence) -> None:
    evidence = make_evidence([8.0] * images, [3.0] * images, [1.0] * images)
    with pytest.raises(DataError, match=f"at least two validation images, got {images}"):
        fit_variance_scale(evidence, torch.full((images,), 3.0).double())


def several(make_evidence: MakeEvidence, *sets: tuple[NormalInverseGamma, Tensor]) -> tuple[Predictions, ImageTable]:
    """Predictions of several data sets in one table."""
    parts = [evidence for evidence, _ in sets]
    evidence = make_evidence(
        torch.cat([p.predictive_df for p in parts]),
        torch.cat([p.loc for p in parts]),
        torch.cat([p.predictive_scale for p in parts]),
    )
    quality = torch.cat([target for _, target in sets])
    count = len(quality)
    table = ImageTable(
        paths=tuple(Path(f"{row}.png") for row in range(count)),
        quality=quality,
        scenes=torch.zeros(count, 9),
        distortion=torch.zeros(count, 11),
        dataset=torch.cat([torch.full((len(target),), number) for number, (_, target) in enumerate(sets)]),
        names=tuple(f"set-{number}" for number in range(len(sets))),
    )
    return Predictions(evidence, evidence.loc.numpy(), [], []), table


def test_every_data_set_counts_alike_and_by_itself(make_evidence: MakeEvidence) -> None:
    """Pooled, the larger set would decide; and so would the offset of one that is rated on another scale."""
    large, small = simulated(make_evidence, 4.0, images=4000), simulated(make_evidence, 0.25, images=400)
    found = calibrate(*several(make_evidence, large, small))
    own = [fit_variance_scale(*large), fit_variance_scale(*small)]
    assert list(found.by_dataset.values()) == pytest.approx(own)
    assert found.variance_scale == pytest.approx(math.sqrt(own[0] * own[1]))
    squares = [(target - evidence.loc).square().mean().item() for evidence, target in (large, small)]
    assert found.constant_std == pytest.approx(math.sqrt(sum(squares) / 2))
    pooled = fit_variance_scale(*(several(make_evidence, large, small)[0].evidence, torch.cat([large[1], small[1]])))
    assert abs(math.log(pooled / found.variance_scale)) > 1


def test_a_data_set_of_one_image_calibrates_nothing(make_evidence: MakeEvidence) -> None:
    two = simulated(make_evidence, 4.0, images=50)
    one = simulated(make_evidence, 1.0, images=1)
    found = calibrate(*several(make_evidence, two, one))
    assert found.by_dataset == pytest.approx({"set-0": fit_variance_scale(*two)})
    with pytest.raises(DataError, match="at least two validation images of one data set"):
        calibrate(*several(make_evidence, one, one))
