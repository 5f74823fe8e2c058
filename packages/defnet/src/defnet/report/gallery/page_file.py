"""Writing the page: template, style, scripts, data and thumbnails into one file that forbids itself the network."""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, Final

from defnet.report.gallery.entries import Entry, Gallery
from iqa_datasets.atomic_files import replacing

MODULES: Final = (
    "formats.js",
    "data.js",
    "selection.js",
    "histogram.js",
    "grid.js",
    "photograph.js",
    "dialogs.js",
    "viewer.js",
    "compare.js",
    "main.js",
)
"""The scripts, each after those that it imports from."""

STYLES: Final = ("base.css", "browse.css", "viewer.css")

BLOCK: Final = 200
"""Thumbnails in one element of the page: what is decoded when one of them comes into view."""

_IMPORT: Final = re.compile(r'^import \{([^}]*)\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:function|class|const) )", re.MULTILINE)


def write_page(gallery: Gallery, out: Path, title: str, notes: Sequence[str] = ()) -> int:
    """Write the page, whole or not at all.

    Args:
        gallery: what stands on it.
        out: the file.
        title: what stands at its top.
        notes: sentences about the page as a whole, such as how many images could not be found.

    Returns:
        Its size in bytes.

    Raises:
        OSError: it cannot be written.
    """
    script, style = bundle(), "".join(_asset(name) for name in STYLES)
    small = {
        "policy": policy(script, style),
        "title": html.escape(title.encode("utf-8", "replace").decode("utf-8")),
        "style": style,
        "data": embedded({"title": title, "notes": list(notes), "block": BLOCK} | columns(gallery.entries)),
        "script": script,
    }
    pieces = re.split(r"\{\{(\w+)\}\}", _asset("page.html"))
    with replacing(out) as part, part.open("w", encoding="utf-8", newline="\n") as stream:
        for index, piece in enumerate(pieces):
            if index % 2 == 0:
                stream.write(piece)
            elif piece == "thumbnails":
                for element in _thumbnail_elements(gallery.thumbnails()):
                    stream.write(element)
            else:
                stream.write(small[piece])
    return out.stat().st_size


def bundle() -> str:
    """The scripts as one module: in one file of a page there is nothing that they could import each other from.

    Raises:
        ValueError: a script imports what the one that it names does not export, or that comes after it.
    """
    exported: dict[str, set[str]] = {}
    parts = []
    for name in MODULES:
        text = _asset(name)
        for names, source in _IMPORT.findall(text):
            wanted = {one.strip() for one in names.split(",") if one.strip()}
            if wanted - exported.get(source, set()):
                raise ValueError(f"{name} imports {sorted(wanted - exported.get(source, set()))} from {source}")
        exported[name] = set(re.findall(r"^export (?:function|class|const) (\w+)", text, re.MULTILINE))
        parts.append(_EXPORT.sub("", _IMPORT.sub("", text)))
    return "\n".join(parts)


def policy(script: str, style: str) -> str:
    """What the page may do (Content-Security-Policy): run this script, show this style, pictures of its own and files.

    Nothing is fetched, sent or framed, and no other script runs, whatever a file's name may hold.
    """
    rules = {
        "default-src": "'none'",
        "script-src": _digest(script),
        "style-src": _digest(style),
        "img-src": "'self' file: data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def embedded(value: Any) -> str:
    """JSON that can stand in a script element: no name in it can end the element or begin another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def columns(entries: Sequence[Entry]) -> dict[str, Any]:
    """The rows by column, which is a third of the size of the same as objects. Figures that there are not are null."""
    rows = [entry.row for entry in entries]
    numbers = ("quality", "aleatoric_std", "epistemic_std", "lower", "upper", "familiarity")
    shares = ("scene_probability", "distortion_probability")
    return {
        "count": len(rows),
        "path": [row.path for row in rows],
        "href": [entry.href for entry in entries],
        "size": [entry.size for entry in entries],
        "thumbnail": [int(entry.has_thumbnail) for entry in entries],
        "std": [_rounded(row.std) for row in rows],
        **{name: [_rounded(row.values.get(name, math.nan)) for row in rows] for name in (*numbers, *shares)},
        "scene": [row.scene for row in rows],
        "distortion": [row.distortion for row in rows],
        "frame": [row.frame if row.frames > 1 else 0 for row in rows],
        "frames": [row.frames for row in rows],
        "bytes": [row.file_size for row in rows],
        "modified": [(row.file_modified or "")[:19] for row in rows],
        "warnings": [list(row.warnings) for row in rows],
        "reason": [row.reason for row in rows],
        "local": [_local(entry) for entry in entries],
    }


def _local(entry: Entry) -> list[list[float | None]] | None:
    """Of each sub-image left, top, right, bottom, quality and deviation."""
    if entry.local is None:
        return None
    parts = zip(entry.local.boxes, entry.local.quality, entry.local.std, strict=True)
    return [[*map(round, box), _rounded(quality, 2), _rounded(std, 2)] for box, quality, std in parts]


def _rounded(value: float, decimals: int = 4) -> float | None:
    return round(value, decimals) if math.isfinite(value) else None


def _thumbnail_elements(thumbnails: Iterator[str]) -> Iterator[str]:
    number = 0
    while block := list(islice(thumbnails, BLOCK)):
        yield f'<script type="text/plain" id="thumbnails-{number}">{chr(10).join(block)}</script>\n'
        number += 1


def _asset(name: str) -> str:
    return (files("defnet.report.gallery") / "assets" / name).read_text(encoding="utf-8")
