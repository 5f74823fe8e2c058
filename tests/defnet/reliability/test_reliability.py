"""Intervals from images that were left out: their coverage by simulation, and what they are made of."""

import numpy as np
import pytest
import torch
from torch import Tensor

from defnet.errors import CheckpointError, DataError
from defnet.out_of_fold.fitting import Fitted, OutOfFold, fit
from defnet.reliability.deviation import Deviation
from defnet.reliability.familiarity import Familiarity
from defnet.reliability.reliability import UNLIKE, Reliability, own_deviation
from evidential_nig import NormalInverseGamma

LEVELS = (0.5, 0.8, 0.95)


def evidence_of(loc: np.ndarray, deviation: np.ndarray) -> NormalInverseGamma:
    """Evidence with these means and predictive deviations."""
    mean, variance = torch.from_numpy(loc).double(), torch.from_numpy(deviation).double().square()
    one = torch.ones_like(mean)
    return NormalInverseGamma.from_alpha_minus_one(mean, one, one, variance / 2)


def two_images() -> tuple[NormalInverseGamma, Tensor, Tensor]:
    """Evidence, spread of the quality levels and distance of two images."""
    evidence = evidence_of(np.array([2.0, 3.0]), np.array([0.1, 0.2]))
    return evidence, torch.tensor([0.6, 0.9]).double(), torch.tensor([1.0, 4.0]).double()


class World:
    """Ratings linear in five features, with noise that depends on one of them, and a learner of least squares."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        x = self.generator.normal(size=(count, 5))
        noise = 0.3 * np.exp(0.3 * x[:, 0]) * self.generator.standard_t(6, size=count)
        return x, np.clip(3 + x @ [0.2, 0.1, -0.2, 0.1, 0.0] + noise, 1, 5)

    @staticmethod
    def learn(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        weights: np.ndarray = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]), y, rcond=None)[0]
        return weights

    @staticmethod
    def predict(weights: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Scores, the learner's own deviations (wrong by a factor), a spread that knows nothing, and distances."""
        return weights[0] + x @ weights[1:], 0.1 * np.exp(0.2 * x[:, 0]), 0.5 + x[:, 4] ** 2, np.linalg.norm(x, axis=1)


def calibrated_world(world: World, count: int, folds: int = 5) -> tuple[np.ndarray, Fitted]:
    x, y = world.draw(count)
    fold = np.arange(count) % folds
    found = []
    for number in range(folds):
        out = fold == number
        parts = world.predict(world.learn(x[~out], y[~out]), x[out])
        found.append(OutOfFold(np.flatnonzero(out), *parts, np.zeros(out.sum(), bool)))
    fitted = fit(OutOfFold.join(found), y, np.zeros(count), np.zeros(count, int), np.ones(count, bool))
    return world.learn(x, y), fitted


def reliability_of(fitted: Fitted) -> Reliability:
    points = torch.randn(30, 12, generator=torch.Generator().manual_seed(0)).double()
    familiarity = Familiarity.fit(points, 2).with_distances(torch.from_numpy(fitted.distances))
    return Reliability(familiarity, fitted.deviation, torch.from_numpy(fitted.scores))


def test_coverage_is_what_intervals_say_where_images_are_exchangeable() -> None:
    held = np.zeros((30, len(LEVELS)))
    for seed, row in enumerate(held):
        world = World(seed)
        weights, fitted = calibrated_world(world, 100)
        x, y = world.draw(200)
        loc, deviation, *signs = world.predict(weights, x)
        spread, distance = map(torch.from_numpy, signs)
        reliability = reliability_of(fitted)
        for place, level in enumerate(LEVELS):
            lower, upper = reliability.interval(evidence_of(loc, deviation), spread, distance, level)
            row[place] = np.mean((lower.numpy() <= y) & (y <= upper.numpy()))
    for level, coverage in zip(LEVELS, held.mean(0), strict=True):
        # The coverage by 100 scores has a variance of c (1 − c) / 100, and counting it on 200 adds half of that.
        error = np.sqrt(level * (1 - level) * (1 / 100 + 1 / 200) / 30)
        assert level - 3 * error < coverage < level + 3 * error + 1 / 101


def test_intervals_reach_the_quantile_times_h() -> None:
    fitted = calibrated_world(World(0), 100)[1]
    reliability = reliability_of(fitted)
    evidence, spread, distance = signs = two_images()
    lower, upper = reliability.interval(*signs, 0.95)
    h = fitted.deviation.total(own_deviation(evidence), spread, distance)
    assert own_deviation(evidence).tolist() == pytest.approx([0.1, 0.2])
    assert ((upper - lower) / 2 / h).tolist() == pytest.approx([fitted.scores[96 - 1]] * 2)  # ⌈101 · 0.95⌉
    assert reliability.reach(0.995) == np.inf


def test_calibrated_evidence_has_the_parts_of_h() -> None:
    reliability = reliability_of(calibrated_world(World(1), 100)[1])
    evidence, spread, distance = signs = two_images()
    found, h = reliability.calibrated(*signs), reliability.deviation
    torch.testing.assert_close(found.aleatoric.sqrt(), h.aleatoric(own_deviation(evidence), spread))
    torch.testing.assert_close(found.epistemic.sqrt(), h.epistemic(distance))
    torch.testing.assert_close(found.predictive_variance.sqrt(), h.total(own_deviation(evidence), spread, distance))
    assert found.predictive_df.tolist() == pytest.approx([h.degrees_of_freedom] * 2)
    assert torch.equal(found.loc, evidence.loc)


def test_the_deviation_is_one_of_residuals_that_were_left_out() -> None:
    world = World(2)
    weights, fitted = calibrated_world(world, 400)
    x, y = world.draw(2000)
    loc, *signs = world.predict(weights, x)
    h = fitted.deviation.total(*map(torch.from_numpy, signs)).numpy()
    assert np.sqrt(np.mean(((y - loc) / h) ** 2)) == pytest.approx(1, abs=0.1)


def left_out(generator: np.random.Generator) -> tuple[OutOfFold, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rated images, and images that nobody rated, on a scale of their own; without a distortion errors are of 1.2."""
    count = 300
    truth = generator.uniform(1.5, 4.5, 3 * count)
    row = np.concatenate([np.arange(2 * count), np.arange(count, 2 * count)])
    error = np.concatenate([np.full(2 * count, 0.3), np.full(count, 1.2)])
    distance = np.concatenate([generator.uniform(3.5, 4.5, 2 * count), generator.uniform(5.5, 7.0, count)])
    rated = np.arange(2 * count) < count
    # Another scale than that of the scores.
    quality = np.where(rated, truth[: 2 * count], 1 + 0.5 * truth[: 2 * count])
    score = truth[row] + error * generator.normal(size=len(row))
    found = OutOfFold(
        row, score, np.full(len(row), 0.4), np.full(len(row), 0.8), distance, np.arange(len(row)) >= 2 * count
    )
    return found, quality, np.zeros(2 * count), (~rated).astype(int), rated


def test_images_that_nobody_rated_say_how_errors_grow_whatever_their_scale() -> None:
    fitted = fit(*left_out(np.random.default_rng(0)))
    h = fitted.deviation.total(torch.full((2,), 0.4), torch.full((2,), 0.8), torch.tensor([4.0, 6.2])).tolist()
    assert h[0] == pytest.approx(0.3, rel=0.1)
    assert h[1] == pytest.approx(1.2, rel=0.25)
    assert fitted.images == {"rated": 300, "rated_families": 0, "pseudo_rated": 300, "pseudo_rated_families": 300}
    assert len(fitted.scores) == len(fitted.distances) == 300  # the rated ones alone
    assert fitted.figures["coverage_95_pseudo_rated_families"] > 0.9
    assert "coverage_95_rated_families" not in fitted.figures


def test_rated_images_without_a_distortion_are_counted_and_not_fitted_to() -> None:
    generator = np.random.default_rng(2)
    found, quality, noise, dataset, rated = left_out(generator)
    plain = fit(found, quality, noise, dataset, rated)
    row = np.arange(200)  # rated, as near as the others, and far off
    signs = np.full(200, 0.4), np.full(200, 0.8), np.full(200, 4.0)
    more = OutOfFold(row, quality[row] + 1.5 * generator.normal(size=200), *signs, np.ones(200, bool))
    fitted = fit(OutOfFold.join([found, more]), quality, noise, dataset, rated)
    assert fitted.deviation == plain.deviation
    assert fitted.images["rated_families"] == 200
    assert fitted.figures["coverage_95_rated_families"] < 0.7


def test_too_few_rated_images_are_refused() -> None:
    found, quality, noise, dataset, rated = left_out(np.random.default_rng(1))
    with pytest.raises(DataError, match="at least 20 rated images, and there are 19"):
        fit(found, quality, noise, dataset, rated & (np.arange(len(rated)) < 19))


def test_a_warning_below_one_in_twenty() -> None:
    reliability = reliability_of(calibrated_world(World(3), 100)[1])
    assert reliability.warnings(0.0499) == (UNLIKE,)
    assert reliability.warnings(0.05) == ()


def test_tensors_are_read_back() -> None:
    reliability = reliability_of(calibrated_world(World(4), 100)[1])
    tensors = reliability.tensors()
    again = Reliability.from_tensors(tensors, reliability.deviation)
    signs = evidence_of(np.array([2.0]), np.array([0.1])), torch.tensor([0.7]).double(), torch.tensor([4.0]).double()
    assert again.interval(*signs, 0.8) == reliability.interval(*signs, 0.8)
    bad: tuple[Tensor, ...] = (torch.empty(0), torch.tensor([-1.0]), torch.tensor([torch.nan]), torch.ones(2, 2))
    for scores in bad:
        with pytest.raises(CheckpointError, match="no nonconformity scores"):
            Reliability.from_tensors({**tensors, "scores": scores}, reliability.deviation)


def test_without_an_error_there_is_nothing_to_fit() -> None:
    row, one = np.arange(40), np.ones(40)
    found = OutOfFold(row, one, one, one, one, np.zeros(40, bool))
    with pytest.raises(DataError, match="without any error"):
        fit(found, one, 0 * one, np.zeros(40, int), np.ones(40, bool))


def test_deviation_is_a_description_of_plain_numbers() -> None:
    fitted = calibrated_world(World(5), 100)[1]
    assert Deviation(**vars(fitted.deviation)) == fitted.deviation
    assert all(type(value) is float for value in vars(fitted.deviation).values())
