"""How good sub-images are, in a file beside a table of scores: `scores.csv.local.jsonl`, one line an image."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from defnet.finite_json import to_json
from defnet.scoring.pictures import Box, LocalQuality
from defnet.scoring.score_rows import ENCODING
from defnet.scoring.scores import Score


def local_path(table: Path) -> Path:
    """The file that belongs to a table."""
    return table.with_name(f"{table.name}.local.jsonl")


class LocalFile:
    """Grows beside a table of scores, a line an image. What a killed run left of a last line is passed over.

    Args:
        table: the table of scores.
        overwrite: start anew.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, table: Path, *, overwrite: bool = False) -> None:
        path = local_path(table)
        torn = not overwrite and path.exists() and not path.read_bytes().endswith(b"\n")
        self._stream: IO[bytes] = path.open("wb" if overwrite else "ab")
        if torn:
            self._stream.write(b"\n")

    def write(self, score: Score, local: LocalQuality) -> None:
        """Append one line."""
        line = to_json(
            {
                "path": score.path,
                "frame": score.frame,
                "file_size": score.file_size,
                "file_modified": score.file_modified,
                "size": local.size,
                "boxes": [[round(side, 1) for side in box] for box in local.boxes],
                "quality": [round(value, 4) for value in local.quality],
                "std": [round(value, 4) for value in local.std],
            }
        )
        self._stream.write(f"{line}\n".encode(**ENCODING))
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


LocalKey = tuple[str, int, int | None, str | None]
"""Path, frame, and size and time of the file that was scored: of a file that has changed since, nothing is known."""


def read_local(table: Path) -> Mapping[LocalKey, LocalQuality]:
    """Read the file beside a table; empty where there is none. Lines that are not whole are passed over."""
    path = local_path(table)
    if not path.is_file():
        return {}
    found: dict[LocalKey, LocalQuality] = {}
    with path.open(**ENCODING) as lines:
        for line in lines:
            try:
                one = json.loads(line)
                key = (str(one["path"]), int(one["frame"]), one["file_size"], one["file_modified"])
                found[key] = _local(one)
            except (ValueError, TypeError, KeyError):
                continue
    return found


def _local(one: Mapping[str, Any]) -> LocalQuality:
    width, height = map(int, one["size"])
    boxes: list[Box] = [(float(left), float(top), float(right), float(low)) for left, top, right, low in one["boxes"]]
    quality, std = (tuple(float("nan") if v is None else float(v) for v in one[name]) for name in ("quality", "std"))
    if not len(boxes) == len(quality) == len(std):
        raise ValueError("boxes and figures are not of one number")
    return LocalQuality((width, height), tuple(boxes), quality, std)
