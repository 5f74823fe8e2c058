"""Reading image files of every kind, and saying what is wrong with those that cannot be read."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from iqa_datasets import DatasetError, read_image
from iqa_datasets.images import MAX_PIXELS


@pytest.fixture
def pixels():
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((90, 60), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp", "ppm"])
def test_lossless_formats(tmp_path, pixels, suffix):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(pixels).save(path, **({"lossless": True} if suffix == "webp" else {}))
    assert (np.asarray(read_image(path)) == pixels).all()


@pytest.mark.parametrize("suffix", ["jpg", "jp2"])
def test_lossy_formats(tmp_path, pixels, suffix):
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(pixels).save(path, **({"quality": 98} if suffix == "jpg" else {}))
    assert np.abs(np.asarray(read_image(path)).astype(int) - pixels).mean() < 3


def test_exif_orientation(tmp_path, pixels):
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    got = read_image(tmp_path / "turned.png")
    assert got.size == (60, 90)
    assert (np.asarray(got) == np.rot90(pixels, -1)).all()


def test_sixteen_bits_are_scaled(tmp_path):
    values = np.array([[0, 257, 65535], [32768, 128, 129]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.asarray(read_image(tmp_path / "deep.png"))[..., 0].tolist() == [[0, 1, 255], [128, 0, 1]]


def test_transparency_lies_on_white(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(("mode", "colour"), [("L", 7), ("P", 1), ("1", 1), ("LA", (9, 255))])
def test_other_modes(tmp_path, mode, colour):
    Image.new(mode, (5, 3), colour).save(tmp_path / "image.png")
    assert read_image(tmp_path / "image.png").mode == "RGB"


def test_cmyk(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "print.jpg")
    red, green, blue = read_image(tmp_path / "print.jpg").getpixel((8, 8))
    assert red > 200
    assert max(green, blue) < 60


def test_float_samples_are_refused(tmp_path):
    Image.new("F", (4, 4), 0.5).save(tmp_path / "float.tif")
    with pytest.raises(DatasetError, match=r"float\.tif has floating-point samples"):
        read_image(tmp_path / "float.tif")


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif", "webp"])
def test_truncated(tmp_path, pixels, suffix):
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DatasetError, match=rf"cut\.{suffix} is (damaged or truncated|not an image)"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"hello", "is not an image in a format that is read here")]
)
def test_no_image(tmp_path, content, message):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DatasetError, match=f"x.jpg {message}"):
        read_image(tmp_path / "x.jpg")


def test_postscript_is_not_started(tmp_path):
    (tmp_path / "x.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DatasetError, match="is not an image in a format"):
        read_image(tmp_path / "x.eps")


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "nobody.png")


def test_bomb(tmp_path):
    side = int(MAX_PIXELS**0.5) + 1

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(data)
    with pytest.raises(DatasetError, match=r"bomb\.png has .*pixels, more than the"):
        read_image(tmp_path / "bomb.png")


def test_truncated_switch_is_refused(tmp_path, pixels, monkeypatch):
    Image.fromarray(pixels).save(tmp_path / "whole.png")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(DatasetError, match="LOAD_TRUNCATED_IMAGES is set"):
        read_image(tmp_path / "whole.png")


@pytest.mark.parametrize(
    ("at_least", "size"), [(None, (900, 600)), (300, (450, 300)), (150, (225, 150)), (10, (113, 75))]
)
def test_coarse_decoding(tmp_path, pixels, at_least, size):
    Image.fromarray(pixels).resize((900, 600)).save(tmp_path / "large.jpg")
    assert read_image(tmp_path / "large.jpg", at_least=at_least).size == size


def test_broken_metadata_does_not_hide_the_picture(tmp_path, pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    (tmp_path / "x.jpg").write_bytes(stream.getvalue())
    assert read_image(tmp_path / "x.jpg").size == (90, 60)
