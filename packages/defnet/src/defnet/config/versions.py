"""Configurations that other versions of the package wrote, brought up to the present fields, and how two differ.

Version 0 wrote no version and named excluded images by their base names; see `_name_excluded_by_path`. Version 1 had
fewer fields; what has come since has a default that is what it did.
"""

from collections.abc import Mapping
from typing import Any

from defnet.config.training import VERSION, TrainConfig
from defnet.errors import ConfigError


def migrate(content: Mapping[str, Any]) -> dict[str, Any]:
    """Bring a stored configuration up to the present version, step by step.

    Args:
        content: as JSON gave it. Without a version it is of version 0.

    Raises:
        ConfigError: it is of a later version than this package knows.
    """
    current = dict(content)
    version = current.get("version", 0)
    if not isinstance(version, int) or not 0 <= version <= VERSION:
        raise ConfigError(f"the configuration has version {version!r}; this version of defnet knows 0 to {VERSION}")
    for step in _STEPS[version:]:
        current = step(current)
    return current


# A run may go on with less memory, or keep more of its states: it stays the same run.
_HOW_ALONE = ("accumulate", "checkpoints_kept")


def differences(found: TrainConfig, wanted: TrainConfig) -> list[str]:
    """Name every field in which two configurations differ, with both values.

    Where data lies is no difference, nor is what changes how a run is computed and not what it comes to.
    """
    one, other = (without_paths(config).model_dump(mode="json", exclude=set(_HOW_ALONE)) for config in (found, wanted))
    return _differing(one, other, "")


def without_paths(config: TrainConfig) -> TrainConfig:
    """The same configuration without where data lies on this machine."""
    data = tuple(source.model_copy(update={"path": None}) for source in config.data)
    start = None if config.start is None else config.start.without_path()
    return config.model_copy(update={"data": data, "start": start})


def _differing(found: Any, wanted: Any, name: str) -> list[str]:
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = [*wanted, *(key for key in found if key not in wanted)]
        inner = f"{name}." if name else ""
        return [line for key in keys for line in _differing(found.get(key), wanted.get(key), f"{inner}{key}")]
    if name == "data" and len(found) == len(wanted):
        return [
            line
            for number, pair in enumerate(zip(found, wanted, strict=True))
            for line in _differing(*pair, f"data.{number}")
        ]
    return [] if found == wanted else [f"{name} is {found!r} there and {wanted!r} here"]


def _name_excluded_by_path(content: dict[str, Any]) -> dict[str, Any]:
    """Version 0 to 1: an excluded `333.bmp` becomes `Images/333.bmp`, where the data set has one folder of images."""
    sources = [
        {**source, "exclude": [_path_of(source.get("name"), file) for file in source.get("exclude", ())]}
        for source in content.get("data", ())
    ]
    return {**content, "version": 1, "data": sources}


# The data sets that version 0 could train on and that have one folder of images. They stand here, and are not asked of
# iqa_datasets, because every start of `defnet score` comes past, and the loaders take pandas with them.
_IMAGE_FOLDERS = {"live-challenge": "Images", "koniq-10k": "1024x768", "kadid-10k": "images"}


def _path_of(dataset: Any, file: str) -> str:
    # Where several folders hold images, a base name does not say which was meant; it is left as it is.
    folder = _IMAGE_FOLDERS.get(dataset)
    return file if folder is None or "/" in file else f"{folder}/{file}"


def _with_new_fields(content: dict[str, Any]) -> dict[str, Any]:
    """Version 1 to 2: what has come since has a default that is what version 1 did."""
    return {**content, "version": 2}


_STEPS = (_name_excluded_by_path, _with_new_fields)
