"""Scores of images by piq's metrics: a table of one row an image, in a file that a stopped run goes on with.

Needs ``pip install "map-score-fusion[metrics]"``.
"""

import csv
import io
import json
import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from iqa_datasets.atomic_files import locked, replacing
from iqa_datasets.decoder_messages import python_warnings
from iqa_datasets.errors import ImageError
from map_score_fusion.errors import ScoreTableError
from map_score_fusion.image_files import ImagePair, open_for_metrics

if TYPE_CHECKING:
    import torch

    Metric = Callable[[torch.Tensor, torch.Tensor | None], torch.Tensor]

_ROWS, _SECONDS = 16, 2.0  # rows, or time since the last were written, after which the next are
_RELEASES = "https://github.com/photosynthesis-team/piq/releases/download"


@dataclass(frozen=True)
class ImageMetric:
    """A metric that piq computes.

    Attributes:
        name: What it is called here, and its column in the table.
        title: Its published name, with what piq's version is where there are several.
        needs_reference: Whether it compares with a reference (full-reference), or looks at the image alone.
        higher_is_better: Its direction; None for a number that is no measure of quality by itself.
        smallest: Shortest side, in pixels, of an image that it is defined for.
        weights: Which files piq downloads when it is first used; empty for none.
        function: Name of the function, or of the class, in piq.
        options: What it is called with beside the images.
    """

    name: str
    title: str
    needs_reference: bool
    higher_is_better: bool | None
    smallest: int
    function: str
    options: tuple[tuple[str, object], ...] = ()
    weights: tuple[str, ...] = ()


_LPIPS = "https://github.com/photosynthesis-team/photosynthesis.metrics/releases/download/v0.4.0/lpips_weights.pt"
_VGG16 = "https://download.pytorch.org/models/vgg16-397923af.pth"

IMAGE_METRICS: Final[Mapping[str, ImageMetric]] = {
    metric.name: metric
    for metric in (
        ImageMetric("psnr", "PSNR over all channels; 80 dB for identical images", True, True, 1, "psnr"),
        ImageMetric("ssim", "SSIM, mean over the channels", True, True, 11, "ssim"),
        ImageMetric("ms_ssim", "MS-SSIM", True, True, 161, "multi_scale_ssim"),
        ImageMetric("iw_ssim", "IW-SSIM", True, True, 161, "information_weighted_ssim"),
        ImageMetric("vif_p", "VIF in the pixel domain", True, True, 41, "vif_p"),
        ImageMetric("fsim", "FSIM", True, True, 48, "fsim", (("chromatic", False),)),
        ImageMetric("fsimc", "FSIMc", True, True, 48, "fsim", (("chromatic", True),)),
        ImageMetric("srsim", "SR-SIM", True, True, 40, "srsim"),
        ImageMetric("gmsd", "GMSD", True, False, 6, "gmsd"),
        ImageMetric("ms_gmsd", "MS-GMSD", True, False, 17, "multi_scale_gmsd"),
        ImageMetric("vsi", "VSI", True, True, 3, "vsi"),
        ImageMetric("dss", "DSS", True, True, 32, "dss"),
        ImageMetric("haarpsi", "HaarPSI", True, True, 16, "haarpsi"),
        ImageMetric("mdsi", "MDSI", True, False, 6, "mdsi"),
        ImageMetric("lpips", "LPIPS, VGG-16", True, False, 16, "LPIPS", weights=(_VGG16, _LPIPS)),
        ImageMetric(
            "dists", "DISTS", True, False, 16, "DISTS", weights=(_VGG16, f"{_RELEASES}/v0.4.1/dists_weights.pt")
        ),
        ImageMetric("pieapp", "PieAPP", True, False, 64, "PieAPP", weights=(f"{_RELEASES}/v0.5.4/PieAPPv0.1.pth",)),
        ImageMetric(
            "brisque", "BRISQUE", False, False, 16, "brisque", weights=(f"{_RELEASES}/v0.4.0/brisque_svm_weights.pt",)
        ),
        ImageMetric("tv", "total variation, a sum over the image", False, None, 2, "total_variation"),
    )
}
"""The metrics of piq that are offered here, by name.

CLIP-IQA is not: piq reads its weights as a TorchScript program, which a file of unknown origin must not be.
"""

PAPER_METRICS: Final[tuple[tuple[str, str, str], ...]] = (
    ("VSI", "vsi", ""),
    ("FSIMc", "fsimc", ""),
    ("FSIM", "fsim", ""),
    ("IWSSIM", "iw_ssim", ""),
    ("SFF", "", "not in piq"),
    ("DSS", "dss", ""),
    ("QASD", "", "not in piq"),
    ("MCSD", "", "not in piq"),
    ("CID MS", "", "not in piq"),
    ("GMSD", "gmsd", ""),
    ("VIF", "", "piq has the pixel-domain version alone, vif_p, whose scores differ"),
    ("VIF DWT", "", "not in piq"),
    ("HOSA", "", "not in piq"),
    ("NIQE", "", "not in piq"),
    ("MEON", "", "not in piq"),
    ("QAC", "", "not in piq"),
)
"""The paper's sixteen metrics: its name, ours or nothing, and why not."""


@dataclass(frozen=True)
class ScoredFolder:
    """What a run did.

    Attributes:
        scored: Rows written by this run.
        kept: Rows that an earlier run had written.
        faulty: Rows, of both, with something in the column ``problem``: why a score is missing, or what is to be known
            of the image.
        strangers: Rows of images that are not among those to be scored (any more).
    """

    scored: int
    kept: int
    faulty: int
    strangers: int


def choose_metrics(names: Iterable[str], *, have_references: bool) -> list[ImageMetric]:
    """Return the metrics with these names, in their order and once each.

    Args:
        names: Names of `IMAGE_METRICS`, each possibly several separated by commas; ``"fr"`` and ``"nr"`` stand for all
            full-reference and all no-reference ones that need no download. None at all means these that can be used.
        have_references: Whether there are references to compare with.

    Raises:
        ScoreTableError: A name is unknown, or a metric needs references and there are none.
    """
    groups = {
        "fr": [name for name, metric in IMAGE_METRICS.items() if metric.needs_reference and not metric.weights],
        "nr": [name for name, metric in IMAGE_METRICS.items() if not metric.needs_reference and not metric.weights],
    }
    wanted = [name.strip().lower().replace("-", "_") for text in names for name in text.split(",") if name.strip()]
    chosen: dict[str, ImageMetric] = {}
    for name in wanted or (["fr"] if have_references else ["nr"]):
        if name not in groups and name not in IMAGE_METRICS:
            why = (
                "is not offered: piq reads its weights as a TorchScript program" if name == "clip_iqa" else "is unknown"
            )
            raise ScoreTableError(
                f"the metric {name!r} {why}; those offered are {', '.join(IMAGE_METRICS)}, and fr, nr for all"
            )
        for one in groups.get(name, [name]):
            chosen[one] = IMAGE_METRICS[one]
    needing = [name for name, metric in chosen.items() if metric.needs_reference]
    if needing and not have_references:
        raise ScoreTableError(
            f"{', '.join(needing)} compare with a reference: give REF_DIR, or choose from {_no_reference()}"
        )
    return list(chosen.values())


def _no_reference() -> str:
    return ", ".join(name for name, metric in IMAGE_METRICS.items() if not metric.needs_reference)


class ImageScorer:
    """Computes some metrics of one image at a time.

    One at a time and not in batches: piq 0.8 scales SR-SIM's saliency by the largest value of the whole batch, so that
    an image's score would depend on its neighbours, and on a CPU batches of any metric are no faster.

    With a metric that has weights, torch refuses from then on, in this process, to read files that would run code.

    Args:
        metrics: Which metrics.
        device: Where to compute, such as ``"cuda"``; the CPU if None.

    Raises:
        ScoreTableError: piq is not installed, the device is not there, or weights cannot be had.
    """

    def __init__(self, metrics: Sequence[ImageMetric], device: str | None = None) -> None:
        try:
            import piq  # noqa: F401
        except ImportError as error:
            raise ScoreTableError('scoring images needs piq: pip install "map-score-fusion[metrics]"') from error
        import torch

        self.metrics = tuple(metrics)
        if any(metric.weights for metric in self.metrics):
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
        try:
            self.device = torch.device(device or "cpu")
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise ScoreTableError(f"the device {device!r} cannot be used: {str(error).splitlines()[0]}") from error
        self._functions = [_load(metric, self.device) for metric in self.metrics]

    def score(
        self, image: str | os.PathLike[str], reference: str | os.PathLike[str] | None = None
    ) -> tuple[dict[str, float], str]:
        """Compute all metrics of one image.

        Args:
            image: A file.
            reference: The file to compare it with; full-reference metrics are NaN without.

        Returns:
            The scores by the metrics' names, NaN for those that could not be computed; and why they could not, and
            what is to be known of the image (``"frame 1 of 3"``), empty where all is right.
        """
        import torch

        scores = {metric.name: float("nan") for metric in self.metrics}
        problems: list[str] = []
        try:
            x, remarks = self._tensor(image)
        except ImageError as error:
            return scores, str(error)
        problems += remarks
        y = None
        if reference is not None and any(metric.needs_reference for metric in self.metrics):
            try:
                y, remarks = self._tensor(reference)
                problems += [f"reference: {remark}" for remark in remarks]
            except ImageError as error:
                problems.append(f"reference: {error}")
        if y is not None and y.shape != x.shape:
            sizes = ["x".join(map(str, one.shape[:1:-1])) for one in (x, y)]
            problems.append(f"{sizes[0]} pixels, its reference {sizes[1]}")
            y = None
        for metric, function in zip(self.metrics, self._functions, strict=True):
            if metric.needs_reference and y is None:
                continue
            if min(x.shape[2:]) < metric.smallest:
                problems.append(f"{metric.name}: shorter side below {metric.smallest} pixels")
                continue
            try:
                # Not `catch_warnings`: it would also silence the decoder that another thread listens to.
                with torch.inference_mode(), python_warnings():
                    value = float(function(x, y if metric.needs_reference else None))
            except (ValueError, RuntimeError) as error:
                problems.append(f"{metric.name}: {str(error).splitlines()[0]}")
                continue
            if np.isfinite(value):
                scores[metric.name] = value
            else:
                problems.append(f"{metric.name}: piq gave {value}")
        return scores, "; ".join(problems)

    def _tensor(self, path: str | os.PathLike[str]) -> "tuple[torch.Tensor, list[str]]":
        """Return the image (1, 3, H, W) in [0, 1], and what its reader should know."""
        import torch

        opened = open_for_metrics(path)
        samples = torch.from_numpy(np.array(opened.image)).to(self.device)
        return samples.permute(2, 0, 1).unsqueeze(0).to(torch.float32) / 255, list(opened.warnings)


def _load(metric: ImageMetric, device: "torch.device") -> "Metric":
    """Return the metric as a function of image and reference, (1, 3, H, W) in [0, 1]."""
    import piq
    import torch

    options = dict(metric.options)
    function = getattr(piq, metric.function)
    try:
        if metric.function[0].isupper():
            module = function(reduction="none", **options).to(device).eval()
            return lambda x, y: module(x, y)
        if metric.weights:
            # Read when the function is called: once now, so that their lack shows before the first image.
            function(torch.linspace(0, 1, 32 * 32).reshape(1, 1, 32, 32) ** 2)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        files = " and ".join(metric.weights)
        raise ScoreTableError(
            f"{metric.name} needs weights that piq downloads, and they cannot be had or read "
            f"({str(error).splitlines()[0]}); put {files} into {Path(torch.hub.get_dir()) / 'checkpoints'}, or leave "
            f"{metric.name} out"
        ) from error
    if metric.needs_reference:
        return lambda x, y: function(x, y, reduction="none", **options)
    return lambda x, _: function(x, reduction="none", **options)


def score_folder(
    pairs: Sequence[ImagePair],
    images: str | os.PathLike[str],
    references: str | os.PathLike[str] | None,
    metrics: Sequence[ImageMetric],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    workers: int | None = None,
    device: str | None = None,
    watch: Callable[[Iterator[tuple[ImagePair, str]], int], Iterable[tuple[ImagePair, str]]] | None = None,
) -> ScoredFolder:
    """Score images into a CSV file, going on with what it holds.

    The file has the columns ``image`` and ``reference``, one for each metric, and ``problem``, which says why a score
    is missing. Rows are added a few at a time, whole and in the order of ``pairs``; what a run that was killed left
    half-written is cut off. Beside it, ``<out>.settings.json`` says what it was made with, and a run with other
    metrics, folders or versions is refused.

    Args:
        pairs: What to score.
        images: The folder of the images.
        references: The folder of their references.
        metrics: Which metrics.
        out: A .csv file.
        overwrite: Begin anew.
        workers: Images computed at a time, each on one core; all cores if None.
        device: Where to compute; the CPU if None.
        watch: Called with the images as they are done, each with its problem, and their number; yields them again. For
            a progress bar.

    Raises:
        ScoreTableError: The file was made with other settings, or the metrics cannot be computed.
        FileInUseError: Another run is writing the file (`iqa_datasets.atomic_files`).
    """
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with locked(out):
        return _score_folder(pairs, images, references, metrics, out, overwrite, workers, device, watch)


def _score_folder(
    pairs: Sequence[ImagePair],
    images: str | os.PathLike[str],
    references: str | os.PathLike[str] | None,
    metrics: Sequence[ImageMetric],
    out: Path,
    overwrite: bool,
    workers: int | None,
    device: str | None,
    watch: Callable[[Iterator[tuple[ImagePair, str]], int], Iterable[tuple[ImagePair, str]]] | None,
) -> ScoredFolder:
    settings = _settings(Path(images), None if references is None else Path(references), metrics)
    scorer = ImageScorer(metrics, device)
    columns = ["image", "reference", *(metric.name for metric in metrics), "problem"]
    note = out.with_name(out.name + ".settings.json")
    if overwrite:
        out.unlink(missing_ok=True)
        note.unlink(missing_ok=True)
    _check_settings(out, note, settings)
    if not note.exists():
        with replacing(note) as part:
            part.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    with out.open("a+b") as file:
        done = _complete_rows(file, out, columns)
        wanted = {pair.image: pair for pair in pairs}
        for image, (reference, _) in done.items():
            if image in wanted and (wanted[image].reference or "") != reference:
                raise ScoreTableError(
                    f"{out} compares {image} with {reference or 'nothing'}, this run with "
                    f"{wanted[image].reference or 'nothing'}; give another file, or overwrite it"
                )
        left = [pair for pair in pairs if pair.image not in done]
        scored = faulty = 0
        waiting: list[list[str]] = []

        def work(pair: ImagePair) -> tuple[ImagePair, list[str], str]:
            reference = None if references is None or pair.reference is None else Path(references) / pair.reference
            scores, problem = scorer.score(Path(images) / pair.image, reference)
            problem = "; ".join(filter(None, (pair.problem if metrics_need_reference else "", problem)))
            cells = ("" if np.isnan(value) else f"{value:.9g}" for value in scores.values())
            return pair, [pair.image, pair.reference or "", *cells, _one_line(problem)], problem

        metrics_need_reference = any(metric.needs_reference for metric in metrics)

        def results() -> Iterator[tuple[ImagePair, str]]:
            nonlocal scored, faulty
            written = time.monotonic()
            for pair, row, problem in _in_order(work, left, workers):
                waiting.append(row)
                scored += 1
                faulty += bool(problem)
                if len(waiting) >= _ROWS or time.monotonic() - written > _SECONDS:
                    _append(file, waiting)
                    written = time.monotonic()
                yield pair, problem

        try:
            stream = results()
            for _ in watch(stream, len(left)) if watch is not None else stream:
                pass
        finally:
            _append(file, waiting)
    kept = {image: problem for image, (_, problem) in done.items()}
    return ScoredFolder(
        scored,
        len(kept),
        faulty + sum(bool(problem) for problem in kept.values()),
        sum(image not in wanted for image in kept),
    )


def _settings(images: Path, references: Path | None, metrics: Sequence[ImageMetric]) -> dict[str, Any]:
    try:
        piq = package_version("piq")
    except PackageNotFoundError:
        piq = ""
    return {
        "metrics": [metric.name for metric in metrics],
        "images": images.resolve().as_posix(),
        "references": None if references is None else references.resolve().as_posix(),
        "piq": piq,
        "map-score-fusion": package_version("map-score-fusion"),
    }


def _check_settings(out: Path, note: Path, settings: Mapping[str, Any]) -> None:
    if not out.exists() or out.stat().st_size == 0:
        note.unlink(missing_ok=True)
        return
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ScoreTableError(
            f"{out} is there, but not {note.name}, which says what it was made with; give another file, or overwrite it"
        ) from None
    except ValueError as error:
        raise ScoreTableError(f"{note} is damaged: {error}; give another file, or overwrite it") from error
    for name, value in settings.items():
        other = before.get(name) if isinstance(before, dict) else None
        if other != value:
            raise ScoreTableError(
                f"{out} was made with {name} {_shown(other)}, this run has {_shown(value)}; give another file, or "
                "overwrite it"
            )


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _complete_rows(file: io.BufferedRandom, out: Path, columns: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the reference and the problem of each image with a whole row in the file, and cut off what is not whole.

    Rows hold no line breaks (see `_one_line` and `image_files`), so that a row is whole where its line has an end.
    """
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    file.truncate(whole)
    if not whole:
        _append(file, [list(columns)])
        return {}
    lines = content[:whole].decode("utf-8").split("\n")[:-1]
    rows = list(csv.reader(lines))
    if rows[0] != list(columns):
        raise ScoreTableError(
            f"{out} has the columns {', '.join(rows[0])}, not {', '.join(columns)}; give another file"
        )
    done = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(columns):
            raise ScoreTableError(f"{out}, line {number}: {len(row)} fields, not {len(columns)}; was it edited?")
        done[row[0]] = (row[1], row[-1])
    return done


def _append(file: io.BufferedRandom, rows: list[list[str]]) -> None:
    """Write rows in one go and see them on the disk, then empty the list."""
    if not rows:
        return
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    file.seek(0, os.SEEK_END)
    file.write(text.getvalue().encode())
    file.flush()
    os.fsync(file.fileno())
    rows.clear()


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _in_order(
    function: Callable[[ImagePair], tuple[ImagePair, list[str], str]], pairs: Iterable[ImagePair], workers: int | None
) -> Iterator[tuple[ImagePair, list[str], str]]:
    """Yield ``function(pair)`` in order, computed by threads: torch and Pillow let go of Python's lock."""
    import torch

    count = workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    remaining = iter(pairs)
    waiting: deque[Future[tuple[ImagePair, list[str], str]]] = deque()
    # Each thread computes on its own core; torch's threads within an operation would only wait for one another.
    with ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            waiting.extend(pool.submit(function, pair) for pair in islice(remaining, 2 * count))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(function, pair) for pair in islice(remaining, 1))
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
