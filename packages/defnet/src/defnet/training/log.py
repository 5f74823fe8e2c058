"""The log of a training run, as lines of JSON."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from defnet.finite_json import to_json
from iqa_datasets.atomic_files import replacing

LOG_FILE = "log.jsonl"


class Log:
    """Lines of JSON, a step or an epoch each; lines from beyond the step that is resumed from are cut off.

    Args:
        path: the file.
        step: the step that the run goes on from; 0 starts a new file.
    """

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        kept = b""
        if path.exists() and step > 0:
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                row = json.loads(line)
                if row.get("step", -1) >= step:
                    break
                kept += line
        with replacing(path) as part:
            part.write_bytes(kept)
        self._file = path.open("a", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one line."""
        self._file.write(to_json(row) + "\n")

    def sync(self) -> None:
        """Make sure that all lines are on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
