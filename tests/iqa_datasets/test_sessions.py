"""Splits: how a session is asked for, what our own promise, and what is found on both sides of any."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from iqa_datasets import PARTS, DatasetError, SeededSession, crossings, load
from iqa_datasets.sessions import OFFICIAL, content_groups, parse_session, seeded_parts

# How a session is asked for


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        (1, 1),
        (np.int64(10), 10),
        ("official", OFFICIAL),
        ("seeded-0", SeededSession(0)),
        ("seeded-12:0.8/0/0.2", SeededSession(12, (0.8, 0.0, 0.2))),
        (SeededSession(3), SeededSession(3)),
    ],
)
def test_parse(asked, got):
    assert parse_session(asked) == got


@pytest.mark.parametrize("asked", [0, 11, True, 1.0, "1", "seeded", "seeded--1", "seeded-1:0.5/0.5", "Official", None])
def test_parse_refuses(asked):
    with pytest.raises(DatasetError, match=r"session must be a whole number from 1 to 10 .*, got "):
        parse_session(asked)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1,), "a seed must be a whole number from 0 on, got -1"),
        ((1.5,), "a seed must be a whole number"),
        ((1, (0.5, 0.5)), "three shares"),
        ((1, (0.5, 0.6, -0.1)), "three shares from 0 on"),
        ((1, (0.5, 0.1, 0.1)), r"must add up to 1, got 0\.7"),
        ((1, (0.5, float("nan"), 0.5)), "three shares"),
    ],
)
def test_seeded_session_refuses(arguments, message):
    with pytest.raises(DatasetError, match=message):
        SeededSession(*arguments)


def test_damaged_share():
    with pytest.raises(DatasetError, match="a share that is not a number"):
        parse_session("seeded-1:0.8/0..1/0.1")


@given(
    st.integers(0, 2**70),
    st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(lambda shares: sum(shares) > 0),
)
def test_name_says_all(seed, shares):
    fractions = tuple(round(share / sum(shares), 3) for share in shares[:2])
    session = SeededSession(seed, (*fractions, round(1 - sum(fractions), 3)))
    assert parse_session(str(session)) == session


# Our own splits

groups_of_images = st.lists(st.integers(1, 12), min_size=3, max_size=60).map(
    lambda sizes: [f"content {number}" for number, size in enumerate(sizes) for _ in range(size)]
)


@given(groups_of_images, st.integers(0, 1000))
def test_a_group_stays_together(group, seed):
    parts = seeded_parts(group, SeededSession(seed))
    assert set(parts) == set(PARTS)
    assert len(set(zip(group, parts, strict=True))) == len(set(group))


@given(groups_of_images, st.integers(0, 1000), st.randoms())
def test_order_of_rows_does_not_matter(group, seed, random):
    parts = dict(zip(group, seeded_parts(group, SeededSession(seed)), strict=True))
    shuffled = random.sample(group, len(group))
    assert dict(zip(shuffled, seeded_parts(shuffled, SeededSession(seed)), strict=True)) == parts


@given(st.integers(0, 1000), st.integers(30, 300))
def test_shares_are_met_to_one_image_where_contents_are_single(seed, count):
    parts = seeded_parts([str(number) for number in range(count)], SeededSession(seed))
    for part, share in zip(PARTS, (0.7, 0.1, 0.2), strict=True):
        assert abs(parts.count(part) - share * count) <= 1


def test_shares_with_references():
    # 81 references x 125 images, as KADID-10k.
    group = [f"I{reference:02d}" for reference in range(1, 82) for _ in range(125)]
    parts = seeded_parts(group, SeededSession(1))
    assert [parts.count(part) // 125 for part in PARTS] == [57, 8, 16]


def test_a_share_of_nothing_is_empty():
    parts = seeded_parts([str(number) for number in range(10)], SeededSession(1, (0.8, 0, 0.2)))
    assert [parts.count(part) for part in PARTS] == [8, 0, 2]


def test_too_few_contents():
    with pytest.raises(
        DatasetError, match="needs 3 contents or more, one for each of train, val, test, but there are 2"
    ):
        seeded_parts(["a", "b", "b"], SeededSession(1))


def test_seeds_differ_and_do_not_change():
    names = [str(number) for number in range(20)]
    splits = {tuple(seeded_parts(names, SeededSession(seed))) for seed in range(20)}
    assert len(splits) == 20
    # Pinned: a seed must give the same split in every version.
    parts = seeded_parts(names, SeededSession(1))
    assert [name for name, part in zip(names, parts, strict=True) if part == "test"] == ["8", "14", "16", "17"]


# On a data set


def save_copy(path: Path, copy: Path) -> None:
    """Save what no byte and no pixel tells to be the same picture."""
    with Image.open(path) as image:
        image.convert("RGB").resize((image.width * 3 // 4, image.height * 3 // 4)).save(copy, quality=30)


@pytest.fixture
def with_copies(clive):
    """A data set in which eight photographs are near-duplicates of eight others, under names of their own."""
    records = load("live-challenge", clive.root).records
    paths = [Path(path) for path in records["image_path"]]
    pairs = [(paths[5 + number], paths[-1 - number]) for number in range(6)]
    for path, copy in pairs:
        save_copy(path, copy)
    return clive, pairs


@pytest.mark.parametrize("seed", range(10))
def test_no_near_duplicate_on_both_sides(with_copies, seed):
    fake, pairs = with_copies
    dataset = load("live-challenge", fake.root, session=SeededSession(seed))
    part = dict(zip(dataset.records["image_path"], dataset.records["session_part"], strict=True))
    for path, copy in pairs:
        assert part[str(path)] == part[str(copy)]
    assert crossings(dataset) == []


def test_without_hashes_copies_would_be_torn_apart(with_copies):
    # Shows that the test above can fail: with the contents alone, some seed splits some pair.
    fake, pairs = with_copies
    records = load("live-challenge", fake.root).records
    torn = 0
    for seed in range(10):
        parts = seeded_parts(records["content"].tolist(), SeededSession(seed))
        part = dict(zip(records["image_path"], parts, strict=True))
        torn += sum(part[str(path)] != part[str(copy)] for path, copy in pairs)
    assert torn > 10


def test_groups_are_named_by_their_smallest_content(with_copies):
    fake, pairs = with_copies
    dataset = load("live-challenge", fake.root)
    group = content_groups(dataset.records, dataset.root)
    for path, copy in pairs:
        contents = [f"Images/{path.name}", f"Images/{copy.name}"]
        assert {group[content] for content in contents} == {min(contents)}


def test_seeded_session_and_parts(clive):
    whole = load("live-challenge", clive.root, session="seeded-4")
    assert whole.session == "seeded-4"
    assert whole.records["session_part"].notna().all()
    counts = [len(load("live-challenge", clive.root, session=SeededSession(4), part=part)) for part in PARTS]
    assert sum(counts) == len(whole)
    assert "session seeded-4: " in repr(whole)


def test_seeded_session_with_labels_keeps_the_labels(clive):
    dataset = load("live-challenge", clive.root, session="seeded-1", labels=clive.labels)
    assert dataset.records["scenes"].map(len).min() >= 1
    plain = load("live-challenge", clive.root, session="seeded-1")
    assert (plain.records["session_part"] == dataset.records["session_part"]).all()


def test_no_official_split(clive):
    with pytest.raises(DatasetError, match="the authors of 'live-challenge' publish no split; take session='seeded-1'"):
        load("live-challenge", clive.root, session="official")


def test_crossings_names_both_sides(clive):
    # The fake has the twins of the original on both sides of session 1.
    dataset = load("live-challenge", clive.root, labels=clive.labels, session=1)
    [found] = [one for one in crossings(dataset) if one.kind == "content"]
    assert sorted(Path(path).name for path in (found.first, found.second)) == ["246.bmp", "333.bmp"]
    assert set(found.parts) == {"train", "test"}
    assert found.images == 2


def test_crossings_finds_copies(with_copies):
    fake, pairs = with_copies
    dataset = load("live-challenge", fake.root, labels=fake.labels, session=2)
    part = dict(zip(dataset.records["image_path"], dataset.records["session_part"], strict=True))
    torn = {frozenset(map(str, pair)) for pair in pairs if part[str(pair[0])] != part[str(pair[1])]}
    found = {frozenset((one.first, one.second)) for one in crossings(dataset) if one.kind != "content"}
    assert torn
    assert torn <= found


def test_a_crossing_is_identical_where_no_bit_of_the_hashes_differs(clive):
    records = load("live-challenge", clive.root, labels=clive.labels, session=2).records
    alone = records[~records["content"].duplicated(keep=False)]  # not the twins
    train, test = (alone.loc[alone["session_part"] == part, "image_path"].tolist() for part in ("train", "test"))
    shutil.copy(train[0], test[0])
    ImageOps.mirror(Image.open(train[1]).convert("RGB")).save(test[1])
    found = crossings(load("live-challenge", clive.root, labels=clive.labels, session=2))
    kinds = {frozenset((one.first, one.second)): (one.kind, one.distance) for one in found}
    assert kinds[frozenset((train[0], test[0]))] == ("identical", 0)
    assert kinds[frozenset((train[1], test[1]))][0] == "near"


def test_crossings_needs_a_session(clive):
    with pytest.raises(DatasetError, match="has no session whose parts could be compared"):
        crossings(load("live-challenge", clive.root))


def test_real_crossings(data_root):
    """246.bmp and 333.bmp are pixel-identical and lie apart in sessions 1, 2, 5, 6 and 9 of LIVE In the Wild."""
    apart = []
    for session in range(1, 11):
        dataset = load(
            "live-challenge", data_root / "ChallengeDB_release", labels=data_root / "liqe-labels", session=session
        )
        found = crossings(dataset)
        names = [{Path(one.first).name, Path(one.second).name} for one in found if one.kind == "content"]
        if {"246.bmp", "333.bmp"} in names:
            apart.append(session)
        near = {frozenset((Path(one.first).name, Path(one.second).name)) for one in found if one.kind == "near"}
        # Seen to be taken within a moment of each other.
        assert near <= {
            frozenset(pair) for pair in (("672.JPG", "694.JPG"), ("896.JPG", "897.JPG"), ("824.JPG", "825.JPG"))
        }
    assert apart == [1, 2, 5, 6, 9]


def test_real_sessions_of_our_own(data_root):
    """Twins and scenes that were photographed twice, which LIQE's sessions tear apart, stay together in ours."""
    together = [("246.bmp", "333.bmp"), ("672.JPG", "694.JPG"), ("896.JPG", "897.JPG"), ("824.JPG", "825.JPG")]
    for seed in range(5):
        dataset = load("live-challenge", data_root / "ChallengeDB_release", session=SeededSession(seed))
        assert crossings(dataset) == []
        part = {Path(record.image_path).name: record.session_part for record in dataset}
        assert all(part[one] == part[other] for one, other in together)
        assert [list(part.values()).count(name) for name in PARTS] == pytest.approx([813, 116, 233], abs=2)
