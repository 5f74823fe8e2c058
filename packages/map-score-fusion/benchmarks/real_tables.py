"""Every fusion method on real score tables: fitted on KADID-10k without its ratings, tested on other data sets.

    IQA_DATA_ROOT=... python packages/map-score-fusion/benchmarks/real_tables.py [--quick] [--methods NAME ...]
        [--settings NAME ...] [--seeds N] [--jobs N] [--csv FILE]

Reads the tables of $IQA_DATA_ROOT/scores and keeps nothing of them. The ratings are used for the figures only. For each
setting it prints SRCC and PLCC after a four-parameter logistic, weighted by the number of images over the test tables,
as the median over the seeds and their range; Spearman's correlation of the predicted standard deviation of the fused
rank with its absolute error, and the share of the errors within two deviations; and how the fitted table itself comes
out. The CSV has a row for each setting, method, seed and table; it is written after each fit, and what is in it already
is not computed again, so that a run can be stopped and taken up.

Settings: (a) eight metrics, tested on TID2013; (a+) those and FFS, which lacks scores of 305 and 78 images, mostly bad
ones; (b) four metrics that are not near-duplicates, tested on five tables; (c) all nine of these tables, six of them
near-duplicates; (d) (a) and two columns of uniform noise; (e) (a) with the direction of one metric not told, another
one with each seed; (f) (a) with 20 % of the scores missing at random, in fitting and testing.

A method is a name of `map_score_fusion.METHODS`, with ":free" after it for ``amortised=False``. A formula that needs
metrics which a setting lacks is left out there. The best single metric is the one of the highest SRCC over the test
tables, and can be known only with ratings; its missing scores count as its median or as its worst, as is better for it.
"""

import argparse
import functools
import itertools
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from iqa_datasets.agreement import srcc
from map_score_fusion import METHODS, ScoreFusion, agreement, size_weighted, uncertainty_agreement
from map_score_fusion.errors import ScoreTableError

BUTTERAUGLI_NORMS = tuple(f"Butteraugli_XL{norm}" for norm in ("", "_3m", "_2s", "_3s", "_6s", "_12s"))
NINE = ("DSSIM", "SSIMULACRA", "Butteraugli", *BUTTERAUGLI_NORMS)
FOUR = ("DSSIM", "SSIMULACRA", "Butteraugli", "Butteraugli_XL_3m")
EIGHT = (*FOUR, "PSNR", "SSIM", "SG-ESSIM", "LGV")
HIGHER_IS_BETTER = dict.fromkeys(NINE, False) | {
    "PSNR": True,
    "SSIM": True,
    "SG-ESSIM": True,
    "FFS": False,
    "LGV": True,
}

FITTED = "KADID-10k"
FIVE_TABLES = ("TID2013", "CSIQ", "LIVE", "IVC", "JPEG XR")
UNKNOWN, NOISE = "unknown metric", ("noise 1", "noise 2")
MISSING_SHARE = 0.2
SINGLE = "best single metric (needs ratings)"


@dataclass(frozen=True)
class Source:
    """Where a table is, and which way its ratings go."""

    scores: str
    ratings: str
    higher_is_better: bool
    more_scores: str | None = None
    key: str = "dist_img"
    more_key: str = "image_name"


SOURCES = {
    FITTED: Source("vqmt_kadid10k.csv", "dmos", True, "kadid10k_6metrics.csv", more_key="dist_img"),
    "TID2013": Source("vqmt_tid2013.csv", "mos", True, "tid2013_6metrics.csv"),
    "CSIQ": Source("vqmt_csiq.csv", "dmos", False),
    "LIVE": Source("vqmt_live2.csv", "dmos_new", False),
    "IVC": Source("vqmt_ivc.csv", "mos", True),
    "JPEG XR": Source("vqmt_jpegxr.csv", "mos", True),
}


@dataclass(frozen=True)
class Setting:
    """Which columns are fused, what is done to them, and where that is tested."""

    columns: tuple[str, ...]
    tables: tuple[str, ...] = ("TID2013",)
    noise_columns: bool = False
    one_direction_unknown: bool = False
    missing_share: float = 0.0


SETTINGS = {
    "a": Setting(EIGHT),
    "a+": Setting((*EIGHT[:-1], "FFS", EIGHT[-1])),
    "b": Setting(FOUR, FIVE_TABLES),
    "c": Setting(NINE, FIVE_TABLES),
    "d": Setting(EIGHT, noise_columns=True),
    "e": Setting(EIGHT, one_direction_unknown=True),
    "f": Setting(EIGHT, missing_share=MISSING_SHARE),
}


@dataclass(frozen=True)
class Result:
    """One method with one seed on one table; the fitted table is among them, marked as such.

    ``error_correlation`` is Spearman's correlation of the predicted standard deviation of the fused rank with its
    absolute error, ``coverage`` the share of the errors within two deviations, ``noise_weight`` the largest mean weight
    of a noise column, ``messages`` what the fit warned of.
    """

    setting: str
    method: str
    seed: int
    table: str
    fitted: bool
    images: int
    srcc: float
    plcc: float
    error_correlation: float
    coverage: float
    noise_weight: float
    messages: str


@functools.cache
def read_table(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    """Scores (columns named as in `HIGHER_IS_BETTER`) and ratings, turned to higher = better, of a table."""
    source, folder = SOURCES[name], Path(os.environ["IQA_DATA_ROOT"]) / "scores"
    table = pd.read_csv(folder / source.scores)
    scores = table[list(NINE)]
    if source.more_scores:
        more = pd.read_csv(folder / source.more_scores)
        more.index = pd.Index(more[source.more_key].str.lower())
        more.columns = [column.upper().replace("_", "-") for column in more.columns]
        names = table[source.key].str.lower()
        if set(names) != set(more.index) or not (names.is_unique and more.index.is_unique):
            raise ValueError(f"{source.scores} and {source.more_scores} are not of the same images")
        joined = more.loc[names, ["PSNR", "SSIM", "SG-ESSIM", "FFS", "LGV"]].reset_index(drop=True)
        scores = pd.concat([scores, joined], axis=1)
    ratings = table[source.ratings].to_numpy(dtype=np.float64)
    return scores, ratings if source.higher_is_better else -ratings


def distortion_types(name: str) -> np.ndarray:
    """The type of distortion of each image, as the data set numbers or names it."""
    return pd.read_csv(Path(os.environ["IQA_DATA_ROOT"]) / "scores" / SOURCES[name].scores)["dst_type"].to_numpy()


def prepare(setting: Setting, seed: int) -> tuple[dict[str, pd.DataFrame], dict[str, bool | None]]:
    """The tables of a setting by name, the fitted one first, and the directions that the user tells."""
    generator = np.random.default_rng(seed)
    tables = {name: read_table(name)[0][list(setting.columns)].copy() for name in (FITTED, *setting.tables)}
    directions: dict[str, bool | None] = {column: HIGHER_IS_BETTER[column] for column in setting.columns}
    if setting.one_direction_unknown:
        hidden = setting.columns[seed % len(setting.columns)]
        tables = {name: table.rename(columns={hidden: UNKNOWN}) for name, table in tables.items()}
        directions = {UNKNOWN if column == hidden else column: way for column, way in directions.items()}
        directions[UNKNOWN] = None
    for table in tables.values():
        if setting.noise_columns:
            for column in NOISE:
                table[column] = generator.uniform(size=len(table))
                directions[column] = True
        if setting.missing_share:
            table[generator.uniform(size=table.shape) < setting.missing_share] = np.nan
    return tables, directions


def run(name: str, method: str, seed: int) -> list[Result]:
    """Fit a method in a setting and judge it on each of its tables; nothing if it needs metrics that are not there."""
    tables, directions = prepare(SETTINGS[name], seed)
    base, _, variant = method.partition(":")
    fusion = ScoreFusion(base, higher_is_better=directions, random_state=seed, amortised=variant != "free")
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        try:
            fusion.fit(tables[FITTED])
        except ScoreTableError:
            return []
        messages = " ".join(fusion.method_.log.messages)
        results = []
        for table, scores in tables.items():
            ratings = read_table(table)[1]
            usable = ~scores.isna().all(axis=1).to_numpy()
            fused = fusion.predict(scores[usable])
            of_ranks = uncertainty_agreement(*fusion.ranks(scores[usable]), ratings[usable])
            weights = fusion.weights(scores[usable]).mean(axis=0)
            noise = [weights[scores.columns.get_loc(column)] for column in NOISE if column in scores]
            found = agreement(fused, ratings[usable])
            results.append(
                Result(
                    name,
                    method,
                    seed,
                    table,
                    table == FITTED,
                    int(usable.sum()),
                    found.srcc,
                    found.plcc,
                    of_ranks.spearman,
                    of_ranks.coverage,
                    max(noise, default=float("nan")),
                    messages,
                )
            )
    return results


def best_single_metric(name: str) -> list[Result]:
    """The single metric of the highest SRCC over the test tables, its missing scores as the worst or as middling."""
    setting = SETTINGS[name]
    tables, _ = prepare(setting, 0)

    def turned(column: str, as_worst: bool, table: str) -> "pd.Series[float]":
        scores = tables[table].get(column, tables[table].get(UNKNOWN)) * (1.0 if HIGHER_IS_BETTER[column] else -1.0)
        return scores.fillna(-np.inf if as_worst else scores.median())

    def over_test_tables(candidate: tuple[str, bool]) -> float:
        tested = [table for table in tables if table != FITTED]
        found = [srcc(turned(*candidate, table), read_table(table)[1]) for table in tested]
        return size_weighted(found, [len(tables[table]) for table in tested])

    # All figures of the best one alone: of each of them, the fits of the logistic would take most of the time.
    best = max(itertools.product(setting.columns, (True, False)), key=over_test_tables)
    results, nan = [], float("nan")
    for table in tables:
        found = agreement(turned(*best, table), read_table(table)[1])
        figures = (found.images, found.srcc, found.plcc, nan, nan, nan)
        results.append(Result(name, f"{SINGLE}: {best[0]}", 0, table, table == FITTED, *figures, ""))
    return results


def weighted(results: pd.DataFrame, figure: str) -> float:
    """Mean of a figure over the test tables, weighted by their images."""
    tested = results[~results.fitted]
    return size_weighted(tested[figure].to_list(), tested.images.to_list())


def print_setting(console: Console, name: str, results: pd.DataFrame) -> None:
    """Print what was found in one setting."""
    tables = SETTINGS[name].tables
    table = Table(title=f"({name}) {len(SETTINGS[name].columns)} metrics", title_justify="left")
    for heading in (
        "method",
        "SRCC",
        "range",
        "PLCC",
        "range",
        "error corr.",
        "in 2 dev.",
        *tables,
        f"{FITTED} (fitted)",
    ):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    if SETTINGS[name].noise_columns:
        table.add_column("noise weight", justify="right")
    for method, of_method in results.groupby("method", sort=False):
        by_seed = [of_seed for _, of_seed in of_method.groupby("seed")]
        cells = [str(method)]
        for figure in ("srcc", "plcc"):
            values = [weighted(of_seed, figure) for of_seed in by_seed]
            cells += [f"{np.median(values):.3f}", f"{np.ptp(values):.3f}"]
        lowest = of_method[~of_method.fitted].groupby("table").error_correlation.median().min()
        cells.append("" if np.isnan(lowest) else f"≥ {lowest:.2f}")
        held = of_method[~of_method.fitted].groupby("table").coverage.median()
        cells.append("" if held.isna().any() else f"{held.min():.2f}-{held.max():.2f}")
        cells += [f"{of_method[of_method.table == each].srcc.median():.3f}" for each in (*tables, FITTED)]
        if SETTINGS[name].noise_columns:
            cells.append("" if of_method.noise_weight.isna().all() else f"{of_method.noise_weight.max():.1%}")
        table.add_row(*cells)
    console.print(table)


def limit_threads() -> None:
    """Leave the other cores to the other processes."""
    import torch

    torch.set_num_threads(1)


def run_all(tasks: Sequence[tuple[str, str, int]], jobs: int) -> Iterable[list[Result]]:
    """Results of each task, in their order, in this process or in several."""
    if jobs == 1:
        yield from (run(*task) for task in tasks)
        return
    with ProcessPoolExecutor(jobs, initializer=limit_threads) as pool:
        yield from pool.map(run, *zip(*tasks, strict=True))


def as_frame(results: Iterable[Result]) -> pd.DataFrame:
    """Results as a table."""
    return pd.DataFrame(map(asdict, results), columns=[field.name for field in fields(Result)])


def read_results(path: Path) -> list[Result]:
    """What a stopped run left in its file."""
    frame = pd.read_csv(path, converters={"messages": str})
    return [Result(**row) for row in frame.to_dict("records")]


def write_results(results: Sequence[Result], path: Path) -> None:
    """Write the file as a whole or not at all."""
    beside = path.with_name(f"{path.name}.part")
    as_frame(results).to_csv(beside, index=False)
    beside.replace(path)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), metavar="NAME", help="default: all registered")
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 on")
    parser.add_argument("--jobs", type=int, default=1, help="processes, each on one thread")
    parser.add_argument(
        "--csv", type=Path, help="file to write every result to, and to take up; delete it to start anew"
    )
    parser.add_argument("--quick", action="store_true", help="settings (b) and (d), one seed, methods without training")
    options = parser.parse_args(arguments)
    if options.quick:
        options.settings, options.seeds, options.methods = ["b", "d"], 1, ["mean-rank", "mean-scaled"]
    unknown = [method for method in options.methods if method.partition(":")[0] not in METHODS]
    if unknown:
        parser.error(f"no such method: {', '.join(unknown)}; there are {', '.join(METHODS)}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for."""
    options = parse(arguments)
    if "IQA_DATA_ROOT" not in os.environ:
        print("skipped: IQA_DATA_ROOT does not name the folder that holds scores/", file=sys.stderr)
        return 0
    results = read_results(options.csv) if options.csv and options.csv.exists() else []
    done = {(result.setting, result.method, result.seed) for result in results}
    wanted = [
        (setting, method, seed)
        for setting in options.settings
        for method in options.methods
        for seed in range(options.seeds)
    ]
    tasks = [task for task in wanted if task not in done]
    with Progress(console=Console(stderr=True)) as progress:
        for found in progress.track(run_all(tasks, options.jobs), total=len(tasks), description="fits"):
            results += found
            if options.csv:
                write_results(results, options.csv)
    console = Console(width=max(160, Console().width))
    places = {task: place for place, task in enumerate(wanted)}
    asked = [result for result in results if (result.setting, result.method, result.seed) in places]
    asked.sort(key=lambda result: places[result.setting, result.method, result.seed])
    for setting in options.settings:
        chosen = [result for result in asked if result.setting == setting]
        print_setting(console, setting, as_frame([*best_single_metric(setting), *chosen]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
