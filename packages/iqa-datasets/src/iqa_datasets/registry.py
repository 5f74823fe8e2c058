"""The registry of data sets, and the two functions that everything goes through: `info` and `load`."""

import os
from pathlib import Path
from typing import Final

import pandas as pd

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import official_folder
from iqa_datasets.liqe import attach_labels
from iqa_datasets.loaders import (
    Loader,
    bid,
    cidiq,
    csiq,
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
    spaq,
    tid2008,
    tid2013,
    vcl_fer,
    waterloo_exploration,
)
from iqa_datasets.records import IQADataset
from iqa_datasets.sessions import OFFICIAL, SeededSession, content_groups, parse_session, seeded_parts
from iqa_datasets.vocabulary import PARTS, suggestion

_LOADERS: Final[dict[str, Loader]] = {
    loader.card.name: loader
    for loader in (
        bid.LOADER,
        cidiq.LOADER_50,
        cidiq.LOADER_100,
        csiq.LOADER,
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
        spaq.LOADER,
        tid2008.LOADER,
        tid2013.LOADER,
        vcl_fer.LOADER,
        waterloo_exploration.LOADER,
    )
}


def available() -> list[str]:
    """Return the ids of all data sets that `load` reads, sorted.

    Example:
        >>> "live-challenge" in available()
        True
    """
    return sorted(_LOADERS)


def info(name: str) -> DatasetCard:
    """Return the card of a data set: what it is, its scale, its licence, and which files belong to it.

    Args:
        name: an id of `available`.

    Raises:
        DatasetError: there is no such data set.

    Example:
        >>> str(info("live-challenge").scale)
        '0 to 100, higher = better'
    """
    return loader_of(name).card


def load(
    name: str,
    root: str | os.PathLike[str],
    *,
    session: int | str | SeededSession | None = None,
    part: str | None = None,
    labels: str | os.PathLike[str] | None = None,
) -> IQADataset:
    """Read a data set's official folder into one table.

    Only label files are read; of the images no more than their names. Rows stand in the data set's official order,
    also within a part (LIQE's label files are shuffled, which carries no meaning).

    Args:
        name: an id of `available`.
        root: the official folder, laid out as its authors distribute it (`DatasetCard.files`).
        session: a split, which fills ``session_part``: 1 to 10, LIQE's (they need labels); ``"official"``, where the
            authors publish one (`DatasetCard.official_session`); or our own, ``"seeded-1"`` or a `SeededSession`,
            disjoint by content and near-duplicates. The first time, that decodes every reference (every image, where
            there are no references) for its perceptual hash; the hashes are kept in the user's cache folder.
        part: ``"train"``, ``"val"`` or ``"test"``: only the rows of this part. Needs a session.
        labels: the folder of LIQE's label files (it holds ``IQA_Database/``). Fills ``scenes``, ``distortion`` and
            ``distortion_name``; without a session, all sessions there are read and must agree.

    Raises:
        DatasetError: an argument is wrong, or a file does not hold what is documented; the message names it.
        FileNotFoundError: a folder, label file or image is missing.

    Example:
        >>> import tempfile
        >>> from iqa_datasets.testing import make_fake
        >>> fake = make_fake("live-challenge", tempfile.mkdtemp())
        >>> load("live-challenge", fake.root, labels=fake.labels, session=1, part="test")
        IQADataset('live-challenge', 5 images, session 1: 5 test)
    """
    loader = loader_of(name)
    chosen = _chosen(session, part)
    if isinstance(chosen, int) and labels is None:
        raise DatasetError(
            f"session={chosen} needs LIQE's label files: give their folder as labels=FOLDER, or take our own split, "
            f"session='seeded-{chosen}'"
        )
    if labels is not None and loader.liqe is None:
        raise DatasetError(f"LIQE has no label files for {name!r}; load it without labels")
    root_folder = official_folder(root, loader.card)
    card = loader.card if loader.card_of is None else loader.card_of(root_folder)
    _check_official(chosen, card)
    records = loader.read(root_folder)
    if labels is not None and loader.liqe is not None:
        if chosen != OFFICIAL:
            records["session_part"] = pd.Series(pd.NA, records.index, dtype=records["session_part"].dtype)
        records = attach_labels(records, labels, loader.liqe, chosen if isinstance(chosen, int) else None)
    return _parted(card, root_folder, records, chosen, part)


def load_folder(
    root: str | os.PathLike[str],
    declaration: folder.FolderDeclaration,
    *,
    session: str | SeededSession | None = None,
    part: str | None = None,
) -> IQADataset:
    """Read a folder of one's own that is declared here, not in a file ``iqa-dataset.toml`` in it.

    Args:
        root: the folder.
        declaration: which table and columns hold what.
        session: as for `load`; ``"official"`` is the column of parts.
        part: as for `load`.

    Raises:
        DatasetError: an argument is wrong, or the table does not hold what is declared; the message names the row.
        FileNotFoundError: the folder, the table or an image is missing.

    Example:
        >>> import tempfile
        >>> from iqa_datasets import FolderDeclaration, QualityScale
        >>> from iqa_datasets.testing import make_fake
        >>> declaration = FolderDeclaration(
        ...     labels="labels.csv", image="file", images="photos", score="mos", scale=QualityScale(1, 5)
        ... )
        >>> load_folder(make_fake("folder", tempfile.mkdtemp()).root, declaration)
        IQADataset('folder', 24 images)
    """
    chosen = _chosen(session, part)
    if isinstance(chosen, int):
        raise DatasetError(f"LIQE has no label files for a folder of one's own; take session='seeded-{chosen}'")
    root_folder = folder.existing(root)
    card = folder.card_from(declaration)
    _check_official(chosen, card)
    return _parted(card, root_folder, folder.read_declared(root_folder, declaration), chosen, part)


def _chosen(session: int | str | SeededSession | None, part: str | None) -> int | str | SeededSession | None:
    if part is not None and part not in PARTS:
        raise DatasetError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    if part is not None and session is None:
        raise DatasetError(f"part={part!r} needs a session: give session=1 to 10 with labels=FOLDER, or 'seeded-1'")
    return None if session is None else parse_session(session)


def _check_official(chosen: int | str | SeededSession | None, card: DatasetCard) -> None:
    if chosen == OFFICIAL and not card.official_session:
        raise DatasetError(f"the authors of {card.name!r} publish no split; take session='seeded-1'")


def _parted(
    card: DatasetCard, root: Path, records: pd.DataFrame, chosen: int | str | SeededSession | None, part: str | None
) -> IQADataset:
    """Fill in the parts of a session where labels have not, and select one."""
    dtype = records["session_part"].dtype
    if chosen == OFFICIAL and records["session_part"].isna().all():
        notes = " ".join(note for note in card.notes if "split" in note)
        raise FileNotFoundError(f"{root} lacks the file with the authors' split of {card.name!r}; {notes}".rstrip())
    if isinstance(chosen, SeededSession):
        group = records["content"].map(content_groups(records, root)).tolist()
        records["session_part"] = pd.Series(seeded_parts(group, chosen), records.index, dtype=dtype)
    elif chosen is None:
        records["session_part"] = pd.Series(pd.NA, records.index, dtype=dtype)
    dataset = IQADataset(card, root, records, str(chosen) if isinstance(chosen, SeededSession) else chosen)
    return dataset if part is None else dataset.part(part)


def loader_of(name: str) -> Loader:
    """Return how a data set is read, or raise `DatasetError` if there is no such data set."""
    try:
        return _LOADERS[name]
    except (KeyError, TypeError):
        raise DatasetError(f"unknown data set {name!r}{suggestion(name, _LOADERS)}") from None
