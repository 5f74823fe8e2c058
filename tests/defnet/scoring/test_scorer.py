"""Scoring: an image's score is its own, whatever it comes with and in whatever form."""

import io
import math
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats

from clip_iqa_backbone import CropPlan, make_views, open_image
from defnet import (
    DEFNet,
    DEFNetError,
    Failure,
    ImageError,
    ModelInfo,
    Score,
    Scorer,
    Scores,
    TrainConfig,
    load_model,
    load_scorer,
)
from defnet.data.views import with_short_side
from defnet.scoring.scores import COLUMNS
from defnet.scoring.seen import FileState, file_state
from iqa_datasets import DISTORTIONS, SCENES

WORDS = ("path", "scene", "distortion", "warnings", "file_size", "file_modified")
# The small model is not calibrated, so that nothing is familiar to it.
NUMBERS = [name for name in COLUMNS if name not in (*WORDS, "familiarity")]


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
    path, content = photographs[0], photographs[0].read_bytes()
    forms = (path, str(path), Image.open(path), np.array(Image.open(path)), content, io.BytesIO(content))
    [expected] = scorer.score(path)
    for image in forms:
        [score] = scorer.score(image)
        assert score.quality == pytest.approx(expected.quality, abs=1e-5)
    with path.open("rb") as stream:  # whose lines are no images
        assert len(scorer.score(stream)) == 1


def test_the_state_of_a_file_belongs_to_its_score(scorer: Scorer, photographs: list[Path]) -> None:
    of_file, of_bytes = scorer.score([photographs[1], photographs[1].read_bytes()])
    assert FileState(of_file.file_size, of_file.file_modified) == file_state(photographs[1])
    assert of_file.file_size == len(photographs[1].read_bytes())
    assert (of_bytes.file_size, of_bytes.file_modified, of_bytes.path) == (None, None, "")


@pytest.fixture
def animation(tmp_path: Path, photographs: list[Path]) -> Path:
    path = tmp_path / "three.tif"
    first, *others = (Image.open(p).convert("RGB").resize((240, 230)) for p in photographs[:3])
    first.save(path, save_all=True, append_images=others)
    return path


def test_the_first_frame_is_scored_and_that_is_said(scorer: Scorer, animation: Path, photographs: list[Path]) -> None:
    first, other = scorer.score([animation, photographs[4]])
    assert (first.frame, first.frames) == (1, 3)
    assert [w for w in first.warnings if w.startswith("frame 1 of 3")]
    assert (other.frame, other.frames, other.warnings) == (1, 1, ())


@pytest.mark.parametrize("batch_size", [1, 4])
def test_all_frames_are_scored_in_order_each_as_itself(
    scorer: Scorer, animation: Path, photographs: list[Path], batch_size: int
) -> None:
    missing = "nothing.png"
    forms = [photographs[4], animation, missing, io.BytesIO(animation.read_bytes()), photographs[5]]
    found = list(scorer.stream(forms, frames="all", batch_size=batch_size))
    assert isinstance(found.pop(4), Failure)
    assert [(s.frame, s.frames) for s in found] == [(1, 1), (1, 3), (2, 3), (3, 3), (1, 3), (2, 3), (3, 3), (1, 1)]
    alone = scorer.score([Image.open(p).convert("RGB").resize((240, 230)) for p in photographs[:3]])
    for scores in (found[1:4], found[4:7]):
        assert [s.quality for s in scores] == pytest.approx([s.quality for s in alone], abs=1e-4)
    assert len({round(s.quality, 3) for s in alone}) == 3


def test_unknown_frames_are_refused(scorer: Scorer) -> None:
    with pytest.raises(DEFNetError, match="frames must be 'first' or 'all', got 'last'"):
        list(scorer.stream([], frames="last"))  # type: ignore[arg-type]


def test_it_tells_what_it_is(scorer: Scorer, model_file: Path) -> None:
    assert repr(scorer) == (
        f"Scorer({str(model_file)!r}, crops=3, plan='grid', size=224, variance_scale=0.25, device='cpu')"
    )
    assert repr(load_scorer("lite", device="cpu", crops=4)).startswith("Scorer('lite', crops=4, plan='grid', ")


def test_it_can_be_handed_to_another_process(scorer: Scorer, photographs: list[Path]) -> None:
    again = pickle.loads(pickle.dumps(scorer))
    assert largest_difference(again.score(photographs[:2]), scorer.score(photographs[:2])) == 0


def test_several_threads_may_score_at_once(scorer: Scorer, photographs: list[Path], scores: Scores) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda path: scorer.score(path)[0], photographs))
    assert largest_difference(Scores(found), scores) < 1e-4


# Each switch of the configuration does what it says


@pytest.mark.parametrize("plan", ["grid", "random", "liqe"])
def test_the_models_crop_plan_is_used(
    make_model: Callable[..., DEFNet], make_config: Callable[..., TrainConfig], photographs: list[Path], plan: str
) -> None:
    config = make_config(crops={"test_plan": plan}, seed=7)
    scorer = Scorer(make_model(), ModelInfo(config=config))
    assert scorer.plan == CropPlan(kind=plan, count=3, size=224, seed=7)
    [batch] = list(scorer.predict([photographs[0]]))
    expected = make_views(open_image(photographs[0]), CropPlan(kind=plan, count=3, seed=7))
    assert np.array_equal(batch[0][0].local, expected.local)
    grid = make_views(open_image(photographs[0]), CropPlan(count=3))
    assert torch.equal(expected.local, grid.local) == (plan == "grid")


def test_the_models_short_side_is_used(
    make_model: Callable[..., DEFNet], make_config: Callable[..., TrainConfig], photographs: list[Path]
) -> None:
    model = make_model().eval()
    scorer = Scorer(model, ModelInfo(config=make_config(crops={"short_side": 400})))
    resized = with_short_side(open_image(photographs[0]), 400)
    assert min(resized.size) == 400
    expected = Scorer(model, ModelInfo(config=make_config())).score(resized)
    [score] = scorer.score(photographs[0])
    assert score.quality == pytest.approx(expected[0].quality, abs=1e-5)
    assert scorer.provenance["short_side"] == 400
    pixels = torch.from_numpy(np.array(open_image(photographs[0]))).permute(2, 0, 1)
    assert scorer(pixels).item() == pytest.approx(score.quality, abs=1e-3)
    assert scorer(pixels).item() != pytest.approx(
        Scorer(model, ModelInfo(config=make_config()))(pixels).item(), abs=1e-3
    )


def test_the_variance_scale_widens_what_it_should(
    make_model: Callable[..., DEFNet], make_config: Callable[..., TrainConfig], photographs: list[Path]
) -> None:
    model = make_model().eval()
    one, four = (
        Scorer(model, ModelInfo(config=make_config(), variance_scale=scale)).score(photographs[0])[0]
        for scale in (0.01, 0.04)
    )
    assert four.aleatoric_std == pytest.approx(2 * one.aleatoric_std, rel=1e-6)
    assert four.epistemic_std == pytest.approx(2 * one.epistemic_std, rel=1e-6)
    assert four.upper - four.lower == pytest.approx(2 * (one.upper - one.lower), rel=1e-6)
    assert (four.quality, four.expected_quality) == (one.quality, one.expected_quality)


def test_expected_quality_is_eq_5_and_no_copy_of_the_mean(scorer: Scorer, scores: Scores) -> None:
    differences = [abs(score.expected_quality - score.quality) for score in scores]
    assert min(differences) > 1e-3
    for batch, prediction in scorer.predict([score.path for score in scores[:4]]):
        levels = torch.arange(1.0, 6.0)
        expected = (prediction.probabilities["quality"] * levels).sum(-1)
        assert [s.expected_quality for s in scores[:4]] == pytest.approx(expected.tolist(), abs=1e-4)
        assert len(batch) == 4


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
    with pytest.raises(TypeError, match="must be a path"):
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
