"""Scores as lines a person reads on a terminal."""

import math

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from defnet.scoring.scores import Score
from iqa_datasets.printed_tables import printable

_FIXED = 68  # everything but the path and the warnings
_NARROWEST, _WIDEST = 16, 48


def path_width(terminal: int) -> int:
    """Columns for the path on a terminal of so many columns."""
    return max(_NARROWEST, min(_WIDEST, terminal - _FIXED))


def header(width: int) -> Text:
    """The table's head.

    Args:
        width: columns for the path.
    """
    line = f"{'image':<{width}}  quality  95 % interval  {'scene':<16}  distortion"
    return Text(line, style="bold", no_wrap=True)


def row(score: Score, width: int) -> Text:
    """One image's line.

    Args:
        score: its score.
        width: columns for the path, whose beginning is cut off where it is longer.
    """
    text = Text(no_wrap=True)
    text.append(_fit(score.path, width))
    text.append(f"  {score.quality:7.2f}", style=_colour(score.quality))
    text.append(f"  {_interval(score):<12}   ")
    text.append(f"{_share(score.scene, score.scene_probability):<16}  ")
    text.append(_share(score.distortion, score.distortion_probability))
    if score.warnings:
        text.append(f"  ({'; '.join(score.warnings)})", style="yellow")
    return text


def _fit(path: str, width: int) -> str:
    path = printable(path)
    if cell_len(path) <= width:
        return set_cell_size(path, width)
    while cell_len(path) > width - 1:
        path = path[1:]
    return set_cell_size(f"…{path}", width)


def _interval(score: Score) -> str:
    return "–" if math.isnan(score.lower) else f"{score.lower:.2f} to {score.upper:.2f}"


def _share(name: str, probability: float) -> str:
    return f"{name} {probability:.0%}" if name else "–"


def _colour(quality: float) -> str:
    return "red" if quality < 2.5 else "yellow" if quality < 3.5 else "green"
