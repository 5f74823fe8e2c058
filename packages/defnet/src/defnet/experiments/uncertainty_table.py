"""The table of uncertainty: how true it is by ways to fuse and after correction, over sessions."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from defnet.errors import DataError
from defnet.experiments.found_runs import FoundRun
from defnet.experiments.table import SPREAD_NOTE, Cell, Occasion, Table, measured
from defnet.experiments.uncertainty_rows import CROSS_FUSIONS, FUSIONS, uncertainty_rows

COLUMNS: Final = {
    "coverage 50 %": "coverage_50",
    "coverage 80 %": "coverage_80",
    "coverage 95 %": "coverage_95",
    "width 95 %": "width_95",
    "NLL": "nll",
    "NLL constant": "nll_constant",
    "CRPS": "crps",
    "CRPS constant": "crps_constant",
    "AUSE": "ause",
    "error correlation": "error_spearman",
    "aleatoric-epistemic": "parts_spearman",
}
"""Columns, and the figure of `uncertainty_rows` in each."""

_FUSION_NOTE = (
    "`local-global` is Eq. 25, the score's own; `cross` are Eqs. 18 to 20, every sub-image in full or tempered; "
    "`single crop` is Eq. 24 of the middle sub-image. The variance scale is fitted on the validation parts, one factor "
    "for all data sets, and conformal intervals on each data set's own."
)
_FIGURE_NOTE = (
    "`constant` is a normal distribution around the same means with one variance for all images, fitted on the "
    "validation parts. AUSE is normalised (0 is best). The last two correlations are Spearman's: of stated deviation "
    "and absolute error, and of the two parts of the variance."
)


def uncertainty_table(runs: Sequence[FoundRun]) -> Table:
    """How true the stated uncertainty is, a row a data set, way to fuse and correction.

    Args:
        runs: those of one row of an experiment.

    Raises:
        DataError: none of them states an uncertainty.
    """
    found: list[tuple[Occasion, pd.DataFrame]] = []
    for run in runs:
        if "loc" in run.predictions:
            # Without Eq. 27 nothing teaches the whole image's evidence.
            taught = FUSIONS if run.result.config.objective.teaches_fusion else CROSS_FUSIONS
            rows = uncertainty_rows(run.predictions, run.result.config.model, taught)
            found.append((run.occasion, rows.set_index(["dataset", "fusion", "correction"])))
    if not found:
        raise DataError("there is no run that states an uncertainty")
    keys = list(dict.fromkeys(key for _, rows in found for key in rows.index))
    table: list[tuple[Cell, ...]] = []
    for key in keys:
        here = [(occasion, rows.loc[key]) for occasion, rows in found if key in rows.index]
        cells: list[Cell] = []
        for figure in COLUMNS.values():
            # Conformal intervals are no distribution: what they have no figure of is not there.
            absent = key[2] == "conformal" and not figure.startswith(("coverage", "width"))
            cells.append(None if absent else measured((occasion, float(row[figure])) for occasion, row in here))
        table.append((*key, *cells, len(here)))
    notes = (SPREAD_NOTE, _FUSION_NOTE, _FIGURE_NOTE)
    title = "How true the stated uncertainty is, by ways to fuse and after correction on the validation parts"
    return Table("uncertainty", title, ("data set", "fusion", "correction", *COLUMNS, "runs"), tuple(table), notes)
