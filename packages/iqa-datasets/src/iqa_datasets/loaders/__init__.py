"""One module a data set: its card and how its official files become the table."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from iqa_datasets.cards import DatasetCard


@dataclass(frozen=True, slots=True)
class Loader:
    """How one data set is read.

    Attributes:
        card: what is known about it without its files.
        read: from the official folder (absolute, known to exist) to a table of `make_records`, in official order.
        liqe_prefix: how its label files in LIQE's collection start, if it has any there.
    """

    card: DatasetCard
    read: Callable[[Path], pd.DataFrame]
    liqe_prefix: str | None = None
