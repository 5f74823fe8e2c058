"""Images that arrive in folders: each is given once, when it is whole."""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from iqa_datasets.image_formats import IMAGE_SUFFIXES
from iqa_datasets.image_paths import find_images


class ArrivingImages:
    """Watches folders, with all below them.

    A file counts as whole when two looks in a row find it of the same size and age; a camera or a download that writes
    for longer than the time between two looks without a byte is taken for one that is done. Folders are looked through
    from above each time, so that this works on every file system, those of the network among them.

    Args:
        folders: folders to watch; they must exist.
        known: paths that are not given, since somebody has them already.
        suffixes: endings, in lower case, that make a file an image.

    Raises:
        NotADirectoryError: one is no folder.

    Example:
        >>> import tempfile
        >>> arriving = ArrivingImages([tempfile.mkdtemp()])
        >>> arriving.look()
        ()
    """

    def __init__(
        self,
        folders: Iterable[str | os.PathLike[str]],
        *,
        known: Iterable[str] = (),
        suffixes: Collection[str] = IMAGE_SUFFIXES,
    ) -> None:
        self.folders = tuple(os.fspath(folder) for folder in folders)
        for folder in self.folders:
            if not Path(folder).is_dir():
                raise NotADirectoryError(f"{folder} is no folder; only folders can be watched")
        self._suffixes = suffixes
        self._known = set(known)
        self._seen: dict[str, tuple[int, int]] = {}

    def look(self) -> tuple[str, ...]:
        """Look once.

        Returns:
            Paths of images that have become whole since the last look, sorted within each folder. The first look gives
            none: it only sees what there is.
        """
        whole = []
        seen: dict[str, tuple[int, int]] = {}
        for path in find_images(self.folders, suffixes=self._suffixes).paths:
            if path in self._known:
                continue
            try:
                status = Path(path).stat()
            except OSError:  # gone again, or a link that leads nowhere yet
                continue
            state = (status.st_size, status.st_mtime_ns)
            if self._seen.get(path) == state and status.st_size:
                whole.append(path)
                self._known.add(path)
            else:
                seen[path] = state
        self._seen = seen
        return tuple(whole)
