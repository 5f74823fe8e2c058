"""Data sets of every kind, wherever they lie."""

from pathlib import Path

import pytest

from defnet import DataConfig, DataError, DataRoots
from defnet.data.mixture import training_part
from iqa_datasets.testing import FakeDataset, make_fake


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets with LIQE's labels and without, in one folder."""
    folder = tmp_path_factory.mktemp("fakes")
    for name in ("live-challenge", "live", "tid2013", "spaq", "pipal", "koniq-10k"):
        make_fake(name, folder, images=24)
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> FakeDataset:
    return make_fake("folder", tmp_path_factory.mktemp("own"), images=20)


@pytest.mark.parametrize(
    ("name", "session"),
    [
        ("live-challenge", 3),
        ("live-challenge", "seeded-1"),
        ("tid2013", "seeded-1"),
        ("spaq", "seeded-2:0.6/0.2/0.2"),
        ("pipal", "seeded-1"),
        ("koniq-10k", "official"),
        ("koniq-10k", 1),
        ("tid2013", None),
    ],
)
def test_every_data_set_with_every_kind_of_session(name: str, session: int | str | None, fakes: Path) -> None:
    found = DataRoots(fakes).load(name, session)
    assert found.name == name
    assert found.session == session
    if session is not None:
        assert sum(len(found.part(part)) for part in ("train", "val", "test")) == len(found)


def test_scenes_and_distortions_come_from_liqe_where_they_are_and_are_not_needed(fakes: Path, tmp_path: Path) -> None:
    labelled = DataRoots(fakes).load("live-challenge", "seeded-1")
    assert all(record.scenes and record.distortion for record in labelled)
    (tmp_path / "ChallengeDB_release").symlink_to(fakes / "ChallengeDB_release")
    bare = DataRoots(tmp_path).load("live-challenge", "seeded-1")
    assert not any(record.scenes for record in bare)
    assert [record.quality for record in bare] == [record.quality for record in labelled]
    # TID2013 has no labels of LIQE's, but its own distortions.
    assert all(record.distortion and not record.scenes for record in DataRoots(fakes).load("tid2013"))


def test_folders_of_ones_own_by_name_and_path(own: FakeDataset, fakes: Path, tmp_path: Path) -> None:
    second = make_fake("folder", tmp_path, images=12, seed=4)
    roots = DataRoots(fakes, folders={"holiday": own.root, "garden": second.root})
    assert (len(roots.load("holiday", "official")), len(roots.load("garden", "seeded-1"))) == (20, 12)
    assert len(DataRoots().load("holiday", "seeded-1", path=str(own.root))) == 20
    source = DataConfig(name="holiday", dataset="folder", path=str(own.root), session="seeded-1", batch_size=2)
    assert len(DataRoots(fakes).load_source(source)) == 20
    # What the command line says of a folder goes before what the configuration says.
    assert len(DataRoots(folders={"holiday": second.root}).load_source(source)) == 12


def test_one_data_set_under_two_names(fakes: Path) -> None:
    root = fakes / "ChallengeDB_release"
    roots = DataRoots(labels=fakes / "liqe-labels", folders={"again": root})
    assert len(roots.load("again", 2, dataset="live-challenge")) == 24


def test_a_text_is_a_path(fakes: Path) -> None:
    assert DataRoots(str(fakes)) == DataRoots(fakes)
    assert len(DataRoots(str(fakes), labels=str(fakes / "liqe-labels")).load("live-challenge", 1)) == 24


@pytest.mark.parametrize(
    ("name", "session", "options", "message"),
    [
        ("live-chalenge", 1, {}, "unknown data set 'live-chalenge'.*live-challenge"),
        ("folder", "seeded-1", {}, "folder: is a folder of your own; say where, --data-root folder=DIR"),
        ("mine", "seeded-1", {"dataset": "folder"}, "mine: is a folder of your own; say where, --data-root mine=DIR"),
        ("tid2013", 1, {}, "tid2013: session 1 is one of LIQE's, .* session 'seeded-1'"),
        ("spaq", "official", {}, "publish no split"),
        ("spaq", "seeded-1", {"path": "/nowhere/spaq"}, "/nowhere/spaq"),
        ("csiq", "seeded-1", {}, "CSIQ"),
    ],
)
def test_what_cannot_be_loaded(
    name: str, session: int | str, options: dict[str, str], message: str, fakes: Path
) -> None:
    with pytest.raises(DataError, match=message):
        DataRoots(fakes).load(name, session, **options)


def test_nobody_knows_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nobody knows where it lies; give --data-root DIR or --data-root live=DIR"):
        DataRoots().load("live", 1)
    with pytest.raises(DataError, match=r"none: there is no such folder of LIQE's label files"):
        DataRoots(tmp_path, labels=tmp_path / "none")


def test_places_on_a_command_line() -> None:
    roots = DataRoots.parse(["/data/iqa", "holiday=photos/a=b", "koniq-10k=../k"])
    assert roots.root == Path("/data/iqa")
    assert roots.folders == {"holiday": Path("photos/a=b"), "koniq-10k": Path("../k")}
    assert DataRoots.parse(["./a=b"]).root == Path("a=b")
    assert DataRoots.parse([]).root is None
    with pytest.raises(DataError, match="two folders of all data sets, /a and /b; a single one's is NAME=DIR"):
        DataRoots.parse(["/a", "/b"])
    with pytest.raises(DataError, match="two folders of x, /a and /b"):
        DataRoots.parse(["x=/a", "x=/b"])


def test_exclude_goes_by_the_path_from_the_data_sets_folder(fakes: Path) -> None:
    """LIVE's file names repeat across its folders; leaving one out leaves its namesakes in."""
    dataset = DataRoots(fakes).load("live", 1)
    train = [Path(record.image_path).relative_to(dataset.root).as_posix() for record in dataset.part("train")]
    names = [path.rpartition("/")[2] for path in train]
    [chosen, *_] = [path for path, name in zip(train, names, strict=True) if names.count(name) > 1]
    left = training_part(dataset, [chosen])
    assert [Path(record.image_path).relative_to(dataset.root).as_posix() for record in left] == [
        path for path in train if path != chosen
    ]
    with pytest.raises(
        DataError, match=rf"live: exclude names '{Path(chosen).name}', .*is it '.*/{Path(chosen).name}'"
    ):
        training_part(dataset, [Path(chosen).name])
    with pytest.raises(DataError, match=r"mine: exclude names 'none\.bmp', .* paths from its folder$"):
        training_part(dataset, [chosen, "none.bmp"], "mine")


def test_an_excluded_image_may_lie_in_another_part(fakes: Path) -> None:
    """One list serves all sessions."""
    dataset = DataRoots(fakes).load("live-challenge", 1)
    other = Path(dataset.part("test")[0].image_path).relative_to(dataset.root).as_posix()
    assert len(training_part(dataset, [other])) == len(dataset.part("train"))
