import hashlib
import json
import random
import shutil
import sys
import tarfile
import threading
import zipfile
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import iqa_datasets
from iqa_datasets import DatasetError, fetching, sources
from iqa_datasets.cli import app
from iqa_datasets.downloads import ChangedFileError, ResumingDownloader, check_address, pooch_download
from iqa_datasets.fetching import fetch_source
from iqa_datasets.sources import SOURCES, HubFile, Source, WebFile
from iqa_datasets.testing import make_fake

CONTENT = random.Random(1).randbytes(1_000_000)
CARD = iqa_datasets.info("live-challenge")
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Site:
    """What the server on this machine has, how it misbehaves, and what it was asked for."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etag: str | None = '"one"'
    changed: str | None = None  # Last-Modified
    ranges: bool = True
    if_range: bool = True
    length: bool = True
    kind: str = "application/zip"
    stop_after: list[int] = field(default_factory=list)  # bytes of the body after which to hang up, one a request
    statuses: list[int] = field(default_factory=list)  # answers, one a request, before the real one
    retry_after: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    redirect: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch):
    state = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            path = self.path.lstrip("/")
            state.asked.append({"method": self.command, "path": path, **self.headers})
            if state.statuses:
                self.answer(state.statuses.pop(0), {"Retry-After": state.retry_after} if state.retry_after else {})
            elif path in state.redirect:
                self.answer(302, {"Location": state.redirect[path]})
            elif path not in state.files:
                self.answer(404, {"X-Error-Code": "EntryNotFound"})
            else:
                self.send_file(state.files[path])

        def do_HEAD(self):
            self.do_GET()

        def answer(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def send_file(self, content: bytes) -> None:
            start, wanted = 0, self.headers.get("Range")
            same = not state.if_range or self.headers.get("If-Range") in (state.etag, state.changed)
            if wanted and state.ranges and same:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(content):
                    return self.answer(416, {"Content-Range": f"bytes */{len(content)}"})
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            headers = {"ETag": state.etag, "Last-Modified": state.changed, "Content-Type": state.kind, **state.headers}
            for name, value in headers.items():
                if value is not None:
                    self.send_header(name, value)
            body = content[start:]
            if state.length:
                self.send_header("Content-Length", str(len(body)))
            self.close_connection = True
            self.end_headers()
            if self.command == "HEAD":
                return None
            body = body[: state.stop_after.pop(0)] if state.stop_after else body
            state.sent.append(len(body))
            self.wfile.write(body)
            return None

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # clients hang up in the middle of what they do not want
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/"
    # Whatever proxy this machine needs for the world outside is of no concern here.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def download(site: Site, folder: Path, known: str | None = SHA256, **settings: object) -> Path:
    file = folder / "set.zip"
    settings = {"pause": 0.0, "https_only": False, **settings}
    pooch_download(site.url + "set.zip", file, known, ResumingDownloader(folder / "set.zip.part", **settings))
    return file


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# --- downloads


def test_a_download_is_whole_checked_and_alone(site, tmp_path):
    site.files["set.zip"] = CONTENT
    seen = []
    file = download(site, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert file.read_bytes() == CONTENT
    assert names(tmp_path) == {"set.zip"}
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert site.asked[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("etag", ['"one"', None, 'W/"one"'])
def test_a_dropped_connection_is_gone_on_with_where_it_stopped(site, tmp_path, etag):
    site.etag, site.changed = etag, formatdate(1_500_000_000, usegmt=True)
    site.files["set.zip"] = CONTENT
    site.stop_after = [300_000, 200_000]
    assert download(site, tmp_path).read_bytes() == CONTENT
    assert site.sent == [300_000, 200_000, 500_000]  # no byte twice
    assert [ask.get("Range") for ask in site.asked] == [None, "bytes=300000-", "bytes=500000-"]
    strong = '"one"' if etag == '"one"' else site.changed
    assert [ask.get("If-Range") for ask in site.asked] == [None, strong, strong]


def test_a_later_process_goes_on_too(site, tmp_path):
    site.files["set.zip"] = CONTENT
    site.stop_after = [400_000]
    with pytest.raises(
        DatasetError, match=r"given up after 1 attempts .* 400,000 bytes are kept, and the same command"
    ):
        download(site, tmp_path, attempts=1)
    assert names(tmp_path) == {"set.zip.part", "set.zip.part.json"}
    assert download(site, tmp_path).read_bytes() == CONTENT
    assert site.sent == [400_000, 600_000]
    assert names(tmp_path) == {"set.zip"}


def test_a_part_that_is_whole_is_not_asked_for_again(site, tmp_path):
    site.files["set.zip"] = CONTENT
    site.stop_after = [len(CONTENT) - 1]
    with pytest.raises(DatasetError, match="given up"):
        download(site, tmp_path, attempts=1)
    with (tmp_path / "set.zip.part").open("ab") as part:
        part.write(CONTENT[-1:])
    assert download(site, tmp_path).read_bytes() == CONTENT
    assert len(site.asked) == 1


@pytest.mark.parametrize("if_range", [True, False], ids=["server heeds If-Range", "server does not"])
def test_a_file_that_changed_between_attempts_is_never_spliced(site, tmp_path, if_range):
    site.files["set.zip"] = bytes(len(CONTENT))
    site.stop_after = [400_000]
    with pytest.raises(DatasetError, match="given up"):
        download(site, tmp_path, known=None, attempts=1)
    site.files["set.zip"], site.etag, site.if_range = CONTENT, '"two"', if_range
    assert download(site, tmp_path, known=None).read_bytes() == CONTENT
    assert site.sent[-1] == len(CONTENT)


def test_a_file_that_shrank_is_begun_again(site, tmp_path):
    site.files["set.zip"] = CONTENT
    site.stop_after = [400_000]
    with pytest.raises(DatasetError, match="given up"):
        download(site, tmp_path, known=None, attempts=1)
    site.files["set.zip"], site.if_range = CONTENT[:1000], False
    assert download(site, tmp_path, known=None).read_bytes() == CONTENT[:1000]


def test_a_part_of_another_address_is_not_gone_on_with(site, tmp_path):
    site.files |= {"set.zip": CONTENT, "other.zip": bytes(len(CONTENT))}
    site.stop_after = [400_000]
    downloader = ResumingDownloader(tmp_path / "set.zip.part", attempts=1, https_only=False)
    with pytest.raises(DatasetError, match="given up"):
        pooch_download(site.url + "other.zip", tmp_path / "set.zip", None, downloader)
    assert download(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("support", ["no ranges", "no mark", "no length"])
def test_a_server_with_less_support_sends_everything_again(site, tmp_path, support):
    site.files["set.zip"] = CONTENT
    site.stop_after = [300_000]
    size = None
    if support == "no ranges":
        site.ranges = False
    elif support == "no mark":
        site.etag = None
    else:  # then only the published size tells that something is missing
        site.length, site.ranges, size = False, False, len(CONTENT)
    assert download(site, tmp_path, size=size).read_bytes() == CONTENT
    assert site.sent == [300_000, len(CONTENT)]


def test_without_any_progress_it_is_given_up(site, tmp_path):
    site.files["set.zip"] = CONTENT
    site.stop_after = [100_000] + [0] * 9
    with pytest.raises(DatasetError, match=r"given up after 3 attempts \(.*\); 100,000 bytes are kept"):
        download(site, tmp_path, attempts=3)
    assert len(site.asked) == 3


@pytest.mark.parametrize("status", [500, 503, 429])
def test_faults_that_may_pass_are_tried_again(site, tmp_path, status, monkeypatch):
    waited = []
    monkeypatch.setattr("iqa_datasets.downloads.time.sleep", waited.append)
    site.files["set.zip"], site.statuses, site.retry_after = CONTENT, [status, status], "7"
    assert download(site, tmp_path).read_bytes() == CONTENT
    assert len(site.asked) == 3
    assert waited == [7.0, 7.0]  # as the server asks


def test_pauses_grow(site, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr("iqa_datasets.downloads.time.sleep", waited.append)
    site.statuses = [500] * 9
    with pytest.raises(DatasetError, match="the server answers 500 Internal Server Error"):
        download(site, tmp_path, pause=0.5, attempts=5)
    assert waited == [0.5, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("status", "why"),
    [(404, "no such file"), (403, "does not give the file out"), (401, "asks for a login"), (410, "taken down")],
)
def test_refusals_are_not_tried_again(site, tmp_path, status, why):
    site.statuses = [status] * 9
    with pytest.raises(DatasetError, match=f"set.zip: the server answers {status} .*{why}"):
        download(site, tmp_path)
    assert len(site.asked) == 1
    assert names(tmp_path) == set()


def test_a_web_page_in_place_of_the_file_is_noticed(site, tmp_path):
    site.files["set.zip"], site.kind = b"<html>Sign in", "text/html; charset=utf-8"
    with pytest.raises(DatasetError, match="answers with a web page"):
        download(site, tmp_path, known=None)
    assert names(tmp_path) == set()


def test_nobody_there(tmp_path):
    with pytest.raises(DatasetError, match="given up after 2 attempts"):
        download(SimpleNamespace(url="http://127.0.0.1:9/"), tmp_path, attempts=2)


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_wrong_bytes_are_thrown_away(site, tmp_path, algorithm):
    site.files["set.zip"] = CONTENT[:-1] + b"x"
    known = f"{algorithm}:{hashlib.new(algorithm, CONTENT).hexdigest()}"
    with pytest.raises(ChangedFileError, match=f"does not have the checksum {known}"):
        download(site, tmp_path, known=known)
    assert names(tmp_path) == set()
    site.files["set.zip"] = CONTENT
    assert download(site, tmp_path, known=known).read_bytes() == CONTENT


def test_another_size_than_published_is_refused_before_anything_comes(site, tmp_path):
    site.files["set.zip"] = CONTENT
    with pytest.raises(DatasetError, match="has 1,000,000 bytes, but 999 are published"):
        download(site, tmp_path, size=999)
    assert names(tmp_path) == set()


def test_a_disk_too_small_is_noticed_before_anything_comes(site, tmp_path, monkeypatch):
    site.files["set.zip"] = CONTENT
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=999_999))
    with pytest.raises(DatasetError, match=r"0.00 GB are still to be downloaded, but its disk has only 0.00 GB free"):
        download(site, tmp_path)
    assert names(tmp_path) == set()


def test_an_encoding_that_the_server_claims_is_not_undone(site, tmp_path):
    site.files["set.zip"], site.headers = CONTENT, {"Content-Encoding": "gzip"}
    assert download(site, tmp_path).read_bytes() == CONTENT


def test_two_processes_do_not_mix_their_bytes(site, tmp_path):
    site.files["set.zip"] = CONTENT

    def other_process(done, _total):
        if done == len(CONTENT):
            with (tmp_path / "set.zip.part").open("ab") as part:
                part.write(b"x")

    with pytest.raises(DatasetError, match="another process writes to the same file"):
        download(site, tmp_path, known=None, progress=other_process)


@pytest.mark.parametrize("package", ["pooch", "requests", "huggingface_hub"])
def test_a_missing_extra_is_named(site, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    source, mirror = (hub_source(), True) if package == "huggingface_hub" else (zip_source(site), False)
    with pytest.raises(DatasetError, match=r"pip install 'iqa-datasets\[fetch\]'"):
        get(source, tmp_path, mirror=mirror)


def test_redirects_are_followed_but_not_out_of_encryption(site, tmp_path):
    site.files["elsewhere.zip"] = CONTENT
    site.redirect["set.zip"] = site.url + "elsewhere.zip"
    with pytest.raises(DatasetError, match="which is not encrypted"):
        download(site, tmp_path, https_only=True)
    assert download(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["https://example.org/a.zip", "http://127.0.0.1:80/a.zip", "http://localhost/a.zip"])
def test_addresses_that_are_taken(url):
    check_address(url, has_checksum=False)


@pytest.mark.parametrize("url", ["http://example.org/a.zip", "ftp://example.org/a.zip", "file:///a.zip", "a.zip", ""])
def test_addresses_that_are_refused(url):
    with pytest.raises(DatasetError, match="must begin with https://"):
        check_address(url, has_checksum=False)


def test_http_is_enough_where_the_checksum_is_known():
    check_address("http://example.org/a.zip", has_checksum=True)


# --- whole data sets


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    return make_fake("live-challenge", tmp_path_factory.mktemp("fake"), images=12)


def packed(root: Path, folder: Path, top: str = "", suffix: str = "zip") -> bytes:
    """An archive of a data set's folder, with its files below ``top``."""
    file = folder / f"packed.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(file, "w") as archive:
            for path in sorted(root.rglob("*")):
                archive.write(path, Path(top) / path.relative_to(root))
    else:
        with tarfile.open(file, f"w:{suffix.removeprefix('tar.')}") as archive:
            archive.add(root, top or ".")
    content = file.read_bytes()
    file.unlink()
    return content


def get(source: Source, folder: Path, **settings: object) -> Path:
    return fetch_source(source, CARD, folder, **{"accept_licence": True, "pause": 0.0, **settings})


def zip_source(site: Site, **known: object) -> Source:
    return Source("live-challenge", files=(WebFile(site.url + "set.zip", **known),), by_hand="Ask for it.")


@pytest.mark.parametrize("top", ["", "ChallengeDB_release", "LIVEC", "deep/er/folder"])
@pytest.mark.parametrize("suffix", ["zip", "tar.gz"])
def test_what_was_fetched_loads_whatever_the_archive_calls_its_folder(site, fake, tmp_path, top, suffix):
    site.files[f"set.{suffix}"] = packed(fake.root, tmp_path, top, suffix)
    source = Source("live-challenge", files=(WebFile(f"{site.url}set.{suffix}"),))
    place = get(source, tmp_path / "data")
    assert place == tmp_path / "data" / "ChallengeDB_release"
    assert len(iqa_datasets.load("live-challenge", place)) == 12
    assert names(tmp_path / "data") == {"ChallengeDB_release", "archives"}
    assert names(tmp_path / "data" / "archives") == {"checksums.json"}


@pytest.mark.parametrize("name", iqa_datasets.available())
def test_every_data_set_is_recognised_in_an_archive(name, originals, tmp_path):
    original, card = originals[name], iqa_datasets.info(name)
    (tmp_path / "set.zip").write_bytes(packed(original.root, tmp_path, "some/folder"))
    source = Source(name, by_hand="Ask for it.")
    place = fetch_source(source, card, tmp_path / "data", accept_licence=True, archives=[tmp_path / "set.zip"])
    assert place == tmp_path / "data" / card.folder
    assert len(iqa_datasets.load(name, place)) == len(iqa_datasets.load(name, original.root))
    assert fetching.already_there(card, tmp_path / "data") == place


def test_a_data_set_that_is_there_is_left_as_it_is(site, fake, tmp_path):
    site.files["set.zip"] = packed(fake.root, tmp_path)
    place = get(zip_source(site), tmp_path / "data")
    (place / "mine.txt").write_text("notes")
    site.asked.clear()
    assert get(zip_source(site), tmp_path / "data", accept_licence=False) == place
    assert site.asked == []
    assert (place / "mine.txt").read_text() == "notes"


def test_something_else_in_its_place_is_not_written_over(site, tmp_path):
    (tmp_path / "ChallengeDB_release").mkdir()
    with pytest.raises(DatasetError, match=r"is in the way and is not complete: .* holds no Data"):
        get(zip_source(site), tmp_path)
    assert site.asked == []


def test_without_the_licence_nothing_happens(site, tmp_path):
    with pytest.raises(DatasetError, match=r"read its licence .*University of Texas"):
        get(zip_source(site), tmp_path / "data", accept_licence=False)
    assert site.asked == []
    assert not (tmp_path / "data").exists()


def test_a_wrong_checksum_leaves_nothing_where_the_data_set_belongs(site, fake, tmp_path):
    site.files["set.zip"] = packed(fake.root, tmp_path)
    with pytest.raises(ChangedFileError, match="does not have the checksum"):
        get(zip_source(site, sha256="0" * 64), tmp_path / "data")
    assert names(tmp_path / "data") == {"archives"}
    assert names(tmp_path / "data" / "archives") == set()


def test_a_dropped_download_is_gone_on_with_by_the_next_call(site, fake, tmp_path):
    content = site.files["set.zip"] = packed(fake.root, tmp_path)
    half = len(content) // 2
    site.stop_after = [half, *[0] * 5]
    with pytest.raises(DatasetError, match="given up"):
        get(zip_source(site), tmp_path / "data")
    assert names(tmp_path / "data") == {"archives"}
    get(zip_source(site), tmp_path / "data")
    assert site.sent == [half, *[0] * 5, len(content) - half]


def test_what_came_first_is_trusted_and_must_stay(site, fake, tmp_path):
    site.files["set.zip"] = packed(fake.root, tmp_path)
    said = []
    place = get(zip_source(site), tmp_path / "data", say=said.append)
    digest = hashlib.sha256(site.files["set.zip"]).hexdigest()
    notes = json.loads((tmp_path / "data" / "archives" / "checksums.json").read_text())
    assert notes == {"live-challenge/set.zip": {"sha256": digest, "from": site.url + "set.zip"}}
    assert digest in said[-1]

    shutil.rmtree(place)
    get(zip_source(site), tmp_path / "data")  # the same: fine
    shutil.rmtree(place)
    site.files["set.zip"], site.etag = packed(fake.root, tmp_path, "other"), '"two"'
    with pytest.raises(ChangedFileError, match=r"the one of the first download is in .*checksums.json"):
        get(zip_source(site), tmp_path / "data")
    assert not place.exists()
    (tmp_path / "data" / "archives" / "checksums.json").write_text("{}")
    assert get(zip_source(site), tmp_path / "data") == place


def test_notes_that_cannot_be_read_are_not_taken_for_none(site, tmp_path):
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "checksums.json").write_text("[1")
    with pytest.raises(DatasetError, match=r"checksums.json is not as it was written"):
        get(zip_source(site), tmp_path)


def test_kept_archives_are_used_again(site, fake, tmp_path):
    site.files["set.zip"] = packed(fake.root, tmp_path)
    place = get(zip_source(site), tmp_path / "data", keep_archives=True)
    archive = tmp_path / "data" / "archives" / "set.zip"
    assert archive.read_bytes() == site.files["set.zip"]
    shutil.rmtree(place)
    get(zip_source(site), tmp_path / "data", keep_archives=True)
    assert len(site.asked) == 1
    # One that has gone bad since is downloaded again.
    shutil.rmtree(place)
    archive.write_bytes(b"PK\x03\x04 rot")
    get(zip_source(site), tmp_path / "data", keep_archives=True)
    assert len(site.asked) == 2
    assert archive.read_bytes() == site.files["set.zip"]


def test_a_truncated_archive_leaves_nothing(site, fake, tmp_path):
    site.files["set.zip"] = packed(fake.root, tmp_path)[:-100]
    with pytest.raises(DatasetError, match="damaged or was not downloaded to the end"):
        get(zip_source(site), tmp_path / "data")
    assert names(tmp_path / "data") == {"archives"}
    assert names(tmp_path / "data" / "archives") == set()  # neither the bad archive nor its checksum


def test_an_archive_that_tries_to_escape_leaves_nothing(site, fake, tmp_path):
    content = packed(fake.root, tmp_path)
    bad = tmp_path / "bad.zip"
    bad.write_bytes(content)
    with zipfile.ZipFile(bad, "a") as archive:
        archive.writestr("../../escaped.txt", "bad")
    site.files["set.zip"] = bad.read_bytes()
    bad.unlink()
    with pytest.raises(DatasetError, match="leads out of the folder"):
        get(zip_source(site), tmp_path / "data")
    assert names(tmp_path) == {"data"}
    assert names(tmp_path / "data") == {"archives"}


def test_an_archive_of_something_else_leaves_nothing(site, tmp_path):
    (tmp_path / "other" / "Images").mkdir(parents=True)
    site.files["set.zip"] = packed(tmp_path / "other", tmp_path, "LIVEC")
    with pytest.raises(DatasetError, match=r"as its authors lay it out: there is no Data/AllImages_release.mat and no"):
        get(zip_source(site), tmp_path / "data")
    assert names(tmp_path / "data") == {"archives"}


def test_an_interrupted_unpacking_is_not_taken_for_the_data_set(site, fake, tmp_path, monkeypatch):
    site.files["set.zip"] = packed(fake.root, tmp_path)
    original = fetching.unpack

    def killed(archive, folder, **settings):
        original(archive, folder, **settings)
        Path(folder).rename(tmp_path / "saved")  # as if the process ended here, before anything could be cleaned up
        raise KeyboardInterrupt

    monkeypatch.setattr(fetching, "unpack", killed)
    with pytest.raises(KeyboardInterrupt):
        get(zip_source(site), tmp_path / "data")
    (tmp_path / "saved").rename(tmp_path / "data" / ".ChallengeDB_release.unpacking")
    assert not (tmp_path / "data" / "ChallengeDB_release").exists()
    monkeypatch.undo()
    said = []
    place = get(zip_source(site), tmp_path / "data", say=said.append)
    assert any("earlier attempt that was interrupted" in message for message in said)
    assert any("is there already" in message for message in said)  # the archive
    assert "live-challenge/set.zip" in (tmp_path / "data" / "archives" / "checksums.json").read_text()
    assert len(iqa_datasets.load("live-challenge", place)) == 12
    assert names(tmp_path / "data") == {"ChallengeDB_release", "archives"}


def test_several_files_come_together(site, fake, tmp_path):
    """As CSIQ and KonIQ-10k have it: images and labels apart, and folders that are in the archive or not."""
    site.files["images.zip"] = packed(fake.root / "Images", tmp_path, "images")  # its own folder's name again
    site.files["data.zip"] = packed(fake.root / "Data", tmp_path)
    site.files["read me.txt"] = b"thank you"
    source = Source(
        "live-challenge",
        files=(
            WebFile(site.url + "images.zip", into="Images"),
            WebFile(site.url + "data.zip", into="Data"),
            WebFile(site.url + "read%20me.txt"),
        ),
    )
    site.files["read%20me.txt"] = site.files.pop("read me.txt")
    place = get(source, tmp_path / "data")
    assert len(iqa_datasets.load("live-challenge", place)) == 12
    assert (place / "read me.txt").read_text() == "thank you"


def test_folders_that_a_mirror_calls_otherwise_get_their_name(site, fake, tmp_path):
    shutil.copytree(fake.root, tmp_path / "set")
    (tmp_path / "set" / "Images").rename(tmp_path / "set" / "Pictures")
    site.files["set.zip"] = packed(tmp_path / "set", tmp_path, "LIVEC")
    source = replace(zip_source(site), renamed=(("Pictures", "Images"),))
    assert len(iqa_datasets.load("live-challenge", get(source, tmp_path / "data"))) == 12


def test_what_lies_beside_the_official_folder_is_kept(site, fake, tmp_path):
    shutil.copytree(fake.root, tmp_path / "set" / "ChallengeDB_release")
    (tmp_path / "set" / "readme.txt").write_text("thanks")
    (tmp_path / "set" / "code").mkdir()
    (tmp_path / "set" / "code" / "run.m").write_text("x")
    site.files["set.zip"] = packed(tmp_path / "set", tmp_path)
    said = []
    place = get(zip_source(site), tmp_path / "data", say=said.append)
    assert (place / "readme.txt").read_text() == "thanks"
    assert (tmp_path / "data" / "ChallengeDB_release.rest" / "code" / "run.m").is_file()
    assert any("no part of its official folder" in message for message in said)


@pytest.mark.parametrize("address", ["mirror/copy.zip", "mirror/"])
def test_another_address_is_held_to_the_same_checksum(site, fake, tmp_path, address):
    content = packed(fake.root, tmp_path)
    site.files["mirror/copy.zip" if address.endswith("zip") else "mirror/set.zip"] = content
    source = zip_source(site, sha256=hashlib.sha256(content).hexdigest())
    get(source, tmp_path / "data", address=site.url + address)
    assert site.asked[0]["path"].startswith("mirror/")
    source = zip_source(site, sha256="0" * 64)
    with pytest.raises(ChangedFileError, match="does not have the checksum"):
        get(source, tmp_path / "other", address=site.url + address)


def test_one_address_is_not_enough_for_several_files(site, tmp_path):
    source = Source("live-challenge", files=(WebFile(site.url + "a.zip"), WebFile(site.url + "b.zip")))
    with pytest.raises(DatasetError, match="ending in /, below which all 2 files lie"):
        get(source, tmp_path, address=site.url + "c.zip")


def test_a_file_that_is_gone_says_how_to_get_it_by_hand(site, tmp_path):
    with pytest.raises(
        DatasetError, match=r"404 .* By hand: open https://live.ece.utexas.edu/.* Ask for it. Then: iqa"
    ):
        get(zip_source(site), tmp_path)


def test_archives_that_a_person_got_are_laid_out(site, fake, tmp_path):
    archive = tmp_path / "by-mail.zip"
    archive.write_bytes(packed(fake.root, tmp_path, "whatever"))
    (tmp_path / "errata.txt").write_text("none")
    source = Source("live-challenge", by_hand="Ask for it.")
    place = get(source, tmp_path / "data", archives=[archive, tmp_path / "errata.txt"])
    assert len(iqa_datasets.load("live-challenge", place)) == 12
    assert (place / "errata.txt").is_file()
    assert archive.is_file()  # it is not ours to delete
    assert site.asked == []
    assert names(tmp_path / "data") == {"ChallengeDB_release"}


def test_an_archive_of_a_known_name_is_checked_and_goes_where_it_belongs(site, fake, tmp_path):
    archive = tmp_path / "set.zip"
    archive.write_bytes(packed(fake.root, tmp_path))
    with pytest.raises(DatasetError, match=r"set.zip: its checksum is not the published sha256:000"):
        get(zip_source(site, sha256="0" * 64), tmp_path / "data", archives=[archive])
    with pytest.raises(DatasetError, match=r"set.zip has [\d,]+ bytes, but 7 are published"):
        get(zip_source(site, size=7), tmp_path / "data", archives=[archive])
    assert not (tmp_path / "data").exists()
    with pytest.raises(FileNotFoundError, match=r"gone.zip is not a file"):
        get(zip_source(site), tmp_path / "data", archives=[tmp_path / "gone.zip"])


def test_a_data_set_to_be_asked_for_says_how_step_by_step(tmp_path):
    source = Source("live-challenge", by_hand="Fill in the form.", mirror=(HubFile("copy.tgz"),))
    with pytest.raises(DatasetError) as raised:
        get(source, tmp_path / "data")
    text = str(raised.value)
    for part in (CARD.home_page, "Fill in the form.", "--archive FILE", "iqa-datasets verify", "--mirror", "copy.tgz"):
        assert part in text
    assert "Data/AllImages_release.mat" in text
    assert not (tmp_path / "data").exists()
    with pytest.raises(DatasetError, match="no mirror is known"):
        get(replace(source, mirror=()), tmp_path / "data", mirror=True)


# --- the hub


def hub_source(**settings: object) -> Source:
    file = HubFile("copy.tgz", repository="someone/sets", revision="a" * 40, **settings)
    return Source("live-challenge", by_hand="Ask for it.", mirror=(file,))


def put_on_hub(site: Site, fake: object, folder: Path) -> bytes:
    content = packed(fake.root, folder, "LIVEC", "tar.gz")
    resolve = f"datasets/someone/sets/resolve/{'a' * 40}/copy.tgz"
    site.files[resolve] = content
    site.etag = f'"{hashlib.sha256(content).hexdigest()}"'
    site.headers = {"X-Repo-Commit": "a" * 40, "X-Linked-Size": str(len(content)), "X-Linked-Etag": site.etag}
    return content


def test_a_mirror_on_the_hub_is_fetched_gone_on_with_and_checked(site, fake, tmp_path):
    content = put_on_hub(site, fake, tmp_path)
    half = len(content) // 2
    site.stop_after = [half]
    place = get(hub_source(), tmp_path / "data", mirror=True, address=site.url.rstrip("/"))
    assert len(iqa_datasets.load("live-challenge", place)) == 12
    assert site.sent == [half, len(content) - half]
    # The hub states a checksum, so nothing has to be trusted.
    assert names(tmp_path / "data" / "archives") == set()


def test_a_mirror_that_sends_other_bytes_than_the_hub_states_is_noticed(site, fake, tmp_path):
    content = put_on_hub(site, fake, tmp_path)
    resolve = next(iter(site.files))
    site.files[resolve] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(ChangedFileError, match="does not have the checksum"):
        get(hub_source(), tmp_path / "data", mirror=True, address=site.url.rstrip("/"))
    assert names(tmp_path / "data") == {"archives"}


def test_a_mirror_that_states_another_checksum_than_is_known_is_not_downloaded(site, fake, tmp_path):
    put_on_hub(site, fake, tmp_path)
    with pytest.raises(ChangedFileError, match="the hub states another checksum"):
        get(hub_source(sha256="0" * 64), tmp_path / "data", mirror=True, address=site.url.rstrip("/"))
    assert site.sent == []


def test_a_mirror_that_the_hub_lacks_says_how_to_go_on(site, tmp_path):
    with pytest.raises(DatasetError, match=r"copy.tgz: the hub does not give it out: .* By hand: open https"):
        get(hub_source(), tmp_path / "data", mirror=True, address=site.url.rstrip("/"))


# --- the command


def run(*arguments: object, answer: str | None = None):
    return CliRunner().invoke(app, ["fetch", *map(str, arguments)], input=answer)


@pytest.fixture
def known_source(site, fake, tmp_path, monkeypatch):
    site.files["set.zip"] = packed(fake.root, tmp_path)
    monkeypatch.setitem(SOURCES, "live-challenge", replace(zip_source(site), size=3_000_000_000))
    return tmp_path / "data"


def test_the_command_shows_the_licence_and_asks(known_source):
    done = run("live-challenge", known_source, answer="y\n")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(known_source / "ChallengeDB_release")  # after the echo of the answer
    for part in (CARD.title, CARD.licence, CARD.citation, CARD.home_page, "about 3.00 GB", "Do you accept"):
        assert part in done.stderr
    assert "12 images; to decode them all: iqa-datasets verify live-challenge" in done.stderr


@pytest.mark.parametrize(("answer", "says"), [("n\n", "not accepted"), ("", "--accept-licence")])
def test_the_command_takes_no_for_an_answer(known_source, site, answer, says):
    done = run("live-challenge", known_source, answer=answer)
    assert done.exit_code == 2
    assert says in done.stderr
    assert site.asked == []
    assert not known_source.exists()


def test_the_command_in_a_script_twice(known_source, site):
    done = run("live-challenge", known_source, "--accept-licence", "--keep-archive", "--no-progress")
    assert done.exit_code == 0, done.output
    assert f"accepted: {CARD.licence}" in done.stderr
    assert "no checksum is published for set.zip" in done.stderr
    assert (known_source / "archives" / "set.zip").is_file()
    again = run("live-challenge", known_source)
    assert again.exit_code == 0
    assert "there already; nothing was downloaded" in again.stderr
    assert again.stdout == done.stdout
    assert len(site.asked) == 1


def test_the_command_says_how_to_get_what_it_cannot(tmp_path, monkeypatch):
    monkeypatch.setitem(SOURCES, "live-challenge", Source("live-challenge", by_hand="Fill in the form."))
    done = run("live-challenge", tmp_path / "data")
    assert done.exit_code == 2
    assert "2. Fill in the form." in done.stderr
    assert done.stdout == ""


def test_the_command_unpacks_what_a_person_got(fake, tmp_path):
    archive = tmp_path / "mine.tgz"
    archive.write_bytes(packed(fake.root, tmp_path, "x", "tar.gz"))
    done = run("live-challenge", tmp_path / "data", "--archive", archive, answer="yes\n")
    assert done.exit_code == 0, done.output
    assert str(archive) in done.stderr


def test_the_command_says_if_what_came_does_not_load(site, fake, tmp_path, monkeypatch):
    shutil.copytree(fake.root, tmp_path / "set")
    next((tmp_path / "set" / "Images").glob("*.bmp")).unlink()
    site.files["set.zip"] = packed(tmp_path / "set", tmp_path)
    monkeypatch.setitem(SOURCES, "live-challenge", zip_source(site))
    done = run("live-challenge", tmp_path / "data", "--accept-licence")
    for _ in range(2):  # also if it is asked for again
        assert done.exit_code == 1
        assert "it is there, but does not load as documented" in done.stderr
        done = run("live-challenge", tmp_path / "data")
    assert (tmp_path / "data" / "ChallengeDB_release").is_dir()


@pytest.mark.parametrize(
    "arguments",
    [("nope", "data"), ("live-challenge", "data", "--mirror"), ("live-challenge", "data", "--archive", "gone.zip")],
)
def test_the_command_refuses_in_one_line(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments, "--accept-licence")
    assert done.exit_code == 2
    said = [line for line in done.stderr.splitlines() if not line.startswith("iqa-datasets: accepted:")]
    assert len(said) == 1
    assert not (tmp_path / "data").exists()


# --- the sources


def test_every_data_set_has_a_source():
    assert set(iqa_datasets.available()) - {"folder"} <= set(SOURCES)


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_sources_are_whole(source):
    assert source.by_hand
    assert source.by_hand.endswith((".", "rar", "koniq"))
    files = (*source.files, *source.mirror)
    assert bool(files) == bool(source.found)
    for file in files:
        check_address(file.url, has_checksum=False)  # all are https
        assert file.sha256 is None or len(file.sha256) == 64
    assert len({fetching._name(file) for file in files}) == len(files)
    if source.name in iqa_datasets.available():
        text = source.instructions(iqa_datasets.info(source.name), "data")
        assert iqa_datasets.info(source.name).home_page in text


def test_an_unknown_source_suggests_the_nearest():
    with pytest.raises(DatasetError, match="did you mean 'tid2013'"):
        sources.source_of("tid-2013")


def test_the_page_on_getting_the_data_names_every_source():
    page = (Path(__file__).parents[2] / "docs" / "iqa-datasets" / "getting-the-data.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == sorted(SOURCES)
    for row in rows:
        source = SOURCES[row.split("`")[1]]
        assert f"`iqa-datasets fetch {source.name} DIR" in row
        size = source.size or source.mirror_size
        assert f"{size / 1e9:.2f} GB" in row if size else "GB" not in row
