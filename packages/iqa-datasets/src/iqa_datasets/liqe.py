"""LIQE's label files: scenes, distortions and ten sessions for several data sets.

A label file has one line an image, six fields separated by tabs::

    path ⇥ score ⇥ distortion ⇥ scene ⇥ scene or invalid ⇥ scene or invalid

The files of a session are ``<labels>/IQA_Database/<folder>/splits2/<1..10>/<prefix>_{train,val,test}_clip.txt``.
"""

import os
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from iqa_datasets.errors import DatasetError
from iqa_datasets.loaders import LiqeFiles
from iqa_datasets.vocabulary import DISTORTION_CLASSES, PARTS, SCENES, suggestion

SESSIONS: Final = range(1, 11)

_PUBLISHED_SCENES = {"indoor scene": "indoor", "night scene": "night", "still-life": "still_life"}
_SCENE_OF_WORD = {_PUBLISHED_SCENES.get(scene, scene): scene for scene in SCENES}
_FIELDS = "path, score, distortion, scene, scene or 'invalid', scene or 'invalid', separated by tabs"


@dataclass(frozen=True, slots=True)
class LiqeLabel:
    """One line of a label file.

    Attributes:
        image: path relative to the data set's official folder, with forward slashes.
        score: as printed; higher = better in all of LIQE's files, whatever the data set's own direction.
        decimals: number of decimals with which the score is printed.
        distortion_name: one of the 33 names that `distortion_class` knows.
        scenes: one to three of `SCENES`.
    """

    image: str
    score: float
    decimals: int
    distortion_name: str
    scenes: tuple[str, ...]


class _Place(NamedTuple):
    label: LiqeLabel
    part: str
    file: Path
    line: int
    tolerance: float

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


def read_liqe_labels(path: str | os.PathLike[str]) -> list[LiqeLabel]:
    """Read one label file, in the order of its lines.

    Args:
        path: such as ``splits2/1/clive_train_clip.txt``.

    Raises:
        FileNotFoundError: the file is not there.
        DatasetError: a line is damaged or has an unknown distortion or scene; the message names file and line.
    """
    return _read_file(Path(path), {})


def _read_file(path: Path, known: dict[str, LiqeLabel]) -> list[LiqeLabel]:
    # Ten sessions repeat the same lines in other orders, so a line that was read before is not parsed again.
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it must be one of LIQE's label files")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not a text file in UTF-8: {error}") from error
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    labels = []
    for number, line in enumerate(lines, start=1):
        if (label := known.get(line)) is None:
            try:
                label = known[line] = _parse(line)
            except DatasetError as error:
                raise DatasetError(f"{path}, line {number}: {error}") from None
        labels.append(label)
    return labels


def _parse(line: str) -> LiqeLabel:
    fields = line.removesuffix("\r").split("\t")
    if len(fields) != 6 or not fields[0]:
        raise DatasetError(f"{line!r} must have 6 fields: {_FIELDS}")
    image, score, distortion, *words = fields
    if not (number := re.fullmatch(r"-?\d+(?:\.(\d+))?", score)):
        raise DatasetError(f"the score must be a decimal number, got {score!r}")
    if distortion not in DISTORTION_CLASSES:
        raise DatasetError(f"unknown distortion {distortion!r}{suggestion(distortion, DISTORTION_CLASSES)}")
    while len(words) > 1 and words[-1] == "invalid":
        words.pop()
    for word in words:
        if word not in _SCENE_OF_WORD:
            raise DatasetError(f"unknown scene {word!r}{suggestion(word, _SCENE_OF_WORD)}")
    if len(set(words)) < len(words):
        raise DatasetError(f"a scene is named twice: {', '.join(words)}")
    return LiqeLabel(
        image, float(score), len(number[1] or ""), distortion, tuple(_SCENE_OF_WORD[word] for word in words)
    )


def attach_labels(
    records: pd.DataFrame, labels: str | os.PathLike[str], liqe: LiqeFiles, session: int | None
) -> pd.DataFrame:
    """Return the table with distortion, its name, scenes and, for a session, the part filled from the label files.

    Without a session all sessions that are there are read, and must say the same about every image. Where the data set
    names its distortions itself, those stay, and the label files must agree by `LiqeFiles.names`.

    Args:
        records: a table of `make_records`, indexed by official file.
        labels: the folder that holds ``IQA_Database/``.
        liqe: where this data set's label files are in it, and how their score follows from the published one.
        session: 1 to 10, or None for all images without parts.

    Raises:
        FileNotFoundError: a label file is not there.
        DatasetError: a line is damaged, names an unknown image, names one twice, leaves one out, has another score
            than the official files (beyond its printed decimals), or contradicts another session or the data set's
            own name of the distortion.
    """
    base = Path(labels).expanduser() / "IQA_Database" / liqe.folder / "splits2"
    if not base.is_dir():
        raise FileNotFoundError(
            f"{base} is not a folder; labels must be the folder that holds LIQE's IQA_Database/{liqe.folder}/splits2/"
        )
    numbers = [session] if session is not None else [n for n in SESSIONS if (base / str(n)).is_dir()]
    if not numbers:
        raise FileNotFoundError(f"{base} holds none of the session folders 1 to 10")
    expected = liqe.score(records["mos"].to_numpy(dtype="float64"))
    scores: Mapping[Hashable, float] = dict(zip(records.index, expected.tolist(), strict=True))
    known: dict[str, LiqeLabel] = {}
    first: dict[str, _Place] = {}
    for number in numbers:
        places = _read_session(base / str(number), liqe.prefix, known)
        _check_session(places, scores, base / str(number), liqe.rounding)
        first = first or places
        for image, place in places.items():
            if place.label is not first[image].label and place.label != first[image].label:
                raise DatasetError(f"{place} contradicts {first[image]} about {image}")
    chosen = [first[image] for image in records.index]
    filled: dict[str, list[object]] = {"scenes": [place.label.scenes for place in chosen]}
    if liqe.names:
        for place, own in zip(chosen, records["distortion_name"], strict=True):
            if place.label.distortion_name != liqe.names[own]:
                raise DatasetError(
                    f"{place}: the distortion of {place.label.image} is {place.label.distortion_name!r}, but {own!r} "
                    f"in the data set itself, which these files call {liqe.names[own]!r}"
                )
    else:
        filled["distortion_name"] = [place.label.distortion_name for place in chosen]
        filled["distortion"] = [DISTORTION_CLASSES[place.label.distortion_name] for place in chosen]
    if session is not None:
        filled["session_part"] = [place.part for place in chosen]
    return records.assign(
        **{name: pd.Series(values, records.index, dtype=records[name].dtype) for name, values in filled.items()}
    )


def _read_session(folder: Path, prefix: str, known: dict[str, LiqeLabel]) -> dict[str, _Place]:
    places: dict[str, _Place] = {}
    for part in PARTS:
        file = folder / f"{prefix}_{part}_clip.txt"
        labels = _read_file(file, known)
        # Trailing zeros are not printed, so a file's precision is that of its longest number.
        tolerance = 0.5 * 10.0 ** -max((label.decimals for label in labels), default=0)
        for line, label in enumerate(labels, start=1):
            place = _Place(label, part, file, line, tolerance)
            if label.image in places:
                raise DatasetError(f"{place} names {label.image} again, after {places[label.image]}")
            places[label.image] = place
    return places


def _check_session(
    places: Mapping[str, _Place], scores: Mapping[Hashable, float], folder: Path, rounding: float
) -> None:
    for image, place in places.items():
        if image not in scores:
            raise DatasetError(f"{place}: {image} is not an image of this data set")
        score = scores[image]
        if not abs(place.label.score - score) <= place.tolerance + (1e-12 + rounding) * abs(score):
            raise DatasetError(
                f"{place}: the score of {image} is {place.label.score:g}, but {score:.7g} in the data set's own files"
            )
    if len(places) < len(scores):
        missing = [str(image) for image in scores if image not in places]
        raise DatasetError(f"{folder} has no line for {missing[0]} ({len(missing)} of {len(scores)} images missing)")
