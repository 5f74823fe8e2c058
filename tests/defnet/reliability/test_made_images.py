"""What is no photograph is not familiar: pages, plots, windows, noise and flat colours, made here."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from defnet import DataRoots, load_scorer
from defnet.reliability.unfamiliar import UNFAMILIAR, UNLIKE
from iqa_datasets.images import ImageSource

SAMPLES = Path(__file__).parents[3] / "samples"
WORDS = ("of", "the", "and", "to", "in", "is", "that", "with", "for", "as", "on", "be", "at", "by", "this", "were")


def page(generator: np.random.Generator) -> Image.Image:
    """Black text on white."""
    image = Image.new("RGB", (620, 800), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=int(generator.integers(11, 22)))
    for y in range(50, 740, int(generator.integers(20, 34))):
        draw.text((50, y), " ".join(generator.choice(WORDS, 11)), fill="black", font=font)
    return image


def plot(generator: np.random.Generator) -> Image.Image:
    """Axes and lines."""
    image = Image.new("RGB", (640, 480), "white")
    draw, x = ImageDraw.Draw(image), np.arange(60, 620, 4)
    draw.line((60, 20, 60, 430, 620, 430), fill="black", width=2)
    for _ in range(3):
        y = 230 + 150 * np.sin(x / generator.uniform(30, 150) + generator.uniform(0, 6))
        draw.line(
            list(zip(x.tolist(), y.tolist(), strict=True)), fill=tuple(generator.integers(0, 200, 3).tolist()), width=2
        )
    return image


def windows(generator: np.random.Generator) -> Image.Image:
    """A desktop with windows of text."""
    image = Image.new("RGB", (960, 600), tuple(generator.integers(40, 200, 3).tolist()))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13)
    for _ in range(3):
        x, y = int(generator.integers(0, 400)), int(generator.integers(0, 250))
        draw.rectangle((x, y, x + 480, y + 300), fill="#f4f4f4", outline="#888")
        draw.rectangle((x, y, x + 480, y + 22), fill=tuple(generator.integers(0, 256, 3).tolist()))
        for line in range(30, 290, 18):
            draw.text((x + 8, y + line), " ".join(generator.choice(WORDS, 9)), fill="#222", font=font)
    return image


def noise(generator: np.random.Generator) -> Image.Image:
    """Every sample by itself."""
    return Image.fromarray(generator.integers(0, 256, (400, 500, 3), dtype=np.uint8))


def flat(generator: np.random.Generator) -> Image.Image:
    """One colour."""
    return Image.new("RGB", (500, 400), tuple(generator.integers(0, 256, 3).tolist()))


def squares(generator: np.random.Generator) -> Image.Image:
    """A chequered board."""
    side = int(generator.integers(4, 40))
    y, x = np.mgrid[:400, :500] // side
    colours = generator.integers(0, 256, (2, 3), dtype=np.uint8)
    return Image.fromarray(colours[(x + y) % 2])


MADE = (page, plot, windows, noise, flat, squares)


@pytest.mark.slow
def test_photographs_are_told_from_what_is_made() -> None:
    """Forty photographs of session 1's test part, and the model that has not seen them."""
    root = os.environ.get("IQA_DATA_ROOT")
    if not root:
        pytest.skip("IQA_DATA_ROOT is not set: no photographs of LIVE In the Wild's test part")
    scorer = load_scorer("lite2-session1", device="cpu")
    test = DataRoots(Path(root)).load("live-challenge", 1).part("test")
    paths: list[ImageSource] = [test[int(row)].image_path for row in np.linspace(0, len(test) - 1, 40)]
    photographs = np.array([score.familiarity for score in scorer.score(paths)])
    generator = np.random.default_rng(0)
    made = np.array([score.familiarity for score in scorer.score([make(generator) for make in MADE for _ in range(4)])])
    assert (made[:, None] < photographs[None]).mean() >= 0.98  # the area under the ROC curve
    assert (made < UNFAMILIAR).mean() > 0.9
    assert (photographs < UNFAMILIAR).mean() <= 0.1


def test_the_shipped_model_warns_of_what_is_made() -> None:
    scorer = load_scorer(device="cpu")
    generator = np.random.default_rng(1)
    for score in scorer.score([make(generator) for make in (page, windows, noise, flat, squares)]):
        assert score.familiarity < UNFAMILIAR
        assert UNLIKE in score.warnings
    for score in scorer.score([SAMPLES / "astronaut.jpg", SAMPLES / "camera.jpg"]):
        assert score.familiarity >= UNFAMILIAR
        assert UNLIKE not in score.warnings
