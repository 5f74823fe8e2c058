"""References at 50 digits, written from the paper's equations and not from the package's forms of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import mpmath
import pytest
import torch
from hypothesis import settings
from mpmath import mpf

settings.register_profile("quick", max_examples=60, deadline=None, derandomize=True)
settings.load_profile("quick")
mpmath.mp.dps = 50


class Exact(NamedTuple):
    """A number and the sum of the magnitudes of the terms it is made of, which is what its error is measured by."""

    value: mpf
    scale: mpf


@cache
def exact_gamma_ratio(alpha: mpf) -> tuple[mpf, mpf]:
    """log Γ(α)/Γ(α + ½) and its derivative."""
    half = alpha + mpf(1) / 2
    return mpmath.loggamma(alpha) - mpmath.loggamma(half), mpmath.psi(0, alpha) - mpmath.psi(0, half)


def exact_nll(loc: float, nu: float, alpha_minus_one: float, beta: float, target: float) -> dict[str, Exact]:
    """Eq. 1 and its four derivatives as they follow from the equation as printed."""
    nu_, beta_ = mpf(nu), mpf(beta)
    alpha = 1 + mpf(alpha_minus_one)
    residual = mpf(target) - mpf(loc)
    omega = 2 * beta_ * (1 + nu_)
    inside = residual**2 * nu_ + omega
    ratio, ratio_slope = exact_gamma_ratio(alpha)
    value = (
        mpmath.log(mpmath.pi / nu_) / 2 + ratio - alpha * mpmath.log(omega) + (alpha + mpf(1) / 2) * mpmath.log(inside)
    )
    # The terms: ½ log π, the gamma ratio, α·log1p(r²/s) and ½ log(r² + s) with s = Ω/ν, and what they give by s.
    s = omega / nu_
    growth = mpmath.log1p(residual**2 / s)
    terms = [mpmath.log(mpmath.pi) / 2, ratio, alpha * growth, mpmath.log(residual**2 + s) / 2]
    by_s = alpha * residual**2 / (s * (s + residual**2)) + 1 / (2 * (s + residual**2))
    by_loc = -(2 * alpha + 1) * residual * nu_ / inside
    return {
        "value": Exact(value, sum(abs(term) for term in terms)),
        "loc": Exact(by_loc, abs(by_loc)),
        "nu": Exact(
            -1 / (2 * nu_) - 2 * alpha * beta_ / omega + (alpha + mpf(1) / 2) * (residual**2 + 2 * beta_) / inside,
            by_s * 2 * beta_ / nu_**2,
        ),
        "alpha": Exact(
            ratio_slope - mpmath.log(omega) + mpmath.log(inside),
            abs(ratio_slope) + growth,
        ),
        "beta": Exact(-alpha / beta_ + (2 * alpha + 1) * (1 + nu_) / inside, by_s * s / beta_),
    }


def exact_regularizer(loc: float, nu: float, alpha_minus_one: float, target: float) -> mpf:
    """Eq. 2."""
    return abs(mpf(target) - mpf(loc)) * (2 * mpf(nu) + 1 + mpf(alpha_minus_one))


@pytest.fixture(scope="session")
def reference_nll() -> Callable[..., dict[str, Exact]]:
    return exact_nll


@pytest.fixture(scope="session")
def reference_regularizer() -> Callable[..., mpf]:
    return exact_regularizer


@pytest.fixture(scope="session")
def reference_gamma_ratio() -> Callable[[mpf], tuple[mpf, mpf]]:
    return exact_gamma_ratio


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(20)
