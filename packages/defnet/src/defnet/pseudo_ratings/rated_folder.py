"""The recipe: photographs in, a data set of distorted pieces with fused ratings out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, Final

import pandas as pd

from defnet.errors import ConfigError, DataError
from defnet.pseudo_ratings.fused_scores import MADE, METRICS, SCORES, Track, fuse, fusion_of, measure
from defnet.pseudo_ratings.photographs import Refused, choose_photographs, cut_pieces
from iqa_datasets import DatasetError, synthesize
from iqa_datasets.atomic_files import locked, replacing
from iqa_datasets.loaders.folder import DECLARATION
from iqa_datasets.synthesis import distortions_table

SETTINGS: Final = "pseudo-ratings.json"
RATINGS: Final = "ratings.csv"
_PIECES: Final = "pieces"


@dataclass(frozen=True)
class PseudoRatings:
    """What `pseudo_rate` made.

    Attributes:
        folder: the data set; `iqa_datasets.load("folder", folder)` reads it.
        records: one row an image, as `ratings.csv` has them.
        refused: photographs that were not used, and why.
        problems: images without a rating, and why.
        weights: each metric's weight in the fusion.
    """

    folder: Path
    records: pd.DataFrame
    refused: tuple[Refused, ...]
    problems: tuple[tuple[str, str], ...]
    weights: dict[str, float]


def pseudo_rate(
    photographs: str | PathLike[str],
    out: str | PathLike[str],
    *,
    metrics: Sequence[str] = METRICS,
    method: str = "robust",
    size: tuple[int, int] = (512, 384),
    pieces: int = 1,
    per_piece: int = 36,
    seed: int = 0,
    workers: int | None = None,
    device: str | None = None,
    track: Track = lambda items, _total, _what: items,
) -> PseudoRatings:
    """Make a data set with ratings from photographs that nobody has rated.

    Of each photograph pieces are cut, each piece is distorted in some of 150 ways (`iqa_datasets.synthesize`), each
    distorted piece is measured against the piece by full-reference metrics, and the metrics are fused to one rating in
    [0, 1] with its standard deviation (`map_score_fusion.ScoreFusion`). The pieces themselves are rated likewise, by
    what the metrics say of an image that equals its reference. Distortions that leave a piece as it is are left out.

    In `out` are made `ratings.csv`, one row an image with its reference, class of distortion, level, severity, every
    metric's score, the rating and its deviation; `iqa-dataset.toml`, with which `load("folder", out)` reads it;
    `pseudo-ratings.json`, the settings, versions, weights and what was refused; and the images in `distorted/`. Called
    again it makes what is missing, and may be given more pieces, more distortions or more photographs; all ratings are
    computed anew then, as they are ranks.

    The deviation is how far the metrics disagree. What they have in common, their bias against people, it cannot know.

    Args:
        photographs: a folder of good photographs; folders in it are searched.
        out: where to write.
        metrics: names of `map_score_fusion.IMAGE_METRICS` that compare with a reference.
        method: of the fusion, one of `map_score_fusion.METHODS`.
        size: width and height of the pieces; the distortions' settings are meant for 512 × 384.
        pieces: number of pieces of each photograph.
        per_piece: number of distorted images of each piece.
        seed: another seed gives other pieces, distortions and noise.
        workers: processes; all cores if None.
        device: where metrics are computed; the CPU if None.
        track: shows how far it is, given what is being done, its number and its name.

    Raises:
        ConfigError: an argument is wrong, or `out` was made with others, or an extra is missing.
        DataError: there is no photograph that is good enough, or nothing could be rated.
    """
    fusion = fusion_of(method, seed)
    if pieces < 1 or per_piece < 1:
        raise ConfigError(f"pieces and per_piece must be 1 or more, got {pieces} and {per_piece}")
    if len(size) != 2 or min(size) < 64:
        raise ConfigError(f"size must be (width, height) of at least 64 pixels each, got {size}")
    out = Path(out).expanduser()
    chosen = choose_photographs(photographs, size, workers=workers)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / SETTINGS):
        _claim(out, {"metrics": list(metrics), "method": method, "size": list(size), "seed": seed})
        cut = cut_pieces(chosen, out / _PIECES, size=size, pieces=pieces, seed=seed)
        for _ in track(cut, len(chosen.chosen), "cutting"):
            pass
        made = _distorted(out, per_piece, seed, workers, track)
        scores, problems = measure(out / MADE, made, metrics, out / SCORES, workers=workers, device=device, track=track)
        table = made.merge(scores, on="image", how="inner", validate="one_to_one")
        if len(table) < 2:
            raise DataError(f"{out}: nothing could be rated; {problems[0][1] if problems else 'no image was made'}")
        table["rating"], table["rating_std"] = fuse(fusion, table[list(metrics)])
        weights = {str(name): float(weight) for name, weight in fusion.metric_summary_["weight"].items()}
        _write(out, table, weights, chosen.refused, problems)
    return PseudoRatings(out, table, chosen.refused, problems, weights)


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Hold a folder that is gone on with to the settings that it was made with."""
    file = out / SETTINGS
    if not file.is_file():
        others = [path.name for path in out.iterdir() if not path.name.startswith(".")]
        if others:
            raise ConfigError(f"{out}: is not empty and was not made by pseudo-rate ({SETTINGS} is missing)")
        with replacing(file) as part:
            part.write_text(json.dumps({"settings": settings}, indent=2) + "\n", encoding="utf-8")
        return
    try:
        theirs = json.loads(file.read_text(encoding="utf-8"))["settings"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{file}: is damaged ({error}); give another folder") from error
    differing = [
        f"{key} was {theirs.get(key)!r} and is {value!r}" for key, value in settings.items() if theirs.get(key) != value
    ]
    if differing:
        raise ConfigError(f"{out}: was made with other settings: {'; '.join(differing)}; give another folder")


def _distorted(out: Path, per_piece: int, seed: int, workers: int | None, track: Track) -> pd.DataFrame:
    """The distorted images and the pieces themselves, one row each."""
    try:
        made = synthesize(
            out / _PIECES,
            out / MADE,
            per_photograph=per_piece,
            unchanged=False,
            seed=seed,
            workers=workers,
            progress=lambda items, total: track(items, total, "distorting"),
        )
    except (DatasetError, ImportError) as error:
        raise ConfigError(str(error)) from error
    records = made.records
    pristine = pd.DataFrame({"image": sorted(records["reference"].unique())})
    pristine["reference"] = pristine["image"]
    return pd.concat([records, pristine], ignore_index=True)


def _write(
    out: Path,
    table: pd.DataFrame,
    weights: dict[str, float],
    refused: Sequence[Refused],
    problems: Sequence[tuple[str, str]],
) -> None:
    table = table.assign(image=f"{MADE}/" + table["image"], reference=f"{MADE}/" + table["reference"])
    with replacing(out / RATINGS) as part:
        table.to_csv(part, index=False, lineterminator="\n")
    declaration = (
        f'title = "Photographs distorted and rated by fused metrics"\nlabels = "{RATINGS}"\n\n'
        '[columns]\nimage = "image"\nscore = "rating"\nstd = "rating_std"\nreference = "reference"\n'
        'distortion = "distortion_name"\nlevel = "level"\n\n[score]\nlow = 0\nhigh = 1\nbetter = "higher"\n\n'
        f"{distortions_table()}"
    )
    with replacing(out / DECLARATION) as part:
        part.write_text(declaration, encoding="utf-8")
    settings = json.loads((out / SETTINGS).read_text(encoding="utf-8"))["settings"]
    content = {
        "settings": settings,
        "images": len(table),
        "weights": weights,
        "versions": {name: version(name) for name in ("defnet", "iqa-datasets", "map-score-fusion", "piq")},
        "refused": [one._asdict() for one in refused],
        "without_rating": [{"image": image, "reason": reason} for image, reason in problems],
    }
    with replacing(out / SETTINGS) as part:
        part.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
