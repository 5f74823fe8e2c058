"""Downloads that go on where they stopped. A file comes whole and of one piece, or not at all."""

import json
import os
import re
import shutil
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from iqa_datasets.archives import Progress
from iqa_datasets.errors import DatasetError

if TYPE_CHECKING:
    from requests import Response, Session

ATTEMPTS: Final = 6
"""How often in a row a download is tried without getting any further before it is given up."""

_CHUNK = 1 << 16
_TIMEOUT = (20.0, 60.0)  # seconds: to connect; between two pieces
_LONGEST_PAUSE = 60.0
_WORTH_ANOTHER_TRY = {408, 425, 429}  # of the client errors; all server errors are
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class ChangedFileError(DatasetError):
    """A file is not the one whose checksum is known."""


class UnavailableError(DatasetError):
    """A server has no such file, or does not give it out."""


class _InterruptedError(Exception):
    """A fault that may have passed when it is tried again."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is known of the file that FILE.part is the beginning of.

    Attributes:
        url: its address.
        mark: what the server will recognise this very content by: a strong ETag or else the date of its last change.
        size: its whole size, if the server said so.
    """

    url: str
    mark: str | None
    size: int | None


def check_address(url: str, *, has_checksum: bool) -> None:
    """Refuse an address that is not https, unless what comes is checked anyway or the server is this machine.

    Raises:
        DatasetError: it is refused.

    Example:
        >>> check_address("http://example.org/set.zip", has_checksum=False)
        Traceback (most recent call last):
            ...
        iqa_datasets.errors.DatasetError: http://example.org/set.zip: must begin with https://, ...
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and (has_checksum or parts.hostname in _LOOPBACK):
        return
    why = "since no checksum is known that would show a change on the way" if parts.scheme == "http" else "or http://"
    raise DatasetError(f"{url}: must begin with https://, {why}")


class ResumingDownloader:
    """A downloader for pooch that goes on with what an interrupted one left behind.

    What has come is kept in ``part`` and, beside it, in ``part`` + ``.json``, by what the server recognises the file.
    The next attempt, in this process or a later one, asks for the rest only, on the condition that the file is still
    the same (``Range`` with ``If-Range``); what a server does with less support, or after the file has changed, is to
    send everything, and then the download starts from its first byte. Pieces of two files are never put together.

    Args:
        part: where to keep what has come so far.
        size: the published size in bytes, where it is known: another one is refused before anything is downloaded.
        https_only: refuse to be sent on to an address without encryption.
        progress: called with the bytes that are there, and those of the whole file if the server says.
        attempts: how often in a row to try without getting any further.
        pause: seconds before the second attempt, doubled before every further one.

    Raises:
        DatasetError: when called: the server does not have the file, or refuses it, or sends a web page; the disk is
            too small; the connection fails again and again.
    """

    def __init__(
        self,
        part: Path,
        *,
        size: int | None = None,
        https_only: bool = True,
        progress: Progress | None = None,
        attempts: int = ATTEMPTS,
        pause: float = 1.0,
    ) -> None:
        self._part = part
        self._notes = part.with_name(part.name + ".json")
        self._size = size
        self._https_only = https_only
        self._progress: Progress = progress or (lambda _done, _total: None)
        self._attempts = attempts
        self._pause = pause
        self._whole: str | None = None  # the address whose file is in FILE.part to the end

    def __call__(self, url: str, output_file: str | os.PathLike[str], _pooch: object = None) -> None:
        """Download an address to a file, as pooch asks for it."""
        self.complete(url)
        self._whole = None
        self._notes.unlink(missing_ok=True)
        os.replace(self._part, output_file)  # noqa: PTH105 - pooch gives a string

    def complete(self, url: str) -> None:
        """Download what is still missing of the file at an address to ``part``."""
        if self._whole == url:
            return
        import requests
        import urllib3

        self._part.parent.mkdir(parents=True, exist_ok=True)
        passing = (
            _InterruptedError,
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
            urllib3.exceptions.HTTPError,
        )
        failed = 0
        with requests.Session() as session:
            while True:
                before = self._here()
                try:
                    self._attempt(session, url)
                    break
                except requests.exceptions.SSLError as error:
                    raise DatasetError(f"{url}: the server's certificate does not hold: {error}") from error
                except passing as error:
                    failed = 1 if self._here() > before else failed + 1
                    if failed >= self._attempts:
                        raise DatasetError(
                            f"{url}: given up after {failed} attempts ({error}); "
                            f"{self._here():,} bytes are kept, and the same command goes on from there"
                        ) from error
                    asked = error.pause if isinstance(error, _InterruptedError) else 0.0
                    time.sleep(min(max(self._pause * 2 ** (failed - 1), asked), _LONGEST_PAUSE))
                except requests.RequestException as error:
                    raise DatasetError(f"{url}: cannot be downloaded: {error}") from error
        self._whole = url

    def _here(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _begun(self, url: str) -> _Begun | None:
        """Return what FILE.part is the beginning of, or None if that is not known or cannot be gone on with."""
        try:
            begun = _Begun(**json.loads(self._notes.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return begun if begun.url == url and begun.mark and self._here() else None

    def _forget(self) -> None:
        self._notes.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)

    def _attempt(self, session: "Session", url: str) -> None:
        begun = self._begun(url)
        offset = self._here() if begun else 0
        if begun and begun.size == offset:
            return
        headers = {"Accept-Encoding": "identity", "User-Agent": f"iqa-datasets/{package_version('iqa-datasets')}"}
        if begun and begun.mark:
            headers |= {"Range": f"bytes={offset}-", "If-Range": begun.mark}
        with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if self._https_only and any(not hop.url.startswith("https:") for hop in (*response.history, response)):
                raise DatasetError(f"{url}: sends on to {response.url}, which is not encrypted")
            if response.status_code == 416:  # asked for more than there is
                self._forget()
                raise _InterruptedError("the server has fewer bytes than are here; starting again")
            _check_status(url, response)
            whole: int | None
            if response.status_code == 206:
                if begun is None or not _goes_on(response, begun, offset):
                    self._forget()
                    raise _InterruptedError("the server went on with another file; starting again")
                whole = begun.size
            else:
                offset, whole = 0, _length(response)
                self._forget()
                self._check_whole(url, response, whole)
            if whole is not None:
                self._check_free(whole - offset)
            if not offset:
                self._part.touch()
                self._notes.write_text(json.dumps(asdict(_Begun(url, _mark(response), whole))), encoding="utf-8")
            self._take(response, offset, whole)

    def _check_whole(self, url: str, response: "Response", whole: int | None) -> None:
        if response.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml")):
            raise UnavailableError(
                f"{url}: answers with a web page ({response.url}), not with a file; open it in a browser to see why"
            )
        if self._size is not None and whole is not None and whole != self._size:
            raise DatasetError(f"{url}: has {whole:,} bytes, but {self._size:,} are published; it has been changed")

    def _check_free(self, needed: int) -> None:
        free = shutil.disk_usage(self._part.parent).free
        if needed > free:
            raise DatasetError(
                f"{self._part.parent}: {needed / 1e9:.2f} GB are still to be downloaded, but its disk has only "
                f"{free / 1e9:.2f} GB free"
            )

    def _take(self, response: "Response", offset: int, whole: int | None) -> None:
        with self._part.open("ab") as file:
            self._progress(offset, whole)
            # The bytes as they are sent: some servers call a .tgz file a gzip-encoded .tar, and would have it unpacked.
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                file.flush()
                offset += len(chunk)
                self._progress(offset, whole)
        if self._here() != offset:
            raise DatasetError(f"{self._part}: another process writes to the same file; wait for it, then try again")
        expected = self._size if whole is None else whole
        if expected is not None and offset != expected:
            if offset > expected:
                self._forget()
            raise _InterruptedError(f"{offset:,} of {expected:,} bytes came")


def _check_status(url: str, response: "Response") -> None:
    status = response.status_code
    if status in (200, 206):
        return
    said = f"{status} {response.reason}".strip()
    if status >= 500 or status in _WORTH_ANOTHER_TRY:
        wait = response.headers.get("Retry-After", "")
        raise _InterruptedError(f"the server answers {said}", float(wait) if wait.isdigit() else 0.0)
    hint = {
        401: "it asks for a login",
        403: "it does not give the file out, or not to programs; try a browser",
        404: "there is no such file, or not any more",
        410: "the file was taken down",
    }.get(status, "which should not be")
    raise UnavailableError(f"{url}: the server answers {said}: {hint}")


def _length(response: "Response") -> int | None:
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and response.status_code == 200 else None


def _mark(response: "Response") -> str | None:
    etag = response.headers.get("ETag", "")
    if etag.startswith('"'):  # W/"..." is weak: the same meaning, but maybe not the same bytes
        return etag
    return response.headers.get("Last-Modified")


def _goes_on(response: "Response", begun: _Begun, offset: int) -> bool:
    """Return whether what the server sends follows what is here, whatever it made of If-Range."""
    said = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    if said is None or int(said[1]) != offset:
        return False
    if said[2] != "*" and begun.size is not None and int(said[2]) != begun.size:
        return False
    mark = _mark(response)
    return mark is None or mark == begun.mark


def pooch_download(url: str, file: Path, known_hash: str | None, downloader: ResumingDownloader) -> None:
    """Download an address through pooch, which checks the file before it gets its name.

    Args:
        url: the address.
        file: where it is to be.
        known_hash: as pooch writes them: ``sha256:...`` or ``md5:...``; None to take what comes.
        downloader: how.

    Raises:
        ChangedFileError: the checksum is wrong; nothing is left of the file.
        DatasetError: as the downloader says.
    """
    import logging

    import pooch  # type: ignore[import-untyped]

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)  # it would announce what the caller says better
    try:
        # Before pooch makes its own temporary file, which would stay behind if this process is killed meanwhile.
        downloader.complete(url)
        pooch.retrieve(url, known_hash=known_hash, fname=file.name, path=file.parent, downloader=downloader)
    except DatasetError:
        raise
    except ValueError as error:
        raise ChangedFileError(
            f"{url}: what was downloaded does not have the checksum {known_hash}, which is known. It was thrown away. "
            "Try again; if it stays so, the file was changed at its source, or on the way"
        ) from error
    finally:
        logger.setLevel(level)
