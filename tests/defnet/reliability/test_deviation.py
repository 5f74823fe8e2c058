"""The deviation h: its parts, and that its fit finds what is planted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from defnet.errors import DataError
from defnet.reliability.deviation import Deviation
from defnet.reliability.deviation_fit import fit_deviation

PLANTED = Deviation(1.3, 0.8, 0.5, 0.25, 4.0, unit=4.0, degrees_of_freedom=8.0)


def planted(count: int, seed: int, noise: float = 0.0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    own, spread = generator.uniform(0.2, 0.6, count), generator.uniform(0.4, 1.2, count)
    distance = 4 * np.exp(generator.normal(0, 0.3, count))
    h = PLANTED.total(*map(torch.from_numpy, (own, spread, distance))).numpy()
    df = PLANTED.degrees_of_freedom
    residual = h * generator.standard_t(df, count) * np.sqrt((df - 2) / df) + noise * generator.normal(size=count)
    return {
        "residual": residual,
        "deviation": own,
        "spread": spread,
        "distance": distance,
        "weight": np.ones(count),
        "noise": np.full(count, noise),
    }


def assert_close(found: Deviation, tolerance: float) -> None:
    # Where the epistemic part is a thousandth of h, nothing can find it.
    own, spread, distance = (torch.linspace(*ends, 9).double() for ends in ((0.2, 0.6), (0.4, 1.2), (3.6, 9.0)))
    own, spread = torch.cartesian_prod(own, spread).T
    for ratio in (
        found.aleatoric(own, spread) / PLANTED.aleatoric(own, spread),
        found.epistemic(distance) / PLANTED.epistemic(distance),
    ):
        assert 1 - tolerance < ratio.min()
        assert ratio.max() < 1 + tolerance


def test_the_fit_finds_what_is_planted() -> None:
    found = fit_deviation(**planted(20_000, 0), unit=4.0)
    assert_close(found, 0.08)
    assert found.epistemic_power == pytest.approx(4.0, abs=0.4)
    assert found.aleatoric_power == pytest.approx(0.8, abs=0.1)
    assert found.spread_power == pytest.approx(0.5, abs=0.1)
    assert found.degrees_of_freedom == pytest.approx(8.0, rel=0.15)


def test_what_is_known_to_be_wrong_with_ratings_is_taken_out() -> None:
    data = planted(20_000, 1, noise=0.5)
    assert_close(fit_deviation(**data, unit=4.0), 0.15)
    without = fit_deviation(**{**data, "noise": np.zeros(20_000)}, unit=4.0)
    place = torch.tensor(0.2), torch.tensor(0.5), torch.tensor(4.0)
    assert without.total(*place) > 1.3 * PLANTED.total(*place)


def test_weights_count_as_repetitions() -> None:
    data = planted(120, 2)
    twice = {name: np.concatenate([values, values[:60]]) for name, values in data.items()}
    weighed = {**data, "weight": np.where(np.arange(120) < 60, 2.0, 1.0)}
    one, other = (fit_deviation(**given, unit=4.0) for given in (twice, weighed))
    places = torch.tensor([0.3, 0.5]), torch.tensor([0.5, 1.0]), torch.tensor([4.0, 7.0])
    torch.testing.assert_close(one.total(*places), other.total(*places), rtol=1e-3, atol=0)


def test_where_distance_tells_nothing_intervals_widen_beyond_what_was_seen() -> None:
    generator = np.random.default_rng(3)
    count = 800
    data = planted(count, 3) | {
        "residual": 0.4 * generator.normal(size=count),
        "distance": 4 * np.exp(generator.normal(0, 0.1, count)),
    }
    found = fit_deviation(**data, unit=4.0)
    usual = found.total(torch.tensor(0.4), torch.tensor(0.8), torch.tensor(4.0))
    assert usual == pytest.approx(0.4, rel=0.06)
    assert found.total(torch.tensor(0.4), torch.tensor(0.8), torch.tensor(10.0)) > 4 * usual


def test_it_grows_with_each_whatever_it_was_fitted_to() -> None:
    generator = np.random.default_rng(4)
    data = planted(300, 4)
    data["residual"] = generator.normal(size=300) / data["distance"]  # the farther, the smaller
    found = fit_deviation(**data, unit=4.0)
    grid = torch.linspace(0.01, 50, 200)
    for place in range(3):
        signs = [torch.full_like(grid, usual) for usual in (0.4, 0.8, 4.0)]
        signs[place] = grid
        assert bool((found.total(*signs).diff() >= 0).all())
    assert bool((found.total(grid, grid, grid) > 0).all())


def test_the_same_bits_each_time() -> None:
    assert fit_deviation(**planted(200, 5), unit=4.0) == fit_deviation(**planted(200, 5), unit=4.0)


def test_a_factor_is_on_both_parts() -> None:
    signs = torch.tensor([0.3]), torch.tensor([0.8]), torch.tensor([5.0])
    torch.testing.assert_close(PLANTED.rescaled(2.0).total(*signs), 2 * PLANTED.total(*signs))


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(DataError, match="at least 20 images that were left out, got 19"):
        fit_deviation(**planted(19, 6), unit=4.0)
    with pytest.raises(DataError, match="without any error"):
        fit_deviation(**planted(30, 6) | {"residual": np.zeros(30)}, unit=4.0)


@pytest.mark.parametrize(
    "changed", [{"unit": 0.0}, {"aleatoric_level": -1.0}, {"epistemic_power": -0.1}, {"spread_power": -0.1},
                {"degrees_of_freedom": 2.0}, {"epistemic_level": float("nan")}],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(changed: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="levels and a unit above 0, powers of at least 0 and more than 2"):
        replace(PLANTED, **changed)
