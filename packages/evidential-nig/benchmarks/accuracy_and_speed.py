"""Errors, times and memory of this package beside edl-pytorch's and torch-uncertainty's, on the same inputs in one run.

    python packages/evidential-nig/benchmarks/accuracy_and_speed.py [--quick] [--rows N] [--repeats N] [--device DEVICE]

Needs what is in requirements.txt beside it. Prints tables of: errors of the likelihood and its gradients over the whole
range of the parameters and along α (against 50-digit references), time and peak memory of the loss forward and
backward, time of fusing 15 experts, and time of importing the package. Times are the shortest of repetitions that
take turns; what counts is their ratio.
"""

from __future__ import annotations

import argparse
import itertools
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import mpmath  # type: ignore[import-untyped]
import torch
from torch import Tensor

from evidential_nig import NormalInverseGamma, evidential_loss, fuse, nig_nll

mpmath.mp.dps = 50
EXPERTS = 15
TAU = 0.05
NAMES = ("value", "d/d loc", "d/d nu", "d/d alpha", "d/d beta")

# From δ, ν, α − 1, β and y to one likelihood a row, or to the mean of the loss with the evidence regulariser.
Function = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
# From δ, ν, α − 1 and β of the experts to those of the fused distribution.
Fusion = Callable[[Sequence[Tensor]], list[Tensor]]


def our_nll(loc: Tensor, nu: Tensor, alpha_minus_one: Tensor, beta: Tensor, target: Tensor) -> Tensor:
    """This package's likelihood."""
    nig = NormalInverseGamma.from_alpha_minus_one(loc, nu, alpha_minus_one, beta, validate_args=False)
    return nig_nll(nig, target, reduction="none")


def our_loss(loc: Tensor, nu: Tensor, alpha_minus_one: Tensor, beta: Tensor, target: Tensor) -> Tensor:
    """This package's loss."""
    nig = NormalInverseGamma.from_alpha_minus_one(loc, nu, alpha_minus_one, beta, validate_args=False)
    return evidential_loss(nig, target, TAU)


def edl_nll(loc: Tensor, nu: Tensor, alpha_minus_one: Tensor, beta: Tensor, target: Tensor) -> Tensor:
    """edl-pytorch's likelihood, which comes as a mean only."""
    from edl_pytorch.loss import nig_nll as nll  # type: ignore[import-not-found]

    result: Tensor = torch.func.vmap(nll)(loc, nu, 1 + alpha_minus_one, beta, target)
    return result


def edl_loss(loc: Tensor, nu: Tensor, alpha_minus_one: Tensor, beta: Tensor, target: Tensor) -> Tensor:
    """edl-pytorch's loss."""
    from edl_pytorch import evidential_regression  # type: ignore[import-not-found]

    result: Tensor = evidential_regression((loc, nu, 1 + alpha_minus_one, beta), target, TAU)
    return result


def torch_uncertainty_nll(loc: Tensor, nu: Tensor, alpha_minus_one: Tensor, beta: Tensor, target: Tensor) -> Tensor:
    """torch-uncertainty's likelihood."""
    from torch_uncertainty.utils.distributions import (  # type: ignore[import-not-found]
        NormalInverseGamma as Distribution,
    )

    result: Tensor = -Distribution(loc, nu, 1 + alpha_minus_one, beta, validate_args=False).log_prob(target)
    return result


def torch_uncertainty_loss(loc: Tensor, nu: Tensor, alpha_minus_one: Tensor, beta: Tensor, target: Tensor) -> Tensor:
    """torch-uncertainty's loss, which wants a column."""
    from torch_uncertainty.losses import DERLoss  # type: ignore[import-not-found]
    from torch_uncertainty.utils.distributions import NormalInverseGamma as Distribution

    columns = (value.unsqueeze(-1) for value in (loc, nu, 1 + alpha_minus_one, beta))
    result: Tensor = DERLoss(TAU)(Distribution(*columns, validate_args=False), target.unsqueeze(-1))
    return result


NLLS: dict[str, Function] = {
    "evidential-nig": our_nll,
    "edl-pytorch": edl_nll,
    "torch-uncertainty": torch_uncertainty_nll,
}
LOSSES: dict[str, Function] = {
    "evidential-nig": our_loss,
    "edl-pytorch": edl_loss,
    "torch-uncertainty": torch_uncertainty_loss,
}


def exact(nu: float, alpha_minus_one: float, beta: float, target: float) -> list[tuple[mpmath.mpf, mpmath.mpf]]:
    """Value and derivatives at δ = 0, each with the sum of the magnitudes of its terms."""
    v, a, b, r = mpmath.mpf(nu), 1 + mpmath.mpf(alpha_minus_one), mpmath.mpf(beta), mpmath.mpf(target)
    half = mpmath.mpf(1) / 2
    s = 2 * b * (1 + 1 / v)
    ratio = mpmath.loggamma(a) - mpmath.loggamma(a + half)
    ratio_slope = mpmath.psi(0, a) - mpmath.psi(0, a + half)
    growth = mpmath.log1p(r**2 / s)
    terms = [mpmath.log(mpmath.pi) / 2, ratio, a * growth, mpmath.log(r**2 + s) / 2]
    by_loc = -(2 * a + 1) * r / (r**2 + s)
    fit, width = -a * r**2 / (s * (s + r**2)), half / (s + r**2)
    by_nu, by_beta = -2 * b / v**2, s / b
    return [
        (mpmath.fsum(terms), mpmath.fsum(abs(term) for term in terms)),
        (by_loc, abs(by_loc)),
        ((fit + width) * by_nu, (width - fit) * abs(by_nu)),
        (ratio_slope + growth, abs(ratio_slope) + growth),
        ((fit + width) * by_beta, (width - fit) * by_beta),
    ]


def with_gradients(nll: Function, points: Tensor) -> Tensor:
    """Value and four derivatives, shape (points, 5), for rows (ν, α − 1, β, y)."""
    nu, alpha_minus_one, beta, target = points.unbind(-1)
    parameters = [p.clone().requires_grad_() for p in (torch.zeros_like(nu), nu, alpha_minus_one, beta)]
    loc, nu, alpha_minus_one, beta = parameters
    loss = nll(loc, nu, alpha_minus_one, beta, target)
    gradients = torch.autograd.grad(loss.sum(), parameters)
    return torch.stack([loss.detach(), *gradients], dim=-1)


def errors(nll: Function, points: Tensor, references: list[list[tuple[mpmath.mpf, mpmath.mpf]]]) -> list[list[float]]:
    """Errors relative to the sum of the magnitudes of the terms, one list of five a point."""
    return [
        [
            float(abs(result - value) / scale) if scale and math.isfinite(result) else (math.inf if scale else 0.0)
            for result, (value, scale) in zip(row, reference, strict=True)
        ]
        for row, reference in zip(with_gradients(nll, points).tolist(), references, strict=True)
    ]


def print_row(label: str, cells: Sequence[str]) -> None:
    """One row of a Markdown table."""
    print(f"| {label:<28} | " + " | ".join(f"{cell:>10}" for cell in cells) + " |", flush=True)


def print_head(label: str, cells: Sequence[str]) -> None:
    """The first two rows of a Markdown table."""
    print_row(label, cells)
    print_row("---", ["---:"] * len(cells))


def worst_errors() -> None:
    """All forms in both precisions over the whole range of the parameters."""
    grid = itertools.product(
        [10.0**k for k in range(-6, 7, 2)],
        [10.0**k for k in range(-6, 9, 2)],
        [10.0**k for k in range(-8, 9, 2)],
        [0.0, 1e-4, 1e-2, 1.0, 1e2, 1e4],
    )
    wide = torch.tensor(list(grid), dtype=torch.float64)
    print("\nLargest error over nu 1e-6..1e6, alpha - 1 1e-6..1e8, beta 1e-8..1e8, |y - loc| 0..1e4, relative to the")
    print("sum of the magnitudes of the terms\n")
    print_head("form, precision", NAMES)
    for dtype in (torch.float32, torch.float64):
        points = wide.to(dtype)
        references = [exact(*point) for point in points.tolist()]
        for name, nll in NLLS.items():
            worst = [max(column) for column in zip(*errors(nll, points, references), strict=True)]
            print_row(f"{name}, {str(dtype).removeprefix('torch.')}", [f"{error:.1e}" for error in worst])


def errors_along_alpha() -> None:
    """Evidence that grows for a noise of fixed variance, β/(α − 1) = 1."""
    print("\nAbsolute error of the NLL in float32 at nu = 1, beta = alpha - 1, y - loc = 0.5\n")
    alphas = [2.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7]
    print_head("form \\ alpha", [f"{alpha:g}" for alpha in alphas])
    points = torch.tensor([[1.0, alpha - 1, alpha - 1, 0.5] for alpha in alphas])
    references = [float(exact(*point)[0][0]) for point in points.tolist()]
    for name, nll in NLLS.items():
        values = with_gradients(nll, points)[:, 0].tolist()
        cells = [f"{abs(value - reference):.1e}" for value, reference in zip(values, references, strict=True)]
        print_row(name, cells)


def shortest_times(functions: Sequence[Callable[[], object]], repeats: int, device: str) -> list[float]:
    """Seconds of each function; repetitions take turns so that a busy moment hits all of them."""
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(repeats):
        for function, record in zip(functions, times, strict=True):
            if device != "cpu":
                torch.accelerator.synchronize()
            start = time.perf_counter()
            function()
            if device != "cpu":
                torch.accelerator.synchronize()
            record.append(time.perf_counter() - start)
    return [min(record) for record in times]


def random_parameters(shape: tuple[int, ...], device: str) -> list[Tensor]:
    """δ, ν, α − 1 and β, the same in every run."""
    generator = torch.Generator().manual_seed(0)
    loc = torch.randn(shape, generator=generator)
    positive = [0.1 + 3 * torch.rand(shape, generator=generator) for _ in range(3)]
    return [parameter.to(device).requires_grad_() for parameter in (loc, *positive)]


def loss_inputs(rows: int, device: str) -> tuple[list[Tensor], Tensor]:
    """The four parameters and targets."""
    target = torch.randn(rows, generator=torch.Generator().manual_seed(1))
    return random_parameters((rows,), device), target.to(device)


def loss_step(function: Function, parameters: list[Tensor], target: Tensor) -> Callable[[], object]:
    """One forward and backward pass."""
    loc, nu, alpha_minus_one, beta = parameters
    return lambda: torch.autograd.grad(function(loc, nu, alpha_minus_one, beta, target), parameters)


def loss_times(rows: int, repeats: int, device: str, *, compiled: bool) -> None:
    """Forward and backward of all losses; ratios are times of the peer's eager form over ours."""
    parameters, target = loss_inputs(rows, device)
    functions = dict(LOSSES)
    if compiled:
        functions |= {f"{name}, compiled": torch.compile(function) for name, function in LOSSES.items()}
    steps = [loss_step(function, parameters, target) for function in functions.values()]
    times = dict(zip(functions, shortest_times(steps, repeats, device), strict=True))
    print(f"\nLoss with evidence regulariser, forward and backward, {rows:,} rows, float32, {device}\n")
    print_head("", ["time", "edl / it", "t-u / it"])
    for name, seconds in times.items():
        ratios = [times[peer] / seconds for peer in ("edl-pytorch", "torch-uncertainty")]
        print_row(name, [f"{1e3 * seconds:.1f} ms", *(f"{ratio:.2f}x" for ratio in ratios)])


def loss_memory(rows: int, device: str) -> None:
    """Peak memory of a step above its inputs, by what PyTorch's allocator reports to its profiler."""
    print(f"\nPeak memory of the same above its inputs, {rows:,} rows, {device}\n")
    print_head("", ["memory", "floats/row", "it / edl"])
    parameters, target = loss_inputs(rows, device)
    peaks = {}
    for name, function in LOSSES.items():
        step = loss_step(function, parameters, target)
        step()
        if device != "cpu":
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            step()
            peaks[name] = torch.cuda.max_memory_allocated() - before
            continue
        with torch.profiler.profile(profile_memory=True) as profile:
            step()
        # What profile.events() shows is added up by operation; these are the single allocations and releases.
        events = profile.profiler.kineto_results.events()
        changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
        peaks[name] = max(itertools.accumulate(size for _, size in changes))
    for name, peak in peaks.items():
        cells = [f"{peak / 2**20:.0f} MiB", f"{peak / rows / 4:.1f}", f"{peak / peaks['edl-pytorch']:.2f}x"]
        print_row(name, cells)


def fuse_pairwise(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Eq. 20 applied from the first expert to the last; experts along dimension 0."""
    loc, nu, alpha_minus_one, beta = (parameter[0] for parameter in parameters)
    for i in range(1, len(parameters[0])):
        loc2, nu2, alpha_minus_one2, beta2 = (parameter[i] for parameter in parameters)
        total = nu + nu2
        fused = (nu * loc + nu2 * loc2) / total
        beta = beta + beta2 + 0.5 * nu * (loc - fused) ** 2 + 0.5 * nu2 * (loc2 - fused) ** 2
        loc, nu, alpha_minus_one = fused, total, alpha_minus_one + alpha_minus_one2 + 1.5
    return [loc, nu, alpha_minus_one, beta]


def fuse_at_once(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The package's closed form."""
    loc, nu, alpha_minus_one, beta = parameters
    nig = fuse(NormalInverseGamma.from_alpha_minus_one(loc, nu, alpha_minus_one, beta, validate_args=False), 0)
    return [nig.loc, nig.nu, nig.alpha_minus_one, nig.beta]


def fusion_times(rows: int, repeats: int, device: str, *, compiled: bool) -> None:
    """Both ways of fusing, with and without backward; ratios are times of the eager pairwise loop over ours."""
    parameters = random_parameters((EXPERTS, rows), device)
    weights = torch.randn(4, rows, generator=torch.Generator().manual_seed(2)).to(device)

    def forward(method: Fusion) -> Callable[[], object]:
        return torch.no_grad()(lambda: method(parameters))

    def both(method: Fusion) -> Callable[[], object]:
        return lambda: torch.autograd.grad((torch.stack(method(parameters)) * weights).sum(), parameters)

    methods: dict[str, Fusion] = {"ours": fuse_at_once, "pairwise": fuse_pairwise}
    if compiled:
        methods["compiled"] = torch.compile(fuse_at_once)
    print(f"\nFusing {EXPERTS} experts x {rows:,} rows, float32, {device}\n")
    print_head("", [*methods, "ratio", *(["ratio comp."] if compiled else [])])
    for label, wrap in (("forward", forward), ("forward and backward", both)):
        steps = [wrap(method) for method in methods.values()]
        ours, pairwise, *others = shortest_times(steps, repeats, device)
        times = [f"{1e3 * seconds:.1f} ms" for seconds in (ours, pairwise, *others)]
        print_row(label, [*times, *(f"{pairwise / seconds:.1f}x" for seconds in (ours, *others))])


def import_time(repeats: int) -> None:
    """What `import evidential_nig` costs once torch is imported, each time in a process of its own."""
    code = (
        "import time, torch, torch.distributions; start = time.perf_counter(); import evidential_nig; "
        "print(time.perf_counter() - start)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], check=True, capture_output=True) for _ in range(repeats)]
    times = sorted(float(run.stdout) for run in runs)
    print(f"\nimport evidential_nig after torch: median {1e3 * times[len(times) // 2]:.0f} ms of {repeats} processes")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--quick", action="store_true", help="a short run: 10,000 rows, one repetition, no compiling")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rows, arguments.repeats = 10_000, 1
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    worst_errors()
    errors_along_alpha()
    loss_times(arguments.rows, arguments.repeats, arguments.device, compiled=not arguments.quick)
    loss_memory(arguments.rows, arguments.device)
    fusion_times(arguments.rows, arguments.repeats, arguments.device, compiled=not arguments.quick)
    import_time(min(5, arguments.repeats))


if __name__ == "__main__":
    main()
