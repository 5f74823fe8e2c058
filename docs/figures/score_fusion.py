"""The tables and pictures of the pages of map-score-fusion, from what real_tables.py wrote and from photographs.csv.

    python packages/map-score-fusion/benchmarks/real_tables.py --csv results.csv
    python docs/figures/score_fusion.py results.csv

Needs map-score-fusion[reports], and IQA_DATA_ROOT as that script does. Prints the tables as the pages have them, and
writes score-fusion-start.svg and score-fusion-noise.svg beside itself.
"""

import sys
import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parents[1] / "packages" / "map-score-fusion" / "benchmarks"))

from real_tables import (  # noqa: E402, not installed
    FITTED,
    HIGHER_IS_BETTER,
    SETTINGS,
    as_frame,
    prepare,
    read_results,
    read_table,
    weighted,
)

from map_score_fusion import (  # noqa: E402
    ScoreFusion,
    agreement,
    evaluate_fusion,
    plot_metric_curves,
    plot_noise_against_srcc,
    size_weighted,
)

METHODS = (
    "mean-rank", "mean-scaled", "first-component", "rrf", "weighted-rrf", "sf-ms", "rf-ms", "sf-m", "rf-m", "robust"
)  # fmt: skip


def by_seed(results: pd.DataFrame, figure: str) -> list[float]:
    """Size-weighted figure over the test tables, for each seed."""
    return [weighted(of_seed, figure) for _, of_seed in results.groupby("seed")]


def print_row(*cells: object) -> None:
    """Print a row of a table in Markdown."""
    print("|", " | ".join(str(cell) for cell in cells), "|")


def print_settings(results: pd.DataFrame) -> None:
    """SRCC, PLCC, spread over the seeds, and what becomes of the noise columns, for all methods and settings."""
    for figure in ("srcc", "plcc"):
        print_row(figure, *(f"({name})" for name in SETTINGS))
        for method in METHODS:
            of_method = results[results.method == method]
            cells = [by_seed(of_method[of_method.setting == name], figure) for name in SETTINGS]
            print_row(method, *(f"{np.median(values):.3f}" for values in cells))
            print("    largest range over seeds:", *(f"{np.ptp(values):.4f}" for values in cells))
    noise = results[results.setting == "d"].groupby("method").noise_weight.max()
    print(noise.loc[list(METHODS)].map("{:.2%}".format).to_string())


def print_uncertainty(results: pd.DataFrame) -> None:
    """Spearman's correlation of the rank's standard deviation with the rank's error, for each table."""
    tested = results[~results.fitted & results.setting.isin(["a", "a+", "b", "c"])]
    table = tested.groupby(["method", "setting", "table"]).error_correlation.median().unstack([1, 2])
    order = [(name, each) for name in ("a", "a+", "b", "c") for each in SETTINGS[name].tables]
    print(table.loc[[method for method in METHODS if method in table.index], order].round(2).to_string())


def print_like_the_paper(results: pd.DataFrame, name: str) -> None:
    """Table 1 of the paper in form: single metrics and methods on each test table, average SRCC and PLCC."""
    tables = SETTINGS[name].tables
    print_row(f"({name})", *tables, "average SRCC", "average PLCC")
    rows = []
    for column in SETTINGS[name].columns:
        found = []
        for table in tables:
            scores, ratings = read_table(table)
            turned = scores[column] * (1.0 if HIGHER_IS_BETTER[column] else -1.0)
            found.append(agreement(turned.fillna(-np.inf), ratings))
        images = [each.images for each in found]
        rows.append(
            (
                column,
                [each.srcc for each in found],
                size_weighted([each.srcc for each in found], images),
                size_weighted([each.plcc for each in found], images),
            )
        )
    for method in METHODS:
        chosen = results[(results.method == method) & (results.setting == name)]
        each = [chosen[chosen.table == table].srcc.median() for table in tables]
        rows.append((method, each, np.median(by_seed(chosen, "srcc")), np.median(by_seed(chosen, "plcc"))))
    for label, each, srcc, plcc in sorted(rows, key=lambda row: (row[0] in METHODS, -row[2])):
        print_row(label, *(f"{value:.3f}" for value in (*each, srcc, plcc)))


def draw_noise() -> None:
    """Fitted noise against SRCC, nine metrics on TID2013."""
    tables, directions = prepare(SETTINGS["a+"], 0)
    for method in ("robust", "sf-ms", "rf-ms", "sf-m", "rf-m"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fusion = ScoreFusion(method, higher_is_better=directions, random_state=0).fit(tables[FITTED])
        found = evaluate_fusion(fusion, {"TID2013": (tables["TID2013"], read_table("TID2013")[1])})
        srcc = found.figures[found.figures.kind == "metric"].set_index("name").srcc
        figure = plot_noise_against_srcc(found.noise, srcc)
        print(f"{method}: Spearman of noise and SRCC {found.noise.corr(srcc, method='spearman'):+.2f}")
        print(pd.DataFrame({"noise": found.noise, "srcc": srcc}).round(3).to_string())
        if method == "robust":
            figure.savefig(FOLDER / "score-fusion-noise.svg", metadata={"Date": None})


def draw_start() -> None:
    """The metrics' scores of the photographs over the fused score."""
    table = pd.read_csv(FOLDER.parent / "map-score-fusion" / "photographs.csv")
    metrics = table.select_dtypes("float")
    fusion = ScoreFusion().fit(metrics)
    turned = np.where(fusion.metric_summary_["direction"] == "higher", 1.0, -1.0)
    found = fusion.method_.curves(np.linspace(0.0, 1.0, 201))
    bounds = np.sort([found["lower"] * turned, found["upper"] * turned], axis=0)
    curves = {"expected": found["expected"] * turned, "lower": bounds[0], "upper": bounds[1]}
    figure = plot_metric_curves(list(metrics.columns), metrics.to_numpy(), fusion.predict(metrics), curves)
    figure.savefig(FOLDER / "score-fusion-start.svg", metadata={"Date": None})


def main() -> None:
    """Draw and print."""
    mpl.rcParams.update({"svg.hashsalt": "map-score-fusion", "svg.fonttype": "path"})
    draw_start()
    draw_noise()
    results = as_frame(read_results(Path(sys.argv[1])))
    print_settings(results)
    print_uncertainty(results)
    for name in ("b", "c", "a+", "d"):
        print_like_the_paper(results, name)


if __name__ == "__main__":
    main()
