"""What decoders, and metrics, say on the way, kept for that file and off the terminal, whichever thread it is in."""

import contextlib
import logging
import os
import re
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

_show_at_import: Final = warnings.showwarning

_pillow: Final = logging.getLogger("PIL")

_TOLD_ALWAYS: Final = r"(PIL|pi_heif|pillow_heif|pillow_jxl|pillow_avif|piq)(\.|$)"

# How libtiff begins its lines: a name of its own functions, or the name that Pillow gives every file.
_LIBTIFF: Final = re.compile(
    r"^(_?TIFF\w*|\w*(Decode|Encode|PreDecode|PostDecode|SetupDecode|VSetField|Lib|Codec|Cleanup)\w*|OJPEG\w*"
    r"|EstimateStripByteCounts|MissingRequired|ChopUpSingleUncompressedStrip|allocChoppedUpStripArrays|CheckDirCount"
    r"|setExtraSamples|InitCCITTFax\d|initYCbCrConversion|DumpMode\w*|PixarLog\w*|LogL\w*|LogLuv\w*|LERC\w*|LZMA\w*"
    r"|ZSTD\w*|ZIP\w*|Fax\w*|tempfile\.tif|filename): "
)


class _PythonWarnings(logging.Handler):
    """Gives the warnings of Pillow and its plugins, and of piq, to the thread that calls them, while any thread does.

    What Pillow says by `logging` (of a TIFF file that it then refuses) is given likewise; who has set up logging hears
    it all the same.

    Python's own way to catch warnings changes the whole process for one thread's sake: with two threads, one's warnings
    end in the other's list, or the filters of the first stay when both are done. Here the process is changed once, by
    whoever comes first, and changed back by whoever leaves last; in between each thread has its list. Warnings of
    other modules, and those of threads that do not decode here, go where they always went.

    Others change the process too. Who enters ``warnings.catch_warnings()`` while a thread decodes keeps :meth:`_show`
    as what was there before, and puts it back after the last decoder has left; a hook that passes on to the one before
    it may have kept it for good. So what is passed on is never passed on to itself.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._changing = threading.Lock()
        self._inside = 0
        self._here = threading.local()
        self._shown: Any = _show_at_import
        self._filter: Any = None

    @contextmanager
    def __call__(self) -> Iterator[list[str]]:
        caught: list[str] = []
        outer = getattr(self._here, "caught", None)
        self._here.caught = caught
        with self._changing:
            self._inside += 1
            if self._inside == 1:
                if warnings.showwarning != self._show:
                    self._shown, warnings.showwarning = warnings.showwarning, self._show
                warnings.filterwarnings("always", module=_TOLD_ALWAYS)
                _pillow.addHandler(self)
                self._filter = warnings.filters[0]
        try:
            yield caught
        finally:
            self._here.caught = outer
            with self._changing:
                self._inside -= 1
                if self._inside == 0:
                    _pillow.removeHandler(self)
                    # Somebody may have put another function there meanwhile, and that is theirs to take away.
                    if warnings.showwarning == self._show:
                        warnings.showwarning = self._shown
                    with contextlib.suppress(ValueError):
                        warnings.filters.remove(self._filter)  # type: ignore[attr-defined]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what Pillow logs in a thread that decodes; in others it goes where it would go without this."""
        caught = getattr(self._here, "caught", None)
        if caught is not None:
            caught.append(" ".join(record.getMessage().split()))
        elif logging.lastResort is not None and not logging.getLogger().handlers:
            logging.lastResort.handle(record)

    def _show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        caught = getattr(self._here, "caught", None)
        if caught is not None:
            caught.append(" ".join(str(message).split()))
        elif getattr(self._here, "passing_on", False):
            _show_at_import(message, category, filename, lineno, file, line)
        else:
            self._here.passing_on = True
            try:
                self._shown(message, category, filename, lineno, file, line)
            finally:
                self._here.passing_on = False


python_warnings: Final = _PythonWarnings()
"""A context: ``with python_warnings() as caught`` fills a list with what is warned of in this thread."""

_one_at_a_time = threading.Lock()


@contextmanager
def libtiff_lines() -> Iterator[list[str]]:
    """Give a list that is filled, when the block ends, with the lines that libtiff wrote to standard error meanwhile.

    libtiff writes them below Python, so the process's standard error is turned into a file for so long. One thread at a
    time does so, and what is found there that is not libtiff's is passed on: it comes later, but no line is lost.
    """
    found: list[str] = []
    with _one_at_a_time, contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(tempfile.TemporaryFile())
            kept = os.dup(2)
        except OSError:  # no standard error, or no place for a file: the lines go where they go
            yield found
            return
        stack.callback(os.close, kept)
        with contextlib.suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os.dup2(place.fileno(), 2)
        try:
            yield found
        finally:
            os.dup2(kept, 2)
            place.seek(0)
            others = []
            for line in place.read().splitlines(keepends=True):
                text = line.decode("utf-8", "replace").strip()
                if _LIBTIFF.match(text):
                    found.append(text)
                elif text:
                    others.append(line)
            with contextlib.suppress(OSError):
                for line in others:
                    os.write(2, line)


def summary(lines: list[str], most: int = 3) -> list[str]:
    """Return messages without repetitions, the first few of them and how many more there were."""
    distinct = list(dict.fromkeys(line.rstrip(".") for line in lines if line))
    if len(distinct) <= most:
        return distinct
    return [*distinct[:most], f"{len(distinct) - most:,} more messages of the decoder"]
