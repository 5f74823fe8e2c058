import pytest

from iqa_datasets import DISTORTIONS, PARTS, SCENES, DatasetError, distortion_class

# The 33 names with their classes, written out from the decision that they implement.
CLASSES = """
jpeg2000 compression: JPEG2000 compression
fastfading: JPEG2000 compression
jpeg compression: JPEG compression
white noise: noise
fnoise: noise
white with color: noise
impulse: noise
multiplicative: noise
white noise with denoise: noise
realistic noise: noise
gaussian blur: blur
lens: blur
motion: blur
shifting: blur
realistic blur: blur
diffusion: color-related
oversaturation: color-related
desaturation: color-related
contrast: contrast
sharpness: contrast
realistic contrast change: contrast
brighten: over-exposure
overexposure: over-exposure
darken: under-exposure
underexposure: under-exposure
jitter: spatially-localized
noneccentricity patch: spatially-localized
pixelate: spatially-localized
color blocking: spatially-localized
color quantization: quantization
quantization: quantization
shifting the mean: others
other realistic: others
"""


def test_words_and_order():
    assert " ".join(f"<{scene}>" for scene in SCENES) == (
        "<animal> <cityscape> <human> <indoor scene> <landscape> <night scene> <plant> <still-life> <others>"
    )
    assert " ".join(f"<{distortion}>" for distortion in DISTORTIONS) == (
        "<blur> <color-related> <contrast> <JPEG compression> <JPEG2000 compression> <noise> <over-exposure> "
        "<quantization> <under-exposure> <spatially-localized> <others>"
    )
    assert PARTS == ("train", "val", "test")


def test_all_33_names():
    pairs = [line.split(": ") for line in CLASSES.strip().splitlines()]
    assert len(pairs) == len({name for name, _ in pairs}) == 33
    assert [distortion_class(name) for name, _ in pairs] == [distortion for _, distortion in pairs]
    assert {distortion for _, distortion in pairs} == set(DISTORTIONS)


@pytest.mark.parametrize("name", ["Realistic blur", "blur", "", None, 3, ["lens"]])
def test_unknown_name(name):
    with pytest.raises(DatasetError, match="unknown distortion"):
        distortion_class(name)
