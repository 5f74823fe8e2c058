"""Perceptual hashes, the pairs that they find, and their cache."""

import os
from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from iqa_datasets import DatasetError
from iqa_datasets.fingerprints import (
    BITS,
    NEAR,
    cache_file,
    groups,
    hash_file,
    hash_files,
    near_duplicates,
    perceptual_hash,
)
from iqa_datasets.testing.photographs import DRAWINGS, draw


def drawing(number: int, size: int = 240) -> Image.Image:
    scene = list(DRAWINGS)[number % len(DRAWINGS)]
    pixels = draw(scene, size, size + 20, np.random.default_rng(number))
    return Image.fromarray((pixels * 255).astype(np.uint8))


def distance(one: Image.Image, other: Image.Image, mirrored: bool = False) -> int:
    first, second = perceptual_hash(one)[0], perceptual_hash(other)[int(mirrored)]
    return int(np.unpackbits(first ^ second).sum())


@pytest.mark.parametrize("number", range(8))
def test_agrees_with_imagehash(number):
    # The same hash by another hand: 256 bits of a transform of a 32 x 32 image, against the median with the mean in it.
    image = drawing(number)
    theirs = imagehash.phash(image, hash_size=16, highfreq_factor=2).hash.ravel()[1:]
    ours = np.unpackbits(perceptual_hash(image)[0], count=BITS).astype(bool)
    assert np.mean(theirs != ours) < 0.1


@pytest.mark.parametrize("number", range(8))
def test_changes_that_keep_the_picture(number):
    image = drawing(number)
    assert distance(image, image) == 0
    assert distance(image, image.resize((97, 90))) < NEAR
    assert distance(image, image.filter(ImageFilter.GaussianBlur(2))) < NEAR
    assert distance(image, Image.eval(image, lambda value: value // 2 + 30)) < NEAR
    assert distance(image, ImageOps.mirror(image), mirrored=True) < NEAR


def test_different_pictures():
    hashes = np.stack([perceptual_hash(drawing(number)) for number in range(40)])
    assert near_duplicates(hashes) == []


def test_flat_image_has_a_hash():
    assert perceptual_hash(Image.new("RGB", (50, 40), "red")).shape == (2, 32)
    assert perceptual_hash(Image.new("L", (1, 1))).shape == (2, 32)


def by_hand(first, second, near):
    found = {}
    for i, one in enumerate(first):
        for j, other in enumerate(second if second is not None else first):
            if second is None and j <= i:
                continue
            distances = [int(np.unpackbits(one[0] ^ other[side], count=BITS).sum()) for side in (0, 1)]
            if min(distances) <= near:
                found[i, j] = (min(distances), distances[1] < distances[0])
    return found


@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(1, 6), st.booleans(), st.integers(0, BITS))
def test_pairs_by_hand(seed, count, other_count, within, near):
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (1, 2, 32), dtype=np.uint8)

    def some(number):
        changed = base ^ (rng.random((number, 2, 256)) < rng.choice([0, 0.02, 0.3], (number, 2, 1))).astype(
            np.uint8
        ).reshape(number, 2, 32, 8).dot(1 << np.arange(8)).astype(np.uint8)
        changed[..., -1] &= 0xFE  # of 256 bits the last is not used
        return changed

    first, second = some(count), None if within else some(other_count)
    got = near_duplicates(first, second, near=near)
    assert {(pair.first, pair.second): (pair.distance, pair.mirrored) for pair in got} == by_hand(first, second, near)
    assert [pair.distance for pair in got] == sorted(pair.distance for pair in got)


def test_pairs_across_blocks(monkeypatch):
    monkeypatch.setattr("iqa_datasets.fingerprints._BLOCK", 3)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 256, (10, 2, 32), dtype=np.uint8)
    hashes[..., -1] &= 0xFE
    hashes[9, 0] = hashes[1, 0]
    assert [(pair.first, pair.second, pair.distance) for pair in near_duplicates(hashes)] == [(1, 9, 0)]


@given(st.integers(1, 30), st.data())
def test_groups(count, data):
    pairs = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=40))
    lowest = groups(count, pairs)
    assert all(lowest[one] == lowest[other] for one, other in pairs)
    assert all(lowest[item] <= item and lowest[lowest[item]] == lowest[item] for item in range(count))
    reached = {item: {item} for item in range(count)}
    for _ in range(count):
        for one, other in pairs:
            union = reached[one] | reached[other]
            for item in union:
                reached[item] = union
    assert [min(reached[item]) for item in range(count)] == lowest.tolist()


# Files and their cache


@pytest.fixture
def files(tmp_path):
    paths = []
    for number in range(5):
        paths.append(str(tmp_path / f"{number}.jpg"))
        drawing(number, 400).save(paths[-1], quality=95)
    return paths


def test_coarse_decoding_keeps_the_hash(files):
    for path in files:
        with Image.open(path) as image:
            whole = perceptual_hash(image.convert("RGB"))
        assert np.unpackbits(whole[0] ^ hash_file(path)[0]).sum() < 20


def test_cache_is_used_and_follows_changes(files, tmp_path, monkeypatch):
    cache = tmp_path / "cache" / "hashes.npz"
    first = hash_files(files, cache=cache)
    decoded = []
    monkeypatch.setattr("iqa_datasets.fingerprints.hash_file", lambda path: decoded.append(path) or hash_file(path))
    assert (hash_files(files, cache=cache) == first).all()
    assert decoded == []
    drawing(9, 400).save(files[2])
    os.utime(files[2], ns=(1, 1))
    second = hash_files(files, cache=cache)
    assert decoded == [files[2]]
    assert (second[2] != first[2]).any()
    assert (np.delete(second, 2, 0) == np.delete(first, 2, 0)).all()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04"])
def test_damaged_cache_is_made_anew(files, tmp_path, content):
    cache = tmp_path / "hashes.npz"
    cache.write_bytes(content)
    first = hash_files(files, cache=cache)
    assert (hash_files(files, cache=cache) == first).all()
    assert not list(tmp_path.glob(".*part*"))


def test_hashes_before_a_fault_are_kept(files, tmp_path, monkeypatch):
    cache, whole = tmp_path / "hashes.npz", Path(files[3]).read_bytes()
    Path(files[3]).write_bytes(whole[:2000])
    with pytest.raises(DatasetError, match=r"3\.jpg: is damaged or truncated"):
        hash_files(files, cache=cache, workers=1)
    Path(files[3]).write_bytes(whole)
    decoded = []
    monkeypatch.setattr("iqa_datasets.fingerprints.hash_file", lambda path: decoded.append(path) or hash_file(path))
    hash_files(files, cache=cache, workers=1)
    assert decoded == files[3:]


def test_a_cache_that_cannot_be_written_is_done_without(files, tmp_path):
    (tmp_path / "file").write_text("no folder")
    assert (hash_files(files, cache=tmp_path / "file" / "hashes.npz") == hash_files(files)).all()


def test_cache_with_pickles_is_not_read(files, tmp_path):
    cache = tmp_path / "hashes.npz"
    np.savez(cache, keys=np.array([object()], dtype=object), hashes=np.zeros((1, 2, 32)))
    assert hash_files(files, cache=cache).shape == (5, 2, 32)


def test_order_of_paths(files, tmp_path):
    forward, backward = hash_files(files), hash_files(files[::-1])
    assert (forward[::-1] == backward).all()


def test_several_threads_give_the_same(files):
    alone = hash_files(files * 2, workers=1)
    assert (hash_files(files * 2, workers=2) == alone).all()


def test_damaged_image_is_named(files):
    Path(files[3]).write_bytes(Path(files[3]).read_bytes()[:2000])
    with pytest.raises(DatasetError, match=r"3\.jpg: is damaged or truncated"):
        hash_files(files)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("IQA_DATASETS_CACHE", str(tmp_path))
    one, other = cache_file(Path("/a/CSIQ")), cache_file(Path("/b/CSIQ"))
    assert one != other
    assert one.is_relative_to(tmp_path)
    assert one.name.startswith("CSIQ-")


def test_no_paths():
    assert hash_files([]).shape == (0, 2, 32)
    assert near_duplicates(hash_files([])) == []
