"""Configurations in TOML files: the user's own and the presets that come with the package."""

import os
import tomllib
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from pydantic import ValidationError

from defnet.config.settings import with_settings
from defnet.config.training import TrainConfig
from defnet.config.versions import migrate
from defnet.errors import ConfigError


def read_toml(path: Path, settings: Sequence[str] = ()) -> TrainConfig:
    """Read and validate a TOML file, single fields set (see `with_settings`); see `TrainConfig.from_toml`."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    for source in content.get("data", ()):
        if isinstance(source, dict) and isinstance(source.get("path"), str):
            source["path"] = os.path.abspath(path.parent / Path(source["path"]).expanduser())  # noqa: PTH100 - links stay
    content = with_settings(content, settings)
    invalid = f"{path}: not a valid training configuration:"
    try:
        # A file without one is of the present version, unlike what a run or a model file holds.
        return TrainConfig.model_validate(migrate(content) if "version" in content else content)
    except ConfigError as error:
        raise ConfigError(f"{invalid}\n  version: {error}") from error
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, found['loc'])) or '(whole file)'}: {found['msg'].removeprefix('Value error, ')}"
            for found in error.errors()
        ]
        raise ConfigError("\n".join([invalid, *lines])) from error


def load_train_config(name: str, settings: Sequence[str] = ()) -> TrainConfig:
    """The configuration in a TOML file, or a shipped one by name.

    Args:
        name: the file, or the name of a shipped one.
        settings: fields to set in it, each `KEY=VALUE`; see `defnet.config.settings.with_settings`.

    Raises:
        ConfigError: there is no such file or name, or it is not valid.
    """
    if Path(name).is_file():
        return read_toml(Path(name), settings)
    folder = files("defnet.config") / "presets"
    shipped = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if name not in shipped:
        raise ConfigError(
            f"no configuration {name!r}: it is neither a TOML file nor a shipped one ({', '.join(shipped)})"
        )
    with as_file(folder / f"{name}.toml") as path:
        return read_toml(path, settings)
