"""Fitted models as folders: safetensors for arrays and JSON for settings, nothing that could run code when it is read.

A folder holds ``model.json`` and the file of arrays that it names, ``arrays-<the start of its SHA-256>.safetensors``.
``model.json`` is replaced last and at once, so that a folder holds one whole model at any moment, the old or the new,
also when writing is cut short.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from iqa_datasets.atomic_files import replacing
from map_score_fusion.errors import ScoreTableError

FORMAT = "map-score-fusion model"
VERSION = 2
SETTINGS = "model.json"


@dataclass(frozen=True)
class SavedModel:
    """What a folder holds.

    Attributes:
        arrays: Arrays by name.
        settings: What JSON can say: finite numbers, texts, lists, dicts, bools and None.
    """

    arrays: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any]


def write_model(path: str | os.PathLike[str], model: SavedModel) -> None:
    """Write a model into a folder, in place of the model that it holds, if any.

    Args:
        path: Folder, made where it is missing.
        model: What to write.

    Raises:
        ScoreTableError: The path is a file, or a folder that holds other things and no model.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ScoreTableError(f"{folder}: is a file; a model is saved as a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / SETTINGS).is_file():
        raise ScoreTableError(f"{folder}: holds other things and no model; give an empty or a new folder")
    # safetensors writes the memory as it lies, so a transposed array must be laid out anew.
    arrays = save({name: np.ascontiguousarray(array) for name, array in model.arrays.items()})
    digest = hashlib.sha256(arrays).hexdigest()
    name = f"arrays-{digest[:12]}.safetensors"
    header = {"format": FORMAT, "version": VERSION, "arrays": name, "sha256": digest}
    settings = json.dumps({**header, "settings": dict(model.settings)}, indent=2, ensure_ascii=False, allow_nan=False)
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / name, arrays)
    _replace(folder / SETTINGS, f"{settings}\n".encode())
    for left in folder.glob("arrays-*.safetensors"):
        if left.name != name:
            left.unlink(missing_ok=True)


def read_model(path: str | os.PathLike[str]) -> SavedModel:
    """Read the model that a folder holds.

    Args:
        path: Folder that `write_model` wrote.

    Raises:
        ScoreTableError: There is no model, it is of a newer format, or a file is damaged or missing.
    """
    folder = Path(path)
    file = folder / SETTINGS
    if not file.is_file():
        raise ScoreTableError(f"{folder}: holds no model (there is no {SETTINGS})")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ScoreTableError(f"{file}: its format is {content['format']!r}, not {FORMAT!r}")
        if content["version"] != VERSION:
            raise ScoreTableError(
                f"{file}: was written in version {content['version']} of the format; this release of map-score-fusion "
                f"reads version {VERSION}. Fit the model again"
            )
        name, digest, settings = content["arrays"], content["sha256"], content["settings"]
        if not isinstance(settings, dict) or Path(name).name != name:
            raise TypeError("settings or the name of the arrays is not as written")
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, ScoreTableError):
            raise
        raise ScoreTableError(f"{file}: is damaged, or no model of map-score-fusion ({error!r})") from error
    arrays = folder / name
    if not arrays.is_file():
        raise ScoreTableError(f"{arrays}: is missing, and {SETTINGS} names it")
    content_of_arrays = arrays.read_bytes()
    if hashlib.sha256(content_of_arrays).hexdigest() != digest:
        raise ScoreTableError(f"{arrays}: is damaged; its SHA-256 is not the one in {SETTINGS}")
    try:
        return SavedModel(load(content_of_arrays), settings)
    except SafetensorError as error:
        raise ScoreTableError(f"{arrays}: is not a safetensors file: {error}") from error


def _replace(file: Path, content: bytes) -> None:
    with replacing(file) as part:
        part.write_bytes(content)
