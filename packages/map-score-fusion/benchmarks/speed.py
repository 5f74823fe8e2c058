"""How long each method takes to fit and to predict, and how that grows with the images and with the metrics.

    python packages/map-score-fusion/benchmarks/speed.py [--quick] [--methods NAME ...] [--rows N] [--metrics M]
        [--repeats N] [--csv FILE] [--plot FILE]

All times are of `ScoreFusion`, with its checks, on one made table: qualities from a uniform distribution, and for each
metric a power of them with normal noise. Each prediction is timed in turns with a limit that no rank fusion can be
below: the mean of every column's ranks by one `numpy.argsort` each, on the table at hand; what counts is the ratio.
Times are the shortest of the repetitions, fits are made once. The exponents are slopes of log time over log images or
metrics, between the two largest tables; 1 is linear.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from map_score_fusion import METHODS, ScoreFusion
from map_score_fusion.errors import ScoreTableError

DEVIATION_ROWS = 10_000
METHODS_TO_TIME = [name for name, entry in METHODS.items() if not entry.needs_coefficients]


@dataclass(frozen=True)
class Sizes:
    """Images that are predicted, and the sizes over which growth is looked at, from small to large."""

    predict: int
    fit_growth: tuple[int, ...]
    predict_growth: tuple[int, ...]
    metrics_growth: tuple[int, ...]


FULL = Sizes(500_000, (1_000, 10_000, 100_000), (1_000, 10_000, 100_000, 1_000_000), (2, 5, 9, 20, 50))
QUICK = Sizes(20_000, (500, 1_000), (500, 2_000), (3, 9))


@dataclass(frozen=True)
class Timing:
    """Seconds that one step of a method took on a table of this size; the limit's are beside them for predictions."""

    method: str
    step: str
    rows: int
    metrics: int
    seconds: float
    limit: float


def made_table(rows: int, metrics: int) -> np.ndarray:
    """Scores (N, M) of metrics that each bend the quality in their own way and add noise of their own."""
    generator = np.random.default_rng(rows + metrics)
    quality = generator.uniform(size=(rows, 1))
    levels = np.linspace(0.05, 0.3, metrics)
    return quality ** np.linspace(0.5, 2.0, metrics) + generator.normal(0.0, levels, (rows, metrics))


def mean_of_ranks(scores: np.ndarray) -> np.ndarray:
    """The limit: ranks of each column by one sort, without ties, and their mean."""
    ranks = np.empty(scores.shape)
    positions = np.arange(len(scores)) / len(scores)
    for column in range(scores.shape[1]):
        ranks[np.argsort(scores[:, column]), column] = positions
    return ranks.mean(axis=1)


def seconds(function: Callable[[], object]) -> float:
    """Time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


class Bench:
    """Times methods and keeps the fitted ones, so that none is fitted twice on tables of one size."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.timings: list[Timing] = []
        self.fitted: dict[tuple[str, int, int], ScoreFusion] = {}

    def fit(self, method: str, rows: int, metrics: int) -> ScoreFusion:
        """Time a fit, unless one of that size was."""
        key = (method, rows, metrics)
        if key not in self.fitted:
            scores = made_table(rows, metrics)
            fusion = ScoreFusion(method, higher_is_better=True, random_state=0, max_fit_rows=rows)
            taken = seconds(lambda: fusion.fit(scores))
            self.timings.append(Timing(method, "fit", rows, metrics, taken, float("nan")))
            self.fitted[key] = fusion
        return self.fitted[key]

    def predict(self, fusion: ScoreFusion, rows: int, metrics: int, *, deviation: bool = False) -> None:
        """Time a prediction and the limit, in turns, unless one of that size was."""
        step = "predict with deviation" if deviation else "predict"
        size = (fusion.method, step, rows, metrics)
        if any((timed.method, timed.step, timed.rows, timed.metrics) == size for timed in self.timings):
            return
        scores = made_table(rows, metrics)
        turns = [
            (seconds(lambda: fusion.predict(scores, return_std=deviation)), seconds(lambda: mean_of_ranks(scores)))
            for _ in range(self.repeats)
        ]
        shortest = [min(column) for column in zip(*turns, strict=True)]
        self.timings.append(Timing(*size, *shortest))


def exponent(timings: pd.DataFrame, along: str) -> float:
    """Slope of log time over log size between the two largest sizes."""
    last = timings.sort_values(along).tail(2)
    return float(np.diff(np.log(last.seconds)).item() / np.diff(np.log(last[along])).item())


def print_table(console: Console, frame: pd.DataFrame, rows: int, metrics: int, sizes: Sizes) -> None:
    """Print the times at the size of the command line, and how they grow."""
    table = Table(title=f"fit on {rows:,} × {metrics}, predict {sizes.predict:,} × {metrics}", title_justify="left")
    table.add_column("method")
    for heading in ("fit, s", "rows/s", "× limit", "rows/s with std", "× limit", "exponents in rows: fit", "predict"):
        table.add_column(heading, justify="right")
    for heading in ("exponents in metrics: fit", "predict"):
        table.add_column(heading, justify="right")
    for method, of_method in frame.groupby("method", sort=False):
        at_size = of_method[of_method.metrics == metrics]
        fit = at_size[(at_size.step == "fit") & (at_size.rows == rows)].iloc[0]
        cells = [str(method), f"{fit.seconds:.2f}"]
        for step, images in (("predict", sizes.predict), ("predict with deviation", DEVIATION_ROWS)):
            [row] = at_size[(at_size.step == step) & (at_size.rows == images)].itertuples()
            cells += [f"{row.rows / row.seconds:,.0f}", f"{row.seconds / row.limit:.1f}"]
        growths = (
            ("rows", at_size, {"fit": sizes.fit_growth, "predict": sizes.predict_growth}),
            ("metrics", of_method[of_method.rows == rows], dict.fromkeys(("fit", "predict"), sizes.metrics_growth)),
        )
        for along, timings, growth in growths:
            for step, compared in growth.items():
                chosen = timings[(timings.step == step) & timings[along].isin(compared)]
                cells.append(f"{exponent(chosen, along):.2f}")
        table.add_row(*cells)
    console.print(table)


def plot(frame: pd.DataFrame, rows: int, metrics: int, path: Path) -> None:
    """Draw the times over images and over metrics."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(11, 8), layout="constrained")
    panels = figure.subplots(2, 2)
    for line, step in zip(panels, ("fit", "predict"), strict=True):
        for axes, along in zip(line, ("rows", "metrics"), strict=True):
            chosen = frame[frame.step == step]
            chosen = chosen[chosen.metrics == metrics] if along == "rows" else chosen[chosen.rows == rows]
            for method, of_method in chosen.groupby("method", sort=False):
                ordered = of_method.sort_values(along)
                axes.plot(ordered[along], ordered.seconds, marker="o", markersize=3, label=method)
            if step == "predict":
                limit = chosen.groupby(along).limit.min()
                axes.plot(limit.index, limit, color="black", linestyle="--", label="limit: mean of ranks by argsort")
            axes.set(xscale="log", yscale="log", xlabel=f"{'images' if along == 'rows' else 'metrics'}", ylabel="s")
            if along == "metrics":
                axes.set_xticks(sorted(set(chosen.metrics)), minor=False)
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_title(f"{step}, {f'{metrics} metrics' if along == 'rows' else f'{rows:,} images'}")
    panels[1, 0].legend(fontsize="small")
    figure.savefig(path)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--methods", nargs="+", choices=METHODS_TO_TIME, default=METHODS_TO_TIME, metavar="NAME")
    parser.add_argument("--rows", type=int, default=10_000, help="images of the fit")
    parser.add_argument("--metrics", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=3, help="of each prediction")
    parser.add_argument("--csv", type=Path, help="file to write every time to")
    parser.add_argument("--plot", type=Path, help="file for the plot of times over images and metrics")
    parser.add_argument("--quick", action="store_true", help="small tables, one repetition")
    options = parser.parse_args(arguments)
    if options.quick:
        options.rows, options.repeats = 500, 1
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    options = parse(arguments)
    warnings.simplefilter("ignore")
    rows, metrics, sizes = options.rows, options.metrics, QUICK if options.quick else FULL
    bench = Bench(options.repeats)
    console, progress = Console(width=max(150, Console().width)), Console(stderr=True)
    # Loads and warms what is loaded at the first use.
    for method in options.methods:
        try:
            ScoreFusion(method, higher_is_better=True).fit(made_table(20, metrics)).predict(made_table(20, metrics))
        except ScoreTableError as error:
            progress.print(f"{method} is left out: {error}")
            options.methods = [other for other in options.methods if other != method]
    for method in track(options.methods, "methods", console=progress):
        fusion = bench.fit(method, rows, metrics)
        bench.predict(fusion, sizes.predict, metrics)
        bench.predict(fusion, DEVIATION_ROWS, metrics, deviation=True)
        for size in sizes.predict_growth:
            bench.predict(fusion, size, metrics)
        for size in sizes.fit_growth:
            bench.fit(method, size, metrics)
        for size in sizes.metrics_growth:
            bench.predict(bench.fit(method, rows, size), rows, size)
    frame = pd.DataFrame(map(asdict, bench.timings))
    print_table(console, frame, rows, metrics, sizes)
    if options.csv:
        frame.to_csv(options.csv, index=False)
    if options.plot:
        plot(frame, rows, metrics, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
