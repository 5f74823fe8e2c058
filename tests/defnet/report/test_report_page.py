"""The page to look through: what stands in it, whatever files are called and whatever is wrong with a table."""

import base64
import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import defnet.scoring.seen as seen_module
from defnet.cli import app
from defnet.report.gallery import page_file
from defnet.report.gallery.entries import PAGE_BYTES, Gallery, address, thumbnail_bytes
from defnet.report.gallery.from_files import file_of
from defnet.report.gallery.page_file import bundle, columns, embedded, write_page
from defnet.scoring.local_files import local_path, read_local
from defnet.scoring.pictures import LocalQuality, thumbnail
from defnet.scoring.scored_tables import ScoredRow, ScoreTableError, read_score_table

Reader = Callable[[Path], Any]


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def shoot(tmp_path_factory: pytest.TempPathFactory, photographs: list[Path]) -> Path:
    """Five photographs and a torn one."""
    folder = tmp_path_factory.mktemp("shoot") / "shoot"
    folder.mkdir()
    for number, path in enumerate(photographs[:5]):
        Image.open(path).save(folder / f"{number}.png")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    return folder


@pytest.fixture(scope="module")
def scored(shoot: Path, model_file: Path) -> Path:
    """The folder that holds `scores.csv` and `look.html` of them."""
    place = shoot.parent
    result = run("score", shoot, "--model", model_file, "--device", "cpu", "--out", place / "scores.csv", "--local",
                 "--report", place / "look.html")  # fmt: skip
    assert result.exit_code == 1, result.output
    assert "look.html" in result.stderr
    return place


# What scoring makes


def test_every_image_stands_on_the_page_with_the_figures_of_the_table(scored: Path, read_page: Reader) -> None:
    data = read_page(scored / "look.html").data
    with (scored / "scores.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert data["path"] == [row["path"] for row in rows] + [str(scored / "shoot" / "torn.jpg")]
    for name in ("quality", "lower", "upper", "aleatoric_std", "epistemic_std"):
        assert data[name][:5] == pytest.approx([float(row[name]) for row in rows], abs=6e-5)
    std = [np.hypot(float(row["aleatoric_std"]), float(row["epistemic_std"])) for row in rows]
    assert data["std"][:5] == pytest.approx(std, abs=6e-5)
    assert data["scene"][:5] == [row["scene"] for row in rows]
    assert data["quality"][5] is None
    assert data["reason"][:5] == [None] * 5
    assert data["reason"][5].startswith("begins as JPEG, but is damaged")
    assert data["href"] == [f"./shoot/{name}" for name in ("0.png", "1.png", "2.png", "3.png", "4.png", "torn.jpg")]


def test_thumbnails_are_small_pictures_of_their_images(scored: Path, read_page: Reader) -> None:
    page = read_page(scored / "look.html")
    pictures = page.thumbnails
    assert page.data["thumbnail"] == [1, 1, 1, 1, 1, 0]
    assert pictures[5] == ""
    for number in range(5):
        picture = Image.open(io.BytesIO(base64.b64decode(pictures[number])))
        assert picture.format == "WEBP"
        assert max(picture.size) == 256
        original = Image.open(scored / "shoot" / f"{number}.png").resize(picture.size)
        apart = np.abs(np.asarray(picture.convert("RGB"), float) - np.asarray(original, float))
        assert apart.mean() < 12


def test_each_image_is_decoded_once(
    shoot: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = seen_module.open_image_with_warnings

    def counting(source: Any, **options: Any) -> Any:
        opened.append(source)
        return real(source, **options)

    monkeypatch.setattr(seen_module, "open_image_with_warnings", counting)
    monkeypatch.setattr("defnet.report.gallery.from_files.open_image_with_warnings", counting)
    run("score", shoot, "--model", model_file, "--device", "cpu", "--report", tmp_path / "look.html")
    assert len(opened) == 6


def test_sub_images_are_those_of_the_network(scored: Path, scorer: Any, read_page: Reader) -> None:
    """The boxes of the crop plan in the file's pixels, and δ and the deviation of Eq. 17."""
    data = read_page(scored / "look.html").data
    path = scored / "shoot" / "0.png"
    [(_, prediction)] = scorer.predict([path])
    evidence = prediction.local["quality"]
    width, height = Image.open(path).size
    corners = scorer.plan.boxes(width, height)
    assert data["size"][0] == [width, height]
    for index, (left, top, right, low, quality, std) in enumerate(data["local"][0]):
        x, y = corners[index]
        assert (left, top, right, low) == (x, y, x + 224, y + 224)
        assert quality == pytest.approx(float(evidence.loc[0, index, 0]), abs=0.006)
        scale = scorer.info.variance_scale
        assert std == pytest.approx(float(evidence.predictive_variance[0, index, 0] * scale) ** 0.5, abs=0.006)


def test_boxes_are_in_the_files_pixels_where_the_image_is_enlarged(scorer: Any) -> None:
    small = Image.new("RGB", (112, 160), (80, 120, 60))
    [(batch, _)] = scorer.predict([small], thumbnail_bytes=0)
    picture = batch[0].picture
    assert picture.size == (112, 160)
    assert picture.thumbnail == b""
    assert max(box[2] for box in picture.boxes) == pytest.approx(112)
    assert max(box[3] for box in picture.boxes) == pytest.approx(160)


def test_a_run_that_goes_on_shows_what_an_earlier_one_scored(
    shoot: Path, model_file: Path, tmp_path: Path, read_page: Reader
) -> None:
    table, page = tmp_path / "scores.csv", tmp_path / "look.html"
    options = ("--model", model_file, "--device", "cpu", "--out", table, "--local", "--report", page)
    run("score", shoot / "0.png", shoot / "1.png", *options)
    first = read_page(page).data
    run("score", shoot, *options)
    both = read_page(page)
    assert [Path(path).name for path in both.data["path"]] == [*(f"{number}.png" for number in range(5)), "torn.jpg"]
    assert both.data["local"][:2] == first["local"]
    assert both.data["size"][:2] == first["size"]
    assert all(both.thumbnails[:5])
    run("score", shoot, *options, "--overwrite")
    assert len(local_path(table).read_text().splitlines()) == 5


def test_interrupted_the_page_shows_what_was_scored(
    shoot: Path, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_page: Reader
) -> None:
    from defnet.report.gallery.while_scoring import PageWhileScoring

    real = PageWhileScoring.stream

    def stopped(*arguments: Any, **options: Any) -> Any:
        for number, result in enumerate(real(*arguments, **options)):
            if number == 2:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(PageWhileScoring, "stream", stopped)
    result = run("score", shoot, "--model", model_file, "--device", "cpu", "--report", tmp_path / "look.html")
    assert result.exit_code == 130
    assert read_page(tmp_path / "look.html").data["count"] == 2


def test_without_a_report_no_picture_is_made(scorer: Any, shoot: Path) -> None:
    [(batch, _)] = scorer.predict([shoot / "0.png"])
    assert batch[0].picture is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--local"], "--local is kept beside a table: give --out FILE"),
        (["--report", "look.pdf"], "--report must end in .html, .htm, got look.pdf"),
        (["--report", "look.html", "--runtime", "onnx"], "--report and --local look at sub-images"),
        (["--report", "nowhere/look.html"], "--report nowhere/look.html: there is no folder nowhere"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(shoot: Path, options: list[str], says: str) -> None:
    result = run("score", shoot, *options)
    assert result.exit_code == 2
    assert says in result.stderr


# What a table makes


def test_of_a_table_the_page_is_that_of_the_scoring(scored: Path, tmp_path: Path, read_page: Reader) -> None:
    result = run("report", scored / "scores.csv", "--out", scored / "again.html")
    assert result.exit_code == 0, result.output
    made, again = read_page(scored / "look.html"), read_page(scored / "again.html")
    for name, values in again.data.items():
        if isinstance(values, list) and name != "notes":
            assert values == made.data[name][:5], name
    assert again.data["notes"] == []
    assert all(again.thumbnails)


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_every_format_of_a_table_says_the_same(scored: Path, tmp_path: Path, suffix: str) -> None:
    import pandas as pd

    rows = read_score_table(scored / "scores.csv").rows
    frame = pd.read_csv(scored / "scores.csv")
    path = tmp_path / f"scores{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_json(path, orient="records", lines=suffix == ".jsonl")
    other = read_score_table(path).rows
    for one, two in zip(rows, other, strict=True):
        assert (one.path, one.scene, one.file_size, one.warnings) == (two.path, two.scene, two.file_size, two.warnings)
        assert one.values["quality"] == two.values["quality"]


def test_photographs_that_have_moved_are_found_below_images(scored: Path, tmp_path: Path, read_page: Reader) -> None:
    moved = tmp_path / "archive" / "shoot"
    moved.mkdir(parents=True)
    for path in (scored / "shoot").glob("*.png"):
        (moved / path.name).write_bytes(path.read_bytes())
    (moved / "3.png").unlink()
    Image.new("RGB", (300, 300)).save(moved / "4.png")
    page = tmp_path / "look.html"
    result = run("report", scored / "scores.csv", "--images", tmp_path / "archive", "--out", page)
    assert result.exit_code == 1
    data = read_page(page).data
    assert data["thumbnail"] == [1, 1, 1, 0, 1]
    assert data["href"][0] == "./archive/shoot/0.png"
    assert data["href"][3] is None
    assert data["notes"][0].startswith("1 photograph of 5 could not be found (shown without); the first: ")
    assert data["notes"][1].startswith("1 photograph changed after being scored")
    assert all(note in result.stderr for note in data["notes"])


def test_none_found_says_what_to_give(scored: Path, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("path,quality\ngone/a.jpg,3.2\ngone/b.jpg,2.2\n")
    result = run("report", tmp_path / "scores.csv")
    assert result.exit_code == 1
    assert "2 photographs of 2 could not be found (give --images DIR where they lie now); the first: gone/a.jpg" in (
        result.stderr
    )
    assert (tmp_path / "scores.html").is_file()


def test_a_table_of_few_columns_with_doubles_and_failures(tmp_path: Path, read_page: Reader) -> None:
    table = tmp_path / "few.csv"
    table.write_text(
        "path,quality,reason\na.jpg,3.5,\nb.jpg,,the file is empty\na.jpg,1.5,\nc.jpg,,\n", encoding="utf-8"
    )
    run("report", table)
    data = read_page(tmp_path / "few.html").data
    assert data["path"] == ["b.jpg", "a.jpg", "c.jpg"]
    assert data["quality"] == [None, 1.5, None]  # of a.jpg the later row
    assert data["reason"] == ["the file is empty", None, "has no score in the table"]
    assert data["lower"] == data["std"] == [None] * 3
    assert "rows of the table that a later row of the same image replaces: 1" in data["notes"]
    assert any(note.startswith("columns that the table does not have: expected_quality, ") for note in data["notes"])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (
            "a.csv",
            b"image,mos\nx.jpg,3\n",
            "is not a table of scores: it has no column 'path' (its columns: image, mos)",
        ),
        ("a.csv", b"path,quality\n", "holds no row"),
        ("a.csv", b"", "holds no row"),
        ("a.csv", b"path,quality\na.jpg,good\n", "row 1: quality is 'good', which is no number"),
        ("a.csv", b"path,quality\na.jpg,3,4\n", "line 2 has 3 values for 2 columns"),
        ("a.csv", b"path,quality\n,3\n", "row 1: it has no path"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\0\0", "zero bytes"),
        ("a.json", b'{"path": 1}', "no array of rows"),
        ("a.json", b"[1]", "row 1 is not an object"),
        ("a.jsonl", b'{"path": "a", "quality": 3}\n{"path"', "line 2 is not JSON"),
        ("a.jsonl", b'{"path": "a", "quality": 3}\n{"quality": 3}\n', "row 2 has no 'path'"),
        ("a.parquet", b"PAR", "no Parquet file"),
        ("a.txt", b"path", "the name of a table of scores ends in"),
    ],
)
def test_what_is_no_table_of_scores_is_said(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ScoreTableError, match=re.escape(says)):
        read_score_table(tmp_path / name)
    result = run("report", tmp_path / name, "--out", tmp_path / "x.html")
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "x.html").exists()


def test_no_table_at_all_is_said(tmp_path: Path) -> None:
    assert "there is no such table of scores" in run("report", tmp_path / "none.csv").stderr
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder, not a table of scores" in run("report", tmp_path / "folder.csv").stderr
    result = run("report", tmp_path / "none.csv", "--images", tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "there is no such folder" in result.stderr


# What was torn, and names of every kind


def test_a_torn_line_of_sub_images_is_passed_over(scored: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    lines = local_path(scored / "scores.csv").read_bytes().splitlines(keepends=True)
    local_path(table).write_bytes(lines[0] + lines[1][:-30] + b"\n" + b'{"path": "x"}\n' + lines[2])
    assert len(read_local(table)) == 2
    assert read_local(tmp_path / "none.csv") == {}


HOSTILE = (
    "</script><script>alert(1)</script>.jpg",
    "<img src=x onerror=alert(2)>.jpg",
    "<!--<script>.jpg",
    "a&amp;b \"quoted\" 'too'.jpg",
    "javascript:alert(3).jpg",
    "//example.org/a.jpg",
    "line\nfeed\u2028.jpg",
    os.fsdecode(b"caf\xe9.jpg"),
    "写真 🙂.jpg",
)


def test_names_are_data_and_nothing_else(tmp_path: Path, read_page: Reader) -> None:
    """Whatever a file, a warning or a title is called, the page has the same elements, and gives it back as it was."""
    with Gallery() as gallery:
        for name in HOSTILE:
            row = ScoredRow(name, {"quality": 3.0}, scene=name, distortion=name, warnings=(name,))
            gallery.add(row, href=address(tmp_path / "photos" / name.lstrip("/"), tmp_path / "page.html"))
        write_page(gallery, tmp_path / "page.html", HOSTILE[0], [HOSTILE[1]])
    with Gallery() as plain:
        write_page(plain, tmp_path / "plain.html", "plain")
    page, other = read_page(tmp_path / "page.html"), read_page(tmp_path / "plain.html")
    assert [tag for tag in page.tags if tag not in ("script",)] == [tag for tag in other.tags if tag not in ("script",)]
    assert len(page.scripts) == len(other.scripts) + 1  # the block of thumbnails
    data = page.data
    assert data["path"] == data["scene"] == data["distortion"] == list(HOSTILE)
    assert data["warnings"] == [[name] for name in HOSTILE]
    assert data["title"] == HOSTILE[0]
    for href in data["href"]:
        assert re.fullmatch(r"\./[A-Za-z0-9_.~/%-]+", href), href
    text = page.by_id("data")
    assert not set("<>&") & set(text)
    assert text.isascii()


def test_an_address_leads_to_its_file(tmp_path: Path) -> None:
    from urllib.parse import unquote_to_bytes

    page = tmp_path / "out" / "page.html"
    for name in (*HOSTILE[:5], *HOSTILE[6:]):
        file = tmp_path / "in" / name.replace("/", "_")
        found = os.path.normpath(os.fsencode(page.parent) + b"/" + unquote_to_bytes(address(file, page)))
        assert found == os.fsencode(file)


def test_the_page_may_run_its_own_script_and_ask_nothing_of_the_network(
    make_page: Callable[..., Path], tmp_path: Path, read_page: Reader
) -> None:
    page = read_page(make_page(tmp_path / "page.html"))
    rules = dict(rule.split(" ", 1) for rule in page.policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["img-src"] == "'self' file: data:"
    for text, rule in ((page.program, "script-src"), (page.styles[0], "style-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", (tmp_path / "page.html").read_text(encoding="utf-8"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|fetch\(", page.program)


def test_scripts_import_what_the_others_have(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not re.search(r"^(import|export) ", bundle(), re.MULTILINE)
    named = re.findall(r"^(?:function|class|const|let) (\w+)", bundle(), re.MULTILINE)
    assert len(named) == len(set(named)), "one scope holds all scripts"
    real = page_file._asset
    monkeypatch.setattr(
        page_file, "_asset", lambda name: real(name).replace("export function figure", "function figure")
    )
    with pytest.raises(ValueError, match=r"imports \['figure'\] from formats.js"):
        bundle()


# How large it is


def test_ten_thousand_images_keep_to_120_megabytes() -> None:
    """The largest thumbnails, base64 with a line feed each, and the rows that take the most."""
    name = "/volumes/archive/2026/a rather long name of a shoot/IMG_20261128_123456_1234567.jpeg"
    boxes = tuple((11000.4, 8000.4, 11224.4, 8224.4) for _ in range(15))
    row = ScoredRow(
        name,
        dict.fromkeys(("quality", "aleatoric_std", "epistemic_std", "lower", "upper", "familiarity"), 4.123456)
        | {"scene_probability": 0.123456, "distortion_probability": 0.123456},
        scene="indoor scene",
        distortion="JPEG2000 compression",
        file_size=123_456_789,
        file_modified="2026-11-28T12:28:37.363016614Z",
        warnings=("unlike the photographs this model was trained on; the interval is wide because of that",),
    )
    with Gallery() as gallery:
        for _ in range(100):
            local = LocalQuality((12000, 9000), boxes, (3.123,) * 15, (0.123,) * 15)
            gallery.add(row, b"", local, href="./" + "%20" * 30 + name)
        rows = len(embedded(columns(gallery.entries))) / 100
    for images in (10_000, 20_000, 30_000):
        picture = len(base64.b64encode(bytes(thumbnail_bytes(images)))) + 1
        assert images * (rows + picture) + 100_000 <= PAGE_BYTES, images
    assert thumbnail_bytes(10_000) > 6_000
    assert thumbnail_bytes(10) == thumbnail_bytes(1_000) == 7_500
    assert thumbnail_bytes(1_000_000) == 1_000


@pytest.mark.parametrize("limit", [7_500, 3_000, 1_000])
@pytest.mark.parametrize("size", [(900, 700), (3000, 3), (40, 40)])
def test_a_thumbnail_keeps_to_its_limit_whatever_the_picture(limit: int, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    content = thumbnail(Image.fromarray(noise), limit)
    assert 0 < len(content) <= limit
    picture = Image.open(io.BytesIO(content))
    assert max(picture.size) <= min(256, max(size))
    assert thumbnail(Image.fromarray(noise), 0) == b""


def test_the_file_of_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("a/b/c.jpg", "b/d.jpg", "e.jpg"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.chdir(tmp_path / "a")
    assert file_of("b/c.jpg") == Path("b/c.jpg")
    assert file_of("e.jpg") is None
    assert file_of("e.jpg", tmp_path / "table.csv") == tmp_path / "e.jpg"
    assert file_of("/old/x/b/d.jpg", images=tmp_path) == tmp_path / "b" / "d.jpg"
    assert file_of("b/c.jpg", images=tmp_path / "b") is None  # what is asked for is there or nowhere
    for none in ("", "-", "a\0b", "x" * 5000, "b"):
        assert file_of(none, tmp_path / "table.csv", tmp_path) is None


def test_json_of_the_page_is_json(scored: Path, read_page: Reader) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        embedded({"quality": float("nan")})
    assert json.loads(embedded({"a": "</script>"})) == {"a": "</script>"}


@pytest.mark.parametrize("command", ["report", "compare"])
def test_of_tables_nothing_waits_for_torch(tmp_path: Path, command: str) -> None:
    (tmp_path / "a.csv").write_text("path,quality\na.jpg,3\nb.jpg,2\n")
    code = (
        "import sys; from defnet.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'timm', 'open_clip', 'pandas', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
    )
    tables = ["a.csv"] if command == "report" else ["a.csv", "a.csv"]
    done = subprocess.run(
        [sys.executable, "-c", code, command, *tables], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stderr.splitlines()[-1] == "[]"
    assert "2 photographs" in done.stderr
