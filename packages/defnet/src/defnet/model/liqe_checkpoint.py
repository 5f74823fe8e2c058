"""LIQE's published checkpoints as models of this package: kept as one model file each, and found again."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from defnet.config.data import DataConfig
from defnet.config.model import BackboneConfig, ModelConfig
from defnet.config.start import LIQE
from defnet.config.training import TrainConfig
from defnet.errors import CheckpointError
from defnet.model.model_file import save_model
from defnet.model.model_info import ModelInfo
from defnet.model.network import DEFNet

_FORMAT = "1"
_CACHE = "DEFNET_CACHE"


@contextmanager
def liqe_model_file(name: str) -> Iterator[Path]:
    """Give the model file of one of LIQE's checkpoints, for as long as the block runs.

    The first time it is made: weights go into this package's layout, and the text tower becomes its 495 features, which
    takes up to a minute on a CPU. It is kept under the checkpoint's SHA-256 in `$DEFNET_CACHE`, or `defnet` in the
    user's cache; where nothing can be written it is made anew each time. It is a network without heads of evidence, as
    LIQE states no uncertainty.

    Args:
        name: `liqe:FILE`, where FILE is a path or `hf-hub:ORG/NAME/FILE`.

    Raises:
        CheckpointError: there is no such file, or it is no checkpoint of LIQE.
    """
    from clip_iqa_backbone import weights_file

    try:
        source = weights_file(name.removeprefix(LIQE))
        with source.open("rb") as file:
            digest = sha256(file.read()).hexdigest()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CheckpointError(f"{name}: cannot be read: {reason}") from error
    kept = _cache() / f"liqe-{_FORMAT}-{digest[:32]}.safetensors"
    if kept.is_file() or _is_made(source, kept):
        yield kept
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / kept.name
        _make(source, path)
        yield path


def _cache() -> Path:
    if folder := os.environ.get(_CACHE):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "defnet"


def _is_made(source: Path, path: Path) -> bool:
    """Make the file where the cache can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(source, path)
    except OSError:
        return False
    return True


def _make(source: Path, path: Path) -> None:
    from clip_iqa_backbone import create_backbone

    try:
        backbone = create_backbone(f"{LIQE}{source}")
    except ValueError as error:
        raise CheckpointError(f"{LIQE}{source}: {error}") from error
    # Nothing is known of its training but what the paper says; the description must name some data set.
    config = TrainConfig(
        data=(DataConfig(name="unknown", session="official", batch_size=1),),
        backbone=BackboneConfig(name=f"{LIQE}{source.name}", vocabulary="liqe"),
        model=ModelConfig(evidence=False, averaging="logits"),
    )
    save_model(path, DEFNet(backbone, config.model, score_from=config.score_from), ModelInfo(config=config))
