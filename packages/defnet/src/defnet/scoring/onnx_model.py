"""An exported model as onnxruntime computes it: no torch is needed, nor imported."""

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from defnet.errors import CheckpointError
from defnet.scoring.onnx_metadata import read_metadata

if TYPE_CHECKING:
    import onnxruntime

KEY: Final = "defnet"
"""Name of the file's description among its metadata."""

FORMAT: Final = 1
"""Format of the description."""

SUFFIX: Final = ".onnx"
"""Ending of the names of exported files."""

CROPS: Final = "crops"
WHOLE: Final = "whole"
"""Names of the inputs: sub-images, uint8 (N, 3, S, S), and the whole image squashed, uint8 (3, S, S)."""


@dataclass(frozen=True)
class ExportedInfo:
    """What an exported file says of itself.

    Attributes:
        format: version of this description.
        name: the model's name when it was exported.
        weights: SHA-256 of the model file that it was made of: what scores are known by, whatever computes them.
        crops: kind, count, size and seed of the crop plan; see `clip_iqa_backbone.CropPlan`.
        short_side: short side that images are resized to before, or None for their own resolution.
        variance_scale: factor on β.
        score_from: where the score comes from; see `defnet.TrainConfig.score_from`.
        level: level of the interval, where the file has its ends.
        unfamiliar: familiarity below which a score comes with a warning.
        tasks: the tasks learnt.
        qualities: words of the quality levels, the worst first.
        scenes: names of the scenes, in the order of `scene_probabilities`.
        distortions: names of the distortions, in that of `distortion_probabilities`.
        outputs: names of what the file gives.
        versions: versions of the packages that wrote it.
    """

    format: int
    name: str
    weights: str
    crops: dict[str, Any]
    short_side: int | None
    variance_scale: float
    score_from: str
    level: float
    unfamiliar: float
    tasks: tuple[str, ...]
    qualities: tuple[str, ...]
    scenes: tuple[str, ...]
    distortions: tuple[str, ...]
    outputs: tuple[str, ...]
    versions: dict[str, str]

    def to_json(self) -> str:
        """The description as it stands in the file."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "ExportedInfo":
        """What `to_json` gave.

        Raises:
            ValueError: it is none, or of a format that this package does not know.
        """
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            found = raw.get("format") if isinstance(raw, dict) else None
            raise ValueError(f"has format {found}, this version of defnet reads format {FORMAT}; export the model anew")
        try:
            values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in raw.items()}
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"its description is not that of an exported model: {error}") from None


# Sessions of a process that was forked from, whose threads are gone: to end a session may wait for these.
_abandoned: list[Any] = []


class OnnxModel:
    """An exported file, which computes when it is asked to.

    It may be used from several threads, pickled, and used in a process that was forked: the file is opened again where
    that was not done in this process.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is no file that `defnet export` wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info = read_exported_info(path)
        self._lock = threading.Lock()
        self._sessions: dict[int, onnxruntime.InferenceSession] = {}
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "info": self.info}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock(), _sessions={}, _process=os.getpid())

    def run(self, crops: NDArray[np.uint8], whole: NDArray[np.uint8], threads: int = 1) -> dict[str, Any]:
        """What the file says of one image.

        Args:
            crops: its sub-images, uint8 (N, 3, S, S).
            whole: the whole image squashed, uint8 (3, S, S).
            threads: how many compute it. They sleep when there is nothing to do.

        Returns:
            Each of `info.outputs`, by its name; `float64`.

        Raises:
            CheckpointError: the file is damaged.
        """
        said = self._session(threads).run(list(self.info.outputs), {CROPS: crops, WHOLE: whole})
        return dict(zip(self.info.outputs, said, strict=True))

    def prepare(self, threads: int = 1) -> None:
        """Open the file for so many threads, if it is not open already; `run` does so too, later.

        Raises:
            CheckpointError: the file is damaged.
        """
        self._session(threads)

    def _session(self, threads: int) -> "onnxruntime.InferenceSession":
        with self._lock:
            if self._process != os.getpid():
                _abandoned.append(self._sessions)
                self._sessions, self._process = {}, os.getpid()
            if threads not in self._sessions:
                self._sessions[threads] = _open(self.path, threads)
            return self._sessions[threads]


def read_exported_info(path: Path) -> ExportedInfo:
    """What an exported file says of itself.

    Raises:
        CheckpointError: it is no file that `defnet export` wrote.
    """
    try:
        said = read_metadata(path).get(KEY, "")
        if not said:
            raise ValueError("does not say which model it is: `defnet export` did not write it")
        return ExportedInfo.from_json(said)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None


def usual_threads() -> int:
    """How many threads compute where nobody says: what OMP_NUM_THREADS says, or the processors of this process."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if said.isdigit() and int(said) > 0:
        return int(said)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _open(path: Path, threads: int) -> "onnxruntime.InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the processor from whoever decodes, and from everybody else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, which have no common base of their own
        raise CheckpointError(f"{path}: cannot be read as an ONNX file: {str(error).splitlines()[0]}") from error
