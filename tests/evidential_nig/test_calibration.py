"""The figures against closed forms, scipy, plain loops over the definitions, and data that is calibrated by making."""

import math
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from evidential_nig import NormalInverseGamma
from evidential_nig.calibration import (
    ause,
    calibration_curve,
    crps,
    error_uncertainty_correlation,
    expected_normalized_calibration_error,
    interval_coverage,
    interval_width,
    miscalibration_area,
    nll,
    pit,
    quantile_calibration_error,
    sharpness,
    sparsification_curve,
    summarize,
)
from evidential_nig.calibration.scores import _integrated_crps
from evidential_nig.student_t import StudentT

N = 4000


def f64(number):
    return torch.tensor(number, dtype=torch.float64)


def normal(generator, shape=(N,)):
    loc = torch.randn(shape, generator=generator, dtype=torch.float64)
    return Normal(loc, 0.2 + torch.rand(shape, generator=generator, dtype=torch.float64))


def student(generator, shape=(N,)):
    df, loc, scale = (torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    return StudentT(2.1 + 8 * df, loc, 0.2 + scale)


def mixture(generator, shape=(N,), components=3):
    weight = torch.rand((*shape, components), generator=generator, dtype=torch.float64)
    return MixtureSameFamily(Categorical(weight), normal(generator, (*shape, components)))


FAMILIES = {"normal": normal, "student": student, "mixture": mixture}
each_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
PAIR_FIGURES = {
    "pit": pit,
    "interval_coverage": lambda predictive, target: interval_coverage(predictive, target, 0.5),
    "calibration_curve": calibration_curve,
    "quantile_calibration_error": quantile_calibration_error,
    "miscalibration_area": miscalibration_area,
    "nll": nll,
    "crps": crps,
    "summarize": summarize,
}
each_pair_figure = pytest.mark.parametrize("figure", PAIR_FIGURES.values(), ids=PAIR_FIGURES)
RANKINGS = {
    "sparsification_curve": sparsification_curve,
    "ause": ause,
    "error_uncertainty_correlation": error_uncertainty_correlation,
}
each_ranking = pytest.mark.parametrize("figure", RANKINGS.values(), ids=RANKINGS)


def draw(predictive):
    torch.manual_seed(5)
    return predictive.sample()


def within(share, expected, n, standard_errors=4.5):
    return abs(share - expected) <= standard_errors * math.sqrt(expected * (1 - expected) / n)


@each_family
def test_what_is_drawn_from_the_prediction_is_calibrated_to_within_the_binomial_error(family, generator):
    predictive = family(generator)
    target = draw(predictive)
    levels = [0.05, 0.5, 0.8, 0.95, 0.99]
    for level, share in zip(levels, interval_coverage(predictive, target, levels).tolist(), strict=True):
        assert within(share, level, N)
    expected, observed = calibration_curve(predictive, target)
    assert all(within(o, e, N) for e, o in zip(expected.tolist(), observed.tolist(), strict=True))
    assert stats.kstest(pit(predictive, target).numpy(), "uniform").pvalue > 1e-3
    assert 0 < quantile_calibration_error(predictive, target) < 3 * 0.31 / math.sqrt(N)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_coverage_of_intervals_of_the_wrong_width_is_that_of_the_true_distribution(factor, generator):
    predictive = normal(generator)
    target = draw(predictive)
    wrong = Normal(predictive.loc, factor * predictive.scale)
    for level in (0.5, 0.8, 0.95):
        truth = 2 * stats.norm.cdf(factor * stats.norm.ppf((1 + level) / 2)) - 1
        assert within(interval_coverage(wrong, target, level).item(), truth, N)


def test_pit_and_coverage_by_hand():
    predictive = Normal(torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 1.0, 2.0]))
    target = torch.tensor([0.5, -1.0, 2.0, 8.0])
    expected = stats.norm.cdf(target.numpy(), predictive.loc.numpy(), predictive.scale.numpy())
    np.testing.assert_allclose(pit(predictive, target).numpy(), expected, rtol=1e-7)
    # |z| is 0.5, 1, 0 and 2.5: inside the 50 % interval below 0.674, inside the 95 % interval below 1.96.
    assert interval_coverage(predictive, target, (0.5, 0.95)).tolist() == [0.5, 0.75]
    assert interval_coverage(predictive, target, 0.95).shape == ()
    assert interval_coverage(predictive, target, torch.tensor([[0.5], [0.95]])).shape == (2, 1)


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=30), st.lists(st.floats(0.001, 0.999), min_size=1, max_size=10))
def test_curve_coverage_and_error_are_what_their_definitions_count(values, levels):
    target = torch.tensor(values, dtype=torch.float64)
    predictive = Normal(torch.zeros_like(target), 1.0)
    probability = predictive.cdf(target).tolist()
    curve = calibration_curve(predictive, target, levels)
    counted = [sum(p <= level for p in probability) / len(values) for level in levels]
    assert curve.expected.tolist() == levels
    assert curve.observed.tolist() == pytest.approx(counted)
    inside = [sum(abs(2 * p - 1) <= level for p in probability) / len(values) for level in levels]
    assert interval_coverage(predictive, target, levels).tolist() == pytest.approx(inside)
    for order in (1, 2):
        by_hand = sum(abs(o - e) ** order for o, e in zip(counted, levels, strict=True)) / len(levels)
        computed = quantile_calibration_error(predictive, target, levels, order=order)
        assert computed.item() == pytest.approx(by_hand, abs=1e-15)


def test_the_default_levels_are_the_percentiles_and_the_error_reaches_one_half():
    predictive = Normal(torch.zeros(5), 1.0)
    curve = calibration_curve(predictive, torch.full((5,), -9.0))
    assert curve.expected.tolist() == [k / 100 for k in range(1, 100)]
    assert curve.observed.tolist() == [1.0] * 99
    assert quantile_calibration_error(predictive, torch.full((5,), -9.0)).item() == pytest.approx(0.5)


@each_family
def test_nll_is_the_mean_of_scipys_density(family, generator):
    predictive = family(generator, (50,))
    target = draw(predictive).numpy()
    if isinstance(predictive, MixtureSameFamily):
        component = predictive.component_distribution
        density = stats.norm.pdf(target[:, None], component.loc.numpy(), component.scale.numpy())
        reference = np.log((predictive.mixture_distribution.probs.numpy() * density).sum(-1))
    else:
        frozen = stats.t(predictive.df.numpy()) if isinstance(predictive, StudentT) else stats.norm
        loc, scale = predictive.loc.numpy(), predictive.scale.numpy()
        reference = frozen.logpdf((target - loc) / scale) - np.log(scale)
    assert nll(predictive, torch.from_numpy(target)).item() == pytest.approx(-reference.mean(), rel=1e-12)


def crps_by_integration(cdf, target):
    below = integrate.quad(lambda x: cdf(x) ** 2, -np.inf, target, epsabs=1e-12)[0]
    return below + integrate.quad(lambda x: (1 - cdf(x)) ** 2, target, np.inf, epsabs=1e-12)[0]


@each_family
def test_crps_is_the_integral_that_defines_it(family, generator):
    predictive = family(generator, (6,))
    # One far out on each side, where closed forms could cancel.
    target = predictive.mean + torch.tensor([0.0, 0.3, -0.7, 2.0, -25.0, 40.0], dtype=torch.float64)

    def cdf(row):
        return lambda x: predictive.cdf(torch.full((6,), x, dtype=torch.float64))[row].item()

    reference = [crps_by_integration(cdf(row), target[row].item()) for row in range(6)]
    assert crps(predictive, target).item() == pytest.approx(sum(reference) / 6, rel=1e-8)


def test_crps_of_a_sure_prediction_is_the_absolute_error():
    target = torch.tensor([1.0, -3.0, 0.5], dtype=torch.float64)
    assert crps(Normal(torch.zeros(3), 1e-9), target).item() == pytest.approx(1.5)


def test_crps_of_a_mixture_of_equals_is_that_of_one(generator):
    one = normal(generator, (20,))
    weight = torch.rand((20, 4), generator=generator, dtype=torch.float64)
    components = Normal(one.loc.unsqueeze(-1).expand(20, 4), one.scale.unsqueeze(-1).expand(20, 4))
    target = draw(one)
    equals = MixtureSameFamily(Categorical(weight), components)
    torch.testing.assert_close(crps(equals, target), crps(one, target), rtol=1e-13, atol=0)


def test_sharpness_is_the_root_of_the_mean_variance(generator):
    predictive = student(generator, (3, 7))
    df, scale = predictive.df.numpy(), predictive.scale.numpy()
    expected = np.sqrt(np.mean(scale**2 * df / (df - 2)))
    assert sharpness(predictive).item() == pytest.approx(expected, rel=1e-12)
    assert sharpness(StudentT(torch.tensor([2.0, 5.0]))).item() == math.inf


def brute_force_sparsification(uncertainty, error, metric):
    """Removes one after the other; among equal uncertainties every order is as good, so their mean loss is removed."""
    loss = error**2 if metric == "rmse" else np.abs(error)
    loss_of_equals = np.array([loss[uncertainty == value].mean() for value in uncertainty])
    curves = []
    for key, removed in ((uncertainty, loss_of_equals), (np.abs(error), loss)):
        order = np.argsort(-key, kind="stable")
        left = [removed[order[k:]].mean() for k in range(len(order))]
        curves.append(np.sqrt(left) if metric == "rmse" else np.array(left))
    return curves


pairs = st.lists(
    st.tuples(st.one_of(st.integers(0, 3).map(float), st.floats(0, 10)), st.floats(-10, 10)), min_size=1, max_size=25
)


@given(pairs, st.sampled_from(["rmse", "mae"]))
def test_sparsification_and_ause_against_removing_one_by_one(rows, metric):
    uncertainty, error = torch.tensor(rows, dtype=torch.float64).unbind(-1)
    curve = sparsification_curve(uncertainty, error, metric=metric)
    by_uncertainty, oracle = brute_force_sparsification(uncertainty.numpy(), error.numpy(), metric)
    n = len(rows)
    np.testing.assert_allclose(curve.fraction.numpy(), np.arange(n) / n, rtol=1e-15)
    np.testing.assert_allclose(curve.error.numpy(), by_uncertainty, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(curve.oracle.numpy(), oracle, rtol=1e-9, atol=1e-9)
    area = (by_uncertainty - oracle).mean()
    assert ause(uncertainty, error, metric=metric, normalized=False).item() == pytest.approx(area, abs=1e-8)
    if oracle[0] > 1e-6:
        assert ause(uncertainty, error, metric=metric).item() == pytest.approx(area / oracle[0], abs=1e-8)


@given(pairs, st.randoms(use_true_random=False))
def test_no_ranking_depends_on_the_order_of_the_data_or_on_the_scale_of_the_uncertainty(rows, random):
    uncertainty, error = torch.tensor(rows, dtype=torch.float64).unbind(-1)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = uncertainty[order], error[order]
    # Doubling is exact, so it keeps ties as they are.
    for figure in RANKINGS.values():
        result = figure(uncertainty, error)
        torch.testing.assert_close(figure(*shuffled), result, rtol=1e-9, atol=1e-9, equal_nan=True)
        torch.testing.assert_close(figure(2 * uncertainty, -error), result, rtol=1e-12, atol=1e-12, equal_nan=True)


@given(pairs)
def test_the_oracle_is_never_above_the_curve_and_a_perfect_ranking_reaches_it(rows):
    uncertainty, error = torch.tensor(rows, dtype=torch.float64).unbind(-1)
    curve = sparsification_curve(uncertainty, error)
    assert bool((curve.oracle <= curve.error + 1e-9).all())
    assert bool((curve.oracle.diff() <= 1e-12).all())
    perfect = error.abs()
    assert ause(perfect, error).item() == pytest.approx(0, abs=1e-12)
    if len(perfect.unique()) > 1:
        assert error_uncertainty_correlation(perfect, error).item() == pytest.approx(1)


def test_a_constant_uncertainty_gives_a_level_curve():
    error = torch.tensor([3.0, -1.0, 2.0, 0.5])
    curve = sparsification_curve(torch.ones(4), error)
    torch.testing.assert_close(curve.error, error.double().square().mean().sqrt().expand(4))
    assert error_uncertainty_correlation(torch.ones(4), error).isnan()


def test_errors_whose_squares_leave_the_range_of_the_format():
    for size in (1e-200, 1e200):
        error = size * torch.tensor([3.0, 4.0], dtype=torch.float64)
        curve = sparsification_curve(torch.tensor([1.0, 2.0]), error)
        torch.testing.assert_close(curve.error / size, torch.tensor([12.5**0.5, 3.0], dtype=torch.float64))


def test_errors_of_zero_have_no_area():
    assert ause(torch.tensor([1.0, 2.0]), torch.zeros(2)).item() == 0


def test_infinite_uncertainty_is_removed_first():
    curve = sparsification_curve(torch.tensor([1.0, math.inf, 2.0]), torch.tensor([1.0, 2.0, 3.0]), metric="mae")
    assert curve.error.tolist() == [2.0, 2.0, 1.0]


@given(pairs)
def test_correlation_against_scipy(rows):
    uncertainty, error = torch.tensor(rows, dtype=torch.float64).unbind(-1)
    if len(uncertainty.unique()) == 1 or len(error.abs().unique()) == 1:
        assert error_uncertainty_correlation(uncertainty, error).isnan()
    else:
        reference = stats.spearmanr(uncertainty.numpy(), error.abs().numpy()).statistic
        assert error_uncertainty_correlation(uncertainty, error).item() == pytest.approx(reference, abs=1e-12)


def test_the_summary_holds_the_figures_of_the_functions(generator):
    predictive = student(generator, (30, 4))
    target = draw(predictive)
    summary = summarize(predictive, target, levels=(0.5, 0.9))
    error = target - predictive.mean
    variance = predictive.variance
    assert summary.n == 120
    assert summary.rmse == pytest.approx(error.square().mean().sqrt().item())
    assert summary.mae == pytest.approx(error.abs().mean().item())
    assert summary.nll == nll(predictive, target).item()
    assert summary.crps == crps(predictive, target).item()
    assert summary.sharpness == sharpness(predictive).item()
    assert summary.quantile_calibration_error == quantile_calibration_error(predictive, target).item()
    assert summary.coverage == tuple(
        zip((0.5, 0.9), interval_coverage(predictive, target, (0.5, 0.9)).tolist(), strict=True)
    )
    assert summary.ause == ause(variance, error).item()
    assert summary.error_uncertainty_correlation == error_uncertainty_correlation(variance, error).item()
    flat = summary.as_dict()
    assert flat["coverage_0.9"] == summary.coverage[1][1]
    assert all(isinstance(value, int | float) for value in flat.values())
    table = str(summary)
    assert f"{100 * summary.coverage[1][1]:.1f} %" in table
    assert len({len(line) for line in table.splitlines()}) == 1


def test_the_summary_ranks_by_the_uncertainty_that_it_is_given(generator):
    nig = NormalInverseGamma(torch.zeros(50), torch.rand(50, generator=generator) + 0.1, 2.0, 1.0)
    target = torch.randn(50, generator=generator)
    summary = summarize(nig.predictive(), target, uncertainty=nig.epistemic)
    assert summary.ause == ause(nig.epistemic, target).item()
    with pytest.raises(ValueError, match=r"uncertainty must have exactly the shape of error, \(50,\)"):
        summarize(nig.predictive(), target, uncertainty=nig.epistemic[:1])


@each_pair_figure
@pytest.mark.parametrize(
    ("batch_shape", "target_shape"), [((4,), (4, 1)), ((4, 1), (4,)), ((4,), (1,)), ((4,), ()), ((4, 2), (2, 4))]
)
def test_a_target_of_another_shape_is_refused(figure, batch_shape, target_shape):
    with pytest.raises(ValueError, match="target must have exactly the batch shape") as error:
        figure(Normal(torch.zeros(batch_shape), 1.0), torch.zeros(target_shape))
    assert str(batch_shape) in str(error.value)
    assert str(target_shape) in str(error.value)


@each_pair_figure
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_targets_that_are_not_finite_are_counted_and_the_first_is_named(figure, value):
    target = torch.zeros(3, 2)
    target[1, 1] = target[2, 0] = value
    with pytest.raises(ValueError, match=r"target must be finite, but 2 of 6 values .* the first at index \(1, 1\)"):
        figure(Normal(torch.zeros(3, 2), 1.0), target)


@each_pair_figure
def test_no_target_is_an_error(figure):
    with pytest.raises(ValueError, match=r"target must hold at least one value, but has shape \(0, 2\)"):
        figure(Normal(torch.zeros(0, 2), 1.0), torch.zeros(0, 2))


@each_pair_figure
def test_what_is_no_predictive_distribution_is_refused_with_a_way_out(figure):
    target = torch.zeros(3)
    with pytest.raises(TypeError, match=r"call its \.predictive\(\)"):
        figure(NormalInverseGamma(target, 1.0, 2.0, 1.0), target)
    with pytest.raises(TypeError, match=r"must be a torch\.distributions\.Distribution"):
        figure(target, target)
    with pytest.raises(TypeError, match=r"event shape \(3,\).*base_dist"):
        figure(Independent(Normal(target, 1.0), 1), target)


def test_torchs_student_t_is_refused_with_a_way_out():
    predictive = torch.distributions.StudentT(torch.full((3,), 5.0))
    for figure in (pit, crps):
        with pytest.raises(TypeError, match=r"evidential_nig\.StudentT"):
            figure(predictive, torch.zeros(3))


@each_family
def test_the_quadrature_is_the_closed_form_where_there_is_one(family, generator):
    predictive = family(generator, (50,))
    target = predictive.mean + 3 * torch.randn(50, generator=generator, dtype=torch.float64)
    target[:3] = predictive.mean[:3] + torch.tensor([-1e4, 0, 1e6])
    known = crps(predictive, target, reduction="none")
    torch.testing.assert_close(_integrated_crps(predictive, target), known, rtol=1e-7, atol=0)


def test_the_quadrature_holds_with_heavy_tails():
    predictive = StudentT(torch.tensor([1.2, 1.5, 2.0, 2.01], dtype=torch.float64), 1.0, 0.3)
    target = torch.tensor([0.0, 1.0, -7.0, 1.1], dtype=torch.float64)
    torch.testing.assert_close(_integrated_crps(predictive, target), predictive.crps(target), rtol=1e-6, atol=0)


def test_crps_of_an_ensemble_of_student_t_is_the_integral_that_defines_it(generator):
    weight = torch.rand((5, 3), generator=generator, dtype=torch.float64)
    # One component is much narrower than the others and far away from them.
    scale = torch.tensor([1.0, 0.4, 0.01], dtype=torch.float64)
    loc = torch.tensor([0.0, 1.0, -6.0], dtype=torch.float64) + weight
    predictive = MixtureSameFamily(Categorical(weight), StudentT(torch.tensor([2.5, 4.0, 30.0]), loc, scale))
    target = torch.tensor([0.3, -6.0, 25.0, -40.0, 1.0], dtype=torch.float64)

    def cdf(row):
        probability = (weight / weight.sum(-1, keepdim=True))[row].numpy()
        # The distribution's function itself: scipy's checks of its arguments take a hundred times as long.
        parts = [
            lambda x, df=df, k=k: special.stdtr(df, (x - loc[row, k].item()) / scale[k].item())
            for k, df in enumerate((2.5, 4.0, 30.0))
        ]
        return lambda x: sum(p * part(x) for p, part in zip(probability, parts, strict=True))

    def square(x, f, y):
        return (f(x) - (x >= y)) ** 2

    for row, score in enumerate(crps(predictive, target, reduction="none").tolist()):
        y, f = target[row].item(), cdf(row)
        centres = loc[row].tolist()
        knots = sorted({y, *centres, *(c + d for c in centres for d in (-9, -0.3, -0.05, 0.05, 0.3, 9)), -1e3, 1e3})
        knots = [-1e6, -1e5, -1e4, *knots, 1e4, 1e5, 1e6]
        inner = sum(integrate.quad(square, a, b, (f, y), epsabs=1e-12, limit=200)[0] for a, b in pairwise(knots))
        assert score == pytest.approx(inner, rel=1e-6)
    assert math.isfinite(summarize(predictive, target).crps)


@pytest.mark.parametrize(
    ("predictive", "scipys"),
    [
        (torch.distributions.Laplace(f64(0.5), f64(0.7)), stats.laplace(0.5, 0.7)),
        (torch.distributions.Gumbel(f64(0.5), f64(0.7), validate_args=False), stats.gumbel_r(0.5, 0.7)),
        (torch.distributions.Uniform(f64(-1.0), f64(3.0)), stats.uniform(-1, 4)),
        (torch.distributions.Exponential(f64(2.0)), stats.expon(scale=0.5)),
        (torch.distributions.LogNormal(f64(0.2), f64(0.6)), stats.lognorm(0.6, scale=math.exp(0.2))),
    ],
    ids=["Laplace", "Gumbel", "Uniform", "Exponential", "LogNormal"],
)
@pytest.mark.parametrize("target", [0.1, 1.3, 2.9])
def test_crps_of_any_distribution_with_a_cdf_is_the_integral_that_defines_it(predictive, scipys, target):
    low, high = scipys.ppf(1e-15), scipys.isf(1e-15)
    below, _ = integrate.quad(lambda x: scipys.cdf(x) ** 2, low, target, epsabs=1e-12, limit=300, points=[0.5])
    above, _ = integrate.quad(lambda x: scipys.sf(x) ** 2, target, high, epsabs=1e-12, limit=300, points=[0.5])
    assert crps(predictive, f64(target)).item() == pytest.approx(below + above, rel=1e-6)


def test_crps_of_a_mixture_whose_components_have_supports_of_their_own():
    """Half on [0, 2] and half on [1, 3]: F is x/4, then (x − ½)/2, then (x + 1)/4."""
    uniform = torch.distributions.Uniform(f64([[0.0, 1.0]]), f64([[2.0, 3.0]]), validate_args=False)
    predictive = MixtureSameFamily(Categorical(f64([[0.5, 0.5]])), uniform, validate_args=False)
    # ∫ F² up to 1.5 and the same above, by symmetry: 1/48 + [(x − ½)³/12] from 1 to 1.5.
    expected = 2 * (1 / 48 + (1 - 0.125) / 12)
    assert crps(predictive, f64([1.5])).item() == pytest.approx(expected, rel=1e-4)


def test_where_there_is_no_mean_that_is_what_is_said():
    target = torch.zeros(2)
    student = StudentT(torch.tensor([0.9, 3.0]), validate_args=False)
    for predictive in (student, torch.distributions.Cauchy(torch.zeros(2), 1.0)):
        with pytest.raises(ValueError, match="the mean of predictive must exist and be finite"):
            summarize(predictive, target)
    with pytest.raises(ValueError, match=r"crps of predictive .* 1 of 2 values are not, the first at index \(0,\)"):
        crps(student, target)


@each_family
def test_reductions(family, generator):
    predictive = family(generator, (6, 2))
    target = draw(predictive)
    for figure in (nll, crps):
        each = figure(predictive, target, reduction="none")
        assert each.shape == (6, 2)
        torch.testing.assert_close(figure(predictive, target, reduction="sum"), each.sum())
        torch.testing.assert_close(figure(predictive, target), each.mean())
        with pytest.raises(ValueError, match='reduction must be "none", "mean" or "sum", got \'max\''):
            figure(predictive, target, reduction="max")


def test_the_levels_of_a_summary_may_be_one_number_and_must_differ(generator):
    predictive = normal(generator, (20,))
    target = draw(predictive)
    assert summarize(predictive, target, levels=0.9).coverage == summarize(predictive, target, levels=[0.9]).coverage
    for levels in ([0.9, 0.9], [0.95, 0.9500001]):
        with pytest.raises(ValueError, match="levels must differ"):
            summarize(predictive, target, levels=levels)


def test_a_prediction_that_is_nan_is_named():
    predictive = Normal(torch.tensor([0.0, math.nan]), 1.0, validate_args=False)
    with pytest.raises(ValueError, match=r"cdf of predictive .* 1 of 2 values are not, the first at index \(1,\)"):
        interval_coverage(predictive, torch.zeros(2), 0.5)
    with pytest.raises(ValueError, match=r"log_prob of predictive .* 1 of 2 values are not, the first at index \(1,\)"):
        nll(predictive, torch.zeros(2))
    with pytest.raises(ValueError, match=r"crps of predictive .* 1 of 2 values are not, the first at index \(1,\)"):
        crps(predictive, torch.zeros(2))


def test_sharpness_refuses_the_same():
    with pytest.raises(TypeError, match=r"call its \.predictive\(\)"):
        sharpness(NormalInverseGamma(torch.zeros(3), 1.0, 2.0, 1.0))
    with pytest.raises(ValueError, match=r"predictive must not be empty, but has batch shape \(0, 2\)"):
        sharpness(Normal(torch.zeros(0, 2), 1.0))


@pytest.mark.parametrize("levels", [0.0, 1.0, -0.1, [0.5, 1.5], [], math.nan])
def test_levels_outside_0_and_1_are_refused(levels):
    predictive, target = Normal(torch.zeros(3), 1.0), torch.zeros(3)
    for figure in (interval_coverage, calibration_curve, quantile_calibration_error):
        with pytest.raises(ValueError, match="levels must be one or more probabilities above 0 and below 1"):
            figure(predictive, target, levels)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="order must be 1 or 2, got 3"):
        quantile_calibration_error(Normal(torch.zeros(3), 1.0), torch.zeros(3), order=3)
    for figure in (sparsification_curve, ause):
        with pytest.raises(ValueError, match='metric must be "rmse" or "mae", got \'mse\''):
            figure(torch.ones(3), torch.ones(3), metric="mse")


@each_ranking
def test_rankings_refuse_bad_input(figure):
    with pytest.raises(ValueError, match=r"uncertainty must have exactly the shape of error, \(3, 1\), but has \(3,\)"):
        figure(torch.ones(3), torch.ones(3, 1))
    with pytest.raises(ValueError, match="error must hold at least one value"):
        figure(torch.ones(0), torch.ones(0))
    with pytest.raises(ValueError, match=r"error must be finite, but 1 of 2 values are not, .* \(1,\)"):
        figure(torch.ones(2), torch.tensor([1.0, math.inf]))
    with pytest.raises(ValueError, match=r"uncertainty must be finite or inf, but 1 of 2 values are not, .* \(0,\)"):
        figure(torch.tensor([math.nan, math.inf]), torch.ones(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_predictions_of_any_dtype_and_integer_targets(dtype):
    nig = NormalInverseGamma(*(torch.tensor(v, dtype=dtype) for v in ([0.0, 2.0], [1.0, 2.0], [2.0, 3.0], [1.0, 4.0])))
    target = torch.tensor([1, 2])
    summary = summarize(nig.predictive(), target)
    exact = summarize(nig.map(torch.Tensor.double).predictive(), target)
    assert all(
        v == pytest.approx(exact.as_dict()[k], abs=1e-6 if dtype == torch.float32 else 2e-2)
        for k, v in summary.as_dict().items()
    )
    for figure in (pit, nll, crps):
        assert figure(nig.predictive(), target).dtype == torch.float64


def test_no_gradient_is_recorded():
    loc = torch.zeros(4, requires_grad=True)
    target = torch.tensor([0.1, -0.2, 0.3, 1.0], requires_grad=True)
    predictive = Normal(loc, 1.0)
    tensors = [pit(predictive, target), nll(predictive, target), crps(predictive, target), sharpness(predictive)]
    tensors += [*calibration_curve(predictive, target), *sparsification_curve(target.square(), target)]
    assert not any(tensor.requires_grad for tensor in tensors)


@pytest.mark.gpu
def test_the_figures_of_a_gpu_are_those_of_the_cpu(generator):
    nig = NormalInverseGamma(torch.zeros(500), torch.rand(500, generator=generator) + 0.1, 2.0, 1.0)
    target = torch.randn(500, generator=generator)
    there = summarize(nig.map(torch.Tensor.cuda).predictive(), target.cuda()).as_dict()
    assert there == pytest.approx(summarize(nig.predictive(), target).as_dict(), abs=1e-5)


@pytest.mark.parametrize("family", [normal, student])
def test_widths_are_the_distances_of_scipys_quantiles(family, generator):
    predictive = family(generator)
    df = predictive.df.numpy() if family is student else np.inf
    frozen = stats.t(df, predictive.loc.numpy(), predictive.scale.numpy())
    levels = [0.5, 0.95]
    quantiles = [[frozen.ppf((1 - level) / 2), frozen.ppf((1 + level) / 2)] for level in levels]
    expected = [np.mean(high - low) for low, high in quantiles]
    np.testing.assert_allclose(interval_width(predictive, levels).numpy(), expected, rtol=1e-6)
    cut = [np.mean(np.clip(high, 0.5, 2) - np.clip(low, 0.5, 2)) for low, high in quantiles]
    np.testing.assert_allclose(interval_width(predictive, levels, bounds=(0.5, 2)).numpy(), cut, rtol=1e-6)
    assert interval_width(predictive, 0.5).shape == ()


def test_widths_need_quantiles():
    with pytest.raises(TypeError, match="predictive must have an icdf, but torch's StudentT has none; evidential_nig"):
        interval_width(torch.distributions.StudentT(torch.full((3,), 3.0)), 0.5)
    with pytest.raises(ValueError, match="predictive must not be empty"):
        interval_width(Normal(torch.zeros(0), 1.0), 0.5)


def levi_ence(variance, error, bins):
    """Eq. 8 of Levi et al. as it reads, with NumPy; for variances without ties."""
    order = np.argsort(variance)
    terms = []
    for part in np.array_split(order, bins):
        predicted, found = np.sqrt(np.mean(variance[part])), np.sqrt(np.mean(error[part] ** 2))
        terms.append(abs(predicted - found) / predicted)
    return np.mean(terms)


@pytest.mark.parametrize(("n", "bins"), [(200, 10), (203, 10), (17, 4), (5, 5), (9, 1)])
def test_ence_is_that_of_its_equation(n, bins, generator):
    variance = 0.1 + torch.rand(n, generator=generator, dtype=torch.float64)
    error = 1.3 * variance * torch.randn(n, generator=generator, dtype=torch.float64)
    found = expected_normalized_calibration_error(variance, error, bins=bins)
    assert found.item() == pytest.approx(levi_ence(variance.numpy(), error.numpy(), bins), rel=1e-12)
    shuffled = torch.randperm(n, generator=generator)
    again = expected_normalized_calibration_error(variance[shuffled], -error[shuffled], bins=bins)
    assert again.item() == pytest.approx(found.item(), rel=1e-12)


def test_ence_does_not_depend_on_the_order_of_equals_or_on_the_units(generator):
    variance = torch.tensor([1.0, 1.0, 1.0, 4.0], dtype=torch.float64)
    error = torch.tensor([0.5, 2.0, 1.0, 3.0], dtype=torch.float64)
    values = {
        round(expected_normalized_calibration_error(variance[list(order)], error[list(order)], bins=2).item(), 12)
        for order in permutations(range(4))
    }
    assert len(values) == 1
    (value,) = values
    for unit in (1e-200, 1e-3, 1e140):
        scaled = expected_normalized_calibration_error(variance * unit, error * math.sqrt(unit), bins=2)
        assert scaled.item() == pytest.approx(value, rel=1e-9)


def test_ence_of_perfect_and_of_sure_predictions(generator):
    variance = torch.tensor([1.0, 1.0, 4.0, 4.0])
    assert expected_normalized_calibration_error(variance, variance.sqrt(), bins=2) == 0
    assert expected_normalized_calibration_error(variance, torch.zeros(4), bins=2) == 1
    assert expected_normalized_calibration_error(variance, 3 * variance.sqrt(), bins=2) == 2
    n, bins = 100_000, 10
    drawn = 0.5 + torch.rand(n, generator=generator, dtype=torch.float64)
    error = drawn.sqrt() * torch.randn(n, generator=generator, dtype=torch.float64)
    assert expected_normalized_calibration_error(drawn, error, bins=bins) < 3 * 0.56 * math.sqrt(bins / n)


def test_ence_refuses_what_has_no_standard_deviation():
    for bad in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="1 of 3 values are not, the first at index"):
            expected_normalized_calibration_error(torch.tensor([1.0, bad, 1.0]), torch.ones(3), bins=1)
    with pytest.raises(ValueError, match="uncertainty must have exactly the shape of error"):
        expected_normalized_calibration_error(torch.ones(3, 1), torch.ones(3), bins=1)


def test_miscalibration_area_is_that_of_uncertainty_toolbox():
    """Its figures, of release 0.1.1, for predictions and targets that can be written down here."""
    hand = torch.tensor([-3.0, -0.5, 0.1, 1.5], dtype=torch.float64)
    zeros = torch.zeros(4, dtype=torch.float64)
    assert miscalibration_area(Normal(zeros, 1.0), hand).item() == pytest.approx(0.12217570441254652, abs=1e-9)
    x = torch.arange(40, dtype=torch.float64)
    mean, std = x.sin(), 0.5 + 0.25 * (3 * x).cos()
    target = mean + (7 * x).cos() * (0.6 + 0.01 * x)
    assert miscalibration_area(Normal(mean, std), target).item() == pytest.approx(0.13863636363636372, abs=1e-9)


@given(st.lists(st.floats(-4, 4), min_size=1, max_size=20), st.lists(st.floats(0.01, 0.99), min_size=1, max_size=8))
def test_miscalibration_area_is_the_integral_of_the_distance(values, levels):
    target = torch.tensor(values, dtype=torch.float64)
    predictive = Normal(torch.zeros(len(values), dtype=torch.float64), 1.0)
    expected = np.concatenate(([0], np.unique(levels), [1]))
    within = np.abs(2 * stats.norm.cdf(np.array(values)) - 1)
    observed = np.array([np.mean(within <= level) for level in expected])
    observed[-1] = 1
    fine = np.unique(np.concatenate((expected, np.linspace(0, 1, 20_001))))
    distance = np.abs(np.interp(fine, expected, observed) - fine)
    area = np.sum((distance[1:] + distance[:-1]) / 2 * np.diff(fine))
    assert miscalibration_area(predictive, target, levels).item() == pytest.approx(area, abs=1e-7)


def test_miscalibration_area_of_the_calibrated_the_sure_and_the_unsure(generator):
    target = torch.randn(100_000, generator=generator, dtype=torch.float64)
    zeros = torch.zeros_like(target)
    assert miscalibration_area(Normal(zeros, 1.0), target) < 3 * 0.31 / math.sqrt(len(target))
    assert miscalibration_area(Normal(zeros, 1e-6), target).item() == pytest.approx(0.5, abs=0.02)
    assert miscalibration_area(Normal(zeros, 1e6), target).item() == pytest.approx(0.5, abs=0.02)
