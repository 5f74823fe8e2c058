"""An explanation as one picture: the photograph under its sub-images' quality and uncertainty, and what counted."""

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from defnet.explanation.overlay import (
    DEVIATION_COLOURS,
    QUALITY_COLOURS,
    Colour,
    colour_of,
    ink_on,
    laid_over,
    mean_where_seen,
    small,
)
from defnet.explanation.result import Explanation
from defnet.explanation.words import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _SOFT = "#1e1d1b", "#5b5953"


def explanation_figure(explanation: Explanation, image: Image.Image) -> "Figure":
    """Draw an explanation.

    Args:
        explanation: the explanation.
        image: the upright photograph, at any size.
    """
    from matplotlib.figure import Figure

    photograph = small(image)
    views = explanation.sub_images
    boxes = [view.box for view in views]
    wide = photograph.width >= photograph.height
    figure = Figure(figsize=(14, 9.2 if wide else 11.5), layout="constrained", facecolor="white")
    grid = figure.subplots(2, 2, height_ratios=(1.5, 1) if wide else (2, 1))
    qualities = [view.quality for view in views]
    quality_layer = mean_where_seen(boxes, qualities, explanation.size)
    _photograph(
        grid[0, 0],
        laid_over(photograph, quality_layer, 1, 5, QUALITY_COLOURS, 0.42),
        explanation,
        [(f"{value:.1f}", colour_of(value, 1, 5, QUALITY_COLOURS)) for value in qualities],
        f"Quality of the sub-images, 1 (bad) to 5 (perfect): the image {explanation.score.quality:.2f}",
    )
    deviations = [view.evidence.std for view in views if view.evidence is not None]
    if deviations:
        low, high = min(deviations), max(deviations)
        layer = mean_where_seen(boxes, deviations, explanation.size)
        _photograph(
            grid[0, 1],
            laid_over(photograph, layer, low, high, DEVIATION_COLOURS, 0.5),
            explanation,
            [(f"{value:.2f}", colour_of(value, low, high, DEVIATION_COLOURS)) for value in deviations],
            f"Uncertainty of the sub-images: ± {low:.2f} to ± {high:.2f}",
        )
    else:
        _photograph(grid[0, 1], photograph, explanation, [], "This model states no uncertainty")
    _counted(grid[1, 0], explanation)
    _said(grid[1, 1], explanation)
    return figure


def _photograph(
    axes: "Axes", picture: Image.Image, explanation: Explanation, marks: Sequence[tuple[str, Colour]], title: str
) -> None:
    from matplotlib.patches import Rectangle

    width, height = explanation.size
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="bilinear")
    axes.axis("off")
    axes.set_title(title, fontsize=11, loc="left", color=_INK)
    for view, (words, colour) in zip(explanation.sub_images, marks, strict=False):
        left, top, right, low = view.box
        edge = tuple(channel / 255 for channel in colour)
        axes.add_patch(
            Rectangle((left, top), right - left, low - top, fill=False, edgecolor="white", linewidth=0.6, alpha=0.7)
        )
        axes.text(
            (left + right) / 2,
            (top + low) / 2,
            words,
            ha="center",
            va="center",
            fontsize=8.5,
            weight="bold",
            color=ink_on(colour),
            bbox={"boxstyle": "round,pad=0.25", "facecolor": edge, "edgecolor": "white", "linewidth": 0.6},
        )


def _counted(axes: "Axes", explanation: Explanation) -> None:
    """What counted how much, and where the score would go without it."""
    views = sorted(enumerate(explanation.sub_images, start=1), key=lambda one: one[1].quality)
    places = list(range(len(views)))
    colours = [tuple(c / 255 for c in colour_of(view.quality, 1, 5, QUALITY_COLOURS)) for _, view in views]
    axes.bar(
        places, [0.0 if view.change != view.change else view.change for _, view in views], color=colours, width=0.75
    )
    axes.axhline(0, color=_SOFT, linewidth=0.8)
    axes.set_xticks(places, [f"{view.quality:.1f}\n{view.share:.1%}" for _, view in views], fontsize=8)
    axes.set_title("How the score would change without each sub-image", fontsize=11, loc="left", color=_INK)
    whole = f"; the whole image counts {explanation.whole_share:.0%}" if explanation.whole is not None else ""
    axes.set_xlabel(f"quality of the sub-image, and how much of the score is of it{whole}", fontsize=9, color=_SOFT)
    _plain(axes)


def _said(axes: "Axes", explanation: Explanation) -> None:
    """The most probable sentences, and all in words."""
    sentences = explanation.sentences[::-1]
    places = range(len(sentences))
    axes.barh(places, [sentence.probability for sentence in sentences], height=0.16, color="#0072B2")
    for place, sentence in zip(places, sentences, strict=True):
        axes.text(0, place + 0.16, sentence.text, fontsize=8.5, va="bottom", color=_INK, parse_math=False)
        axes.text(sentence.probability, place, f"  {sentence.probability:.1%}", fontsize=8.5, va="center", color=_SOFT)
    axes.set_ylim(-0.4, len(sentences) - 0.2)
    axes.set_xlim(0, max(0.01, 1.15 * max((sentence.probability for sentence in sentences), default=0)))
    axes.set_yticks([])
    axes.set_title("The most probable sentences", fontsize=11, loc="left", color=_INK)
    words = "\n".join(textwrap.fill(line, 108) for line in in_words(explanation)[1:6])
    axes.set_xlabel(words, fontsize=8.5, color=_SOFT, loc="left", parse_math=False)
    axes.set_xticks([])
    _plain(axes)


def _plain(axes: Any) -> None:
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelcolor=_SOFT)
