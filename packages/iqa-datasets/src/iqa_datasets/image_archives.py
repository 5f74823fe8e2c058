"""Images in .zip and .tar files, read without unpacking."""

import os
import tarfile
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from iqa_datasets.image_formats import IMAGE_SUFFIXES
from iqa_datasets.images import ImageError

ARCHIVE_SUFFIXES: Final = frozenset({".zip", ".tar"})
"""Endings, in lower case, of archives that images are read from."""

MAX_FILE_BYTES: Final = 2**30
"""Most bytes that an image in an archive may unpack to."""


@dataclass(frozen=True)
class ArchivedImage:
    """An image in an archive.

    Attributes:
        path: the archive's path, a slash, and the image's name in it.
        archive: the archive's path.
        size: its size in bytes, unpacked.
        modified: when it was last written, as the archive has it, as ISO 8601 writes it: of a .tar file in UTC, of a
            .zip file, which does not say where its clock stood, without a zone.
    """

    path: str
    archive: str
    size: int
    modified: str
    _source: Any = field(repr=False, compare=False)
    _place: int = field(repr=False)

    def read(self) -> bytes:
        """Return the bytes of the image's file. Threads may read at once.

        Raises:
            iqa_datasets.ImageError: it is too large, encrypted or damaged, or the archive is gone.
        """
        if self.size > MAX_FILE_BYTES:
            raise ImageError(self.path, f"unpacks to {self.size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        try:
            content: bytes = self._source.read(self._place, self.size)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
            # RuntimeError is zipfile's for a password that is wanted, and of its kind for an unknown compression.
            raise ImageError(self.path, f"cannot be read from its archive ({error})") from error
        if len(content) != self.size:
            raise ImageError(self.path, f"is cut off in its archive: {len(content):,} of {self.size:,} bytes")
        return content


class ArchiveError(ValueError):
    """An archive cannot be read."""


def archived_images(
    path: str | os.PathLike[str], *, suffixes: Collection[str] = IMAGE_SUFFIXES
) -> tuple[tuple[ArchivedImage, ...], dict[str, int]]:
    """List the images in an archive.

    Hidden files, and those in hidden folders or in ``__MACOSX``, are left out, and so is everything that is no plain
    file. Where a name stands twice the last counts, as when the archive is unpacked.

    Args:
        path: a .zip or .tar file.
        suffixes: endings, in lower case, that make a file an image.

    Returns:
        The images in the order of their names, and how many other files there are, by suffix in lower case.

    Raises:
        ArchiveError: it is no such archive, or one that is compressed whole, in which no image can be reached but by
            unpacking all before it.
    """
    name = os.fspath(path)
    suffix = Path(name).suffix.lower()
    if suffix not in ARCHIVE_SUFFIXES:
        if Path(name).stem.lower().endswith(".tar") or suffix == ".tgz":
            raise ArchiveError(f"{name}: is compressed whole; unpack it, or make it a .zip or .tar")
        raise ArchiveError(f"{name}: images are read from {' and '.join(sorted(ARCHIVE_SUFFIXES))} files")
    try:
        source = _Zip(name) if suffix == ".zip" else _Tar(name)
        members = sorted(source.members())
    except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ArchiveError(f"{name}: cannot be read as a {suffix} file ({error})") from error
    found: dict[str, ArchivedImage] = {}
    ignored: Counter[str] = Counter()
    for inner, place, size, modified in members:
        parts = PurePosixPath(inner).parts
        if any(part.startswith(".") or part == "__MACOSX" for part in parts):
            continue
        ending = PurePosixPath(inner).suffix.lower()
        if ending in suffixes:
            found[inner] = ArchivedImage(f"{name}/{inner}", name, size, modified, source, place)
        else:
            ignored[ending] += 1
    return tuple(found.values()), dict(ignored)


_Member = tuple[str, int, int, str]


class _Zip:
    """A .zip file, which is opened once by each process that reads from it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open: tuple[int, zipfile.ZipFile] | None = None

    def __getstate__(self) -> dict[str, str]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def _archive(self) -> zipfile.ZipFile:
        with self._lock:
            if self._open is None or self._open[0] != os.getpid():
                self._open = os.getpid(), zipfile.ZipFile(self.path)
            return self._open[1]

    def members(self) -> Iterator[_Member]:
        for number, info in enumerate(self._archive().infolist()):
            if not info.is_dir() and not _is_link(info):
                # A date that no calendar has stands in some archives; nothing depends on it but its being the same.
                modified = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*info.date_time)
                yield info.filename, number, info.file_size, modified

    def read(self, place: int, size: int) -> bytes:
        archive = self._archive()
        # zipfile takes turns at the file by itself. One more byte than stated, to see where there is one.
        with archive.open(archive.infolist()[place]) as member:
            return member.read(size + 1)


def _is_link(info: zipfile.ZipInfo) -> bool:
    return (info.external_attr >> 16) & 0o170000 == 0o120000


class _Tar:
    """A .tar file that is not compressed, so that an image's bytes lie at a known place in it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def members(self) -> Iterator[_Member]:
        with tarfile.open(self.path, "r:") as archive:
            for info in archive:
                if info.isreg() and not info.issparse():
                    modified = datetime.fromtimestamp(int(info.mtime), UTC)
                    yield info.name.removeprefix("./"), info.offset_data, info.size, f"{modified:%Y-%m-%dT%H:%M:%SZ}"

    def read(self, place: int, size: int) -> bytes:
        with Path(self.path).open("rb") as file:
            file.seek(place)
            return file.read(size)
