"""Making a distorted data set from a folder of pristine photographs: in parallel, resumable, with one table."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from iqa_datasets.atomic_files import replacing
from iqa_datasets.errors import DatasetError
from iqa_datasets.image_paths import images_in
from iqa_datasets.images import ImageError, open_image
from iqa_datasets.synthesis.catalogue import DISTORTION_TYPES, LEVELS, chosen_types, distortions_table
from iqa_datasets.workers import ordered_map

if TYPE_CHECKING:
    import pandas as pd

TABLE: Final = "records.csv"
SETTINGS: Final = "synthesis.json"
DECLARATION: Final = "iqa-dataset.toml"
COLUMNS: Final = (
    "image",
    "reference",
    "distortion",
    "distortion_name",
    "liqe_name",
    "code",
    "level",
    "severity",
    "setting",
)


class Failure(NamedTuple):
    """A photograph that could not be distorted, or not by every type.

    Attributes:
        source: the file.
        reason: what is wrong with it.
    """

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What `synthesize` made.

    Attributes:
        folder: where it lies.
        records: one row a distorted image, as ``records.csv`` has them.
        made: number of images written now; the others were there.
        failures: photographs that could not be read or distorted (`iqa_datasets.synthesis.Failure`).
    """

    folder: Path
    records: "pd.DataFrame"
    made: int
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class _Settings:
    """What makes the same file from the same photograph, and must not change within a folder."""

    seed: int
    size: tuple[int, int] | None


class _Task(NamedTuple):
    source: str
    name: str  # relative to the folder of sources, without suffix
    out: str
    settings: _Settings
    wanted: tuple[tuple[str, int], ...]
    unchanged: bool


class _Done(NamedTuple):
    made: int
    there: tuple[tuple[str, int], ...]
    failure: str


def synthesize(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    types: Iterable[str] | None = None,
    levels: Sequence[int] = LEVELS,
    per_photograph: int | None = None,
    unchanged: bool = True,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    workers: int | None = None,
    progress: Callable[[Iterable[object], int], Iterable[object]] | None = None,
) -> Synthesis:
    """Distort every photograph below a folder by every type at every level, and write one table.

    In ``out`` are made ``references/NAME.png``, the photographs as 8-bit RGB, upright; ``images/NAME_CODE_LEVEL.png``,
    named as KADID-10k names them; ``records.csv``, one row an image (`COLUMNS`); ``iqa-dataset.toml``, with which
    ``load("folder", out)`` reads it; and ``synthesis.json``, the settings. Every file is written whole or not at all.
    Called again, it makes what is missing, and may be given more types, levels or photographs; a photograph that is
    another one than before under its name is a failure.

    The random part of a distortion depends on the seed, the photograph's name, the type and the level alone, so that
    the files are the same whatever the number of processes.

    Settings in pixels (radii, patches) are KADID-10k's, whose photographs are 512 × 384: larger ones are distorted less
    than they look there, so give ``size`` for the like of it.

    Args:
        source: a folder of photographs; folders in it are searched.
        out: where to write.
        types: names, codes or groups of types (`chosen_types`); None for all 30.
        levels: levels from 1 to 5.
        per_photograph: number of images to make of each photograph, drawn by the seed and the photograph's name from
            all types and levels so that no type stands twice before each does once; None for all of them. A larger
            number makes the same and more.
        unchanged: keep images that the distortion leaves as they were, to the pixel (such as a mean shift by 0); else
            they are not made, and have no row.
        seed: another seed gives other noise, directions and places.
        size: (width, height) to which photographs are brought first: scaled down to cover it, and cut around their
            middle. None leaves them as they are.
        workers: number of processes, all cores if None. A script that calls this with more than one needs
            ``if __name__ == "__main__":``, as processes import it.
        progress: shows how far it is, given the photographs as they are done and their number.

    Raises:
        DatasetError: an argument is wrong, two photographs have one name, or ``out`` was made with another seed or
            size.
        FileNotFoundError: ``source`` is no folder, or holds no photograph.
        ImportError: a type needs scikit-image, which is not installed.
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    chosen = chosen_types(types)
    steps = _checked_levels(levels)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise DatasetError(f"size must be (width, height) in pixels, got {size}")
    if seed < 0:
        raise DatasetError(f"seed must be 0 or more, got {seed}")
    if per_photograph is not None and per_photograph < 1:
        raise DatasetError(f"per_photograph must be 1 or more, got {per_photograph}")
    if any(one.code in {"04", "08", "15", "16", "24"} for one in chosen):
        _require_scikit_image()
    photographs = _photographs(source, out)
    settings = _Settings(seed, size)
    _claim(out, settings)
    everything = tuple((one.code, level) for one in chosen for level in steps)
    tasks = [
        _Task(str(path), name, str(out), settings, _drawn(everything, per_photograph, seed, name), unchanged)
        for name, path in photographs.items()
    ]
    results: Iterable[object] = ordered_map(_distort, tasks, workers)
    if progress is not None:
        results = progress(results, len(tasks))
    rows: list[dict[str, object]] = []
    failures: list[Failure] = []
    made = 0
    for task, done in zip(tasks, results, strict=True):
        assert isinstance(done, _Done)  # noqa: S101 - progress gives back what it got
        made += done.made
        if done.failure:
            failures.append(Failure(task.source, done.failure))
        rows.extend(_row(task.name, code, level) for code, level in done.there)
    records = _write_table(out, rows)
    return Synthesis(out, records, made, tuple(failures))


def _checked_levels(levels: Sequence[int]) -> tuple[int, ...]:
    steps = tuple(dict.fromkeys(levels))
    if not steps or any(level not in LEVELS for level in steps):
        raise DatasetError(f"levels must be some of 1 to 5, got {list(levels)}")
    return tuple(sorted(steps))


def _drawn(
    everything: tuple[tuple[str, int], ...], count: int | None, seed: int, name: str
) -> tuple[tuple[str, int], ...]:
    """Some of the types and levels, each type as often as any other up to one."""
    if count is None or count >= len(everything):
        return everything
    key = hashlib.blake2b(f"{seed}\n{name}".encode(), digest_size=16).digest()
    rng = np.random.default_rng(int.from_bytes(key, "big"))
    order = {code: rank for rank, code in enumerate(rng.permutation(sorted({code for code, _ in everything})))}
    turns: dict[str, int] = {}
    ranked = []
    for index in rng.permutation(len(everything)):
        code, level = everything[index]
        turns[code] = turns.get(code, 0) + 1
        ranked.append((turns[code], order[code], code, level))
    return tuple((code, level) for _, _, code, level in sorted(ranked)[:count])


def _require_scikit_image() -> None:
    try:
        import skimage  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "color diffusion, color saturation 2, denoise, brighten and high sharpen need scikit-image: "
            'pip install "iqa-datasets[synthesize]"'
        ) from error


def _photographs(source: Path, out: Path) -> dict[str, Path]:
    resolved = out.resolve()
    if resolved == source.resolve():
        raise DatasetError(f"{out} is the folder of the photographs; write somewhere else")
    found: dict[str, Path] = {}
    for path in images_in(source):
        if path.resolve().is_relative_to(resolved):
            continue  # made by an earlier call, where the new folder lies within that of the photographs
        name = path.relative_to(source).with_suffix("").as_posix()
        if name in found:
            raise DatasetError(f"{path} and {found[name].name} would both become {name}.png; rename one")
        found[name] = path
    return found


def _claim(out: Path, settings: _Settings) -> None:
    """Write the settings into a new folder, or hold them to those of one that is gone on with."""
    file = out / SETTINGS
    ours = json.loads(json.dumps(asdict(settings)))
    if file.is_file():
        try:
            theirs = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DatasetError(f"{file} is damaged ({error}); delete it if the folder's images may be mixed") from error
        if theirs != ours:
            raise DatasetError(f"{out} was made with {theirs}, and would now be with {ours}; write to another folder")
        return
    if out.is_dir() and any(out.iterdir()):
        raise DatasetError(f"{out} is not empty and was not made by synthesize ({SETTINGS} is missing)")
    out.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part:
        part.write_text(json.dumps(ours) + "\n", encoding="utf-8")


_TYPE_OF: Final = {one.code: one for one in DISTORTION_TYPES}


def _distort(task: _Task) -> _Done:
    """Make what is missing of one photograph; the part that runs in another process."""
    out = Path(task.out)
    reference = out / _reference(task.name)
    files = {key: out / _image(task.name, *key) for key in task.wanted}
    missing = [key for key, file in files.items() if not file.is_file()]
    if not missing and reference.is_file():
        return _Done(0, task.wanted, "")
    try:
        image = _prepared(task)
    except (DatasetError, OSError) as error:
        return _Done(0, (), error.reason if isinstance(error, ImageError) else str(error))
    if reference.is_file():
        # What is there already was made from it, and one reference is not to have images of two photographs.
        try:
            changed = open_image(reference).tobytes() != image.tobytes()
        except DatasetError as error:
            return _Done(0, (), f"cannot be gone on with, since {error}; delete what was made of it")
        if changed:
            return _Done(0, (), f"is not what {reference} was made from; delete what was made of it, or rename it")
    else:
        _save(image, reference)
    pixels = np.asarray(image)
    reasons = []
    made = 0
    for code, level in missing:
        key = hashlib.blake2b(f"{task.settings.seed}\n{task.name}\n{code}\n{level}".encode(), digest_size=16).digest()
        rng = np.random.default_rng(int.from_bytes(key, "big"))
        try:
            distorted = _TYPE_OF[code].apply(pixels, level, rng)
        except DatasetError as error:
            reasons.append(f"{code} at level {level}: {error}")
            continue
        if not task.unchanged and np.array_equal(distorted, pixels):
            continue
        made += 1
        _save(Image.fromarray(distorted), files[code, level])
    there = tuple(key for key in task.wanted if files[key].is_file())
    return _Done(made, there, "; ".join(reasons[:3]))


def _prepared(task: _Task) -> Image.Image:
    size = task.settings.size
    image = open_image(task.source, at_least=None if size is None else max(size))
    if size is None:
        return image
    if image.width < size[0] or image.height < size[1]:
        raise DatasetError(f"is {image.width}x{image.height}, smaller than {size[0]}x{size[1]}; it is not scaled up")
    return ImageOps.fit(image, size, Image.Resampling.LANCZOS)


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        image.save(part, compress_level=1)  # a third of the time of 6, a tenth larger


def _reference(name: str) -> str:
    return f"references/{name}.png"


def _image(name: str, code: str, level: int) -> str:
    return f"images/{name}_{code}_{level:02d}.png"


def _row(name: str, code: str, level: int) -> dict[str, object]:
    one = _TYPE_OF[code]
    return {
        "image": _image(name, code, level),
        "reference": _reference(name),
        "distortion": one.distortion,
        "distortion_name": one.title,
        "liqe_name": one.liqe_name,
        "code": code,
        "level": level,
        "severity": one.severity[level - 1],
        "setting": one.settings[level - 1],
    }


def _write_table(out: Path, rows: list[dict[str, object]]) -> "pd.DataFrame":
    """Write the rows made now together with those of earlier calls, whose images are still there."""
    import pandas as pd  # here, since the processes that distort do without

    made = pd.DataFrame(rows, columns=list(COLUMNS))
    file = out / TABLE
    if file.is_file():
        before = pd.read_csv(file, dtype={"code": "str"})
        if list(before.columns) != list(COLUMNS):
            raise DatasetError(f"{file} has other columns than {', '.join(COLUMNS)}; delete it, and it is made anew")
        kept = before[~before["image"].isin(made["image"]) & before["image"].map(lambda name: (out / name).is_file())]
        made = pd.concat([kept, made]) if len(kept) else made
    made = made.sort_values(["reference", "code", "level"], kind="stable").reset_index(drop=True)
    with replacing(file) as part:
        made.to_csv(part, index=False, lineterminator="\n")
    with replacing(out / DECLARATION) as part:
        part.write_text(_declaration(), encoding="utf-8")
    return made


def _declaration() -> str:
    """What tells `load("folder", out)` how to read the table."""
    return (
        f'title = "Photographs distorted by iqa-datasets synthesize"\nlabels = "{TABLE}"\n\n'
        '[columns]\nimage = "image"\nreference = "reference"\ndistortion = "distortion_name"\nlevel = "level"\n\n'
        f"{distortions_table()}"
    )
