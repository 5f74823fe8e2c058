"""Degraded copies of photographs, in their order: each below its photograph, and copies as metrics find."""

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Final

import pandas as pd

from defnet.errors import ConfigError, DataError
from defnet.pseudo_ratings.fused_scores import MADE, SCORES, Track, fuse, fusion_of, measure
from iqa_datasets import DatasetError, synthesize
from iqa_datasets.atomic_files import locked, replacing
from iqa_datasets.loaders.folder import DECLARATION
from iqa_datasets.synthesis import distortions_table

ORDER: Final = "order.csv"


@dataclass(frozen=True)
class DegradedCopies:
    """What `degrade` made.

    Attributes:
        folder: the data set; `iqa_datasets.load("folder", folder)` reads it.
        records: one row an image, as `order.csv` has them.
        problems: photographs that could not be read, or not distorted by every type, and copies that were to be
            measured and could not be, and why.
    """

    folder: Path
    records: pd.DataFrame
    problems: tuple[tuple[str, str], ...]


def degrade(
    photographs: str | PathLike[str],
    out: str | PathLike[str],
    *,
    per_photograph: int = 2,
    metrics: Sequence[str] = (),
    method: str = "robust",
    seed: int = 0,
    workers: int | None = None,
    device: str | None = None,
    track: Track = lambda items, _total, _what: items,
) -> DegradedCopies:
    """Make degraded copies of rated photographs, whose order within each photograph is known.

    A photograph that people have rated need not be good, so metrics cannot say how good a degraded copy of it is: a
    blurred one hides further blur. But the copy is worse than the photograph. `score` is 1 for a photograph, as a PNG
    file, and 0 for its copies.

    With `metrics` each copy is measured against its photograph, and its `score` is the fused rating in [0, 1], with
    its standard deviation in `score_std` (0 for photographs). It says how far a copy is from its photograph, so that
    copies of one photograph have an order, too.

    To learn from it, compare images of one content alone, leave pairs of equal scores out, and take no values:

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
    uncertain_ratings = true   # with metrics

    [objective]
    ties = "none"
    ```

    Distortions that leave a photograph as it is are left out (`iqa_datasets.synthesize`).

    Args:
        photographs: a folder of photographs; folders in it are searched.
        out: where to write; called again, `degrade` makes what is missing.
        per_photograph: number of copies of each photograph.
        metrics: names of `map_score_fusion.IMAGE_METRICS` that compare with a reference; none by default.
        method: of their fusion, one of `map_score_fusion.METHODS`.
        seed: another seed gives other distortions and noise.
        workers: processes; all cores if None.
        device: where metrics are computed; the CPU if None.
        track: shows how far it is, given what is being done, its number and its name.

    Raises:
        ConfigError: an argument is wrong, or `out` was made with others, or an extra is missing.
        DataError: no copy could be made.
    """
    if per_photograph < 1:
        raise ConfigError(f"per_photograph must be 1 or more, got {per_photograph}")
    fusion = fusion_of(method, seed) if metrics else None
    out = Path(out).expanduser()
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / ORDER):
        try:
            made = synthesize(
                photographs,
                out / MADE,
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
        problems = [(failure.source, failure.reason) for failure in made.failures]
        copies = made.records.assign(score=0)
        if fusion is not None:
            scores, without = measure(
                out / MADE, copies, metrics, out / SCORES, workers=workers, device=device, track=track
            )
            problems += without
            copies = copies.drop(columns="score").merge(scores, on="image", how="inner", validate="one_to_one")
            if len(copies) < 2:
                raise DataError(
                    f"{out}: no two copies could be measured; {without[0][1] if without else 'there is one'}"
                )
            copies["score"], copies["score_std"] = fuse(fusion, copies[list(metrics)])
        table = _ordered(copies)
        _write(out, table)
    return DegradedCopies(out, table, tuple(problems))


def _ordered(copies: pd.DataFrame) -> pd.DataFrame:
    """The copies and their photographs, by content."""
    pristine = pd.DataFrame({"image": sorted(copies["reference"].unique()), "score": 1})
    pristine["reference"] = pristine["image"]
    if "score_std" in copies:
        pristine["score_std"] = 0.0
    table = pd.concat([copies, pristine], ignore_index=True)
    table["content"] = [Path(*Path(path).parts[1:]).with_suffix("").as_posix() for path in table["reference"]]
    for name in ("image", "reference"):
        table[name] = f"{MADE}/" + table[name]
    return table.sort_values(["content", "score", "image"], ascending=[True, False, True], ignore_index=True)


def _write(out: Path, table: pd.DataFrame) -> None:
    with replacing(out / ORDER) as part:
        table.to_csv(part, index=False, lineterminator="\n")
    std = 'std = "score_std"\n' if "score_std" in table else ""
    declaration = (
        f'title = "Photographs and degraded copies of them"\nlabels = "{ORDER}"\n\n'
        f'[columns]\nimage = "image"\nscore = "score"\n{std}reference = "reference"\ncontent = "content"\n'
        'distortion = "distortion_name"\nlevel = "level"\n\n[score]\nlow = 0\nhigh = 1\nbetter = "higher"\n\n'
        f"{distortions_table()}"
    )
    with replacing(out / DECLARATION) as part:
        part.write_text(declaration, encoding="utf-8")
