"""A folder of one's own: images and a table of labels, declared in iqa-dataset.toml or in Python."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import WORKBOOKS, LabelTable, read_sheet, read_text
from iqa_datasets.vocabulary import DISTORTION_CLASSES, DISTORTIONS, SCENES, distortion_class, part_of, suggestion

DECLARATION: Final = "iqa-dataset.toml"

CARD: Final = DatasetCard(
    name="folder",
    title="A folder of your own",
    year=None,
    size=None,
    kind="authentic",
    scale=None,
    subjects=None,
    licence="Yours to state: the key licence.",
    citation="Yours to state.",
    home_page="https://toml.io",
    folder="my-data-set",
    files=(DECLARATION, "*.bmp", "*.jpg", "*.png"),
    notes=(
        (
            f"The file {DECLARATION} in the folder says which table holds the labels, what its columns hold, and the "
            "range and direction of the scores; this card is then made from it."
        ),
    ),
)

_SEPARATORS: Final = {".csv": ",", ".tsv": "\t"}
_COLUMNS: Final = (
    "image",
    "score",
    "std",
    "ratings",
    "reference",
    "distortion",
    "level",
    "scenes",
    "content",
    "part",
)
_KEYS: Final = (
    "labels",
    "columns",
    "score",
    "distortions",
    "images",
    "references",
    "separator",
    "sheet",
    "scene_separator",
    "title",
    "licence",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderDeclaration:
    """What a folder of one's own holds, and where.

    Args:
        labels: the table, relative to the folder: ``.csv``, ``.tsv``, ``.xlsx`` or ``.xls``, with a row of titles.
        image: title of the column of images, as paths relative to ``images`` with forward slashes.
        score: title of the column of scores; None if there are none.
        scale: range and direction of the scores; needed with them.
        std: title of the column of their standard deviations.
        ratings: of the numbers of ratings.
        reference: of the pristine images, as paths relative to ``references``; empty where there is none.
        distortion: of the distortions' names: of the 11 classes, of LIQE's 33, or of ``distortions``.
        level: of the steps of severity, whole numbers from 1.
        scenes: of the scenes, separated by ``scene_separator``.
        content: of what images with the same value must not be split by; the reference, else the image, if not given.
        part: of the parts of a split: train, val, test (or training, validation, testing), or empty. They become
            ``session="official"``.
        images: folder of the images, relative to the data set's folder; empty if their paths start there.
        references: folder of the references, likewise.
        separator: what separates the fields of a text table; by its suffix if None.
        sheet: sheet of a workbook; the first if None.
        scene_separator: what separates several scenes.
        distortions: for further names of distortions the class, or LIQE's name, that each stands for.
        title: what the data set is called.
        licence: under which terms it may be used.

    Raises:
        DatasetError: it contradicts itself, or names what is not known.

    Example:
        >>> FolderDeclaration(labels="labels.csv", image="file", score="mos", scale=QualityScale(1, 5)).images
        ''
    """

    labels: str
    image: str
    score: str | None = None
    scale: QualityScale | None = None
    std: str | None = None
    ratings: str | None = None
    reference: str | None = None
    distortion: str | None = None
    level: str | None = None
    scenes: str | None = None
    content: str | None = None
    part: str | None = None
    images: str = ""
    references: str = ""
    separator: str | None = None
    sheet: str | None = None
    scene_separator: str = "|"
    distortions: Mapping[str, str] = field(default_factory=dict)
    title: str = "A folder of my own"
    licence: str = "Not stated."

    def __post_init__(self) -> None:
        for name in ("labels", *_COLUMNS):
            value = getattr(self, name)
            if value is not None and not value.strip():
                raise DatasetError(f"{name} must not be empty")
        if (self.score is None) != (self.scale is None):
            missing, given = ("scale", "score") if self.scale is None else ("score", "scale")
            raise DatasetError(f"{given} is given without {missing}: a column of scores needs its range and direction")
        if self.score is None and (self.std is not None or self.ratings is not None):
            raise DatasetError("std and ratings belong to scores: give score too")
        suffix = PurePosixPath(self.labels).suffix.lower()
        if suffix not in (*_SEPARATORS, *WORKBOOKS):
            known = ", ".join((*_SEPARATORS, *WORKBOOKS))
            raise DatasetError(f"labels must end in one of {known}, got {self.labels!r}")
        if self.separator is not None and (len(self.separator) != 1 or suffix in WORKBOOKS):
            raise DatasetError(f"separator must be one character, of a text table, got {self.separator!r}")
        if self.sheet is not None and suffix not in WORKBOOKS:
            raise DatasetError(f"sheet belongs to a workbook, but labels is {self.labels!r}")
        if not self.scene_separator:
            raise DatasetError("scene_separator must not be empty")
        for name in ("labels", "images", "references"):
            if fault := _path_fault(getattr(self, name)):
                raise DatasetError(f"{name} must be relative to the folder: {getattr(self, name)!r} {fault}")
        for name, known in self.distortions.items():
            _class_of(known, {}, f"distortions: {name!r} stands for")


def existing(root: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a folder of one's own.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = Path(os.path.abspath(Path(root).expanduser()))  # noqa: PTH100 - links are not resolved, .. is
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; root must be the folder that holds the table of labels")
    return folder


def card_from(declaration: FolderDeclaration) -> DatasetCard:
    """Return the card of a declared folder."""
    return DatasetCard(
        name=CARD.name,
        title=declaration.title,
        year=None,
        size=None,
        kind="authentic" if declaration.reference is None else "synthetic",
        scale=declaration.scale,
        subjects=None,
        licence=declaration.licence,
        citation=CARD.citation,
        home_page=CARD.home_page,
        folder=CARD.folder,
        files=(declaration.labels, *CARD.files),
        official_session=declaration.part is not None,
    )


def read_declaration(root: Path) -> FolderDeclaration:
    """Read the declaration in a folder.

    Raises:
        FileNotFoundError: there is none.
        DatasetError: it is no TOML, or a key or value in it is wrong; the message names the key.
    """
    source = find_file(root, DECLARATION)
    try:
        content = tomllib.loads(source.read_text(encoding="utf-8"))
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise DatasetError(f"{source} is not a TOML file: {error}") from error
    _known(content, _KEYS, f"{source}:")
    columns = _table(content, "columns", source)
    _known(columns, _COLUMNS, f"{source}, [columns]:")
    values = {key: _text(columns, key, f"{source}, [columns]:") for key in columns}
    plain = content.keys() - {"columns", "score", "distortions"}
    values |= {key: _text(content, key, f"{source}:") for key in plain}
    for key, holder in (("labels", "the table of labels"), ("image", "the column of images, in [columns]")):
        if key not in values:
            raise DatasetError(f"{source}: {key} is missing; it names {holder}")
    distortions = _table(content, "distortions", source)
    try:
        return FolderDeclaration(
            scale=_scale(_table(content, "score", source), source) if "score" in content else None,
            distortions={key: _text(distortions, key, f"{source}, [distortions]:") for key in distortions},
            **values,
        )
    except DatasetError as error:
        raise DatasetError(str(error) if str(source) in str(error) else f"{source}: {error}") from None


def read_declared(root: Path, declaration: FolderDeclaration, table: Path | None = None) -> Reading:
    """Read a declared folder into a table of `make_records`.

    Args:
        root: the folder.
        declaration: what the table holds.
        table: the table of labels, where it lies elsewhere than `FolderDeclaration.labels` says.

    Raises:
        FileNotFoundError: the table or an image is missing.
        DatasetError: the table does not hold what is declared; the message names the row.
    """
    source = find_file(root, declaration.labels) if table is None else table
    labels = read_labels(source, declaration)
    return _reading(root, declaration, labels)


def read_labels(source: Path, declaration: FolderDeclaration) -> LabelTable:
    """Read the table of labels of a declared folder, as it stands there.

    Raises:
        FileNotFoundError: there is no such file.
        DatasetError: it is no table.
    """
    if source.suffix.lower() in WORKBOOKS:
        titles = [title for name in _COLUMNS if (title := getattr(declaration, name)) is not None]
        return read_sheet(source, titles, sheet=declaration.sheet)
    return read_text(source, separator=declaration.separator or _SEPARATORS[source.suffix.lower()])


def _reading(root: Path, declaration: FolderDeclaration, table: LabelTable) -> Reading:
    source = table.path
    files = _files(table, declaration)
    references = _references(table, declaration)
    columns: dict[str, Any] = {"content": _content(table, declaration, files, references)}
    if declaration.score is not None:
        columns["mos"] = _scores(table, declaration)
    if declaration.std is not None:
        columns["mos_std"] = _not_negative(table, declaration.std)
    if declaration.ratings is not None:
        columns["ratings"] = _whole_numbers(table, declaration.ratings)
    if declaration.level is not None:
        columns["level"] = _whole_numbers(table, declaration.level)
    if declaration.distortion is not None:
        names = table.optional_texts(declaration.distortion)
        columns["distortion_name"] = names
        columns["distortion"] = [
            None if name is None else _class_of(name, declaration.distortions, f"{table.where(row)}: distortion is")
            for row, name in enumerate(names)
        ]
    if declaration.scenes is not None:
        texts = table.optional_texts(declaration.scenes)
        columns["scenes"] = [_scenes(text, declaration, table.where(row)) for row, text in enumerate(texts)]
    if declaration.part is not None:
        columns["session_part"] = [
            None if word is None else part_of(word, table.where(row), declaration.part)
            for row, word in enumerate(table.optional_texts(declaration.part))
        ]
    pristine = [reference for reference in references if reference is not None]
    images = resolve_images(root, [*files, *pristine], source)
    if pristine:
        found = dict(zip(pristine, images.paths[len(files) :], strict=True))
        columns["reference_path"] = [None if reference is None else found[reference] for reference in references]
    records = make_records(files, images.paths[: len(files)], declaration.scale, source, **columns)
    return Reading(records, images)


def _files(table: LabelTable, declaration: FolderDeclaration) -> list[str]:
    first: dict[str, int] = {}
    for row, name in enumerate(table.texts(declaration.image)):
        file = _inside(declaration.images, name, table.where(row), declaration.image)
        if file in first:
            raise DatasetError(
                f"{table.where(row)}: {file} stands more than once, first in {table.unit} {table.rows[first[file]]}"
            )
        first[file] = row
    return list(first)


def _references(table: LabelTable, declaration: FolderDeclaration) -> list[str | None]:
    if declaration.reference is None:
        return [None] * len(table)
    return [
        None if name is None else _inside(declaration.references, name, table.where(row), declaration.reference)
        for row, name in enumerate(table.optional_texts(declaration.reference))
    ]


def _content(
    table: LabelTable, declaration: FolderDeclaration, files: Sequence[str], references: Sequence[str | None]
) -> list[str]:
    if declaration.content is not None:
        return table.texts(declaration.content)
    return [reference or file for file, reference in zip(files, references, strict=True)]


def _scores(table: LabelTable, declaration: FolderDeclaration) -> NDArray[np.float64]:
    assert declaration.score is not None and declaration.scale is not None  # noqa: S101, PT018 - by __post_init__
    scores, scale = table.numbers(declaration.score), declaration.scale
    outside = np.flatnonzero((scores < scale.low) | (scores > scale.high))
    if outside.size:
        row = int(outside[0])
        raise DatasetError(
            f"{table.where(row)}: {declaration.score} is {scores[row]:g}, outside the documented range [{scale.low:g}, "
            f"{scale.high:g}], which the declaration states"
        )
    return scores


def _not_negative(table: LabelTable, column: str) -> NDArray[np.float64]:
    values = table.numbers(column, optional=True)
    if (wrong := np.flatnonzero(values < 0)).size:
        row = int(wrong[0])
        raise DatasetError(f"{table.where(row)}: {column} must be a number from 0 on, got {values[row]:g}")
    return values


def _whole_numbers(table: LabelTable, column: str) -> list[int | None]:
    values = table.numbers(column, optional=True)
    wrong = np.flatnonzero(~np.isnan(values) & ((values < 1) | (values != np.floor(values))))
    if wrong.size:
        row = int(wrong[0])
        raise DatasetError(f"{table.where(row)}: {column} must be a whole number from 1 on, got {values[row]:g}")
    return [None if np.isnan(value) else int(value) for value in values]


def _scenes(text: str | None, declaration: FolderDeclaration, where: str) -> tuple[str, ...]:
    scenes = tuple(scene.strip() for scene in (text or "").split(declaration.scene_separator) if scene.strip())
    for scene in scenes:
        if scene not in SCENES:
            raise DatasetError(f"{where}: unknown scene {scene!r}{suggestion(scene, SCENES)}")
    if len(set(scenes)) < len(scenes):
        raise DatasetError(f"{where}: a scene is named twice: {text}")
    return scenes


def _class_of(name: str, own: Mapping[str, str], where: str) -> str:
    known = own.get(name, name)
    if known in DISTORTIONS:
        return known
    if known in DISTORTION_CLASSES:
        return distortion_class(known)
    nearest = suggestion(known, [*DISTORTIONS, *DISTORTION_CLASSES, *own])
    raise DatasetError(
        f"{where} {known!r}, which is none of the {len(DISTORTIONS)} classes nor of LIQE's {len(DISTORTION_CLASSES)} "
        f"names, nor declared under distortions{nearest}"
    )


def _inside(folder: str, name: str, where: str, column: str) -> str:
    if fault := _path_fault(name):
        raise DatasetError(f"{where}: {column} must be a path inside the folder: {name!r} {fault}")
    return (PurePosixPath(folder) / name).as_posix()


def _path_fault(path: str) -> str:
    """Return why a path is not one inside a folder with forward slashes; the empty string if it is."""
    if "\\" in path:
        return "has a backslash, write /"
    if path.startswith("/") or ".." in path.split("/"):
        return "leads outside"
    return ""


def _known(content: Mapping[str, object], keys: Sequence[str], where: str) -> None:
    for key in content:
        if key not in keys:
            raise DatasetError(f"{where} unknown key {key!r}{suggestion(key, keys)}")


def _table(content: Mapping[str, object], key: str, source: Path) -> dict[str, object]:
    value = content.get(key, {})
    if not isinstance(value, dict):
        raise DatasetError(f"{source}: {key} must be a table, [{key}], got {value!r}")
    return value


def _text(content: Mapping[str, object], key: str, where: str) -> str:
    value = content[key]
    if not isinstance(value, str):
        raise DatasetError(f"{where} {key} must be a text in quotes, got {value!r}")
    return value


def _scale(score: Mapping[str, object], source: Path) -> QualityScale:
    where = f"{source}, [score]:"
    _known(score, ("low", "high", "better"), where)
    for key in ("low", "high", "better"):
        if key not in score:
            raise DatasetError(
                f'{where} {key} is missing; there must be low and high, the range, and better = "higher" or "lower"'
            )
    low, high = (score[key] for key in ("low", "high"))
    if (
        isinstance(low, bool)
        or isinstance(high, bool)
        or not isinstance(low, int | float)
        or not isinstance(high, int | float)
    ):
        raise DatasetError(f"{where} low and high must be numbers, got {low!r} and {high!r}")
    if score["better"] not in ("higher", "lower"):
        raise DatasetError(f'{where} better must be "higher" or "lower", got {score["better"]!r}')
    try:
        return QualityScale(low, high, higher_is_better=score["better"] == "higher")
    except DatasetError as error:
        raise DatasetError(f"{where} {error}") from None


def _read(root: Path) -> Reading:
    return read_declared(root, read_declaration(root))


LOADER: Final = Loader(CARD, _read, card_of=lambda root: card_from(read_declaration(root)))
