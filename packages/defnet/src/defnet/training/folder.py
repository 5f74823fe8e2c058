"""The folder of a training run: whose it is, and what it holds."""

import json
from pathlib import Path

from pydantic import ValidationError

from defnet.config.training import TrainConfig
from defnet.config.versions import differences, migrate
from defnet.errors import ConfigError
from iqa_datasets.atomic_files import replacing

CONFIG_FILE = "config.json"


def read_config(folder: Path) -> TrainConfig | None:
    """The configuration of the run in a folder, brought up to the present version; None where there is no run.

    Raises:
        ConfigError: it cannot be read, or is of a later version than this package knows.
    """
    path = folder / CONFIG_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        return TrainConfig.model_validate(migrate(json.loads(text)))
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"{path}: is not a configuration of this version of defnet: "
            f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg'].removeprefix('Value error, ')}"
        ) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: is not a configuration: {error}") from error


def claim(folder: Path, config: TrainConfig) -> None:
    """Make the folder of a run, or go on with the run of this configuration that it holds.

    Raises:
        ConfigError: the folder holds a run of another configuration; the message names every field that differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for unfinished in folder.glob(".*.part*"):  # what a killed run was writing
        unfinished.unlink()
    found = read_config(folder)
    if found is None:
        with replacing(folder / CONFIG_FILE) as part:
            part.write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return
    if found.precision == "auto":  # written by hand; a run writes what it computes in
        found = found.model_copy(update={"precision": config.precision})
    differing = differences(found, config)
    if differing:
        raise ConfigError(
            f"{folder}: holds a run with another configuration: {'; '.join(differing)}; give another folder"
        )
