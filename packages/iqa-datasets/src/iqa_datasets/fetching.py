"""Getting a data set: licence, download, checksum, unpacking, and a folder that `iqa_datasets.load` reads.

In the folder that is given, the official folder appears at the very end and under its name, or not at all. Beside it,
``archives/`` keeps what has been downloaded so far, and ``archives/checksums.json`` the sha256 of every archive for
which none is published: what came first is trusted, and what comes later must be the same.
"""

import fnmatch
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from iqa_datasets.archives import DamagedArchiveError, is_archive, unpack
from iqa_datasets.atomic_files import replacing
from iqa_datasets.cards import DatasetCard
from iqa_datasets.downloads import ChangedFileError, ResumingDownloader, UnavailableError, check_address, pooch_download
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import official_folder
from iqa_datasets.registry import info
from iqa_datasets.sources import HubFile, Source, WebFile, source_of

Report = Callable[[str, int, int | None], None]
"""Called with what is being done, how many bytes of it are done and, where known, how many there are."""
Say = Callable[[str], None]

ARCHIVES: Final = "archives"
CHECKSUMS: Final = "checksums.json"
_DEEPEST = 4  # levels of folders in which the official one is looked for


def fetch(
    name: str,
    folder: str | os.PathLike[str],
    *,
    accept_licence: bool = False,
    mirror: bool = False,
    address: str | None = None,
    archives: Sequence[str | os.PathLike[str]] = (),
    keep_archives: bool = False,
    progress: bool = True,
) -> Path:
    """Download a data set, check it, and unpack it into its official layout.

    A download that was interrupted is gone on with; one that is there and right is not repeated; a data set that is
    there already is left as it is. Needs the extra ``iqa-datasets[fetch]``, except for archives that you have.

    Args:
        name: an id of `available`.
        folder: where the official folder is to appear, under the name that its card gives it; made if need be.
        accept_licence: say that you have read ``info(name).licence`` and accept it. Nothing happens without.
        mirror: take the copy that others have packed, for data sets whose authors' own cannot be downloaded.
        address: another server: for one file, its address; for several, an address ending in ``/`` below which they
            lie; for files on the Hugging Face hub, another hub. What comes must have the same checksum.
        archives: archives and label files that you downloaded yourself, instead of downloading.
        keep_archives: leave the downloaded archives in ``archives/`` once they are unpacked.
        progress: show bars on standard error, where that is a terminal.

    Returns:
        The official folder, for ``load(name, folder)``, which says if anything is missing there.

    Raises:
        DatasetError: the licence was not accepted; the data set has to be asked for by hand (the message says how);
            a download, a checksum or an archive is wrong. Nothing half-done is left where the data set belongs.
        FileNotFoundError: an archive is not there.

    Example:
        >>> fetch("live-challenge", "image-data")
        Traceback (most recent call last):
            ...
        iqa_datasets.errors.DatasetError: live-challenge: read its licence (info('live-challenge').licence) and, ...
    """
    with bars(progress) as report:
        return fetch_source(
            source_of(name),
            info(name),
            folder,
            accept_licence=accept_licence,
            mirror=mirror,
            address=address,
            archives=archives,
            keep_archives=keep_archives,
            report=report,
        )


def already_there(card: DatasetCard, folder: str | os.PathLike[str]) -> Path | None:
    """Return the official folder if a data set is complete in a folder, None if nothing of it is there.

    Raises:
        DatasetError: something is there which is not the data set.
    """
    place = Path(folder) / card.folder
    if not os.path.lexists(place):
        return None
    try:
        return official_folder(place, card)
    except FileNotFoundError as error:
        raise DatasetError(f"{place} is in the way and is not complete: {error}. Move it elsewhere") from error


def files_of(source: Source, *, mirror: bool) -> tuple[WebFile | HubFile, ...]:
    """Return what is downloaded for a data set.

    Raises:
        DatasetError: a mirror is asked for where there is none.
    """
    if mirror and not source.mirror:
        raise DatasetError(f"{source.name}: no mirror is known, leave out mirror=True (--mirror)")
    return source.mirror if mirror else source.files


def fetch_source(
    source: Source,
    card: DatasetCard,
    folder: str | os.PathLike[str],
    *,
    accept_licence: bool,
    mirror: bool = False,
    address: str | None = None,
    archives: Sequence[str | os.PathLike[str]] = (),
    keep_archives: bool = False,
    report: Report = lambda _what, _done, _total: None,
    say: Say = lambda _message: None,
    pause: float = 1.0,
) -> Path:
    """Do what `fetch` does, for any source and card; the further arguments are how it speaks and how long it waits."""
    target = Path(folder)
    if place := already_there(card, target):
        return place
    files = files_of(source, mirror=mirror)
    if not files and not archives:
        raise DatasetError(source.instructions(card, os.fspath(folder)))
    if not accept_licence:
        raise DatasetError(
            f"{source.name}: read its licence (info({source.name!r}).licence) and, if you accept it, say so with "
            f"accept_licence=True. It is: {card.licence}"
        )
    given = [_given(Path(file), source) for file in archives]
    target.mkdir(parents=True, exist_ok=True)
    store = _Store(target / ARCHIVES, source.name, report, say, pause)
    try:
        pieces = given or [store.download(file, _moved(file, address, len(files))) for file in files]
    except UnavailableError as error:
        by_hand = f"{source.by_hand} Then: iqa-datasets fetch {source.name} {folder} --archive FILE"
        raise UnavailableError(f"{error}. By hand: open {card.home_page}. {by_hand}") from error
    place = _lay_out(source, card, target, pieces, report, say)
    for piece in pieces:
        store.remember(piece)
        if piece.ours and not keep_archives:
            piece.path.unlink()
    return place


@dataclass(frozen=True, slots=True)
class _Piece:
    """A file of a data set that is here.

    Attributes:
        path: the file.
        into: where it belongs, relative to the official folder.
        ours: whether it was downloaded here and may be deleted.
        address: where it came from.
        first_sha256: its checksum, where none was known and this one is to be trusted from now on.
    """

    path: Path
    into: str
    ours: bool
    address: str
    first_sha256: str | None = None


def _given(path: Path, source: Source) -> _Piece:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file; give an archive or a label file that you downloaded")
    for file in (*source.files, *source.mirror):
        if _name(file) == path.name:
            if isinstance(file, WebFile) and file.size not in (None, path.stat().st_size):
                raise DatasetError(
                    f"{path} has {path.stat().st_size:,} bytes, but {file.size:,} are published; download it again"
                )
            if (known := _known_hash(file)) and not _matches(path, known):
                raise DatasetError(f"{path}: its checksum is not the published {known}; download it again")
            return _Piece(path, file.into, ours=False, address=file.url)
    return _Piece(path, "", ours=False, address=os.fspath(path))


def _moved(file: WebFile | HubFile, address: str | None, count: int) -> str | None:
    """Return the address to use instead of a file's own."""
    if address is None or isinstance(file, HubFile):
        return address
    if address.endswith("/"):
        return address + file.file
    if count > 1:
        raise DatasetError(f"{address}: give a folder's address, ending in /, below which all {count} files lie")
    return address


def _name(file: WebFile | HubFile) -> str:
    return file.file.rpartition("/")[2]


def _known_hash(file: WebFile | HubFile) -> str | None:
    if file.sha256:
        return f"sha256:{file.sha256}"
    return f"md5:{file.md5}" if isinstance(file, WebFile) and file.md5 else None


def _matches(path: Path, known: str) -> bool:
    return _digest(path, known.partition(":")[0]) == known.lower()


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


class _Store:
    """The folder of the archives of data sets, and what is known of them."""

    def __init__(self, folder: Path, name: str, report: Report, say: Say, pause: float) -> None:
        self._folder = folder
        self._dataset = name
        self._report = report
        self._say = say
        self._pause = pause

    def download(self, file: WebFile | HubFile, moved: str | None) -> _Piece:
        name = _name(file)
        path = self._folder / name
        known = _known_hash(file) or self._remembered(name)
        if path.exists():
            if known is None or _matches(path, known):
                self._say(f"{path} is there already")
                return _Piece(path, file.into, ours=True, address=file.url, first_sha256=self._first(path, known))
            self._say(f"{path} is not what its checksum says; it is downloaded again")
            path.unlink()
        try:
            if isinstance(file, HubFile):
                known = self._from_hub(file, path, known, moved)
            else:
                self._from_web(moved or file.url, path, known, file.size)
        except ImportError as error:
            raise DatasetError(
                f"downloading needs more packages: pip install 'iqa-datasets[fetch]' ({error})"
            ) from error
        except ChangedFileError as error:
            if known != self._remembered(name):
                raise
            raise ChangedFileError(
                f"{error}. No checksum is published for it: the one of the first download is in "
                f"{self._folder / CHECKSUMS}; take it out there if you trust the new file"
            ) from error
        return _Piece(path, file.into, ours=True, address=moved or file.url, first_sha256=self._first(path, known))

    def _first(self, path: Path, known: str | None) -> str | None:
        return None if known else _digest(path, "sha256")

    def _from_web(self, url: str, path: Path, known: str | None, size: int | None) -> None:
        check_address(url, has_checksum=known is not None)
        downloader = ResumingDownloader(
            path.with_name(path.name + ".part"),
            size=size,
            https_only=url.startswith("https:"),
            progress=lambda done, total: self._report(path.name, done, total),
            pause=self._pause,
        )
        pooch_download(url, path, known, downloader)

    def _from_hub(self, file: HubFile, path: Path, known: str | None, endpoint: str | None) -> str | None:
        """Download a file from the hub, and return the checksum that it was found to have.

        The hub's client finds the file and says what it must be. The bytes come as from everywhere else, since the
        client itself, from 2.0 on, does not go on with what an earlier process downloaded.
        """
        import huggingface_hub as hub

        try:
            url = hub.hf_hub_url(
                file.repository, file.file, repo_type="dataset", revision=file.revision, endpoint=endpoint
            )
            stated = hub.get_hf_file_metadata(url, token=False)
        except Exception as error:  # those of its HTTP library, which has changed from version to version
            said = " ".join(str(error).split())
            raise UnavailableError(f"{file.url}: the hub does not give it out: {said}") from error
        if stated.etag and len(stated.etag) == 64:  # of a large file, the hub's ETag is its sha256
            if known and known != f"sha256:{stated.etag}":
                raise ChangedFileError(f"{file.url}: the hub states another checksum than {known}, which is known")
            known = f"sha256:{stated.etag}"
        self._from_web(url, path, known, stated.size)
        return known

    def remember(self, piece: _Piece) -> None:
        """Keep the checksum of an archive that was unpacked, if it was the first of its kind."""
        if not (piece.ours and piece.first_sha256):
            return
        notes = self._notes()
        notes[f"{self._dataset}/{piece.path.name}"] = {"sha256": piece.first_sha256[7:], "from": piece.address}
        with replacing(self._folder / CHECKSUMS) as part:
            part.write_text(json.dumps(notes, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        self._say(
            f"no checksum is published for {piece.path.name}; that of this first download, {piece.first_sha256}, is "
            f"kept in {self._folder / CHECKSUMS} and holds from now on"
        )

    def _notes(self) -> dict[str, dict[str, str]]:
        file = self._folder / CHECKSUMS
        if not file.exists():
            return {}
        try:
            notes = json.loads(file.read_text(encoding="utf-8"))
            return {name: dict(note) for name, note in notes.items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise DatasetError(f"{file} is not as it was written ({error}); repair it, or delete it") from error

    def _remembered(self, name: str) -> str | None:
        note = self._notes().get(f"{self._dataset}/{name}")
        return f"sha256:{note['sha256']}" if note and "sha256" in note else None


def _lay_out(
    source: Source, card: DatasetCard, target: Path, pieces: Sequence[_Piece], report: Report, say: Say
) -> Path:
    """Unpack all pieces into a folder of their own and move the official one out of it once it is whole."""
    work = target / f".{card.folder.replace('/', '-')}.unpacking"
    if work.exists():
        say(f"{work} is of an earlier attempt that was interrupted; it is deleted")
        shutil.rmtree(work)
    try:
        work.mkdir()
        for piece in pieces:
            inner = work / piece.into
            if is_archive(piece.path):
                try:
                    unpack(piece.path, inner, progress=partial(report, f"unpacking {piece.path.name}"))
                except DamagedArchiveError:
                    if piece.ours:
                        piece.path.unlink()
                    raise
                _drop_double(inner, piece.into)
            else:
                inner.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(piece.path, inner / piece.path.name)
        found = _find(work, source, card, pieces)
        place = target / card.folder
        _take_along(work, found, place, say)
        place.parent.mkdir(parents=True, exist_ok=True)
        found.rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place.absolute()


def _drop_double(folder: Path, into: str) -> None:
    """Lift what is in ``dst_imgs/dst_imgs/`` to ``dst_imgs/``: some archives have the folder's name in them."""
    entries = list(folder.iterdir())
    if into and len(entries) == 1 and entries[0].is_dir() and entries[0].name.casefold() == folder.name.casefold():
        lifted = entries[0].rename(folder.with_name(f".{folder.name}.lifted"))
        folder.rmdir()
        lifted.rename(folder)


def _find(work: Path, source: Source, card: DatasetCard, pieces: Sequence[_Piece]) -> Path:
    """Return the folder, of those that came out of the archives, that is the official one.

    That is the one with most of the files that the card lists, and a label file at least. Loaders also read variants
    of the official layout, so it is for them to say whether anything is missing.
    """
    labels = [file for file in card.files if "*" not in file]
    wanted = [*labels, *sorted({file.split("/")[0] for file in card.files if "*" in file})]
    best, nearest = work, wanted
    folders = [work]
    for _ in range(_DEEPEST):
        for folder in folders:
            for there, officially in source.renamed:
                if (folder / there).exists() and not (folder / officially).exists():
                    (folder / there).rename(folder / officially)
            missing = [file for file in wanted if not _is_there(folder, file)]
            if len(missing) < len(nearest):
                best, nearest = folder, missing
        folders = sorted(entry for folder in folders for entry in folder.iterdir() if entry.is_dir())
    if set(labels or wanted) <= set(nearest):
        came = ", ".join(piece.path.name for piece in pieces)
        raise DatasetError(
            f"{came}: not {card.title} as its authors lay it out: there is no {' and no '.join(nearest)}. Nothing was "
            f"unpacked; {card.home_page} says what belongs to it"
        )
    return best


def _is_there(folder: Path, path: str) -> bool:
    """Return whether a folder holds a file, whatever the case of its path; its first part may be a pattern."""
    first, _, rest = path.partition("/")
    if not folder.is_dir():
        return False
    found = [entry for entry in folder.iterdir() if fnmatch.fnmatch(entry.name.casefold(), first.casefold())]
    return any(_is_there(entry, rest) for entry in found) if rest else bool(found)


def _take_along(work: Path, found: Path, place: Path, say: Say) -> None:
    """Move what lies beside the official folder: files into it, the rest next to where it will be."""
    folder = found
    while folder != work:
        for entry in sorted(folder.parent.iterdir()):
            if entry == folder:
                continue
            if entry.is_file() and not (found / entry.name).exists():
                entry.rename(found / entry.name)
                continue
            rest = place.with_name(f"{place.name}.rest")
            rest.mkdir(parents=True, exist_ok=True)
            entry.rename(rest / entry.name)
            say(f"{rest / entry.name} came with the data set, but is no part of its official folder")
        folder = folder.parent


@contextmanager
def bars(show: bool = True) -> Iterator[Report]:
    """Give a `Report` that draws a bar with speed and remaining time for everything that it is told of.

    Args:
        show: whether to draw at all; in any case only where standard error is a terminal.
    """
    if not show or not sys.stderr.isatty():
        yield lambda _what, _done, _total: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskID,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    tasks: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def report(what: str, done: int, total: int | None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(escape(what), total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield report
