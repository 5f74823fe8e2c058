import zlib

import pytest
from PIL import Image

from iqa_datasets.errors import ImageError
from iqa_datasets.images import open_image
from map_score_fusion import ScoreTableError
from map_score_fusion.image_files import (
    MAX_PIXELS,
    ImagePair,
    image_files,
    open_for_metrics,
    pair_by_name,
    pair_by_table,
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


def test_images_are_opened_as_in_iqa_datasets(tmp_path):
    """What `iqa_datasets` tests of reading holds here too: these are its own functions, with a limit of pixels."""
    path = save(tmp_path / "alpha.png", "RGBA", colour=(0, 0, 0, 51))
    opened = open_for_metrics(path)
    assert opened.image.getpixel((0, 0)) == (204, 204, 204)
    assert opened.image.tobytes() == open_image(path).tobytes()
    frames = [Image.new("RGB", (8, 6), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.tif", save_all=True, append_images=frames[1:])
    assert open_for_metrics(tmp_path / "two.tif").warnings[0] == "frame 1 of 2"
    (tmp_path / "cut.png").write_bytes(path.read_bytes()[:40])
    with pytest.raises(ImageError, match=r"cut\.png: "):
        open_for_metrics(tmp_path / "cut.png")


def test_a_large_photograph_is_read_and_a_bomb_refused_from_its_header(tmp_path):
    """80 megapixels, once refused here and read by iqa-datasets; and a small file that states 50,000 x 50,000."""
    assert MAX_PIXELS > 80_000_000
    path = save(tmp_path / "bomb.png", "L")
    content = bytearray(path.read_bytes())
    content[16:24] = (50_000).to_bytes(4) * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"bomb\.png: .*50,?000"):
        open_for_metrics(path)


def test_linked_folders_are_followed(tmp_path):
    save(tmp_path / "elsewhere" / "a.png")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "images", target_is_directory=True)
    assert image_files(tmp_path / "images") == ["link/a.png"]


def test_what_only_a_plugin_reads_is_listed_and_other_files_are_counted(tmp_path):
    (tmp_path / "photo.heic").write_bytes(b"x")
    assert image_files(tmp_path) == ["photo.heic"]
    (tmp_path / "photo.heic").rename(tmp_path / "notes.txt")
    with pytest.raises(ScoreTableError, match=r"holds no image, but 1 \.txt"):
        image_files(tmp_path)
