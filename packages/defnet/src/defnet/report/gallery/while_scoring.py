"""A page that is made while images are scored: each is decoded once, for its score and for its thumbnail."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from defnet.report.gallery.entries import Gallery, address, thumbnail_bytes
from defnet.report.gallery.from_files import add_with_pictures, file_of
from defnet.report.gallery.page_file import write_page
from defnet.scoring.local_files import LocalFile, read_local
from defnet.scoring.scored_tables import failed_row, read_score_table, row_of_score
from defnet.scoring.scores import Failure, Score

if TYPE_CHECKING:
    from defnet.scoring.scorer import Scorer
    from defnet.scoring.seen import Frames, ImageSource


class PageWhileScoring:
    """Keeps what a page shows of each image, and what is known of sub-images, while they are scored.

    Args:
        paths: the images of the run.
        page: the page to write, or None for none.
        table: the table of scores, beside which sub-images are kept; None for none.
        keep_local: write the sub-images to a file beside the table.
        overwrite: start that file anew.
    """

    def __init__(
        self,
        paths: Sequence[str],
        page: Path | None,
        table: Path | None,
        *,
        keep_local: bool = False,
        overwrite: bool = False,
    ) -> None:
        self._paths, self._page, self._table = paths, page, table
        self._limit = thumbnail_bytes(len(paths)) if page is not None else 0
        self._gallery = Gallery()
        self._local = LocalFile(table, overwrite=overwrite) if keep_local and table is not None else None

    def stream(
        self,
        scorer: "Scorer",
        images: "Sequence[ImageSource]",
        *,
        batch_size: int = 4,
        decoders: int = 2,
        frames: "Frames" = "first",
    ) -> Iterator[Score | Failure]:
        """Score as `Scorer.stream` does. What is kept of an image is kept once its score has been taken."""
        from defnet.scoring.looked_at import stream_looked_at

        options = {"batch_size": batch_size, "decoders": decoders, "thumbnail_bytes": self._limit}
        results = stream_looked_at(scorer, images, frames=frames, **options)
        for result in results:
            if isinstance(result, Failure):
                yield result
                self.failed(result.path, result.reason)
                continue
            yield result.score
            if self._local is not None and result.local is not None:
                self._local.write(result.score, result.local)
            if self._page is not None:
                self._gallery.add(
                    row_of_score(result.score),
                    result.thumbnail,
                    result.local,
                    href=self._address(result.score.path),
                )

    def failed(self, path: str, reason: str) -> None:
        """Show an image that could not be scored, with the reason."""
        if self._page is not None:
            self._gallery.add(failed_row(path, reason), href=self._address(path))

    def _address(self, path: str) -> str | None:
        file = file_of(path)
        return None if file is None or self._page is None else address(file, self._page)

    def write(
        self, title: str, kept: frozenset[str] = frozenset(), advance: Callable[[int], None] = lambda _: None
    ) -> int:
        """Write the page.

        Args:
            title: what stands at its top.
            kept: images whose rows an earlier run wrote. They are read from the table, and their files for thumbnails.
            advance: called with a number of images each time some of the kept ones are done.

        Returns:
            Its size in bytes; 0 where no page is wanted.
        """
        if self._page is None:
            return 0
        if kept and self._table is not None:
            rows = [row for row in read_score_table(self._table).rows if row.path in kept]
            add_with_pictures(
                self._gallery,
                rows,
                self._page,
                find=file_of,
                local=read_local(self._table),
                count=len(self._paths),
                advance=advance,
            )
        order = {path: number for number, path in enumerate(self._paths)}
        last = len(order)
        self._gallery.entries.sort(key=lambda entry: (order.get(entry.row.path, last), entry.row.frame))
        return write_page(self._gallery, self._page, title)

    def close(self) -> None:
        """Remove what was kept for the page."""
        self._gallery.close()
        if self._local is not None:
            self._local.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
