"""Unpacking archives that strangers made: only plain files, only below the folder, and never more than is sensible.

Nothing in an archive is executed, no link is made, and permissions and owners that it asks for are ignored.
"""

import bz2
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

from iqa_datasets.errors import DatasetError

Progress = Callable[[int, int | None], None]
"""Called with what is done and, where it is known, what there is to do, both in bytes."""

ARCHIVE_SUFFIXES: Final = (
    ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".rar", ".7z",
)  # fmt: skip

# What unpacks as these names elsewhere, on Windows: a device, not a file, whatever the suffix.
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')
_BLOCK = 512  # of a tar archive
_CHUNK = 1 << 20
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError)


class DamagedArchiveError(DatasetError):
    """An archive ends early or does not decompress to what its own checksums say."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an archive may unpack to before it is taken for a bomb.

    Attributes:
        size: bytes of all files together.
        members: number of files and folders. KADIS-700k has 840,000 images.
        ratio: size of all files over the size of the archive. Photographs reach 10, text 30.
        always_allowed: bytes up to which the ratio does not count.
    """

    size: int = 500 * 10**9
    members: int = 2_000_000
    ratio: float = 100.0
    always_allowed: int = 64 * 2**20


def is_archive(file: str | os.PathLike[str]) -> bool:
    """Return whether a file is an archive by its name. An .xlsx file is a zip inside too, but not meant as one.

    Example:
        >>> is_archive("images.tar.gz"), is_archive("scores.xlsx")
        (True, False)
    """
    return os.fspath(file).lower().endswith(ARCHIVE_SUFFIXES)


def unpack(
    archive: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> int:
    """Unpack a zip or tar archive (plain, gzip, bzip2 or xz, told apart by their content) into a folder.

    Refused, with the name of the member, are: absolute paths, drive letters and ``..``; links, devices and pipes;
    names that Windows reserves or cannot write; two names that are one where case or Unicode form does not count; a
    file that is already there; more than the limits allow. What was written until then stays: unpack into an empty
    folder of your own, and use it only if this returns. ``__MACOSX`` folders are passed over.

    Args:
        archive: the file.
        folder: where to write; made if need be.
        limits: by default those of `Limits`.
        progress: called after every chunk.

    Returns:
        The number of files written.

    Raises:
        DamagedArchiveError: the archive is truncated or damaged.
        DatasetError: a member is refused, or the archive is of a kind that is not unpacked here, which the message
            explains.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with zipfile.ZipFile(folder / "two.zip", "w") as two:
        ...     two.writestr("images/a.txt", "a")
        ...     two.writestr("../b.txt", "b")
        >>> unpack(folder / "two.zip", folder / "out")
        Traceback (most recent call last):
            ...
        iqa_datasets.errors.DatasetError: two.zip: refused to unpack '../b.txt': it leads out of the folder
    """
    source, target = Path(archive), Path(folder)
    with source.open("rb") as stream:
        start = stream.read(8)
    if start.startswith((b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c")):
        kind = "RAR" if start.startswith(b"Rar") else "7-Zip"
        raise DatasetError(
            f"{source} is a {kind} archive, which needs a program of your own: unpack it with 7-Zip, unar or bsdtar "
            f"(for example: bsdtar -xf {source.name}), and use the folder that it gives"
        )
    target.mkdir(parents=True, exist_ok=True)
    gate = _Gate(source, target, limits or Limits())
    try:
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            _unpack_zip(source, gate, progress or _ignore)
        else:
            _unpack_tar(source, start, gate, progress or _ignore)
    except (*_BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's; without a number, a decompressor's
            raise
        raise DamagedArchiveError(f"{source} is damaged or was not downloaded to the end: {error}") from error
    return gate.files


def _ignore(_done: int, _total: int | None) -> None:
    return


class _Gate:
    """Decides on every member before a byte of it is written, and writes those that pass."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self.files = 0
        self.written = 0
        self._archive = archive
        self.folder = folder
        self._limits = limits
        self._allowed = min(limits.size, max(limits.always_allowed, int(limits.ratio * archive.stat().st_size)))
        self._members = 0
        self._promised = 0
        self._paths: dict[str, str] = {}  # as a file system without case would have them → as first named
        self._plain: set[str] = set()  # those of them that are files

    def refuse(self, name: str, why: str) -> DatasetError:
        return DatasetError(f"{self._archive.name}: refused to unpack {name!r}: {why}")

    def admit(self, name: str, size: int, *, is_folder: bool) -> Path | None:
        """Return where a member goes, or None if it is to be passed over."""
        self._members += 1
        self._promised += size
        if self._members > self._limits.members:
            raise DatasetError(f"{self._archive.name} has more than {self._limits.members:,} members; not unpacked")
        if self._promised > self._allowed:
            raise DatasetError(
                f"{self._archive.name} would unpack to more than {self._allowed:,} bytes, out of proportion to its "
                f"{self._archive.stat().st_size:,}; not unpacked"
            )
        parts = self._parts(name)
        if not parts or parts[0] == "__MACOSX":
            return None
        for end in range(1, len(parts) + 1):
            path = "/".join(parts[:end])
            key = unicodedata.normalize("NFC", path.casefold())
            known = self._paths.setdefault(key, path)
            if known != path:
                raise self.refuse(name, f"it cannot be told from {known!r} where case or Unicode form does not count")
            last = end == len(parts)
            if key in self._plain:
                raise self.refuse(name, "it is there twice" if last else f"{path!r} is a file, not a folder")
            if last and not is_folder:
                self._plain.add(key)
        target = self.folder.joinpath(*parts)
        if is_folder:
            target.mkdir(parents=True, exist_ok=True)
            return None
        return target

    def _parts(self, name: str) -> list[str]:
        slashed = name.replace("\\", "/")  # as archives made on Windows have it
        if slashed.startswith("/") or re.match(r"[A-Za-z]:", slashed):
            raise self.refuse(name, "its path is absolute")
        parts = [part for part in slashed.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise self.refuse(name, "it leads out of the folder")
        for part in parts:
            if _DEVICES.fullmatch(part) or _NOT_IN_NAMES.search(part) or part[-1] in " .":
                raise self.refuse(name, f"{part!r} is no file name on every system")
            if any("\ud800" <= char <= "\udfff" for char in part):
                raise self.refuse(name, "its name is no valid text")
        return parts

    def write(self, name: str, target: Path, content: IO[bytes], tell: Callable[[], None]) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            file = target.open("xb")
        except FileExistsError:
            raise self.refuse(name, f"{target} is already there") from None
        with file:
            while chunk := content.read(_CHUNK):
                self.written += len(chunk)
                if self.written > self._allowed:  # whatever the archive said of its sizes
                    raise self.refuse(name, f"with it, more than {self._allowed:,} bytes would be unpacked")
                file.write(chunk)
                tell()
        self.files += 1


def _unpack_zip(source: Path, gate: _Gate, progress: Progress) -> None:
    with zipfile.ZipFile(source) as archive:
        members = []
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise gate.refuse(info.filename, "it is a link or a device; data sets hold files and folders")
            if info.flag_bits & 1:
                raise gate.refuse(
                    info.filename,
                    "it is encrypted; unpack the archive yourself with the password that its authors gave you",
                )
            is_folder = info.filename.endswith(("/", "\\"))
            if target := gate.admit(info.filename, info.file_size, is_folder=is_folder):
                members.append((info, target))
        total = sum(info.file_size for info, _ in members)
        _check_free(source, gate, total)
        for info, target in members:
            try:
                with archive.open(info) as content:
                    gate.write(info.filename, target, content, lambda: progress(gate.written, total))
            except NotImplementedError as error:
                raise gate.refuse(info.filename, f"its compression is not known here ({error})") from error


def _check_free(source: Path, gate: _Gate, total: int) -> None:
    free = shutil.disk_usage(gate.folder).free
    if total > free:
        raise DatasetError(
            f"{source.name} unpacks to {total / 1e9:.2f} GB, but the disk of {gate.folder} has only "
            f"{free / 1e9:.2f} GB free; nothing was unpacked"
        )


class _LastBlock:
    """A stream that remembers what was read last, which tells a tar archive's proper end from a broken one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        self.last = self._stream.read(size)
        return self.last

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _unpack_tar(source: Path, start: bytes, gate: _Gate, progress: Progress) -> None:
    # In one pass: a data set of 35 GB is not to be decompressed twice. Python's own streaming mode would do that, but
    # does not notice that a gzip file was cut off, nor that its checksum is wrong.
    size = source.stat().st_size
    with source.open("rb") as raw:
        opened: IO[bytes] = raw
        if start.startswith(b"\x1f\x8b"):
            opened = cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
        elif start.startswith(b"BZh"):
            opened = bz2.BZ2File(raw)
        elif start.startswith(b"\xfd7zXZ\x00"):
            opened = lzma.LZMAFile(raw)  # noqa: SIM115 - raw is closed, which is all there is to close
        stream = _LastBlock(opened)
        try:
            archive = tarfile.open(fileobj=stream, mode="r:")  # type: ignore[call-overload]  # noqa: SIM115
        except tarfile.ReadError as error:
            if opened is not raw or size == 0:
                raise
            raise DatasetError(f"{source} is neither a zip nor a tar archive ({error})") from error
        with archive:
            while (member := archive.next()) is not None:
                archive.members.clear()  # which would grow by half a kilobyte a file
                if not (member.isreg() or member.isdir()):
                    raise gate.refuse(member.name, "it is a link or a device; data sets hold files and folders")
                target = gate.admit(member.name, member.size, is_folder=member.isdir())
                if target is None:
                    continue
                if hasattr(tarfile, "data_filter"):  # not in Python 3.11.0 to 3.11.3
                    try:
                        tarfile.data_filter(member, str(gate.folder))
                    except tarfile.FilterError as error:
                        raise gate.refuse(member.name, str(error)) from error
                content = archive.extractfile(member)
                if content is None:
                    raise gate.refuse(member.name, "it has no content")
                gate.write(member.name, target, content, lambda: progress(raw.tell(), size))
        if stream.last != bytes(_BLOCK):
            raise DamagedArchiveError(f"{source} is damaged or was not downloaded to the end: a member's header is bad")
        while opened.read(_CHUNK):  # to the end, where the checksum is
            pass
