"""Degraded copies of photographs: of each it is known that it is worse than its photograph, and nothing else."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final

import pandas as pd

from defnet.errors import ConfigError, DataError
from defnet.pseudo_ratings.rated_folder import Track
from iqa_datasets import DatasetError, synthesize
from iqa_datasets.atomic_files import locked, replacing
from iqa_datasets.loaders.folder import DECLARATION
from iqa_datasets.synthesis import distortions_table

ORDER: Final = "order.csv"
_MADE = "distorted"


@dataclass(frozen=True)
class DegradedCopies:
    """What `degrade` made.

    Attributes:
        folder: the data set; `iqa_datasets.load("folder", folder)` reads it.
        records: one row an image, as `order.csv` has them.
        problems: photographs that could not be read, or not distorted by every type, and why.
    """

    folder: Path
    records: pd.DataFrame
    problems: tuple[tuple[str, str], ...]


def degrade(
    photographs: str | PathLike[str],
    out: str | PathLike[str],
    *,
    per_photograph: int = 2,
    seed: int = 0,
    workers: int | None = None,
    track: Track = lambda items, _total, _what: items,
) -> DegradedCopies:
    """Make degraded copies of rated photographs, whose order within each photograph is known.

    A photograph that people have rated need not be good, so metrics cannot say how good a degraded copy of it is: a
    blurred one hides further blur. But the copy is worse than the photograph. `score` is 1 for a photograph, as a PNG
    file, and 0 for its copies. To learn from it, compare images of one content alone, leave pairs of equal scores out,
    and take no values:

    ```toml
    [[data]]
    name = "degraded"
    dataset = "folder"
    of = "live-challenge"      # copies of its training images alone, whatever the session
    session = "seeded-1"
    batch_size = 24
    per_content = 3
    pairs = "content"
    quality_evidence = 0

    [objective]
    ties = "none"
    ```

    Distortions that leave a photograph as it is are left out (`iqa_datasets.synthesize`).

    Args:
        photographs: a folder of photographs; folders in it are searched.
        out: where to write; called again, `degrade` makes what is missing.
        per_photograph: number of copies of each photograph.
        seed: another seed gives other distortions and noise.
        workers: processes; all cores if None.
        track: shows how far it is, given what is being done, its number and its name.

    Raises:
        ConfigError: an argument is wrong, or `out` was made with others, or an extra is missing.
        DataError: no copy could be made.
    """
    if per_photograph < 1:
        raise ConfigError(f"per_photograph must be 1 or more, got {per_photograph}")
    out = Path(out).expanduser()
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / ORDER):
        try:
            made = synthesize(
                photographs,
                out / _MADE,
                per_photograph=per_photograph,
                unchanged=False,
                seed=seed,
                workers=workers,
                progress=lambda items, total: track(items, total, "distorting"),
            )
        except (DatasetError, ImportError) as error:
            raise ConfigError(str(error)) from error
        if made.records.empty:
            why = f": {made.failures[0].source} {made.failures[0].reason}" if made.failures else ""
            raise DataError(f"{photographs}: no photograph could be degraded{why}")
        table = _ordered(made.records)
        _write(out, table)
    return DegradedCopies(out, table, tuple((failure.source, failure.reason) for failure in made.failures))


def _ordered(records: pd.DataFrame) -> pd.DataFrame:
    """The copies and their photographs, by content."""
    pristine = pd.DataFrame({"image": sorted(records["reference"].unique())})
    pristine["reference"] = pristine["image"]
    table = pd.concat([records.assign(score=0), pristine.assign(score=1)], ignore_index=True)
    table["content"] = [Path(*Path(path).parts[1:]).with_suffix("").as_posix() for path in table["reference"]]
    for name in ("image", "reference"):
        table[name] = f"{_MADE}/" + table[name]
    return table.sort_values(["content", "score", "image"], ascending=[True, False, True], ignore_index=True)


def _write(out: Path, table: pd.DataFrame) -> None:
    with replacing(out / ORDER) as part:
        table.to_csv(part, index=False, lineterminator="\n")
    declaration = (
        f'title = "Photographs and degraded copies of them"\nlabels = "{ORDER}"\n\n'
        '[columns]\nimage = "image"\nscore = "score"\nreference = "reference"\ncontent = "content"\n'
        'distortion = "distortion_name"\nlevel = "level"\n\n[score]\nlow = 0\nhigh = 1\nbetter = "higher"\n\n'
        f"{distortions_table()}"
    )
    with replacing(out / DECLARATION) as part:
        part.write_text(declaration, encoding="utf-8")
