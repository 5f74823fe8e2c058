"""Student's t with a distribution function, quantiles and the CRPS, all differentiable in every parameter.

Everything goes through the signed root of the deviance, w = sign(t) √(df · log1p(t²/df)), in which Student's t is
nearly normal whatever its degrees of freedom: with x = w²/df the density becomes

    g(w) = exp(c(df) − w²/2) h(x) / √(2π),    h(x) = √(x / (1 − exp(−x))),    c = log(Γ((df+1)/2) / (Γ(df/2) √(df/2))),

where h varies slowly and has no singularity near the real axis. So the same few nodes of Gauss and Legendre integrate
a tail, from w on, or the mass between the median and w, to rounding for every df: no iteration, no branch on df, and
tails as small as the format holds with all their digits. The quantile is the root of that integral, found by two steps
of Halley's method from a start that is off by 3 % at most.

Gradients are closed formulas, written so that nothing cancels as df grows: a derivative by df is of order 1/df², and
each term of it is too. They are made of differentiable operations, so there are second derivatives as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_SPLIT = 1.5  # |w| below which the mass from the median on is integrated, above which the tail is

_Partials: TypeAlias = Callable[..., tuple[Tensor | None, ...]]


def _with_partials(partials: _Partials) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Give an elementwise function of tensors of one shape its derivatives.

    Args:
        partials: Takes the arguments and the result, returns one derivative an argument, None for what has none; made
            of differentiable operations.
    """

    def decorate(value: Callable[..., Tensor]) -> Callable[..., Tensor]:
        class Traceable(torch.autograd.Function):
            generate_vmap_rule = True

            @staticmethod
            def forward(*arguments: Any) -> Tensor:
                return value(*arguments)

            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                ctx.rest = tuple(argument for argument in inputs if not isinstance(argument, Tensor))
                tensors = tuple(argument for argument in inputs if isinstance(argument, Tensor))
                ctx.save_for_backward(*tensors, output)

            @staticmethod
            def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
                *tensors, output = ctx.saved_tensors
                slopes = partials(*tensors, *ctx.rest, output)
                return (*(None if slope is None else gradient * slope for slope in slopes), *(None for _ in ctx.rest))

        class WithForwardMode(Traceable):
            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                Traceable.setup_context(ctx, inputs, output)
                ctx.save_for_forward(*(argument for argument in inputs if isinstance(argument, Tensor)), output)

            @staticmethod
            def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
                *tensors, output = ctx.saved_tensors
                slopes = partials(*tensors, *ctx.rest, output)
                total = torch.zeros_like(output)
                for tangent, slope in zip(tangents, slopes, strict=False):
                    if tangent is not None and slope is not None:
                        total = total + tangent * slope
                return total

        def function(*arguments: Any) -> Tensor:
            # torch.compile traces a custom function with its backward, but not one that has forward mode as well.
            chosen = Traceable if torch.compiler.is_compiling() else WithForwardMode
            result: Tensor = chosen.apply(*arguments)
            return result

        return function

    return decorate


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

    nodes: tuple[tuple[float, float], ...]  # of the integrals, on [0, 1], with weights
    reach: float  # a tail is cut where exp(−reach) of its density is left
    shift: int  # steps of the recurrence before the series of the normalizer
    normalizer: tuple[float, ...]  # coefficients of df⁻¹, df⁻³, …
    rise: tuple[float, ...]  # of x, x³, …: the series of 1/(1 − exp(−x)) − 1/x − ½
    largest: float  # squares of what is larger overflow


def _make_precision(nodes: int, reach: float, shift: int, terms: int, rise_terms: int, largest: float) -> _Precision:
    bernoulli = _bernoulli(max(terms, rise_terms))
    # exp(s) − 1 crowds the nodes where the density is highest.
    crowded = [
        (math.expm1(node) / math.expm1(1), weight * math.exp(node) / math.expm1(1))
        for node, weight in _gauss_legendre(nodes)
    ]
    return _Precision(
        nodes=tuple(crowded),
        reach=reach,
        shift=shift,
        normalizer=tuple(
            float((1 - 4**k) * number / (2 * k * (2 * k - 1))) for k, number in enumerate(bernoulli[:terms], 1)
        ),
        rise=tuple(float(number / math.factorial(2 * k)) for k, number in enumerate(bernoulli[:rise_terms], 1)),
        largest=largest,
    )


# Truncation errors, relative, for df >= 1: 4e-8 (integrals) and 1e-7 (their derivatives by df) for single precision,
# 1e-15 and 4e-14 for double.
_SINGLE = _make_precision(nodes=10, reach=17, shift=3, terms=4, rise_terms=5, largest=2.0**60)
_DOUBLE = _make_precision(nodes=22, reach=38, shift=8, terms=8, rise_terms=10, largest=2.0**500)


def _precision(dtype: torch.dtype) -> _Precision:
    return _DOUBLE if dtype == torch.float64 else _SINGLE


def _log_normalizer_slope(df: Tensor, *_: Any) -> tuple[Tensor]:
    precision = _precision(df.dtype)
    shifted = df + 2 * precision.shift
    inverse = shifted.reciprocal()
    square = inverse * inverse
    slope = torch.zeros_like(df)
    for k in range(len(precision.normalizer), 0, -1):
        slope = (slope - (2 * k - 1) * precision.normalizer[k - 1]) * square
    for i in range(precision.shift):
        odd = df + (2 * i + 1)
        slope = slope + 1 / (odd * (odd * odd - 1))
    return (slope,)


@_with_partials(_log_normalizer_slope)
def _log_normalizer(df: Tensor) -> Tensor:
    """log(Γ((df+1)/2) / (Γ(df/2) √(df/2))), which is −1/(4 df) + … and keeps all its digits.

    With d = df + 1, f(df) = f(df + 2) + ½ log(1 − 1/d²) moves df up to where the asymptotic series holds.
    """
    precision = _precision(df.dtype)
    inverse = (df + 2 * precision.shift).reciprocal()
    square = inverse * inverse
    series = torch.zeros_like(df)
    for coefficient in reversed(precision.normalizer):
        series = series * square + coefficient
    product = torch.zeros_like(df)  # Π (1 − 1/d²) − 1
    for i in range(precision.shift):
        factor = -(df + (2 * i + 1)).square().reciprocal()
        product = product + factor + product * factor
    return series * inverse + 0.5 * torch.log1p(product)


def _rise(x: Tensor) -> Tensor:
    """m(x) = 1/(1 − exp(−x)) − 1/x, from ½ at 0 to 1 at infinity; h² = 1 + x m and h'/h = (1 − m)/2."""
    near = x.clamp(max=1.0)
    square = near * near
    series = torch.zeros_like(x)
    for coefficient in reversed(_precision(x.dtype).rise):
        series = series * square + coefficient
    far = x.clamp(min=1.0)
    return torch.where(x < 1, 0.5 + near * series, -1 / torch.expm1(-far) - 1 / far)


def _root_slopes(t: Tensor, df: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    w = w.clamp(-1e18, 1e18)
    x = w * w / df
    m = _rise(x)
    return torch.exp(-0.5 * x) * torch.rsqrt(1 + x * m), -w * m * torch.expm1(-x) / (2 * df)


@_with_partials(_root_slopes)
def _root(t: Tensor, df: Tensor) -> Tensor:
    """The signed root of the deviance, w = sign(t) √(df · log1p(t²/df))."""
    largest = _precision(t.dtype).largest
    size = t.abs()
    square = size.clamp(max=largest).square()
    # What a square that would overflow lacks is added to its logarithm.
    x = torch.log1p(square / df) + 2 * torch.log((size / largest).clamp(min=1))
    return torch.sqrt(df * x).copysign(t)


def _unroot_slopes(w: Tensor, df: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    x = w * w / df
    m = _rise(x)
    by_w = torch.exp(0.5 * x) * torch.sqrt(1 + x * m)
    return by_w, by_w * w * m * torch.expm1(-x) / (2 * df)


@_with_partials(_unroot_slopes)
def _unroot(w: Tensor, df: Tensor) -> Tensor:
    """The inverse of `_root`: t = sign(w) √(df · (exp(w²/df) − 1))."""
    x = w * w / df
    return (torch.sqrt(-df * torch.expm1(-x)) * torch.exp(0.5 * x)).copysign(w)


def _density(w: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """g(w)."""
    x = w * w / df
    normalizer = _log_normalizer(df.to(dtype)).to(df.dtype) - _HALF_LOG_TWO_PI
    return torch.exp(normalizer - 0.5 * w * w) * torch.sqrt(1 + x * _rise(x))


def _integral(size: Tensor, central: Tensor, df: Tensor, integrand: Callable[[Tensor], Tensor]) -> Tensor:
    """∫ exp((a² − z²)/2) integrand(z²/df) dz: over [0, size], a = 0, where `central`; else over [size, ∞), a = size."""
    precision = _precision(size.dtype)
    zero = torch.zeros_like(size)
    start = torch.where(central, zero, size)
    cut = 2 * precision.reach
    length = torch.where(central, size, cut / (torch.sqrt(size * size + cut) + size))
    total = zero
    for node, weight in precision.nodes:
        step = node * length
        z = start + step
        total = total + weight * torch.exp(-step * (start + 0.5 * step)) * integrand(z * z / df)
    return length * total


def _h(x: Tensor) -> Tensor:
    x = x.clamp(min=torch.finfo(x.dtype).tiny)
    return torch.sqrt(-x / torch.expm1(-x))


def _cdf_slopes(w: Tensor, df: Tensor, dtype: torch.dtype, cdf: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    density = _density(w, df, dtype)
    return density, density * _cdf_by_df(w, df, dtype)


def _cdf_by_df(w: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """The derivative of the distribution function by df at a fixed w, divided by the density."""
    side = torch.where(w < 0, -1.0, 1.0).to(w.dtype)
    size = (side * w).clamp(max=1e3)
    central = size < _SPLIT
    df = df.to(dtype)
    (slope,) = _log_normalizer_slope(df)

    def integrand(x: Tensor) -> Tensor:
        m = _rise(x)
        return torch.sqrt(1 + x * m) * (slope - 0.5 * x * (1 - m) / df)

    part = _integral(size.to(dtype), central, df, integrand).to(w.dtype)
    x = size * size / df
    scale = torch.rsqrt(1 + x * _rise(x)) * torch.where(central, torch.exp(0.5 * size * size), -1.0)
    return side * scale * part


@_with_partials(_cdf_slopes)
def _cdf(w: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """P(W ≤ w)."""
    size = w.abs().clamp(max=1e3)
    central = size < _SPLIT
    normalizer = _log_normalizer(df.to(dtype)).to(df.dtype) - _HALF_LOG_TWO_PI
    part = _integral(size.to(dtype), central, df.to(dtype), _h).to(w.dtype)
    mass = part * torch.exp(normalizer - torch.where(central, 0.0, 0.5 * size * size))
    return torch.where(central, 0.5 + mass.copysign(w), torch.where(w < 0, mass, 1 - mass))


def _quantile_slopes(
    centre: Tensor,  # noqa: ARG001
    tail: Tensor,  # noqa: ARG001
    df: Tensor,
    dtype: torch.dtype,
    w: Tensor,
) -> tuple[Tensor, None, Tensor]:
    return 1 / _density(w, df, dtype), None, -_cdf_by_df(w, df, dtype)


@_with_partials(_quantile_slopes)
def _quantile(centre: Tensor, tail: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """The w with P(W ≤ w) = ½ + `centre`, where `tail` = ½ − |centre|.

    Both are taken so that neither a probability near ½ nor one near 0 or 1 loses digits; the derivative is that by
    `centre`.
    """
    off = centre.abs()
    tiny = torch.finfo(tail.dtype).tiny
    floored = tail.clamp(min=tiny)
    normal = torch.special.ndtri(floored)
    x = normal * normal / df
    w = torch.sqrt(normal * normal + torch.log1p(x * _rise(x)))
    narrow = df.to(dtype)
    normalizer = _log_normalizer(narrow).to(df.dtype) - _HALF_LOG_TWO_PI
    log_tail = torch.log(floored)
    for _ in range(2):
        central = w < _SPLIT
        part = _integral(w.to(dtype), central, narrow, _h).to(w.dtype)
        x = w * w / df
        m = _rise(x)
        h = torch.sqrt(1 + x * m)
        drop = w * (1 - (1 - m) / df)  # −g'/g
        # Newton's step and f''/f' for f = mass − centre near the median, f = log(tail) further out.
        near_step = (off * torch.exp(0.5 * w * w - normalizer) - part * torch.exp(0.5 * w * w)) / h
        far_step = (normalizer - 0.5 * w * w + torch.log(part) - log_tail) * part / h
        step = torch.where(central, near_step, far_step)
        bend = torch.where(central, -drop, h / part - drop)
        w = w + step / (1 + 0.5 * step * bend)
    return torch.where(tail > 0, w, torch.inf).copysign(centre)


class StudentT(torch.distributions.StudentT):
    """Student's t: `torch.distributions.StudentT` with `cdf`, `sf`, `icdf`, `interval` and `crps`.

    All of them are differentiable, twice, in the value or probability and in the three parameters, and keep their
    digits for df from 1 to 1e12: relative to the result (tails as well) about 1e-6 in single precision and 1e-13 in
    double, gradients by df included, although those are of order 1/df². `log_prob` and `entropy` too are in a form
    that does not cancel as df grows.

    Results have the dtype of the parameters, at least `float32`. Single precision is computed in double where an
    exponent needs it (in single precision throughout on devices that lack double, where far tails have fewer digits).

    Args:
        df: Degrees of freedom, positive.
        loc: Location, real; the mean where df > 1.
        scale: Scale, positive, in units of `loc`; not the standard deviation, which is `scale` · √(df/(df − 2)).
        validate_args: Whether to check the constraints; None takes the setting of `torch.distributions`.

    The parameters are broadcast against each other; `batch_shape` is their common shape. Values and probabilities are
    broadcast against that, as everywhere in `torch.distributions`.

    Raises:
        ValueError: If a parameter is NaN or outside its range (only when arguments are validated).

    Example:
        >>> student = StudentT(torch.tensor([2.0, 1e6]), loc=1.0, scale=0.5)
        >>> student.cdf(torch.tensor(2.0))
        tensor([0.9082, 0.9772])
        >>> student.interval(0.95)
        (tensor([-1.1513,  0.0200]), tensor([3.1513, 1.9800]))
    """

    df: Tensor
    loc: Tensor
    scale: Tensor

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density.

        With r = (value − loc)/scale and x = log1p(r²/df): c(df) − ½ log(2π) − log(scale) − ½ (df + 1) x.

        Args:
            value: Shape that broadcasts with the batch shape.
        """
        if self._validate_args:
            self._validate_sample(value)
        dtype, _ = self._dtypes()
        w, df = self._standardized(value, dtype)
        return _log_normalizer(df) - _HALF_LOG_TWO_PI - torch.log(self.scale.to(dtype)) - 0.5 * (w * w + w * w / df)

    def cdf(self, value: Tensor) -> Tensor:
        """P(X ≤ value), with its digits in the lower tail; `sf` has them in the upper one.

        Args:
            value: Shape that broadcasts with the batch shape.
        """
        return self._probability(value, 1)

    def sf(self, value: Tensor) -> Tensor:
        """P(X > value), the survival function: 1 − `cdf` with its digits in the upper tail.

        Args:
            value: Shape that broadcasts with the batch shape.

        Example:
            >>> StudentT(torch.tensor(5.0)).sf(torch.tensor(1e6))
            tensor(9.4902e-30)
        """
        return self._probability(value, -1)

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile: the x with P(X ≤ x) = value.

        Args:
            value: Probabilities in [0, 1], shape that broadcasts with the batch shape; 0 and 1 give −inf and inf.

        Raises:
            ValueError: If a probability is NaN or outside [0, 1] (only when arguments are validated).

        Example:
            >>> StudentT(torch.tensor(2.0)).icdf(torch.tensor([0.0, 1e-30, 0.5, 0.975]))
            tensor([       -inf, -7.0711e+14,  0.0000e+00,  4.3027e+00])
        """
        self._check_probability("value", value)
        dtype, wide = self._dtypes()
        probability = value.to(wide)
        quantile = self._standard_quantile(probability - 0.5, torch.minimum(probability, 1 - probability))
        return (self.loc.to(wide) + self.scale.to(wide) * quantile).to(dtype)

    def interval(self, level: Tensor | float) -> tuple[Tensor, Tensor]:
        """Bounds of the central interval that holds a share `level` of the probability.

        Args:
            level: In [0, 1], shape that broadcasts with the batch shape.

        Returns:
            Lower and upper bound, of the broadcast shape.

        Raises:
            ValueError: If a level is NaN or outside [0, 1] (only when arguments are validated).

        Example:
            >>> StudentT(torch.tensor(4.0), loc=3.0).interval(0.5)
            (tensor(2.2593), tensor(3.7407))
        """
        dtype, wide = self._dtypes()
        level = torch.as_tensor(level, dtype=wide, device=self.df.device)
        self._check_probability("level", level)
        reach = self.scale.to(wide) * self._standard_quantile(0.5 * level, 0.5 * (1 - level))
        loc = self.loc.to(wide)
        return (loc - reach).to(dtype), (loc + reach).to(dtype)

    def crps(self, value: Tensor) -> Tensor:
        """Continuous ranked probability score of an observation: ∫ (P(X ≤ x) − 1{x ≥ value})² dx. Units of `loc`.

        With r = (value − loc)/scale, F and f those of loc 0 and scale 1, and B the beta function:

            scale · (r (2F(r) − 1) + 2 f(r) (df + r²)/(df − 1) − 2 √df B(½, df − ½) / ((df − 1) B(½, df/2)²)).

        Source: Jordan, Krüger and Lerch, "Evaluating probabilistic forecasts with scoringRules", 2019, Appendix A.

        Args:
            value: Observations, shape that broadcasts with the batch shape.

        Returns:
            Scores, at least 0, lower is better. For df > 1; near 1 the last two terms cancel.

        Example:
            >>> StudentT(torch.tensor(1e6)).crps(torch.tensor([0.0, 3.0]))
            tensor([0.2337, 2.4366])
        """
        if self._validate_args:
            self._validate_sample(value)
        dtype, wide = self._dtypes()
        w, df = self._standardized(value, wide)
        standard = (value.to(wide) - self.loc.to(wide)) / self.scale.to(wide)
        narrow = df.to(dtype)
        normalizer = _log_normalizer(narrow).to(wide)
        excess = 1 / (df - 1)
        tails = (1 + excess) * torch.exp(normalizer - _HALF_LOG_TWO_PI - 0.5 * w * w * (1 - 1 / df))
        pair = torch.exp(2 * normalizer - _log_normalizer(2 * narrow - 1).to(wide))
        spread = (1 + excess) * torch.rsqrt(1 - 0.5 / df) * pair / math.sqrt(math.pi)
        score = standard * (2 * _cdf(w, df, dtype) - 1) + 2 * tails - spread
        return (self.scale.to(wide) * score).to(dtype)

    def entropy(self) -> Tensor:
        """Differential entropy, of the batch shape: ½ log(2πe) + log(scale) − c + (df + 1) c' + 1/(2 df)."""
        dtype, _ = self._dtypes()
        df = self.df.to(dtype)
        (slope,) = _log_normalizer_slope(df)
        correction = (df + 1) * slope + 0.5 / df - _log_normalizer(df)
        return 0.5 + _HALF_LOG_TWO_PI + torch.log(self.scale.to(dtype)) + correction

    def _dtypes(self) -> tuple[torch.dtype, torch.dtype]:
        """Of results, and of what needs more digits to give them."""
        dtype = torch.promote_types(self.df.dtype, torch.float32)
        return dtype, dtype if self.df.device.type == "mps" else torch.float64

    def _standardized(self, value: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The signed root and df, of one shape."""
        standard = (value.to(dtype) - self.loc.to(dtype)) / self.scale.to(dtype)
        standard, df = torch.broadcast_tensors(standard, self.df.to(dtype))  # type: ignore[no-untyped-call]
        return _root(standard, df), df

    def _probability(self, value: Tensor, side: int) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        dtype, wide = self._dtypes()
        w, df = self._standardized(value, wide)
        result: Tensor = _cdf(side * w, df, dtype).to(dtype)
        return result

    def _standard_quantile(self, centre: Tensor, tail: Tensor) -> Tensor:
        dtype, _ = self._dtypes()
        centre, tail, df = torch.broadcast_tensors(centre, tail, self.df.to(centre.dtype))  # type: ignore[no-untyped-call]
        result: Tensor = _unroot(_quantile(centre, tail, df, dtype), df)
        return result

    def _check_probability(self, name: str, value: Tensor) -> None:
        if self._validate_args and not bool(((value >= 0) & (value <= 1)).all()):
            raise ValueError(f"{name} must be a probability in [0, 1], got {value}")
