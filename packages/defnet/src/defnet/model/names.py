"""Trained models by name: those that come with the package, files, folders of training runs, and the hub's."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import as_file, files
from os import PathLike, fspath
from pathlib import Path

from defnet.config.start import HUB, LIQE
from defnet.errors import CheckpointError
from defnet.model.shipped import SHIPPED

MODEL_FILE = "model.safetensors"
"""Name of the model file in the folder of a training run, and in a repository on the hub."""


@dataclass(frozen=True)
class LocatedModel:
    """A model file, and where it came from.

    Attributes:
        path: the file.
        name: what finds it again: the name that it was asked for by, of a hub's model with the revision's hash.
        source: where it came from, in words.
    """

    path: Path
    name: str
    source: str


def list_models() -> list[str]:
    """Names of the trained models that come with the package, as `load_scorer` and `load_model` take them.

    Example:
        >>> list_models()
        ['lite2', 'lite2-session1', 'lite']
    """
    return list(SHIPPED)


@contextmanager
def located_model(model: str | PathLike[str]) -> Iterator[LocatedModel]:
    """Give the file that holds a model, for as long as the block runs, and say where it came from.

    Args:
        model: a name from `SHIPPED`, a model file, the folder of a training run, `hf-hub:ORG/NAME[@REVISION]`, which is
            fetched once, or `liqe:FILE`, one of LIQE's checkpoints.

    Raises:
        CheckpointError: there is no such model, or it cannot be fetched.
    """
    name = fspath(model)
    if name in SHIPPED:
        with as_file(files("defnet") / "weights" / f"{name}.safetensors") as path:
            yield LocatedModel(path, name, "comes with the package")
        return
    if name.startswith(HUB):
        from defnet.model.hub import fetch_model

        fetched = fetch_model(name)
        yield LocatedModel(fetched.path, fetched.name, f"the hub, {fetched.repository}, revision {fetched.revision}")
        return
    if name.startswith(LIQE):
        from defnet.model.liqe_checkpoint import liqe_model_file

        with liqe_model_file(name) as path:
            yield LocatedModel(path, name, f"LIQE's checkpoint {name.removeprefix(LIQE)}")
        return
    path = Path(name)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(
            f"no model {name!r}: it is neither a shipped one ({', '.join(SHIPPED)}) nor a model file "
            f"nor a folder with {MODEL_FILE} nor one of the hub's, {HUB}ORG/NAME, nor LIQE's, {LIQE}FILE"
        )
    yield LocatedModel(path, name, f"the file {path}")


@contextmanager
def model_path(model: str | PathLike[str]) -> Iterator[Path]:
    """Give the file that holds a model, for as long as the block runs; see `located_model`.

    Raises:
        CheckpointError: there is no such model.
    """
    with located_model(model) as found:
        yield found.path
