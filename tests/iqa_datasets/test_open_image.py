import io
import pickle
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, features
from skimage import data

from iqa_datasets import ImageError, open_image


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return Image.fromarray(data.chelsea()[:120, :201])


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "ppm"])
def test_lossless_files_come_back_as_they_were(photograph, tmp_path, suffix):
    path = tmp_path / f"photo.{suffix}"
    photograph.save(path, **({"lossless": True} if suffix == "webp" else {}))
    np.testing.assert_array_equal(pixels(open_image(path)), pixels(photograph))
    np.testing.assert_array_equal(pixels(open_image(str(path))), pixels(photograph))


def test_a_jpeg_is_decoded_at_full_size(photograph, tmp_path):
    path = tmp_path / "photo.jpg"
    photograph.save(path, quality=90)
    with Image.open(path) as reference:
        np.testing.assert_array_equal(pixels(open_image(path)), np.asarray(reference.convert("RGB")))


def test_a_file_name_may_hold_any_letters(photograph, tmp_path):
    path = tmp_path / "фото 写真 ñ.png"
    photograph.save(path)
    assert open_image(path).size == photograph.size


def test_an_rgb_image_is_returned_as_it_is(photograph):
    assert open_image(photograph) is photograph


# --- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
def test_orientation_is_applied(photograph, tmp_path, orientation, suffix):
    # Each camera orientation, undone: what a viewer would show is the photograph again.
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    upright = pixels(photograph)
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"photo.{suffix}"
    options = {"webp": {"lossless": True}, "jpg": {"quality": 95, "subsampling": 0}}.get(suffix, {})
    stored.save(path, exif=exif, **options)
    opened = pixels(open_image(path))
    assert opened.shape == upright.shape
    assert np.abs(opened.astype(int) - upright).mean() < (3 if suffix == "jpg" else 1e-9)


def test_orientation_of_a_pil_image_is_applied_without_changing_it(photograph, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph.save(tmp_path / "photo.png", exif=exif)
    with Image.open(tmp_path / "photo.png") as image:
        assert open_image(image).size == photograph.size[::-1]
        assert image.size == photograph.size
        np.testing.assert_array_equal(pixels(open_image(image)), pixels(ImageOps.exif_transpose(image)))


def test_broken_metadata_does_not_make_a_picture_unreadable(photograph, tmp_path):
    photograph.save(tmp_path / "photo.png", exif=b"Exif\0\0this is no TIFF header")
    np.testing.assert_array_equal(pixels(open_image(tmp_path / "photo.png")), pixels(photograph))


# --- pixel formats


def test_greyscale_fills_three_channels(photograph, tmp_path):
    grey = photograph.convert("L")
    grey.save(tmp_path / "grey.png")
    opened = pixels(open_image(tmp_path / "grey.png"))
    np.testing.assert_array_equal(opened, np.repeat(np.asarray(grey)[:, :, None], 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bit_is_scaled_and_not_clipped(tmp_path, suffix):
    # Pillow's own conversion turns everything above 255 white.
    ramp = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / f"ramp.{suffix}")
    opened = pixels(open_image(tmp_path / f"ramp.{suffix}"))
    np.testing.assert_array_equal(opened[:, :, 0], np.rint(ramp / 257).astype(np.uint8))
    np.testing.assert_array_equal(open_image(ramp), opened)


def test_12_bit_samples_in_a_16_bit_file_stay_what_they_are(tmp_path):
    # Nothing in the file says that only 12 bits are used, so it is dark, not stretched.
    Image.fromarray(np.full((4, 4), 4095, np.uint16)).save(tmp_path / "dark.png")
    assert pixels(open_image(tmp_path / "dark.png")).max() == 16


def test_one_bit_becomes_black_and_white(tmp_path):
    Image.fromarray(np.eye(8, dtype=bool)).save(tmp_path / "bits.png")
    opened = pixels(open_image(tmp_path / "bits.png"))
    np.testing.assert_array_equal(opened[:, :, 1], np.eye(8) * 255)


def test_a_palette_gives_its_colours(photograph, tmp_path):
    palette = photograph.quantize(32)
    palette.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(pixels(open_image(tmp_path / "palette.png")), np.asarray(palette.convert("RGB")))


def test_cmyk_keeps_its_colours(photograph, tmp_path):
    photograph.convert("CMYK").save(tmp_path / "print.jpg", quality=95, subsampling=0)
    opened = pixels(open_image(tmp_path / "print.jpg"))
    # Inverted samples, the usual mistake with this format, would be off by 100 and more.
    assert np.abs(opened.astype(int) - pixels(photograph)).mean() < 5


def transparent_images():
    half = Image.new("RGBA", (4, 4), (200, 100, 0, 128))
    yield "RGBA", half, (228, 178, 128)
    yield "LA", Image.new("LA", (4, 4), (100, 128)), (178, 178, 178)
    clear = Image.new("P", (4, 4), 1)
    clear.putpalette([10, 20, 30, 40, 50, 60])
    clear.info["transparency"] = 1
    yield "P", clear, (255, 255, 255)
    keyed = Image.new("RGB", (4, 4), (1, 2, 3))
    keyed.info["transparency"] = (1, 2, 3)
    yield "RGB with a transparent colour", keyed, (255, 255, 255)


@pytest.mark.parametrize(("image", "expected"), [pytest.param(i, e, id=n) for n, i, e in transparent_images()])
def test_transparency_is_laid_over_white(image, expected, tmp_path):
    image.save(tmp_path / "clear.png", **image.info)
    for opened in (open_image(tmp_path / "clear.png"), open_image(image)):
        np.testing.assert_allclose(pixels(opened)[0, 0], expected, atol=1)


def test_transparency_is_laid_over_the_colour_asked_for():
    clear = Image.new("RGBA", (2, 2), (9, 9, 9, 0))
    assert open_image(clear, background=(10, 20, 30)).getpixel((0, 0)) == (10, 20, 30)


def test_of_several_frames_the_first_is_taken(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    for suffix in ("tiff", "png", "webp", "gif"):
        options = {"lossless": True} if suffix == "webp" else {}
        path = tmp_path / f"frames.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:], **options)
        assert open_image(path).getpixel((0, 0)) == (255, 0, 0), suffix


def test_floating_point_images_lie_between_zero_and_one(tmp_path):
    Image.fromarray(np.full((3, 3), 0.5, np.float32)).save(tmp_path / "half.tiff")
    assert open_image(tmp_path / "half.tiff").getpixel((0, 0)) == (128, 128, 128)
    Image.fromarray(np.full((3, 3), 200.0, np.float32)).save(tmp_path / "wide.tiff")
    with pytest.raises(ImageError, match=r"wide.tiff: has floating-point samples from 200 to 200"):
        open_image(tmp_path / "wide.tiff")


def test_integers_of_unknown_range_are_refused(tmp_path):
    Image.fromarray(np.array([[0, 70_000]], np.int32)).save(tmp_path / "wide.tiff")
    with pytest.raises(ImageError, match=r"integer samples from 0 to 70000; they must lie between 0 and 65535"):
        open_image(tmp_path / "wide.tiff")
    assert pixels(open_image(tmp_path / "wide.tiff", data_range=70_000))[0, :, 0].tolist() == [0, 255]


# --- arrays


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((2, 3), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 1), 7, np.uint8), (7, 7, 7)),
        (np.full((2, 3, 3), [1, 2, 3], np.uint8), (1, 2, 3)),
        (np.full((2, 3, 4), [1, 2, 3, 0], np.uint8), (255, 255, 255)),
        (np.full((2, 3, 3), [257, 514, 65535], np.uint16), (1, 2, 255)),
        (np.full((2, 3, 3), [0, 0.5, 1], np.float64), (0, 128, 255)),
        (np.full((2, 3), 1, np.float16), (255, 255, 255)),
        (np.ones((2, 3), bool), (255, 255, 255)),
        (np.full((3, 2, 3), [1, 2, 3], np.uint8).transpose(1, 0, 2), (1, 2, 3)),
    ],
)
def test_arrays_become_images(array, expected):
    image = open_image(array)
    assert image.size == (3, 2)
    assert image.getpixel((2, 1)) == expected


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 20, 30), np.uint8), r"is not \(H, W\) or \(H, W, C\)"),
        (np.zeros(5, np.uint8), r"is not \(H, W\)"),
        (np.zeros((0, 5), np.uint8), "has no pixels"),
        (np.zeros((4, 4), np.int64), "samples of type int64"),
        (np.full((4, 4), 255.0), r"must lie in \[0, 1\]"),
        (np.full((4, 4), np.nan), r"must lie in \[0, 1\]"),
    ],
)
def test_arrays_that_are_no_images_are_refused(array, message):
    with pytest.raises(ImageError, match=message):
        open_image(array)


def test_other_things_are_a_type_error():
    with pytest.raises(TypeError, match="a PIL image or a numpy array, got int"):
        open_image(3)


# --- files that are no good


def png_header(width: int, height: int) -> bytes:
    """A small file that claims to be large: 20000 x 20000 in a few hundred bytes is a decompression bomb."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


def damaged_files(folder: Path, photograph: Image.Image):
    whole = io.BytesIO()
    photograph.save(whole, "JPEG")
    png = io.BytesIO()
    photograph.save(png, "PNG")
    flipped = bytearray(png.getvalue())
    flipped[len(flipped) // 2] ^= 0xFF
    contents = {
        "truncated.jpg": (whole.getvalue()[: len(whole.getvalue()) // 2], "is damaged or truncated"),
        "truncated.png": (png.getvalue()[: len(png.getvalue()) // 2], "is damaged or truncated"),
        "flipped.png": (bytes(flipped), "is damaged or truncated"),
        "header-only.jpg": (whole.getvalue()[:30], "cannot be opened as an image"),
        "text.png": (b"this is not a picture", "is not an image in a format that can be read"),
        "empty.jpg": (b"", "the file is empty"),
        "bomb.png": (png_header(20_000, 20_000), r"20000x20000 = 400,000,000 pixels, more than the 178,956,970"),
    }
    for name, (content, message) in contents.items():
        (folder / name).write_bytes(content)
        yield folder / name, message


def test_bad_files_are_named_with_the_reason(photograph, tmp_path):
    for path, message in damaged_files(tmp_path, photograph):
        with pytest.raises(ImageError, match=message) as caught:
            open_image(path)
        assert caught.value.path == str(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert str(caught.value).count("\n") == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "JPEG2000", "AVIF"])
def test_no_damage_gets_past_the_error(photograph, tmp_path, kind):
    # Bytes changed and ends cut off at random: what cannot be read is an ImageError of one line, never another error.
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    buffer = io.BytesIO()
    photograph.resize((40, 30)).save(buffer, kind)
    rng = np.random.default_rng(0)
    path, messages = tmp_path / "photo", []
    for _ in range(60):
        content = np.frombuffer(buffer.getvalue(), np.uint8).copy()
        content[rng.integers(0, len(content), 6)] = rng.integers(0, 256, 6)
        path.write_bytes(content[: rng.integers(1, len(content) + 1)].tobytes())
        try:
            open_image(path)
        except ImageError as error:
            messages.append(str(error))
    assert len(messages) > 20
    assert not any("\n" in message for message in messages)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ImageError, match=r"gone.png: there is no such file"):
        open_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="is a folder"):
        open_image(tmp_path)


def test_truncated_files_are_refused_even_where_the_process_lets_them_through(photograph, tmp_path, monkeypatch):
    # Other packages of this field set the switch when they are imported.
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for path, message in damaged_files(tmp_path, photograph):
        with pytest.raises(ImageError, match=message):
            open_image(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_threads_do_not_let_each_others_truncated_files_through(photograph, tmp_path, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    photograph.save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(content[: len(content) // 2])

    def opens(name: str) -> bool:
        try:
            open_image(tmp_path / name)
        except ImageError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(opens, ["whole.jpg", "half.jpg"] * 100))
    assert results == [True, False] * 100
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


def test_the_size_is_checked_before_a_pixel_is_decoded(tmp_path, monkeypatch):
    (tmp_path / "bomb.png").write_bytes(png_header(20_000, 20_000))
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="more than"):
        open_image(tmp_path / "bomb.png")


def test_the_limit_is_the_callers_and_pillows_is_left_alone(photograph, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    photograph.save(tmp_path / "photo.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(tmp_path / "photo.png").size == photograph.size
    assert Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(ImageError, match="24,120 pixels, more than the 24,119 allowed"):
        open_image(tmp_path / "photo.png", max_pixels=24_119)
    for source in (photograph, pixels(photograph)):
        with pytest.raises(ImageError, match="more than the 24,119 allowed"):
            open_image(source, max_pixels=24_119)


def test_postscript_never_reaches_an_interpreter(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("started"))
    path = tmp_path / "drawing.eps"
    Image.new("RGB", (10, 10)).save(path)
    with pytest.raises(ImageError, match="is not an image in a format that can be read"):
        open_image(path)


def test_a_one_pixel_image_opens(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "dot.png")
    assert open_image(tmp_path / "dot.png").getpixel((0, 0)) == (1, 2, 3)


def test_the_error_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(ImageError(Path("a.png"), "is damaged")))
    assert (error.path, error.reason, str(error)) == ("a.png", "is damaged", "a.png: is damaged.")
    assert isinstance(error, ValueError)
