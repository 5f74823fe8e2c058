"""The page of `defnet score --report`, made while it scores."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from defnet.commands.score_output import Tally
    from defnet.report.gallery.while_scoring import PageWhileScoring
    from iqa_datasets.image_paths import FoundImages
    from iqa_datasets.terminal import Bar


@contextmanager
def page_while_scoring(
    page: Path | None,
    keep_local: bool,
    table: Path | None,
    overwrite: bool,
    arguments: list[str],
    found: "FoundImages",
    tally: "Tally",
    bar: "Bar",
) -> Iterator["PageWhileScoring | None"]:
    """What a page or `--local` needs of the scoring inside; None where neither is wanted.

    The page is written at the end, and of what there is when the user stops it.

    Args:
        page: the page's file.
        keep_local: keep the sub-images beside the table.
        table: the table of scores.
        overwrite: start anew.
        arguments: what was asked for, for the title.
        found: the images, and what names none.
        tally: what has come of them.
        bar: where to show the reading of images that an earlier run scored.
    """
    if page is None and not keep_local:
        yield None
        return
    from defnet.report.gallery.while_scoring import PageWhileScoring

    with PageWhileScoring(found.paths, page, table, keep_local=keep_local, overwrite=overwrite) as kept:
        try:
            yield kept
        except KeyboardInterrupt:
            if tally.new or tally.done:
                _write(kept, page, arguments, found, tally, bar)
            raise
        _write(kept, page, arguments, found, tally, bar)


def _write(
    kept: "PageWhileScoring",
    page: Path | None,
    arguments: list[str],
    found: "FoundImages",
    tally: "Tally",
    bar: "Bar",
) -> None:
    if page is None:
        return
    for argument, reason in found.missing:
        kept.failed(argument, reason)
    bar.stage("making the page", len(tally.done) or None)
    named = ", ".join(argument.rstrip("/") for argument in arguments[:3])
    size = kept.write(f"{named}, …" if len(arguments) > 3 else named, tally.done, bar.advance)
    bar.above(f"{page}: {size / 1e6:.1f} MB, to be opened in a browser")
