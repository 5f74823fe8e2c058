"""What goes wrong without a word in readers of images: depth, formats of phones, frames, colours, sources, memory."""

import contextlib
import io
import logging
import os
import pickle
import struct
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw, TiffImagePlugin
from skimage import data

from iqa_datasets import (
    DatasetError,
    ImageError,
    ImageWarning,
    image_formats,
    image_sources,
    open_image,
    open_image_with_warnings,
)
from iqa_datasets.decoder_messages import libtiff_lines, python_warnings
from iqa_datasets.jpeg_xl import stated_size


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(data.chelsea()[:120, :201])


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def grey(opened) -> np.ndarray:
    image = opened if isinstance(opened, Image.Image) else opened.image
    pixels = np.asarray(image)
    assert (pixels[..., 0] == pixels[..., 1]).all()
    return pixels[..., 0]


# --- depth (12 bits in 16, ranges)


def tiff_of_12_bits(samples: np.ndarray) -> bytes:
    """A little-endian TIFF file of 12-bit greyscale, two samples in three bytes, as no library here writes it."""
    height, width = samples.shape
    assert width % 2 == 0
    pairs = samples.reshape(-1, 2).astype(np.uint32)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=1)
    strip = packed.astype(np.uint8).tobytes()
    entries = [(256, width), (257, height), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    entries.append((279, len(strip)))
    directory = b"".join(
        tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
        for tag, value in entries
    )
    offset = 8 + len(strip)
    return b"II*\0" + offset.to_bytes(4, "little") + strip + len(entries).to_bytes(2, "little") + directory + bytes(4)


def test_a_12_bit_tiff_is_as_bright_as_its_8_bit_copy():
    samples = np.linspace(0, 4095, 64 * 48).reshape(48, 64).round().astype(np.uint16)
    opened = open_image_with_warnings(tiff_of_12_bits(samples))
    np.testing.assert_array_equal(grey(opened), np.rint(samples / 4095 * 255))
    assert opened.warnings == ()


@pytest.mark.parametrize(("highest", "bits"), [(255, 8), (1023, 10), (4095, 12), (16383, 14)])
def test_16_bit_samples_that_use_their_low_range_alone_are_said(tmp_path, highest, bits):
    samples = np.linspace(0, highest, 100).reshape(10, 10).round().astype(np.uint16)
    Image.fromarray(samples).save(tmp_path / "dark.png")
    for source in (samples, tmp_path / "dark.png"):
        opened = open_image_with_warnings(source)
        [warning] = opened.warnings
        assert f"the largest is {highest}" in warning
        assert f"give data_range=(0, {2**bits - 1})" in warning
        np.testing.assert_array_equal(grey(opened), np.rint(samples / 257))
        said = open_image_with_warnings(source, data_range=(0, 2**bits - 1))
        assert said.warnings == ()
        np.testing.assert_array_equal(grey(said), np.rint(samples / (2**bits - 1) * 255))
    with pytest.warns(ImageWarning, match="dark.png: 16-bit samples"):
        open_image(tmp_path / "dark.png")


@pytest.mark.parametrize("samples", [np.full((4, 4), value, np.uint16) for value in (0, 16_384, 40_000)])
def test_black_and_full_ranges_are_nothing_to_be_said(samples):
    assert open_image_with_warnings(samples).warnings == ()


def test_a_data_range_scales_any_kind_of_sample():
    ramp = np.array([[0, 50, 100]])
    for array in (ramp.astype(np.uint8), ramp.astype(np.uint16), ramp.astype(np.int64), ramp.astype(np.float32)):
        assert grey(open_image(array, data_range=100)).tolist() == [[0, 128, 255]]
    assert grey(open_image(np.array([[-1.0, 0.0, 1.0]]), data_range=(-1, 1))).tolist() == [[0, 128, 255]]
    colours = open_image(np.full((2, 2, 3), [0, 2047, 4095], np.uint16), data_range=4095)
    assert colours.getpixel((0, 0)) == (0, 127, 255)


@pytest.mark.parametrize(
    ("array", "data_range", "message"),
    [
        (
            np.array([[0, 5000]], np.uint16),
            4095,
            "from 0 to 5000; they must lie between 0 and 4095, as data_range says",
        ),
        (np.array([[-0.5, 1.0]]), None, r"from -0.5 to 1; they must lie in \[0, 1\]"),
        (np.array([[0.0, 1.25]]), None, r"from 0 to 1.25; they must lie in \[0, 1\]"),
        (np.array([[0.0, 1.0012]]), None, r"from 0 to 1.0012; they must"),
        (np.array([[0.0, np.nan]]), None, "that are not a number"),
        (np.array([[0.0, np.inf]]), None, "from 0 to inf"),
        (np.array([[0.0, 1.0]]), (1, 0), "the first must be the smaller"),
    ],
)
def test_samples_outside_their_range_are_refused_with_the_value(array, data_range, message):
    with pytest.raises(ImageError, match=message):
        open_image(array, data_range=data_range)


def test_rounding_is_not_another_range():
    array = np.array([[1.0000001, -1e-7, 0.5]])
    assert grey(open_image(array)).tolist() == [[255, 0, 128]]
    assert grey(open_image(array.astype(np.float32) * 255, data_range=255)).tolist() == [[255, 0, 128]]


def test_a_deep_tiff_whose_zero_is_white_is_turned(tmp_path):
    samples = np.linspace(0, 65535, 16).reshape(4, 4).astype(np.uint16)
    Image.fromarray(samples).save(tmp_path / "white.tif")
    content = bytearray((tmp_path / "white.tif").read_bytes())
    place = content.index((262).to_bytes(2, "little") + (3).to_bytes(2, "little")) + 8
    assert content[place] == 1
    content[place] = 0
    np.testing.assert_array_equal(grey(open_image(bytes(content))), 255 - np.rint(samples / 257))


def test_a_long_array_is_scaled_in_strips_like_a_short_one(monkeypatch):
    samples = np.random.default_rng(0).integers(0, 65536, (50, 40), dtype=np.uint16)
    whole = grey(open_image(samples))
    monkeypatch.setattr("iqa_datasets.pixel_formats._STRIP", 70)
    np.testing.assert_array_equal(grey(open_image(samples)), whole)


# --- formats of phones, by the real plugins


def heic(image: Image.Image, **info: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    file = pillow_heif.from_pillow(image)
    file.info.update(info)
    stream = io.BytesIO()
    file.save(stream, quality=95)
    return stream.getvalue()


def jxl(image: Image.Image, **options: object) -> bytes:
    pytest.importorskip("pillow_jxl")
    return encoded(image, "JXL", lossless=True, **options)


def test_heic_is_read_by_its_plugin_without_being_asked(photograph, tmp_path):
    (tmp_path / "IMG_0001.HEIC").write_bytes(heic(photograph))
    code = (
        "import sys; from iqa_datasets import open_image\n"
        "assert 'pi_heif' not in sys.modules and 'pillow_heif' not in sys.modules\n"
        "print(open_image(sys.argv[1]).size)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "IMG_0001.HEIC"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(201, 120)"
    opened = open_image_with_warnings(tmp_path / "IMG_0001.HEIC")
    assert np.abs(np.asarray(opened.image).astype(int) - np.asarray(photograph)).mean() < 2
    assert opened.warnings == ()


def test_jpeg_xl_is_read_although_its_plugin_has_its_own_name_for_it(photograph):
    np.testing.assert_array_equal(np.asarray(open_image(jxl(photograph))), np.asarray(photograph))


@pytest.mark.parametrize("kind", ["GIF", "JPEG2000", "AVIF"])
def test_what_pillow_reads_by_itself_is_read(photograph, kind):
    opened = open_image(encoded(photograph, kind))
    assert np.abs(np.asarray(opened).astype(int) - np.asarray(photograph)).mean() < 4


def test_an_orientation_is_applied_once(photograph):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = np.asarray(photograph.transpose(Image.Transpose.ROTATE_90))
    opened = open_image(heic(Image.fromarray(turned), exif=exif.tobytes()))
    assert opened.size == photograph.size
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
        exif = Image.Exif()
        exif[0x0112] = 6
        found = open_image_with_warnings(encoded(Image.fromarray(turned), kind, exif=exif))
        assert found.image.size == found.size == photograph.size, kind
        # What came out says nothing of it any more, or its next reader would turn it again.
        assert open_image(found.image).size == photograph.size, kind
    # A JPEG XL file has its orientation in its own header; EXIF's is for programs that do not know the format.
    assert open_image(jxl(photograph, exif=exif.tobytes())).size == photograph.size


@pytest.mark.parametrize(
    ("make", "module", "names", "message"),
    [
        (heic, "pi_heif", {"HEIF"}, r"is HEIC, which cannot be read here: install pi-heif .*iqa-datasets\[formats\]"),
        (jxl, "pillow_jxl", {"JXL", "JPEGXL"}, "is JPEG XL, which cannot be read here: install pillow-jxl-plugin"),
        (lambda image: encoded(image, "AVIF"), "", {"AVIF"}, "is AVIF, which cannot be read here: install Pillow 11.3"),
    ],
)
def test_a_missing_plugin_is_named(photograph, tmp_path, monkeypatch, make, module, names, message):
    path = tmp_path / "photo.jpg"  # the content tells, whatever the name
    path.write_bytes(make(photograph))
    readable = [name for name in image_formats.readable_formats() if name not in names]
    monkeypatch.setattr(image_sources, "readable_formats", lambda: readable)
    with pytest.raises(ImageError, match=message):
        open_image(path)


def test_a_damaged_file_of_a_known_format_is_not_called_unknown(photograph, tmp_path):
    (tmp_path / "cut.png").write_bytes(encoded(photograph, "PNG")[:8] + bytes(60))
    with pytest.raises(ImageError, match="begins as PNG, but is damaged"):
        open_image(tmp_path / "cut.png")


# --- frames


def animation(kind: str, colours: tuple[str, ...] = ("black", "red", "blue")) -> bytes:
    frames = []
    for colour in colours:
        frame = Image.new("RGB", (32, 24), colour)
        if colour != "black":
            ImageDraw.Draw(frame).rectangle((4, 4, 12, 12), "white")
        frames.append(frame)
    options = {"lossless": True} if kind == "WEBP" else {}
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_each_frame_can_be_had_and_the_number_is_said(kind):
    content = animation(kind)
    first = open_image_with_warnings(content)
    assert (first.frame, first.frames) == (0, 3)
    assert first.warnings == ("frame 1 of 3", "frame 1 of 3 is of one colour")
    for frame, colour in ((1, (255, 0, 0)), (2, (0, 0, 255))):
        found = open_image_with_warnings(content, frame=frame)
        assert found.image.getpixel((30, 20)) == colour
        assert found.warnings == (f"frame {frame + 1} of 3",)
    for frame in (3, -1):
        with pytest.raises(ImageError, match=f"has no frame {frame}: it has 3, counted from 0"):
            open_image(content, frame=frame)


def test_a_single_image_has_one_frame(photograph):
    opened = open_image_with_warnings(encoded(photograph, "PNG"))
    assert (opened.frame, opened.frames, opened.warnings) == (0, 1, ())
    for source in (encoded(photograph, "JPEG"), np.zeros((2, 2), np.uint8)):
        with pytest.raises(ImageError, match="has no frame 1: it "):
            open_image(source, frame=1)


def pages(*images: tuple[Image.Image, int]) -> bytes:
    """A TIFF file of images, each with its NewSubfileType."""
    stream = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(stream, True) as writer:
        for image, kind in images:
            tags = TiffImagePlugin.ImageFileDirectory_v2()
            tags[254] = kind
            image.save(writer, "TIFF", tiffinfo=tags)
            writer.newFrame()
    return stream.getvalue()


def test_a_thumbnail_first_in_a_tiff_is_not_the_photograph(photograph):
    thumbnail = photograph.resize((20, 12))
    opened = open_image_with_warnings(pages((thumbnail, 1), (photograph, 0)))
    np.testing.assert_array_equal(np.asarray(opened.image), np.asarray(photograph))
    assert (opened.frames, opened.warnings) == (1, ())
    # A pyramid, and a mask, which is no picture either.
    assert open_image_with_warnings(pages((photograph, 0), (thumbnail, 1), (thumbnail, 4))).frames == 1
    # Two real pages around a thumbnail.
    opened = open_image_with_warnings(pages((thumbnail, 1), (thumbnail, 0), (photograph, 0)), frame=1)
    assert (opened.image.size, opened.frames, opened.warnings) == (photograph.size, 2, ("frame 2 of 2",))
    # A file of nothing but reductions is what it is.
    assert open_image_with_warnings(pages((thumbnail, 1))).image.size == thumbnail.size


def test_the_second_picture_of_a_phones_jpeg_is_nothing_to_be_said(photograph):
    content = encoded(photograph, "MPO", save_all=True, append_images=[photograph.convert("L").convert("RGB")])
    opened = open_image_with_warnings(content)
    assert (opened.frames, opened.warnings) == (2, ())
    assert open_image_with_warnings(content, frame=1).warnings == ("frame 2 of 2",)


def test_a_pil_image_is_taken_and_left_at_its_frame():
    with Image.open(io.BytesIO(animation("GIF"))) as image:
        image.seek(2)
        opened = open_image_with_warnings(image)
        assert opened.image.getpixel((30, 20)) == (0, 0, 255)
        assert (opened.frame, opened.frames, opened.warnings) == (2, 3, ())
        assert image.tell() == 2


# --- colours


def srgb_to_linear(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(values: np.ndarray) -> np.ndarray:
    values = np.clip(values, 0, 1)
    return np.where(values <= 0.0031308, values * 12.92, 1.055 * values ** (1 / 2.4) - 0.055)


# Columns: the primaries' XYZ under D50, as profiles have them (ICC.1:2022, the sRGB and ROMM RGB specifications).
SRGB_D50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
PROPHOTO_D50 = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82521]])


def matrix_profile(primaries: np.ndarray, gamma: float) -> bytes:
    """A version 2 display profile of three primaries and a gamma, by the specification and without LittleCMS."""

    def fixed(value: float) -> bytes:
        return round(value * 65536).to_bytes(4, "big", signed=True)

    def xyz(values) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(fixed(float(value)) for value in values)

    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(gamma * 256).to_bytes(2, "big") + bytes(2)
    description = b"desc" + bytes(4) + (5).to_bytes(4, "big") + b"test\0" + bytes(78) + bytes(3)
    white = (0.9642, 1.0, 0.8249)
    tags = {b"desc": description, b"wtpt": xyz(white), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    tags |= {name: xyz(primaries[:, index]) for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + (start + len(body)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        body += content
    header = bytearray(128)
    header[0:4] = (start + len(body)).to_bytes(4, "big")
    header[8:12] = b"\x02\x40\0\0"
    header[12:24] = b"mntrRGB XYZ "
    header[24:36] = b"".join(part.to_bytes(2, "big") for part in (2026, 1, 1, 0, 0, 0))
    header[36:40] = b"acsp"
    header[68:80] = b"".join(map(fixed, white))
    return bytes(header) + len(tags).to_bytes(4, "big") + table + body


@pytest.mark.parametrize(
    ("primaries", "gamma"), [(PROPHOTO_D50, 1.80078125), (SRGB_D50, 1.0)], ids=["ProPhoto", "linear"]
)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_the_colours_of_a_profile_become_srgb(photograph, primaries, gamma, kind):
    pixels = np.asarray(photograph).astype(float) / 255
    expected = linear_to_srgb(pixels**gamma @ (np.linalg.inv(SRGB_D50) @ primaries).T) * 255
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(photograph, kind, icc_profile=matrix_profile(primaries, gamma), **options)
    opened = open_image_with_warnings(content)
    difference = np.abs(np.asarray(opened.image) - expected)
    assert difference.max() <= 2.5
    assert difference.mean() < 0.6
    assert opened.warnings == ()
    # The profile was not without effect, and its effect is not had twice.
    assert np.abs(np.asarray(opened.image).astype(int) - np.asarray(photograph)).mean() > 5
    assert open_image(opened.image) is opened.image


def test_a_transparent_image_keeps_its_opacity_under_a_profile(photograph):
    layer = photograph.convert("RGBA")
    layer.putalpha(Image.new("L", layer.size, 128))
    profile = matrix_profile(SRGB_D50, 1.0)
    opaque = np.asarray(open_image(encoded(photograph, "PNG", icc_profile=profile))).astype(float)
    opened = np.asarray(open_image(encoded(layer, "PNG", icc_profile=profile)))
    np.testing.assert_allclose(opened, 255 + (opaque - 255) * 128 / 255, atol=1.01)


def test_palettes_and_greys_are_converted_too(photograph):
    profile = matrix_profile(SRGB_D50, 1.0)
    palette = photograph.quantize(32)
    expected = open_image(encoded(palette.convert("RGB"), "PNG", icc_profile=profile))
    assert open_image(encoded(palette, "PNG", icc_profile=profile)).tobytes() == expected.tobytes()
    ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    opened = np.asarray(open_image(encoded(ramp, "PNG", icc_profile=profile)))[0]
    expected = np.repeat(linear_to_srgb(np.arange(256) / 255)[:, None] * 255, 3, axis=1)
    np.testing.assert_allclose(opened, expected, atol=1.6)


def test_cmyk_is_converted_by_a_profile_only_where_there_is_one(photograph):
    plain = open_image(encoded(photograph.convert("CMYK"), "TIFF"))
    np.testing.assert_array_equal(np.asarray(plain), np.asarray(photograph.convert("CMYK").convert("RGB")))
    opened = open_image_with_warnings(
        encoded(photograph.convert("CMYK"), "TIFF", icc_profile=matrix_profile(SRGB_D50, 1.0))
    )
    assert "colour profile cannot be used" in opened.warnings[0]  # it is for RGB
    np.testing.assert_array_equal(np.asarray(opened.image), np.asarray(plain))


def test_an_srgb_profile_costs_nothing(photograph, monkeypatch):
    from PIL.ImageCms import ImageCmsTransform

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    content = encoded(photograph, "PNG", icc_profile=profile)
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(photograph))
    # Known from the first time on: no colour is converted again.
    monkeypatch.setattr(ImageCmsTransform, "apply", lambda *_: pytest.fail("converted"))
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(photograph))


@pytest.mark.parametrize("profile", [b"no profile", matrix_profile(SRGB_D50, 1.0)[:200], bytes(128)])
def test_a_damaged_profile_is_a_warning(photograph, profile):
    opened = open_image_with_warnings(encoded(photograph, "PNG", icc_profile=profile))
    np.testing.assert_array_equal(np.asarray(opened.image), np.asarray(photograph))
    [warning] = opened.warnings
    assert warning.startswith("the embedded colour profile cannot be used (")


def test_a_callers_own_image_keeps_its_colours(photograph):
    mine = Image.open(io.BytesIO(encoded(photograph, "PNG", icc_profile=matrix_profile(SRGB_D50, 1.0))))
    before = mine.tobytes()
    opened = open_image(mine)
    assert opened is not mine
    assert opened.tobytes() != before
    assert mine.tobytes() == before
    assert "icc_profile" in mine.info


def test_a_profile_is_applied_in_strips_as_on_the_whole(photograph, monkeypatch):
    content = encoded(photograph, "PNG", icc_profile=matrix_profile(PROPHOTO_D50, 1.8))
    whole = open_image(content).tobytes()
    monkeypatch.setattr("iqa_datasets.colour_profiles._STRIP", 1000)
    assert open_image(content).tobytes() == whole


# --- sources


def test_bytes_and_streams_are_read(photograph, tmp_path):
    content = encoded(photograph, "PNG")
    (tmp_path / "photo.png").write_bytes(content)
    for source in (content, bytearray(content), memoryview(content), io.BytesIO(content)):
        assert open_image(source).tobytes() == photograph.tobytes()
    with (tmp_path / "photo.png").open("rb") as file:
        file.read(100)  # from the beginning, wherever it stands
        opened = open_image_with_warnings(file)
        assert opened.image.tobytes() == photograph.tobytes()
        assert opened.path == str(tmp_path / "photo.png")
        assert not file.closed


def test_a_stream_that_cannot_go_back_is_read(photograph):
    class Socket(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self._rest = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            return self._rest.readinto(buffer)

    assert open_image(io.BufferedReader(Socket(encoded(photograph, "PNG")))).tobytes() == photograph.tobytes()


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_named_pipe_is_read(photograph, tmp_path):
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(encoded(photograph, "PNG"),))
    writer.start()
    opened = open_image_with_warnings(path)
    writer.join(10)
    assert opened.image.tobytes() == photograph.tobytes()
    assert opened.path == str(path)


@pytest.mark.parametrize("name", ["-"] if os.name == "nt" else ["-", "/dev/stdin"])
def test_standard_input_is_read(photograph, name, tmp_path):
    code = "import sys; from iqa_datasets import open_image; print(open_image(sys.argv[1]).size)"
    done = subprocess.run(
        [sys.executable, "-c", code, name],
        input=encoded(photograph, "PNG"),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == b"(201, 120)"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", "<bytes>: holds no bytes"),
        (b"plain words", "<bytes>: is not an image in a format that can be read"),
        (io.BytesIO(b""), "<stream>: holds no bytes"),
        ("https://example.org/a.jpg", "https://example.org/a.jpg: is an address; download it first"),
        ("data/a.jpg", "data/a.jpg: there is no such file"),
        ("a\0b.png", "cannot be the name of a file"),
    ],
)
def test_what_cannot_be_read_is_refused_in_true_words(source, message):
    with pytest.raises(ImageError, match=message):
        open_image(source)


def test_a_stream_of_text_is_a_type_error():
    with pytest.raises(TypeError, match="the stream gives text; open it in binary mode"):
        open_image(io.StringIO("text"))


def test_the_error_is_a_dataset_error_that_survives_processes():
    error = pickle.loads(pickle.dumps(ImageError(Path("a.png"), "is damaged")))
    assert isinstance(error, DatasetError)
    assert isinstance(error, ValueError)
    assert (error.path, error.reason, str(error)) == ("a.png", "is damaged", "a.png: is damaged.")


# --- memory


def test_what_would_take_more_memory_than_allowed_is_refused_with_the_figure(tmp_path):
    Image.new("RGBA", (1000, 800)).save(tmp_path / "large.png")
    need = 1000 * 800 * 8
    assert open_image(tmp_path / "large.png", max_memory=need).size == (1000, 800)
    with pytest.raises(ImageError, match=r"1000x800 pixels of mode RGBA, which take 6.1 MiB to decode, more"):
        open_image(tmp_path / "large.png", max_memory=need - 1)


PEAK = """
import resource, sys
from iqa_datasets import open_image
open_image(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
open_image(sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes here")
@pytest.mark.parametrize(
    ("mode", "each"), [("RGBA", 8), ("RGB", 4), ("LA", 8), ("P", 5), ("L", 5), ("I;16", 7), ("CMYK", 8)]
)
def test_the_peak_of_memory_is_what_is_reckoned(tmp_path, mode, each):
    side = 5000
    path, small = tmp_path / "large.tif", tmp_path / "small.tif"
    for file, size in ((path, side), (small, 32)):
        Image.new(mode, (size, size), 200 if mode in ("L", "P", "I;16") else None).save(file, compression="tiff_lzw")
    done = subprocess.run([sys.executable, "-c", PEAK, path, small], capture_output=True, text=True, check=True)
    assert int(done.stdout) < side * side * each * 1.05 + 70e6  # and strips of some MB


def test_transparency_is_flattened_in_strips_as_on_the_whole(photograph, monkeypatch):
    layer = photograph.convert("RGBA")
    layer.putalpha(photograph.convert("L"))
    palette = photograph.quantize(16)
    palette.info["transparency"] = 3
    keyed = photograph.copy()
    keyed.info["transparency"] = photograph.getpixel((5, 5))
    whole = [open_image(image).tobytes() for image in (layer, palette, keyed)]
    monkeypatch.setattr("iqa_datasets.pixel_formats._STRIP", 1000)
    assert [open_image(image).tobytes() for image in (layer, palette, keyed)] == whole


@pytest.mark.parametrize("size", [(64, 64), (256, 128), (201, 120), (1600, 900), (3, 2), (9000, 3), (17, 40000)])
@pytest.mark.parametrize("container", [False, True])
def test_the_size_of_a_jpeg_xl_file_is_known_before_its_plugin_decodes_it(size, container, monkeypatch):
    content = jxl(Image.new("RGB", size), use_container=container)
    assert stated_size(io.BytesIO(content)) == size
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=f"has {size[0]}x{size[1]} = .* pixels, more than the 5 allowed"):
        open_image(content, max_pixels=5)


@pytest.mark.parametrize("content", [b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64)])
def test_a_jpeg_xl_file_that_is_cut_off_is_an_image_error(content):
    pytest.importorskip("pillow_jxl")
    with pytest.raises(ImageError):
        open_image(content)


# --- what decoders say


def damaged_fax(seed: int = 0) -> bytes:
    """A two-level TIFF file that libtiff decodes with complaints and without an error."""
    content = bytearray(encoded(Image.fromarray(data.chelsea()).convert("1"), "TIFF", compression="group4"))
    for place in np.random.default_rng(seed).integers(200, len(content) - 400, 4).tolist():
        content[place] ^= 0x55
    return bytes(content)


def test_the_lines_of_libtiff_are_in_the_files_warnings_and_not_on_the_terminal(capfd):
    opened = open_image_with_warnings(damaged_fax())
    assert any("Fax4Decode" in warning for warning in opened.warnings)
    assert len(opened.warnings) <= 4
    assert capfd.readouterr().err == ""


def test_the_lines_of_libtiff_are_in_the_error_of_a_file_that_cannot_be_read(photograph, tmp_path, capfd):
    content = bytearray(encoded(photograph, "TIFF", compression="tiff_adobe_deflate"))
    content[1000:5000:100] = bytes(40)
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(ImageError, match=r"x.tif: is damaged or truncated \(.*ZIPDecode"):
        open_image(tmp_path / "x.tif")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "line",
    [
        "Fax4Decode: Bad code word.",
        'MissingRequired: TIFF directory is missing required "StripOffsets" field.',
        "EstimateStripByteCounts: Cannot determine size of unknown tag type 15366.",
    ],
)
def test_lines_of_others_are_not_lost_while_libtiff_decodes(line, capfd):
    with libtiff_lines() as lines:
        os.write(2, f"something else\n{line}\n".encode())
    assert lines == [line]
    assert capfd.readouterr().err == "something else\n"


def test_what_pillow_logs_is_not_on_the_terminal(photograph, capfd, monkeypatch):
    """Pillow logs that a TIFF file states more samples than it can decode, and then refuses it."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own
    content = encoded(photograph, "TIFF")
    samples = struct.pack("<HHIHH", 277, 3, 1, 3, 0)  # the tag, a short, one, three
    assert content.count(samples) == 1
    with pytest.raises(ImageError, match="begins as TIFF, but is damaged or of a kind that cannot be read"):
        open_image(content.replace(samples, struct.pack("<HHIHH", 277, 3, 1, 5376, 0)))
    assert capfd.readouterr().err == ""
    with python_warnings() as caught:
        logging.getLogger("PIL.TiffImagePlugin").error("of this thread")
        other = threading.Thread(target=logging.getLogger("PIL.TiffImagePlugin").error, args=("of another",))
        other.start()
        other.join()
    assert caught == ["of this thread"]
    logging.getLogger("PIL.TiffImagePlugin").error("after it")
    assert capfd.readouterr().err == "of another\nafter it\n"


def test_an_orientation_that_there_is_not_turns_nothing(photograph):
    exif = Image.Exif()
    exif[0x0112] = 134
    opened = open_image_with_warnings(encoded(photograph, "JPEG", exif=exif))
    assert opened.size == opened.image.size == photograph.size


def test_threads_have_each_their_own_lines(photograph, capfd):
    good, bad = encoded(photograph, "TIFF", compression="tiff_lzw"), damaged_fax()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(open_image_with_warnings, [good, bad] * 20))
    assert all(not result.warnings for result in results[::2])
    assert all(result.warnings for result in results[1::2])
    assert capfd.readouterr().err == ""


def warning_file(photograph: Image.Image) -> bytes:
    """A JPEG file of which Pillow warns: its block of EXIF data points beyond its end."""
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\x40\0\0\0\x10\0\0\0\0\0"
    return encoded(photograph, "JPEG", exif=block)


def test_pillows_warnings_are_in_the_files_warnings_in_each_thread(photograph):
    good, bad = encoded(photograph, "JPEG"), warning_file(photograph)
    shown, filters = warnings.showwarning, list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught, ThreadPoolExecutor(4) as pool:
        warnings.simplefilter("always")
        results = list(pool.map(open_image_with_warnings, [good, bad] * 20))
    assert caught == []
    assert all(not result.warnings for result in results[::2])
    assert all("the decoder says: " in result.warnings[0] for result in results[1::2])
    assert warnings.showwarning is shown
    assert warnings.filters == filters


def test_other_warnings_go_where_they_went(photograph):
    from iqa_datasets.decoder_messages import python_warnings

    def decode_and_warn_elsewhere() -> list[str]:
        with python_warnings() as caught:
            other = threading.Thread(target=lambda: warnings.warn("not of a decoder", UserWarning, stacklevel=1))
            other.start()
            other.join()
        return caught

    with pytest.warns(UserWarning, match="not of a decoder"):
        caught = decode_and_warn_elsewhere()
    assert caught == []


@contextmanager
def decoding_elsewhere():
    """Another thread decodes for as long as the block lasts."""
    from iqa_datasets.decoder_messages import python_warnings

    begun, leave = threading.Event(), threading.Event()

    def decode() -> None:
        with python_warnings():
            begun.set()
            leave.wait()

    thread = threading.Thread(target=decode)
    thread.start()
    begun.wait()
    try:
        yield
    finally:
        leave.set()
        thread.join()


def test_what_others_put_back_after_the_last_decoder_does_not_show_warnings_to_itself():
    kept = warnings.showwarning
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        shown = warnings.showwarning
        with contextlib.ExitStack() as stack, decoding_elsewhere():
            # Entered first and left last: it keeps the decoders' hook, and puts it back when they have gone.
            stack.push(left_later := contextlib.ExitStack())
            left_later.enter_context(warnings.catch_warnings())
            stack.pop_all()
        left_later.close()
        assert warnings.showwarning is not shown
        with decoding_elsewhere():
            warnings.warn("not of a decoder", UserWarning, stacklevel=1)
    assert [str(one.message) for one in caught] == ["not of a decoder"]
    assert warnings.showwarning is kept


def test_a_hook_that_passes_on_to_the_decoders_hook_ends(monkeypatch):
    shown = []
    with contextlib.ExitStack() as stack:
        with decoding_elsewhere():
            before = warnings.showwarning

            def hook(*arguments) -> None:
                shown.append(str(arguments[0]))
                before(*arguments)

            monkeypatch.setattr(warnings, "showwarning", hook)
        stack.enter_context(decoding_elsewhere())
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("not of a decoder", UserWarning, stacklevel=1)
    assert shown == ["not of a decoder"]
