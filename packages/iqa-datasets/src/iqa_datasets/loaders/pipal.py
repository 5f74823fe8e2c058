"""PIPAL, Perceptual Image Processing ALgorithms: results of image restoration, rated by Elo (the training part)."""

import re
from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_labels, folders_there, list_files, list_images, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import LabelTable, read_text

CARD: Final = DatasetCard(
    name="pipal",
    title="PIPAL: Perceptual Image Processing ALgorithms, training part",
    year=2020,
    size=23200,
    kind="synthetic",
    scale=QualityScale(900, 1850),
    subjects=None,
    licence="Not stated with the files; see the home page.",
    citation=(
        "J. Gu, H. Cai, H. Chen, X. Ye, J. S. Ren and C. Dong, PIPAL: a Large-Scale Image Quality Assessment Dataset "
        "for Perceptual Image Restoration, European Conference on Computer Vision (ECCV), 2020"
    ),
    home_page="https://www.jasongt.com/projectpages/pipal.html",
    folder="PIPAL",
    files=(
        "Train_Label/A*.txt",
        "Train_Ref/A*.bmp",
        "Distortion_1/A*.bmp",
        "Distortion_2/A*.bmp",
        "Distortion_3/A*.bmp",
        "Distortion_4/A*.bmp",
    ),
    references=200,
    distortion_types=40,
    image_sizes=((288, 288),),
    notes=(
        (
            "Without Train_Label/, the labels are read from meta_info_PIPALDataset.csv of the package pyiqa, in the "
            "folder or in meta_info/ there or beside it."
        ),
        (
            "Scores are Elo ratings, higher = better. No range is documented; those of the training part run from "
            "916.7 to 1836.0, and the scale here is 900 to 1850."
        ),
        (
            "Only the training part is read: 200 references with 116 pictures each. Scores of the validation and test "
            "parts were kept back for challenges."
        ),
        (
            "Pictures are named A0001_GG_NN.bmp. distortion_name is the group GG, 00 to 06, of the 40 types; label "
            "files do not name the types, and groups mix them, so the class is others throughout. NN is no level."
        ),
        "The pictures may also lie together in one folder, Train_Dist, Train_Distort or Dist_Imgs.",
        "Results of restoration by generative networks can be shifted a little against the reference.",
    ),
)

_FOLDERS: Final = ("Distortion_1", "Distortion_2", "Distortion_3", "Distortion_4")
_TOGETHER: Final = ("Train_Dist", "Train_Distort", "Dist_Imgs")
_LABELS: Final = "Train_Label"
_REFERENCE: Final = re.compile(r"A\d{4}\.\w+", re.IGNORECASE)
_NAME: Final = re.compile(r"(A\d{4})_(0[0-6])_\d\d\.bmp", re.IGNORECASE)


def _read_official(root: Path) -> tuple[Path, list[str], list[float]]:
    """Return the folder of the label files, and the name and score of each image in their order."""
    label_files = list_files(root, _LABELS, ".txt")
    if not label_files:
        raise FileNotFoundError(f"{root / _LABELS} holds no A*.txt; unpack Train_Label of the data set there")
    labelled = {path.stem.casefold() for path in label_files}
    for name in list_images(root, "Train_Ref"):
        if _REFERENCE.fullmatch(name) and _stem(name) not in labelled:
            raise FileNotFoundError(
                f"{root / _LABELS} lacks {name[:5]}.txt, the label file of Train_Ref/{name}; unpack the data set again"
            )
    names: list[str] = []
    scores: list[float] = []
    for path in label_files:
        table = read_text(path, columns=("image", "Elo score"))
        _check_names(table, "image", path.stem)
        names += table.texts("image")
        scores += table.numbers("Elo score").tolist()
    return label_files[0].parent, names, scores


def _check_names(table: LabelTable, column: str, reference: str | None) -> None:
    for row, name in enumerate(table.texts(column)):
        found = _NAME.fullmatch(name)
        if found is None or (reference is not None and found[1].casefold() != reference.casefold()):
            raise DatasetError(
                f"{table.where(row)}: a picture must be named like {reference or 'A0001'}_06_00.bmp, got {name!r}"
            )


def _read(root: Path) -> Reading:
    if list_files(root, _LABELS, ".txt"):
        source, names, scores = _read_official(root)
    else:
        try:
            source = find_labels(root, f"{_LABELS}/A0001.txt", pyiqa="PIPAL")
        except FileNotFoundError:
            source, names, scores = _read_official(root)  # it says what is missing
        else:
            table = read_text(source)
            _check_names(table, "dist_name", None)
            names, scores = table.texts("dist_name"), table.numbers("elo_score").tolist()
    groups = [name.split("_")[1] for name in names]
    references = [f"Train_Ref/{name.split('_')[0]}.bmp" for name in names]
    # Which picture lies in which folder is not part of the labels.
    folders = folders_there(root, *_FOLDERS, *_TOGETHER) or _FOLDERS[:1]
    folder_of = {_stem(name): folder for folder in reversed(folders) for name in list_images(root, folder)}
    files = [f"{folder_of.get(_stem(name), folders[0])}/{name}" for name in names]
    images = resolve_images(root, [*files, *references], source)
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        source,
        mos=scores,
        reference_path=images.paths[len(files) :],
        distortion=["others"] * len(files),
        distortion_name=groups,
        content=references,
    )
    return Reading(records, images)


def _stem(name: str) -> str:
    return name.casefold().rpartition(".")[0]


LOADER: Final = Loader(CARD, _read)
