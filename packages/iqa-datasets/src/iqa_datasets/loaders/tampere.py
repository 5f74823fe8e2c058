"""What TID2008 and TID2013 share: the types of distortion, the label files and the names of the pictures."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iqa_datasets.cards import DatasetCard
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, find_labels, resolve_images
from iqa_datasets.loaders import Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import LabelTable, read_text


class TampereType(NamedTuple):
    """A type of distortion: its name as published, and its class of `DISTORTIONS`."""

    name: str
    distortion: str


TYPES: Final = (
    TampereType("Additive Gaussian noise", "noise"),
    TampereType("Additive noise in color components", "noise"),
    TampereType("Spatially correlated noise", "noise"),
    TampereType("Masked noise", "noise"),
    TampereType("High frequency noise", "noise"),
    TampereType("Impulse noise", "noise"),
    TampereType("Quantization noise", "quantization"),
    TampereType("Gaussian blur", "blur"),
    TampereType("Image denoising", "noise"),
    TampereType("JPEG compression", "JPEG compression"),
    TampereType("JPEG2000 compression", "JPEG2000 compression"),
    TampereType("JPEG transmission errors", "JPEG compression"),
    TampereType("JPEG2000 transmission errors", "JPEG2000 compression"),
    TampereType("Non eccentricity pattern noise", "spatially-localized"),
    TampereType("Local block-wise distortions of different intensity", "spatially-localized"),
    TampereType("Mean shift (intensity shift)", "others"),
    TampereType("Contrast change", "contrast"),
    TampereType("Change of color saturation", "color-related"),
    TampereType("Multiplicative Gaussian noise", "noise"),
    TampereType("Comfort noise", "noise"),
    TampereType("Lossy compression of noisy images", "others"),
    TampereType("Image color quantization with dither", "quantization"),
    TampereType("Chromatic aberrations", "color-related"),
    TampereType("Sparse sampling and reconstruction", "others"),
)
"""Types 1 to 24 of TID2013; the first 17 are TID2008's."""

_NAME: Final = re.compile(r"i(\d\d)_(\d\d)_(\d)\.bmp", re.IGNORECASE)


class _Labels(NamedTuple):
    table: LabelTable
    name: str
    score: str
    deviations: NDArray[np.float64]


def _read_labels(root: Path, pyiqa: str) -> _Labels:
    """Read the official label files, else mos.csv, as a re-upload on Kaggle has it, else pyiqa's table."""
    source = find_labels(root, "mos_with_names.txt", "mos.csv", pyiqa=pyiqa)
    if source.suffix.lower() == ".csv":
        table = read_text(source)
        name, score = table.first_of("image_id", "dist_name"), table.first_of("mean", "mos")
        spread = table.first_of("std")
        known = table.numbers(spread) if table.has(spread) else np.full(len(table), np.nan)
        return _Labels(table, name, score, known)
    table = read_text(source, separator=None, columns=("MOS", "name"))
    deviations = read_text(find_file(root, "mos_std.txt"), separator=None, columns=("standard deviation",))
    if len(deviations) != len(table):
        raise DatasetError(
            f"{deviations.path} has {len(deviations)} entries, but {source.name} has {len(table)}; they are joined by "
            "position"
        )
    return _Labels(table, "name", "MOS", deviations.numbers("standard deviation"))


def read_tampere(root: Path, card: DatasetCard, types: Sequence[TampereType], *, levels: int, pyiqa: str) -> Reading:
    """Read the official folder of TID2008 or TID2013.

    Args:
        root: the official folder.
        card: the data set's card, for its scale.
        types: its types of distortion, the first numbered 1.
        levels: its number of levels.
        pyiqa: what the package pyiqa calls it.

    Raises:
        FileNotFoundError: a file is missing.
        DatasetError: a file does not hold what is documented.
    """
    labels = _read_labels(root, pyiqa)
    table, source = labels.table, labels.table.path
    files, references, chosen, steps = [], [], [], []
    for row, name in enumerate(table.texts(labels.name)):
        found = _NAME.fullmatch(name)
        if found is None or not (1 <= int(found[2]) <= len(types) and 1 <= int(found[3]) <= levels):
            raise DatasetError(
                f"{table.where(row)}: a picture must be named like i01_{len(types)}_{levels}.bmp, got {name!r}"
            )
        # The label file's own case of letters has no meaning, and the files have another.
        files.append(f"distorted_images/i{found[1]}_{found[2]}_{found[3]}.bmp")
        references.append(f"reference_images/I{found[1]}.BMP")
        chosen.append(types[int(found[2]) - 1])
        steps.append(int(found[3]))
    images = resolve_images(root, [*files, *references], source)
    records = make_records(
        files,
        images.paths[: len(files)],
        card.scale,
        source,
        mos=table.numbers(labels.score),
        mos_std=labels.deviations,
        reference_path=images.paths[len(files) :],
        distortion=[kind.distortion for kind in chosen],
        distortion_name=[kind.name for kind in chosen],
        level=steps,
        content=references,
    )
    return Reading(records, images)
