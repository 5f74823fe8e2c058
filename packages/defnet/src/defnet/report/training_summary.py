"""The summary of a training on one set of ratings: figures, plots, the ten worst photographs, all of it in words."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from defnet.data.table import ImageTable
from defnet.errors import DataError
from defnet.evaluation.figures import Figures, evaluation_figures
from defnet.evaluation.predictions import Predictions
from defnet.model.model_info import ModelInfo
from defnet.report.bootstrap import srcc_intervals
from defnet.report.page import Page
from defnet.report.training_plots import agreement_figure, reliability_figure
from defnet.report.worst_images import JudgedImage, worst, worst_figure
from evidential_nig import NormalInverseGamma
from evidential_nig.recalibration import VarianceScale
from iqa_datasets import QualityScale
from iqa_datasets.atomic_files import replacing

FOLDER = "summary"
"""Name of the summary's folder in that of the run."""

PAGE = "index.html"

IN_WORDS = {"test": "held out", "val": "validation"}

_SHOWN = (
    ("images", "photographs"),
    ("srcc", "SRCC, agreement of the order (1 is perfect)"),
    ("krcc", "KRCC, the same by pairs"),
    ("plcc", "PLCC, linear agreement"),
    ("plcc_logistic", "PLCC after a logistic"),
    ("rmse", "root mean squared error, on the ratings' scale"),
    ("coverage_50", "share of ratings within the 50 % interval"),
    ("coverage_80", "share within the 80 % interval"),
    ("coverage_95", "share within the 95 % interval"),
    ("width_95", "mean width of the 95 % interval, on the ratings' scale"),
    ("nll", "NLL (lower is better)"),
    ("nll_constant", "NLL of one and the same uncertainty for all"),
    ("error_spearman", "rank correlation of stated deviation and error"),
    ("scene_accuracy", "scene accuracy (top scene among the labelled ones)"),
    ("distortion_accuracy", "distortion accuracy"),
)
_ON_THE_SCALE = ("rmse", "width_95")


@dataclass(frozen=True)
class JudgedPart:
    """One part of the session, and what the model says of it.

    Attributes:
        table: the photographs and their ratings on [1, 5].
        names: what the table of ratings calls them.
        after: the trained model's answers.
        before: those of the model that training started from; None where it started anew.
    """

    table: ImageTable
    names: Sequence[str]
    after: Predictions
    before: Predictions | None


@dataclass(frozen=True)
class TrainingSummary:
    """Everything that the summary says.

    Attributes:
        title: of the page.
        done: what was done, a sentence or more each.
        parts: the parts that were not learnt from, by `val` and `test`; a session may have no `test`.
        info: what the trained model's file says.
        start: what training started from, in words.
        scale: the ratings' own scale.
        rating_std: mean standard deviation of the raters on a photograph, on that scale, if it is known.
    """

    title: str
    done: Sequence[str]
    parts: Mapping[str, JudgedPart]
    info: ModelInfo
    start: str
    scale: QualityScale
    rating_std: float | None = None

    @property
    def _factor(self) -> float:
        """From a difference on [1, 5] to one on the ratings' scale."""
        return (self.scale.high - self.scale.low) / 4

    def figures(self) -> dict[str, Figures]:
        """Every figure of each part, on [1, 5]."""
        return {
            name: evaluation_figures(
                part.after,
                part.table,
                variance_scale=self.info.variance_scale,
                constant_std=self.info.constant_std,
            )
            for name, part in self.parts.items()
        }

    def judged(self) -> list[JudgedImage]:
        """Every photograph that was not learnt from, on the ratings' own scale."""
        images: list[JudgedImage] = []
        for name, part in self.parts.items():
            evidence = self._calibrated(part)
            ends = sorted_ends(*(self.scale.to_score(end.clamp(1, 5)) for end in evidence.predictive().interval(0.95)))
            values = zip(
                self.scale.to_score(part.table.quality.double()), self.scale.to_score(evidence.loc), *ends, strict=True
            )
            images += [
                JudgedImage(path, called, IN_WORDS[name], *(float(value) for value in row))
                for path, called, row in zip(part.table.paths, part.names, values, strict=True)
            ]
        return images

    def words(self, figures: Mapping[str, Figures]) -> list[str]:
        """What came of it, a sentence or more each; of the held-out part, where there is one."""
        name = "test" if "test" in self.parts else "val"
        part, found = self.parts[name], figures[name]
        said = [self._agreement(name, part, found)]
        error = f"A predicted rating is off by {found['rmse'] * self._factor:.3g} (root mean square)"
        rating_std = f"; raters differ among themselves by {self.rating_std:.3g}" if self.rating_std else ""
        said.append(
            f"{error} on the scale from {self.scale.low:g} to {self.scale.high:g}{rating_std}. "
            f"{found['coverage_95']:.0%} of the ratings lie within their 95 % intervals, {found['coverage_50']:.0%} "
            "within their 50 % intervals."
        )
        if name == "val":
            said.append(
                "No part was held out, so that these figures are of the photographs that the epoch was chosen on, and "
                "a little kind."
            )
        return said

    def _agreement(self, name: str, part: JudgedPart, found: Figures) -> str:
        ratings = part.table.quality.double().numpy()
        scores = [part.after.quality]
        if part.before is not None:
            scores.insert(0, part.before.quality)
        each, gains = srcc_intervals(scores, ratings)
        said = (
            f"On the {len(ratings)} {IN_WORDS[name]} photographs the order agrees with the ratings at SRCC "
            f"{found['srcc']:.3f} (95 % interval {_interval(each[-1])})."
        )
        if part.before is None:
            return said
        before = evaluation_figures(part.before, part.table)["srcc"]
        low, high = gains[-1]
        verdict = "more than chance" if low > 0 else "worse by more than chance" if high < 0 else "within chance"
        return (
            f"{said} Before, {self.start} had {before:.3f}: the difference is {found['srcc'] - before:+.3f} "
            f"({_interval((low, high), signed=True)}), {verdict}."
        )

    def _calibrated(self, part: JudgedPart) -> NormalInverseGamma:
        if part.after.evidence is None:
            raise DataError("a summary is of models that state their uncertainty")
        calibrated: NormalInverseGamma = VarianceScale(self.info.variance_scale**0.5).apply(part.after.evidence)
        return calibrated

    def _plotted(self) -> dict[str, tuple[NormalInverseGamma, torch.Tensor]]:
        return {
            IN_WORDS[name]: (self._calibrated(self.parts[name]), self.parts[name].table.quality.double())
            for name in ("test", "val")
            if name in self.parts
        }


def sorted_ends(
    one: "np.ndarray[tuple[int], np.dtype[np.float64]]", other: "np.ndarray[tuple[int], np.dtype[np.float64]]"
) -> tuple["np.ndarray[tuple[int], np.dtype[np.float64]]", "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    """The lower and the upper ends: on a scale whose lowest is the best they change places."""
    return np.minimum(one, other), np.maximum(one, other)


def write_summary(folder: Path, summary: TrainingSummary) -> Path:
    """Write the summary's folder: a page that stands alone, its pictures, and every photograph's prediction.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = summary.figures()
    judged = summary.judged()
    pictures = {
        "agreement.png": agreement_figure(summary._plotted(), summary.scale),
        "reliability.png": reliability_figure(summary._plotted()),
        "worst.png": worst_figure(worst(judged)),
    }
    contents = {name: _png(figure) for name, figure in pictures.items()}
    for name, content in contents.items():
        with replacing(folder / name) as part:
            part.write_bytes(content)
    with replacing(folder / "predictions.csv") as part:
        part.write_text(_predictions_csv(judged), encoding="utf-8", errors="surrogateescape")
    page = Page(summary.title)
    for sentence in (*summary.done, *summary.words(figures)):
        page.paragraph(sentence)
    page.heading("Figures")
    page.table(["", *(IN_WORDS[name] for name in figures)], _figure_rows(figures, summary._factor))
    page.heading("Predicted and given, and whether the uncertainty is true")
    page.pictures({name: contents[name] for name in ("agreement.png", "reliability.png")})
    page.heading("The ten photographs that it is furthest wrong about")
    page.paragraph(
        "None of them was learnt from. A title in another colour: the rating lies outside the 95 % interval. Look "
        "whether the rating or the model is wrong; what these photographs share is what more ratings would teach."
    )
    page.pictures({"worst.png": contents["worst.png"]})
    with replacing(folder / PAGE) as part:
        part.write_text(page.html(), encoding="utf-8", errors="replace")
    return folder / PAGE


def _figure_rows(figures: Mapping[str, Figures], factor: float) -> list[list[str]]:
    rows = []
    for key, words in _SHOWN:
        values = [found.get(key, float("nan")) for found in figures.values()]
        if all(value != value for value in values):
            continue
        shown = [value * factor for value in values] if key in _ON_THE_SCALE else values
        rows.append([words, *(_shown(value, whole=key == "images") for value in shown)])
    return rows


def _shown(value: float, *, whole: bool) -> str:
    return (
        f"{value:.0f}" if whole else "–" if value != value else f"{value:.3g}" if abs(value) >= 10 else f"{value:.3f}"
    )


def _interval(ends: tuple[float, float], *, signed: bool = False) -> str:
    if ends[0] != ends[0]:
        return "not known"
    low, high = (f"{end:+.3f}" if signed else f"{end:.3f}" for end in ends)
    return f"{low} to {high}"


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def _predictions_csv(judged: Sequence[JudgedImage]) -> str:
    stream = io.StringIO()
    columns = ("name", "part", "rating", "predicted", "lower", "upper")
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(image) for image in judged)
    return stream.getvalue()
