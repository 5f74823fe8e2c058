import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iqa_datasets import SCENES, DatasetError, LiqeLabel, load, read_liqe_labels
from iqa_datasets.vocabulary import DISTORTION_CLASSES

WORDS = {"indoor scene": "indoor", "night scene": "night", "still-life": "still_life"}
LABELS = st.builds(
    LiqeLabel,
    image=st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1).map(lambda name: f"Images/{name}"),
    score=st.integers(-9999, 9999).map(lambda n: n / 8),
    decimals=st.just(3),
    distortion_name=st.sampled_from(sorted(DISTORTION_CLASSES)),
    scenes=st.lists(st.sampled_from(SCENES), min_size=1, max_size=3, unique=True).map(tuple),
)


def printed(label):
    scenes = [WORDS.get(scene, scene) for scene in label.scenes] + ["invalid"] * (3 - len(label.scenes))
    return "\t".join([label.image, f"{label.score:.3f}", label.distortion_name, *scenes])


@settings(derandomize=True, deadline=None)
@given(st.lists(LABELS, max_size=5))
def test_reads_what_was_printed(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("labels") / "clive_train_clip.txt"
    path.write_text("".join(printed(label) + "\n" for label in labels), encoding="utf-8", newline="\n")
    assert read_liqe_labels(path) == labels


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs"])))
def test_any_text_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("labels") / "any.txt"
    path.write_text("Images/1.bmp\t1.5\tlens\thuman\tinvalid\tinvalid\n" + text, encoding="utf-8", newline="\n")
    try:
        labels = read_liqe_labels(path)
    except DatasetError:
        return  # any other exception fails the test
    assert labels[0] == LiqeLabel("Images/1.bmp", 1.5, 1, "lens", ("human",))
    assert len(labels) == 1 + len(text.removesuffix("\n").split("\n") if text else [])


def test_last_line_without_an_end(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("a.bmp\t3\tlens\tnight\tinvalid\tinvalid\nb.bmp\t-2.50\timpulse\tothers\thuman\tstill_life")
    assert read_liqe_labels(str(path)) == [
        LiqeLabel("a.bmp", 3.0, 0, "lens", ("night scene",)),
        LiqeLabel("b.bmp", -2.5, 2, "impulse", ("others", "human", "still-life")),
    ]


def test_the_papers_words_are_not_the_files_words(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("a.bmp\t3\tlens\tnight scene\tinvalid\tinvalid\n")
    with pytest.raises(DatasetError, match="unknown scene 'night scene'; did you mean 'night'"):
        read_liqe_labels(path)


def test_invalid_between_scenes(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("a.bmp\t3\tlens\tnight\tinvalid\thuman\n")
    with pytest.raises(DatasetError, match="line 1: unknown scene 'invalid'"):
        read_liqe_labels(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.txt is missing"):
        read_liqe_labels(tmp_path / "no.txt")


def print_scores(file, digits, off=0):
    """Print a label file's scores again with so many decimals, the first of them off by units of the last decimal."""
    rows = [line.split("\t") for line in file.read_text().splitlines()]
    for row in rows:
        row[1] = f"{float(row[1]):.{digits}f}"
    rows[0][1] = f"{float(rows[0][1]) + off * 10.0**-digits:.{digits}f}"
    file.write_text("".join("\t".join(row) + "\n" for row in rows))
    return rows[0][0]


@pytest.mark.parametrize("digits", [6, 4, 2, 0])
def test_scores_must_agree_to_the_printed_precision(clive, digits):
    for file in clive.labels.rglob("*_clip.txt"):
        print_scores(file, digits)
    assert len(load("live-challenge", clive.root, labels=clive.labels)) == 24
    for off in (1, -1):
        image = print_scores(next(clive.labels.rglob("1/*_val_clip.txt")), digits, off)
        with pytest.raises(DatasetError, match=f"line 1: the score of {image} is"):
            load("live-challenge", clive.root, labels=clive.labels, session=1)
        print_scores(next(clive.labels.rglob("1/*_val_clip.txt")), digits, -off)
