"""Every scalar argument of every public callable is checked for its range, for finiteness and for what it is."""

import ast
import inspect
import math
from functools import partial

import numpy as np
import pytest
import torch
from torch.distributions import Normal

import evidential_nig
from evidential_nig import (
    NIGHead,
    NormalInverseGamma,
    StudentT,
    calibration,
    cat,
    conformal,
    evidential_loss,
    fuse,
    fuse_local_global,
    kl_regularizer,
    loss_modules,
    multivariate,
    plots,
    recalibration,
    regressor,
    scale_aware_regularizer,
    stack,
    streaming,
)
from evidential_nig.multivariate import NIWHead, NormalInverseWishart

NIG = NormalInverseGamma(torch.zeros(3), 1.0, 2.0, 1.0, validate_args=True)
# As a network makes it: tensors are not looked at.
UNCHECKED = NormalInverseGamma(torch.zeros(3), 1.0, 2.0, 1.0, validate_args=False)
STUDENT = StudentT(torch.full((3,), 4.0), validate_args=True)
TARGET = torch.tensor([0.5, -1.0, 2.0])
NORMAL = Normal(torch.zeros(3), 1.0)
RAW = torch.zeros(3)
VECTORS = {"loc": torch.zeros(3, 2), "kappa": 2.0, "df": 7.0, "scale_tril": torch.eye(2)}
LONG = Normal(torch.zeros(30), 1.0)
LONG_TARGET = torch.linspace(-2, 2, 30)
TABLE = np.random.default_rng(0).normal(size=(30, 2))


def nig(**changed):
    return NormalInverseGamma(**({"loc": 0.0, "nu": 1.0, "alpha": 2.0, "beta": 1.0, "validate_args": True} | changed))


def nig_minus_one(**changed):
    parameters = {"loc": 0.0, "nu": 1.0, "alpha_minus_one": 1.0, "beta": 1.0, "validate_args": True}
    return NormalInverseGamma.from_alpha_minus_one(**(parameters | changed))


def student(**changed):
    return StudentT(**({"df": 3.0, "validate_args": True} | changed))


def student_excess(**changed):
    return StudentT.from_excess_df(**({"excess_df": 1.0, "validate_args": True} | changed))


def niw(**changed):
    return NormalInverseWishart(**(VECTORS | {"validate_args": True} | changed))


def niw_excess(**changed):
    parameters = {name: value for name, value in VECTORS.items() if name != "df"}
    return NormalInverseWishart.from_excess_df(**(parameters | {"excess_df": 4.0, "validate_args": True} | changed))


def niw_unconstrained(**changed):
    raw = {"raw_kappa": None, "raw_df": torch.zeros(3), "raw_scale_tril": torch.zeros(3, 3), "df_per_kappa": 1.0}
    return NormalInverseWishart.from_unconstrained(torch.zeros(3, 2), **(raw | changed))


def fitted_regressor(**changed):
    return regressor.EvidentialRegressor(**({"epochs": 1} | changed)).fit(TABLE, TABLE[:, 0])


FITTED = fitted_regressor(calibration_fraction=0.5)
CONFORMAL = conformal.SplitConformal.fit(LONG, LONG_TARGET)
MAP = recalibration.IsotonicQuantiles.fit(LONG, LONG_TARGET)
BENT = MAP.apply(LONG)

FINITE = (math.nan, math.inf, -math.inf)
POSITIVE = (*FINITE, 0.0, -1.0)
NOT_NEGATIVE = (*FINITE, -1.0)
PROBABILITY = (*FINITE, -0.1, 1.1)
LEVEL = (*PROBABILITY, 0.0, 1.0)
WHOLE = (0, -1, 1.5, math.nan)
DIMENSION = (5, -5)


def keyword(function, name, *args, **kwargs):
    return lambda value: function(*args, **(kwargs | {name: value}))


# (callable and parameter) → how it is called with a value, a value that will do, and values that will not.
CASES = {
    **{f"NormalInverseGamma.{name}": (keyword(nig, name), 1.5, FINITE) for name in ("loc",)},
    **{f"NormalInverseGamma.{name}": (keyword(nig, name), 1.5, POSITIVE) for name in ("nu", "beta")},
    "NormalInverseGamma.alpha": (keyword(nig, "alpha"), 1.5, (*POSITIVE, 1.0, 0.5)),
    "NormalInverseGamma.from_alpha_minus_one.loc": (keyword(nig_minus_one, "loc"), 1.5, FINITE),
    **{
        f"NormalInverseGamma.from_alpha_minus_one.{name}": (keyword(nig_minus_one, name), 1.5, POSITIVE)
        for name in ("nu", "alpha_minus_one", "beta")
    },
    "NormalInverseGamma.from_unconstrained.floor": (
        keyword(NormalInverseGamma.from_unconstrained, "floor", RAW, RAW, RAW, RAW),
        0.0,
        NOT_NEGATIVE,
    ),
    "NormalInverseGamma.credible_interval.level": (UNCHECKED.credible_interval, 0.5, PROBABILITY),
    "NormalInverseGamma.posterior.dim": (partial(NIG.posterior, torch.zeros(3, 2)), 1, DIMENSION),
    "NormalInverseGamma.posterior_from_statistics.count": (
        lambda value: UNCHECKED.posterior_from_statistics(value, 0.0, 1.0),
        2,
        NOT_NEGATIVE,
    ),
    "NormalInverseGamma.posterior_from_statistics.mean": (
        lambda value: UNCHECKED.posterior_from_statistics(1, value, 1.0),
        2.0,
        FINITE,
    ),
    "NormalInverseGamma.posterior_from_statistics.squared_deviations": (
        lambda value: UNCHECKED.posterior_from_statistics(1, 0.0, value),
        2.0,
        NOT_NEGATIVE,
    ),
    "StudentT.df": (keyword(student, "df"), 0.5, POSITIVE),
    "StudentT.loc": (keyword(student, "loc"), 0.5, FINITE),
    "StudentT.scale": (keyword(student, "scale"), 0.5, POSITIVE),
    "StudentT.from_excess_df.excess_df": (keyword(student_excess, "excess_df"), -1.0, (*FINITE, -2.0, -3.0)),
    "StudentT.from_excess_df.loc": (keyword(student_excess, "loc"), 0.5, FINITE),
    "StudentT.from_excess_df.scale": (keyword(student_excess, "scale"), 0.5, POSITIVE),
    **{
        f"StudentT.{name}.value": (getattr(STUDENT, name), 0.5, (math.nan,))
        for name in ("log_prob", "cdf", "sf", "crps")
    },
    "StudentT.icdf.value": (UNCHECKED.predictive().icdf, 0.5, PROBABILITY),
    "StudentT.interval.level": (UNCHECKED.predictive().interval, 0.5, PROBABILITY),
    "evidential_loss.tau": (partial(evidential_loss, UNCHECKED, TARGET), 0.0, NOT_NEGATIVE),
    "evidential_loss.target_std": (
        keyword(partial(evidential_loss, UNCHECKED, TARGET), "target_std"),
        0.0,
        NOT_NEGATIVE,
    ),
    "nig_nll.target_std": (
        keyword(partial(evidential_nig.nig_nll, UNCHECKED, TARGET), "target_std"),
        0.0,
        NOT_NEGATIVE,
    ),
    "kl_regularizer.omega": (partial(kl_regularizer, UNCHECKED, TARGET), 0.5, POSITIVE),
    "scale_aware_regularizer.power": (partial(scale_aware_regularizer, UNCHECKED, TARGET), 1.0, (*POSITIVE, 0.9)),
    "EvidentialLoss.tau": (evidential_nig.EvidentialLoss, 0.0, NOT_NEGATIVE),
    "KLRegularizer.omega": (evidential_nig.KLRegularizer, 0.5, POSITIVE),
    "ScaleAwareRegularizer.power": (evidential_nig.ScaleAwareRegularizer, 1.0, (*POSITIVE, 0.9)),
    "NIGHead.in_features": (lambda value: NIGHead(value, 2), 2, WHOLE),
    "NIGHead.out_features": (lambda value: NIGHead(2, value), 2, WHOLE),
    "NIGHead.nu": (keyword(NIGHead, "nu", 2, 2), 0.5, POSITIVE),
    "NIGHead.alpha": (keyword(NIGHead, "alpha", 2, 2), 1.5, (*POSITIVE, 1.0)),
    "NIGHead.beta": (keyword(NIGHead, "beta", 2, 2), 0.5, POSITIVE),
    "NIGHead.floor": (keyword(NIGHead, "floor", 2, 2), 0.0, (*NOT_NEGATIVE, 2.0)),
    "fuse.weight": (keyword(fuse, "weight", NIG, 0), 0.5, POSITIVE),
    "fuse.dim": (partial(fuse, NIG), 0, DIMENSION),
    "fuse_local_global.dim": (partial(fuse_local_global, NIG, NIG[0]), 0, DIMENSION),
    "cat.dim": (partial(cat, [NIG, NIG]), 0, DIMENSION),
    "stack.dim": (partial(stack, [NIG, NIG]), 1, DIMENSION),
    "NormalInverseWishart.kappa": (keyword(niw, "kappa"), 0.5, POSITIVE),
    "NormalInverseWishart.df": (keyword(niw, "df"), 3.5, (*POSITIVE, 3.0)),
    "NormalInverseWishart.from_excess_df.kappa": (keyword(niw_excess, "kappa"), 0.5, POSITIVE),
    "NormalInverseWishart.from_excess_df.excess_df": (keyword(niw_excess, "excess_df"), 0.5, POSITIVE),
    "NormalInverseWishart.from_unconstrained.df_per_kappa": (keyword(niw_unconstrained, "df_per_kappa"), 0.5, POSITIVE),
    "NormalInverseWishart.from_unconstrained.floor": (keyword(niw_unconstrained, "floor"), 0.0, NOT_NEGATIVE),
    "NIWHead.in_features": (lambda value: NIWHead(value, 2), 2, WHOLE),
    "NIWHead.out_features": (lambda value: NIWHead(2, value), 2, WHOLE),
    "NIWHead.kappa": (keyword(NIWHead, "kappa", 2, 2), 0.5, POSITIVE),
    "NIWHead.df": (keyword(NIWHead, "df", 2, 2), 3.5, (*POSITIVE, 3.0)),
    "NIWHead.noise": (keyword(NIWHead, "noise", 2, 2), 0.5, POSITIVE),
    "NIWHead.floor": (keyword(NIWHead, "floor", 2, 2), 0.0, (*NOT_NEGATIVE, 5.0)),
    "interval_coverage.levels": (partial(calibration.interval_coverage, NORMAL, TARGET), 0.5, LEVEL),
    "interval_width.levels": (partial(calibration.interval_width, NORMAL), 0.5, LEVEL),
    "interval_width.bounds": (
        lambda value: calibration.interval_width(NORMAL, 0.5, bounds=(value, 1.0)),
        0.5,
        (*FINITE, 1.0, 2.0),
    ),
    "calibration_curve.levels": (partial(calibration.calibration_curve, NORMAL, TARGET), 0.5, LEVEL),
    "quantile_calibration_error.levels": (partial(calibration.quantile_calibration_error, NORMAL, TARGET), 0.5, LEVEL),
    "quantile_calibration_error.order": (
        keyword(calibration.quantile_calibration_error, "order", NORMAL, TARGET),
        2,
        (0, 3, 1.5, math.nan),
    ),
    "miscalibration_area.levels": (partial(calibration.miscalibration_area, NORMAL, TARGET), 0.5, LEVEL),
    "expected_normalized_calibration_error.bins": (
        keyword(calibration.expected_normalized_calibration_error, "bins", TARGET.square(), TARGET),
        3,
        (*WHOLE, 4),
    ),
    "summarize.levels": (keyword(calibration.summarize, "levels", NORMAL, TARGET), 0.5, LEVEL),
    "VarianceScale.factor": (recalibration.VarianceScale, 0.5, POSITIVE),
    "IsotonicQuantiles.fit.segments": (
        keyword(recalibration.IsotonicQuantiles.fit, "segments", LONG, LONG_TARGET),
        5,
        (*WHOLE, 32),
    ),
    "RecalibratedDistribution.icdf.value": (BENT.icdf, 0.5, PROBABILITY),
    "RecalibratedDistribution.interval.level": (BENT.interval, 0.5, PROBABILITY),
    **{
        f"RecalibratedDistribution.{name}.value": (getattr(BENT, name), 0.5, (math.nan,))
        for name in ("cdf", "log_prob", "crps")
    },
    "SplitConformal.interval.level": (partial(CONFORMAL.interval, LONG), 0.5, LEVEL),
    "SplitConformal.quantile.level": (CONFORMAL.quantile, 0.5, LEVEL),
    "Coverage.levels": (streaming.Coverage, 0.5, LEVEL),
    "QuantileCalibrationError.levels": (streaming.QuantileCalibrationError, 0.5, LEVEL),
    "QuantileCalibrationError.order": (keyword(streaming.QuantileCalibrationError, "order"), 2, (0, 3, 1.5, math.nan)),
    "MiscalibrationArea.levels": (streaming.MiscalibrationArea, 0.5, LEVEL),
    "ENCE.bins": (keyword(streaming.ENCE, "bins"), 2, WHOLE),
    "Summary.levels": (streaming.Summary, 0.5, LEVEL),
    "plot_pit_histogram.bins": (keyword(plots.plot_pit_histogram, "bins", LONG, LONG_TARGET), 2, (*WHOLE, 1)),
    "plot_regression.standard_deviations": (
        keyword(plots.plot_regression, "standard_deviations", RAW, NIG),
        1.0,
        POSITIVE,
    ),
    "EvidentialRegressor.hidden_sizes": (lambda value: fitted_regressor(hidden_sizes=(value,)), 2, WHOLE),
    "EvidentialRegressor.tau": (keyword(fitted_regressor, "tau"), 0.0, NOT_NEGATIVE),
    "EvidentialRegressor.learning_rate": (keyword(fitted_regressor, "learning_rate"), 0.1, POSITIVE),
    "EvidentialRegressor.weight_decay": (keyword(fitted_regressor, "weight_decay"), 0.0, NOT_NEGATIVE),
    "EvidentialRegressor.epochs": (keyword(fitted_regressor, "epochs"), 1, WHOLE),
    "EvidentialRegressor.batch_size": (keyword(fitted_regressor, "batch_size"), 1, WHOLE),
    "EvidentialRegressor.calibration_fraction": (
        keyword(fitted_regressor, "calibration_fraction"),
        0.0,
        (*NOT_NEGATIVE, 1.0),
    ),
    "EvidentialRegressor.random_state": (keyword(fitted_regressor, "random_state"), 1, (math.nan, 1.5, -1)),
    "EvidentialRegressor.predict_interval.level": (partial(FITTED.predict_interval, TABLE), 0.5, LEVEL),
}
MODULES = (
    evidential_nig,
    calibration,
    conformal,
    loss_modules,
    multivariate,
    plots,
    recalibration,
    regressor,
    streaming,
)


def scalars_of(function, name):
    """The parameters of a callable whose annotation has a number in it."""
    for parameter in inspect.signature(function).parameters.values():
        annotation = parameter.annotation if isinstance(parameter.annotation, str) else ""
        words = {node.id for node in ast.walk(ast.parse(annotation or "None")) if isinstance(node, ast.Name)}
        if (
            parameter.name.startswith("_")
            or words & {"Callable", "Mapping"}
            or parameter.name in ("batch_shape", "sample_shape")
        ):
            continue
        if words & {"float", "int", "Levels"} or ("Literal" in words and "1, 2" in annotation):
            yield f"{name}.{parameter.name}"


def public_scalars():
    for module in MODULES:
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing):
                yield from scalars_of(thing, name)
            elif inspect.isclass(thing) and thing.__module__.startswith("evidential_nig"):
                if thing is not calibration.CalibrationSummary and not issubclass(thing, tuple):
                    yield from scalars_of(thing, name)
                for method, function in vars(thing).items():
                    if not method.startswith("_") and not isinstance(function, property) and method != "expand":
                        called = getattr(thing, method)
                        if inspect.isroutine(called):
                            yield from scalars_of(called, f"{name}.{method}")


def test_the_table_below_leaves_out_no_scalar_of_a_public_callable():
    found = set(public_scalars())
    assert len(found) > 60
    assert found - CASES.keys() == set()


@pytest.mark.parametrize("case", CASES)
def test_a_value_within_the_range_is_taken(case):
    call, good, _ = CASES[case]
    call(good)


@pytest.mark.parametrize(("case", "bad"), [(case, bad) for case, (_, _, values) in CASES.items() for bad in values])
def test_a_value_out_of_range_or_not_finite_is_refused(case, bad):
    call, _, _ = CASES[case]
    name = case.rpartition(".")[2]
    with pytest.raises((ValueError, TypeError, IndexError)) as caught:
        call(bad)
    # What is wrong is named, as it is called or as the sentence has it.
    words = {"dim": "dimension", "alpha_minus_one": "alpha", "excess_df": "df", "random_state": "seed"}
    assert any(word in str(caught.value).lower() for word in (name, words.get(name, name), "value"))


@pytest.mark.parametrize("case", [case for case in CASES if "." in case])
def test_what_is_no_number_is_refused(case):
    call, _, _ = CASES[case]
    for wrong in ("much", [[1.0, "a"]]):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            call(wrong)


COEFFICIENTS = {
    "tau": partial(evidential_loss, UNCHECKED, TARGET, reduction="none"),
    "omega": partial(kl_regularizer, UNCHECKED, TARGET, reduction="none"),
    "power": partial(scale_aware_regularizer, UNCHECKED, TARGET, reduction="none"),
}


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_a_coefficient_of_another_shape_is_refused_and_one_that_fits_is_taken(name):
    loss = COEFFICIENTS[name]
    for shape in ((3, 1), (1, 3), (2,), (2, 3)):
        with pytest.raises(ValueError, match=rf"{name} must be a number or a tensor that broadcasts.*\(3,\)"):
            loss(torch.full(shape, 2.0))
    expected = loss(2.0)
    assert expected.shape == (3,)
    for shape in ((), (1,), (3,)):
        torch.testing.assert_close(loss(torch.full(shape, 2.0)), expected)
    each = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(loss(each), torch.stack([loss(value)[i] for i, value in enumerate((1.0, 2.0, 3.0))]))


@pytest.mark.parametrize("name", COEFFICIENTS)
@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_the_values_of_a_tensor_on_the_cpu_are_looked_at_whatever_the_distribution_does(name, bad):
    with pytest.raises(ValueError, match=rf"{name} must be finite.* 1 of 3 values are not, the first at index \(1,\)"):
        COEFFICIENTS[name](torch.tensor([2.0, bad, 2.0]))


def test_a_coefficient_may_be_learnt_mapped_and_compiled():
    tau = torch.tensor(0.5, requires_grad=True)
    evidential_loss(UNCHECKED, TARGET, tau).backward()
    assert tau.grad > 0
    each = torch.func.vmap(lambda tau: evidential_loss(UNCHECKED, TARGET, tau))(torch.tensor([0.1, 0.2]))
    torch.testing.assert_close(each[1], evidential_loss(UNCHECKED, TARGET, 0.2))
    compiled = torch.compile(partial(evidential_loss, UNCHECKED, TARGET), fullgraph=True, backend="eager")
    for value in (0.1, 0.2, 0.3, torch.tensor(0.4)):
        torch.testing.assert_close(compiled(value), evidential_loss(UNCHECKED, TARGET, value))


def test_raw_outputs_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"raw_alpha must have exactly the shape of loc, \(3,\), but has \(3, 1\)"):
        NormalInverseGamma.from_unconstrained(RAW, RAW, torch.zeros(3, 1), RAW)
    with pytest.raises(TypeError, match="raw_nu must be a tensor, got float"):
        NormalInverseGamma.from_unconstrained(RAW, 0.0, RAW, RAW)
    with pytest.raises(ValueError, match=r"raw_df must have exactly the batch shape of loc, \(3,\), but has \(1,\)"):
        niw_unconstrained(raw_df=torch.zeros(1))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_starting_weights_of_a_head_are_finite(bad):
    with pytest.raises(ValueError, match=r"loc_weight must be finite, but 1 of 2 values are not, .* \(0, 1\)"):
        NIGHead(2, 1, loc_weight=torch.tensor([[1.0, bad]]))
    with pytest.raises(TypeError, match="loc_weight must be a tensor, got list"):
        NIGHead(2, 1, loc_weight=[[1.0, 2.0]])


def test_the_mean_of_nothing_may_be_anything_and_of_something_may_not():
    unknown = torch.tensor([math.nan, 1.0, math.inf])
    updated = NIG.posterior_from_statistics(torch.tensor([0, 2, 0]), unknown, 1.0)
    assert updated.nu.tolist() == [1, 3, 1]
    assert updated.loc.isfinite().all()
    assert torch.equal(UNCHECKED.posterior_from_statistics(0, math.nan, 0.0).loc, UNCHECKED.loc)
    with pytest.raises(ValueError, match="mean must be finite where the count is above 0"):
        NIG.posterior_from_statistics(torch.tensor([0, 2, 1]), unknown, 1.0)
    for count, spread in ((math.inf, 1.0), (1.0, math.inf)):
        with pytest.raises(ValueError, match="must be finite and not negative"):
            NIG.posterior_from_statistics(torch.tensor([1.0, count, 1.0]), 0.0, torch.tensor([1.0, spread, 1.0]))


def test_numbers_of_numpy_are_numbers_and_bools_are_none():
    torch.testing.assert_close(
        evidential_loss(UNCHECKED, TARGET, np.float32(0.5)), evidential_loss(UNCHECKED, TARGET, 0.5)
    )
    assert NIGHead(np.int64(2), 1).in_features == 2
    with pytest.raises(TypeError, match="tau must be a number or a tensor, got True"):
        evidential_loss(UNCHECKED, TARGET, True)
    with pytest.raises(TypeError, match="in_features must be a whole number, got True"):
        NIGHead(True, 1)
    with pytest.raises(TypeError, match="level must be a number or a tensor, got None"):
        STUDENT.interval(None)
