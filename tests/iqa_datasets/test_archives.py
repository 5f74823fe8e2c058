import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iqa_datasets import DatasetError
from iqa_datasets.archives import DamagedArchiveError, Limits, is_archive, unpack

FILES = {"images/I01.BMP": b"\x00\xff" * 3000, "images/straße 01.png": b"png", "scores.txt": b"5.5 I01\n", "empty": b""}


def zip_of(path: Path, files: dict[str, bytes], **kinds: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = kinds.get("mode", stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return path


def tar_of(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def odd_tar(path: Path, name: str, kind: bytes, link: str = "") -> Path:
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"])
def test_what_was_packed_comes_out(tmp_path, suffix):
    packed = tmp_path / f"set.{suffix}"
    if suffix == "zip":
        zip_of(packed, FILES)
    else:
        tar_of(packed, FILES, "w:" + {"tar": "", "tgz": "gz"}.get(suffix, suffix.removeprefix("tar.")))
    seen = []
    assert unpack(packed, tmp_path / "out", progress=lambda done, total: seen.append((done, total))) == len(FILES)
    assert tree(tmp_path / "out") == FILES
    assert seen == sorted(seen)
    assert seen[-1][0] <= seen[-1][1]


def test_the_kind_is_told_by_content_not_by_name(tmp_path):
    assert unpack(zip_of(tmp_path / "set.tar.gz", FILES), tmp_path / "out") == len(FILES)
    assert [is_archive(name) for name in ("a.ZIP", "b.tgz", "c.rar", "d.xlsx", "e.csv")] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("content", [b"Rar!\x1a\x07\x01\x00 and more", b"7z\xbc\xaf\x27\x1c and more"])
def test_what_needs_another_program_says_so(tmp_path, content):
    packed = tmp_path / "set.rar"
    packed.write_bytes(content)
    with pytest.raises(DatasetError, match=r"7-Zip, unar or bsdtar \(for example: bsdtar -xf set.rar\)"):
        unpack(packed, tmp_path / "out")


def test_a_web_page_is_no_archive(tmp_path):
    packed = tmp_path / "set.zip"
    packed.write_text("<!doctype html><title>Sign in</title>" * 30)
    with pytest.raises(DatasetError, match="neither a zip nor a tar archive"):
        unpack(packed, tmp_path / "out")


ESCAPES = {
    "../out.txt": "leads out of the folder",
    "images/../../out.txt": "leads out of the folder",
    "..\\out.txt": "leads out of the folder",
    "images/..": "leads out of the folder",
    "/etc/out.txt": "absolute",
    "\\\\server\\share\\out.txt": "absolute",
    "C:out.txt": "absolute",
    "c:/out.txt": "absolute",
    "images/nul.png": "no file name on every system",
    "COM1": "no file name on every system",
    "images/a:b.png": "no file name on every system",
    "images/a\n.png": "no file name on every system",
    "images/a. ": "no file name on every system",
}


@pytest.mark.parametrize("name", ESCAPES)
@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_member_that_would_escape_is_refused(tmp_path, pack, name):
    packed = pack(tmp_path / "set", {name: b"bad"})
    with pytest.raises(DatasetError, match=f"refused to unpack.*{ESCAPES[name]}"):
        unpack(packed, tmp_path / "deep" / "out")
    assert tree(tmp_path / "deep") == {}
    assert {path.name for path in tmp_path.iterdir()} == {"set", "deep"}


def test_nothing_of_a_zip_is_written_if_any_member_is_refused(tmp_path):
    packed = zip_of(tmp_path / "set.zip", {**FILES, "../../out.txt": b"bad"})
    with pytest.raises(DatasetError, match="leads out of the folder"):
        unpack(packed, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        (tarfile.SYMTYPE, "../../etc/passwd"),
        (tarfile.SYMTYPE, "/etc"),
        (tarfile.SYMTYPE, "images/I01.BMP"),
        (tarfile.LNKTYPE, "../outside"),
        (tarfile.LNKTYPE, "images/I01.BMP"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
    ],
)
def test_links_devices_and_pipes_are_refused(tmp_path, kind, link):
    packed = odd_tar(tmp_path / "set.tar", "images/I02.BMP", kind, link)
    with pytest.raises(DatasetError, match=r"'images/I02.BMP': it is a link or a device"):
        unpack(packed, tmp_path / "out")
    assert not os.path.lexists(tmp_path / "out" / "images" / "I02.BMP")


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "images/I01.BMP"])
def test_early_pythons_without_the_tar_filter_are_as_safe(tmp_path, monkeypatch, name):
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    packed = tar_of(tmp_path / "set.tar", {name: b"x"})
    if name.startswith("images"):
        assert unpack(packed, tmp_path / "deep" / "out") == 1
        return
    with pytest.raises(DatasetError, match="refused to unpack"):
        unpack(packed, tmp_path / "deep" / "out")
    assert tree(tmp_path / "deep") == {}


def test_a_link_in_a_zip_is_refused(tmp_path):
    packed = zip_of(tmp_path / "set.zip", {"a": b"/etc/passwd"}, mode=stat.S_IFLNK | 0o777)
    with pytest.raises(DatasetError, match="a link or a device"):
        unpack(packed, tmp_path / "out")


@pytest.mark.parametrize("pack", [zip_of, tar_of])
@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["Images/a.png", "images/b.png"], "cannot be told from 'Images'"),
        (["i01.bmp", "I01.BMP"], "cannot be told from 'i01.bmp'"),
        (["caf\u00e9.png", "cafe\u0301.png"], "cannot be told from"),
        (["a", "a/b.png"], "'a' is a file, not a folder"),
    ],
)
def test_names_that_collide_on_other_systems_are_refused(tmp_path, pack, names, why):
    packed = pack(tmp_path / "set", dict.fromkeys(names, b"x"))
    with pytest.raises(DatasetError, match=why):
        unpack(packed, tmp_path / "out")


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    packed = tmp_path / "set.tar"
    with tarfile.open(packed, "w") as archive:
        for content in (b"one", b"two"):
            info = tarfile.TarInfo("a.png")
            info.size = 3
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(DatasetError, match="there twice"):
        unpack(packed, tmp_path / "out")


def test_a_file_that_is_already_there_is_not_written_over(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "empty").write_text("mine")
    with pytest.raises(DatasetError, match="already there"):
        unpack(zip_of(tmp_path / "set.zip", FILES), tmp_path / "out")
    assert (tmp_path / "out" / "empty").read_text() == "mine"


@pytest.mark.parametrize("pack", ["zip", "tar.gz"])
def test_bombs_are_refused_before_they_are_written(tmp_path, pack):
    zeros = {"zeros": bytes(80 * 2**20)}
    packed = tmp_path / f"set.{pack}"
    _ = zip_of(packed, zeros) if pack == "zip" else tar_of(packed, zeros, "w:gz")
    with pytest.raises(DatasetError, match=r"would unpack to more than 67,108,864 bytes"):
        unpack(packed, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_limits_of_size_and_number(tmp_path, pack):
    packed = pack(tmp_path / "set", FILES)
    with pytest.raises(DatasetError, match="more than 3 members"):
        unpack(packed, tmp_path / "many", limits=Limits(members=3))
    with pytest.raises(DatasetError, match="more than 5,000 bytes"):
        unpack(packed, tmp_path / "large", limits=Limits(size=5000))


def test_a_zip_that_lies_about_a_size_is_damaged(tmp_path):
    packed = zip_of(tmp_path / "set.zip", {"a": b"x" * 5000})
    content = packed.read_bytes()
    packed.write_bytes(content.replace((5000).to_bytes(4, "little"), (50).to_bytes(4, "little")))
    with pytest.raises(DamagedArchiveError, match="damaged or was not downloaded to the end"):
        unpack(packed, tmp_path / "out")


def test_a_zip_larger_than_the_disk_is_not_begun(tmp_path, monkeypatch):
    packed = zip_of(tmp_path / "set.zip", FILES)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(DatasetError, match=r"unpacks to 0.00 GB, but the disk of .* has only 0.00 GB free"):
        unpack(packed, tmp_path / "out")
    assert tree(tmp_path / "out") == {}


def test_an_encrypted_zip_says_that_it_needs_its_password(tmp_path):
    packed = zip_of(tmp_path / "set.zip", {"a": b"x"})
    content = bytearray(packed.read_bytes())
    content[6] |= 1  # flag bits of the local header, and of the central directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(content)
    with pytest.raises(DatasetError, match="encrypted; unpack the archive yourself with the password"):
        unpack(packed, tmp_path / "out")


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_a_truncated_archive_is_noticed_wherever_it_ends(tmp_path, suffix):
    files = {f"{number}.png": os.urandom(700) for number in range(3)}
    whole = tmp_path / f"set.{suffix}"
    _ = zip_of(whole, files) if suffix == "zip" else tar_of(whole, files, "w:" + suffix[4:])
    content = whole.read_bytes()
    # A plain tar is padded to 10 KiB with zeros, whose loss harms nothing.
    last = 3 * (512 + 1024) if suffix == "tar" else len(content) - 1
    lengths = {*range(1, last, last // 12), 512, 1536, last}
    for number, length in enumerate(length for length in lengths if length <= last):
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(content[:length])
        with pytest.raises(DatasetError, match=r"damaged|neither a zip nor a tar"):
            unpack(cut, tmp_path / f"out{number}")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_flipped_bit_is_noticed(tmp_path, pack):
    tar_of(tmp_path / "set.tar", {"a.png": os.urandom(3000), "b.png": os.urandom(3000)})
    content = bytearray(pack((tmp_path / "set.tar").read_bytes()))
    content[len(content) // 2] ^= 1
    packed = tmp_path / "set.tar.x"
    packed.write_bytes(content)
    with pytest.raises(DamagedArchiveError):
        unpack(packed, tmp_path / "out")


def test_a_bad_header_in_the_middle_is_not_taken_for_the_end(tmp_path):
    packed = tar_of(tmp_path / "set.tar", {"a.png": b"a" * 512, "b.png": b"b" * 512})
    content = bytearray(packed.read_bytes())
    content[1024:1034] = b"\xff" * 10  # of the second header
    packed.write_bytes(content)
    with pytest.raises(DamagedArchiveError, match="header is bad"):
        unpack(packed, tmp_path / "out")


def test_what_a_mac_adds_is_passed_over(tmp_path):
    packed = zip_of(tmp_path / "set.zip", {"a.png": b"a", "__MACOSX/._a.png": b"resource fork"})
    assert unpack(packed, tmp_path / "out") == 1
    assert tree(tmp_path / "out") == {"a.png": b"a"}


def test_permissions_are_not_taken_over(tmp_path):
    unpack(zip_of(tmp_path / "set.zip", {"run.sh": b"#!"}, mode=stat.S_IFREG | 0o4777), tmp_path / "out")
    assert not (tmp_path / "out" / "run.sh").stat().st_mode & (stat.S_ISUID | 0o111)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.text(st.sampled_from("aA.\\/:é \u0301~\x00*"), min_size=1, max_size=12), min_size=1, max_size=4),
    st.booleans(),
)
def test_whatever_names_a_zip_has_nothing_is_written_outside(tmp_path_factory, names, as_tar):
    box = tmp_path_factory.mktemp("box")
    inner = box / "one" / "two"
    inner.mkdir(parents=True)
    packed = box / "set"
    if as_tar:
        tar_of(packed, dict.fromkeys(names, b"x"))
    else:
        zip_of(packed, dict.fromkeys(names, b"x"))
    try:
        written = unpack(packed, inner / "out")
    except DatasetError:
        pass
    else:
        assert written == len(tree(inner / "out"))
    assert {path.name for path in box.iterdir()} == {"one", "set"}
    assert {path.name for path in (box / "one").iterdir()} == {"two"}
    assert {path.name for path in inner.iterdir()} <= {"out"}
