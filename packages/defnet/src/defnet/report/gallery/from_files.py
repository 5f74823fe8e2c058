"""Pictures for rows of a table that was made before: the files are found again, and decoded for their thumbnails."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from defnet.report.gallery.entries import Gallery, address, thumbnail_bytes
from defnet.scoring.local_files import LocalKey
from defnet.scoring.pictures import THUMBNAIL_SIDE, LocalQuality, thumbnail
from defnet.scoring.scored_tables import ScoredRow
from iqa_datasets.images import ImageError, open_image_with_warnings

_AT_ONCE = 64


@dataclass
class Found:
    """What has come of looking for the files of a table.

    Attributes:
        missing: paths whose file is not there.
        unreadable: paths and reasons of files that are there and cannot be decoded.
        changed: paths whose file has another size than when it was scored.
    """

    missing: list[str] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


def file_of(path: str, table: Path | None = None, images: Path | None = None) -> Path | None:
    """Find the file that a row is of, or None.

    Args:
        path: as the table has it.
        table: the table: a relative path may be meant from its folder.
        images: where the photographs lie now. The path is looked for below it, whole and then without its first
            folders, one after the other: `old/2024/a.jpg`, `2024/a.jpg`, `a.jpg`.
    """
    if not path or path == "-" or "\0" in path:
        return None
    plain = Path(path)
    candidates = [plain]
    if table is not None:
        candidates.append(table.parent / plain)
    if images is not None:
        parts = plain.parts[1:] if plain.is_absolute() else plain.parts
        candidates = [images.joinpath(*parts[start:]) for start in range(len(parts))]
    return next((candidate for candidate in candidates if _is_file(candidate)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a name that is too long for a file is none


def add_with_pictures(
    gallery: Gallery,
    rows: Sequence[ScoredRow],
    page: Path,
    *,
    find: Callable[[str], Path | None],
    local: Mapping[LocalKey, LocalQuality] | None = None,
    count: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Found:
    """Add rows to a page, with the thumbnails of their files.

    Args:
        gallery: where to.
        rows: what to add.
        page: the page's file, which addresses start from.
        find: finds the file of a path.
        local: what is known of sub-images.
        count: how many images the page has in the end; by default those of `rows`.
        advance: called with the number of images each time some are done.
    """
    found = Found()
    limit = thumbnail_bytes(len(rows) if count is None else count)
    threads = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads, thread_name_prefix="thumbnail") as pool:
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            files = [find(row.path) for row in part]
            pictures = pool.map(lambda row, file: _picture(row, file, limit), part, files)
            for row, file, (content, size, problem) in zip(part, files, pictures, strict=True):
                if file is None:
                    found.missing.append(row.path)
                elif row.file_size is not None and row.file_size != file.stat().st_size:
                    found.changed.append(row.path)
                if problem is not None:
                    found.unreadable.append((row.path, problem))
                known = (local or {}).get((row.path, row.frame, row.file_size, row.file_modified))
                gallery.add(row, content, known, size, None if file is None else address(file, page))
            advance(len(part))
    return found


def _picture(row: ScoredRow, file: Path | None, limit: int) -> tuple[bytes, tuple[int, int] | None, str | None]:
    """Thumbnail, size, and why there is none; of a row without a score that reason is no news."""
    if file is None:
        return b"", None, None
    try:
        opened = open_image_with_warnings(file, frame=row.frame - 1, at_least=THUMBNAIL_SIDE)
    except ImageError as error:
        return b"", None, None if row.reason is not None else error.reason
    return thumbnail(opened.image, limit), opened.size, None
