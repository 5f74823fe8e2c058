"""PIQ23: portraits by more than a hundred telephones, compared in pairs within each scene, for three attributes."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.folders import find_file, resolve_images
from iqa_datasets.loaders import Loader, Reading
from iqa_datasets.records import make_records
from iqa_datasets.tables import read_text
from iqa_datasets.vocabulary import part_of

SCENE_SPLIT: Final = "Scene Split.csv"
DEVICE_SPLIT: Final = "Device Split.csv"

CARD_OVERALL: Final = DatasetCard(
    name="piq23-overall",
    title="PIQ23: An Image Quality Assessment Dataset for Portraits, overall quality",
    year=2023,
    size=5116,
    kind="authentic",
    scale=QualityScale(-10, 10),
    subjects=30,
    licence=(
        "For non-commercial research only, upon a form; not to be reproduced, passed on or exploited commercially, "
        "and images are to be removed when the authors ask for it."
    ),
    citation=(
        "N. Chahine, S. Calarasanu, D. Garcia-Civiero, T. Cayla, S. Ferradans and J. Ponce, An Image Quality "
        "Assessment Dataset for Portraits, IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR), 2023"
    ),
    home_page="https://github.com/DXOMARK-Research/PIQ2023",
    folder="PIQ23",
    files=("Scores_Overall.csv", f"Test split/{SCENE_SPLIT}", f"Test split/{DEVICE_SPLIT}", "Overall/*.*"),
    official_session=True,
    columns=(
        ("scene", "the scene, which all images of one content show"),
        ("condition", "the light: Outdoor, Indoor, Lowlight or Night"),
        ("comparisons", "number of comparisons that the image took part in"),
        ("device_part", "part in the split by devices: train or test; missing without its file"),
    ),
    notes=(
        (
            "The layout is that of the README and the label files of the authors' repository DXOMARK-Research/PIQ2023: "
            "folders Details, Exposure and Overall, and a table for each, which may also lie in Scores/."
        ),
        (
            "The score is the column JOD, just objectionable differences from comparisons within each scene: those of "
            "different scenes are not comparable. They have no bounds; -10 to 10 is ours, so that quality lies in the "
            "middle of [1, 5]."
        ),
        "mos_std is the column JOD STD, of the score and not of single ratings.",
        (
            f"The official session is the split by scenes, {SCENE_SPLIT}, which keeps contents together; the one by "
            "devices is the column device_part. Both have no validation part, and lie in Test split/ or beside the "
            "tables."
        ),
        "piq23-overall, piq23-details and piq23-exposure are regions of the same photographs in one folder.",
    ),
)


def _card(attribute: str, title: str) -> DatasetCard:
    return replace(
        CARD_OVERALL,
        name=f"piq23-{attribute.lower()}",
        title=f"PIQ23: An Image Quality Assessment Dataset for Portraits, {title}",
        files=(f"Scores_{attribute}.csv", *CARD_OVERALL.files[1:3], f"{attribute}/*.*"),
    )


CARD_DETAILS: Final = _card("Details", "preservation of details of the face")
CARD_EXPOSURE: Final = _card("Exposure", "exposure of the face")


def _read(root: Path, attribute: str) -> Reading:
    source = find_file(root, f"Scores_{attribute}.csv", f"Scores/Scores_{attribute}.csv")
    table = read_text(source)
    files = [path.replace("\\", "/") for path in table.texts("IMAGE PATH")]
    for row, file in enumerate(files):
        if file.split("/")[0].casefold() != attribute.casefold() or file.count("/") != 1:
            raise DatasetError(f"{table.where(row)}: IMAGE PATH must be in {attribute}\\, got {file!r}")
    scenes = table.texts("SCENE")
    by_scene = _split(root, SCENE_SPLIT, "SCENE")
    by_device = _split(root, DEVICE_SPLIT, None)
    images = resolve_images(root, files, source)
    records = make_records(
        files,
        images.paths,
        CARD_OVERALL.scale,
        source,
        more={
            "scene": scenes,
            "condition": table.texts("CONDITION"),
            "comparisons": table.numbers("TOTAL COMPARISONS"),
            "device_part": [by_device.get(file.split("/")[1]) for file in files],
        },
        mos=table.numbers("JOD"),
        mos_std=table.numbers("JOD STD"),
        content=scenes,
        session_part=[by_scene.get(scene) for scene in scenes],
    )
    return Reading(records, images)


def _split(root: Path, name: str, key: str | None) -> dict[str, str]:
    """Return the part of each scene or image; none without the file."""
    try:
        table = read_text(find_file(root, f"Test split/{name}", name))
    except FileNotFoundError:
        return {}
    keys = table.texts(key or next(iter(table.columns)))
    words = table.texts(table.first_of("SPLIT", list(table.columns)[1]))
    return {
        one: part_of(word, table.where(row), "SPLIT") for row, (one, word) in enumerate(zip(keys, words, strict=True))
    }


LOADER_OVERALL: Final = Loader(CARD_OVERALL, partial(_read, attribute="Overall"), also=("Scores",))
LOADER_DETAILS: Final = Loader(CARD_DETAILS, partial(_read, attribute="Details"), also=("Scores",))
LOADER_EXPOSURE: Final = Loader(CARD_EXPOSURE, partial(_read, attribute="Exposure"), also=("Scores",))
