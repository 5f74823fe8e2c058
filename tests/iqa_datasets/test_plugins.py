"""Loaders that others bring: by a call, and by the entry points of an installed package."""

import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from click.testing import Result
from typer.testing import CliRunner

import iqa_datasets
from iqa_datasets import (
    DatasetCard,
    DatasetError,
    Loader,
    QualityScale,
    Reading,
    load,
    make_records,
    register_loader,
    resolve_images,
    verify,
)
from iqa_datasets.cli import app
from iqa_datasets.testing import make_fake

CARD = DatasetCard(
    name="acme",
    title="Acme's photographs",
    year=2025,
    size=12,
    kind="authentic",
    scale=QualityScale(0, 10),
    subjects=None,
    licence="Theirs.",
    citation="Acme.",
    home_page="https://example.org",
    folder="acme",
    files=("scores.csv", "*.png"),
    columns=(("sharpness", "how sharp"),),
)


def read(root: Path) -> Reading:
    source = root / "scores.csv"
    table = pd.read_csv(source)
    images = resolve_images(root, table["name"].tolist(), source)
    more = {"sharpness": table["sharpness"].tolist()}
    records = make_records(
        table["name"].tolist(), images.paths, CARD.scale, source, more=more, mos=table["mos"].tolist()
    )
    return Reading(records, images)


@pytest.fixture
def folder(tmp_path):
    fake = make_fake("bid", tmp_path / "made", images=12)
    root = tmp_path / "acme"
    root.mkdir()
    lines = ["name,mos,sharpness"]
    for row, image in enumerate(fake.images):
        (root / f"{row}.png").write_bytes((fake.root / image.file).read_bytes())
        lines.append(f"{row}.png,{row / 2},{row * 10}")
    (root / "scores.csv").write_text("\n".join(lines))
    return root


def test_a_registered_loader_is_used_like_any_other(folder):
    register_loader(Loader(CARD, read))
    assert "acme" in iqa_datasets.available()
    assert iqa_datasets.info("acme") == CARD
    dataset = load("acme", folder, session="seeded-1", alias="ours")
    assert dataset.name == "ours"
    assert dataset.records["sharpness"].tolist() == [row * 10 for row in range(12)]
    assert dataset.part("test")[0].more["sharpness"] % 10 == 0
    (folder / "thumb.png").write_bytes((folder / "0.png").read_bytes())
    with pytest.warns(UserWarning, match=r"holds thumb\.png without a label"):
        assert len(load("acme", folder)) == 12
    assert [finding.kind for finding in verify("acme", folder, workers=1).findings] == ["stray"]
    (folder / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks 3\.png of the 12 images"):
        load("acme", folder)


def test_names_are_taken_once(folder):
    with pytest.raises(DatasetError, match="the loader of 'live' is this package's own; give yours another name"):
        register_loader(Loader(replace(CARD, name="live"), read))
    register_loader(Loader(CARD, read))
    with pytest.raises(DatasetError, match="there is a loader of 'acme' already; replace=True takes its place"):
        register_loader(Loader(CARD, read))
    register_loader(Loader(replace(CARD, title="Another"), read), replace=True)
    assert iqa_datasets.info("acme").title == "Another"
    with pytest.raises(DatasetError, match=r"a loader must be an iqa_datasets\.Loader, got 'acme'"):
        register_loader("acme")


def test_a_card_and_its_loader_agree_on_liqe():
    with pytest.raises(DatasetError, match="the card of 'acme' has liqe_labels=True, but its loader has no"):
        Loader(replace(CARD, liqe_labels=True), read)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda _: 1 / 0, DatasetError, r"the loader of 'acme' failed on .*: ZeroDivisionError: division by zero"),
        (lambda _: None, DatasetError, r"'acme' failed on .*: TypeError: read must return an iqa_datasets.Reading"),
        (
            lambda root: Reading(read(root).records.drop(columns="level"), read(root).images),
            DatasetError,
            "the loader of 'acme': records must have the columns .*; missing: level",
        ),
        (lambda root: (root / "no.csv").read_text(), FileNotFoundError, r"the loader of 'acme': .*no\.csv"),
    ],
)
def test_errors_in_a_loader_name_it(folder, wrong, error, message):
    register_loader(Loader(CARD, wrong))
    with pytest.raises(error, match=message) as caught:
        load("acme", folder)
    assert "\n" not in str(caught.value)
    (finding,) = verify("acme", folder, workers=1).findings
    assert finding.kind == "labels"


# Entry points


def install(site: Path, code: str, entries: dict[str, str]) -> None:
    """Lay out a package as an installer would, in a folder for the module search path."""
    site.mkdir(exist_ok=True)
    (site / "acme_iqa.py").write_text(code)
    info = site / "acme_iqa-1.5.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-iqa\nVersion: 1.5\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[iqa_datasets.loaders]\n{lines}")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the module search path, in which plug-ins are installed."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    yield tmp_path / "site"
    sys.modules.pop("acme_iqa", None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


CODE = """
from pathlib import Path
Path(__file__).with_name("imported").touch()
from iqa_datasets import DatasetCard, Loader, QualityScale, Reading, make_records, resolve_images
import pandas as pd
CARD = DatasetCard(
    name="acme", title="Acme's photographs", year=2025, size=12, kind="authentic", scale=QualityScale(0, 10),
    subjects=None, licence="Theirs.", citation="Acme.", home_page="https://example.org", folder="acme",
    files=("scores.csv", "*.png"),
)
def read(root):
    table = pd.read_csv(root / "scores.csv")
    images = resolve_images(root, table["name"].tolist(), root / "scores.csv")
    records = make_records(table["name"].tolist(), images.paths, CARD.scale, root / "scores.csv", mos=table["mos"])
    return Reading(records, images)
LOADER = Loader(CARD, read)
TEXT = "no loader"
"""


def test_an_installed_plugin_is_read_and_not_imported_before(folder, tmp_path, site):
    install(site, CODE, {"acme": "acme_iqa:LOADER"})
    for command in ("--help", "table --help", "info live", f"table live {tmp_path}"):
        run(*command.split())
        assert not (site / "imported").exists()
    table = run("table", "acme", str(folder))
    assert table.exit_code == 0, table.stderr
    assert len(table.stdout.splitlines()) == 13
    assert (site / "imported").exists()
    listed = run("list", "--format", "csv")
    assert listed.exit_code == 0
    assert 'acme,Acme\'s photographs,2025,12,,,authentic,"0 to 10, higher = better"' in listed.stdout
    unknown = run("info", "acne")
    assert unknown.exit_code == 2
    assert "unknown data set 'acne'; did you mean 'acme'?" in unknown.stderr


@pytest.mark.parametrize(
    ("code", "value", "message"),
    [
        (
            "import no_such_module",
            "acme_iqa:LOADER",
            "cannot be loaded: ModuleNotFoundError: No module named 'no_such_",
        ),
        ("raise RuntimeError('of\\nmany lines')", "acme_iqa:LOADER", "cannot be loaded: RuntimeError: of many lines"),
        (CODE, "acme_iqa:NOTHING", "cannot be loaded: AttributeError: module 'acme_iqa' has no attribute 'NOTHING'"),
        (CODE, "acme_iqa:TEXT", "must be an iqa_datasets.Loader, got str"),
        (
            CODE.replace('name="acme"', 'name="other"'),
            "acme_iqa:LOADER",
            "has a card named 'other'; both must be the same",
        ),
    ],
)
def test_errors_of_a_plugin_are_one_sentence_that_names_it(site, code, value, message):
    install(site, code, {"acme": value})
    done = run("info", "acme")
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"iqa-datasets: the plug-in 'acme' (acme-iqa 1.5, {value}) {message}")
    listed = run("list", "--format", "csv")
    assert listed.exit_code == 1
    assert len(listed.stderr.splitlines()) == 1
    # A line of titles, and all but the broken one.
    assert len(listed.stdout.splitlines()) == 1 + len(iqa_datasets.available()) - 1


def test_a_plugin_cannot_take_the_place_of_a_data_set_of_this_package(site):
    install(site, CODE, {"live": "acme_iqa:LOADER"})
    done = run("info", "live")
    assert done.exit_code == 0
    assert "LIVE Image Quality Assessment Database" in done.stdout
    assert not (site / "imported").exists()


def test_no_made_up_copy_of_a_plugin(tmp_path):
    register_loader(Loader(CARD, read))
    with pytest.raises(DatasetError, match="there is no made-up copy of 'acme'"):
        make_fake("acme", tmp_path)
