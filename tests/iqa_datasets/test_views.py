"""The view for PyTorch and the plots of scores."""

import math
import subprocess
import sys

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


def test_scores_as_published(labelled):
    view = TorchView(labelled)
    assert [view[row]["mos"].item() for row in range(len(view))] == pytest.approx(labelled.records["mos"], rel=1e-6)
    assert TorchView(labelled.select([2]))[0]["mos"].dtype == torch.float32


def test_references(copied):
    fake = copied("kadid-10k")
    dataset = load("kadid-10k", fake.root)
    item = TorchView(dataset, references=True)[3]
    for key, path in (("image", dataset[3].image_path), ("reference", dataset[3].reference_path)):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        assert (item[key].permute(1, 2, 0).numpy() == pixels).all()
    assert not torch.equal(item["image"], item["reference"])
    assert "reference" not in TorchView(dataset)[3]


def crop_alike(image: Image.Image, reference: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    place = int(np.random.default_rng().integers(100))
    box = (place, place, place + 64, place + 64)
    return tuple(torch.from_numpy(np.array(one.crop(box))) for one in (image, reference))


def test_an_image_and_its_reference_are_transformed_together(copied):
    fake = copied("kadid-10k")
    dataset = load("kadid-10k", fake.root)
    batch = next(iter(DataLoader(TorchView(dataset, crop_alike, references=True), batch_size=4)))
    assert batch["image"].shape == batch["reference"].shape == (4, 64, 64, 3)
    view = TorchView(dataset, crop_alike, references=True)
    with Image.open(dataset[0].image_path) as image, Image.open(dataset[0].reference_path) as reference:
        wanted = np.asarray(image.convert("RGB")).astype(int) - np.asarray(reference.convert("RGB"))
    item = view[0]
    difference = item["image"].numpy().astype(int) - item["reference"].numpy()
    assert any((wanted[at : at + 64, at : at + 64] == difference).all() for at in range(100))
    with pytest.raises(DatasetError, match=r"must give back two, the image and its reference, got 1"):
        TorchView(dataset, lambda *images: images[:1], references=True)[0]


def test_references_where_there_are_none(labelled, copied):
    with pytest.raises(DatasetError, match=r"24 of the 24 rows of .* have no reference; leave them out with"):
        TorchView(labelled, references=True)
    some = load("waterloo-exploration", copied("waterloo-exploration").root)
    there = some.records["reference_path"].notna()
    with pytest.raises(DatasetError, match=f"{(~there).sum()} of the {len(some)} rows"):
        TorchView(some, references=True)
    assert len(TorchView(some.select(there), references=True)) == there.sum() > 0
    with pytest.raises(DatasetError, match="at_least would decode an image and its reference at different sizes"):
        TorchView(some, references=True, at_least=100)


def test_large_jpeg_files_are_decoded_smaller(clive):
    path = next(path for path in (clive.root / "Images").glob("*.JPG"))
    Image.effect_noise((2000, 1600), 50).save(path, quality=90)
    dataset = load("live-challenge", clive.root)
    row = [record.image_path for record in dataset].index(str(path))
    assert TorchView(dataset)[row]["image"].shape == (3, 1600, 2000)
    _, height, width = TorchView(dataset, at_least=300)[row]["image"].shape
    assert 300 <= min(height, width) < 800


def test_it_can_be_named_without_torch():
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.split('.')[0] == 'torch': raise ImportError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from iqa_datasets import *\n"
        "try: TorchView(None)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'TorchView needs torch, which cannot be imported: pip install "iqa-datasets[torch]"'


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
