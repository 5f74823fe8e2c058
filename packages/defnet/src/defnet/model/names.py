"""Trained models by name: those that come with the package, model files and folders of training runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from os import PathLike, fspath
from pathlib import Path

from defnet.errors import CheckpointError

SHIPPED = ("lite",)
"""Names of the trained models that come with the package."""

MODEL_FILE = "model.safetensors"
"""Name of the model file in the folder of a training run."""


def list_models() -> list[str]:
    """Names of the trained models that come with the package, as `load_scorer` and `load_model` take them.

    Example:
        >>> list_models()
        ['lite']
    """
    return list(SHIPPED)


@contextmanager
def model_path(model: str | PathLike[str]) -> Iterator[Path]:
    """Give the file that holds a model, for as long as the block runs.

    Args:
        model: a name from `SHIPPED`, a model file, or the folder of a training run.

    Raises:
        CheckpointError: there is no such model.
    """
    name = fspath(model)
    if name in SHIPPED:
        with as_file(files("defnet") / "weights" / f"{name}.safetensors") as path:
            yield path
        return
    path = Path(name)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(
            f"no model {name!r}: it is neither a shipped one ({', '.join(SHIPPED)}) nor a model file "
            f"nor a folder with {MODEL_FILE}"
        )
    yield path
