"""What a model's description says reaches its scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from clip_iqa_backbone import CropPlan, make_views, open_image
from defnet import DEFNet, ModelInfo, Scorer, TrainConfig
from defnet.model.evidence import cross_region

MakeConfig = Callable[..., TrainConfig]
MakeModel = Callable[..., DEFNet]


def scorer_of(
    make_model: MakeModel, make_config: MakeConfig, info: dict[str, Any] | None = None, **changes: Any
) -> Scorer:
    return Scorer(make_model(**changes).eval(), ModelInfo(config=make_config(**changes), **(info or {})))


@pytest.mark.parametrize("plan", ["grid", "random", "liqe"])
def test_the_crops_are_placed_by_the_configured_plan(
    plan: str, make_model: MakeModel, make_config: MakeConfig, photographs: list[Path]
) -> None:
    scorer = scorer_of(make_model, make_config, crops={"test_plan": plan, "test_count": 4}, seed=5)
    assert scorer.plan == CropPlan(kind=plan, count=4, size=224, seed=5)
    score = scorer.score(photographs[0])[0]
    views = make_views(open_image(photographs[0]), CropPlan(kind=plan, count=4, size=224, seed=5))
    with torch.inference_mode():
        expected = scorer.model(views.local[None], views.global_view[None])
    assert score.expected_quality == pytest.approx(expected.expected_quality.item(), abs=1e-5)
    assert score.crops == 4


def test_the_variance_scale_widens_what_is_claimed_and_moves_no_score(
    make_model: MakeModel, make_config: MakeConfig, photographs: list[Path]
) -> None:
    plain, wide = (
        scorer_of(make_model, make_config, {"variance_scale": factor}).score(photographs[0])[0]
        for factor in (0.01, 0.04)
    )
    assert wide.quality == plain.quality
    assert wide.aleatoric_std == pytest.approx(2 * plain.aleatoric_std)
    assert wide.epistemic_std == pytest.approx(2 * plain.epistemic_std)
    assert wide.upper - wide.quality == pytest.approx(2 * (plain.upper - plain.quality), rel=1e-6)


def test_evidence_counts_in_full_up_to_the_configured_number_of_crops(make_model: MakeModel) -> None:
    """Set apart from the number of training crops: of eight crops, each weighs 4/8, 8/8 or 2/8."""
    torch.manual_seed(0)
    local, global_view = torch.rand(1, 8, 96), torch.rand(1, 96)
    for train_crops, evidence_crops, weight in ((4, None, 0.5), (4, 8, 1.0), (4, 2, 0.25), (2, 15, 1.0)):
        model = make_model(model={"train_crops": train_crops, "evidence_crops": evidence_crops}).eval()
        with torch.no_grad():
            found = model.predict_from_features(local, global_view)
        evidence = found.local["quality"]
        # Evidence of weight w has ν and β of w times as much, and their sum over the crops is Σwν.
        assert found.cross["quality"].nu.item() == pytest.approx(weight * evidence.nu.sum().item(), rel=1e-5)
        full = cross_region(evidence, 8)
        assert found.cross["quality"].loc.item() == pytest.approx(full.loc.item(), abs=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_reaches_the_towers(
    precision: str, make_model: MakeModel, make_config: MakeConfig, tmp_path: Path
) -> None:
    from defnet import load_scorer, save_model

    save_model(
        tmp_path / "model.safetensors",
        make_model(precision=precision),
        ModelInfo(config=make_config(precision=precision)),
    )
    scorer = load_scorer(tmp_path)
    assert scorer.model.backbone.precision == precision
    seen = []
    scorer.model.backbone.image.trunk = lambda pixels: (
        seen.append(torch.is_autocast_enabled("cpu"))
        or torch.zeros(len(pixels), scorer.model.backbone.image.feature_dim)
    )
    scorer.score(np.zeros((224, 224, 3), np.uint8))
    assert set(seen) == {precision == "bf16"}


def test_intervals_hold_95_percent_of_the_predictive_student(
    make_model: MakeModel, make_config: MakeConfig, photographs: list[Path]
) -> None:
    scorer = scorer_of(make_model, make_config, {"variance_scale": 1e-3})
    [score] = scorer.score(photographs[0])
    views = make_views(open_image(photographs[0]), scorer.plan)
    with torch.inference_mode():
        fused = scorer.model(views.local[None], views.global_view[None]).fusion["quality"]
    nu, beta = fused.nu.item(), fused.beta.item() * 1e-3
    alpha = fused.alpha_minus_one.item() + 1
    student = stats.t(2 * alpha, fused.loc.item(), (beta * (1 + nu) / (nu * alpha)) ** 0.5)
    assert (score.lower, score.upper) == pytest.approx(student.interval(0.95), rel=1e-5)
