"""Scoring: an image's score is its own, whatever it comes with and in whatever form."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from clip_iqa_backbone import CropPlan, ImageError, make_views, open_image
from defnet import DEFNet, DEFNetError, Failure, ModelInfo, Score, Scorer, Scores, load_model, load_scorer
from defnet.scoring.scores import COLUMNS
from iqa_datasets import DISTORTIONS, SCENES

NUMBERS = [name for name in COLUMNS if name not in ("path", "scene", "distortion", "warnings")]


def largest_difference(one: Scores, other: Scores) -> float:
    assert [score.path for score in one] == [score.path for score in other]
    return max(abs(getattr(a, n) - getattr(b, n)) for a, b in zip(one, other, strict=True) for n in NUMBERS)


@pytest.fixture(scope="module")
def scores(scorer: Scorer, photographs: list[Path]) -> Scores:
    return scorer.score(photographs)


def test_the_batch_does_not_change_a_score(scorer: Scorer, photographs: list[Path]) -> None:
    alone, together = scorer.score(photographs, batch_size=1), scorer.score(photographs, batch_size=16)
    assert largest_difference(alone, together) < 1e-4
    # The pictures do differ, by much more than that.
    assert np.std([score.quality for score in alone]) > 0.01


def test_an_image_has_one_score_alone_and_in_any_company(scorer: Scorer, photographs: list[Path]) -> None:
    image = photographs[3]
    [alone] = scorer.score(image)
    for others in (photographs[:2], photographs[10:17], [image] * 4):
        for place in (0, len(others)):
            batch = [*others[:place], image, *others[place:]]
            assert largest_difference(Scores([scorer.score(batch)[place]]), Scores([alone])) < 1e-4


def test_paths_images_and_arrays_give_the_same_score(scorer: Scorer, photographs: list[Path]) -> None:
    for path in photographs[:3]:
        pixels = np.array(Image.open(path))
        forms = [path, str(path), Image.open(path), Image.fromarray(pixels), pixels, pixels / 255.0]
        found = scorer.score(forms)
        assert [score.path for score in found] == [str(path), str(path), "", "", "", ""]
        for score in found:
            assert [getattr(score, n) for n in NUMBERS] == pytest.approx([getattr(found[0], n) for n in NUMBERS])


def test_one_image_need_not_be_in_a_list(scorer: Scorer, photographs: list[Path]) -> None:
    for image in (photographs[0], str(photographs[0]), Image.open(photographs[0]), np.zeros((230, 240, 3), np.uint8)):
        assert len(scorer.score(image)) == 1


@pytest.mark.parametrize("batch_size", [1, 3, 8, 64])
def test_order_is_kept(scorer: Scorer, photographs: list[Path], batch_size: int) -> None:
    shuffled = [photographs[k] for k in np.random.default_rng(1).permutation(len(photographs))]
    assert [score.path for score in scorer.score(iter(shuffled), batch_size=batch_size)] == [str(p) for p in shuffled]


def test_nothing_to_score(scorer: Scorer) -> None:
    assert len(scorer.score([])) == 0
    assert list(scorer.stream(iter(()))) == []
    assert list(Scores([]).to_dataframe().columns) == list(COLUMNS)


def test_an_image_that_cannot_be_read_does_not_disturb_the_others(
    scorer: Scorer, photographs: list[Path], scores: Scores, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.bmp"
    broken.write_bytes(photographs[0].read_bytes()[:-100])
    missing = tmp_path / "missing.png"
    for batch_size in (1, 3, 4):
        mixed = [broken, *photographs[:5], missing, *photographs[5:9], broken, broken]
        results = list(scorer.stream(mixed, batch_size=batch_size))
        failures = {k: r for k, r in enumerate(results) if isinstance(r, Failure)}
        assert set(failures) == {0, 6, 11, 12}
        assert failures[0].path == str(broken)
        assert "truncated" in failures[0].reason
        assert failures[6] == Failure(str(missing), "there is no such file")
        good = Scores(r for r in results if isinstance(r, Score))
        assert largest_difference(good, scores[:9]) < 1e-4


def test_score_stops_at_an_image_that_cannot_be_read(scorer: Scorer, photographs: list[Path]) -> None:
    with pytest.raises(ImageError, match=r"nothing\.png: there is no such file"):
        scorer.score([photographs[0], "nothing.png"])
    with pytest.raises(TypeError, match="must be a path, a PIL image or a numpy array"):
        scorer.score([3])  # type: ignore[list-item]


def test_a_stream_is_lazy(scorer: Scorer, photographs: list[Path]) -> None:
    taken = 0

    def source():
        nonlocal taken
        for _ in range(10**6):
            taken += 1
            yield photographs[0]

    stream = scorer.stream(source(), batch_size=2)
    for _ in range(5):
        next(stream)
    stream.close()
    assert taken <= 12


@pytest.mark.parametrize("size", [(1, 1), (100, 80), (500, 223), (223, 224)])
def test_small_images_are_scored_with_a_warning(scorer: Scorer, size: tuple[int, int]) -> None:
    [score] = scorer.score(Image.new("RGB", size, (90, 120, 60)))
    assert f"upscaled from {size[0]}x{size[1]}" in score.warnings
    assert math.isfinite(score.quality)


def test_images_as_large_as_a_crop_are_not_warned_of(scores: Scores, scorer: Scorer) -> None:
    [exact] = scorer.score(np.full((224, 224, 3), 128, np.uint8))
    for score in [*scores, exact]:
        assert not [warning for warning in score.warnings if "upscaled" in warning]


@pytest.mark.parametrize("crops", [1, 2, 7])
def test_crops_may_be_chosen(model_file: Path, photographs: list[Path], crops: int) -> None:
    chosen = load_scorer(model_file, device="cpu", crops=crops)
    [score] = chosen.score(photographs[0])
    assert score.crops == crops
    model, _ = load_model(model_file)
    views = make_views(open_image(photographs[0]), CropPlan(count=crops))
    with torch.no_grad():
        expected = model(views.local[None], views.global_view[None])
    assert score.quality == pytest.approx(expected.fusion["quality"].loc.item(), abs=1e-4)
    assert score.expected_quality == pytest.approx(expected.expected_quality.item(), abs=1e-4)


def test_crops_must_be_at_least_one(model_file: Path) -> None:
    with pytest.raises(DEFNetError, match="crops must be at least 1, got 0"):
        load_scorer(model_file, crops=0)


def test_by_default_the_models_own_number_of_crops(scorer: Scorer, scores: Scores) -> None:
    assert {score.crops for score in scores} == {scorer.info.config.crops.test_count} == {3}


def test_fields_are_what_the_network_says(
    scorer: Scorer, model_file: Path, photographs: list[Path], scores: Scores
) -> None:
    """From the evidence by the definitions, apart from the batching and the fused trunk."""
    model, info = load_model(model_file)
    for path, score in list(zip(photographs, scores, strict=True))[:5]:
        views = make_views(open_image(path), CropPlan(count=3))
        with torch.no_grad():
            prediction = model(views.local[None], views.global_view[None])
        nig = prediction.fusion["quality"]
        delta, nu, alpha = nig.loc.item(), nig.nu.item(), nig.alpha.item()
        beta = nig.beta.item() * info.variance_scale
        assert info.variance_scale == 0.25
        assert score.quality == pytest.approx(delta, abs=1e-4)
        assert score.aleatoric_std == pytest.approx(math.sqrt(beta / (alpha - 1)), rel=1e-3)
        assert score.epistemic_std == pytest.approx(math.sqrt(beta / (nu * (alpha - 1))), rel=1e-3)
        scale = math.sqrt(beta * (1 + nu) / (nu * alpha))
        lower, upper = stats.t.interval(0.95, 2 * alpha, delta, scale)
        assert score.lower == pytest.approx(np.clip(lower, 1, 5), abs=1e-3)
        assert score.upper == pytest.approx(np.clip(upper, 1, 5), abs=1e-3)
        for name, words in (("scene", SCENES), ("distortion", DISTORTIONS)):
            best = prediction.probabilities[name][0]
            assert getattr(score, name) == words[int(best.argmax())]
            assert getattr(score, f"{name}_probability") == pytest.approx(best.max().item(), abs=1e-4)


def test_fields_are_consistent(scores: Scores) -> None:
    for score in scores:
        assert 1 <= score.lower <= score.upper <= 5
        if 1 <= score.quality <= 5:
            assert score.lower <= score.quality <= score.upper
            assert not score.warnings
        assert 1 <= score.expected_quality <= 5
        assert score.aleatoric_std > 0
        assert score.epistemic_std > 0
        assert score.scene in SCENES
        assert score.distortion in DISTORTIONS
        assert 1 / 9 <= score.scene_probability <= 1
        assert 1 / 11 <= score.distortion_probability <= 1


def test_a_quality_beyond_the_scale_is_said_and_not_hidden(
    make_model: Callable[..., DEFNet], model_info: ModelInfo
) -> None:
    model = make_model().eval()
    with torch.no_grad():
        for heads in (model.heads, model.global_heads):
            heads["quality"].linear.bias[0] = 20
    [score] = Scorer(model, model_info).score(np.zeros((224, 224, 3), np.uint8))
    assert score.quality > 5
    assert "quality outside [1, 5]" in score.warnings
    assert score.upper == 5


def test_tables(scores: Scores, scorer: Scorer) -> None:
    frame = scores.to_dataframe()
    assert list(frame.columns) == list(COLUMNS)
    assert len(frame) == len(scores) == 20
    assert frame["quality"].tolist() == [score.quality for score in scores]
    assert frame["path"].tolist() == [score.path for score in scores]
    assert {str(frame[name].dtype) for name in NUMBERS} == {"float64", "int64"}
    [small] = scorer.score(Image.new("RGB", (9, 9))).to_dataframe()["warnings"]
    assert small.startswith("upscaled from 9x9")
    assert isinstance(scores[2:4], Scores)
    assert scores[2:4][0] == scores[2]


@pytest.mark.parametrize("batch_size", [0, -1])
def test_impossible_batch_sizes(scorer: Scorer, batch_size: int) -> None:
    with pytest.raises(DEFNetError, match=f"batch_size must be at least 1, got {batch_size}"):
        list(scorer.stream([], batch_size=batch_size))


def test_a_device_that_is_not_there(model_file: Path) -> None:
    with pytest.raises(DEFNetError, match="device 'abacus' cannot be used here"):
        load_scorer(model_file, device="abacus")


def test_provenance_changes_with_what_scores_depend_on(
    scorer: Scorer, model_file: Path, make_model: Callable[..., DEFNet], model_info: ModelInfo, tmp_path: Path
) -> None:
    from defnet import save_model

    same = load_scorer(model_file, device="cpu")
    assert same.provenance == scorer.provenance
    assert load_scorer(model_file, device="cpu", crops=5).provenance != scorer.provenance
    save_model(tmp_path / "other.safetensors", make_model(seed=1), model_info)
    assert load_scorer(tmp_path / "other.safetensors").provenance["weights"] != scorer.provenance["weights"]


def test_a_folder_of_a_run_is_a_model(model_file: Path, tmp_path: Path, photographs: list[Path]) -> None:
    (tmp_path / "model.safetensors").write_bytes(model_file.read_bytes())
    assert load_scorer(tmp_path).score(photographs[0]) is not None
