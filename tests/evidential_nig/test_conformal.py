"""The guarantee of split-conformal intervals by simulation, and what they are made of by counting."""

import math
from fractions import Fraction

import pytest
import torch
from torch.distributions import Normal

from evidential_nig import NormalInverseGamma, StudentT
from evidential_nig.conformal import SplitConformal
from evidential_nig.recalibration import VarianceScale

REPETITIONS = 600
NEW = 50


def world(generator, n, wrong=4.0):
    """Targets whose noise grows with x, and a network that is off in place, in width and in shape."""
    x = 2 * torch.rand(n, generator=generator, dtype=torch.float64)
    noise = torch.randn(n, generator=generator, dtype=torch.float64)
    target = x.square() + (0.1 + x) * noise.abs().pow(1.5).copysign(noise)
    predictive = NormalInverseGamma(x, 2.0, 1.5, (0.1 + x).square() / wrong)
    return predictive, target, (x > 1).long()


def coverage(generator, n, level, **options):
    """The mean over calibration sets of the share of new targets inside, and the mean share of finite intervals."""
    inside, finite = 0.0, 0.0
    for _ in range(REPETITIONS):
        predictive, target, groups = world(generator, n + NEW)
        grouped = options.get("groups", False)
        calibration = {"groups": groups[:n]} if grouped else {}
        new = {"groups": groups[n:]} if grouped else {}
        conformal = SplitConformal.fit(
            predictive[:n], target[:n], normalized=options.get("normalized", True), **calibration
        )
        lower, upper = conformal.interval(predictive[n:], level, **new)
        inside += ((lower <= target[n:]) & (target[n:] <= upper)).double().mean().item()
        finite += (upper - lower).isfinite().double().mean().item()
    return inside / REPETITIONS, finite / REPETITIONS


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize(("n", "level"), [(9, 0.9), (19, 0.9), (30, 0.75), (100, 0.95), (5, 0.5)])
def test_coverage_is_at_least_the_level_and_exactly_k_of_n_plus_one(n, level, normalized, generator):
    k = math.ceil((n + 1) * Fraction(str(level)))
    expected = k / (n + 1)
    found, finite = coverage(generator, n, level, normalized=normalized)
    assert expected >= level
    # Four standard errors: those of a Beta(k, n + 1 − k) and of the new targets.
    spread = math.sqrt(expected * (1 - expected) * (1 / (n + 2) + 1 / NEW) / REPETITIONS)
    assert abs(found - expected) < 4 * spread
    assert finite == 1


@pytest.mark.parametrize(("n", "level"), [(8, 0.9), (18, 0.95), (98, 0.99), (1, 0.51)])
def test_with_too_few_calibration_data_the_interval_is_the_whole_line(n, level):
    predictive = Normal(torch.zeros(n), 1.0)
    too_few = SplitConformal.fit(predictive, torch.linspace(-1, 1, n))
    assert too_few.quantile(level) == math.inf
    lower, upper = too_few.interval(Normal(torch.zeros(2), 1.0), level)
    assert lower.tolist() == [-math.inf] * 2
    assert upper.tolist() == [math.inf] * 2
    enough = SplitConformal.fit(Normal(torch.zeros(n + 1), 1.0), torch.linspace(-1, 1, n + 1))
    assert enough.quantile(level).isfinite()


def test_coverage_holds_in_each_group_apart_and_fails_without_groups(generator):
    """Plain intervals of one width cover the quiet half too often and the noisy half too rarely."""
    inside = {(grouped, group): [] for grouped in (True, False) for group in (0, 1)}
    for _ in range(400):
        predictive, target, groups = world(generator, 80)
        for grouped in (True, False):
            old, new = ({"groups": groups[:60]}, {"groups": groups[60:]}) if grouped else ({}, {})
            conformal = SplitConformal.fit(predictive[:60], target[:60], normalized=False, **old)
            lower, upper = conformal.interval(predictive[60:], 0.8, **new)
            held = (lower <= target[60:]) & (target[60:] <= upper)
            for group in (0, 1):
                inside[grouped, group] += held[groups[60:] == group].tolist()
    share = {key: sum(held) / len(held) for key, held in inside.items()}
    for group in (0, 1):
        assert 0.79 < share[True, group] < 0.85
    assert share[False, 0] > 0.87
    assert share[False, 1] < 0.78


def test_the_reach_is_the_kth_smallest_score():
    target = torch.tensor([3.0, -1.0, 2.0, -5.0])
    plain = SplitConformal.fit(Normal(torch.zeros(4), 2.0), target, normalized=False)
    assert plain.scores.tolist() == [1, 2, 3, 5]
    for level, reach in ((0.2, 1), (0.21, 2), (0.4, 2), (0.6, 3), (0.8, 5), (0.81, math.inf)):
        assert plain.quantile(level) == reach
    new = Normal(torch.tensor([10.0, 20.0]), torch.tensor([1.0, 4.0]))
    assert [bound.tolist() for bound in plain.interval(new, 0.6)] == [[7, 17], [13, 23]]
    scaled = SplitConformal.fit(Normal(torch.zeros(4), 2.0), target)
    assert scaled.scores.tolist() == [0.5, 1, 1.5, 2.5]
    assert [bound.tolist() for bound in scaled.interval(new, 0.6)] == [[8.5, 14], [11.5, 26]]


@pytest.mark.parametrize(("n", "level", "k"), [(19, 0.55, 11), (9, 0.7, 7), (99, 0.07, 7), (999, 0.999, 999)])
def test_a_level_is_the_decimal_number_that_it_prints_as(n, level, k):
    """20 × 0.55 and others are above the whole number in floating point, which would cost a rank or the interval."""
    conformal = SplitConformal(torch.arange(1.0, n + 1))
    assert conformal.quantile(level) == k


def test_a_factor_on_the_scale_changes_nothing_of_the_normalised_form(generator):
    predictive, target, _ = world(generator, 50)
    new, _, _ = world(generator, 10)
    narrow = VarianceScale(0.3)
    expected = SplitConformal.fit(predictive, target).interval(new, 0.9)
    found = SplitConformal.fit(narrow.apply(predictive), target).interval(narrow.apply(new), 0.9)
    torch.testing.assert_close(found, expected)


def test_the_kinds_of_predictions_agree_and_shapes_are_kept(generator):
    predictive, target, _ = world(generator, 60)
    new, _, _ = world(generator, 6)
    new = new.map(lambda parameter: parameter.reshape(2, 3))
    expected = SplitConformal.fit(predictive, target).interval(new, 0.8)
    assert expected[0].shape == (2, 3)
    student = SplitConformal.fit(predictive.predictive(), target).interval(new.predictive(), 0.8)
    torch.testing.assert_close(student, expected)
    folded = predictive.map(lambda parameter: parameter.reshape(3, 20))
    torch.testing.assert_close(SplitConformal.fit(folded, target.reshape(3, 20)).interval(new, 0.8), expected)
    single = SplitConformal.fit(predictive.to(torch.float32), target).interval(new.to(torch.float32), 0.8)
    assert single[0].dtype == torch.float64
    torch.testing.assert_close(single, expected, rtol=1e-5, atol=1e-5)


def test_groups_are_looked_up_and_an_unknown_one_is_the_whole_line():
    groups = torch.tensor([7, 7, 7, -1, -1])
    conformal = SplitConformal.fit(
        Normal(torch.zeros(5), 1.0), torch.tensor([1.0, 2.0, 3.0, 10.0, 20.0]), groups=groups
    )
    looked_up = conformal.quantile(0.5, groups=torch.tensor([[7, -1], [7, 5]]))
    assert looked_up.tolist() == [[2, 20], [2, math.inf]]
    assert repr(conformal) == "SplitConformal(n=5, normalized=True, groups=2)"
    lower, upper = conformal.interval(Normal(torch.zeros(2), 2.0), 0.5, groups=torch.tensor([5, 7]))
    assert (lower.tolist(), upper.tolist()) == ([-math.inf, -4], [math.inf, 4])


@pytest.mark.parametrize("grouped", [True, False])
def test_a_state_is_saved_and_read(grouped, generator, tmp_path):
    predictive, target, groups = world(generator, 40)
    more = {"groups": groups} if grouped else {}
    conformal = SplitConformal.fit(predictive, target, normalized=False, **more)
    torch.save(conformal.state_dict(), tmp_path / "conformal.pt")
    again = SplitConformal.from_state_dict(torch.load(tmp_path / "conformal.pt", weights_only=True))
    torch.testing.assert_close(again.interval(predictive, 0.9, **more), conformal.interval(predictive, 0.9, **more))
    assert again.normalized is False


def test_no_gradient_is_recorded_by_a_fit_and_new_predictions_keep_theirs():
    loc = torch.zeros(20, requires_grad=True)
    conformal = SplitConformal.fit(Normal(loc, 1.0), torch.linspace(-1, 1, 20))
    assert not conformal.scores.requires_grad
    assert conformal.interval(Normal(loc, 1.0), 0.5)[0].requires_grad


def test_what_is_wrong_is_named():
    predictive, target = Normal(torch.zeros(3), 1.0), torch.ones(3)
    groups = torch.zeros(3, dtype=torch.long)
    with pytest.raises(TypeError, match="predictive must be a NormalInverseGamma"):
        SplitConformal.fit(torch.distributions.Laplace(torch.zeros(3), 1.0), target)
    with pytest.raises(ValueError, match=r"target must have exactly the batch shape of the distribution, \(3,\)"):
        SplitConformal.fit(predictive, target[:, None])
    with pytest.raises(ValueError, match="target must hold at least one value"):
        SplitConformal.fit(Normal(torch.zeros(0), 1.0), torch.zeros(0))
    with pytest.raises(ValueError, match="target must be finite, but 1 of 3"):
        SplitConformal.fit(predictive, torch.tensor([1.0, math.nan, 0.0]))
    nan = torch.tensor([0.0, math.nan, 0.0])
    for bad, part in ((Normal(nan, 1.0, validate_args=False), "location"), (StudentT(3.0, 0.0, nan, False), "scale")):
        with pytest.raises(ValueError, match=f"the {part} of predictive must be finite, but 1 of 3"):
            SplitConformal.fit(bad, target)
        with pytest.raises(ValueError, match=f"the {part} of predictive must be finite, but 1 of 3"):
            SplitConformal.fit(predictive, target).interval(bad, 0.5)
    with pytest.raises(ValueError, match=r"groups must have exactly the shape of target, \(3,\), but has \(2,\)"):
        SplitConformal.fit(predictive, target, groups=groups[:2])
    with pytest.raises(ValueError, match=r"groups must be whole numbers, but are of dtype torch\.float32"):
        SplitConformal.fit(predictive, target, groups=groups.float())
    with pytest.raises(ValueError, match="groups must be given, as they were to fit"):
        SplitConformal.fit(predictive, target, groups=groups).interval(predictive, 0.5)
    with pytest.raises(ValueError, match="groups must not be given, as fit had none"):
        SplitConformal.fit(predictive, target).interval(predictive, 0.5, groups=groups)
    with pytest.raises(ValueError, match=r"groups must have exactly the batch shape of the distribution, \(3,\)"):
        SplitConformal.fit(predictive, target, groups=groups).interval(predictive, 0.5, groups=groups[:1])
    for scores in (torch.zeros(0), torch.zeros(2, 2)):
        with pytest.raises(ValueError, match="scores must be a vector of at least one score"):
            SplitConformal(scores)
    with pytest.raises(ValueError, match="scores must not be negative, but the smallest is -1"):
        SplitConformal(torch.tensor([0.0, -1.0]))
    with pytest.raises(ValueError, match="scores must be finite"):
        SplitConformal(torch.tensor([0.0, math.inf]))
