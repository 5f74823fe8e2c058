"""Images in archives: which there are, that their bytes are theirs, and what wrong archives say."""

import io
import pickle
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from iqa_datasets import image_archives
from iqa_datasets.image_archives import ArchiveError, archived_images
from iqa_datasets.images import ImageError

FILES = {
    "b.jpg": b"second" * 1000,
    "deep/er/a.PNG": b"first",
    "notes.txt": b"no image",
    ".hidden.jpg": b"hidden",
    "__MACOSX/b.jpg": b"not a picture",
    ".git/c.jpg": b"hidden too",
}


def write_zip(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("deep")
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, (2020, 2, 3, 4, 5, 6)), content)
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "b.jpg")
    return path


def write_tar(path: Path, files: dict[str, bytes] = FILES, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mtime = len(content), 1_580_702_706
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "b.jpg"
        archive.addfile(link)
    return path


@pytest.fixture(params=["zip", "tar"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write = write_zip if request.param == "zip" else write_tar
    return write(tmp_path / f"photos.{request.param}")


def test_plain_images_are_found_and_read(archive: Path) -> None:
    found, ignored = archived_images(archive)
    assert [image.path for image in found] == [f"{archive}/b.jpg", f"{archive}/deep/er/a.PNG"]
    assert [image.read() for image in found] == [FILES["b.jpg"], FILES["deep/er/a.PNG"]]
    assert [image.size for image in found] == [6000, 5]
    zone = "Z" if archive.suffix == ".tar" else ""
    assert {image.modified for image in found} == {f"2020-02-03T04:05:06{zone}"}
    assert ignored == {".txt": 1}


def test_threads_read_at_once_and_another_process_reads_too(tmp_path: Path, archive: Path) -> None:
    many = {f"{number:03}.jpg": bytes([number]) * 20_000 for number in range(200)}
    write = write_zip if archive.suffix == ".zip" else write_tar
    found, _ = archived_images(write(tmp_path / f"many{archive.suffix}", many))
    barrier = threading.Barrier(4)

    def read(part: int) -> list[bytes]:
        barrier.wait()
        return [image.read() for image in found[part::4]]

    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(read, range(4)))
    assert [parts[number % 4][number // 4] for number in range(200)] == list(many.values())
    again = pickle.loads(pickle.dumps(found[7]))
    assert again == found[7]
    assert again.read() == many["007.jpg"]


def test_of_a_name_that_stands_twice_the_last_counts(archive: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "a") as more, pytest.warns(UserWarning, match="Duplicate name"):
            more.writestr("b.jpg", b"newer")
    else:
        with tarfile.open(archive, "a") as more:
            info = tarfile.TarInfo("b.jpg")
            info.size = 5
            more.addfile(info, io.BytesIO(b"newer"))
    found, _ = archived_images(archive)
    assert [image.read() for image in found if image.path.endswith("b.jpg")] == [b"newer"]


def test_what_unpacks_to_too_much_is_not_read(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_archives, "MAX_FILE_BYTES", 5999)
    large, small = archived_images(archive)[0]
    with pytest.raises(ImageError, match=r"b\.jpg: unpacks to 6,000 bytes; at most 5,999 are read"):
        large.read()
    assert small.read() == b"first"


def test_a_damaged_image_is_named(archive: Path) -> None:
    image = archived_images(archive)[0][0]
    content = archive.read_bytes()
    if archive.suffix == ".zip":
        place = content.index(b"b.jpg") + 8
        archive.write_bytes(content[:place] + bytes(20) + content[place + 20 :])
        wrong = "cannot be read from its archive"
    else:
        archive.write_bytes(content[:1000])
        wrong = "is cut off in its archive: 488 of 6,000 bytes"
    with pytest.raises(ImageError, match=rf"b\.jpg: {wrong}"):
        archived_images(archive)[0][0].read() if archive.suffix == ".zip" else image.read()


def test_an_encrypted_image_is_named(tmp_path: Path) -> None:
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("b.jpg", b"x" * 50)
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flag in its own header, and in the list of contents
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"b\.jpg: cannot be read from its archive .*encrypted"):
        archived_images(path)[0][0].read()


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"is compressed whole; unpack it, or make it a \.zip or \.tar"):
        archived_images(write_tar(tmp_path / "photos.tar.gz", mode="w:gz"))
    compressed = write_tar(tmp_path / "photos.tar", mode="w:gz")  # by its name it is not
    with pytest.raises(ArchiveError, match=r"photos\.tar: cannot be read as a \.tar file"):
        archived_images(compressed)
    other = tmp_path / "photos.rar"
    other.write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"images are read from \.tar and \.zip files"):
        archived_images(other)
    empty = tmp_path / "empty.zip"
    empty.write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"empty\.zip: cannot be read as a \.zip file"):
        archived_images(empty)
    with pytest.raises(ArchiveError, match=r"gone\.tar: cannot be read"):
        archived_images(tmp_path / "gone.tar")
