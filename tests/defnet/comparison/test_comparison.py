"""Two versions of photographs: which is which, and what the difference of their scores says."""

import csv
import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import stats
from typer.testing import CliRunner, Result

from defnet.cli import app
from defnet.comparison.differences import Comparison, compare_scores
from defnet.comparison.matching import match, names_below
from defnet.evaluation.paired_tests import benjamini_hochberg, holm
from defnet.scoring.scored_tables import ScoredRow, failed_row


def row(name: str, quality: float, aleatoric: float = 0.3, epistemic: float = 0.4) -> ScoredRow:
    return ScoredRow(name, {"quality": quality, "aleatoric_std": aleatoric, "epistemic_std": epistemic})


def compared(first: list[ScoredRow], second: list[ScoredRow], **options: object) -> Comparison:
    names = [[one.path for one in side] for side in (first, second)]
    return compare_scores(first, second, *names, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [
        (["a.jpg", "b.jpg"], ["b.jpg", "a.jpg"], [(0, 1), (1, 0)]),
        (["a.tif", "b.tif"], ["a.jpg", "b.jpg"], [(0, 0), (1, 1)]),
        (["x/a.jpg", "y/b.jpg"], ["b.webp", "a.webp"], [(0, 1), (1, 0)]),
        (["x/a.jpg", "y/a.jpg"], ["y/a.jpg", "x/a.jpg"], [(0, 1), (1, 0)]),
        # Which of two would be a guess.
        (["x/a.jpg", "y/a.jpg"], ["a.jpg", "c.jpg"], []),
        (["a.jpg", "a.png"], ["a.webp", "c.jpg"], []),
        # What is taken already is no rival.
        (["a.jpg", "x/a.png"], ["a.jpg", "z/a.webp"], [(0, 0), (1, 1)]),
        (["one.jpg"], ["another.png"], [(0, 0)]),
        (["one.jpg"], ["another.png", "third.png"], []),
        ([], [], []),
    ],
)
def test_which_is_which(first: list[str], second: list[str], pairs: list[tuple[int, int]]) -> None:
    assert match(first, second) == pairs


def test_names_are_from_the_folder_that_holds_all() -> None:
    assert names_below(["/x/old/a.jpg", "/x/old/2/b.jpg"]) == ["a.jpg", "2/b.jpg"]
    assert names_below(["old/2/b.jpg"], "old") == ["2/b.jpg"]
    assert names_below(["a.jpg", "/x/b.jpg"]) == ["a.jpg", "/x/b.jpg"]
    assert names_below([]) == []


def test_the_statistic_is_the_difference_over_the_root_of_both_variances() -> None:
    """Deviations 0.5 and √(0.3² + 1.2²); z by hand, p from SciPy, adjusted by Holm over both photographs."""
    found = compared([row("a", 4.0), row("b", 3.0)], [row("a", 1.0, 0.3, 1.2), row("b", 3.1)])
    first, second = found.differences
    assert (first.image, first.difference) == ("a", -3.0)
    assert first.deviation == pytest.approx(math.sqrt(0.25 + 0.09 + 1.44))
    assert first.z == pytest.approx(-3 / math.sqrt(1.78))
    assert first.p_value == pytest.approx(2 * stats.norm.sf(3 / math.sqrt(1.78)))
    assert first.adjusted_p == pytest.approx(2 * first.p_value)
    assert second.z == pytest.approx(0.1 / math.sqrt(0.5))
    assert [first.verdict, second.verdict] == ["worse", "not told apart"]
    assert found.worse
    assert compared([row("a", 1.0)], [row("a", 4.0)]).differences[0].verdict == "better"
    assert not compared([row("a", 1.0)], [row("a", 4.0)]).worse


def test_two_scores_of_one_quality_are_rarely_told_apart() -> None:
    """With errors as independent as the test takes them for, some verdict is wrong in about one of twenty folders."""
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(400):
        quality = rng.uniform(2, 4, 12)
        sides = [[row(str(k), quality[k] + rng.normal(0, 0.5)) for k in range(12)] for _ in range(2)]
        found = compared(*sides)
        wrong += bool(found.of("worse") or found.of("better"))
    assert 0.02 < wrong / 400 < 0.09


def test_the_mean_finds_what_is_small_and_everywhere() -> None:
    rng = np.random.default_rng(1)
    quality = rng.uniform(2, 4, 30)
    first = [row(f"{k}", value) for k, value in enumerate(quality)]
    second = [row(f"{k}", value - 0.2 + rng.normal(0, 0.1)) for k, value in enumerate(quality)]
    found = compared(first, second)
    assert not found.of("worse")
    apart = [one.difference for one in found.differences]
    expected = stats.ttest_1samp(apart, 0).confidence_interval(0.95)
    assert found.mean is not None
    assert (found.mean.low, found.mean.high) == pytest.approx((expected.low, expected.high))
    assert found.mean.high < 0
    assert found.worse


def test_a_mean_that_may_be_chance_is_not_worse() -> None:
    first = [row(str(k), 3.0) for k in range(4)]
    found = compared(first, [row(str(k), 3.0 + apart) for k, apart in enumerate((-0.3, 0.2, -0.2, 0.1))])
    assert found.mean is not None
    assert found.mean.mean < 0 < found.mean.high
    assert not found.worse


def test_what_cannot_be_compared_stands_last_with_the_reason() -> None:
    first = [row("a", 4), row("b", 4), row("gone", 3), row("d", 3, math.nan, math.nan)]
    second = [row("a", 1), failed_row("b", "is damaged"), row("d", 1), row("new", 2)]
    found = compared(first, second)
    assert [(one.image, one.verdict) for one in found.differences] == [
        ("a", "worse"),
        ("d", "not stated"),
        ("b", "not scored"),
        ("gone", "only in A"),
        ("new", "only in B"),
    ]
    assert found.compared == 2
    assert (found.differences[3].path_a, found.differences[3].path_b) == ("gone", "")
    assert found.differences[4].quality_b == 2
    # One p-value is known, so that there is nothing to adjust for.
    assert found.differences[0].adjusted_p == found.differences[0].p_value


def test_equal_scores_are_not_told_apart_however_sure_they_are() -> None:
    [one] = compared([row("a", 3, 0, 0)], [row("a", 3, 0, 0)]).differences
    assert (one.z, one.p_value, one.verdict) == (0, 1, "not told apart")
    [one] = compared([row("a", 3, 0, 0)], [row("a", 2, 0, 0)]).differences
    assert (one.p_value, one.verdict) == (0, "worse")


def test_benjamini_hochberg_is_scipys() -> None:
    p = np.random.default_rng(0).beta(0.3, 1, 40)
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    assert (benjamini_hochberg(p) <= holm(p) + 1e-12).all()
    assert benjamini_hochberg([]).shape == (0,)
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg([1.2])


@pytest.mark.parametrize(("adjustment", "worse"), [("holm", 1), ("bh", 3), ("none", 4)])
def test_adjustments_differ_in_what_they_find(adjustment: str, worse: int) -> None:
    # z of 4, 2.6, 2.5 and 2.2, and six of 0.
    drops = [4, 2.6, 2.5, 2.2, *[0] * 6]
    first = [row(str(k), 4.5) for k in range(10)]
    second = [row(str(k), 4.5 - drop * math.sqrt(0.5)) for k, drop in enumerate(drops)]
    assert len(compared(first, second, adjustment=adjustment).of("worse")) == worse


# The command


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def exports(tmp_path: Path, photographs: list[Path]) -> Path:
    """Folders `old` and `new` of four photographs each, of which three are the same."""
    for folder in ("old/trip", "new"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(3):
        image = Image.open(photographs[number])
        image.save(tmp_path / "old" / "trip" / f"{number}.png")
        image.filter(ImageFilter.GaussianBlur(number)).save(tmp_path / "new" / f"{number}.bmp")
    Image.open(photographs[3]).save(tmp_path / "old" / "gone.png")
    (tmp_path / "new" / "torn.png").write_bytes(b"\x89PNG")
    return tmp_path


def test_folders_are_scored_and_matched(exports: Path, model_file: Path, photographs: list[Path]) -> None:
    options = ("--model", model_file, "--device", "cpu")
    result = run(exports / "old", exports / "new", *options)
    assert result.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {one["image"]: one["path_b"] for one in rows if one["path_a"] and one["path_b"]} == {
        f"trip/{number}.png": str(exports / "new" / f"{number}.bmp") for number in range(3)
    }
    # The first has only been saved again, without loss.
    [same] = [one for one in rows if one["image"] == "trip/0.png"]
    assert float(same["difference"]) == pytest.approx(0, abs=1e-5)
    assert "1 only in A: gone.png" in result.stderr
    assert "1 only in B: torn.png" in result.stderr
    assert "on average" in result.stderr
    json.loads(run(exports / "old", exports / "new", *options, "--format", "json").stdout)


def tables(folder: Path, lower: float = 0.0) -> tuple[Path, Path]:
    for name, drop in (("a", 0.0), ("b", lower)):
        lines = [f"{name}/{k}.jpg,{3 + 0.1 * k - drop * (1 + 0.01 * k)},0.3,0.4" for k in range(5)]
        text = "\n".join(["path,quality,aleatoric_std,epistemic_std", *lines]) + "\n"
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder / "a.csv", folder / "b.csv"


def test_exit_codes_say_whether_b_is_worse(tmp_path: Path) -> None:
    a, b = tables(tmp_path)
    result = run(a, b, "--out", tmp_path / "out.csv")
    assert (result.exit_code, result.stdout) == (0, "")
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6
    a, b = tables(tmp_path, 1.9)
    worse = run(a, b)
    assert worse.exit_code == 1
    assert "5 worse and 0 better by more than their scores are unsure (Holm's adjustment, 0.05)" in worse.stderr
    better = run(b, a)
    assert better.exit_code == 0
    assert "0 worse and 5 better" in better.stderr
    a, b = tables(tmp_path, 0.2)
    slightly = run(a, b)
    assert slightly.exit_code == 1
    assert "0 worse and 0 better" in slightly.stderr
    assert ": worse on average" in slightly.stderr


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    a, b = tables(tmp_path)
    (tmp_path / "other.csv").write_text("path,quality\nx/q.jpg,3\nx/r.jpg,3\n")
    result = run(a, tmp_path / "other.csv")
    assert result.exit_code == 2
    assert "no photograph of A has a score and is one of B by its name" in result.stderr
    assert run(a, tmp_path / "none.csv").exit_code == 2
    assert run(a, tmp_path / "nowhere").exit_code == 2
    assert "--out must end in" in run(a, b, "--out", "x.txt").stderr


def test_tables_of_different_models_are_warned_of(tmp_path: Path) -> None:
    a, b = tables(tmp_path)
    for path, weights in ((a, "one"), (b, "two")):
        path.with_name(f"{path.name}.run.json").write_text(json.dumps({"weights": weights, "crops": {"count": 15}}))
    assert "were not made with the same weights; that is compared, too" in run(a, b).stderr
    assert "not made with the same" not in run(a, a).stderr


def test_a_model_is_loaded_for_folders_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("tables need no model")

    monkeypatch.setattr("defnet.load_scorer", refuse)
    assert run(*tables(tmp_path)).exit_code == 0


def test_frames_are_compared_one_by_one(tmp_path: Path) -> None:
    text = "path,quality,frame,frames\n" + "".join(f"x.gif,{3 + k},{k},2\n" for k in (1, 2))
    (tmp_path / "a.csv").write_text(text)
    rows: Callable[[], list[dict[str, str]]] = lambda: list(  # noqa: E731
        csv.DictReader(io.StringIO(run(tmp_path / "a.csv", tmp_path / "a.csv").stdout))
    )
    assert [one["image"] for one in rows()] == ["x.gif", "x.gif#2"]
