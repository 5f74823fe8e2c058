import re
import zlib

import numpy as np
import pytest
from PIL import Image

from map_score_fusion import ScoreTableError
from map_score_fusion.image_files import (
    ImagePair,
    UnreadableImageError,
    image_files,
    pair_by_name,
    pair_by_table,
    read_image,
)


def save(path, mode="RGB", size=(8, 6), colour=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour if colour is not None else 0).save(path, **options)
    return path


def test_lists_images_by_suffix_in_any_case(tmp_path):
    for name in ("b.BMP", "a.png", "sub/c.JPG", ".hidden/d.png", ".e.png"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("x")
    assert image_files(tmp_path) == ["a.png", "b.BMP", "sub/c.JPG"]
    with pytest.raises(ScoreTableError, match="is not a folder"):
        image_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScoreTableError, match="holds no image"):
        image_files(tmp_path / "empty")
    save(tmp_path / "line\nbreak.png")
    with pytest.raises(ScoreTableError, match="control characters"):
        image_files(tmp_path)


@pytest.mark.parametrize(
    ("image", "references", "expected"),
    [
        ("I01_01_01.png", ["I01.png", "I02.png"], "I01.png"),  # KADID-10k
        ("i01_01_1.bmp", ["I01.BMP", "I10.BMP"], "I01.BMP"),  # TID2013
        ("I10_01_1.bmp", ["I1.BMP", "I10.BMP"], "I10.BMP"),
        ("jpeg/house.jpg", ["house.png"], "house.png"),
        ("house-2.blur.png", ["house.png", "house-2.png"], "house-2.png"),
        ("a/x_1.png", ["a/x.png", "b/x.png"], "a/x.png"),
    ],
)
def test_finds_the_reference_by_name(image, references, expected):
    assert pair_by_name([image], references) == [ImagePair(image, expected)]


@pytest.mark.parametrize(
    ("image", "references", "problem"),
    [
        ("I011_1.png", ["I01.png"], "no reference"),  # the name goes on with a digit
        ("houses.png", ["house.png"], "no reference"),
        ("c/x_1.png", ["a/x.png", "b/x.png"], "several references have its name: a/x.png, b/x.png"),
    ],
)
def test_says_why_there_is_no_reference(image, references, problem):
    (pair,) = pair_by_name([image], references)
    assert pair.reference is None
    assert problem in pair.problem


def test_reads_pairs_from_a_table(tmp_path):
    table = tmp_path / "dmos.csv"
    table.write_text("dist_img,ref_img,dmos\nI01_01_01.png,I01.png,4.57\nI01_01_02.PNG,I01.png,4.33\n")
    images = ["I01.png", "I01_01_01.png", "I01_01_02.png"]
    assert pair_by_table(table, images, images) == [
        ImagePair("I01_01_01.png", "I01.png"),
        ImagePair("I01_01_02.png", "I01.png"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "needs the columns distorted and reference, got a, b"),
        ("", "got none"),
        ("distorted,reference\n", "has no rows"),
        ("distorted,reference\nx.png,r.png\nx.png,r.png\n", "line 3: x.png is there a second time"),
        ("distorted,reference\n../x.png,r.png\n", r"line 2: '../x.png' is not among the images"),
        ("distorted,reference\nx.png\n", "line 2: '' is not among"),
        ("distorted,reference\nx.png,R2.png\n", "may be any of r2.png, r2.PNG"),
    ],
)
def test_refuses_a_wrong_table_of_pairs(tmp_path, text, message):
    table = tmp_path / "pairs.csv"
    table.write_text(text)
    with pytest.raises(ScoreTableError, match=message):
        pair_by_table(table, ["x.png"], ["r.png", "r2.png", "r2.PNG"])


def test_reads_what_a_viewer_shows(tmp_path):
    assert read_image(save(tmp_path / "rgb.png", colour=(1, 2, 3)))[0, 0].tolist() == [1, 2, 3]
    assert read_image(save(tmp_path / "grey.png", "L", colour=7))[0, 0].tolist() == [7, 7, 7]
    assert read_image(save(tmp_path / "alpha.png", "RGBA", colour=(0, 0, 0, 51)))[0, 0].tolist() == [204, 204, 204]
    assert read_image(save(tmp_path / "deep.png", "I;16", colour=257 * 100))[0, 0].tolist() == [100, 100, 100]
    turned = Image.Exif()
    turned[0x0112] = 6
    assert read_image(save(tmp_path / "turned.jpg", size=(8, 6), exif=turned)).shape == (8, 6, 3)
    assert read_image(tmp_path / "rgb.png").dtype == np.uint8


def test_refuses_with_the_path_what_is_not_whole(tmp_path, monkeypatch):
    whole = save(tmp_path / "whole.png", size=(64, 64), colour=(9, 8, 7)).read_bytes()
    cases = {"empty.png": (b"", "is empty"), "cut.png": (whole[:100], "damaged or truncated")}
    cases["text.png"] = (b"no image at all", "not an image in a format")
    for name, (content, message) in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UnreadableImageError, match=f"{re.escape(str(path))}.*{message}"):
            read_image(path)
    with pytest.raises(UnreadableImageError, match="cannot be read: No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(UnreadableImageError, match="floating-point"):
        read_image(save(tmp_path / "float.tif", "F"))
    monkeypatch.setattr("map_score_fusion.image_files.MAX_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match="64x64 pixels, more than the 100 allowed"):
        read_image(tmp_path / "whole.png")


def test_a_bomb_is_refused_from_its_header(tmp_path):
    """A small file that states 50,000 x 50,000 pixels."""
    path = save(tmp_path / "bomb.png", "L")
    content = bytearray(path.read_bytes())
    content[16:24] = (50_000).to_bytes(4) * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"more than the 64,000,000"):
        read_image(path)
