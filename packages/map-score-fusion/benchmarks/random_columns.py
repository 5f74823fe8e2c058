"""A fusion method against the mean of ranks on random sets of the real columns, from KADID-10k to TID2013 and back.

    IQA_DATA_ROOT=... python packages/map-score-fusion/benchmarks/random_columns.py [--quick] [--method NAME] [--seed N]

Draws sets of 3 to 8 columns with at most two norms of Butteraugli XL, and sets with three norms or more. Fits to 2,500
images of one data set without their ratings, tests on 2,500 of the other, and prints how often and by how much the
SRCC is above the mean of ranks' and the best single column's. A missing score counts as the column's worst there.
"""

import argparse
import os
import sys
import warnings

import numpy as np
import pandas as pd
from real_tables import BUTTERAUGLI_NORMS, FITTED, HIGHER_IS_BETTER, read_table
from rich.console import Console
from rich.progress import track

from map_score_fusion import ScoreFusion, agreement

OTHERS = tuple(column for column in HIGHER_IS_BETTER if column not in BUTTERAUGLI_NORMS)
IMAGES = 2500
FEW, MANY = "at most two norms", "three norms or more"


def column_sets(generator: np.random.Generator, few: int, many: int) -> list[tuple[str, list[str]]]:
    """Sets of columns, each with its kind."""
    sets = []
    for kind, total in ((FEW, few), (MANY, many)):
        for _ in range(total):
            norms = generator.integers(0, 3) if kind == FEW else generator.integers(3, 7)
            others = max(generator.integers(3, 9) - norms, 2) if kind == FEW else generator.integers(2, 7)
            drawn = ((OTHERS, others), (BUTTERAUGLI_NORMS, norms))
            chosen = [str(column) for names, count in drawn for column in generator.choice(names, count, replace=False)]
            sets.append((kind, chosen))
    return sets


def srcc_of(method: str, columns: list[str], fitted: pd.DataFrame, tested: pd.DataFrame, ratings: np.ndarray) -> float:
    """SRCC of a method that was fitted to one table, on the other."""
    directions = [HIGHER_IS_BETTER[column] for column in columns]
    fusion = ScoreFusion(method, higher_is_better=directions, random_state=0).fit(fitted[columns])
    return agreement(fusion.predict(tested[columns], on_empty_row="nan"), ratings).srcc


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two sets of either kind")
    parser.add_argument("--method", default="robust")
    parser.add_argument("--seed", type=int, default=0, help="of the columns and the images")
    options = parser.parse_args()
    if "IQA_DATA_ROOT" not in os.environ:
        print("skipped: IQA_DATA_ROOT does not name the folder that holds scores/", file=sys.stderr)
        return 0
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(options.seed)
    sets = column_sets(generator, *((2, 2) if options.quick else (24, 12)))
    tables = {}
    for name in (FITTED, "TID2013"):
        scores, ratings = read_table(name)
        rows = generator.permutation(len(scores))[:IMAGES]
        tables[name] = scores.iloc[rows].reset_index(drop=True), ratings[rows]
    rows = []
    for kind, columns in track(sets, console=Console(stderr=True), description="sets"):
        for here, there in ((FITTED, "TID2013"), ("TID2013", FITTED)):
            (fitted, _), (tested, ratings) = tables[here], tables[there]
            turned = [tested[column] * (1 if HIGHER_IS_BETTER[column] else -1) for column in columns]
            singles = [agreement(column.fillna(-np.inf), ratings).srcc for column in turned]
            found = srcc_of(options.method, columns, fitted, tested, ratings)
            mean = srcc_of("mean-rank", columns, fitted, tested, ratings)
            rows.append((kind, here, found - mean, found - max(singles), mean - max(singles), " ".join(columns)))
    frame = pd.DataFrame(rows, columns=["kind", "fitted", "above mean", "above best", "mean above best", "columns"])
    for kind, of_kind in frame.groupby("kind"):
        gain, best, mean_best = of_kind["above mean"], of_kind["above best"], of_kind["mean above best"]
        print(f"{kind}: {len(of_kind)} fits of {options.method}")
        print(
            f"  against the mean of ranks: above in {(gain > 0).mean():.0%}, on average {gain.mean():+.4f}, "
            f"median {gain.median():+.4f}, worst {gain.min():+.4f}, best {gain.max():+.4f}"
        )
        print(f"  against the best single column: above in {(best > 0).mean():.0%}, on average {best.mean():+.4f}")
        print(f"  (mean of ranks: above in {(mean_best > 0).mean():.0%}, on average {mean_best.mean():+.4f})")
        print(of_kind.nsmallest(4, "above mean")[["fitted", "above mean", "columns"]].to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
