"""`map-score-fusion evaluate`: a fitted fusion against human ratings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from map_score_fusion.commands.ratings import (
    ConfidenceOption,
    GroupsOption,
    MosLowerOption,
    MosOption,
    ResamplesOption,
    read_rated,
    say_if_images_share_references,
    say_if_upside_down,
    show_figures,
)
from map_score_fusion.commands.terminal import (
    SUFFIXES,
    FormatOption,
    OutOption,
    plain_errors,
    said_warnings,
    terminal,
    wants_table,
    write_frame,
)

if TYPE_CHECKING:
    import pandas as pd

    from map_score_fusion.comparison import Evaluation

EPILOG = """**Examples**

`map-score-fusion evaluate model/ tid2013.csv --mos mos --groups reference`

`map-score-fusion evaluate model/ tid2013.csv csiq.csv --mos tid2013.csv:mos --mos csiq.csv:-dmos` — each with its own
ratings, and the average weighted by size

`map-score-fusion evaluate model/ live.csv --mos=-dmos --plot uncertainty.svg --out figures.csv`

**Exit code**: 0 done, 2 nothing could be done."""

PLOT_SUFFIXES = (".svg", ".png", ".pdf")


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The folder that `fit` wrote.")],
    scores: Annotated[list[Path], typer.Argument(metavar="SCORES...", help=".csv or .parquet files with ratings.")],
    mos: MosOption,
    mos_lower_is_better: MosLowerOption = False,
    groups: GroupsOption = None,
    resamples: ResamplesOption = 1000,
    confidence: ConfidenceOption = 0.95,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw each metric's fitted uncertainty against its SRCC: .svg, .png or .pdf."
        ),
    ] = None,
    out: OutOption = None,
    output: FormatOption = None,
) -> None:
    """Compare a model's fused scores, and its single metrics, with human ratings. Nothing is fitted.

    SRCC is Spearman's rank correlation, KRCC Kendall's tau-b, PLCC Pearson's correlation after the four-parameter
    logistic of VQEG. Metrics are turned to higher = better as the model has them, so a negative figure means the wrong
    way round. Each row rests on the images that have that score and a rating. Of the fused score it also says what
    share of the ranks' errors two of its deviations hold, and whether larger deviations mean larger errors.
    """
    terminal.check_out(out, SUFFIXES)
    terminal.check_out(plot, PLOT_SUFFIXES)
    with plain_errors(), said_warnings():
        from map_score_fusion.comparison import evaluate_fusion
        from map_score_fusion.estimator import ScoreFusion

        fusion = ScoreFusion.load(model)
        metrics = list(map(str, fusion.metric_summary_.index))
        files = read_rated(scores, mos, groups, metrics=metrics, lower_is_better=mos_lower_is_better)
        found = evaluate_fusion(
            fusion,
            {file.name: (file.table, file.ratings) for file in files},
            groups={file.name: file.groups for file in files},
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )
        if plot is not None:
            _plot(found, plot)
        if wants_table(out, output):
            show_figures(found.figures, confidence, over="references" if groups else "images")
            _show_uncertainty(found)
        else:
            write_frame(_rows(found), out, output)
    say_if_images_share_references(files, resamples)
    say_if_upside_down(found.figures, files)


def _plot(found: "Evaluation", path: Path) -> None:
    from iqa_datasets.atomic_files import replacing
    from map_score_fusion.comparison import AVERAGE
    from map_score_fusion.figures import plot_noise_against_srcc

    rows = found.figures[found.figures["kind"] == "metric"]
    if (rows["table"] == AVERAGE).any():
        rows = rows[rows["table"] == AVERAGE]
    figure = plot_noise_against_srcc(found.noise, rows.set_index("name")["srcc"])
    with replacing(path) as part:
        figure.savefig(part, dpi=150)
    terminal.say(f"wrote {path}")


def _rows(found: "Evaluation") -> "pd.DataFrame":
    """Return the figures, with the fused ranks' deviations against their errors and the metrics' noise beside them."""
    import numpy as np

    rows = found.figures.copy()
    fused = rows["kind"] == "fused"
    of_table = [
        found.uncertainty.get(str(table)) if one else None for table, one in zip(rows["table"], fused, strict=True)
    ]
    nan = float("nan")
    rows["deviation_coverage"] = [nan if one is None else one.coverage for one in of_table]
    rows["deviation_correlation"] = [nan if one is None else one.spearman for one in of_table]
    for quarter in range(4):
        rows[f"quarter_error_{quarter + 1}"] = [nan if one is None else one.quarter_errors[quarter] for one in of_table]
    rows["noise"] = np.where(fused, nan, rows["name"].map(found.noise).to_numpy(dtype=np.float64))
    return rows


def _show_uncertainty(found: "Evaluation") -> None:
    quarters = ("least certain", "third", "second", "most certain")
    table = terminal.new_table(
        "", "images", "within two", "Spearman", *reversed(quarters),
        right=("images", "within two", "Spearman", *quarters),
        title="Deviations of the fused ranks against their errors: the share of the errors within two deviations (95 % "
        "where errors are what the metrics' disagreement shows), Spearman's correlation of the two, and the "
        "mean error (as a share of all ranks) in each quarter of the images",
    )  # fmt: skip
    cell = terminal.cell
    for name, one in found.uncertainty.items():
        held = "" if one.coverage != one.coverage else f"{one.coverage:.0%}"
        table.add_row(cell(name), cell(one.images), held, cell(one.spearman), *map(cell, one.quarter_errors))
    terminal.show_table(table)
