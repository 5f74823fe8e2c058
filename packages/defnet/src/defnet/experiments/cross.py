"""Trained on the mixture, judged on data sets never seen (Table 2), with and without pictures that both share."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from defnet.config.data import DataConfig
from defnet.config.training import TrainConfig
from defnet.data.mixture import official_path
from defnet.data.roots import DataRoots
from defnet.errors import DataError
from defnet.experiments.found_runs import FoundRun, not_there
from defnet.experiments.paper import TABLE_2, ZERO_SHOT
from defnet.experiments.run import ALL, figures_of, summarize
from defnet.experiments.table import Cell, Measured, Occasion, Table, measured
from iqa_datasets import DatasetError, IQADataset, overlap
from iqa_datasets.atomic_files import replacing

SHARED_FILE = "shared_pictures.json"


class SharedImages(BaseModel):
    """Images of a data set whose pictures stand in a training set too.

    Attributes:
        dataset: the data set that is judged.
        trained_on: the training set.
        sha256: of both sets' tables, in that order; see `DataSummary`.
        pictures: number of pictures that both share.
        compared: number of pictures of the judged and of the training set.
        crops_sought: whether crops were sought too.
        images: the images of `dataset` that show a shared picture, as paths from its folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    trained_on: str
    sha256: tuple[str, str]
    pictures: int
    compared: tuple[int, int]
    crops_sought: bool
    images: tuple[str, ...]


def find_shared(
    config: TrainConfig,
    zero_shot: Sequence[str],
    roots: DataRoots,
    folder: Path,
    *,
    note: Callable[[str], None] = lambda _: None,
) -> list[SharedImages]:
    """Find the pictures that judged and training sets share, and write them to the experiment's folder.

    What is there of the same images is not sought again; every pair is written when it is found.

    Args:
        config: what is trained. All images of its data sets count, also those of a session's test part, so that every
            session leaves out the same.
        zero_shot: the data sets that are judged.
        roots: where data lies.
        folder: the experiment's folder.
        note: told of each pair that is sought.

    Raises:
        DataError: a data set or a picture cannot be read.
    """
    there = {(found.dataset, found.trained_on): found for found in read_shared(folder)}
    for name in zero_shot:
        judged = roots.load(name)
        for source in config.data:
            trained = _whole(source, roots)
            hashes = (summarize(judged).sha256, summarize(trained).sha256)
            found = there.get((name, source.name))
            if found is None or found.sha256 != hashes:
                note(f"seeking pictures that {name} shares with {source.name}")
                there[name, source.name] = _shared(name, judged, source.name, trained, hashes)
                _write(folder, list(there.values()))
    return list(there.values())


def _whole(source: DataConfig, roots: DataRoots) -> IQADataset:
    return roots.load(source.name, dataset=source.dataset, path=source.path)


def _shared(name: str, judged: IQADataset, source: str, trained: IQADataset, hashes: tuple[str, str]) -> SharedImages:
    try:
        found = overlap(judged, trained)
    except DatasetError as error:
        raise DataError(str(error)) from error
    pictures = {picture.first for picture in found.shared}
    records = judged.records
    shown = records["reference_path"].fillna(records["image_path"])
    # Of a content without a reference, the picture that was compared is its first image.
    contents = set(records.loc[shown.isin(pictures), "content"])
    images = records.loc[records["content"].isin(contents), "image_path"]
    return SharedImages(
        dataset=name,
        trained_on=source,
        sha256=hashes,
        pictures=len(pictures),
        compared=found.compared,
        crops_sought=found.crops_sought,
        images=tuple(official_path(judged, path) for path in images),
    )


def _write(folder: Path, found: Sequence[SharedImages]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / SHARED_FILE) as part:
        content = [one.model_dump(mode="json") for one in found]
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_shared(folder: Path) -> list[SharedImages]:
    """The shared pictures that the experiment's folder knows of; none where it has no such file.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / SHARED_FILE
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        return [SharedImages.model_validate(one) for one in content]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, ValidationError) as error:
        raise DataError(f"{path}: is no list of shared pictures; remove it to have them sought again") from error


def cross_table(
    runs: Sequence[FoundRun],
    shared: Sequence[SharedImages],
    wanted: Collection[Occasion] | None = None,
    zero_shot: Sequence[str] = ZERO_SHOT,
) -> Table:
    """Table 2, from the runs that there are.

    Args:
        runs: the whole model's runs.
        shared: of the pairs of judged and training sets.
        wanted: sessions and seeds that there should be.
        zero_shot: the data sets; others that runs were judged on stand below them.
    """
    rows: list[tuple[Cell, ...]] = []
    notes: list[str] = []
    lacking: list[str] = []
    for dataset in dict.fromkeys([*zero_shot, *(name for run in runs for name in run.result.zero_shot)]):
        judged = [run for run in runs if dataset in run.result.zero_shot]
        whole = _figures(judged, dataset, frozenset())
        rows.append(_row(dataset, "all", whole, TABLE_2.get(dataset), len(judged)))
        trained_on = {source.name for run in judged for source in run.result.config.data}
        pairs = {pair.trained_on: pair for pair in shared if pair.dataset == dataset and pair.trained_on in trained_on}
        unknown = sorted(trained_on - set(pairs))
        if not judged:
            lacking.append(f"Not there yet: no run was judged on {dataset}.")
        elif unknown:
            lacking.append(f"Not there yet: which pictures {dataset} shares with {', '.join(unknown)}.")
        else:
            out = frozenset(image for pair in pairs.values() for image in pair.images)
            rows.append(_row(dataset, "not shared", _figures(judged, dataset, out), None, len(judged)))
            notes.append(_told(dataset, pairs, len(out)))
    names = [runs[0].result.name] if runs else ["the whole model"]
    return Table(
        "table2",
        "Judged on data sets that it was not trained on (Table 2)",
        ("data set", "pictures", "images", "SRCC", "paper SRCC", "PLCC", "PLCC logistic", "expected SRCC", "runs"),
        tuple(rows),
        (_NOTE, *notes),
        (*lacking, *not_there(runs, names, wanted)),
    )


_NOTE = (
    "Medians over sessions, with the first and third quartile; of a session, the mean over its seeds. All images of a "
    "data set are judged. `expected` is the expected quality of Eq. 5. The paper judges on PIPAL's training part, and "
    "leaves no shared pictures out."
)

Figures = list[tuple[Occasion, dict[str, float]]]


def _figures(runs: Sequence[FoundRun], dataset: str, left_out: Collection[str]) -> Figures:
    figures = []
    for run in runs:
        table = run.predictions
        rows = table[(table["part"] == ALL) & (table["dataset"] == dataset) & ~table["image"].isin(left_out)]
        found = figures_of(rows, variance_scale=run.result.variance_scale, constant_std=run.result.constant_std)
        figures.append((run.occasion, found.get(dataset, {"images": 0})))
    return figures


def _row(dataset: str, pictures: str, figures: Figures, printed: float | None, runs: int) -> tuple[Cell, ...]:
    def of(name: str) -> Measured | None:
        return measured((occasion, found.get(name)) for occasion, found in figures)

    images = of("images")
    return (
        *(dataset, pictures, None if images is None else int(images.median), of("srcc"), printed),
        *(of("plcc"), of("plcc_logistic"), of("srcc_expected"), runs),
    )


def _told(dataset: str, pairs: Mapping[str, SharedImages], left_out: int) -> str:
    each = [f"{pair.pictures} with {name}" for name, pair in pairs.items() if pair.pictures]
    unsought = [name for name, pair in pairs.items() if not pair.crops_sought]
    told = f"{dataset} shares {', '.join(each) or 'no picture'}{' of its pictures' if each else ''}"
    told += f": {left_out} images are left out of `not shared`." if each else " with what was trained on."
    if unsought:
        told += f" Crops were not sought in {', '.join(unsought)}, where there are too many pairs of pictures."
    return told
