"""Student's t with a distribution function, quantiles and the CRPS, all differentiable in every parameter.

Everything goes through the signed root of the deviance, w = sign(t) √(df · log1p(t²/df)), in which Student's t is
nearly normal whatever its degrees of freedom: with x = w²/df the density becomes

    g(w) = exp(c(df) − w²/2) h(x) / √(2π),    h(x) = √(x / (1 − exp(−x))),    c = log(Γ((df+1)/2) / (Γ(df/2) √(df/2))),

where h varies slowly and has no singularity near the real axis. So the same few nodes of Gauss and Legendre integrate
a tail, from w on, or the mass between the median and w, to rounding for every df: no iteration, no branch on df, and
tails as small as the format holds with all their digits. The quantile is the root of that integral, found by one
step of Halley's method (two in double precision) from a start that is off by 2 % at most.

Gradients are closed formulas, written so that nothing cancels as df grows: a derivative by df is of order 1/df², and
each term of it is too. They are made of differentiable operations, so there are second derivatives as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Self, TypeAlias

import torch
from torch import Tensor
from torch.distributions import Chi2, Distribution, constraints
from torch.distributions.utils import broadcast_all
from torch.utils import _pytree as pytree

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_SPLIT = 1.5  # |w| below which the mass from the median on is integrated, above which the tail is

_FAR = 1e9  # |w| beyond which nothing is left of a density, and that keeps infinity out of the formulas
_NEAR = 0.25  # x below which the series of 1/(1 − exp(−x)) − 1/x is used; its terms would cancel
_CHUNK = {"cpu": 8192}  # elements of one pass: what the nodes of so many need stays in the cache of a processor core
_LARGE_CHUNK = 131_072  # on any other device, where it is memory that is saved

_Elementwise: TypeAlias = Callable[..., Tensor]


def _in_chunks(function: _Elementwise, tensors: Sequence[Tensor], constants: Sequence[Any]) -> Tensor:
    """Call an elementwise function of tensors of one shape; on large ones in pieces where nothing is recorded.

    On a CPU this takes a quarter of the time; and what the integrals need for each node takes no memory to speak of.
    """
    first = tensors[0]
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return function(*tensors, *constants)
    size = _CHUNK.get(first.device.type, _LARGE_CHUNK)
    if first.numel() <= size:
        return function(*tensors, *constants)
    chunks = zip(*(torch.split(tensor.flatten(), size) for tensor in tensors), strict=True)
    return torch.cat([function(*chunk, *constants) for chunk in chunks]).reshape(first.shape)


def _with_partials(*partials: _Elementwise | None) -> Callable[[_Elementwise], _Elementwise]:
    """Give an elementwise function, of tensors of one shape and then of constants, its derivatives.

    Args:
        partials: The derivative by each of the tensors, None for one that has none. Each takes the tensors, the result
            and the constants, and is made of differentiable operations.
    """

    def decorate(value: _Elementwise) -> _Elementwise:
        class Traceable(torch.autograd.Function):
            generate_vmap_rule = True

            @staticmethod
            def forward(*arguments: Any) -> Tensor:
                return _in_chunks(value, *_separate(arguments))

            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                tensors, ctx.constants = _separate(inputs)
                ctx.save_for_backward(*tensors, output)

            @staticmethod
            def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
                results = [
                    gradient * _in_chunks(partial, ctx.saved_tensors, ctx.constants)
                    if partial is not None and needed
                    else None
                    for partial, needed in zip(partials, ctx.needs_input_grad[: len(partials)], strict=True)
                ]
                return (*results, *(None for _ in ctx.constants))

        class WithForwardMode(Traceable):
            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                Traceable.setup_context(ctx, inputs, output)
                ctx.save_for_forward(*_separate(inputs)[0], output)

            @staticmethod
            def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
                total = torch.zeros_like(ctx.saved_tensors[-1])
                for partial, tangent in zip(partials, tangents[: len(partials)], strict=True):
                    if partial is not None and tangent is not None:
                        total = total + tangent * partial(*ctx.saved_tensors, *ctx.constants)
                return total

        def function(*arguments: Any) -> Tensor:
            # torch.compile traces a custom function with its backward, but not one that has forward mode as well.
            chosen = Traceable if torch.compiler.is_compiling() else WithForwardMode
            result: Tensor = chosen.apply(*arguments)
            return result

        return function

    return decorate


def _separate(arguments: tuple[Any, ...]) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
    count = sum(isinstance(argument, Tensor) for argument in arguments)
    return arguments[:count], arguments[count:]


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    """Constants along a new first dimension before those of `like`."""
    return torch.tensor(numbers, dtype=like.dtype, device=like.device).reshape(-1, *(1 for _ in like.shape))


def _odd_polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """c₀ x + c₁ x³ + …."""
    square = x * x
    result = torch.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result = result * square + coefficient
    return result * x


def _bernoulli(count: int) -> list[Fraction]:
    """B₂, B₄, …, B₂ₙ."""
    numbers = [Fraction(1)]
    for m in range(1, 2 * count + 1):
        numbers.append(-sum((math.comb(m + 1, j) * numbers[j] for j in range(m)), Fraction(0)) / (m + 1))
    return numbers[2::2]


def _gauss_legendre(count: int) -> list[tuple[float, float]]:
    """Nodes and weights on [0, 1], ascending."""
    rule = []
    for i in range(count):
        node = -math.cos(math.pi * (i + 0.75) / (count + 0.5))
        slope = 1.0
        for _ in range(6):
            before, value = 1.0, node
            for k in range(2, count + 1):
                before, value = value, ((2 * k - 1) * node * value - (k - 1) * before) / k
            slope = count * (node * value - before) / (node * node - 1)
            node -= value / slope
        rule.append(((1 + node) / 2, 1 / ((1 - node * node) * slope * slope)))
    return rule


class _Precision(NamedTuple):
    """What is needed to reach the rounding of one format."""

    nodes: tuple[float, ...]  # of the integrals, on [0, 1]
    weights: tuple[float, ...]
    reach: float  # a tail is cut where exp(−reach) of its density is left
    shift: int  # steps of the recurrence before the series of the normalizer
    odd: tuple[int, ...]  # 1, 3, …: those steps
    normalizer: tuple[float, ...]  # coefficients of df⁻¹, df⁻³, …
    rise: tuple[float, ...]  # of x, x³, …: the series of 1/(1 − exp(−x)) − 1/x − ½
    largest: float  # squares of what is larger overflow


def _make_precision(nodes: int, reach: float, shift: int, terms: int, rise_terms: int, largest: float) -> _Precision:
    bernoulli = _bernoulli(max(terms, rise_terms))
    rule = _gauss_legendre(nodes)
    # exp(s) − 1 in place of s crowds the nodes where the density is highest.
    return _Precision(
        nodes=tuple(math.expm1(node) / math.expm1(1) for node, _ in rule),
        weights=tuple(weight * math.exp(node) / math.expm1(1) for node, weight in rule),
        reach=reach,
        shift=shift,
        odd=tuple(range(1, 2 * shift, 2)),
        normalizer=tuple(
            float((1 - 4**k) * number / (2 * k * (2 * k - 1))) for k, number in enumerate(bernoulli[:terms], 1)
        ),
        rise=tuple(float(number / math.factorial(2 * k)) for k, number in enumerate(bernoulli[:rise_terms], 1)),
        largest=largest,
    )


# Truncation errors, relative, for df >= 1: 4e-8 (integrals) and 1e-7 (their derivatives by df) for single precision,
# 1e-15 and 4e-14 for double.
_SINGLE = _make_precision(nodes=10, reach=17, shift=3, terms=4, rise_terms=3, largest=2.0**60)
_DOUBLE = _make_precision(nodes=22, reach=38, shift=8, terms=8, rise_terms=6, largest=2.0**500)


def _precision(dtype: torch.dtype) -> _Precision:
    return _DOUBLE if dtype == torch.float64 else _SINGLE


def _log_normalizer_slope(df: Tensor, _: Tensor | None = None) -> Tensor:
    """The derivative of `_log_normalizer`, 1/(4 df²) + …."""
    precision = _precision(df.dtype)
    square = (df + 2 * precision.shift).reciprocal().square()
    series = torch.zeros_like(df)
    for k in range(len(precision.normalizer), 0, -1):
        series = (series - (2 * k - 1) * precision.normalizer[k - 1]) * square
    odd = df + _column(precision.odd, df)
    return series + (odd * (odd * odd - 1)).reciprocal().sum(0)


@_with_partials(_log_normalizer_slope)
def _log_normalizer(df: Tensor) -> Tensor:
    """log(Γ((df+1)/2) / (Γ(df/2) √(df/2))), which is −1/(4 df) + … and keeps all its digits.

    With d = df + 1, f(df) = f(df + 2) + ½ log(1 − 1/d²) moves df up to where the asymptotic series holds.
    """
    precision = _precision(df.dtype)
    series = _odd_polynomial(precision.normalizer, (df + 2 * precision.shift).reciprocal())
    return series + 0.5 * torch.log1p(-(df + _column(precision.odd, df)).square().reciprocal()).sum(0)


def _rise(x: Tensor) -> Tensor:
    """m(x) = 1/(1 − exp(−x)) − 1/x, from ½ at 0 to 1 at infinity; h² = 1 + x m and h'/h = (1 − m)/2."""
    near = x.clamp(max=_NEAR)
    series = _odd_polynomial(_precision(x.dtype).rise, near)
    far = x.clamp(min=_NEAR)
    return torch.where(x < _NEAR, 0.5 + series, -1 / torch.expm1(-far) - 1 / far)


def _root_by_t(t: Tensor, df: Tensor, w: Tensor) -> Tensor:  # noqa: ARG001
    w = w.clamp(-_FAR, _FAR)
    x = w * w / df
    return torch.exp(-0.5 * x) * torch.rsqrt(1 + x * _rise(x))


def _root_by_df(t: Tensor, df: Tensor, w: Tensor) -> Tensor:  # noqa: ARG001
    w = w.clamp(-_FAR, _FAR)
    x = w * w / df
    return -w * _rise(x) * torch.expm1(-x) / (2 * df)


@_with_partials(_root_by_t, _root_by_df)
def _root(t: Tensor, df: Tensor) -> Tensor:
    """The signed root of the deviance, w = sign(t) √(df · log1p(t²/df))."""
    largest = _precision(t.dtype).largest
    size = t.abs()
    square = size.clamp(max=largest).square()
    # What a square that would overflow lacks is added to its logarithm.
    x = torch.log1p(square / df) + 2 * torch.log((size / largest).clamp(min=1))
    return torch.sqrt(df * x).copysign(t)


def _unroot_by_w(w: Tensor, df: Tensor, t: Tensor) -> Tensor:  # noqa: ARG001
    x = w * w / df
    return torch.exp(0.5 * x) * torch.sqrt(1 + x * _rise(x))


def _unroot_by_df(w: Tensor, df: Tensor, t: Tensor) -> Tensor:
    x = w * w / df
    return _unroot_by_w(w, df, t) * w * _rise(x) * torch.expm1(-x) / (2 * df)


@_with_partials(_unroot_by_w, _unroot_by_df)
def _unroot(w: Tensor, df: Tensor) -> Tensor:
    """The inverse of `_root`: t = sign(w) √(df · (exp(w²/df) − 1))."""
    x = w * w / df
    return (torch.sqrt(-df * torch.expm1(-x)) * torch.exp(0.5 * x)).copysign(w)


def _integral(size: Tensor, central: Tensor, df: Tensor, integrand: Callable[[Tensor], Tensor]) -> Tensor:
    """∫ exp((a² − z²)/2) integrand(−z²/df) dz, over [0, size] with a = 0 where `central`, else over [size = a, ∞)."""
    precision = _precision(size.dtype)
    start = torch.where(central, torch.zeros_like(size), size)
    cut = 2 * precision.reach
    length = torch.where(central, size, cut / (torch.sqrt(size * size + cut) + size))
    nodes, weights = _column(precision.nodes, size), _column(precision.weights, size)
    back = -nodes * length
    z = start - back
    density = torch.exp(back * torch.sub(start, back, alpha=0.5))
    return length * (density * integrand(z * z * (-1 / df)) * weights).sum(0)


def _h(minus_x: Tensor) -> Tensor:
    minus_x = minus_x.clamp(max=-torch.finfo(minus_x.dtype).tiny)
    return torch.rsqrt(torch.expm1(minus_x) / minus_x)


def _density(w: Tensor, df: Tensor, _: Tensor, dtype: torch.dtype) -> Tensor:
    """g(w)."""
    w = w.clamp(-_FAR, _FAR)
    x = w * w / df
    normalizer = _log_normalizer(df.to(dtype)).to(df.dtype) - _HALF_LOG_TWO_PI
    return torch.exp(normalizer - 0.5 * w * w) * torch.sqrt(1 + x * _rise(x))


def _cdf_by_df(w: Tensor, df: Tensor, cdf: Tensor, dtype: torch.dtype) -> Tensor:
    return _density(w, df, cdf, dtype) * _shift_by_df(w, df, dtype)


def _shift_by_df(w: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """The derivative of the distribution function by df at a fixed w, divided by the density."""
    side = torch.where(w < 0, -1.0, 1.0).to(w.dtype)
    size = (side * w).clamp(max=_FAR)
    central = size < _SPLIT
    narrow = df.to(dtype)
    slope = _log_normalizer_slope(narrow)
    half_inverse = 0.5 / narrow

    def integrand(minus_x: Tensor) -> Tensor:
        m = _rise(-minus_x)
        return torch.sqrt(1 - minus_x * m) * (slope + minus_x * (1 - m) * half_inverse)

    part = _integral(size.to(dtype), central, narrow, integrand).to(w.dtype)
    x = size * size / df
    scale = torch.rsqrt(1 + x * _rise(x)) * torch.where(central, torch.exp(0.5 * size * size), -1.0)
    return side * scale * part


@_with_partials(_density, _cdf_by_df)
def _cdf(w: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """P(W ≤ w), with the integral in `dtype` and the rest in the precision of the arguments."""
    size = w.abs().clamp(max=_FAR)
    central = size < _SPLIT
    normalizer = _log_normalizer(df.to(dtype)).to(df.dtype) - _HALF_LOG_TWO_PI
    part = _integral(size.to(dtype), central, df.to(dtype), _h).to(w.dtype)
    mass = part * torch.exp(normalizer - torch.where(central, 0.0, 0.5 * size * size))
    return torch.where(central, 0.5 + mass.copysign(w), torch.where(w < 0, mass, 1 - mass))


def _quantile_by_centre(centre: Tensor, tail: Tensor, df: Tensor, w: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ARG001
    return 1 / _density(w, df, w, dtype)


def _quantile_by_df(centre: Tensor, tail: Tensor, df: Tensor, w: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ARG001
    return -_shift_by_df(w, df, dtype)


@_with_partials(_quantile_by_centre, None, _quantile_by_df)
def _quantile(centre: Tensor, tail: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """The w with P(W ≤ w) = ½ + `centre`, where `tail` = ½ − |centre|.

    Both are taken so that neither a probability near ½ nor one near 0 or 1 loses digits; the derivative is that by
    `centre`.
    """
    off = centre.abs()
    tiny = torch.finfo(tail.dtype).tiny
    floored = tail.clamp(min=tiny)
    normal = torch.special.ndtri(floored).square()
    w = torch.sqrt(normal + 2 * torch.log(_h(-normal / df)))
    normalizer = _log_normalizer(df.to(dtype)).to(df.dtype) - _HALF_LOG_TWO_PI
    near_goal, far_goal = off * torch.exp(-normalizer), torch.log(floored) - normalizer
    # The error is cubed by a step, so the first one need not be integrated beyond single precision.
    for step_dtype in (torch.float32,) if dtype == torch.float32 else (torch.float32, dtype):
        central = w < _SPLIT
        part = _integral(w.to(step_dtype), central, df.to(step_dtype), _h).to(w.dtype)
        half_square = 0.5 * w * w
        h = _h(-2 * half_square / df)
        # Newton's step and f''/f' for f = mass − centre near the median, f = log(tail) further out.
        near_step = (near_goal - part) * torch.exp(half_square) / h
        far_step = (torch.log(part) - half_square - far_goal) * part / h
        step = torch.where(central, near_step, far_step)
        bend = w / df - w - (h * h - 1) / w.clamp(min=tiny)  # g'/g
        bend = torch.where(central, bend, bend + h / part)
        w = w + step / (1 + 0.5 * step * bend)
    return torch.where(tail > 0, w, torch.inf).copysign(centre)


def _score_by_t(t: Tensor, df: Tensor, score: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ARG001
    result: Tensor = 2 * _cdf(_root(t, df), df, dtype) - 1
    return result


def _score_by_df(t: Tensor, df: Tensor, score: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ARG001
    w = _root(t, df)
    narrow = df.to(dtype)
    excess = 1 / (df - 1)
    common = _log_normalizer_slope(narrow).to(df.dtype) - excess * excess / (1 + excess)
    bend = _root_by_df(t, df, w)
    cdf_slope = _density(w, df, w, dtype) * (_shift_by_df(w, df, dtype) + bend)
    tails_slope = common - w * (bend * (1 - 1 / df) + 0.5 * w / (df * df))
    spread_slope = common - 0.25 / (df * df - 0.5 * df)
    spread_slope = spread_slope + (_log_normalizer_slope(narrow) - 2 * _log_normalizer_slope(2 * narrow - 1)).to(
        df.dtype
    )
    tails, spread = _score_parts(w, df, dtype)
    return 2 * t * cdf_slope + tails * tails_slope - spread * spread_slope


def _score_parts(w: Tensor, df: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The second and the third term of the CRPS: 2 f(t) (df + t²)/(df − 1), and what depends on df alone."""
    narrow = df.to(dtype)
    normalizer = _log_normalizer(narrow).to(df.dtype)
    factor = 1 + 1 / (df - 1)
    tails = 2 * factor * torch.exp(normalizer - _HALF_LOG_TWO_PI - 0.5 * w * w * (1 - 1 / df))
    pair = torch.exp(2 * normalizer - _log_normalizer(2 * narrow - 1).to(df.dtype))
    return tails, factor * torch.rsqrt(1 - 0.5 / df) * pair / math.sqrt(math.pi)


@_with_partials(_score_by_t, _score_by_df)
def _score(t: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """The CRPS at location 0 and scale 1."""
    w = _root(t, df)
    tails, spread = _score_parts(w, df, dtype)
    return t * (2 * _cdf(w, df, dtype) - 1) + tails - spread


class _PositiveFinite(constraints.Constraint):
    def check(self, value: Tensor) -> Tensor:
        return (value > 0) & (value < math.inf)


class StudentT(torch.distributions.StudentT):
    """Student's t: `torch.distributions.StudentT` with `cdf`, `sf`, `icdf`, `interval` and `crps`.

    All of them are differentiable, twice, in the value or probability and in the three parameters, and keep their
    digits for df from 2 to 1e12: relative to the result, in the tails as well, the error is about 1e-6 in single
    precision and 1e-13 in double, that of gradients too, although those by df are of order 1/df². Down to df = 1
    quantiles in single precision are off by up to 1e-5. `log_prob` and `entropy` too are in forms that do not cancel
    as df grows. For df ≤ 1 there is no mean and no `crps`, and quantiles have fewer digits: in single precision they
    are off by up to 2e-4 at df = ½ and 4e-3 at df = ¼. An infinite df is refused; take 1e12, where the distribution
    is normal to about 1e-12.

    Results have the dtype of the parameters, at least `float32`. Single precision is computed in double where an
    exponent needs it (in single precision throughout on devices that lack double, where far tails have fewer digits).

    Args:
        df: Degrees of freedom, positive and finite.
        loc: Location, real; the mean where df > 1.
        scale: Scale, positive, in units of `loc`; not the standard deviation, which is `scale` · √(df/(df − 2)).
        validate_args: Whether to check the constraints; None takes the setting of `torch.distributions`.

    The parameters are broadcast against each other; `batch_shape` is their common shape, and their dtype the common one
    of those given as tensors (integers count as the default dtype). Values and probabilities are broadcast against the
    batch shape, as everywhere in `torch.distributions`; a number will do as well as a tensor.

    It is a pytree node with the leaves `df`, `loc` and `scale`, so that functions under `torch.func.vmap`,
    `torch.export` or `DistributedDataParallel` can return one.

    Raises:
        ValueError: If a parameter is NaN or outside its range (only when arguments are validated).

    Example:
        >>> student = StudentT(torch.tensor([2.0, 1e6]), loc=1.0, scale=0.5)
        >>> student.cdf(torch.tensor(2.0))
        tensor([0.9082, 0.9772])
        >>> student.interval(0.95)
        (tensor([-1.1513,  0.0200]), tensor([3.1513, 1.9800]))
    """

    arg_constraints = torch.distributions.StudentT.arg_constraints | {"df": _PositiveFinite()}

    df: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        df: Tensor | float,
        loc: Tensor | float = 0.0,
        scale: Tensor | float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        # In place of the base's, which in torch 2.6 validates the degrees of freedom whether asked to or not, so that
        # neither torch.func.vmap nor torch.compile gets through.
        self.df, self.loc, self.scale = broadcast_all(*_in_common_dtype(df, loc, scale))
        Distribution.__init__(self, self.df.shape, validate_args=validate_args)

    def expand(self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: Any = None) -> Self:
        """The same distribution with its batch dimensions broadcast to `batch_shape`, without copying."""
        student: Self = self._get_checked_instance(StudentT, _instance)  # type: ignore[no-untyped-call]
        shape = torch.Size(batch_shape)
        student.df, student.loc, student.scale = (p.expand(shape) for p in (self.df, self.loc, self.scale))
        Distribution.__init__(student, shape, validate_args=False)
        student._validate_args = self._validate_args
        return student

    @property
    def _chi2(self) -> Chi2:  # type: ignore[override]
        """What the base draws samples with, made when it is asked for."""
        return Chi2(self.df, validate_args=False)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Logarithm of the density.

        With r = (value − loc)/scale and x = log1p(r²/df): c(df) − ½ log(2π) − log(scale) − ½ (df + 1) x.

        Args:
            value: Shape that broadcasts with the batch shape, or a number.
        """
        value = self._observation(value)
        dtype, _ = self._dtypes()
        standard, df = self._standardized(value, dtype)
        w = _root(standard, df)
        return _log_normalizer(df) - _HALF_LOG_TWO_PI - torch.log(self.scale.to(dtype)) - 0.5 * (w * w + w * w / df)

    def cdf(self, value: Tensor | float) -> Tensor:
        """P(X ≤ value), with its digits in the lower tail; `sf` has them in the upper one.

        Args:
            value: Shape that broadcasts with the batch shape, or a number.
        """
        return self._probability(value, 1)

    def sf(self, value: Tensor | float) -> Tensor:
        """P(X > value), the survival function: 1 − `cdf` with its digits in the upper tail.

        Args:
            value: Shape that broadcasts with the batch shape, or a number.

        Example:
            >>> StudentT(torch.tensor(5.0)).sf(torch.tensor(1e6))
            tensor(9.4902e-30)
        """
        return self._probability(value, -1)

    def icdf(self, value: Tensor | float) -> Tensor:
        """The quantile: the x with P(X ≤ x) = value.

        Args:
            value: Probabilities in [0, 1], shape that broadcasts with the batch shape, or a number; 0 and 1 give −inf
                and inf.

        Raises:
            ValueError: If a probability is NaN or outside [0, 1] (those of a tensor only when arguments are validated).

        Example:
            >>> StudentT(torch.tensor(2.0)).icdf(torch.tensor([0.0, 1e-30, 0.5, 0.975]))
            tensor([       -inf, -7.0711e+14,  0.0000e+00,  4.3027e+00])
        """
        dtype, wide = self._dtypes()
        probability = self._probabilities("value", value)
        quantile = self._standard_quantile(probability - 0.5, torch.minimum(probability, 1 - probability))
        return (self.loc.to(wide) + self.scale.to(wide) * quantile).to(dtype)

    def interval(self, level: Tensor | float) -> tuple[Tensor, Tensor]:
        """Bounds of the central interval that holds a share `level` of the probability.

        Args:
            level: In [0, 1], shape that broadcasts with the batch shape, or a number.

        Returns:
            Lower and upper bound, of the broadcast shape.

        Raises:
            ValueError: If a level is NaN or outside [0, 1] (those of a tensor only when arguments are validated).

        Example:
            >>> StudentT(torch.tensor(4.0), loc=3.0).interval(0.5)
            (tensor(2.2593), tensor(3.7407))
        """
        dtype, wide = self._dtypes()
        level = self._probabilities("level", level)
        reach = self.scale.to(wide) * self._standard_quantile(0.5 * level, 0.5 * (1 - level))
        loc = self.loc.to(wide)
        return (loc - reach).to(dtype), (loc + reach).to(dtype)

    def crps(self, value: Tensor | float) -> Tensor:
        """Continuous ranked probability score of an observation: ∫ (P(X ≤ x) − 1{x ≥ value})² dx. Units of `loc`.

        With r = (value − loc)/scale, F and f those of loc 0 and scale 1, and B the beta function:

            scale · (r (2F(r) − 1) + 2 f(r) (df + r²)/(df − 1) − 2 √df B(½, df − ½) / ((df − 1) B(½, df/2)²)).

        Source: Jordan, Krüger and Lerch, "Evaluating probabilistic forecasts with scoringRules", 2019, Appendix A.

        Args:
            value: Observations, shape that broadcasts with the batch shape, or a number.

        Returns:
            Scores, at least 0, lower is better; NaN where df ≤ 1, which has no mean. Near 1 the last two terms cancel.

        Raises:
            ValueError: If df ≤ 1 somewhere (only when arguments are validated).

        Example:
            >>> StudentT(torch.tensor(1e6)).crps(torch.tensor([0.0, 3.0]))
            tensor([0.2337, 2.4366])
        """
        value = self._observation(value)
        if self._validate_args and not bool((self.df > 1).all()):
            raise ValueError(f"df must be above 1 for the CRPS, got {self.df}")
        dtype, wide = self._dtypes()
        standard, df = self._standardized(value, wide)
        score = torch.where(df > 1, _score(standard, df, dtype), torch.nan)
        return (self.scale.to(wide) * score).to(dtype)

    def entropy(self) -> Tensor:
        """Differential entropy, of the batch shape: ½ log(2πe) + log(scale) − c + (df + 1) c' + 1/(2 df)."""
        dtype, _ = self._dtypes()
        df = self.df.to(dtype)
        slope = _log_normalizer_slope(df)
        correction = (df + 1) * slope + 0.5 / df - _log_normalizer(df)
        return 0.5 + _HALF_LOG_TWO_PI + torch.log(self.scale.to(dtype)) + correction

    def _dtypes(self) -> tuple[torch.dtype, torch.dtype]:
        """Of results, and of what needs more digits to give them."""
        dtype = torch.promote_types(self.df.dtype, torch.float32)
        return dtype, dtype if self.df.device.type == "mps" else torch.float64

    def _standardized(self, value: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(value − loc)/scale and df, of one shape."""
        standard = (value.to(dtype) - self.loc.to(dtype)) / self.scale.to(dtype)
        standard, df = torch.broadcast_tensors(standard, self.df.to(dtype))  # type: ignore[no-untyped-call]
        return standard, df

    def _probability(self, value: Tensor | float, side: int) -> Tensor:
        value = self._observation(value)
        dtype, wide = self._dtypes()
        standard, df = self._standardized(value, wide)
        result: Tensor = _cdf(_root(side * standard, df), df, dtype).to(dtype)
        return result

    def _standard_quantile(self, centre: Tensor, tail: Tensor) -> Tensor:
        dtype, _ = self._dtypes()
        centre, tail, df = torch.broadcast_tensors(centre, tail, self.df.to(centre.dtype))  # type: ignore[no-untyped-call]
        result: Tensor = _unroot(_quantile(centre, tail, df, dtype), df)
        return result

    def _observation(self, value: Tensor | float) -> Tensor:
        value = self._tensor(value)
        if self._validate_args:
            self._validate_sample(value)
        return value

    def _probabilities(self, name: str, value: Tensor | float) -> Tensor:
        # Looking at a number costs nothing, looking at a tensor may have to wait for a device.
        if isinstance(value, Tensor):
            valid = not self._validate_args or bool(((value >= 0) & (value <= 1)).all())
        else:
            valid = 0 <= value <= 1
        if not valid:
            raise ValueError(f"{name} must be a probability in [0, 1], got {value}")
        return self._tensor(value).to(device=self.df.device, dtype=self._dtypes()[1])

    def _tensor(self, value: Tensor | float) -> Tensor:
        if isinstance(value, Tensor):
            return value
        return torch.as_tensor(value, dtype=self._dtypes()[1], device=self.df.device)


def _in_common_dtype(*values: Tensor | float) -> list[Tensor | float]:
    """The tensors among them in their common dtype, the default one if that is no floating one.

    Without this a number beside tensors of integers would be cut off to one.
    """
    dtype: torch.dtype | None = None
    for value in values:
        if isinstance(value, Tensor):
            dtype = value.dtype if dtype is None else torch.promote_types(dtype, value.dtype)
    if dtype is None or not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    return [value.to(dtype) if isinstance(value, Tensor) else value for value in values]


def _flatten(student: StudentT) -> tuple[list[Any], bool]:
    return [student.df, student.loc, student.scale], student._validate_args


def _flatten_with_keys(student: StudentT) -> tuple[list[tuple[pytree.KeyEntry, Any]], bool]:
    leaves, context = _flatten(student)
    return [(pytree.GetAttrKey(name), leaf) for name, leaf in zip(("df", "loc", "scale"), leaves, strict=True)], context


def _unflatten(leaves: Iterable[Any], validate_args: bool) -> StudentT:
    """Undo `_flatten`, where the leaves may be anything: other shapes, the integers of vmap's in_dims."""
    student = StudentT.__new__(StudentT)
    student.df, student.loc, student.scale = leaves
    Distribution.__init__(student, getattr(student.df, "shape", torch.Size()), validate_args=False)
    student._validate_args = validate_args
    return student


pytree.register_pytree_node(
    StudentT,
    _flatten,
    _unflatten,
    serialized_type_name="evidential_nig.StudentT",
    flatten_with_keys_fn=_flatten_with_keys,
)
