"""LIVE Multiply Distorted: 15 references, blurred and then compressed by JPEG (part 1) or noisy (part 2)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.matlab import read_finite, read_matrix, read_strings
from iqa_datasets.records import make_records

CARD: Final = DatasetCard(
    name="live-md",
    title="LIVE Multiply Distorted Image Quality Database",
    year=2012,
    size=450,
    kind="synthetic",
    scale=QualityScale(0, 100, higher_is_better=False),
    subjects=37,
    licence=(
        "Use, copying, modification and distribution are free for any purpose, provided that the copyright notice of "
        "the University of Texas at Austin is kept whole in all copies and publications acknowledge the source."
    ),
    citation=(
        "D. Jayaraman, A. Mittal, A. K. Moorthy, A. C. Bovik, Objective Quality Assessment of Multiply Distorted "
        "Images, Asilomar Conference on Signals, Systems and Computers, 2012"
    ),
    home_page="https://live.ece.utexas.edu/research/Quality/live_multidistortedimage.html",
    folder="To_Release",
    files=(
        "Part*1/Imagelists.mat",
        "Part*1/Scores.mat",
        "Part*1/blurjpeg/*.bmp",
        "Part*2/Imagelists.mat",
        "Part*2/Scores.mat",
        "Part*2/blurnoise/*.bmp",
    ),
    references=15,
    distortion_types=3,
    image_sizes=((1280, 720),),
    notes=(
        "The scores are DMOS, lower = better: 0 is as good as the reference.",
        "Each part was rated by other people, 19 and 18, in its own session.",
        (
            "Images with one distortion have its class and its level, 1 to 3; those with two are of the class others, "
            "without a level."
        ),
        (
            "The 45 images that are only blurred lie in both parts, with scores of their own in each: 450 scores of 405"
            " pictures."
        ),
        "Both parts hold the references; reference_path leads to those of part 1.",
        "The parts' folders are called Part 1 and Part 2 in the archive; Part1 and Part_1 are also read.",
        "mos_std and ratings are those of dist_diffscores in Scores.mat (people × images), where its mean is the DMOS.",
    ),
)

# Folder of the part -> folder of its images in it.
PARTS: Final = {"Part 1": "blurjpeg", "Part 2": "blurnoise"}
CLASSES: Final = {"blur": "blur", "jpeg": "JPEG compression", "noise": "noise"}
_NAME: Final = re.compile(r"([a-z0-9]+)(?:_(blur)(\d))?(?:_(jpeg|noise)(\d))?\.bmp", re.IGNORECASE)


def _label_file(root: Path, part: str, name: str) -> Path:
    return find_file(root, *(f"{folder}/{name}" for folder in (part, part.replace(" ", ""), part.replace(" ", "_"))))


def _deviations(source: Path, mos: NDArray[np.float64]) -> tuple[NDArray[np.float64], Sequence[object]]:
    """Return the standard deviations and numbers of the ratings behind the scores; NaN and NA where not published."""
    differences = read_matrix(source, "dist_diffscores")
    # People who were rejected could be in the matrix, but not in the scores.
    if (
        differences is not None
        and differences.shape[0] > 1
        and differences.shape[1] == len(mos)
        and np.allclose(differences.mean(axis=0), mos, rtol=0, atol=1e-3)
    ):
        return differences.std(axis=0, ddof=1), [differences.shape[0]] * len(mos)
    return np.full(len(mos), np.nan), [pd.NA] * len(mos)


def _read(root: Path) -> Reading:
    files: list[str] = []
    references: list[str] = []
    also_there: list[str] = []
    names: list[str] = []
    levels: list[object] = []
    ratings: list[object] = []
    scores, deviations = [], []
    for part, folder in PARTS.items():
        lists, source = _label_file(root, part, "Imagelists.mat"), _label_file(root, part, "Scores.mat")
        distorted, originals = read_strings(lists, "distimgs"), read_strings(lists, "refimgs")
        mos = read_finite(source, "DMOSscores")
        if len(mos) != len(distorted):
            raise DatasetError(
                f"{source} has {len(mos)} entries, but {lists} has {len(distorted)}; they are joined by position"
            )
        std, people = _deviations(source, mos)
        scores.append(mos)
        deviations.append(std)
        ratings += people
        inside = f"{lists.parent.name}/{folder}"
        original_of = {name.lower().removesuffix(".bmp"): name for name in originals}
        first = files[0].rpartition("/")[0] if files else inside
        also_there += [f"{inside}/{name}" for name in originals]
        for row, image in enumerate(distorted):
            found = _NAME.fullmatch(image)
            if found is None or found[1].lower() not in original_of or not (found[2] or found[4]):
                raise DatasetError(
                    f"{lists}: entry {row + 1} of distimgs, {image!r}, must be REFERENCE_blurB_jpegJ.bmp or "
                    "REFERENCE_blurB_noiseN.bmp with one of refimgs, one of the two distortions may be left out"
                )
            applied = [kind.lower() for kind in (found[2], found[4]) if kind]
            names.append(" + ".join(applied))
            levels.append(int(found[3] or found[5]) if len(applied) == 1 else pd.NA)
            files.append(f"{inside}/{image}")
            references.append(f"{first}/{original_of[found[1].lower()]}")
    source = _label_file(root, "Part 1", "Scores.mat")
    images = resolve_images(root, [*files, *references, *also_there], source)
    records = make_records(
        files,
        images.paths[: len(files)],
        CARD.scale,
        source,
        reference_path=images.paths[len(files) : 2 * len(files)],
        mos=np.concatenate(scores),
        mos_std=np.concatenate(deviations),
        ratings=ratings,
        distortion=[CLASSES.get(name, "others") for name in names],
        distortion_name=names,
        level=levels,
        content=[reference.rpartition("/")[2] for reference in references],
    )
    return Reading(records, images)


LOADER: Final = Loader(CARD, _read)
