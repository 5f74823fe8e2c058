"""An explanation against the network's own equations, and what the command makes of it."""

import csv
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from defnet import DEFNet, ImageError, ModelInfo, Scorer, TrainConfig
from defnet.cli import app
from defnet.commands.explain import COLUMNS
from defnet.explanation.overlay import colour_of, laid_over, mean_where_seen
from defnet.explanation.page import explanation_page
from defnet.explanation.words import in_words, place

READINGS: dict[str, dict[str, Any]] = {
    "fusion": {},
    "cross": {"model": {"score": "cross"}},
    "expected": {"model": {"score": "expected"}},
    "no evidence": {"model": {"evidence": False}},
    "logits": {"model": {"evidence": False, "averaging": "logits"}},
    "softplus twice": {"model": {"softplus": "twice"}},
    "embedding": {"model": {"features": "embedding"}},
}


@pytest.fixture(scope="module")
def make_scorer(make_model: Callable[..., DEFNet], make_config: Callable[..., TrainConfig]) -> Callable[..., Scorer]:
    def make(reading: str = "fusion", crops: int = 5) -> Scorer:
        config = make_config(**READINGS[reading])
        model = make_model(**READINGS[reading]).eval().requires_grad_(False)
        info = ModelInfo(config=config, variance_scale=0.25, constant_std=0.6, epoch=2, validation={"srcc": 0.5})
        return Scorer(model, info, crops=crops, name="small")

    return make


@pytest.fixture(scope="module")
def photograph(photographs: list[Path]) -> Path:
    return photographs[3]


each_reading = pytest.mark.parametrize("reading", READINGS)


@each_reading
def test_the_score_is_the_one_that_scoring_gives(
    make_scorer: Callable[..., Scorer], photograph: Path, reading: str
) -> None:
    scorer = make_scorer(reading)
    found = scorer.explain(photograph)
    [score] = scorer.score([photograph])
    for name, value in vars(score).items():
        other = getattr(found.score, name)
        assert other == (pytest.approx(value, nan_ok=True, abs=1e-6) if isinstance(value, float) else value), name
    assert found.size == Image.open(photograph).size
    assert found.source == scorer.model.score_from


@each_reading
def test_without_a_sub_image_is_the_score_of_the_others(
    make_scorer: Callable[..., Scorer], photograph: Path, reading: str
) -> None:
    """The network run anew on the pixels of all other sub-images."""
    scorer = make_scorer(reading)
    found = scorer.explain(photograph)
    [(seen, _)] = scorer.predict([photograph])
    local, whole = torch.as_tensor(seen[0].local), torch.as_tensor(seen[0].global_view)
    for left_out, view in enumerate(found.sub_images):
        others = torch.stack([local[k] for k in range(5) if k != left_out])
        with torch.inference_mode():
            anew = scorer.model(others[None], whole[None]).quality.item()
        assert view.quality_without == pytest.approx(anew, abs=2e-5)
        assert view.change == pytest.approx(anew - found.score.quality, abs=2e-5)
    changes = [view.change for view in found.sub_images]
    assert max(changes) - min(changes) > 1e-3, "they must differ for this to show anything"


@each_reading
def test_shares_sum_to_one_and_are_the_weights_of_the_score(
    make_scorer: Callable[..., Scorer], photograph: Path, reading: str
) -> None:
    found = make_scorer(reading).explain(photograph)
    assert sum(view.share for view in found.sub_images) + found.whole_share == pytest.approx(1, abs=1e-9)
    if reading in ("softplus twice", "logits"):
        return  # the score is then no sum of what the views say
    made = sum(view.share * view.quality for view in found.sub_images)
    if found.whole is not None:
        made += found.whole_share * found.whole.quality
    assert made == pytest.approx(found.score.quality, abs=1e-5)


def test_shares_are_those_of_the_equations(make_scorer: Callable[..., Scorer], photograph: Path) -> None:
    """From ν as the explanation states it: Eq. 24 for each pair, Eq. 25 their mean; Eq. 19 for the sub-images alone."""
    found = make_scorer("fusion").explain(photograph)
    nus = [view.evidence.nu for view in found.sub_images]
    for view, nu in zip(found.sub_images, nus, strict=True):
        assert view.share == pytest.approx(nu / (nu + found.whole.nu) / 5)
    assert len(set(nus)) == 5
    cross = make_scorer("cross").explain(photograph)
    for view in cross.sub_images:
        assert view.share == pytest.approx(view.evidence.nu / sum(nus), rel=1e-6)
    assert cross.whole_share == 0
    assert [view.share for view in make_scorer("no evidence").explain(photograph).sub_images] == [0.2] * 5


def test_evidence_is_the_networks_times_the_variance_scale(
    make_scorer: Callable[..., Scorer], photograph: Path
) -> None:
    scorer = make_scorer("fusion")
    found = scorer.explain(photograph)
    [(_, prediction)] = scorer.predict([photograph])
    for name, evidence in (("global_view", found.whole), ("cross", found.cross), ("fusion", found.fusion)):
        nig = getattr(prediction, name)["quality"]
        assert evidence.quality == pytest.approx(nig.loc.item(), abs=1e-6)
        assert evidence.nu == pytest.approx(nig.nu.item(), rel=1e-5)
        assert evidence.alpha == pytest.approx(nig.alpha.item(), rel=1e-5)
        assert evidence.beta == pytest.approx(0.25 * nig.beta.item(), rel=1e-5)
        assert evidence.std == pytest.approx((0.25 * nig.predictive_variance.item()) ** 0.5, rel=1e-5)
        assert evidence.aleatoric_std == pytest.approx(math.sqrt(evidence.beta / (evidence.alpha - 1)), rel=1e-4)
    assert math.hypot(found.score.aleatoric_std, found.score.epistemic_std) == pytest.approx(found.fusion.std, rel=1e-5)
    for index, view in enumerate(found.sub_images):
        assert (
            view.evidence.quality == view.quality == pytest.approx(prediction.local["quality"].loc[0, index, 0].item())
        )


def test_boxes_are_those_of_the_views(make_scorer: Callable[..., Scorer], photograph: Path) -> None:
    scorer = make_scorer("fusion")
    found = scorer.explain(photograph)
    corners = scorer.plan.boxes(*found.size)
    assert [view.box[:2] for view in found.sub_images] == [tuple(map(float, corner)) for corner in corners]
    pixels = np.asarray(Image.open(photograph).convert("RGB"))
    [(seen, _)] = scorer.predict([photograph])
    for view, cut in zip(found.sub_images, seen[0].local, strict=True):
        left, top, right, low = map(int, view.box)
        assert np.array_equal(pixels[top:low, left:right], np.asarray(cut).transpose(1, 2, 0))


@pytest.mark.parametrize("reading", ["fusion", "logits"])
def test_sentences_are_the_most_probable_of_all(
    make_scorer: Callable[..., Scorer], photograph: Path, reading: str
) -> None:
    """From the joint probabilities of the sub-images' pixels (Eq. 4), averaged as Eq. 6 averages, or as LIQE does."""
    scorer = make_scorer(reading)
    backbone = scorer.model.backbone
    [(seen, _)] = scorer.predict([photograph])
    with torch.inference_mode():
        each = backbone(torch.as_tensor(seen[0].local))
        joint = each.exp().mean(0) if reading == "fusion" else each.mean(0).flatten().softmax(0).view(5, 9, 11)
    order = joint.flatten().argsort(descending=True)[:5].tolist()
    found = scorer.explain(photograph).sentences
    assert [one.text for one in found] == [backbone.vocabulary.prompts()[place] for place in order]
    assert [one.probability for one in found] == pytest.approx(
        [joint.flatten()[place].item() for place in order], rel=1e-4
    )
    for one in found:
        assert one.level in one.text
        assert one.scene in one.text
        assert one.distortion in one.text


def test_one_sub_image_has_no_score_without_it(make_scorer: Callable[..., Scorer], photograph: Path) -> None:
    found = make_scorer("fusion", crops=1).explain(photograph)
    assert math.isnan(found.sub_images[0].quality_without)
    assert "Without" not in str(found)
    json.dumps(found.as_dict())


def test_it_is_frozen_and_plain(make_scorer: Callable[..., Scorer], photograph: Path) -> None:
    found = make_scorer("fusion").explain(photograph)
    with pytest.raises(FrozenInstanceError):
        found.size = (1, 1)  # type: ignore[misc]
    again = json.loads(json.dumps(found.as_dict()))
    assert again["sub_images"][0]["evidence"]["nu"] == found.sub_images[0].evidence.nu
    assert again["score"]["quality"] == found.score.quality


def test_what_is_no_image_is_an_image_error(make_scorer: Callable[..., Scorer], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"text\.png"):
        make_scorer("fusion").explain(tmp_path / "text.png")


def test_a_calibrated_model_keeps_its_own_intervals(photographs: list[Path]) -> None:
    from defnet import load_scorer

    scorer = load_scorer("lite2", device="cpu", crops=2)
    [score] = scorer.score([photographs[0]])
    found = scorer.explain(photographs[0])
    for name in ("lower", "upper", "familiarity", "epistemic_std"):
        assert getattr(found.score, name) == pytest.approx(getattr(score, name), abs=1e-6)
    assert found.score.warnings == score.warnings


# In words and pictures


def test_words_say_what_counted(make_scorer: Callable[..., Scorer], photograph: Path) -> None:
    found = make_scorer("fusion").explain(photograph)
    lines = in_words(found)
    assert lines[0].startswith(f"Quality {found.score.quality:.2f}, 95 % interval {found.score.lower:.2f} to")
    assert f"the whole image counts {found.whole_share:.0%}" in lines[1]
    largest = max(found.sub_images, key=lambda view: abs(view.change))
    assert any(f"the score would be {largest.quality_without:.2f} ({largest.change:+.2f})" in line for line in lines)
    assert found.sentences[0].text in str(found)
    none = str(make_scorer("no evidence").explain(photograph))
    assert "interval" not in none
    assert "the whole image does not count" in none


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 10, 10), "at the top left"),
        ((45, 45, 55, 55), "in the middle"),
        ((90, 90, 100, 100), "at the bottom right"),
        ((90, 45, 100, 55), "at the right"),
        ((45, 0, 55, 10), "at the top"),
    ],
)
def test_places(make_scorer: Callable[..., Scorer], photograph: Path, box: Any, words: str) -> None:
    view = make_scorer("fusion").explain(photograph).sub_images[0]
    assert place(replace(view, box=box), (100, 100)) == words


def test_colours_lie_where_the_sub_images_are() -> None:
    boxes = [(0.0, 0.0, 50.0, 50.0), (25.0, 0.0, 75.0, 50.0)]
    values = mean_where_seen(boxes, [1.0, 3.0], (100, 50), cells=100)
    assert values.shape == (50, 100)
    assert values[10, 10] == 1
    assert values[10, 40] == 2
    assert values[10, 60] == 3
    assert np.isnan(values[10, 90])
    picture = laid_over(Image.new("RGB", (200, 100), (200, 40, 40)), values, 1, 5, ((0, 0, 0), (255, 255, 255)), 1.0)
    assert picture.getpixel((20, 20)) == (0, 0, 0)
    assert picture.getpixel((120, 20)) == (128, 128, 128)
    assert picture.getpixel((190, 20)) == (200, 40, 40)
    assert colour_of(9, 1, 5, ((0, 0, 0), (10, 20, 30))) == (10, 20, 30)
    assert colour_of(1, 1, 1, ((0, 0, 0), (10, 20, 30))) == (0, 0, 0)


def test_the_page_has_no_script_and_no_name_becomes_html(make_scorer: Callable[..., Scorer], photograph: Path) -> None:
    found = make_scorer("fusion").explain(photograph)
    evil = "<script>alert(1)</script>\udce9.jpg"
    score = replace(found.score, path=evil, warnings=(evil,))
    text = explanation_page(replace(found, score=score), Image.open(photograph).convert("RGB"))
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 3  # title, heading and warning
    assert "default-src 'none'" in text
    assert len(re.findall('<rect class="edge"', text)) == 2 * len(found.sub_images)
    text.encode("utf-8")


def run(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_command_writes_rows_words_pictures_and_pages(model_file: Path, photograph: Path, tmp_path: Path) -> None:
    options = (photograph, "--model", model_file, "--device", "cpu")
    result = run(*options)
    assert result.exit_code == 0
    table = list(csv.DictReader(io.StringIO(result.stdout)))
    assert tuple(table[0]) == COLUMNS
    assert [row["view"] for row in table] == ["1", "2", "3", "whole", "cross", "fusion"]
    assert sum(float(row["share"]) for row in table[:4]) == pytest.approx(1)
    assert result.stderr.startswith("defnet: Quality ")
    found = json.loads(run(*options, "--format", "json").stdout)
    assert found["fusion"]["quality"] == pytest.approx(float(table[5]["quality"]))
    for name in ("why.png", "why.html", "why.json"):
        assert run(*options, "--out", tmp_path / name).exit_code == 0
    picture = Image.open(tmp_path / "why.png")
    assert min(picture.size) > 800
    assert (tmp_path / "why.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert json.loads((tmp_path / "why.json").read_text(encoding="utf-8")) == found


def test_the_command_says_what_is_wrong(model_file: Path, photograph: Path, tmp_path: Path) -> None:
    assert "--out must end in .png, .html, .htm, .json" in run(photograph, "--out", "why.svg").stderr
    result = run(tmp_path / "none.jpg", "--model", model_file, "--out", tmp_path / "why.png")
    assert result.exit_code == 2
    assert "none.jpg" in result.stderr
    assert not (tmp_path / "why.png").exists()
    assert "--format is about standard output" in run(photograph, "--format", "json", "--out", "a.png").stderr
