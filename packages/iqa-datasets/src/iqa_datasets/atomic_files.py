"""Files that are there whole or not at all, and files that one process at a time writes."""

import contextlib
import glob
import itertools
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_numbers = itertools.count()

_LONGEST_STEM = 40


class FileInUseError(OSError):
    """Another process, or another part of this one, is writing the file. The message says who."""


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to, and move it into place when the block ends without an error.

    What stood there before stays until then, and for good if the block ends with an error. The temporary file keeps the
    suffix, by which writers choose a format. The new file has the permissions of the one that it replaces, or else
    those that any new file gets here, whatever the writer chose. Of a link the file that it leads to is replaced. A
    device or a pipe (``/dev/stdout``) cannot be replaced and is written to as it is.

    Args:
        path: the file; its folder must be there.

    Raises:
        OSError: the folder is missing or may not be written to, or the disk is full. It names ``path``.
    """
    path = Path(path)
    part: Path | None = None
    try:
        target = Path(os.path.realpath(path))
        before = target.stat().st_mode if target.exists() else None
        if before is not None and stat.S_ISDIR(before):
            raise IsADirectoryError(f"{path} is a folder; give a file in it")
        if before is not None and not stat.S_ISREG(before):
            yield path
            return
        # The name is cut, since with what is added it might become longer than a name may be.
        part = target.with_name(f".{target.stem[:_LONGEST_STEM]}.{os.getpid()}.{next(_numbers)}.part{target.suffix}")
        try:
            part.touch(exist_ok=False)
            mode = part.stat().st_mode if before is None else before
            yield part
            part.chmod(stat.S_IMODE(mode))
            _flush(part)
            part.replace(target)
            _flush(target.parent)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        if part is not None and error.filename in (part, str(part)):
            error.filename = str(path)
            del error.filename2
        raise


def remove_unfinished(path: str | os.PathLike[str]) -> None:
    """Remove what writers of a file that were killed have left of it; whoever still writes is left alone.

    Args:
        path: the file that `replacing` was to make.
    """
    target = Path(os.path.realpath(path))
    if len(target.stem) > _LONGEST_STEM:
        return  # its temporary files may be those of another file with the same beginning
    for part in target.parent.glob(f".{glob.escape(target.stem)}.*.part{glob.escape(target.suffix)}"):
        writer = part.name.removeprefix(f".{target.stem}.").split(".", maxsplit=1)[0]
        if writer.isdecimal() and not _runs(int(writer)):
            with contextlib.suppress(OSError):
                part.unlink()


def _runs(process: int) -> bool:
    """Whether there is such a process; where that cannot be known, there is."""
    if os.name == "nt":
        return True  # to signal a process would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _flush(path: Path) -> None:
    """Have the disk hold what was written, so that a loss of power leaves the old file or the new one."""
    folder = path.is_dir()
    if folder and os.name == "nt":
        return  # a folder cannot be opened there
    # Windows flushes only what is open for writing.
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        # Some network folders cannot be flushed; a full disk shows at files.
        with contextlib.suppress(OSError) if folder else contextlib.nullcontext():
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Keep others from writing ``path`` while the block runs, if they ask for it by this function too.

    The lock is a hidden file beside ``path``, which is left there: removing it would let two others lock two files of
    one name. The system gives the lock back when the process ends, however it does.

    Args:
        path: the file that is written; it need not be there yet.

    Raises:
        FileInUseError: another process, or another part of this one, holds the lock.
        OSError: the lock's file cannot be written.
    """
    from filelock import FileLock, Timeout

    path = Path(path)
    target = Path(os.path.realpath(path))
    lock_path = target.with_name(f".{target.name[:60]}.lock")
    holder = lock_path.with_suffix(".holder")  # not in the lock's own file, which the next who asks may empty
    lock = FileLock(lock_path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FileInUseError(f"{path} is being written by {_read(holder) or 'another process'}") from None
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read(holder: Path) -> str:
    with contextlib.suppress(OSError):
        return holder.read_text(encoding="utf-8", errors="replace").strip()
    return ""
