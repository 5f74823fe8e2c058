import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

import iqa_datasets
from iqa_datasets import DISTORTIONS, DatasetError, load
from iqa_datasets.loader_registry import loader_of
from iqa_datasets.testing import make_fake
from iqa_datasets.testing.photographs import DRAWINGS, damage, draw


def digests(folder):
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


@pytest.mark.parametrize("name", iqa_datasets.available())
def test_same_arguments_give_the_same_bytes(originals, name, tmp_path):
    original = originals[name]
    again = make_fake(name, tmp_path / "again", images=len(original.images))
    assert again.images == original.images
    assert digests(tmp_path / "again") == digests(original.root.parent)


@pytest.mark.parametrize("name", iqa_datasets.available())
def test_another_seed_and_number_of_images(originals, name, tmp_path):
    # A prime number of them, so that none of the layouts comes out even.
    fake = make_fake(name, str(tmp_path), images=13, seed=1)
    assert digests(fake.root) != digests(originals[name].root)
    assert len(load(name, fake.root)) == len(fake.images)
    # Some layouts have as many images for each reference.
    assert abs(len(fake.images) - 13) <= 2
    if fake.labels is not None:
        dataset = load(name, fake.root, labels=fake.labels, session=1)
        assert (dataset.records["session_part"].value_counts() > 0).all()


@pytest.mark.parametrize("name", [name for name in iqa_datasets.available() if loader_of(name).liqe is not None])
def test_the_fewest_images_fill_each_part(name, tmp_path):
    fake = make_fake(name, tmp_path, images=10)
    dataset = load(name, fake.root, labels=fake.labels, session=1)
    assert (dataset.records["session_part"].value_counts() > 0).all()


def test_refuses(tmp_path):
    with pytest.raises(DatasetError, match="unknown data set 'livechallenge'; did you mean 'live-challenge'"):
        make_fake("livechallenge", tmp_path)
    with pytest.raises(DatasetError, match=r"images must be 10 or more.*got 9"):
        make_fake("live-challenge", tmp_path, images=9)
    make_fake("live-challenge", tmp_path, images=10)
    with pytest.raises(FileExistsError):
        make_fake("live-challenge", tmp_path, images=10)


def test_pictures_are_mostly_as_large_as_a_crop(originals):
    fake = originals["live-challenge"]
    sides = []
    for record in load(fake.name, fake.root):
        with Image.open(record.image_path) as image:
            assert image.mode == "RGB"
            sides.append(min(image.size))
    assert min(sides) < 224
    assert np.mean(np.array(sides) >= 224) > 0.75


def test_twins_have_the_same_pixels_and_no_others_do(originals):
    fake = originals["live-challenge"]
    dataset = load(fake.name, fake.root)
    pixels: dict[bytes, list[str]] = {}
    for record in dataset:
        with Image.open(record.image_path) as image:
            pixels.setdefault(image.tobytes(), []).append(record.content)
    assert [contents for contents in pixels.values() if len(contents) > 1] == [["Images/246.bmp"] * 2]


@pytest.mark.parametrize("distortion", DISTORTIONS)
@pytest.mark.parametrize("scene", DRAWINGS)
def test_damage_grows_with_severity(scene, distortion):
    image = draw(scene, 96, 128, np.random.default_rng(1))
    assert image.shape == (96, 128, 3)
    assert image.min() >= 0
    assert image.max() <= 1
    assert image.std() > 0.03
    errors = [
        np.mean((damage(image, distortion, severity, np.random.default_rng(2)) - image) ** 2)
        for severity in (0, 0.1, 0.4, 0.7, 1)
    ]
    assert errors[0] == pytest.approx(0, abs=1e-12)
    assert (np.diff(errors) > 0).all()


def test_unknown_damage():
    with pytest.raises(ValueError, match="distortion must be one of blur, color-related"):
        damage(np.zeros((2, 2, 3)), "lens", 0.5, np.random.default_rng(0))


def test_scores_can_be_learnt_from_the_pixels(tmp_path):
    # One plain measure per fault, which knows nothing of how the pictures were made, must follow the scores.
    fake = make_fake("live-challenge", tmp_path, images=48, seed=5)
    dataset = load(fake.name, fake.root, labels=fake.labels)
    measures = {
        "blur": lambda grey: np.abs(np.diff(grey, 2)).mean() / np.abs(np.diff(grey)).mean(),
        "noise": lambda grey: -np.median(np.abs(np.diff(grey, 2))),
        "under-exposure": lambda grey: np.quantile(grey, 0.99),
        "contrast": lambda grey: grey.std(),
    }
    for distortion, measure in measures.items():
        scores, values = [], []
        for record in dataset.select(dataset.records["distortion"] == distortion):
            if record.content == "Images/246.bmp":
                continue
            with Image.open(record.image_path) as image:
                values.append(measure(np.asarray(image.convert("L"), dtype=float)))
            scores.append(record.mos)
        assert spearmanr(scores, values).statistic > 0.6, distortion
