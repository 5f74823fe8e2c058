"""A switch does what it says: tasks, losses and evidence that are turned off are off, from the gradient to the score.

The sixteen rows are those of the paper's ablation (Table 4): which tasks, and which of the losses U (Eq. 22) and F
(Eq. 27) beside M (Eq. 13).
"""

import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from defnet import (
    DataRoots,
    DEFNet,
    ObjectiveConfig,
    Score,
    Scorer,
    Targets,
    TrainConfig,
    load_scorer,
    overall_loss,
    read_info,
    train,
)
from defnet.config.liqe import as_liqe
from defnet.evaluation.correlations import correlations
from defnet.evaluation.judging import judge, labelled_images
from defnet.evaluation.predictions import predict_files
from defnet.model.initial_model import build_model

MakeConfig = Callable[..., TrainConfig]
MakeModel = Callable[..., DEFNet]

TASKS = ("quality", "scene", "distortion")
LOSSES = {"M": (False, False), "M+U": (True, False), "M+F": (False, True), "M+U+F": (True, True)}
SOURCES = {"M": "expected", "M+U": "cross", "M+F": "fusion", "M+U+F": "fusion"}
TASK_SETS = (("quality",), ("quality", "scene"), ("quality", "distortion"), TASKS)
ROWS = [(tasks, losses) for tasks in TASK_SETS for losses in LOSSES]
UNCERTAINTY = ("aleatoric_std", "epistemic_std", "lower", "upper")


def row_name(row: tuple[tuple[str, ...], str]) -> str:
    tasks, losses = row
    return f"{'+'.join(task[0] for task in tasks)}-{losses}"


@dataclass(frozen=True)
class Run:
    """A finished run of one row."""

    config: TrainConfig
    folder: Path

    @property
    def steps(self) -> list[dict[str, Any]]:
        rows = [json.loads(line) for line in (self.folder / "log.jsonl").read_text().splitlines()]
        return [row for row in rows if "step" in row]

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(self.folder / "model.safetensors")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pools")


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, make_config: MakeConfig, roots: DataRoots, cache: Path
) -> Callable[..., Run]:
    """Runs by what is changed, each made once."""
    runs: dict[str, Run] = {}

    def of(tasks: tuple[str, ...] = TASKS, losses: str = "M+U+F", **changes: Any) -> Run:
        key = repr((tasks, losses, changes))
        if key not in runs:
            cross, fusion = LOSSES[losses]
            changes["model"] = {"tasks": list(tasks), **changes.get("model", {})}
            changes["objective"] = {"cross": cross, "fusion": fusion, **changes.get("objective", {})}
            config = make_config(**changes)
            folder = tmp_path_factory.mktemp("row") / "run"
            train(config, roots, folder, cache=cache)
            runs[key] = Run(config, folder)
        return runs[key]

    return of


def views_and_prediction(scorer: Scorer, paths: list[Path]) -> tuple[list[Score], Any]:
    [(_, prediction)] = scorer.predict(paths, batch_size=len(paths))
    return list(scorer.score(paths, batch_size=len(paths))), prediction


@pytest.mark.parametrize("row", ROWS, ids=row_name)
def test_each_row_trains_saves_loads_and_scores(
    row: tuple[tuple[str, ...], str], trained: Callable[..., Run], photographs: list[Path]
) -> None:
    tasks, losses = row
    run = trained(tasks, losses)
    assert run.config.score_from == read_info(run.folder).config.score_from == SOURCES[losses]
    active = [name for name, on in zip(("cross", "fusion"), LOSSES[losses], strict=True) if on]
    terms = {"total", "multitask", *active}
    terms |= {f"{kind}_{task}" for kind in ("fidelity", *active) for task in tasks}
    for step in run.steps:
        assert {name for name in step if name.startswith(("fidelity", "cross", "fusion", "multi", "total"))} == terms
        assert {name for name in step if name.startswith("lambda_")} == {f"lambda_{task}" for task in tasks}
    heads = {name.split(".")[1] for name in run.weights if name.startswith(("heads.", "global_heads."))}
    assert heads == set(tasks)

    scores, prediction = views_and_prediction(load_scorer(run.folder, device="cpu"), photographs[:3])
    assert set(prediction.probabilities) == set(prediction.fusion) == set(tasks)
    source = {
        "expected": prediction.expected_quality,
        "cross": prediction.cross["quality"].loc[:, 0],
        "fusion": prediction.fusion["quality"].loc[:, 0],
    }
    assert [score.quality for score in scores] == source[SOURCES[losses]].tolist()
    for score in scores:
        stated = [not math.isnan(getattr(score, name)) for name in UNCERTAINTY]
        assert stated == [losses != "M"] * 4
        assert ("no uncertainty" in score.warnings) is (losses == "M")
        for task in ("scene", "distortion"):
            assert bool(getattr(score, task)) is (task in tasks)
            assert math.isnan(getattr(score, f"{task}_probability")) is (task not in tasks)


@pytest.mark.parametrize("row", ROWS, ids=row_name)
def test_each_row_has_the_figures_of_what_it_learnt(
    row: tuple[tuple[str, ...], str], trained: Callable[..., Run], roots: DataRoots
) -> None:
    tasks, losses = row
    run = trained(tasks, losses)
    scorer = load_scorer(run.folder, device="cpu")
    table = labelled_images(roots, ["live-challenge"], 1, "test")
    figures = judge(scorer, table).by_dataset["live-challenge"]
    info = read_info(run.folder)
    for found in (figures, info.validation):
        assert ("scene_accuracy" in found) is ("scene" in tasks)
        assert ("distortion_accuracy" in found) is ("distortion" in tasks)
        for name in ("nll", "crps", "nll_constant", "coverage_95", "width_95", "error_spearman"):
            assert (name in found) is (losses != "M"), name
    predictions = predict_files(scorer, table.paths)
    of_score = correlations([score.quality for score in scorer.score(list(table.paths))], table.quality.numpy())
    assert {name: figures[name] for name in of_score} == pytest.approx(of_score, nan_ok=True, abs=1e-6)
    if losses == "M":
        assert predictions.evidence is None
        assert (info.variance_scale, info.variance_scales, info.constant_std) == (1.0, {}, None)
        for name in ("srcc", "plcc", "plcc_logistic"):
            assert figures[name] == pytest.approx(figures[f"{name}_expected"], nan_ok=True)
    else:
        assert predictions.evidence is not None
        assert info.variance_scale != 1.0
        assert info.constant_std is not None


def taught(losses: str) -> tuple[str, ...]:
    """The heads that an evidential loss teaches."""
    return {"M": (), "M+U": ("heads",), "M+F": ("heads", "global_heads"), "M+U+F": ("heads", "global_heads")}[losses]


@pytest.mark.parametrize("losses", LOSSES)
def test_heads_that_nothing_teaches_stay_as_they_start(losses: str, trained: Callable[..., Run]) -> None:
    """To the bit: neither a gradient nor the decay of weights, nor what Adam keeps in mind, moves them."""
    run = trained(TASKS, losses)
    torch.manual_seed(0)
    start = build_model(run.config).state_dict()
    for name, weight in run.weights.items():
        if "heads." in name:
            assert torch.equal(weight, start[name]) is (name.split(".")[0] not in taught(losses)), name


def batch(images: int = 4) -> tuple[torch.Tensor, torch.Tensor, Targets]:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (images, 3, 3, 224, 224), dtype=torch.uint8, generator=generator)
    truth = Targets(
        quality=torch.linspace(1, 5, images),
        scenes=torch.eye(9)[torch.arange(images) % 9],
        distortion=torch.eye(11)[torch.arange(images) % 11],
        dataset=torch.zeros(images, dtype=torch.int64),
    )
    return pixels[:, :2], pixels[:, 2], truth


@pytest.mark.parametrize("how", ["switch", "weight"])
@pytest.mark.parametrize("losses", LOSSES)
def test_a_loss_that_is_off_has_no_gradient_on_its_heads(
    losses: str, how: str, make_model: MakeModel, make_config: MakeConfig
) -> None:
    """Exactly zero, whether it is turned off or weighs nothing; and every weight of a head that is taught has one."""
    cross, fusion = LOSSES[losses]
    if how == "switch":
        objective: dict[str, Any] = {"cross": cross, "fusion": fusion}
    else:
        objective = {"lambda1": 0.1 * cross, "lambda2": 0.1 * fusion}
    config = make_config(objective=objective)
    model = make_model(objective=objective).train()
    local, global_view, targets = batch()
    loss, terms = overall_loss(model(local, global_view), targets, config.objective, dict.fromkeys(TASKS, 1.0))
    torch.autograd.backward(loss)
    for name, parameter in model.named_parameters():
        module = name.split(".")[0]
        if module not in ("heads", "global_heads"):
            continue
        moved = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert moved is (module in taught(losses)), name
    assert {name for name in ("cross", "fusion") if name in terms} == (
        {name for name, on in (("cross", cross), ("fusion", fusion)) if on} if how == "switch" else {"cross", "fusion"}
    )


def test_a_loss_that_is_off_has_no_part_in_the_total_even_where_it_is_infinite(make_model: MakeModel) -> None:
    """0 · ∞ is not 0."""
    model = make_model()
    with torch.no_grad():
        model.heads["quality"].linear.bias[0] = float("inf")
    local, global_view, targets = batch()
    loss, terms = overall_loss(
        model(local, global_view), targets, ObjectiveConfig(lambda1=0, lambda2=0), dict.fromkeys(TASKS, 1.0)
    )
    assert not torch.isfinite(terms["cross"])
    assert loss == terms["multitask"]
    assert torch.isfinite(loss)


@pytest.mark.parametrize(("off", "weight"), [("cross", "lambda1"), ("fusion", "lambda2")])
def test_a_loss_of_weight_zero_is_a_loss_turned_off(off: str, weight: str, trained: Callable[..., Run]) -> None:
    """The same model to the bit; only the log still says what it would have been."""
    without, weightless = trained(objective={off: False}), trained(objective={weight: 0.0})
    assert without.config.score_from == weightless.config.score_from
    one, other = without.weights, weightless.weights
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert off in weightless.steps[0]
    assert off not in without.steps[0]


@pytest.mark.parametrize("losses", LOSSES)
def test_what_nothing_taught_has_no_part_in_the_score(
    losses: str, trained: Callable[..., Run], photographs: list[Path], tmp_path: Path
) -> None:
    """Other weights in heads that stand still change nothing at all of a score; in taught ones they do."""
    run = trained(TASKS, losses)
    before = load_scorer(run.folder, device="cpu").score(photographs[:2])
    described = (run.folder / "model.safetensors").read_bytes()
    length = int.from_bytes(described[:8], "little")
    metadata = json.loads(described[8 : 8 + length])["__metadata__"]
    generator = torch.Generator().manual_seed(2)
    for heads in ("heads", "global_heads"):
        other = {
            name: weight + torch.rand(weight.shape, generator=generator) if name.startswith(f"{heads}.") else weight
            for name, weight in run.weights.items()
        }
        path = tmp_path / f"{heads}.safetensors"
        save_file(other, path, metadata)
        after = load_scorer(path, device="cpu").score(photographs[:2])
        same = [repr(one) == repr(two) for one, two in zip(before, after, strict=True)]
        assert same == [heads not in taught(losses)] * 2, heads


@pytest.mark.parametrize("losses", ["M", "M+U"])
def test_the_epoch_is_chosen_by_the_score_that_the_model_has(losses: str, trained: Callable[..., Run]) -> None:
    """Validation of M judges q̂, of M+U the sub-images' evidence: what `srcc` says is of that, not of Eq. 25."""
    data = [{"name": "live-challenge", "session": "seeded-1:0.4/0.4/0.2", "batch_size": 4}]
    run = trained(TASKS, losses, epochs=4, optimizer={"learning_rate": 1e-2}, data=data)
    rows = [json.loads(line) for line in (run.folder / "log.jsonl").read_text().splitlines()]
    epochs = [row for row in rows if "step" not in row]
    figures = [row["validation"]["srcc"] + row["validation"]["plcc"] for row in epochs]
    assert epochs[-1]["best_epoch"] == 1 + int(np.nanargmax(figures))
    if losses == "M":
        assert all(row["validation"]["plcc"] == row["validation"]["plcc_expected"] for row in epochs)
    else:
        assert any(row["validation"]["plcc"] != row["validation"]["plcc_expected"] for row in epochs)


def test_a_score_may_be_chosen(trained: Callable[..., Run], photographs: list[Path]) -> None:
    """q̂ of a model that learnt everything, as Algorithm 1 returns it: the same weights, another score."""
    full, chosen = trained(), trained(model={"score": "expected"})
    one, other = full.weights, chosen.weights
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    for score, usual in zip(
        *(load_scorer(run.folder, device="cpu").score(photographs[:2]) for run in (chosen, full)), strict=True
    ):
        assert score.quality == score.expected_quality == usual.expected_quality != usual.quality
        assert "no uncertainty" in score.warnings


def test_without_evidence_there_is_liqe(trained: Callable[..., Run], photographs: list[Path]) -> None:
    run = trained(model={"evidence": False})
    assert not [name for name in run.weights if "heads." in name]
    for step in run.steps:
        assert not [name for name in step if name.startswith(("cross", "fusion"))]
        assert step["total"] == step["multitask"]
    scorer = load_scorer(run.folder, device="cpu")
    scores, prediction = views_and_prediction(scorer, photographs[:2])
    assert prediction.local == prediction.global_view == prediction.cross == prediction.fusion == {}
    assert [score.quality for score in scores] == prediction.expected_quality.tolist()
    assert all(math.isnan(getattr(score, name)) for score in scores for name in UNCERTAINTY)
    pixels = torch.rand(1, 3, 240, 240, requires_grad=True)
    scorer.quality(pixels).sum().backward()
    assert pixels.grad is not None
    assert pixels.grad.abs().sum() > 0


def test_the_towers_learn_the_same_without_evidence_as_without_its_losses(trained: Callable[..., Run]) -> None:
    """Heads that nothing teaches teach nothing: the row M is LIQE's, but for the choices that `as_liqe` makes."""
    none, untaught = trained(model={"evidence": False}).weights, trained(TASKS, "M").weights
    assert {name for name in untaught if "heads." not in name} == set(none)
    assert [name for name in none if not torch.equal(none[name], untaught[name])] == []


def test_the_global_view_is_not_looked_at_without_evidence(make_model: MakeModel) -> None:
    model = make_model(model={"evidence": False}).eval()
    local, global_view, _ = batch(2)
    seen = []
    handle = model.backbone.image.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    one, other = model(local, global_view), model(local, torch.zeros_like(global_view))
    handle.remove()
    assert sum(seen) == 2 * 4
    assert torch.equal(one.quality, other.quality)


def test_liqe_is_the_same_run_but_for_its_method(make_config: MakeConfig) -> None:
    config = make_config(seed=3, optimizer={"eps": 1e-6}, model={"tasks": ["quality", "scene"]})
    liqe = as_liqe(config)
    before, after = config.model_dump(), liqe.model_dump()
    assert {name for name in before if before[name] != after[name]} == {"model", "objective"}
    changed = {
        f"{part}.{name}": value
        for part in ("model", "objective")
        for name, value in after[part].items()
        if before[part][name] != value
    }
    assert changed == {"model.evidence": False, "model.averaging": "logits", "objective.thurstone": "unit"}
    assert liqe.score_from == "expected"
    assert as_liqe(make_config(model={"score": "fusion"})).score_from == "expected"


def test_liqes_prediction_and_loss_by_hand(make_model: MakeModel, make_config: MakeConfig) -> None:
    """Logits averaged before the softmax, Σ c·p̂(c), Φ(Δ) for each pair, and nothing beside the fidelity losses."""
    config = as_liqe(make_config())
    model = make_model(model=config.model.model_dump()).eval()
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(4, 3, model.backbone.image.feature_dim, generator=generator)
    with torch.no_grad():
        prediction = model.predict_from_features(features, None)
        logits = model.backbone.logits(model.backbone.embed(features)).double().numpy()
    quality = []
    for image in logits.mean(1):
        joint = np.exp(image) / np.exp(image).sum()
        quality.append(float(sum((c + 1) * joint[c].sum() for c in range(5))))
    assert prediction.quality.tolist() == pytest.approx(quality, rel=1e-5)
    ratings = [1.0, 2.5, 2.5, 4.0]
    targets = Targets(torch.tensor(ratings), torch.eye(9)[:4], torch.eye(11)[:4], torch.zeros(4, dtype=torch.int64))
    _, terms = overall_loss(prediction, targets, config.objective, dict.fromkeys(TASKS, 1.0))
    losses = []
    for i, j in itertools.combinations(range(4), 2):
        better = 0.5 * (1 + math.erf((quality[i] - quality[j]) / math.sqrt(2)))
        label = 0.5 * (1 + np.sign(ratings[i] - ratings[j]))
        losses.append(1 - math.sqrt(label * better) - math.sqrt((1 - label) * (1 - better)))
    assert terms["fidelity_quality"].item() == pytest.approx(np.mean(losses), rel=1e-4)
    assert set(terms) == {*(f"fidelity_{task}" for task in TASKS), "multitask", "total"}
