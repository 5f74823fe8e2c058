"""The trained model that comes with the package; nothing here imports from the other tests."""

import os
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from defnet import DataRoots, ModelInfo, Scorer, load_scorer, read_info
from defnet.config.toml_files import load_train_config
from defnet.data.table import ImageTable
from defnet.evaluation.figures import evaluation_figures
from defnet.evaluation.predictions import predict_files
from defnet.model.model_file import load_reliability

WEIGHTS = files("defnet") / "weights" / "lite.safetensors"

CARD = files("defnet") / "weights" / "MODEL_CARD.md"
SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def info() -> ModelInfo:
    with as_file(WEIGHTS) as path:
        return read_info(path)


@pytest.fixture(scope="module")
def lite() -> Scorer:
    return load_scorer("lite", device="cpu")


def test_the_file_is_small_and_holds_half_precision() -> None:
    with as_file(WEIGHTS) as path:
        assert path.stat().st_size <= 12 * 10**6
        tensors = load_file(path)
    assert {tensor.dtype for tensor in tensors.values() if tensor.ndim > 1} == {torch.float16}
    assert tensors["backbone.text.features"].shape[0] == 495
    assert not [name for name in tensors if name.startswith("backbone.text.") and name != "backbone.text.features"]


def test_the_file_says_how_it_was_trained(info: ModelInfo) -> None:
    assert info.config == load_train_config("lite")
    [source] = info.config.data
    assert (source.name, source.session, source.exclude) == ("live-challenge", 1, ("Images/333.bmp",))
    assert 1 <= info.epoch <= info.config.epochs
    assert info.validation["srcc"] > 0.75
    assert info.variance_scale > 0
    assert info.constant_std is not None
    assert 0.2 < info.constant_std < 0.8
    assert set(info.versions) >= {"defnet", "clip-iqa-backbone", "evidential-nig", "iqa-datasets", "torch"}


def test_by_default_fifteen_crops_on_a_grid(lite: Scorer) -> None:
    assert (lite.plan.kind, lite.plan.count, lite.plan.size) == ("grid", 15, 224)


def test_degraded_copies_of_the_samples_score_below_their_originals(lite: Scorer) -> None:
    paths = sorted(SAMPLES.glob("*.jpg"))
    assert len(paths) == 12
    quality = {path.stem: score.quality for path, score in zip(paths, lite.score(paths), strict=True)}
    copies = [name for name in quality if "_" in name]
    assert len(copies) == 7
    for name in copies:
        assert quality[name] < quality[name.split("_")[0]], name
    for name in ("camera_blur", "chelsea_blur", "chelsea_jpeg8"):
        assert quality[name] < quality[name.split("_")[0]] - 0.5, name


def test_the_batch_does_not_change_a_score(lite: Scorer) -> None:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (240, 250, 3), dtype=np.uint8) // (k + 1) for k in range(6)]
    alone, together = lite.score(images, batch_size=1), lite.score(images, batch_size=16)
    for one, other in zip(alone, together, strict=True):
        for name in ("quality", "expected_quality", "aleatoric_std", "epistemic_std", "lower", "upper"):
            assert abs(getattr(one, name) - getattr(other, name)) < 1e-4


@pytest.fixture(scope="module")
def lite2() -> Scorer:
    return load_scorer("lite2", device="cpu")


@pytest.mark.parametrize(("name", "session"), [("lite2", "seeded-1:1/0/0"), ("lite2-session1", 1)])
def test_the_files_of_lite2_say_how_they_were_trained(name: str, session: int | str) -> None:
    info = read_info(name)
    recipe = load_train_config("lite2")
    of_session = [source.model_copy(update={"session": session}) for source in recipe.data[:1]]
    assert info.config == recipe.model_copy(update={"data": (*of_session, *recipe.data[1:])})
    assert info.epoch == recipe.epochs
    assert info.reliability is not None
    assert info.reliability.images["rated"] == (812 if session == 1 else 1161)
    assert load_reliability(name) is not None
    with as_file(files("defnet") / "weights" / f"{name}.safetensors") as path:
        assert path.stat().st_size <= 12 * 10**6


def test_lite2_sees_and_names_what_was_done_to_the_samples(lite2: Scorer) -> None:
    paths = sorted(SAMPLES.glob("*.jpg"))
    scores = {path.stem: score for path, score in zip(paths, lite2.score(paths), strict=True)}
    for copy, distortion in {
        "astronaut_underexposed": "under-exposure",
        "camera_blur": "blur",
        "chelsea_blur": "blur",
        "chelsea_jpeg8": "JPEG compression",
        "coffee_noise": "noise",
        "coffee_overexposed": "over-exposure",
        "rocket_noise": "noise",
    }.items():
        assert scores[copy].distortion == distortion, copy
        assert scores[copy].quality < scores[copy.split("_")[0]].quality - 1, copy
        assert scores[copy].familiarity is not None


def test_lite2_knows_that_a_page_is_no_photograph(lite2: Scorer) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    flat = np.full((400, 500, 3), 200, np.uint8)
    for score in lite2.score([noise, flat]):
        assert score.familiarity is not None
        assert score.familiarity < 0.05
        assert any("unlike the photographs" in warning for warning in score.warnings)


def judged(lite: Scorer, every: int = 1) -> dict[str, float]:
    """Figures on the 233 test images of LIVE In the Wild, session 1, or on some of them."""
    root = os.environ.get("IQA_DATA_ROOT")
    if not root:
        pytest.skip("IQA_DATA_ROOT is not set: no LIVE In the Wild to judge the shipped weights on")
    table = ImageTable.from_datasets([DataRoots(Path(root)).load("live-challenge", 1).part("test")])
    table = table.select(np.arange(0, len(table), every))
    # As many threads as there are: the session's single one is for tiny models.
    threads = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    try:
        predictions = predict_files(lite, table.paths)
    finally:
        torch.set_num_threads(threads)
    return evaluation_figures(
        predictions, table, variance_scale=lite.info.variance_scale, constant_std=lite.info.constant_std
    )


@pytest.fixture(scope="module")
def figures(lite: Scorer) -> dict[str, float]:
    return judged(lite)


def test_some_photographs_it_has_not_seen(lite: Scorer) -> None:
    """Every seventh test image: the file, the preprocessing and the crops are those that gave these figures."""
    figures = judged(lite, every=7)
    assert figures["images"] == 34
    # How far another machine's rounding may reach: one image more or less.
    measured = {"srcc": 0.867, "plcc": 0.908, "plcc_expected": 0.896, "rmse": 0.393, "nll": 0.497, "crps": 0.221}
    assert {name: figures[name] for name in measured} == pytest.approx(measured, abs=0.005)
    shares = {"scene_accuracy": 28 / 34, "distortion_accuracy": 26 / 34, "coverage_50": 18 / 34, "coverage_95": 32 / 34}
    assert {name: figures[name] for name in shares} == pytest.approx(shares, abs=1.01 / 34)


@pytest.mark.slow
def test_ranks_photographs_it_has_not_seen(figures: dict[str, float]) -> None:
    assert figures["images"] == 233
    assert figures["srcc"] >= 0.81
    assert figures["plcc"] >= 0.84


@pytest.mark.slow
def test_its_uncertainty_is_true(figures: dict[str, float]) -> None:
    assert 0.90 <= figures["coverage_95"] <= 0.98
    assert 0.70 <= figures["coverage_80"] <= 0.90
    # No better than one spread for all images, which the model card says, but no worse either.
    assert figures["nll"] < figures["nll_constant"] + 0.02
    assert figures["crps"] < figures["crps_constant"] + 0.005


@pytest.mark.slow
def test_scene_and_distortion_beat_a_constant_answer(figures: dict[str, float]) -> None:
    assert figures["scene_accuracy"] > figures["scene_majority"]
    assert figures["distortion_accuracy"] > figures["distortion_majority"]


def card_row(name: str) -> list[float]:
    """The numbers of the first column of a row of the card's table of these weights, which stands before the ten
    sessions'.
    """
    these, _, _ = CARD.read_text(encoding="utf-8").partition("on each of LIQE's ten sessions")
    [row] = [line for line in these.splitlines() if line.startswith(f"| {name} |")]
    return [float(number) for number in row.split("|")[2].split(",")]


@pytest.mark.slow
def test_the_model_card_states_these_figures(figures: dict[str, float]) -> None:
    for name, keys in {
        "SRCC": ["srcc"],
        "PLCC, raw": ["plcc"],
        "PLCC, after the four-parameter logistic": ["plcc_logistic"],
        "RMSE on [1, 5]": ["rmse"],
        "scene accuracy (top scene among the labelled ones)": ["scene_accuracy"],
        "distortion accuracy": ["distortion_accuracy"],
        "coverage of the 50, 80, 95 % intervals": ["coverage_50", "coverage_80", "coverage_95"],
        "NLL": ["nll"],
    }.items():
        # One image in 233 more or less is how far another machine's rounding may reach.
        assert card_row(name) == pytest.approx([figures[key] for key in keys], abs=0.005), name


def test_the_model_card_says_what_a_user_must_know() -> None:
    card = CARD.read_text(encoding="utf-8")
    for heading in ("What it is for", "How it was made", "Figures", "Limits", "Licences"):
        assert f"## {heading}" in card
    for fact in ("LIVE In the Wild", "333.bmp", "LIQE", "EfficientNet-Lite0", "Apache-2.0"):
        assert fact in card
