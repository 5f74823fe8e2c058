"""The standard Student t through the signed root of its deviance: distribution function, quantiles and CRPS.

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
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from evidential_nig.closed_gradients import with_partials
from evidential_nig.gauss_legendre import gauss_legendre

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_SPLIT = 1.5  # |w| below which the mass from the median on is integrated, above which the tail is

_FAR = 1e9  # |w| beyond which nothing is left of a density, and that keeps infinity out of the formulas
_NEAR = 0.25  # x below which the series of 1/(1 − exp(−x)) − 1/x is used; its terms would cancel


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
    rule = gauss_legendre(nodes)
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


def log_normalizer_slope(df: Tensor, _: Tensor | None = None) -> Tensor:
    """The derivative of `log_normalizer`, 1/(4 df²) + …."""
    precision = _precision(df.dtype)
    square = (df + 2 * precision.shift).reciprocal().square()
    series = torch.zeros_like(df)
    for k in range(len(precision.normalizer), 0, -1):
        series = (series - (2 * k - 1) * precision.normalizer[k - 1]) * square
    odd = df + _column(precision.odd, df)
    return series + (odd * (odd * odd - 1)).reciprocal().sum(0)


@with_partials(log_normalizer_slope)
def log_normalizer(df: Tensor) -> Tensor:
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


@with_partials(_root_by_t, _root_by_df)
def root(t: Tensor, df: Tensor) -> Tensor:
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


@with_partials(_unroot_by_w, _unroot_by_df)
def unroot(w: Tensor, df: Tensor) -> Tensor:
    """The inverse of `root`: t = sign(w) √(df · (exp(w²/df) − 1))."""
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
    normalizer = log_normalizer(df.to(dtype)).to(df.dtype) - HALF_LOG_TWO_PI
    return torch.exp(normalizer - 0.5 * w * w) * torch.sqrt(1 + x * _rise(x))


def _cdf_by_df(w: Tensor, df: Tensor, cdf: Tensor, dtype: torch.dtype) -> Tensor:
    return _density(w, df, cdf, dtype) * _shift_by_df(w, df, dtype)


def _shift_by_df(w: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """The derivative of the distribution function by df at a fixed w, divided by the density."""
    side = torch.where(w < 0, -1.0, 1.0).to(w.dtype)
    size = (side * w).clamp(max=_FAR)
    central = size < _SPLIT
    narrow = df.to(dtype)
    slope = log_normalizer_slope(narrow)
    half_inverse = 0.5 / narrow

    def integrand(minus_x: Tensor) -> Tensor:
        m = _rise(-minus_x)
        return torch.sqrt(1 - minus_x * m) * (slope + minus_x * (1 - m) * half_inverse)

    part = _integral(size.to(dtype), central, narrow, integrand).to(w.dtype)
    x = size * size / df
    scale = torch.rsqrt(1 + x * _rise(x)) * torch.where(central, torch.exp(0.5 * size * size), -1.0)
    return side * scale * part


@with_partials(_density, _cdf_by_df)
def signed_cdf(w: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """P(W ≤ w), with the integral in `dtype` and the rest in the precision of the arguments."""
    size = w.abs().clamp(max=_FAR)
    central = size < _SPLIT
    normalizer = log_normalizer(df.to(dtype)).to(df.dtype) - HALF_LOG_TWO_PI
    part = _integral(size.to(dtype), central, df.to(dtype), _h).to(w.dtype)
    mass = part * torch.exp(normalizer - torch.where(central, 0.0, 0.5 * size * size))
    return torch.where(central, 0.5 + mass.copysign(w), torch.where(w < 0, mass, 1 - mass))


def _quantile_by_centre(centre: Tensor, tail: Tensor, df: Tensor, w: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ARG001
    return 1 / _density(w, df, w, dtype)


def _quantile_by_df(centre: Tensor, tail: Tensor, df: Tensor, w: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ARG001
    return -_shift_by_df(w, df, dtype)


@with_partials(_quantile_by_centre, None, _quantile_by_df)
def signed_quantile(centre: Tensor, tail: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """The w with P(W ≤ w) = ½ + `centre`, where `tail` = ½ − |centre|.

    Both are taken so that neither a probability near ½ nor one near 0 or 1 loses digits; the derivative is that by
    `centre`.
    """
    off = centre.abs()
    tiny = torch.finfo(tail.dtype).tiny
    floored = tail.clamp(min=tiny)
    normal = torch.special.ndtri(floored).square()
    w = torch.sqrt(normal + 2 * torch.log(_h(-normal / df)))
    normalizer = log_normalizer(df.to(dtype)).to(df.dtype) - HALF_LOG_TWO_PI
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
    result: Tensor = 2 * signed_cdf(root(t, df), df, dtype) - 1
    return result


def _score_by_df(t: Tensor, df: Tensor, score: Tensor, dtype: torch.dtype) -> Tensor:  # noqa: ARG001
    w = root(t, df)
    narrow = df.to(dtype)
    excess = 1 / (df - 1)
    common = log_normalizer_slope(narrow).to(df.dtype) - excess * excess / (1 + excess)
    bend = _root_by_df(t, df, w)
    cdf_slope = _density(w, df, w, dtype) * (_shift_by_df(w, df, dtype) + bend)
    tails_slope = common - w * (bend * (1 - 1 / df) + 0.5 * w / (df * df))
    spread_slope = common - 0.25 / (df * df - 0.5 * df)
    spread_slope = spread_slope + (log_normalizer_slope(narrow) - 2 * log_normalizer_slope(2 * narrow - 1)).to(df.dtype)
    tails, spread = _score_parts(w, df, dtype)
    return 2 * t * cdf_slope + tails * tails_slope - spread * spread_slope


def _score_parts(w: Tensor, df: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The second and the third term of the CRPS: 2 f(t) (df + t²)/(df − 1), and what depends on df alone."""
    narrow = df.to(dtype)
    normalizer = log_normalizer(narrow).to(df.dtype)
    factor = 1 + 1 / (df - 1)
    tails = 2 * factor * torch.exp(normalizer - HALF_LOG_TWO_PI - 0.5 * w * w * (1 - 1 / df))
    pair = torch.exp(2 * normalizer - log_normalizer(2 * narrow - 1).to(df.dtype))
    return tails, factor * torch.rsqrt(1 - 0.5 / df) * pair / math.sqrt(math.pi)


@with_partials(_score_by_t, _score_by_df)
def signed_score(t: Tensor, df: Tensor, dtype: torch.dtype) -> Tensor:
    """The CRPS at location 0 and scale 1."""
    w = root(t, df)
    tails, spread = _score_parts(w, df, dtype)
    return t * (2 * signed_cdf(w, df, dtype) - 1) + tails - spread
