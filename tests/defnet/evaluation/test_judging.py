"""A model judged on labelled images: what its file says of its variances counts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from defnet import DataError, DataRoots, DEFNet, ModelInfo, Scorer, TrainConfig
from defnet.evaluation.judging import judge, labelled_images
from defnet.reliability.deviation import Deviation
from defnet.reliability.familiarity import Familiarity
from defnet.reliability.reliability import Reliability


@pytest.fixture
def scorer(make_model: Callable[..., DEFNet], make_config: Callable[..., TrainConfig]) -> Scorer:
    return Scorer(make_model().eval(), ModelInfo(config=make_config(), variance_scale=0.25, constant_std=0.9))


def test_the_figures_are_those_of_the_scores_and_of_the_fitted_variances(scorer: Scorer, roots: DataRoots) -> None:
    table = labelled_images(roots, ["live-challenge"], 1)
    figures = judge(scorer, table).by_dataset["live-challenge"]
    scores = scorer.score(table.paths)
    quality = np.array([score.quality for score in scores])
    truth = table.quality.double().numpy()
    assert figures["rmse"] == pytest.approx(np.sqrt(np.mean((quality - truth) ** 2)), abs=1e-5)
    assert figures["nll_constant"] == pytest.approx(-np.mean(stats.norm.logpdf(truth, quality, 0.9)), abs=1e-5)
    held = [score.lower <= rating <= score.upper for score, rating in zip(scores, truth, strict=True)]
    assert figures["coverage_95"] == np.mean(held)
    width = np.mean([score.upper - score.lower for score in scores])
    assert figures["width_95"] == pytest.approx(width, abs=1e-5)
    # A quarter of the variance is half the width, where no end is cut.
    plain = Scorer(scorer.model, scorer.info.model_copy(update={"variance_scale": 1.0}))
    assert judge(plain, table).mean["width_50"] > 1.3 * figures["width_50"]


def test_an_image_that_cannot_be_read_ends_it(scorer: Scorer, roots: DataRoots, tmp_path: Path) -> None:
    table = labelled_images(roots, ["live-challenge"], 1)
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no image")
    rows = np.arange(2)
    broken = table.select(rows)
    broken = type(broken)(
        (broken.paths[0], damaged), broken.quality, broken.scenes, broken.distortion, broken.dataset, broken.names
    )
    assert torch.equal(broken.quality, table.quality[:2])
    with pytest.raises(DataError, match=r"damaged\.png"):
        judge(scorer, broken)


def test_intervals_of_a_model_that_knows_its_limits_are_its_own(scorer: Scorer, roots: DataRoots) -> None:
    table = labelled_images(roots, ["live-challenge"], 1)
    described = torch.randn(40, 3 * scorer.model.backbone.image.feature_dim, generator=torch.Generator().manual_seed(0))
    familiarity = Familiarity.fit(described.double(), 4).with_distances(torch.linspace(1, 1e4, 30))
    deviation = Deviation(0.5, 0.3, 0.2, 0.1, 0.4, unit=100.0, degrees_of_freedom=6.0)
    reliability = Reliability(familiarity, deviation, torch.linspace(0.1, 2.5, 40).double())
    knowing = Scorer(scorer.model, scorer.info, reliability=reliability)
    figures = judge(knowing, table).by_dataset["live-challenge"]
    scores = knowing.score(table.paths)
    truth = table.quality.double().numpy()
    held = [score.lower <= rating <= score.upper for score, rating in zip(scores, truth, strict=True)]
    assert figures["coverage_95"] == np.mean(held)
    assert figures["width_95"] == pytest.approx(np.mean([score.upper - score.lower for score in scores]), abs=1e-5)
    assert figures["unfamiliar"] == np.mean([score.familiarity < 0.05 for score in scores])
    h = np.array([np.hypot(score.aleatoric_std, score.epistemic_std) for score in scores])
    quality = np.array([score.quality for score in scores])
    density = np.asarray(stats.t.logpdf(truth, 6, quality, h * np.sqrt(4 / 6)))
    assert figures["nll"] == pytest.approx(-density.mean(), abs=1e-4)
