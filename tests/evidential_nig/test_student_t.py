"""StudentT against 50-digit references made of the regularised incomplete beta function, not of the package's forms."""

import itertools
import math
from functools import cache, partial

import mpmath
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf
from torch.autograd import gradcheck, gradgradcheck
from torch.utils._pytree import tree_flatten, tree_flatten_with_path, tree_map, tree_unflatten

from evidential_nig.student_t import StudentT

mpmath.mp.dps = 50
DFS = (2.0, 2.5, 3.0, 5.0, 10.0, 30.0, 100.0, 1e4, 1e6)
BEYOND = (1.0625, 1.5, 1e9, 1e12)
VALUES = (2.0**-10, 0.25, 1.0, 1.5, 1.625, 3.0, 8.0, 30.0)  # 1.5 and what is around it: where the two integrals meet
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-12}
VALUE_METHODS = ("log_prob", "cdf", "sf", "crps")
METHODS = (*VALUE_METHODS, "icdf", "interval")

each_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: str(dtype).removeprefix("torch."))
each_df = pytest.mark.parametrize("df", [*DFS, *BEYOND])
each_method = pytest.mark.parametrize("method", METHODS)


def exact_log_density(t, df):
    t, df = mpf(t), mpf(df)
    ratio = mpmath.loggamma((df + 1) / 2) - mpmath.loggamma(df / 2)
    return ratio - mpmath.log(mpmath.pi * df) / 2 - (df + 1) / 2 * mpmath.log1p(t * t / df)


def exact_density(t, df):
    return mpmath.exp(exact_log_density(t, df))


@cache
def exact_tail(t, df):
    """P(T > t) for t > 0."""
    t, df = mpf(t), mpf(df)
    return mpmath.betainc(df / 2, mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2


def by_df(function, df):
    """The derivative of a function of df, by differences so small that 20 digits are left."""
    step = mpf(df) * mpf(10) ** -14
    with mpmath.workdps(75):
        return (function(mpf(df) + step) - function(mpf(df) - step)) / (2 * step)


@cache
def exact_tail_by_df(t, df):
    return by_df(lambda d: exact_tail(t, d), df)


def exact_crps(t, df):
    t, df = mpf(t), mpf(df)
    tail = exact_tail(abs(t), df) if t else mpf(1) / 2
    spread = 2 * mpmath.sqrt(df) / (df - 1) * mpmath.beta(0.5, df - 0.5) / mpmath.beta(0.5, df / 2) ** 2
    return abs(t) * (1 - 2 * tail) + 2 * exact_density(t, df) * (df + t * t) / (df - 1) - spread


def relative(computed, reference):
    return float(abs(mpf(computed) - reference) / abs(reference))


def evaluate(method, dtype, df, argument, loc=0.0, scale=1.0):
    """The value of a method and its derivatives by its argument and by df."""
    df, argument = (torch.tensor(number, dtype=dtype, requires_grad=True) for number in (df, argument))
    result = getattr(StudentT(df, loc, scale), method)(argument)
    assert result.dtype == dtype
    return (result.item(), *(gradient.item() for gradient in torch.autograd.grad(result, (argument, df))))


def smallest(dtype):
    """The smallest tail that is not subnormal, with some room."""
    return 10 * torch.finfo(dtype).tiny


@each_dtype
@each_df
def test_both_tails_and_their_gradients_keep_their_digits(dtype, df):
    for t in (t for t in VALUES if exact_tail(t, df) > smallest(dtype)):
        tail, density, slope = exact_tail(t, df), exact_density(t, df), exact_tail_by_df(t, df)
        for method, argument, by_value in (("sf", t, -density), ("cdf", -t, density)):
            value, value_slope, df_slope = evaluate(method, dtype, df, argument)
            assert relative(value, tail) < TOLERANCE[dtype], (method, t)
            assert relative(value_slope, by_value) < TOLERANCE[dtype], (method, t)
            assert relative(df_slope, slope) < TOLERANCE[dtype], (method, t)
        value, value_slope, df_slope = evaluate("cdf", dtype, df, t)
        assert relative(value, 1 - tail) < TOLERANCE[dtype], t
        assert relative(value_slope, density) < TOLERANCE[dtype], t
        assert relative(df_slope, -slope) < TOLERANCE[dtype], t


@each_df
def test_quantiles_and_their_gradients(df):
    dtype = torch.float64
    probabilities = [1e-300, 1e-100, 1e-20, 1e-5, 0.01, 0.06, 0.07, 0.25, 0.5 - 1e-3, 0.5 - 2.0**-40]
    for probability in probabilities:
        for p, side in ((probability, -1), (1 - probability, 1)):
            if p == 1:
                continue
            t, by_probability, df_slope = evaluate("icdf", dtype, df, p)
            assert math.copysign(1, t) == side
            exact = min(mpf(p), 1 - mpf(p))
            density = exact_density(t, df)
            # How far the exact quantile is from t, to first order; the second is far below the rounding.
            off = (exact_tail(abs(t), df) - exact) / density
            assert abs(off) < 1e-12 * abs(t), p
            # The first order moves the references to the exact quantile as well.
            if density > 1e-307:
                assert relative(by_probability, 1 / density) < 5e-12, p
            assert relative(df_slope, side * exact_tail_by_df(abs(t), df) / density) < 5e-12, p


@pytest.mark.parametrize("df", [1.5, *DFS, 1e9])
def test_single_precision_quantiles_are_the_rounded_double_ones(df):
    tails = torch.cat([torch.logspace(-37, -1, 200), torch.linspace(0.1, 0.5, 50)[:-1]])
    single = torch.cat([tails, 1 - tails[tails > 1e-6]])
    results = []
    for dtype in (torch.float32, torch.float64):
        p, freedom = single.to(dtype).requires_grad_(), torch.full_like(single, df, dtype=dtype, requires_grad=True)
        quantile = StudentT(freedom).icdf(p)
        results.append([quantile, *torch.autograd.grad(quantile.sum(), (p, freedom))])
    for computed, reference in zip(*results, strict=True):
        finite = computed.isfinite()  # 1/density is beyond the range of single precision in the far tail
        assert finite.sum() > 200
        tolerance = 1e-6 if df >= 2 else 5e-6
        torch.testing.assert_close(computed[finite].double(), reference[finite], rtol=tolerance, atol=0)


@each_dtype
@each_df
def test_crps_and_its_gradients(dtype, df):
    for t in (0.0, *VALUES, -3.0):
        if df == 1e12 and dtype == torch.float32:
            continue  # 1/df² is beyond the range of single precision
        value, by_value, df_slope = evaluate("crps", dtype, df, t)
        tail = exact_tail(abs(t), df) if t else mpf(1) / 2
        room = TOLERANCE[dtype] * (1 if df >= 2 else 1 / (df - 1))
        assert relative(value, exact_crps(t, df)) < room, t
        assert abs(by_value - math.copysign(1, t) * (1 - 2 * tail)) < TOLERANCE[dtype], t
        reference = by_df(lambda d, t=t: exact_crps(t, d), df)
        # Three terms of order 1/df² make it up, and where they cancel the largest sets the scale.
        scale = max(abs(reference), abs(2 * t * exact_tail_by_df(abs(t), df)) if t else 0, mpf(1) / (4 * df * df))
        assert abs(df_slope - reference) < 4 * room * scale / min(1, df - 1), t


@pytest.mark.parametrize(("df", "t"), [(2.0, 0.0), (2.0, 5.0), (3.5, -1.2), (30.0, 2.0), (1e6, 0.3), (1.5, 0.7)])
def test_crps_is_its_integral(df, t):
    """The definition, with SciPy's distribution function, at loc 0.4 and scale 1.7."""
    scipy_t = scipy.stats.t(df, 0.4, 1.7)
    below, _ = scipy.integrate.quad(lambda x: scipy_t.cdf(x) ** 2, -math.inf, t, epsabs=1e-11, limit=300)
    above, _ = scipy.integrate.quad(lambda x: scipy_t.sf(x) ** 2, t, math.inf, epsabs=1e-11, limit=300)
    computed = StudentT(torch.tensor(df, dtype=torch.float64), 0.4, 1.7).crps(torch.tensor(t, dtype=torch.float64))
    assert computed.item() == pytest.approx(below + above, rel=1e-8)


@each_dtype
@each_df
def test_log_prob_and_its_gradients(dtype, df):
    for t in (0.0, *VALUES, 1e4):
        value, by_value, df_slope = evaluate("log_prob", dtype, df, t)
        t, df = mpf(t), mpf(df)
        assert abs(value - exact_log_density(t, df)) < TOLERANCE[dtype] * (1 + abs(exact_log_density(t, df)))
        assert abs(by_value + (df + 1) * t / (df + t * t)) <= TOLERANCE[dtype] * abs(by_value)
        # Its terms are of order 1/df²: the slopes of the normalizer, of the deviance and of the added half.
        y = t * t / df
        terms = (1 / (4 * df * df), (mpmath.log1p(y) - y / (1 + y)) / 2, y / (2 * df))
        assert abs(df_slope - by_df(partial(exact_log_density, t), df)) < 3 * TOLERANCE[dtype] * sum(terms)
        df = float(df)


@each_dtype
def test_log_prob_of_the_largest_values(dtype):
    largest = 0.5 * torch.finfo(dtype).max
    value, by_value, _ = evaluate("log_prob", dtype, 3.0, largest)
    largest = torch.tensor(largest, dtype=dtype).item()
    assert relative(value, exact_log_density(largest, 3.0)) < TOLERANCE[dtype]
    assert math.isfinite(by_value)


@each_dtype
@each_df
def test_entropy(dtype, df):
    freedom = torch.tensor(df, dtype=dtype, requires_grad=True)
    entropy = StudentT(freedom, scale=torch.tensor(0.5, dtype=dtype)).entropy()

    def exact(d):
        slope = mpmath.psi(0, (d + 1) / 2) - mpmath.psi(0, d / 2)
        return (d + 1) / 2 * slope + mpmath.log(d) / 2 + mpmath.log(mpmath.beta(d / 2, 0.5)) - mpmath.log(2)

    assert abs(entropy.item() - exact(mpf(df))) < TOLERANCE[dtype]
    (slope,) = torch.autograd.grad(entropy, freedom)
    assert relative(slope.item(), by_df(exact, df)) < 2 * TOLERANCE[dtype]


@each_dtype
def test_scipy_agrees_where_it_is_accurate(dtype):
    df = torch.logspace(math.log10(2), 6, 25, dtype=torch.float64).to(dtype)[:, None]
    loc, scale = torch.tensor(0.5, dtype=dtype), torch.tensor(2.0, dtype=dtype)
    student = StudentT(df, loc, scale)
    reference = scipy.stats.t(df.double().numpy(), 0.5, 2.0)
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-7}

    def compare(computed, expected):
        torch.testing.assert_close(computed.double(), torch.from_numpy(expected), **tolerance)

    values = torch.linspace(-20, 20, 101, dtype=dtype)
    compare(student.cdf(values), reference.cdf(values.double().numpy()))
    compare(student.sf(values), reference.sf(values.double().numpy()))
    compare(student.log_prob(values), reference.logpdf(values.double().numpy()))
    probabilities = torch.linspace(0.001, 0.999, 101, dtype=dtype)
    compare(student.icdf(probabilities), reference.ppf(probabilities.double().numpy()))
    for level in (0.5, 0.8, 0.95, 0.999):
        for computed, expected in zip(student.interval(level), reference.interval(level), strict=True):
            compare(computed, expected)
    compare(student.entropy(), reference.entropy())
    compare(student.mean, reference.mean())
    variable = df.flatten() > 2
    compare(student.variance[variable], reference.var()[variable.numpy()])


@each_dtype
@pytest.mark.parametrize("df", [1.5, 2.0, 7.0, 1e6])
def test_an_interval_keeps_its_digits_at_both_ends(dtype, df):
    student = StudentT(torch.tensor(df, dtype=dtype))
    for level in (
        2.0**-60,
        2.0**-20,
        0.5,
        0.875,
        1 - 2.0**-12,
        1 - 2.0**-23,
        *((1 - 2.0**-52,) * (dtype.itemsize == 8)),
    ):
        lower, upper = student.interval(torch.tensor(level, dtype=dtype))
        assert lower == -upper
        t = mpf(upper.item())
        with mpmath.workdps(100):
            off = mpf(level) / 2 - (mpf(1) / 2 - exact_tail(t, df))
        assert abs(off / exact_density(t, df)) < TOLERANCE[dtype] * t, level


def test_a_level_in_double_precision_keeps_its_digits_in_single():
    single, double = StudentT(torch.tensor(4.0)), StudentT(torch.tensor(4.0, dtype=torch.float64))
    level = 1 - 1e-12
    expected = double.interval(level)[1].float()
    torch.testing.assert_close(single.interval(level)[1], expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        single.interval(torch.tensor(level, dtype=torch.float64))[1], expected, rtol=1e-6, atol=0
    )


def test_the_interval_covers_its_share(generator):
    torch.manual_seed(3)
    student = StudentT(torch.tensor([2.0, 5.0, 1e6]), loc=torch.tensor([-1.0, 0.0, 7.0]), scale=2.5)
    draws = student.rsample((100_000,))
    for level in (0.5, 0.95):
        lower, upper = student.interval(level)
        share = ((draws >= lower) & (draws <= upper)).double().mean(0)
        assert (share - level).abs().max() < 4 * math.sqrt(level * (1 - level) / len(draws))


@each_dtype
def test_it_becomes_the_normal_distribution(dtype):
    normal = torch.distributions.Normal(torch.tensor(1.0, dtype=dtype), 2.0)
    student = StudentT(torch.tensor(1e12, dtype=dtype), 1.0, 2.0)
    values, probabilities = torch.linspace(-6, 6, 51, dtype=dtype), torch.linspace(0.01, 0.99, 51, dtype=dtype)
    tolerance = {"rtol": 5e-6, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-9, "atol": 1e-12}
    torch.testing.assert_close(student.cdf(values), normal.cdf(values), **tolerance)
    torch.testing.assert_close(student.log_prob(values), normal.log_prob(values), **tolerance)
    torch.testing.assert_close(student.icdf(probabilities), normal.icdf(probabilities), **tolerance)
    torch.testing.assert_close(student.entropy(), normal.entropy(), **tolerance)


@each_dtype
@pytest.mark.parametrize("df", [1.25, 2.0, 50.0, 1e6])
def test_the_ends_of_the_line(dtype, df):
    student = StudentT(torch.tensor(df, dtype=dtype))
    ends = torch.tensor([-math.inf, math.inf], dtype=dtype, requires_grad=True)
    for method, expected in (("cdf", [0, 1]), ("sf", [1, 0]), ("log_prob", [-math.inf] * 2), ("crps", [math.inf] * 2)):
        assert getattr(student, method)(ends).tolist() == expected
    (gradient,) = torch.autograd.grad(student.cdf(ends).sum(), ends)
    assert gradient.tolist() == [0, 0]
    assert student.icdf(torch.tensor([0, 0.5, 1], dtype=dtype)).tolist() == [-math.inf, 0, math.inf]
    assert [bound.item() for bound in student.interval(1.0)] == [-math.inf, math.inf]
    assert [bound.item() for bound in student.interval(0.0)] == [0, 0]
    freedom = torch.tensor(df, dtype=dtype, requires_grad=True)
    (gradient,) = torch.autograd.grad(StudentT(freedom).cdf(ends.detach()).sum(), freedom)
    assert gradient == 0


freedoms = st.floats(math.log(1.5), math.log(1e6)).map(math.exp)
values = st.floats(-1e3, 1e3)


def double(*numbers):
    return [torch.tensor(number, dtype=torch.float64) for number in numbers]


@given(freedoms, values)
def test_the_quantile_inverts_the_distribution_function(df, value):
    df, value = double(df, value)
    student = StudentT(df)
    if student.cdf(-value.abs()) < 1e-300:
        return
    lower, upper = student.icdf(student.cdf(-value.abs())), -student.icdf(student.sf(value.abs()))
    torch.testing.assert_close(lower, -value.abs(), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(upper, value.abs(), rtol=1e-12, atol=1e-15)


@given(freedoms, st.lists(values, min_size=2, max_size=20))
def test_symmetry_monotony_and_a_score_that_is_not_negative(df, numbers):
    df, numbers = double(df, sorted(numbers))
    student = StudentT(df)
    cdf = student.cdf(numbers)
    assert (cdf.diff() >= -1e-15).all()
    assert torch.equal(cdf, student.sf(-numbers))
    torch.testing.assert_close(cdf + student.sf(numbers), torch.ones_like(cdf), rtol=1e-15, atol=0)
    assert (student.crps(numbers) > 0).all()
    torch.testing.assert_close(student.crps(numbers), student.crps(-numbers), rtol=1e-13, atol=0)


@given(freedoms, st.floats(-5, 5), st.floats(1e-3, 1e3), st.floats(0.01, 0.99))
def test_location_and_scale(df, loc, scale, p):
    df, loc, scale, p = double(df, loc, scale, p)
    student, standard = StudentT(df, loc, scale), StudentT(df)
    quantile = student.icdf(p)
    torch.testing.assert_close(quantile, loc + scale * standard.icdf(p), rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(student.crps(quantile), scale * standard.crps((quantile - loc) / scale))
    torch.testing.assert_close(student.entropy(), standard.entropy() + scale.log())


single = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(
    st.lists(
        st.tuples(
            st.floats(1.5, 2.0**40, width=32), single, st.floats(0, 1, width=32, exclude_min=True, exclude_max=True)
        ),
        min_size=1,
    )
)
def test_nothing_is_nan_for_any_value_or_probability(rows):
    df, value, p = torch.tensor(rows).unbind(-1)
    for method, argument in (*((name, value) for name in VALUE_METHODS), ("icdf", p)):
        freedom = df.clone().requires_grad_()
        result = getattr(StudentT(freedom), method)(argument)
        assert not result.isnan().any(), method
        assert method == "icdf" or result.isfinite().all(), method
        (gradient,) = torch.autograd.grad(result[result.isfinite()].sum(), freedom)
        assert not gradient.isnan().any(), method


@pytest.fixture
def parameters():
    """df, loc, scale, a value and a probability, shape (4,)."""
    rows = [
        (2.0, 0.1, 1.0, 0.1, 0.5),
        (2.7, -0.4, 0.5, -3.0, 0.02),
        (40.0, 0.0, 2.0, 5.0, 0.999),
        (9.0, 2.0, 0.7, 1.0, 0.3),
    ]
    return [torch.tensor(column, dtype=torch.float64, requires_grad=True) for column in zip(*rows, strict=True)]


def call(method, df, loc, scale, value, probability):
    argument = probability if method in ("icdf", "interval") else value
    result = getattr(StudentT(df, loc, scale, validate_args=False), method)(argument)
    return torch.stack(result) if method == "interval" else result


@each_method
def test_gradcheck_and_gradgradcheck(method, parameters):
    function = partial(call, method)
    assert gradcheck(function, parameters, check_forward_ad=True)
    assert gradgradcheck(function, parameters)


@each_method
def test_vmap_equals_a_loop(method, parameters):
    def row(*numbers):
        return call(method, *numbers).sum()

    rows = list(zip(*(p.detach() for p in parameters), strict=True))
    mapped = torch.func.vmap(row)(*parameters)
    torch.testing.assert_close(mapped, torch.stack([row(*numbers) for numbers in rows]), rtol=1e-13, atol=1e-14)
    mapped = torch.func.vmap(torch.func.grad(row, argnums=tuple(range(5))))(*parameters)
    for i, numbers in enumerate(rows):
        looped = torch.func.grad(row, argnums=tuple(range(5)))(*numbers)
        torch.testing.assert_close([column[i] for column in mapped], list(looped), rtol=1e-12, atol=1e-14)


def test_the_methods_are_one_graph(parameters):
    inputs = [p.detach().float().requires_grad_() for p in parameters]

    def total(*numbers):
        return sum(call(method, *numbers).sum() for method in ("log_prob", "cdf", "icdf"))

    compiled = torch.compile(total, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), total(*inputs))
    gradients = [torch.autograd.grad(function(*inputs), inputs) for function in (compiled, total)]
    torch.testing.assert_close(*gradients)


@each_method
def test_large_inputs_are_taken_in_pieces_without_a_trace(method, generator):
    shape = (3, 7_001)
    df, scale, value, probability = (0.1 + torch.rand(shape, generator=generator) for _ in range(4))
    arguments = [p.requires_grad_() for p in (2 + 100 * df, value.clone(), scale, 3 * value.clone(), probability / 2)]
    together = call(method, *arguments)
    alone = torch.cat([call(method, *(p[:, i : i + 700] for p in arguments)) for i in range(0, 7_001, 700)], dim=-1)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    gradients = [torch.autograd.grad(result.sum(), arguments, allow_unused=True) for result in (together, alone)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


@each_method
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_input_is_computed_in_single_and_autocast_changes_nothing(method, dtype, parameters):
    half = [p.detach().to(dtype) for p in parameters]
    half[-1] = half[-1].clamp(max=0.75)
    single = [p.float() for p in half]
    outside = call(method, *single)
    result = call(method, *half)
    assert result.dtype == torch.float32
    assert torch.equal(result, outside)
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(call(method, *single), outside)


def test_half_precision_entropy_is_computed_in_single():
    df = torch.tensor([3.0, 100.0])
    assert torch.equal(StudentT(df.half()).entropy(), StudentT(df).entropy())


def test_it_is_the_student_t_of_torch():
    student = StudentT(torch.tensor([3.0, 4.0]), 1.0, torch.tensor(2.0))
    assert isinstance(student, torch.distributions.StudentT)
    reference = torch.distributions.StudentT(torch.tensor([3.0, 4.0]), 1.0, torch.tensor(2.0))
    for name in ("mean", "mode", "variance", "stddev", "batch_shape", "event_shape"):
        ours, theirs = getattr(student, name), getattr(reference, name)
        assert ours.equal(theirs) if isinstance(ours, torch.Tensor) else ours == theirs
    torch.testing.assert_close(student.log_prob(torch.tensor(0.3)), reference.log_prob(torch.tensor(0.3)))
    torch.testing.assert_close(student.entropy(), reference.entropy())
    torch.manual_seed(0)
    draws = student.rsample((5,))
    torch.manual_seed(0)
    assert torch.equal(draws, reference.rsample((5,)))


def test_expand():
    student = StudentT(torch.tensor([3.0, 4.0]), 1.0, 2.0, validate_args=False)
    expanded = student.expand((5, 2))
    assert type(expanded) is StudentT
    assert expanded.batch_shape == (5, 2)
    assert expanded._validate_args is False
    assert expanded.df.stride() == (0, 1)
    assert torch.equal(expanded.cdf(torch.zeros(2)), student.cdf(torch.zeros(2)).expand(5, 2))
    assert expanded.rsample((3,)).shape == (3, 5, 2)


def test_values_broadcast_with_the_batch():
    student = StudentT(torch.tensor([[3.0], [4.0]]))
    for method in METHODS:
        results = getattr(student, method)(torch.tensor([0.1, 0.5, 0.9]))
        for result in results if method == "interval" else (results,):
            assert result.shape == (2, 3)
    assert [bound.shape for bound in student.interval(0.9)] == [(2, 1), (2, 1)]
    assert StudentT(torch.ones(0)).cdf(torch.zeros(0)).shape == (0,)


@pytest.mark.parametrize("probability", [-0.1, 1.5, math.nan])
def test_what_is_no_probability_is_refused(probability):
    student = StudentT(torch.tensor(3.0), validate_args=True)
    with pytest.raises(ValueError, match=r"value must be a probability in \[0, 1\]"):
        student.icdf(torch.tensor([0.5, probability]))
    with pytest.raises(ValueError, match=r"level must be a probability in \[0, 1\]"):
        student.interval(probability)


@pytest.mark.parametrize("method", VALUE_METHODS)
def test_a_value_that_is_nan_or_of_another_shape_is_refused(method):
    student = StudentT(torch.tensor([3.0, 4.0]), validate_args=True)
    with pytest.raises(ValueError, match="within the support"):
        getattr(student, method)(torch.tensor([0.0, math.nan]))
    with pytest.raises(ValueError, match="not broadcastable"):
        getattr(student, method)(torch.zeros(3))


@pytest.mark.parametrize(("name", "number"), list(itertools.product(("df", "scale"), (0.0, -1.0, math.nan))))
def test_a_parameter_outside_its_range_is_refused(name, number):
    with pytest.raises(ValueError, match=f"parameter {name}"):
        StudentT(**{"df": torch.tensor(3.0), name: torch.tensor(number)}, validate_args=True)


@pytest.mark.parametrize("validate_args", [False, True])
def test_a_number_that_is_no_probability_is_refused_whether_validated_or_not(validate_args):
    student = StudentT(torch.tensor(3.0), validate_args=validate_args)
    for number in (95, -0.1, math.nan):
        with pytest.raises(ValueError, match=rf"level must be a probability in \[0, 1\], got {number}"):
            student.interval(number)
        with pytest.raises(ValueError, match=rf"value must be a probability in \[0, 1\], got {number}"):
            student.icdf(number)
    if not validate_args:
        assert student.icdf(torch.tensor(95.0)).isnan() or student.icdf(torch.tensor(95.0)).isinf()


@each_method
def test_a_number_is_as_good_as_a_tensor(method):
    student = StudentT(torch.tensor([3.0, 4.0]), 1.0, 2.0)
    for number in (0.3, 1):
        expected = getattr(student, method)(torch.tensor(number, dtype=torch.float64))
        torch.testing.assert_close(getattr(student, method)(number), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("parameters", "dtype"),
    [
        ((3, 1, 2), torch.float32),
        ((3.7, torch.tensor([1, 2]), 1.9), torch.float32),
        ((torch.tensor(3.7), torch.tensor([1, 2]), torch.tensor(1.9, dtype=torch.float64)), torch.float64),
        ((torch.tensor([3], dtype=torch.float16), 0.5, torch.tensor(2.0, dtype=torch.bfloat16)), torch.float32),
        ((torch.tensor(3), torch.tensor(0.5, dtype=torch.float16), 1.9), torch.float16),
    ],
)
def test_parameters_come_to_one_floating_dtype_and_are_not_cut_off(parameters, dtype):
    student = StudentT(*parameters)
    for given_, kept in zip(parameters, (student.df, student.loc, student.scale), strict=True):
        assert kept.dtype == dtype
        torch.testing.assert_close(kept, torch.as_tensor(given_).to(dtype).expand(student.batch_shape))


def test_an_infinite_df_is_refused():
    with pytest.raises(ValueError, match=r"parameter df [\s\S]* PositiveFinite"):
        StudentT(math.inf, validate_args=True)


def test_where_there_is_no_mean_there_is_no_crps():
    df = torch.tensor([0.5, 1.0, 1.5])
    with pytest.raises(ValueError, match="df must be above 1 for the CRPS"):
        StudentT(df, validate_args=True).crps(0.3)
    score = StudentT(df, validate_args=False).crps(0.3)
    assert score.isnan().tolist() == [True, True, False]
    assert score[2] == StudentT(df[2]).crps(0.3)


@pytest.mark.parametrize(("df", "single"), [(0.5, 2e-4), (0.25, 4e-3)])
def test_quantiles_below_one_degree_of_freedom_are_as_accurate_as_documented(df, single):
    probability = torch.cat([torch.logspace(-6, -1, 30), torch.linspace(0.1, 0.49, 20)])
    exact = torch.tensor([float(scipy.stats.t.ppf(p, df)) for p in probability.double().tolist()], dtype=torch.float64)
    torch.testing.assert_close(StudentT(torch.tensor(df)).icdf(probability).double(), exact, rtol=single, atol=0)
    exact_cdf = torch.from_numpy(scipy.stats.t.cdf(exact.numpy(), df))
    computed = StudentT(torch.tensor(df, dtype=torch.float64)).cdf(exact)
    torch.testing.assert_close(computed, exact_cdf, rtol=1e-9, atol=0)


def test_a_tree_of_its_parameters_is_put_together_again_with_any_leaves():
    student = StudentT(torch.tensor([3.0, 4.0]), 1.0, 2.0, validate_args=True)
    doubled = tree_map(lambda parameter: parameter.double().unsqueeze(0), student)
    assert type(doubled) is StudentT
    assert doubled.batch_shape == (1, 2)
    assert doubled._validate_args is True
    torch.testing.assert_close(doubled.cdf(0.3), student.cdf(0.3).double().unsqueeze(0), rtol=1e-6, atol=0)
    assert doubled.rsample((5,)).shape == (5, 1, 2)
    assert tree_map(lambda _: -1.0, student).scale == -1.0
    leaves, spec = tree_flatten(student)
    assert torch.equal(tree_unflatten(leaves, spec).df, student.df)
    assert [str(path[0]) for path, _ in tree_flatten_with_path(student)[0]] == [".df", ".excess_df", ".loc", ".scale"]


def test_vmap_takes_and_returns_a_distribution(parameters):
    df, loc, scale, value, _ = (p.detach() for p in parameters)
    mapped = torch.func.vmap(lambda *row: StudentT(*row, validate_args=False))(df, loc, scale)
    assert type(mapped) is StudentT
    assert mapped.batch_shape == (4,)
    expected = StudentT(df, loc, scale).cdf(value)
    torch.testing.assert_close(torch.func.vmap(StudentT.cdf)(mapped, value), expected)


@pytest.mark.gpu
@each_method
def test_a_cuda_device_gives_the_same(method, parameters):
    expected = call(method, *parameters)
    moved = [p.detach().cuda().requires_grad_() for p in parameters]
    computed = call(method, *moved)
    torch.testing.assert_close(computed.cpu(), expected, rtol=1e-12, atol=1e-14)
    gradients = [
        torch.autograd.grad(result.sum(), inputs, allow_unused=True)
        for result, inputs in ((computed, moved), (expected, parameters))
    ]
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-12, atol=1e-14)
