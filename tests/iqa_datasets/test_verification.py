"""What `verify` finds in a folder that is whole, and in one that is not."""

from pathlib import Path

import pytest
from PIL import Image

from iqa_datasets import DatasetError, load, verify


def kinds(found, kind):
    return {Path(finding.path).name: finding.detail for finding in found.findings if finding.kind == kind}


@pytest.fixture
def paths(clive):
    return [Path(path) for path in load("live-challenge", clive.root).records["image_path"]]


def test_whole(fake):
    found = verify(fake.name, fake.root, workers=1)
    assert found.ok, found.faults
    assert found.images == len(load(fake.name, fake.root))
    assert found.decoded >= found.images


def test_everything_at_once(clive, paths):
    truncated, missing, case, empty, copied, text = paths[3:9]
    truncated.write_bytes(truncated.read_bytes()[:-200])
    missing.unlink()
    case.rename(case.with_name(case.name.swapcase()))
    empty.write_bytes(b"")
    copied.write_bytes(paths[10].read_bytes())
    text.write_text("404 not found")
    Image.new("RGB", (9, 9)).save(paths[0].with_name("stray.png"))
    found = verify("live-challenge", clive.root, workers=1)
    assert not found.ok
    assert set(kinds(found, "unreadable")) == {truncated.name, empty.name, text.name}
    assert "damaged or truncated" in kinds(found, "unreadable")[truncated.name]
    assert kinds(found, "unreadable")[empty.name] == "the file is empty"
    assert set(kinds(found, "missing")) == {missing.name}
    assert set(kinds(found, "case")) == {case.name.swapcase()}
    assert set(kinds(found, "stray")) == {"stray.png"}
    duplicates = kinds(found, "duplicate")
    assert len(duplicates) == 1
    assert copied.name in str(duplicates)
    assert paths[10].name in str(duplicates)
    # The twins of the original are known.
    assert len(kinds(found, "identical")) == 1
    assert found.decoded == found.images - 4


def test_same_findings_on_all_cores(clive, paths):
    paths[3].write_bytes(paths[3].read_bytes()[:-200])
    alone, together = (verify("live-challenge", clive.root, workers=number) for number in (1, 2))
    assert alone == together
    assert len(alone.faults) == 1


def test_wrong_size(kadid):
    path = Path(load("kadid-10k", kadid.root).records["image_path"][3])
    with Image.open(path) as image:
        smaller = image.resize((40, 30))
    smaller.save(path)
    found = verify("kadid-10k", kadid.root, workers=1)
    assert "40x30" in kinds(found, "size")[path.name]


def test_labels_that_cannot_be_read(clive):
    (clive.root / "Data" / "AllMOS_release.mat").write_bytes(b"nonsense")
    found = verify("live-challenge", clive.root, workers=1)
    [fault] = found.faults
    assert fault.kind == "labels"
    assert "AllMOS_release.mat is not a readable MATLAB file" in fault.detail


def test_refusals(clive, tmp_path):
    with pytest.raises(DatasetError, match="unknown data set 'live2'"):
        verify("live2", clive.root)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        verify("live-challenge", tmp_path / "nowhere")


def test_real(data_root):
    found = verify("live-challenge", data_root / "ChallengeDB_release")
    assert found.ok
    assert found.decoded == found.images == 1162
    assert set(kinds(found, "identical")) == {"333.bmp"}
