"""The functions that everything goes through: `available`, `info`, `load` and `load_folder`."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import pandas as pd

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import official_folder
from iqa_datasets.liqe import attach_labels
from iqa_datasets.loader_registry import loader_names, loader_of, read_dataset
from iqa_datasets.loaders import Reading, folder
from iqa_datasets.records import IQADataset
from iqa_datasets.sessions import OFFICIAL, SeededSession, content_groups, parse_session, seeded_parts
from iqa_datasets.vocabulary import PART_OF_WORD, PARTS


def available() -> list[str]:
    """Return the ids of all data sets that `load` reads, sorted.

    They are those of this package, of `register_loader`, and of installed plug-ins.

    Example:
        >>> "live-challenge" in available()
        True
    """
    return loader_names()


def info(name: str) -> DatasetCard:
    """Return the card of a data set: what it is, its scale, its licence, and which files belong to it.

    Args:
        name: an id of `available`.

    Raises:
        DatasetError: there is no such data set, or the plug-in that brings it does not work.

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
    alias: str | None = None,
) -> IQADataset:
    """Read a data set's official folder into one table.

    Only label files are read; of the images no more than their names. Rows stand in the data set's official order,
    also within a part (LIQE's label files are shuffled, which carries no meaning). Images without a label are left out,
    with a warning.

    Args:
        name: an id of `available`.
        root: the official folder, laid out as its authors distribute it (`DatasetCard.files`).
        session: a split, which fills ``session_part``: 1 to 10, LIQE's (they need labels); ``"official"``, where the
            authors publish one (`DatasetCard.official_session`); or our own, ``"seeded-1"`` or a `SeededSession`,
            disjoint by content and near-duplicates. The first time, that decodes every reference (every image, where
            there are no references) for its perceptual hash; the hashes are kept in the user's cache folder.
        part: ``"train"``, ``"val"`` or ``"test"``: only the rows of this part. Needs a session.
        labels: the folder of LIQE's label files (it holds ``IQA_Database/``). Fills ``scenes``, ``distortion`` and
            ``distortion_name``; without a session, all sessions there are read and must agree. Only for the data sets
            that they cover (`DatasetCard.liqe_labels`); without them, what is not known of scenes and distortions is
            missing.
        alias: what the data set is to be called, where one id stands for several, as with folders of one's own;
            its id if None.

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
        way = "give their folder as labels=FOLDER, or" if loader.liqe else f"which do not cover {name!r};"
        raise DatasetError(
            f"session={chosen} needs LIQE's label files: {way} take our own split, session='seeded-{chosen}'"
        )
    if labels is not None and loader.liqe is None:
        raise DatasetError(f"LIQE has no label files for {name!r}; load it without labels")
    root_folder = official_folder(root, loader.card, loader.also)
    card, reading = read_dataset(loader, root_folder)
    _check_official(chosen, card)
    records = _complete(reading, loader.incomplete)
    if labels is not None and loader.liqe is not None:
        if chosen != OFFICIAL:
            records["session_part"] = pd.Series(pd.NA, records.index, dtype=records["session_part"].dtype)
        records = attach_labels(records, labels, loader.liqe, chosen if isinstance(chosen, int) else None)
    return _parted(_called(card, alias), root_folder, records, chosen, part)


def load_folder(
    root: str | os.PathLike[str],
    declaration: folder.FolderDeclaration,
    *,
    table: str | os.PathLike[str] | None = None,
    session: str | SeededSession | None = None,
    part: str | None = None,
    alias: str | None = None,
) -> IQADataset:
    """Read a folder of one's own that is declared here, not in a file ``iqa-dataset.toml`` in it.

    Args:
        root: the folder.
        declaration: which table and columns hold what.
        table: the table of labels, where it lies elsewhere than in the folder: `FolderDeclaration.labels` is then only
            its name.
        session: as for `load`; ``"official"`` is the column of parts.
        part: as for `load`.
        alias: as for `load`; ``"folder"`` if None.

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
    elsewhere = None if table is None else Path(os.path.abspath(Path(table).expanduser()))  # noqa: PTH100 - links stay
    records = _complete(folder.read_declared(root_folder, declaration, elsewhere), incomplete=False)
    return _parted(_called(card, alias), root_folder, records, chosen, part)


def _complete(reading: Reading, incomplete: bool) -> pd.DataFrame:
    """Return the rows whose images are all there, with a warning about images that the labels do not name.

    Unless the data set may be incomplete, all must be there.
    """
    records, images = reading
    missing = {fault.path for fault in images.of_kind("missing")} if incomplete else set()
    if missing:
        there = ~records["image_path"].isin(missing)
        if not there.any():
            images.require_all()
        warnings.warn(
            f"{len(missing)} of the {images.names} images in {images.source} are not there and are left out; "
            "`iqa-datasets verify` lists them",
            stacklevel=3,
        )
        records = records[there]
    else:
        images.require_all()
    if strays := images.describe_strays():
        warnings.warn(f"{strays}; `iqa-datasets verify` lists them all", stacklevel=3)
    return records


def _called(card: DatasetCard, alias: str | None) -> DatasetCard:
    if alias is None:
        return card
    if not isinstance(alias, str) or not alias.strip():
        raise DatasetError(f"alias must be a name, got {alias!r}")
    return replace(card, name=alias)


def _chosen(session: int | str | SeededSession | None, part: str | None) -> int | str | SeededSession | None:
    if part is not None and part not in PARTS:
        hint = f"; did you mean {PART_OF_WORD[part.lower()]!r}?" if str(part).lower() in PART_OF_WORD else ""
        raise DatasetError(f"part must be one of {', '.join(PARTS)}, got {part!r}{hint}")
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
