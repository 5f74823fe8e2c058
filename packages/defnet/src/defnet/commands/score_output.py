"""Where the rows of `defnet score` go, and what has come of the images."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from iqa_datasets.terminal import OutputFormat

if TYPE_CHECKING:
    from defnet.commands.score_inputs import Inputs
    from defnet.scoring.image_scorer import ImageScorer
    from defnet.scoring.score_rows import ScoreSink
    from defnet.scoring.scores import Score


class FramesChoice(StrEnum):
    """Which frames of files that hold several are scored."""

    first = "first"
    all = "all"


@dataclass
class Tally:
    """What has come of the images so far, in words where it is asked for.

    Attributes:
        out: the file that is written, if there is one.
        new: rows written by this run.
        kept: images whose rows an earlier run wrote and that still hold.
        changed: images that an earlier run scored and that have changed since, or were not done.
        failed: images that could not be scored.
        warned: rows of this run with a warning.
        done: paths of the kept images.
    """

    out: Path | None
    new: int = 0
    kept: int = 0
    changed: int = 0
    failed: int = 0
    warned: int = 0
    done: frozenset[str] = frozenset()

    def last_line(self) -> str:
        """What a finished run says of its file."""
        anew = f" ({self.changed} anew, of files that have changed)" if self.changed else ""
        warned = f"; rows with a warning: {self.warned}" if self.warned else ""
        return f"{self.out}: {_images(self.new)} scored now{anew}, {self.kept} kept, {self.failed} failed{warned}"

    def after_interruption(self) -> str:
        """What Ctrl-C leaves, which is only known then."""
        if self.out is None:
            return f"interrupted after {_images(self.new)}; only what was printed is kept (--out FILE keeps scores)"
        return (
            f"interrupted; {self.out} keeps {_images(self.new)} scored now and {self.kept} from before, and the same "
            "command goes on from there"
        )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


@contextmanager
def open_sink(
    scorer: "ImageScorer",
    out: Path | None,
    overwrite: bool,
    output_format: OutputFormat | None,
    frames: FramesChoice,
    tally: Tally,
    inputs: "Inputs",
) -> Iterator["ScoreSink"]:
    """Where the rows go. It is closed whatever happens, so that what was written is whole."""
    from defnet.scoring.score_rows import StreamWriter

    sink: ScoreSink
    if out is not None:
        from defnet.scoring.score_files import ScoreFile

        sink = table = ScoreFile(out, scorer.provenance | {"frames": frames.value}, overwrite=overwrite)
        tally.kept, tally.changed = table.settle(inputs.found.paths, inputs.state)
        tally.done = table.done
    else:
        chosen = output_format or (OutputFormat.table if sys.stdout.isatty() else OutputFormat.csv)
        if chosen is OutputFormat.table:
            sink = TableSink()
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape", newline="")  # type: ignore[union-attr]
            sink = StreamWriter(sys.stdout, chosen.value)
    try:
        yield sink
    finally:
        sink.close()


class TableSink:
    """Prints scores as lines of a table."""

    def __init__(self) -> None:
        from rich.console import Console

        from defnet.scoring.score_table import header, path_width

        self._console = Console(highlight=False)
        self._width = path_width(self._console.width if self._console.is_terminal else 120)
        self._console.print(header(self._width), soft_wrap=True)

    def write(self, score: "Score") -> None:
        """Print one line."""
        from defnet.scoring.score_table import row

        self._console.print(row(score, self._width), soft_wrap=True)

    def close(self) -> None:
        """Nothing is left to print."""
