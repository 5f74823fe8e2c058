"""Which loaders there are: those of this package, those that a program registers, and those of installed plug-ins.

A package adds a data set by an entry point of the group `GROUP`, named like the data set's id, whose object is a
`Loader`. It is imported when that data set is first asked for, and not before: a list of the ids needs only the names.
"""

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError
from iqa_datasets.loaders import (
    Loader,
    Reading,
    agiqa_3k,
    ava,
    bid,
    cid2013,
    cidiq,
    csiq,
    flive,
    folder,
    kadid_10k,
    kadis_700k,
    koniq_10k,
    live,
    live_challenge,
    live_md,
    mdid,
    mdid2013,
    mdivl,
    pipal,
    piq23,
    spaq,
    tid2008,
    tid2013,
    uhd_iqa,
    vcl_fer,
    waterloo_exploration,
)
from iqa_datasets.records import check_records
from iqa_datasets.vocabulary import suggestion

GROUP: Final = "iqa_datasets.loaders"
"""The group of entry points that plug-ins use."""

_OWN: Final[dict[str, Loader]] = {
    loader.card.name: loader
    for loader in (
        agiqa_3k.LOADER,
        ava.LOADER,
        bid.LOADER,
        cid2013.LOADER,
        cidiq.LOADER_50,
        cidiq.LOADER_100,
        csiq.LOADER,
        flive.LOADER,
        folder.LOADER,
        kadid_10k.LOADER,
        kadis_700k.LOADER,
        koniq_10k.LOADER,
        live.LOADER,
        live_challenge.LOADER,
        live_md.LOADER,
        mdid.LOADER,
        mdid2013.LOADER,
        mdivl.LOADER,
        pipal.LOADER,
        piq23.LOADER_OVERALL,
        piq23.LOADER_DETAILS,
        piq23.LOADER_EXPOSURE,
        spaq.LOADER,
        tid2008.LOADER,
        tid2013.LOADER,
        uhd_iqa.LOADER,
        vcl_fer.LOADER,
        waterloo_exploration.LOADER,
    )
}
# What others brought, and how a message calls each.
_ADDED: Final[dict[str, Loader]] = {}
_CALLED: Final[dict[str, str]] = {}


def register_loader(loader: Loader, *, replace: bool = False) -> None:
    """Let `load`, `info`, `verify` and the commands read a further data set, as long as this process runs.

    A package that others install registers its loaders by entry points instead, which need no call:

    .. code-block:: toml

        [project.entry-points."iqa_datasets.loaders"]
        my-data-set = "my_package.loader:LOADER"

    Args:
        loader: how the data set is read; its id is ``loader.card.name``.
        replace: take the place of a loader that was registered under this id before.

    Raises:
        DatasetError: it is no `Loader`, or there is a data set of this id already.

    Example:
        >>> from iqa_datasets import DatasetCard, Reading, available
        >>> from iqa_datasets import QualityScale, make_records, resolve_images
        >>> def read(root):
        ...     names = ["one.png", "two.png"]
        ...     images = resolve_images(root, names, root / "scores.csv")
        ...     return Reading(make_records(names, images.paths, CARD.scale, root / "scores.csv", mos=[2, 4]), images)
        >>> CARD = DatasetCard(
        ...     name="two-pictures", title="Two pictures", year=2024, size=2, kind="authentic", folder="two",
        ...     scale=QualityScale(1, 5), subjects=None, licence="Mine.", citation="Me.",
        ...     home_page="https://example.org", files=("scores.csv", "*.png"),
        ... )
        >>> register_loader(Loader(CARD, read))
        >>> "two-pictures" in available()
        True
    """
    if not isinstance(loader, Loader):
        raise DatasetError(f"a loader must be an iqa_datasets.Loader, got {loader!r}")
    name = loader.card.name
    if name in _OWN:
        raise DatasetError(f"the loader of {name!r} is this package's own; give yours another name")
    if name in _ADDED and not replace:
        raise DatasetError(f"there is a loader of {name!r} already; replace=True takes its place")
    _ADDED[name] = loader
    _CALLED[name] = f"the loader of {name!r}"


def loader_names() -> list[str]:
    """Return the ids of all data sets that can be read, sorted, without importing a plug-in."""
    return sorted({*_OWN, *_ADDED, *(entry.name for entry in entry_points(group=GROUP))})


def loader_of(name: str) -> Loader:
    """Return how a data set is read.

    Raises:
        DatasetError: there is no such data set, or the plug-in that brings it does not work; the message names it.
    """
    for loaders in (_OWN, _ADDED):
        if isinstance(name, str) and name in loaders:
            return loaders[name]
    if isinstance(name, str) and (entries := list(entry_points(group=GROUP, name=name))):
        _ADDED[name] = _loaded(name, entries)
        _CALLED[name] = _described(entries[0])
        return _ADDED[name]
    raise DatasetError(f"unknown data set {name!r}{suggestion(name, loader_names())}")


def read_dataset(loader: Loader, root: Path) -> tuple[DatasetCard, Reading]:
    """Return the card of what lies in a folder, and what its loader makes of it.

    Raises:
        FileNotFoundError: a label file is not there.
        DatasetError: a file is not as documented, or a loader of others does not do what a loader must; then the
            message names it.
    """
    called = _CALLED.get(loader.card.name)
    try:
        card = loader.card if loader.card_of is None else loader.card_of(root)
        reading = loader.read(root)
        if called is not None:
            if not isinstance(reading, Reading):
                raise TypeError(f"read must return an iqa_datasets.Reading, got {type(reading).__name__}")
            check_records(reading.records, card.scale)
    except (DatasetError, OSError) as error:
        if called is None:
            raise
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else DatasetError
        raise kind(f"{called}: {_sentence(error)}") from error
    except Exception as error:
        if called is None:
            raise
        raise DatasetError(f"{called} failed on {root}: {type(error).__name__}: {_sentence(error)}") from error
    return card, reading


def _loaded(name: str, entries: list[EntryPoint]) -> Loader:
    if len(entries) > 1:
        raise DatasetError(f"several plug-ins bring a data set {name!r}: {', '.join(map(_described, entries))}")
    (entry,) = entries
    try:
        loader = entry.load()
    except Exception as error:  # a plug-in may raise anything
        raise DatasetError(
            f"{_described(entry)} cannot be loaded: {type(error).__name__}: {_sentence(error)}"
        ) from error
    if not isinstance(loader, Loader):
        raise DatasetError(f"{_described(entry)} must be an iqa_datasets.Loader, got {type(loader).__name__}")
    if loader.card.name != name:
        raise DatasetError(f"{_described(entry)} has a card named {loader.card.name!r}; both must be the same")
    return loader


def _described(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}, " if entry.dist is not None else ""
    return f"the plug-in {entry.name!r} ({package}{entry.value})"


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split())
