"""The whole model: by data set (Table 1), by distortion type (Tables 3 and 7), widths of its intervals (Table 6)."""

from collections.abc import Collection, Iterator, Sequence

import pandas as pd

from defnet.experiments.ablation import figure_of_runs
from defnet.experiments.found_runs import FoundRun, not_there
from defnet.experiments.paper import TABLE_1, TABLE_3, TABLE_6, TABLE_7, TRAINED_ON
from defnet.experiments.run import figures_of
from defnet.experiments.table import SPREAD_NOTE, Cell, Occasion, Table, measured

FOLDER_TYPES = {"csiq": ("table3", TABLE_3), "live": ("table7", TABLE_7)}
"""Data sets whose distortion types are the names of the images' folders: the table's name and the paper's figures."""

FIGURE_COLUMNS = {
    "SRCC": "srcc",
    "PLCC": "plcc",
    "PLCC logistic": "plcc_logistic",
    "KRCC": "krcc",
    "RMSE": "rmse",
    "expected SRCC": "srcc_expected",
    "expected PLCC": "plcc_expected",
}
"""The figures of Table 1 by their columns' names."""


_NOTE_1 = (
    "SRCC, PLCC (as predicted, and after the logistic), KRCC and RMSE (on the scale of 1 to 5) are those of the score; "
    "`expected` are those of the expected quality of Eq. 5. The paper does not say which PLCC it gives."
)

_NOTE_6 = (
    "The band holds the fitted curve with 95 % confidence: with more images it is narrower, whatever the model. The "
    "interval holds 95 % of ratings where the stated uncertainty is true; LIQE states none. Both are on the scale of 1 "
    "to 5. The paper says neither of which images its widths are nor on what scale."
)


def _datasets(runs: Sequence[FoundRun]) -> list[str]:
    """The data sets that runs were trained on, the paper's first and in its order."""
    there = dict.fromkeys(name for run in runs for name in run.result.figures["test"])
    return [name for name in TRAINED_ON if name in there] + [name for name in there if name not in TRAINED_ON]


def by_dataset_table(runs: Sequence[FoundRun], wanted: Collection[Occasion] | None = None) -> Table:
    """Table 1: the whole model's agreement with ratings, by data set.

    Args:
        runs: the whole model's runs.
        wanted: sessions and seeds that there should be.
    """
    rows: list[tuple[Cell, ...]] = []
    here = _datasets(runs)
    for dataset in [*here, *(name for name in TRAINED_ON if name not in here)]:
        printed = TABLE_1.get(dataset, {})
        cells: list[Cell] = [dataset]
        for column, figure in FIGURE_COLUMNS.items():
            cells.append(figure_of_runs(runs, figure, dataset))
            if column in ("SRCC", "PLCC logistic"):
                cells.append(printed.get("srcc" if column == "SRCC" else "plcc"))
        rows.append((*cells, len(runs) if dataset in here else 0))
    columns = ["data set"]
    for column in FIGURE_COLUMNS:
        columns += [column, *{"SRCC": ["paper SRCC"], "PLCC logistic": ["paper PLCC"]}.get(column, [])]
    title = "Agreement with ratings, by data set (Table 1)"
    notes = (SPREAD_NOTE, _NOTE_1, *(f"The runs are {run.result.name}." for run in runs[:1]))
    return Table("table1", title, (*columns, "runs"), tuple(rows), notes, _lacking(runs, wanted))


def _lacking(runs: Sequence[FoundRun], wanted: Collection[Occasion] | None) -> tuple[str, ...]:
    if not runs:
        return ("Not there yet: every run of the whole model.",)
    return not_there(runs, [runs[0].result.name], wanted)


def distortion_type(dataset: str, image: str, distortion: str | None) -> str | None:
    """The type of an image's distortion: its folder in CSIQ and LIVE, as their authors sort them, else its class.

    Args:
        dataset: the data set.
        image: its path from the data set's folder.
        distortion: its class.
    """
    return image.split("/")[-2] if dataset in FOLDER_TYPES else distortion


def _by_type(run: FoundRun, dataset: str) -> Iterator[tuple[str, pd.DataFrame]]:
    table = run.predictions
    rows = table[(table["part"] == "test") & (table["dataset"] == dataset)]
    types = [
        distortion_type(dataset, image, distortion)
        for image, distortion in zip(rows["image"], rows["distortion"], strict=True)
    ]
    for kind in dict.fromkeys(kind for kind in types if kind is not None):
        yield kind, rows[[one == kind for one in types]]


def by_distortion_table(runs: Sequence[FoundRun], dataset: str, wanted: Collection[Occasion] | None = None) -> Table:
    """Table 3 (CSIQ), Table 7 (LIVE), or the same of another data set: agreement within each type of distortion.

    Args:
        runs: the whole model's runs.
        dataset: the data set.
        wanted: sessions and seeds that there should be.
    """
    name, printed = FOLDER_TYPES.get(dataset, (f"distortions-{dataset}", {}))
    there = [run for run in runs if dataset in run.result.figures["test"]]
    figures: dict[str, list[tuple[Occasion, dict[str, float]]]] = {kind: [] for kind in printed}
    for run in there:
        for kind, rows in _by_type(run, dataset):
            [of_type] = figures_of(rows, variance_scale=run.result.variance_scale, constant_std=None).values()
            figures.setdefault(kind, []).append((run.occasion, of_type))
    rows_: list[tuple[Cell, ...]] = []
    for kind, found in figures.items():
        cells: list[Cell] = [kind]
        for column, figure in (("images", "images"), ("SRCC", "srcc"), ("PLCC", "plcc"), ("expected", "srcc_expected")):
            cell = measured((occasion, of.get(figure)) for occasion, of in found)
            cells.append(cell.median if column == "images" and cell is not None else cell)
            if column == "SRCC":
                cells.append(printed.get(kind))
        rows_.append((*cells, len(found)))
    number = {"csiq": " (Table 3)", "live": " (Table 7)"}.get(dataset, "")
    return Table(
        name,
        f"Agreement with ratings by distortion type of {dataset}{number}",
        ("type", "images", "SRCC", "paper SRCC", "PLCC", "expected SRCC", "runs"),
        tuple(rows_),
        (
            SPREAD_NOTE,
            "`images` is the median number of one type's test images; where there are few, sessions differ much.",
        ),
        _lacking(there, wanted) if there else (f"Not there yet: no run was trained on {dataset}.",),
    )


def interval_table(
    runs: Sequence[FoundRun], rival: Sequence[FoundRun], wanted: Collection[Occasion] | None = None
) -> Table:
    """Table 6: how wide the logistic's band is, and the predictive interval, with the share of ratings in it.

    Args:
        runs: the whole model's runs.
        rival: LIQE's, trained alongside.
        wanted: sessions and seeds that there should be.
    """
    rows: list[tuple[Cell, ...]] = []
    datasets = _datasets([*runs, *rival])
    for model, found in (("liqe", rival), ("defnet", runs)):
        for dataset in [*datasets, *(["mean"] if len(datasets) != 1 else [])]:
            chosen = None if dataset == "mean" else dataset
            cells = [figure_of_runs(found, figure, chosen) for figure in ("band_logistic", "width_95", "coverage_95")]
            # The paper gives one number a model, of the data that its plots show.
            printed = TABLE_6[model] if dataset in ("mean", *(datasets if len(datasets) == 1 else ())) else None
            rows.append((model, dataset, cells[0], printed, cells[1], cells[2], len(found)))
    names = [found[0].result.name if found else model for model, found in (("liqe", rival), ("the whole model", runs))]
    return Table(
        "table6",
        "Widths of the band of the logistic fit, and of the predictive interval (Table 6)",
        ("model", "data set", "band width", "paper width", "interval width", "interval coverage", "runs"),
        tuple(rows),
        (SPREAD_NOTE, _NOTE_6),
        not_there([*runs, *rival], names, wanted),
    )
