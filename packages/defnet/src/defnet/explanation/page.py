"""An explanation as a page: one HTML file without a script, which forbids itself the network."""

import base64
import hashlib
import io
from collections.abc import Sequence
from html import escape
from importlib.resources import files

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
from defnet.explanation.result import Evidence, Explanation
from defnet.explanation.words import in_words


def explanation_page(explanation: Explanation, image: Image.Image) -> str:
    """The whole file.

    Args:
        explanation: the explanation.
        image: the upright photograph, at any size.
    """
    style = (files("defnet.explanation") / "explanation.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    title = _text(explanation.score.path or "an image")
    body = "\n".join(
        (_head(explanation, title), _pictures(explanation, small(image)), _sentences(explanation), _views(explanation))
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _text(words: str) -> str:
    """Words as HTML; bytes of names that are no UTF-8 become the sign for that."""
    return escape(words.encode("utf-8", "replace").decode("utf-8"))


def _head(explanation: Explanation, title: str) -> str:
    first, *rest = in_words(explanation)
    words = "\n".join(f"<p>{_text(line)}</p>" for line in ("It is made of " + first.partition(": ")[2], *rest))
    return (
        f"<h1>{title}</h1>\n<p class='score'><strong>{explanation.score.quality:.2f}</strong> "
        f'{_text(first.partition(": ")[0].partition(", ")[2])}</p>\n<div class="words">{words}</div>'
    )


def _pictures(explanation: Explanation, image: Image.Image) -> str:
    views = explanation.sub_images
    boxes = [view.box for view in views]
    qualities = [view.quality for view in views]
    layer = mean_where_seen(boxes, qualities, explanation.size)
    marks = [(f"{value:.1f}", colour_of(value, 1, 5, QUALITY_COLOURS)) for value in qualities]
    shown = [
        _figure(
            explanation,
            laid_over(image, layer, 1, 5, QUALITY_COLOURS, 0.42),
            marks,
            "Quality of the sub-images by themselves, from 1 (bad, red) to 5 (perfect, green).",
        )
    ]
    deviations = [view.evidence.std for view in views if view.evidence is not None]
    if deviations:
        low, high = min(deviations), max(deviations)
        layer = mean_where_seen(boxes, deviations, explanation.size)
        marks = [(f"{value:.2f}", colour_of(value, low, high, DEVIATION_COLOURS)) for value in deviations]
        shown.append(
            _figure(
                explanation,
                laid_over(image, layer, low, high, DEVIATION_COLOURS, 0.5),
                marks,
                f"Uncertainty of the sub-images, from ± {low:.2f} (dark) to ± {high:.2f} (light).",
            )
        )
    return f'<h2>Where</h2>\n<div class="pictures">{"".join(shown)}</div>'


def _figure(explanation: Explanation, picture: Image.Image, marks: Sequence[tuple[str, Colour]], caption: str) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    source = base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = explanation.size
    unit = max(width, height) / 400
    drawn = []
    for number, (view, (words, colour)) in enumerate(zip(explanation.sub_images, marks, strict=True), start=1):
        left, top, right, low = view.box
        x, y = (left + right) / 2, (top + low) / 2
        drawn.append(
            f"<g><title>sub-image {number}: quality {view.quality:.2f}, {view.share:.1%} of the score, without it "
            f'{view.quality_without:.2f}</title><rect class="edge" x="{left:g}" y="{top:g}" width="{right - left:g}" '
            f'height="{low - top:g}" stroke-width="{unit:g}"/><circle cx="{x:g}" cy="{y:g}" r="{10 * unit:g}" '
            f'fill="rgb{colour}"/><text x="{x:g}" y="{y + 2.8 * unit:g}" font-size="{8 * unit:g}" '
            f'fill="{ink_on(colour)}">{words}</text></g>'
        )
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{_text(caption)}">'
        f'<image href="data:image/jpeg;base64,{source}" width="{width}" height="{height}"/>{"".join(drawn)}</svg>'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _sentences(explanation: Explanation) -> str:
    items = "".join(
        f'<li><meter value="{one.probability:.4f}" max="1"></meter>{one.probability:.1%}<br>{_text(one.text)}</li>'
        for one in explanation.sentences
    )
    return f'<h2>The most probable of the sentences</h2>\n<ol class="sentences">{items}</ol>'


def _views(explanation: Explanation) -> str:
    titles = ("view", "quality", "±", "ν", "α", "β", "share of the score", "score without it", "change")
    rows = [
        (
            str(number),
            f"{view.quality:.2f}",
            *_figures(view.evidence),
            f"{view.share:.1%}",
            f"{view.quality_without:.3f}",
            f"{view.change:+.3f}",
        )
        for number, view in enumerate(explanation.sub_images, start=1)
    ]
    for name, evidence, share in (
        ("whole image", explanation.whole, f"{explanation.whole_share:.1%}"),
        ("sub-images fused", explanation.cross, ""),
        ("all fused", explanation.fusion, ""),
    ):
        if evidence is not None:
            rows.append((name, f"{evidence.quality:.2f}", *_figures(evidence), share, "", ""))
    head = "".join(f"<th>{_text(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<h2>Every view</h2>\n<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _figures(evidence: Evidence | None) -> tuple[str, str, str, str]:
    if evidence is None:
        return "", "", "", ""
    return f"{evidence.std:.2f}", f"{evidence.nu:.3g}", f"{evidence.alpha:.3g}", f"{evidence.beta:.3g}"
