"""A fit that a few ratings correct, against supervised stacking of the same columns on the same ratings.

    IQA_DATA_ROOT=... python packages/map-score-fusion/benchmarks/few_ratings.py [--quick] [--draws N] [--csv FILE]

For each draw, some images of KADID-10k get their ratings. The fusion is fitted to all of KADID-10k's scores and
corrected by these ratings (``use_ratings``); stacking sees the rated images alone: ridge regression of ratings on the
columns' angular ranks (the ranks among all images, which need no rating), its penalty by cross-validation, and least
squares with slopes that are not negative. All are judged by SRCC on KADID-10k's other images and on TID2013. Missing
scores are given to stacking as the fused score's rank. The CSV is written after each setting, and what is in it is not
computed again.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from real_tables import FITTED, SETTINGS, prepare, read_table
from rich.console import Console
from rich.progress import track
from scipy.optimize import nnls
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV

from map_score_fusion import ScoreFusion
from map_score_fusion.metric_errors import angular
from map_score_fusion.scaling import EmpiricalDistribution

TESTED = "TID2013"
RATINGS = (10, 30, 100)
WITHOUT, WITH, RIDGE, NON_NEGATIVE = "no ratings", "corrected by ratings", "stacking, ridge", "stacking, slopes ≥ 0"


def positions_of(fusion: ScoreFusion, scaling: EmpiricalDistribution, table: pd.DataFrame) -> np.ndarray:
    """The columns' angular ranks (N, M) among the fitted images, the fused score's rank where a score is missing."""
    positions = angular(scaling(fusion.oriented_scores(table)))
    fused = angular(fusion.ranks(table)[0])
    return np.where(np.isnan(positions), fused[:, None], positions)


def srcc(scores: np.ndarray, ratings: np.ndarray) -> float:
    """Spearman's correlation."""
    return float(spearmanr(scores, ratings).statistic)


def judge_draws(setting: str, draws: int, done: set[tuple[str, int, int]]) -> list[dict[str, object]]:
    """Rows of SRCC on both tables, for each number of ratings, draw and model that is not done yet."""
    tables, directions = prepare(SETTINGS[setting], 0)
    fitted, tested = tables[FITTED], tables[TESTED]
    ratings, of_tested = read_table(FITTED)[1], read_table(TESTED)[1]
    plain = ScoreFusion(higher_is_better=directions, random_state=0).fit(fitted)
    scaling = EmpiricalDistribution.fit(plain.oriented_scores(fitted))
    here, there = (positions_of(plain, scaling, table) for table in (fitted, tested))
    fused_here, fused_there = plain.predict(fitted), plain.predict(tested)
    rows: list[dict[str, object]] = []
    todo = [(count, draw) for count in RATINGS for draw in range(draws) if (setting, count, draw) not in done]
    for count, draw in track(todo, console=Console(stderr=True), description=f"({setting})"):
        rated = np.random.default_rng([count, draw]).choice(len(ratings), count, replace=False)
        known = np.full(len(ratings), np.nan)
        known[rated] = ratings[rated]
        rest = np.isnan(known)
        corrected = ScoreFusion(higher_is_better=directions, random_state=draw, use_ratings=True).fit(fitted, known)
        ridge = RidgeCV(np.logspace(-3, 2, 12)).fit(here[rated], ratings[rated])
        centred = here[rated] - here[rated].mean(axis=0)
        slopes, _ = nnls(centred, ratings[rated] - ratings[rated].mean())
        found = {
            WITHOUT: (fused_here, fused_there),
            WITH: (corrected.predict(fitted), corrected.predict(tested)),
            RIDGE: (ridge.predict(here), ridge.predict(there)),
            NON_NEGATIVE: (here @ slopes, there @ slopes),
        }
        rows += [
            {
                "setting": setting, "ratings": count, "draw": draw, "model": name,
                FITTED: srcc(own[rest], ratings[rest]), TESTED: srcc(other, of_tested),
            }
            for name, (own, other) in found.items()
        ]  # fmt: skip
    return rows


def main() -> int:
    """Print medians and the spread over the draws."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one setting, two draws")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--settings", nargs="+", default=["a", "a+", "c"], choices=list(SETTINGS))
    parser.add_argument("--csv", type=Path, help="file to write every draw to, and to take up")
    options = parser.parse_args()
    if options.quick:
        options.settings, options.draws = ["a"], 2
    if "IQA_DATA_ROOT" not in os.environ:
        print("skipped: IQA_DATA_ROOT does not name the folder that holds scores/", file=sys.stderr)
        return 0
    warnings.simplefilter("ignore")
    frame = pd.read_csv(options.csv) if options.csv and options.csv.exists() else pd.DataFrame()
    done = set(frame[["setting", "ratings", "draw"]].itertuples(index=False, name=None)) if len(frame) else set()
    for setting in options.settings:
        frame = pd.concat([frame, pd.DataFrame(judge_draws(setting, options.draws, done))], ignore_index=True)
        if options.csv:
            frame.to_csv(options.csv, index=False)
    for setting in options.settings:
        print(f"({setting})")
        of_setting = frame[frame["setting"] == setting]
        for table in (FITTED, TESTED):
            grouped = of_setting.groupby(["model", "ratings"], sort=False)[table]
            shown = grouped.agg(lambda draws: f"{draws.median():.3f} ({draws.min():.3f} to {draws.max():.3f})")
            print(f"{table}, other images:" if table == FITTED else f"{table}:")
            print(shown.unstack().to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
