"""Made-up pages: rows with thumbnails of plain colours."""

import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from defnet.report.gallery.entries import Gallery
from defnet.report.gallery.page_file import write_page
from defnet.scoring.pictures import LocalQuality
from defnet.scoring.scored_tables import ScoredRow, failed_row


class ReadPage(HTMLParser):
    """What a browser finds in a page: its scripts by what they are, its data, its rules."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.tags: list[str] = []
        self.policy = ""
        self._inside: str | None = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag == "style":
            self.styles.append("")
        if tag in ("script", "style"):
            self._inside = tag
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self._inside == "style":
            self.styles[-1] += data

    def by_id(self, name: str) -> str:
        [text] = [text for attributes, text in self.scripts if attributes.get("id") == name]
        return text

    @property
    def program(self) -> str:
        [text] = [text for attributes, text in self.scripts if attributes.get("type") == "module"]
        return text

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.by_id("data"))
        return found

    @property
    def thumbnails(self) -> list[str]:
        blocks = [text for attributes, text in self.scripts if (attributes.get("id") or "").startswith("thumbnails-")]
        return [line for block in blocks for line in block.split("\n")]


@pytest.fixture(scope="session")
def read_page() -> Callable[[Path], ReadPage]:
    return ReadPage


def small_picture(colour: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(stream, "WEBP", quality=50)
    return stream.getvalue()


@pytest.fixture(scope="session")
def make_page() -> Callable[..., Path]:
    """Writes a page of `count` images whose qualities rise from 1 to 5 with their number, and one that failed."""

    def make(path: Path, count: int = 24, *, failed: bool = True, title: str = "Holiday") -> Path:
        pictures = [small_picture((20 * k, 255 - 20 * k, 90)) for k in range(12)]
        local = LocalQuality(
            (640, 480), ((0.0, 0.0, 224.0, 224.0), (416.0, 256.0, 640.0, 480.0)), (1.5, 4.5), (0.4, 0.6)
        )
        with Gallery() as gallery:
            for number in range(count):
                quality = 1 + 4 * number / max(1, count - 1)
                values = {
                    "quality": quality,
                    "aleatoric_std": 0.3 + 0.3 * (number % 7) / 6,
                    "epistemic_std": 0.1,
                    "lower": max(1.0, quality - 0.8),
                    "upper": min(5.0, quality + 0.8),
                    "familiarity": (number % 50 + 1) / 50,
                    "scene_probability": 0.9,
                    "distortion_probability": 0.8,
                }
                row = ScoredRow(
                    f"trip/{'a' if number % 2 else 'b'}/img{number:05d}.jpg",
                    values,
                    scene=("human", "animal", "plant")[number % 3],
                    distortion=("blur", "others")[number % 2],
                    file_size=1_234_567,
                    file_modified="2026-05-04T10:11:12.000000000Z",
                    warnings=("unlike the photographs this model was trained on",) if number % 50 == 0 else (),
                )
                gallery.add(row, pictures[number % len(pictures)], local if number % 2 else None)
            if failed:
                gallery.add(failed_row("trip/torn.jpg", "is damaged or truncated"))
            write_page(gallery, path, title, ["2 photographs could not be found"])
        return path

    return make
