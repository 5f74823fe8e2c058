"""What stands on a page of scored photographs: rows with their thumbnails, which wait on the disk and not in memory."""

import base64
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self
from urllib.parse import quote

from defnet.scoring.pictures import LocalQuality
from defnet.scoring.scored_tables import ScoredRow

PAGE_BYTES: Final = 120_000_000
"""Size that a page of 10,000 images may have."""

_MOST, _LEAST = 7_500, 1_000
_ROW_BYTES: Final = 1_800
"""Most that an image takes beside its thumbnail: its row, and fifteen sub-images."""


def thumbnail_bytes(images: int) -> int:
    """How many bytes a thumbnail may have for a page of so many images to keep to `PAGE_BYTES`.

    Base64 makes four bytes of three. From some 38,000 images on the page is larger: thumbnails of less than a kilobyte
    show nothing.
    """
    left = PAGE_BYTES / max(images, 1) - _ROW_BYTES
    return int(max(_LEAST, min(_MOST, left * 3 / 4)))


@dataclass
class Entry:
    """One image of a page.

    Attributes:
        row: its row.
        local: how good its sub-images are, where that is known.
        size: (width, height) of the upright image, where that is known.
        href: the file's address from the page; None where it is not there.
    """

    row: ScoredRow
    local: LocalQuality | None = None
    size: tuple[int, int] | None = None
    href: str | None = None
    _place: tuple[int, int] | None = field(default=None, repr=False)

    @property
    def has_thumbnail(self) -> bool:
        """Whether there is a picture of it."""
        return self._place is not None


class Gallery:
    """Gathers what stands on a page. Thumbnails are laid in a temporary file that `close` removes."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._spool: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115, close is a method

    def add(
        self,
        row: ScoredRow,
        thumbnail: bytes = b"",
        local: LocalQuality | None = None,
        size: tuple[int, int] | None = None,
        href: str | None = None,
    ) -> None:
        """Add an image.

        Args:
            row: its row.
            thumbnail: a WebP file; empty for none.
            local: how good its sub-images are.
            size: (width, height) of the upright image.
            href: the file's address from the page.
        """
        entry = Entry(row, local, size or (local.size if local else None), href)
        if thumbnail:
            start = self._spool.seek(0, os.SEEK_END)
            self._spool.write(thumbnail)
            entry._place = (start, len(thumbnail))
        self.entries.append(entry)

    def thumbnails(self) -> Iterator[str]:
        """The thumbnails in the order of the entries, in base64; empty where there is none."""
        for entry in self.entries:
            if entry._place is None:
                yield ""
                continue
            start, length = entry._place
            self._spool.seek(start)
            yield base64.b64encode(self._spool.read(length)).decode("ascii")

    def close(self) -> None:
        """Remove the temporary file."""
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def address(file: Path, page: Path) -> str:
    """A file's address from a page beside it or elsewhere on the disk, safe to stand in an attribute.

    Args:
        file: the image.
        page: the page's file.
    """
    file, folder = Path(os.path.abspath(file)), Path(os.path.abspath(page)).parent  # noqa: PTH100, links stay links
    try:
        relative = Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return file.as_uri()  # on another drive
    # With ./ before it no name is read as a scheme; as bytes, names that are not UTF-8 lead to their files, too.
    return "./" + quote(os.fsencode(relative))
