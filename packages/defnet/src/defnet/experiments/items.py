"""What there is to reproduce: the paper's tables and figures, and which sets of runs each needs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from defnet.errors import DataError
from defnet.experiments.table import Table

WHOLE, RIVAL, ABLATION, SWEEP = "the whole model", "LIQE", "the ablation", "the sweep"

GROUPS: Final = (WHOLE, RIVAL, ABLATION, SWEEP)
"""Sets of runs, in the order in which they are made."""

TABLES: Final = {
    "table1": (WHOLE,),
    "table2": (WHOLE,),
    "table3": (WHOLE,),
    "table4": (ABLATION,),
    "table5": (SWEEP,),
    "table6": (WHOLE, RIVAL),
    "table7": (WHOLE,),
    "table8": (),
    "distortions": (WHOLE,),
    "claims": (ABLATION,),
    "uncertainty": (WHOLE,),
}
"""Tables, and the runs that each needs."""

FIGURES: Final = {
    "figure1": (WHOLE, RIVAL),
    "figure4": (),
    "figure5": (WHOLE,),
    "figure6": (WHOLE,),
    "figure7": (),
    "figure8": (ABLATION,),
    "figure9": (ABLATION,),
    "figure10": (ABLATION,),
    "figure11": (WHOLE, RIVAL),
    "reliability": (WHOLE,),
}
"""Figures with something measured in them, likewise. Figures 2 and 3 are drawings of the method."""

ITEMS: Final = (*TABLES, *FIGURES)


@dataclass(frozen=True)
class Outcome:
    """What came of a table or a figure.

    Attributes:
        item: one of `ITEMS`, a set of runs, or a data set.
        table: the table.
        files: a figure's files.
        problem: why it is not whole, or is not there.
    """

    item: str
    table: Table | None = None
    files: tuple[Path, ...] = ()
    problem: str | None = None


def items_of(word: str) -> tuple[str, ...]:
    """The items that a word means: `all`, or one of them, such as `table4` or `Table 4`.

    Raises:
        DataError: there is none.
    """
    plain = word.lower().replace(" ", "").replace("-", "")
    if plain == "all":
        return ITEMS
    if plain not in ITEMS:
        raise DataError(f"there is no {word!r} to reproduce; there are {', '.join(ITEMS)} and all")
    return (plain,)
