"""The distortions, one by one against what they promise, and the folder that is made of them."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import piq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.filters import threshold_multiotsu

from iqa_datasets import DISTORTIONS, DatasetError, distortion_class, load, open_image, synthesize
from iqa_datasets.synthesis import DISTORTION_TYPES, LEVELS, capture, chosen_types, kadid
from iqa_datasets.synthesis.contact_sheets import contact_sheet, write_contact_sheets
from iqa_datasets.synthesis.pixels import (
    from_lab,
    from_ycbcr,
    to_bytes,
    to_lab,
    to_linear,
    to_pixels,
    to_srgb,
    to_ycbcr,
)
from iqa_datasets.testing.photographs import draw

TYPES = {one.code: one for one in DISTORTION_TYPES}
each_type = pytest.mark.parametrize("one", DISTORTION_TYPES, ids=lambda one: one.name)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return to_bytes(draw("plant", 144, 192, rng(3)).astype(np.float32))


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    return np.full((120, 160, 3), 0.5, dtype=np.float32)


# The catalogue


def test_all_of_kadid_and_capture():
    assert [one.code for one in DISTORTION_TYPES] == [f"{number:02d}" for number in range(1, 26)] + [
        f"c{number}" for number in range(1, 6)
    ]
    assert len({one.name for one in DISTORTION_TYPES}) == 30


@each_type
def test_names_and_severities(one):
    assert one.distortion == distortion_class(one.liqe_name)
    assert one.distortion in DISTORTIONS
    assert len(one.settings) == len(one.severity) == 5
    assert set(one.severity) == set(range(1, max(one.severity) + 1))


@each_type
def test_from_level_to_level_the_setting_rises_or_falls(one):
    assert len(one.settings) == 5
    assert abs(np.sign(np.diff(one.settings)).sum()) == 4


def test_settings_go_both_ways_where_kadids_do():
    assert [one.code for one in DISTORTION_TYPES if one.severity != (1, 2, 3, 4, 5)] == ["18", "25"]
    # Distance from the setting that leaves the image as it is; of contrast change, the two ends count as equally far.
    for code, centre in (("18", 0.0), ("25", -0.2)):
        one = TYPES[code]
        departure = [round(abs(setting - centre), 6) for setting in one.settings]
        if code == "25":
            departure = [0.5 if value == 0.4 else value for value in departure]
        order = sorted(set(departure))
        assert [order.index(value) + 1 for value in departure] == list(one.severity)


def test_names_agree_with_the_label_files(data_root):
    """LIQE's files name every code of KADID-10k alike, but for 07 and 08, which they swap."""
    names = {}
    for line in (
        next((data_root / "liqe-labels/IQA_Database/kadid10k/splits2/1").glob("*train*")).read_text().splitlines()
    ):
        path, _, name, *_ = line.split("\t")
        names[path.split("_")[1]] = name
    ours = {code: TYPES[code].liqe_name for code in names}
    assert {code for code in names if names[code] != ours[code]} == {"07", "08"}
    assert (names["07"], names["08"]) == (ours["08"], ours["07"])


def test_real_scores_confirm_the_order_of_severity(data_root):
    """The mean score of KADID-10k's own images falls with every step of severity, but for one."""
    table = pd.read_csv(data_root / "scores/vqmt_kadid10k.csv")
    other_way = set()
    for one in DISTORTION_TYPES[:25]:
        rows = table[table["dst_type"] == int(one.code)]
        severity = rows["dst_lev"].map(dict(zip(LEVELS, one.severity, strict=True)))
        means = rows.groupby(severity)["dmos"].mean()
        if not (means.diff().dropna() < 0).all():
            other_way.add(one.code)
    # Color shift: raters find levels 4 and 5 equally bad, 1.85 and 1.86.
    assert other_way == {"05"}


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (["blurs"], ["01", "02", "03"]),
        (["jpeg", "10"], ["10"]),
        (["capture", "noise"], ["11", "12", "13", "14", "15", "c1", "c2", "c3", "c4", "c5"]),
    ],
)
def test_chosen(words, codes):
    assert [one.code for one in chosen_types(words)] == codes
    assert len(chosen_types(["kadid"])) == 25
    assert len(chosen_types(None)) == 30


def test_chosen_refuses():
    with pytest.raises(DatasetError, match="unknown distortion type 'jpg'; did you mean 'jpeg'"):
        chosen_types(["jpg"])
    with pytest.raises(DatasetError, match="one distortion type or more"):
        chosen_types([])


# What all do


@each_type
def test_shape_type_and_input_kept(one, picture):
    before = picture.copy()
    for level in LEVELS:
        made = one.apply(picture, level, rng())
        assert made.dtype == np.uint8
        assert made.shape == picture.shape
    assert (picture == before).all()


@each_type
def test_same_generator_same_pixels(one, picture):
    first, second, third = (one.apply(picture, 4, rng(seed)) for seed in (1, 1, 2))
    assert (first == second).all()
    assert (first != third).any() == one.random


@each_type
def test_odd_and_small_sizes(one):
    for height, width in ((49, 97), (64, 48)):
        image = rng().integers(0, 256, (height, width, 3), dtype=np.uint8)
        assert one.apply(image, 5, rng()).shape == image.shape


@each_type
@pytest.mark.parametrize("value", [0, 255])
def test_flat_images(one, value):
    made = one.apply(np.full((64, 80, 3), value, dtype=np.uint8), 5, rng())
    assert made.shape == (64, 80, 3)


@pytest.mark.parametrize(
    ("image", "level", "message"),
    [
        (np.zeros((50, 50, 3), np.uint8), 6, "level must be 1 to 5, got 6"),
        (np.zeros((50, 50, 3)), 1, "must be uint8"),
        (np.zeros((50, 50), np.uint8), 1, r"of shape \(H, W, 3\)"),
        (np.zeros((0, 50, 3), np.uint8), 1, "of shape"),
    ],
)
def test_refusals(image, level, message):
    with pytest.raises(DatasetError, match=message):
        TYPES["01"].apply(image, level, rng())


@pytest.mark.parametrize(("code", "side"), [("20", 48), ("23", 32)])
def test_too_small_for_patches(code, side):
    image = np.zeros((side - 1, 200, 3), np.uint8)
    with pytest.raises(DatasetError, match=f"needs an image of {side}x{side} pixels or more, got 200x{side - 1}"):
        TYPES[code].apply(image, 1, rng())
    assert TYPES[code].apply(np.zeros((side, 200, 3), np.uint8), 1, rng()).shape == (side, 200, 3)


# Each against what it promises


@pytest.mark.parametrize("deviation", TYPES["01"].settings[1:])
def test_gaussian_blur_is_one(deviation):
    point = np.zeros((101, 101, 3), np.float32)
    point[50, 50] = 1
    spread = kadid.gaussian_blur(point, deviation)[..., 0]
    place = np.arange(101) - 50
    assert spread.sum() == pytest.approx(1, abs=1e-4)
    # A Gaussian sampled at pixels is a little wider than itself where it is narrow.
    assert (spread.sum(1) * place**2).sum() == pytest.approx(deviation**2, rel=0.02, abs=0.04)


@pytest.mark.parametrize("radius", [1, 2, 4, 6, 8, 3.5])
def test_disk(radius):
    kernel = kadid.disk(radius)
    side = kernel.shape[0]
    place = np.arange(side) - side // 2
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    assert (kernel == kernel.T).all()
    # The second moment of an even disk is a quarter of its radius squared; a pixel's own width adds a twelfth.
    assert (kernel.sum(1) * place**2).sum() == pytest.approx(radius**2 / 4, abs=0.15)
    assert kernel.max() == pytest.approx(1 / (np.pi * radius**2), rel=0.03)


def test_convolution_is_scipys(picture):
    image, kernel = to_pixels(picture), kadid.disk(4)
    from scipy.ndimage import convolve

    expected = np.stack([convolve(image[..., plane], kernel, mode="nearest") for plane in range(3)], axis=2)
    np.testing.assert_allclose(kadid.convolve(image, kernel), expected, atol=2e-6)


def test_blurs_keep_the_mean_of_light(picture):
    image = np.pad(to_pixels(picture), ((40, 40), (40, 40), (0, 0)))
    for blurred in (kadid.lens_blur(image, 8), kadid.motion_blur(image, 10, rng())):
        assert blurred.mean() == pytest.approx(image.mean(), rel=1e-4)
    for blurred in (capture.defocus(image, 5.5), capture.camera_shake(image, 22, rng())):
        assert to_linear(blurred).mean() == pytest.approx(to_linear(image).mean(), rel=1e-3)


@pytest.mark.parametrize("length", [4, 8, 14, 22, 32])
def test_camera_shake_is_as_long_as_said(length):
    point = np.zeros((101, 101, 3), np.float32)
    point[50, 50] = 1
    for seed in range(5):
        light = to_linear(capture.camera_shake(point, length, rng(seed)))[..., 0]
        rows, columns = np.nonzero(light > 1e-4)
        reach = np.hypot(np.ptp(rows), np.ptp(columns))
        assert 0.3 * length < reach <= length + 4


def test_color_diffusion_keeps_lightness(picture):
    image = to_pixels(picture) * 0.4 + 0.3  # dull enough to stay in the gamut
    lab, made = to_lab(image), to_lab(kadid.color_diffusion(image, 1))
    np.testing.assert_allclose(made[..., 0], lab[..., 0], atol=0.5)
    expected = gaussian_filter(lab[..., 1:], (3.5, 3.5, 0), mode="nearest")
    np.testing.assert_allclose(made[..., 1:], expected, atol=0.5)


def test_color_shift_moves_green_alone(picture):
    image = to_pixels(picture)
    made = kadid.color_shift(image, 12, rng())
    assert (made[..., [0, 2]] == image[..., [0, 2]]).all()
    assert (made[..., 1] != image[..., 1]).mean() > 0.3


@pytest.mark.parametrize("colors", [64, 8])
def test_color_quantization_counts_colours(picture, colors):
    made = to_bytes(kadid.color_quantization(to_pixels(picture), colors))
    assert len(np.unique(made.reshape(-1, 3), axis=0)) <= colors


def test_saturation(picture):
    from colorsys import hsv_to_rgb, rgb_to_hsv

    image = to_pixels(picture)
    for factor in (0.4, 0.1):
        made = kadid.color_saturation_hsv(image, factor)
        for row, column in ((3, 5), (50, 60), (100, 150)):
            hue, saturation, value = rgb_to_hsv(*map(float, image[row, column]))
            assert made[row, column] == pytest.approx(hsv_to_rgb(hue, factor * saturation, value), abs=1e-5)
    assert np.ptp(kadid.color_saturation_hsv(image, 0), axis=2).max() < 1e-6
    assert (kadid.color_saturation_lab(image, 1) == image).all()
    dull = image * 0.2 + 0.4
    np.testing.assert_allclose(
        to_lab(kadid.color_saturation_lab(dull, 2))[..., 1:], 2 * to_lab(dull)[..., 1:], atol=0.6
    )


def test_compression_by_the_same_codec(picture):
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=24, subsampling=2)
    assert (TYPES["10"].apply(picture, 3, rng()) == np.asarray(Image.open(stream))).all()
    stream = io.BytesIO()
    large = to_bytes(draw("plant", 384, 512, rng()).astype(np.float32))
    Image.fromarray(large).save(stream, "JPEG2000", quality_mode="rates", quality_layers=[45], irreversible=True)
    assert (TYPES["09"].apply(large, 3, rng()) == np.asarray(Image.open(stream))).all()
    assert large.nbytes / stream.tell() == pytest.approx(45, rel=0.15)


@pytest.mark.parametrize("variance", [0.001, 0.01])
def test_noise_has_its_variance(grey, variance):
    assert (kadid.white_noise(grey, variance, rng()) - grey).var() == pytest.approx(variance, rel=0.03)
    speckle = kadid.multiplicative_noise(grey, variance, rng()) / grey - 1
    assert speckle.var() == pytest.approx(variance, rel=0.03)
    assert np.abs(speckle).max() <= np.sqrt(3 * variance) * 1.001
    planes = to_ycbcr(kadid.white_noise_ycbcr(grey, variance, rng()))
    assert planes.var(axis=(0, 1)) == pytest.approx([variance] * 3, rel=0.05)


@pytest.mark.parametrize("density", [0.01, 0.03])
def test_impulses_have_their_density(grey, density):
    noisy = kadid.impulse_noise(grey, density, rng())
    for value in (0.0, 1.0):
        assert (noisy == value).mean() == pytest.approx(density / 2, rel=0.15)
    assert set(np.unique(noisy)) == {0.0, 0.5, 1.0}


def test_denoise_removes_most_of_its_noise(grey):
    assert kadid.denoise(grey, 0.01, rng()).std() < 0.3 * 0.1


def test_tone_curves(grey):
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None, :, None].repeat(3, axis=2).repeat(2, axis=0)
    half = np.full((2, 2, 3), 0.5, np.float32)
    for amount in TYPES["17"].settings:
        assert kadid.darken(half, amount) == pytest.approx(np.full((2, 2, 3), 0.5 - amount / 2), abs=1e-6)
        assert (np.diff(np.clip(kadid.darken(ramp, amount)[0, :, 0], 0, 1)) >= 0).all()
    for amount in TYPES["16"].settings:
        brighter = kadid.brighten(ramp, amount)[0, :, 0]
        assert (brighter >= ramp[0, :, 0] - 1e-3).all()
        assert brighter[[0, -1]] == pytest.approx([0, 1], abs=2e-3)
    for amount in TYPES["25"].settings:
        curve = kadid.contrast_change(ramp, amount)[0, :, 0]
        assert np.interp([0.3, 0.5, 0.7], ramp[0, :, 0], curve) == pytest.approx(
            [0.25 - amount / 4, 0.5, 0.75 + amount / 4], abs=2e-3
        )
        assert (np.diff(curve) >= 0).all()
    np.testing.assert_allclose(kadid.contrast_change(ramp, -0.2), ramp, atol=1e-6)


def test_mean_shift(picture):
    image = to_pixels(picture) * 0.5 + 0.25
    for shift in TYPES["18"].settings:
        assert (kadid.mean_shift(image, shift) - image).mean() == pytest.approx(shift, abs=1e-6)
    assert (TYPES["18"].apply(picture, 3, rng()) == picture).all()


def test_jitter_moves_pixels_by_its_deviation():
    ramp = np.tile(np.arange(200, dtype=np.float32)[None, :, None], (200, 1, 3)) / 255
    moved = (kadid.jitter(ramp, 0.5, rng())[20:-20, 20:-20] - ramp[20:-20, 20:-20]) * 255
    # Five rounds of deviation 0.5, each averaged by the interpolation of those after it.
    assert 0.5 < moved.std() < 0.5 * np.sqrt(5)
    assert moved.mean() == pytest.approx(0, abs=0.02)


def test_patches_come_from_sixteen_pixels_away():
    place = np.arange(200 * 240, dtype=np.float32).reshape(200, 240)
    image = np.repeat(place[..., None], 3, axis=2)
    made = kadid.non_eccentricity_patch(image, 1, rng())[..., 0]
    changed = np.argwhere(made != place)
    assert len(changed) == 16 * 16
    came_from = np.array([np.unravel_index(int(made[row, column]), place.shape) for row, column in changed])
    assert np.hypot(*(came_from - changed).T) == pytest.approx([16] * 256, abs=0.75)


def test_pixelate_keeps_values(picture):
    made = to_bytes(kadid.pixelate(to_pixels(picture), 0.5))
    assert {tuple(pixel) for pixel in made.reshape(-1, 3)} <= {tuple(pixel) for pixel in picture.reshape(-1, 3)}
    scale = 0.95 - 0.5**0.6
    assert len(np.unique(made.reshape(-1, 3), axis=0)) <= int(scale * 192) * int(scale * 144)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_otsu_is_scikit_images(picture, count):
    samples = picture[..., 1]
    ours = kadid.otsu_thresholds(np.bincount(samples.ravel(), minlength=256), count)
    theirs = threshold_multiotsu(samples, classes=count + 1, nbins=256)

    def variance_within(thresholds):
        steps = np.digitize(samples, thresholds, right=True)
        return sum(((samples[steps == step] - samples[steps == step].mean()) ** 2).sum() for step in np.unique(steps))

    assert variance_within(ours) <= variance_within(theirs) * 1.0001


@given(st.lists(st.integers(0, 20), min_size=256, max_size=256), st.integers(1, 25))
def test_otsu_on_any_histogram(histogram, count):
    counts = np.array(histogram)
    counts[7] += 1
    thresholds = kadid.otsu_thresholds(counts, count)
    assert (np.diff(thresholds) > 0).all()
    assert len(thresholds) == max(1, min(count, np.count_nonzero(counts) - 1))


def test_quantization_has_its_levels(picture):
    for level, thresholds in enumerate(TYPES["22"].settings, start=1):
        assert len(np.unique(TYPES["22"].apply(picture, level, rng()))) <= thresholds + 1


def test_color_blocks_cover_their_area(grey):
    for blocks in (2, 10):
        covered = (kadid.color_block(grey, blocks, rng()) != grey).any(axis=2).sum()
        assert 32 * 32 <= covered <= blocks * 32 * 32


def test_sharpening_is_the_laplacian(picture):
    image = to_pixels(picture) * 0.3 + 0.35
    lightness = to_lab(image)[..., 0]
    laplacian = sum(np.gradient(np.gradient(lightness, axis=axis), axis=axis) for axis in (0, 1))
    made = to_lab(kadid.high_sharpen(image, 0.5))[..., 0]
    np.testing.assert_allclose(made, lightness - 0.5 * laplacian, atol=1.0)
    assert np.abs(made - (lightness - 0.5 * laplacian)).mean() < 0.1


@pytest.mark.parametrize("stops", [1, 3])
def test_exposure_is_in_stops(stops):
    light = np.full((60, 60, 3), 0.1, np.float32)
    darker = to_linear(capture.under_exposure(to_srgb(light), stops, rng()))
    assert darker.mean() == pytest.approx(0.1 / 2**stops, rel=0.03)
    brighter = to_linear(capture.over_exposure(to_srgb(light / 8), stops))
    assert brighter.mean() == pytest.approx(0.1 / 8 * 2**stops, rel=0.01)


def test_sensor_noise_grows_with_light_and_gain():
    def noise(light, gain):
        flat = np.full((100, 100, 3), light, np.float32)
        return (to_linear(capture.sensor_noise(to_srgb(flat), gain, rng())) - flat).std()

    assert noise(0.1, 16) < noise(0.4, 16) < noise(0.4, 40)
    # Shot noise: twice the deviation for four times the light.
    assert noise(0.4, 16) / noise(0.1, 16) == pytest.approx(2, rel=0.1)


@given(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3))
@settings(max_examples=50)
def test_colour_spaces_come_back(colour):
    pixels = np.array(colour, np.float32).reshape(1, 1, 3)
    np.testing.assert_allclose(to_srgb(to_linear(pixels)), pixels, atol=1e-5)
    np.testing.assert_allclose(from_ycbcr(to_ycbcr(pixels)), pixels, atol=1e-5)
    np.testing.assert_allclose(from_lab(to_lab(pixels)), pixels, atol=2e-3)


# Severity, on real photographs

BY_COLOUR = {"04", "05", "07", "08", "16", "17", "18", "25", "c3", "c4"}
MEASURED = Path(__file__).parents[2] / "packages" / "iqa-datasets" / "benchmarks" / "severity.csv"


@each_type
def test_measured_means_go_the_way_of_severity(one):
    """VSI, MS-SSIM, GMSD and CIEDE2000 over 20 photographs, as the script and the documentation say."""
    table = pd.read_csv(MEASURED, dtype={"code": "str"})
    assert set(table["code"]) == set(TYPES)
    rows = table[table["code"] == one.code]
    assert (rows["type"] == one.name).all()
    assert tuple(rows["level"]) == LEVELS
    assert tuple(rows["severity"]) == one.severity
    means = rows.groupby("severity")[["VSI", "MS-SSIM", "GMSD", "CIEDE2000"]].mean().diff().dropna()
    rising = means * [-1, -1, 1, 1] > 0
    # GMSD knows no colour; to VSI, complementary colours are no worse than grey.
    blind = {"05": ["GMSD"], "07": ["VSI"]}.get(one.code, [])
    assert rising.drop(columns=blind).all(axis=None)
    for measure in blind:
        assert rising[measure].tolist() == [True, True, True, False]


@pytest.fixture(scope="module")
def photographs(request):
    data_root = request.getfixturevalue("data_root")
    best = load("live-challenge", data_root / "ChallengeDB_release").records.nlargest(20, "mos")["image_path"]
    return [np.asarray(ImageOps.fit(open_image(path), (162, 162), Image.Resampling.LANCZOS)) for path in best]


def lumas(images):
    weights = torch.tensor([0.299, 0.587, 0.114])
    return (torch.from_numpy(np.stack(images)) / 255 @ weights)[:, None]


@each_type
def test_levels_rise_in_severity(one, photographs):
    """Over the 20 best rated photographs of LIVE In the Wild, at 162 x 162 (the least for MS-SSIM) and without VSI.

    benchmarks/synthesize.py takes 512 x 384, and VSI too, which is slow. Luma is compared, and every fourth colour.
    """
    references = lumas(photographs)
    means = {}
    for level in LEVELS:
        made = [one.apply(image, level, rng(number)) for number, image in enumerate(photographs)]
        if one.code in BY_COLOUR:
            difference = [
                deltaE_ciede2000(rgb2lab(before[::2, ::2]), rgb2lab(after[::2, ::2])).mean()
                for before, after in zip(photographs, made, strict=True)
            ]
            found = [float(np.mean(difference))]
        else:
            found = [
                -piq.multi_scale_ssim(lumas(made), references).item(),
                piq.gmsd(lumas(made), references).item(),
            ]
        means.setdefault(one.severity[level - 1], []).append(found)
    steps = np.array([np.mean(means[severity], axis=0) for severity in sorted(means)])
    assert (np.diff(steps, axis=0) > 0).all(), steps


# The folder


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b é.jpg", "more/a.bmp")):
        picture = Image.fromarray(to_bytes(draw("plant", 80, 100, rng(number)).astype(np.float32)))
        picture.save(folder / name)
    (folder / "notes.txt").write_text("no photograph")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_made(source, tmp_path):
    out = tmp_path / "made"
    made = synthesize(source, out, types=["jpeg", "mean-shift"], levels=[1, 3], workers=1)
    assert made.made == 3 * 2 * 2
    assert made.failures == ()
    table = pd.read_csv(out / "records.csv", dtype={"code": "str"})
    pd.testing.assert_frame_equal(table, made.records)
    assert set(table["reference"]) == {"references/a.png", "references/b é.png", "references/more/a.png"}
    for row in table.itertuples():
        with Image.open(out / row.image) as image, Image.open(out / row.reference) as reference:
            assert image.size == reference.size
            expected = TYPES[row.code].apply(np.asarray(reference), row.level, rng())
            assert (np.asarray(image) == expected).all()
        assert row.distortion == TYPES[row.code].distortion
        assert row.severity == TYPES[row.code].severity[row.level - 1]
    assert (open_image(source / "a.png").tobytes()) == open_image(out / "references/a.png").tobytes()


def test_loads_as_a_data_set(source, tmp_path):
    synthesize(source, tmp_path / "made", types=["jpeg", "c5"], workers=1)
    dataset = load("folder", tmp_path / "made")
    assert len(dataset) == 3 * 2 * 5
    assert set(dataset.records["distortion"]) == {"JPEG compression", "noise"}
    assert dataset.records["content"].nunique() == 3
    assert set(dataset.records["level"]) == {1, 2, 3, 4, 5}
    assert dataset.records["quality"].isna().all()
    assert dataset.records["reference_path"].map(os.path.isfile).all()


def test_the_same_on_several_processes(source, tmp_path):
    for workers in (1, 2):
        synthesize(source, tmp_path / str(workers), types=["white-noise", "jitter", "c1"], workers=workers, seed=5)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_seed_and_name_decide(source, tmp_path):
    for seed in (1, 2):
        synthesize(source, tmp_path / str(seed), types=["white-noise"], levels=[5], workers=1, seed=seed)
    one, other = contents(tmp_path / "1"), contents(tmp_path / "2")
    assert one["images/a_11_05.png"] != other["images/a_11_05.png"]
    # Another photograph beside it changes nothing.
    (source / "b é.jpg").unlink()
    synthesize(source, tmp_path / "3", types=["white-noise"], levels=[5], workers=1, seed=1)
    assert contents(tmp_path / "3")["images/a_11_05.png"] == one["images/a_11_05.png"]


def test_a_draw_is_even_over_types_and_another_for_each_photograph(source, tmp_path):
    chosen = {"types": ["jpeg", "white-noise", "gaussian-blur"], "workers": 1}
    few = synthesize(source, tmp_path / "few", per_photograph=4, **chosen)
    more = synthesize(source, tmp_path / "more", per_photograph=7, **chosen)
    for _, rows in few.records.groupby("reference"):
        assert sorted(rows["code"].value_counts()) == [1, 1, 2]
    for _, rows in more.records.groupby("reference"):
        assert sorted(rows["code"].value_counts()) == [2, 2, 3]
        assert not rows.duplicated(["code", "level"]).any()
    drawn = few.records.groupby("reference").apply(
        lambda rows: frozenset(zip(rows["code"], rows["level"], strict=True))
    )
    assert drawn.nunique() == 3
    assert set(few.records["image"]) < set(more.records["image"])
    assert contents(tmp_path / "few/images").items() <= contents(tmp_path / "more/images").items()
    assert synthesize(source, tmp_path / "few", per_photograph=4, **chosen).made == 0
    assert len(synthesize(source, tmp_path / "few", per_photograph=99, **chosen).records) == 3 * 15
    with pytest.raises(DatasetError, match="per_photograph must be 1 or more, got 0"):
        synthesize(source, tmp_path / "none", per_photograph=0)


def test_what_a_distortion_leaves_as_it_was_can_be_left_out(source, tmp_path):
    made = synthesize(source, tmp_path / "made", types=["mean-shift"], unchanged=False, workers=1)
    assert set(made.records["level"]) == {1, 2, 4, 5}
    assert (made.made, made.failures) == (3 * 4, ())
    assert not (tmp_path / "made/images/a_18_03.png").exists()
    assert synthesize(source, tmp_path / "made", types=["mean-shift"], workers=1).made == 3


def test_goes_on_where_it_stopped(source, tmp_path):
    out = tmp_path / "made"
    arguments = {"types": ["jpeg", "impulse-noise"], "workers": 1}
    synthesize(source, out, **arguments)
    whole = contents(out)
    kept = (out / "images/a_10_01.png").stat().st_mtime_ns
    for name in ("images/a_13_02.png", "records.csv", "references/more/a.png"):
        (out / name).unlink()
    made = synthesize(source, out, **arguments)
    assert contents(out) == whole
    assert made.made == 1
    assert (out / "images/a_10_01.png").stat().st_mtime_ns == kept
    assert synthesize(source, out, **arguments).made == 0


def test_more_types_later(source, tmp_path):
    out = tmp_path / "made"
    synthesize(source, out, types=["jpeg"], levels=[2], workers=1)
    made = synthesize(source, out, types=["blurs"], levels=[1], workers=1)
    assert sorted(set(made.records["code"])) == ["01", "02", "03", "10"]
    whole = tmp_path / "whole"
    synthesize(source, whole, types=["jpeg"], levels=[2], workers=1)
    synthesize(source, whole, types=["01"], levels=[1], workers=1)
    synthesize(source, whole, types=["02", "03"], levels=[1], workers=1)
    assert contents(out) == contents(whole)


def test_damaged_photograph_is_told_and_the_others_are_made(source, tmp_path):
    (source / "bad.png").write_bytes((source / "a.png").read_bytes()[:500])
    Image.new("RGB", (20, 20)).save(source / "tiny.png")
    made = synthesize(source, tmp_path / "made", types=["color-block"], workers=1)
    reasons = {Path(failure.source).name: failure.reason for failure in made.failures}
    assert set(reasons) == {"bad.png", "tiny.png"}
    assert "damaged or truncated" in reasons["bad.png"]
    assert "needs an image of 32x32 pixels" in reasons["tiny.png"]
    assert len(made.records) == 3 * 5


def test_another_photograph_under_the_same_name(source, tmp_path):
    out = tmp_path / "made"
    synthesize(source, out, types=["jpeg"], levels=[1], workers=1)
    before = contents(out)
    (source / "a.png").write_bytes((source / "b é.jpg").read_bytes())
    made = synthesize(source, out, types=["jpeg"], levels=[1, 2], workers=1)
    [failure] = made.failures
    assert failure.source == str(source / "a.png")
    assert "is not what" in failure.reason
    assert set(contents(out)) - set(before) == {"images/b é_10_02.png", "images/more/a_10_02.png"}
    assert contents(out)["references/a.png"] == before["references/a.png"]
    # What was made of the first one is still listed.
    assert "images/a_10_01.png" in set(made.records["image"])


def test_killed_and_gone_on_with(source, tmp_path):
    """A process that is killed while it writes leaves no half-written image, and the rest is made by the next call."""
    code = (
        "import os, sys, pathlib; import iqa_datasets.synthesis.folder as folder; from PIL import Image\n"
        "save, left = Image.Image.save, [5]\n"
        "def dying(image, where, *rest, **options):\n"
        "    left[0] -= isinstance(where, pathlib.Path)  # and not a stream, as JPEG's own\n"
        "    if left[0] == 0:\n"
        "        where.write_bytes(b'half of an image'); os.kill(os.getpid(), 9)\n"
        "    save(image, where, *rest, **options)\n"
        "Image.Image.save = dying\n"
        "folder.synthesize(sys.argv[1], sys.argv[2], types=['jpeg', 'white-noise'], workers=1)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(source), str(tmp_path / "made")], check=False)
    assert killed.returncode == -9
    images = [path for path in (tmp_path / "made" / "images").rglob("*") if not path.name.startswith(".")]
    assert len(images) == 3
    synthesize(source, tmp_path / "made", types=["jpeg", "white-noise"], workers=2)
    synthesize(source, tmp_path / "whole", types=["jpeg", "white-noise"], workers=1)
    made = {name: content for name, content in contents(tmp_path / "made").items() if ".part" not in name}
    assert made == contents(tmp_path / "whole")


def test_size(source, tmp_path):
    made = synthesize(source, tmp_path / "made", types=["jpeg"], levels=[1], size=(64, 48), workers=1)
    for name in made.records["image"]:
        with Image.open(tmp_path / "made" / name) as image:
            assert image.size == (64, 48)
    large = synthesize(source, tmp_path / "large", types=["jpeg"], size=(640, 480), workers=1)
    assert len(large.failures) == 3
    assert "smaller than 640x480; it is not scaled up" in large.failures[0].reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "was made with .*'seed': 0.*would now be with .*'seed': 1"),
        ({"size": (64, 48)}, "was made with"),
        ({"levels": [0]}, "levels must be some of 1 to 5"),
        ({"levels": []}, "levels must be some of 1 to 5"),
        ({"types": ["nothing"]}, "unknown distortion type"),
        ({"seed": -1}, "seed must be 0 or more"),
        ({"size": (0, 5)}, "size must be"),
        ({"workers": 0}, "workers must be 1 or more"),
    ],
)
def test_folder_refusals(source, tmp_path, change, message):
    synthesize(source, tmp_path / "made", types=["jpeg"], levels=[1], workers=1)
    before = contents(tmp_path / "made")
    with pytest.raises(DatasetError, match=message):
        synthesize(source, tmp_path / "made", **{"types": ["jpeg"], "levels": [1], "workers": 1, **change})
    assert contents(tmp_path / "made") == before


def test_places_that_are_refused(source, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        synthesize(tmp_path / "nowhere", tmp_path / "made")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no photograph"):
        synthesize(tmp_path / "empty", tmp_path / "made")
    with pytest.raises(DatasetError, match="is the folder of the photographs"):
        synthesize(source, source)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(DatasetError, match="is not empty and was not made by synthesize"):
        synthesize(source, tmp_path / "other", types=["jpeg"])
    (source / "a.jpg").write_bytes((source / "b é.jpg").read_bytes())
    with pytest.raises(DatasetError, match=r"would both become a\.png; rename one"):
        synthesize(source, tmp_path / "made", types=["jpeg"])


def test_within_the_folder_of_photographs(source):
    first = synthesize(source, source / "made", types=["jpeg"], levels=[1], workers=1)
    again = synthesize(source, source / "made", types=["jpeg"], levels=[1], workers=1)
    assert len(first.records) == len(again.records) == 3


def test_settings_file(source, tmp_path):
    synthesize(source, tmp_path / "made", types=["jpeg"], levels=[1], workers=1, seed=9)
    file = tmp_path / "made" / "synthesis.json"
    assert json.loads(file.read_text()) == {"seed": 9, "size": None}
    file.write_text("{")
    with pytest.raises(DatasetError, match=r"synthesis\.json is damaged"):
        synthesize(source, tmp_path / "made", types=["jpeg"], workers=1, seed=9)


# Contact sheets


def test_contact_sheet_shows_all_levels(tmp_path):
    path = tmp_path / "large.png"
    Image.fromarray(to_bytes(draw("plant", 384, 512, rng()).astype(np.float32))).save(path)
    sheet = np.asarray(contact_sheet(TYPES["23"], [path, path]))
    assert sheet.shape == (30 + 2 * 294, 6 * 390 + 6, 3)
    tiles = [sheet[30 : 30 + 288, 6 + 390 * column : 390 + 390 * column] for column in range(6)]
    covered = [(np.abs(tile.astype(int) - tiles[0]).max(axis=2) > 20).mean() for tile in tiles]
    assert covered[0] == 0
    assert covered[1] < covered[3] < covered[5]
    [written] = write_contact_sheets([TYPES["23"]], [path], tmp_path / "sheets")
    assert written.name == "23-color-block.jpg"
