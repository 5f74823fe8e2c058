"""Both recalibrations against scipy and scikit-learn, and the recalibrated distribution against its own integrals."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn.isotonic import IsotonicRegression
from torch.distributions import Laplace, Normal

from evidential_nig import NormalInverseGamma, evidential_loss
from evidential_nig.calibration import crps, interval_coverage, nll, pit, quantile_calibration_error, summarize
from evidential_nig.recalibration import IsotonicQuantiles, RecalibratedDistribution, VarianceScale
from evidential_nig.student_t import StudentT


def f64(*values):
    return torch.tensor(values, dtype=torch.float64)


def uniform(generator, n, low, high):
    return low + (high - low) * torch.rand(n, generator=generator, dtype=torch.float64)


def normal(generator, n):
    return Normal(uniform(generator, n, -3, 3), uniform(generator, n, 0.2, 2))


def student(generator, n):
    return StudentT(uniform(generator, n, 2.1, 30), uniform(generator, n, -3, 3), uniform(generator, n, 0.2, 2))


def nig(generator, n):
    return NormalInverseGamma.from_alpha_minus_one(
        uniform(generator, n, -3, 3),
        uniform(generator, n, 0.1, 4),
        uniform(generator, n, 0.05, 5),
        uniform(generator, n, 0.2, 4),
    )


def predictive_of(prediction):
    return prediction.predictive() if isinstance(prediction, NormalInverseGamma) else prediction


KINDS = {"normal": normal, "student": student, "nig": nig}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
each_recalibration = pytest.mark.parametrize("recalibration", [VarianceScale, IsotonicQuantiles])


def scipys_scale(prediction, target):
    """The best factor of the likelihood as scipy writes it."""
    base = predictive_of(prediction)
    frozen = stats.norm if isinstance(base, Normal) else stats.t(base.df.numpy())
    z = ((target - base.loc) / base.scale).numpy()
    found = optimize.minimize_scalar(
        lambda log_factor: -np.mean(frozen.logpdf(z / math.exp(log_factor)) - log_factor),
        bracket=(-1, 1),
        tol=1e-12,
    )
    return math.exp(found.x)


@each_kind
@pytest.mark.parametrize("truth", [1e-3, 0.4, 1.0, 3.0, 1e4])
def test_the_scale_of_largest_likelihood_is_scipys(kind, truth, generator):
    prediction = kind(generator, 300)
    base = predictive_of(prediction)
    target = base.loc + truth * base.scale * torch.randn(300, generator=generator, dtype=torch.float64)
    scale = VarianceScale.fit(prediction, target)
    # A minimum is flat: its place is known to the root of the precision of the likelihood.
    assert scale.factor == pytest.approx(scipys_scale(prediction, target), rel=1e-7)


@given(
    st.lists(st.tuples(st.floats(-8, 8), st.floats(2.001, 1e6)), min_size=1, max_size=15).filter(
        lambda rows: any(abs(z) > 1e-3 for z, _ in rows)
    )
)
def test_the_slope_of_the_likelihood_is_zero_at_the_fitted_scale(rows):
    z, df = torch.tensor(rows, dtype=torch.float64).unbind(-1)
    predictive = StudentT(df, torch.zeros_like(df), torch.ones_like(df))
    if (df[z != 0] + 1).sum() <= len(rows):
        return
    log_factor = f64(math.log(VarianceScale.fit(predictive, z).factor)).requires_grad_()
    likelihood = StudentT(df, torch.zeros_like(df), log_factor.exp().expand_as(df)).log_prob(z).sum()
    (slope,) = torch.autograd.grad(likelihood, log_factor)
    # At most n is what the slope's terms sum up to.
    assert abs(slope.item()) <= 1e-9 * len(rows)


@pytest.mark.parametrize("outlier", [1e3, 1e8, 1e100])
def test_the_fit_holds_with_an_outlier(outlier):
    target = torch.cat((torch.linspace(-1, 1, 50, dtype=torch.float64), f64(outlier)))
    predictive = StudentT(torch.full((51,), 3.0, dtype=torch.float64))
    factor = VarianceScale.fit(predictive, target).factor
    squared = (target / factor).square()
    assert (4 * squared / (3 + squared)).sum().item() == pytest.approx(51, rel=1e-9)


@each_kind
def test_the_scaled_prediction_fits_with_a_factor_of_one_and_is_better(kind, generator):
    prediction = kind(generator, 200)
    base = predictive_of(prediction)
    target = base.loc + 2.5 * base.scale * torch.randn(200, generator=generator, dtype=torch.float64)
    scaled = VarianceScale.fit(prediction, target).apply(prediction)
    assert type(scaled) is type(prediction)
    assert VarianceScale.fit(scaled, target).factor == pytest.approx(1, rel=1e-12)
    assert nll(predictive_of(scaled), target) < nll(base, target)


def test_both_uncertainties_grow_by_the_square_and_nothing_else_changes(generator):
    before = nig(generator, 20)
    after = VarianceScale(1.7).apply(before)
    for name in ("aleatoric", "epistemic", "predictive_variance", "beta"):
        torch.testing.assert_close(getattr(after, name), 1.7**2 * getattr(before, name))
    for name in ("loc", "nu", "alpha_minus_one", "predictive_df"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    scaled = VarianceScale(1.7).apply(before.predictive())
    for name in ("df", "loc", "scale"):
        torch.testing.assert_close(getattr(scaled, name), getattr(after.predictive(), name))
    target = before.predictive().sample()
    assert summarize(scaled, target).ause == pytest.approx(summarize(before.predictive(), target).ause, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_scaling_keeps_the_dtype_and_the_gradients(dtype):
    loc = torch.zeros(3, dtype=dtype, requires_grad=True)
    for prediction in (NormalInverseGamma(loc, 1.0, 2.0, 1.0), Normal(loc, 1.0), StudentT(3.0, loc, 1.0)):
        scaled = VarianceScale(2.0).apply(prediction)
        assert scaled.loc.dtype == dtype
        assert scaled.loc.requires_grad
    evidential_loss(VarianceScale(2.0).apply(NormalInverseGamma(loc, 1.0, 2.0, 1.0)), torch.ones(3)).backward()
    assert loc.grad.abs().min() > 0


def test_a_scale_of_zero_is_not_fitted():
    target = torch.zeros(5)
    for predictive in (Normal(target, 1.0), StudentT(torch.full((5,), 3.0))):
        with pytest.raises(ValueError, match="all are equal"):
            VarianceScale.fit(predictive, target)
    target[0] = 1.0
    # Σ (df + 1) over the one target that differs is 4, for n = 5 the likelihood has no maximum.
    with pytest.raises(ValueError, match="equals its prediction in 4 of 5 cases"):
        VarianceScale.fit(StudentT(torch.full((5,), 3.0)), target)
    assert VarianceScale.fit(StudentT(torch.full((5,), 5.0)), target).factor > 0


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_a_factor_out_of_range_is_refused(factor):
    with pytest.raises(ValueError, match="factor must be a finite number above 0"):
        VarianceScale(factor)


def test_with_a_line_for_every_gap_the_map_is_the_isotonic_regression(generator):
    predictive = normal(generator, 200)
    target = predictive.loc + 1.5 * predictive.scale * torch.randn(200, generator=generator, dtype=torch.float64)
    target[50:80], predictive.loc[50:80], predictive.scale[50:80] = 1.0, 0.5, 0.7  # thirty equal transforms
    probability = pit(predictive, target).numpy()
    share = stats.rankdata(probability, method="ordinal") / 201
    isotonic = IsotonicRegression(y_min=0, y_max=1).fit(probability, share)
    # scikit-learn pools nothing but ties: without them the regression is the points themselves.
    assert len(np.unique(isotonic.predict(probability))) == len(np.unique(probability)) == 171
    fitted = IsotonicQuantiles.fit(predictive, target, segments=201)
    # At every knot of ours, where a line between two points of theirs may have several.
    known = np.concatenate(([0], np.unique(probability), [1]))
    regressed = np.concatenate(([0], isotonic.predict(np.unique(probability)), [1]))
    np.testing.assert_allclose(
        fitted.observed.numpy(), np.interp(fitted.predicted.numpy(), known, regressed), atol=2e-5
    )
    np.testing.assert_allclose(
        fitted.apply(predictive).cdf(target).numpy()[:50], isotonic.predict(probability)[:50], atol=2e-5
    )


@each_kind
@pytest.mark.parametrize("n", [10, 99, 5000])
def test_by_default_root_n_lines_each_with_the_same_share_of_the_targets(kind, n, generator):
    prediction = kind(generator, n)
    base = predictive_of(prediction)
    target = base.loc + 1.3 * base.scale * torch.randn(n, generator=generator, dtype=torch.float64)
    isotonic = IsotonicQuantiles.fit(prediction, target)
    segments = round(math.sqrt(n))
    assert len(isotonic.observed) == segments + 1
    counts = np.histogram(pit(base, target).numpy(), isotonic.predicted.numpy())[0]
    assert np.abs(counts - n / segments).max() < 2
    assert len(IsotonicQuantiles.fit(prediction, target, segments=3).observed) == 4


def test_the_identity_is_left_where_everything_is_as_predicted():
    probability = torch.arange(1, 400, dtype=torch.float64) / 400
    predictive = Normal(torch.zeros(399, dtype=torch.float64), 1.0)
    isotonic = IsotonicQuantiles.fit(predictive, predictive.icdf(probability))
    torch.testing.assert_close(isotonic.predicted, isotonic.observed, rtol=0, atol=1e-8)


SKEWED = {
    "too wide": lambda noise: 0.5 * noise,
    "too narrow": lambda noise: 1.8 * noise,
    "shifted": lambda noise: noise + 0.8,
    "skewed": lambda noise: noise.exp() / 2 - 1,
}


@pytest.mark.parametrize("distort", SKEWED.values(), ids=SKEWED)
@pytest.mark.parametrize("kind", [normal, student])
def test_unseen_data_are_calibrated_after_either_and_scored_better(kind, distort, generator):
    n = 2000
    base = kind(generator, n)
    target = base.loc + base.scale * distort(torch.randn(n, generator=generator, dtype=torch.float64))
    half = n // 2

    def part(rows):
        parameters = (base.loc[rows], base.scale[rows])
        return Normal(*parameters) if kind is normal else StudentT(base.df[rows], *parameters)

    validation, test = slice(0, half), slice(half, n)
    isotonic = IsotonicQuantiles.fit(part(validation), target[validation]).apply(part(test))
    plain, unseen = part(test), target[test]
    for level in (0.5, 0.8, 0.95):
        # Twice the binomial variance: the quantiles were estimated from as many targets as they are checked on.
        error = math.sqrt(2 * level * (1 - level) / half)
        assert abs(interval_coverage(isotonic, unseen, level).item() - level) < 4 * error
    assert quantile_calibration_error(isotonic, unseen) < quantile_calibration_error(plain, unseen) / 2
    assert nll(isotonic, unseen) < nll(plain, unseen) - 0.02
    assert crps(isotonic, unseen) < crps(plain, unseen)


def test_a_calibrated_prediction_loses_no_more_than_the_lines_cost(generator):
    n = 20_000
    predictive = student(generator, n)
    torch.manual_seed(1)
    isotonic = IsotonicQuantiles.fit(predictive, predictive.sample()).apply(predictive)
    unseen = predictive.sample()
    cost = (nll(isotonic, unseen) - nll(predictive, unseen)).item()
    assert 0 < cost < 3 * 100 / (2 * n)


KNOTS = f64(0, 1e-8, 0.2, 0.5, 0.55, 0.9, 1 - 1e-6, 1), f64(0, 0.1, 0.15, 0.4, 0.8, 0.85, 0.97, 1)
BASES = {
    "normal": Normal(f64(1, 0), f64(2, 0.5)),
    "student": StudentT(f64(3, 200), f64(1, 0), f64(2, 0.5)),
}
each_base = pytest.mark.parametrize("base", BASES.values(), ids=BASES)


NODES, WEIGHTS = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(300))


def integral(function, points):
    """Of a function that is smooth between the points, over the real line, a value a column; points (any, 2)."""
    points = points.sort(0).values
    share = (NODES.unsqueeze(-1) + 1) / 2
    weight = WEIGHTS.unsqueeze(-1) / 2
    # The ends as t/(1 − t), which turns the power of a tail into a power again.
    out = share / (1 - share)
    total = (weight * (function(points[0] - out) + function(points[-1] + out)) / (1 - share).square()).sum(0)
    for low, high in pairwise(points):
        total = total + (weight * (high - low) * function(low + (high - low) * share)).sum(0)
    return total


@each_base
def test_density_and_moments_are_those_of_the_mapped_distribution(base):
    recalibrated = RecalibratedDistribution(base, *KNOTS)
    knots = base.icdf(KNOTS[0][1:-1].unsqueeze(-1))
    moments = [integral(lambda x, k=k: x**k * recalibrated.log_prob(x).exp(), knots) for k in range(3)]
    torch.testing.assert_close(moments[0], f64(1, 1), rtol=1e-7, atol=0)
    torch.testing.assert_close(recalibrated.mean, moments[1], rtol=1e-6, atol=0)
    torch.testing.assert_close(recalibrated.variance, moments[2] - moments[1].square(), rtol=1e-6, atol=0)


@each_base
@pytest.mark.parametrize("target", [-40.0, -3.0, 0.9, 1.1, 60.0])
def test_crps_is_the_integral_that_defines_it(base, target):
    recalibrated = RecalibratedDistribution(base, *KNOTS)
    points = torch.cat((base.icdf(KNOTS[0][1:-1].unsqueeze(-1)), f64(target, target).unsqueeze(0)))
    reference = integral(lambda x: (recalibrated.cdf(x) - (x >= target).double()).square(), points)
    torch.testing.assert_close(recalibrated.crps(f64(target, target)), reference, rtol=1e-8, atol=0)


@given(
    st.lists(st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)), min_size=1, max_size=8),
    st.floats(2.05, 100),
    st.floats(-5, 5),
)
def test_any_map_keeps_what_holds_for_every_distribution(lines, df, target):
    predicted, observed = (
        torch.cat((f64(0), step.cumsum(0) / step.sum())) for step in torch.tensor(lines, dtype=torch.float64).unbind(-1)
    )
    predicted[-1] = observed[-1] = 1
    base = StudentT(f64(df))
    recalibrated = RecalibratedDistribution(base, predicted, observed)
    probability = torch.linspace(0.001, 0.999, 41, dtype=torch.float64)
    torch.testing.assert_close(recalibrated.cdf(recalibrated.icdf(probability)), probability, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(recalibrated.cdf(base.icdf(predicted[1:-1])), observed[1:-1], rtol=1e-10, atol=1e-12)
    # Mirrored, everything but the mean is as before.
    mirrored = RecalibratedDistribution(base, 1 - predicted.flip(0), 1 - observed.flip(0))
    torch.testing.assert_close(mirrored.mean, -recalibrated.mean, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(mirrored.variance, recalibrated.variance, rtol=1e-9, atol=1e-10)
    score = recalibrated.crps(f64(target))
    torch.testing.assert_close(mirrored.crps(f64(-target)), score, rtol=1e-9, atol=1e-10)
    assert score > 0
    # A knot on a line changes nothing.
    middle = (predicted[:1] + predicted[1:2]) / 2, (observed[:1] + observed[1:2]) / 2
    split = [torch.cat((knots[:1], new, knots[1:])) for knots, new in zip((predicted, observed), middle, strict=True)]
    finer = RecalibratedDistribution(base, *split)
    torch.testing.assert_close(finer.crps(f64(target)), score, rtol=1e-9, atol=1e-10)


@each_kind
def test_the_map_without_bends_changes_nothing(kind, generator):
    prediction = kind(generator, 12)
    base = predictive_of(prediction)
    same = IsotonicQuantiles(f64(0, 0.3, 1), f64(0, 0.3, 1)).apply(prediction)
    value = base.loc + torch.randn(12, generator=generator, dtype=torch.float64)
    assert (same.batch_shape, same.event_shape) == (base.batch_shape, base.event_shape)
    torch.testing.assert_close(same.cdf(value), base.cdf(value))
    torch.testing.assert_close(same.log_prob(value), base.log_prob(value))
    torch.testing.assert_close(same.mean, base.mean, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(same.variance, base.variance, rtol=1e-9, atol=0)
    torch.testing.assert_close(same.icdf(f64(0.05).expand(12)), base.icdf(f64(0.05).expand(12)))
    assert crps(same, value).item() == pytest.approx(crps(base, value).item(), rel=1e-12)


def test_an_infinite_variance_stays_infinite():
    recalibrated = RecalibratedDistribution(StudentT(f64(2, 3)), *KNOTS)
    assert recalibrated.variance.isinf().tolist() == [True, False]
    assert recalibrated.mean.isfinite().all()


@each_base
def test_intervals_hold_what_they_say_and_samples_follow(base):
    recalibrated = RecalibratedDistribution(base, *KNOTS)
    lower, upper = recalibrated.interval(0.5)
    torch.testing.assert_close(recalibrated.cdf(lower), f64(0.25, 0.25))
    torch.testing.assert_close(recalibrated.cdf(upper), f64(0.75, 0.75))
    torch.manual_seed(2)
    draws = recalibrated.sample((3000,))
    assert draws.shape == (3000, 2)
    for row in range(2):
        transformed = recalibrated.cdf(draws)[:, row].numpy()
        assert stats.kstest(transformed, "uniform").pvalue > 1e-3
    assert torch.equal(*recalibrated.interval(0.0))
    assert [bound.tolist() for bound in recalibrated.interval(1)] == [[-math.inf] * 2, [math.inf] * 2]
    torch.testing.assert_close(recalibrated.icdf(0.3), recalibrated.icdf(f64(0.3, 0.3)), rtol=0, atol=0)
    torch.testing.assert_close(recalibrated.cdf(0.3), recalibrated.cdf(f64(0.3, 0.3)), rtol=0, atol=0)
    for number in (95, -0.1, math.nan):
        for wrong in (number, f64(0.5, number)):
            with pytest.raises(ValueError, match=r"level must be a probability in \[0, 1\]"):
                recalibrated.interval(wrong)
            with pytest.raises(ValueError, match=r"value must be a probability in \[0, 1\]"):
                recalibrated.icdf(wrong)


@each_base
def test_more_dimensions_are_as_good_as_one(base):
    recalibrated = RecalibratedDistribution(base, *KNOTS)
    wide = RecalibratedDistribution(base.expand((4, 3, 2)), *KNOTS)
    value = torch.linspace(-5, 5, 24, dtype=torch.float64).reshape(4, 3, 2)
    for name in ("cdf", "log_prob", "crps"):
        result = getattr(wide, name)(value)
        assert result.shape == (4, 3, 2)
        torch.testing.assert_close(result, getattr(recalibrated, name)(value))
    assert recalibrated.crps(value[0, 0]).shape == (2,)
    scalar = RecalibratedDistribution(type(base)(*(getattr(base, name)[0] for name in base.arg_constraints)), *KNOTS)
    assert scalar.crps(f64(0.3)[0]).item() == pytest.approx(recalibrated.crps(f64(0.3, 0.3))[0].item())


def test_far_beyond_the_fitted_quantiles_everything_is_finite(generator):
    predictive = student(generator, 50)
    recalibrated = IsotonicQuantiles.fit(predictive, predictive.sample()).apply(predictive)
    for far in (-1e6, 1e6):
        value = torch.full((50,), far, dtype=torch.float64)
        assert recalibrated.log_prob(value).isfinite().all()
        torch.testing.assert_close(recalibrated.crps(value), value.abs(), rtol=1e-3, atol=0)


def test_a_summary_of_a_recalibrated_distribution(generator):
    prediction = nig(generator, 400)
    target = prediction.loc + 3 * torch.randn(400, generator=generator, dtype=torch.float64)
    summary = summarize(IsotonicQuantiles.fit(prediction, target).apply(prediction), target)
    assert summary.quantile_calibration_error < 0.01
    assert all(math.isfinite(value) for value in summary.as_dict().values())


def test_discrete_targets_have_ties_and_still_give_a_rising_map():
    predictive = Normal(torch.zeros(100, dtype=torch.float64), 2.0)
    target = torch.arange(100) % 5 - 2
    isotonic = IsotonicQuantiles.fit(predictive, target)
    assert bool((isotonic.predicted.diff() > 0).all())
    # The middle of each tie keeps the middle of its ranks.
    shares = isotonic.apply(Normal(torch.zeros(5, dtype=torch.float64), 2.0)).cdf(f64(-2, -1, 0, 1, 2))
    torch.testing.assert_close(shares, f64(10.5, 30.5, 50.5, 70.5, 90.5) / 101, rtol=0, atol=0.02)


def test_transforms_that_differ_by_rounding_alone_are_ties():
    predictive = Normal(torch.zeros(100, dtype=torch.float64), 1.0)
    target = torch.linspace(-1.5, 1.5, 100, dtype=torch.float64)
    target[20:80] = 0.3 + 1e-14 * torch.arange(60, dtype=torch.float64)
    assert len(pit(predictive, target).unique()) > 41
    isotonic = IsotonicQuantiles.fit(predictive, target)
    # No line is steeper than one tie of all targets at the finest step that is told apart.
    assert isotonic.predicted.diff().min() > 1e-9 / 100


def test_predictions_that_are_far_too_narrow_are_referred_to_the_variance_scale(generator):
    predictive = Normal(torch.zeros(200, dtype=torch.float64), 0.05)
    target = torch.randn(200, generator=generator, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"in \d+ of 200 cases.*VarianceScale"):
        IsotonicQuantiles.fit(predictive, target)
    mended = VarianceScale.fit(predictive, target).apply(predictive)
    assert IsotonicQuantiles.fit(mended, target).apply(mended).log_prob(target).isfinite().all()
    # One outlier is no reason to refuse.
    target[0] = 1e3
    assert IsotonicQuantiles.fit(mended, target).apply(mended).log_prob(target).isfinite().all()


def test_single_precision_predictions_are_fitted_in_double(generator):
    n = 400
    double = nig(generator, n)
    target = double.predictive().sample()
    single = double.map(torch.Tensor.float)
    # The transform of the parameters as rounded, not a rounded transform.
    again = single.map(torch.Tensor.double)
    torch.testing.assert_close(
        IsotonicQuantiles.fit(single, target).predicted,
        IsotonicQuantiles.fit(again, target).predicted,
        rtol=0,
        atol=1e-6,
    )
    assert IsotonicQuantiles.fit(single, target).apply(single).cdf(target).dtype == torch.float64


@each_recalibration
def test_a_state_comes_back_without_pickle(recalibration, tmp_path, generator):
    predictive = normal(generator, 60)
    target = predictive.sample()
    fitted = recalibration.fit(predictive, target)
    torch.save(fitted.state_dict(), tmp_path / "state.pt")
    restored = recalibration.from_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert type(restored) is recalibration
    before, after = fitted.apply(predictive), restored.apply(predictive)
    assert torch.equal(before.log_prob(target), after.log_prob(target))


@each_recalibration
def test_other_distributions_and_bad_targets_are_refused(recalibration):
    target = torch.zeros(12)
    for wrong in (Laplace(target, 1.0), torch.distributions.StudentT(target + 3), target):
        with pytest.raises(
            TypeError, match=r"predictive must be a NormalInverseGamma, an evidential_nig\.StudentT or a"
        ):
            recalibration.fit(wrong, target)
    with pytest.raises(ValueError, match=r"target must have exactly the batch shape .* \(12,\), but has \(12, 1\)"):
        recalibration.fit(Normal(target, 1.0), target.unsqueeze(-1))
    with pytest.raises(ValueError, match="target must be finite, but 12 of 12"):
        recalibration.fit(Normal(target, 1.0), target * math.nan)


def test_other_distributions_are_not_recalibrated():
    for recalibration in (VarianceScale(2.0), IsotonicQuantiles(f64(0, 1), f64(0, 1))):
        with pytest.raises(TypeError, match=r"but is torch\.distributions\.laplace\.Laplace"):
            recalibration.apply(Laplace(torch.zeros(3), 1.0))


def test_too_few_targets_and_segments_out_of_range_are_refused(generator):
    few = normal(generator, 9)
    with pytest.raises(ValueError, match="target must hold at least 10 values to fit quantiles, but holds 9"):
        IsotonicQuantiles.fit(few, few.sample())
    enough = normal(generator, 10)
    for segments in (0, 12):
        with pytest.raises(ValueError, match=f"segments must be at least 1 and at most 11, got {segments}"):
            IsotonicQuantiles.fit(enough, enough.sample(), segments=segments)
    with pytest.raises(TypeError, match="segments must be a whole number, got float"):
        IsotonicQuantiles.fit(enough, enough.sample(), segments=3.5)
    assert IsotonicQuantiles.fit(enough, enough.sample(), segments=1).predicted.tolist() == [0, 1]


def test_a_factor_is_a_number_whatever_it_is_given_as():
    scale = VarianceScale(torch.tensor(2.0))
    assert type(scale.factor) is float
    assert scale == VarianceScale(2)
    assert type(scale.state_dict()["factor"]) is float


@pytest.mark.parametrize(
    ("predicted", "observed", "message"),
    [
        (f64(0, 0.5, 1), f64(0, 1), r"vectors of one length .* \(3,\) and \(2,\)"),
        (f64(1), f64(1), "at least 2"),
        (f64(0, 0.5, 0.5, 1), f64(0, 0.2, 0.6, 1), "predicted must rise strictly from 0 to 1"),
        (f64(0, 0.5, 1), f64(0.1, 0.5, 1), "observed must rise strictly from 0 to 1"),
        (f64(0, 0.5, 1), f64(0, math.nan, 1), "observed must rise strictly from 0 to 1"),
    ],
)
def test_a_map_that_is_none_is_refused(predicted, observed, message):
    with pytest.raises(ValueError, match=message):
        IsotonicQuantiles(predicted, observed)


@pytest.mark.gpu
def test_recalibration_on_a_gpu_is_that_on_the_cpu(generator):
    prediction = nig(generator, 300)
    target = prediction.predictive().sample()
    there = prediction.map(torch.Tensor.cuda)
    assert VarianceScale.fit(there, target.cuda()).factor == pytest.approx(VarianceScale.fit(prediction, target).factor)
    isotonic = IsotonicQuantiles.fit(prediction, target)
    torch.testing.assert_close(IsotonicQuantiles.fit(there, target.cuda()).predicted.cpu(), isotonic.predicted)
    # Fitted on one device, applied on the other.
    torch.testing.assert_close(isotonic.apply(there).crps(target.cuda()).cpu(), isotonic.apply(prediction).crps(target))
