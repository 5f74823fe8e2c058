"""The view for PyTorch and the plots of scores."""

import math

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch.utils.data import DataLoader

from iqa_datasets import DISTORTIONS, SCENES, DatasetError, load, plot_scores
from iqa_datasets.torch_view import TorchView


@pytest.fixture
def labelled(clive):
    return load("live-challenge", clive.root, labels=clive.labels, session=1)


def test_items_are_the_records(labelled):
    view = TorchView(labelled)
    assert len(view) == len(labelled)
    for row, record in enumerate(labelled):
        item = view[row]
        with Image.open(record.image_path) as image:
            pixels = np.asarray(image.convert("RGB"))
        assert item["image"].dtype == torch.uint8
        assert (item["image"].permute(1, 2, 0).numpy() == pixels).all()
        assert item["quality"].item() == pytest.approx(record.quality, rel=1e-6)
        assert DISTORTIONS[item["distortion"]] == record.distortion
        assert tuple(scene for scene, shown in zip(SCENES, item["scenes"], strict=True) if shown) == tuple(
            sorted(record.scenes, key=SCENES.index)
        )
        assert item["row"] == row


def test_without_labels(clive):
    item = TorchView(load("live-challenge", clive.root))[0]
    assert item["distortion"] == -1
    assert item["scenes"].sum() == 0


def shrink(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.resize((32, 24)))).permute(2, 0, 1) / 255


@pytest.mark.parametrize("workers", [0, 2])
def test_in_a_loader(labelled, workers):
    loader = DataLoader(TorchView(labelled.part("train"), shrink), batch_size=5, num_workers=workers)
    batches = list(loader)
    assert batches[0]["image"].shape == (5, 3, 24, 32)
    rows = torch.cat([batch["row"] for batch in batches])
    assert rows.tolist() == list(range(len(labelled.part("train"))))
    quality = torch.cat([batch["quality"] for batch in batches])
    assert torch.allclose(quality, torch.tensor(labelled.part("train").records["quality"].to_numpy(np.float32)))


def test_negative_rows_and_the_end(labelled):
    view = TorchView(labelled)
    assert view[-1]["row"] == len(view) - 1
    for row in (len(view), -len(view) - 1):
        with pytest.raises(IndexError):
            view[row]


# Plots


def test_plot_shows_the_scores(labelled):
    figure = plot_scores(labelled)
    assert isinstance(figure, Figure)
    left, right = figure.axes
    area = sum(bar.get_height() * bar.get_width() for bar in left.patches)
    assert area == pytest.approx(1)
    points = right.lines[0]
    assert sorted(points.get_ydata()) == sorted(labelled.records["mos"])
    density = left.lines[0]
    integral = np.trapezoid(density.get_ydata(), density.get_xdata())
    assert integral == pytest.approx(1, abs=0.05)
    assert "0 to 100, higher = better" in left.get_xlabel()


def test_plot_of_quality(labelled):
    left, right = plot_scores(labelled, score="quality").axes
    assert sorted(right.lines[0].get_ydata()) == sorted(labelled.records["quality"])
    assert "higher = better" in left.get_xlabel()


def test_line_is_the_normal_distribution(labelled):
    _, right = plot_scores(labelled).axes
    (x0, x1), (y0, y1) = right.lines[1].get_data()
    mos = labelled.records["mos"]
    assert (y1 - y0) / (x1 - x0) == pytest.approx(mos.std())
    assert y0 - (y1 - y0) / (x1 - x0) * x0 == pytest.approx(mos.mean())
    assert math.isfinite(x0)


def test_too_few_scores(labelled):
    with pytest.raises(DatasetError, match="has 3 scores; a plot needs 10 or more that differ"):
        plot_scores(labelled.select([0, 1, 2]))
