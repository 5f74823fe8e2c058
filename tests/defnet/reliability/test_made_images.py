"""What is no photograph is not familiar: pages, plots, windows, noise and flat colours, made here."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from clip_iqa_backbone import CropPlan
from defnet import DataRoots, Scorer, load_scorer
from defnet.reliability.descriptors import describe
from defnet.reliability.familiarity import Familiarity
from defnet.reliability.unfamiliar import UNFAMILIAR
from defnet.scoring.seen import Seen, look
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


def described(scorer: Scorer, images: list[ImageSource]) -> torch.Tensor:
    plan = CropPlan(kind="grid", count=6, size=224)
    rows = []
    for image in images:
        seen = look(image, plan)
        assert isinstance(seen, Seen)
        with torch.inference_mode():
            local, whole = scorer.model.features(
                torch.from_numpy(seen.local[None]), torch.from_numpy(seen.global_view[None])
            )
        assert whole is not None
        rows.append(describe(local, whole))
    return torch.cat(rows)


@pytest.mark.slow
def test_photographs_are_told_from_what_is_made() -> None:
    """LIVE In the Wild's own photographs, a hundred to know and thirty new ones, under the shipped trunk."""
    root = os.environ.get("IQA_DATA_ROOT")
    if not root:
        pytest.skip("IQA_DATA_ROOT is not set: no LIVE In the Wild to be familiar with")
    scorer = load_scorer("lite", device="cpu")
    train = DataRoots(Path(root)).load("live-challenge", 1).part("train")
    paths: list[ImageSource] = [train[int(row)].image_path for row in np.linspace(0, len(train) - 1, 130)]
    photographs = described(scorer, paths)
    fold = np.arange(130) % 4
    known = photographs[fold != 0]
    own = Familiarity.fit(known, 8)
    halves = torch.empty(len(known), dtype=torch.float64)
    for half in (0, 1):
        halves[half::2] = Familiarity.fit(known[1 - half :: 2], 8).distance(known[half::2])
    own = own.with_distances(halves)
    generator = np.random.default_rng(0)
    made = own.distance(described(scorer, [make(generator) for make in MADE for _ in range(4)]))
    new = own.distance(photographs[fold == 0])
    assert (new[:, None] < made[None]).double().mean() >= 0.98  # the area under the ROC curve
    assert (own.familiarity(made) < UNFAMILIAR).double().mean() > 0.9
    assert (own.familiarity(new) < UNFAMILIAR).double().mean() <= 0.1


def test_the_shipped_model_warns_of_what_is_made_and_not_of_photographs() -> None:
    scorer = load_scorer("lite", device="cpu")
    if scorer.reliability is None:
        pytest.skip("the shipped model has not been calibrated on what it has not seen")
    generator = np.random.default_rng(1)
    for score in scorer.score([make(generator) for make in MADE]):
        assert score.familiarity < UNFAMILIAR
        assert any(warning.startswith("unlike the photographs") for warning in score.warnings)
    photographs = scorer.score([SAMPLES / f"{name}.jpg" for name in ("chelsea", "coffee", "rocket")])
    assert sum(score.familiarity >= UNFAMILIAR for score in photographs) >= 2
