"""Errors of StudentT against 50-digit references, beside SciPy's, and times beside SciPy's, in one run.

    python packages/evidential-nig/benchmarks/student_t.py [--quick] [--rows N] [--repeats N] [--device DEVICE]

Prints three tables: the largest relative errors of tails, quantiles and the CRPS with their gradients over df from 2 to
1e6 (needs mpmath and SciPy), the same errors along df, and times. SciPy computes in double precision on one core; times
are the shortest of repetitions that take turns, and what counts is their ratio.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import mpmath  # type: ignore[import-untyped]
import scipy.stats
import torch
from accuracy_and_speed import shortest_times  # the script beside this one
from torch import Tensor

from evidential_nig.student_t import StudentT

mpmath.mp.dps = 50
DFS = (2.0, 3.0, 5.0, 10.0, 30.0, 1e2, 1e3, 1e4, 1e6)
VALUES = (2.0**-10, 0.25, 1.0, 1.5, 1.625, 3.0, 8.0, 30.0)
PROBABILITIES = (1e-300, 1e-100, 1e-30, 1e-10, 1e-4, 0.01, 0.07, 0.25, 0.5 - 2.0**-20)
NAMES = ("sf", "icdf", "crps")
COLUMNS = ("value", "d/d argument", "d/d df")

Triple = tuple[mpmath.mpf, mpmath.mpf, mpmath.mpf]


def density(t: mpmath.mpf, df: mpmath.mpf) -> mpmath.mpf:
    """Of loc 0 and scale 1."""
    ratio = mpmath.loggamma((df + 1) / 2) - mpmath.loggamma(df / 2)
    return mpmath.exp(ratio - (df + 1) / 2 * mpmath.log1p(t * t / df)) / mpmath.sqrt(mpmath.pi * df)


@cache
def tail(t: mpmath.mpf, df: mpmath.mpf) -> mpmath.mpf:
    """P(T > t) for t > 0."""
    return mpmath.betainc(df / 2, mpmath.mpf(1) / 2, 0, df / (df + t * t), regularized=True) / 2


def crps(t: mpmath.mpf, df: mpmath.mpf) -> mpmath.mpf:
    """For t > 0."""
    half = mpmath.mpf(1) / 2
    spread = 2 * mpmath.sqrt(df) / (df - 1) * mpmath.beta(half, df - half) / mpmath.beta(half, df / 2) ** 2
    return t * (1 - 2 * tail(t, df)) + 2 * density(t, df) * (df + t * t) / (df - 1) - spread


def by_df(function: Callable[[mpmath.mpf, mpmath.mpf], mpmath.mpf], t: mpmath.mpf, df: mpmath.mpf) -> mpmath.mpf:
    """The derivative by df, by differences so small that 20 digits are left."""
    step = df * mpmath.mpf(10) ** -14
    with mpmath.workdps(75):
        return (function(t, df + step) - function(t, df - step)) / (2 * step)


@cache
def exact(name: str, argument: float, df: float) -> Triple:
    """Value and derivatives by the argument and df."""
    x, d = mpmath.mpf(argument), mpmath.mpf(df)
    if name == "sf":
        return tail(x, d), -density(x, d), by_df(tail, x, d)
    if name == "crps":
        return crps(x, d), 1 - 2 * tail(x, d), by_df(crps, x, d)
    start = StudentT(torch.tensor(df, dtype=torch.float64)).icdf(torch.tensor(argument, dtype=torch.float64))
    t = -mpmath.mpf(start.item())
    for _ in range(4):  # Newton's method at 50 digits: where it starts leaves no trace
        t += (tail(t, d) / x - 1) * tail(t, d) / density(t, d)
    if abs(tail(t, d) / x - 1) > mpmath.mpf(10) ** -30:
        raise ArithmeticError(f"the reference quantile of {argument} at df {df} has not converged")
    return -t, 1 / density(t, d), by_df(tail, t, d) * -1 / density(t, d)


def ours(name: str, argument: float, df: float, dtype: torch.dtype) -> list[float]:
    """Value and derivatives by the argument and df."""
    x, d = (torch.tensor(number, dtype=dtype, requires_grad=True) for number in (argument, df))
    result = getattr(StudentT(d), name)(x)
    return [number.item() for number in (result, *torch.autograd.grad(result, (x, d)))]


def scipys(name: str, argument: float, df: float) -> list[float]:
    """The value alone; SciPy has no derivatives and no CRPS."""
    function: Any = {"sf": scipy.stats.t.sf, "icdf": scipy.stats.t.ppf}.get(name)
    return [] if function is None else [float(function(argument, df))]


def points(name: str, dtype: torch.dtype, dfs: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Arguments, as the precision holds them, and df, where no part of the reference leaves its normal range."""
    information = torch.finfo(dtype)
    for df in dfs:
        for argument in PROBABILITIES if name == "icdf" else VALUES:
            rounded = torch.tensor(argument, dtype=dtype).item()
            if rounded < information.tiny:
                continue
            if all(10 * information.tiny < abs(part) < 0.1 * information.max for part in exact(name, rounded, df)):
                yield rounded, df


def errors(name: str, dtype: torch.dtype, dfs: Sequence[float], computed: Callable[..., list[float]]) -> list[float]:
    """The largest relative error of each part; infinite where a result is not a number."""
    worst: list[float] = []
    for argument, df in points(name, dtype, dfs):
        parts = zip(computed(name, argument, df), exact(name, argument, df), strict=False)
        found = [float(abs((value - part) / part)) if math.isfinite(value) else math.inf for value, part in parts]
        worst = [max(pair) for pair in zip(worst or found, found, strict=True)]
    return worst


def print_row(label: str, cells: Sequence[str]) -> None:
    """One row of a Markdown table."""
    print(f"| {label:<18} | " + " | ".join(f"{cell:>12}" for cell in cells) + " |")


def print_head(label: str, cells: Sequence[str]) -> None:
    """The first two rows of a Markdown table."""
    print_row(label, cells)
    print_row("---", ["---:"] * len(cells))


def worst_errors(dfs: Sequence[float]) -> None:
    """Both precisions and SciPy over the whole grid."""
    print(f"\nLargest relative error over df {dfs[0]:g}..{dfs[-1]:g}, t 0.001..30, probabilities 1e-300..0.5\n")
    print_head("", COLUMNS)
    for name in NAMES:
        for dtype in (torch.float32, torch.float64):

            def computed(*point: Any, dtype: torch.dtype = dtype) -> list[float]:
                return ours(*point, dtype)

            cells = [f"{error:.1e}" for error in errors(name, dtype, dfs, computed)]
            print_row(f"{name}, {str(dtype).removeprefix('torch.')}", cells)
        reference = errors(name, torch.float64, dfs, scipys)
        if reference:
            print_row(f"{name}, SciPy", [f"{reference[0]:.1e}", "", ""])


def errors_along_df(dfs: Sequence[float]) -> None:
    """The derivative by df, which is of order 1/df²."""
    print("\nLargest relative error of d/d df along df, float32\n")
    print_head("", [f"{df:g}" for df in dfs])
    for name in NAMES:
        rows = [errors(name, torch.float32, [df], lambda *point: ours(*point, torch.float32))[2] for df in dfs]
        print_row(name, [f"{error:.1e}" for error in rows])


def compare_times(rows: int, repeats: int, device: str) -> None:
    """Forward alone, and forward and backward to df and the argument, beside SciPy's forward."""
    generator = torch.Generator().manual_seed(0)
    df = 2 * 10 ** (5 * torch.rand(rows, generator=generator, dtype=torch.float64))
    value = 3 * torch.randn(rows, generator=generator, dtype=torch.float64)
    probability = torch.rand(rows, generator=generator, dtype=torch.float64)
    peers = {"cdf": scipy.stats.t.cdf, "icdf": scipy.stats.t.ppf, "log_prob": scipy.stats.t.logpdf}
    print(f"\n{rows:,} rows, {device}; the ratio is how many times longer SciPy takes than the forward\n")
    print_head("", ["forward", "and backward", "SciPy", "ratio"])
    for name, peer in peers.items():
        argument = probability if name == "icdf" else value

        def scipy_call(peer: Any = peer, argument: Tensor = argument) -> object:
            return peer(argument.numpy(), df.numpy())

        for dtype in (torch.float32, torch.float64):
            leaves = [tensor.to(device, dtype, copy=True).requires_grad_() for tensor in (df, argument)]

            def forward(name: str = name, leaves: list[Tensor] = leaves) -> Tensor:
                result: Tensor = getattr(StudentT(leaves[0], validate_args=False), name)(leaves[1])
                return result

            def both(forward: Callable[[], Tensor] = forward, leaves: list[Tensor] = leaves) -> object:
                return torch.autograd.grad(forward().sum(), leaves)

            times = shortest_times([torch.no_grad()(forward), both, scipy_call], repeats, device)
            cells = [f"{1e3 * seconds:.1f} ms" for seconds in times] + [f"{times[2] / times[0]:.1f}x"]
            print_row(f"{name}, {str(dtype).removeprefix('torch.')}", cells)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="a short run: 10,000 rows, one repetition, four df")
    arguments = parser.parse_args()
    dfs: tuple[float, ...] = DFS
    if arguments.quick:
        arguments.rows, arguments.repeats, dfs = 10_000, 1, (2.0, 5.0, 1e3, 1e6)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; SciPy {scipy.__version__}")
    worst_errors(dfs)
    errors_along_df(dfs)
    compare_times(arguments.rows, arguments.repeats, arguments.device)


if __name__ == "__main__":
    main()
