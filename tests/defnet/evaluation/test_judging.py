"""A model judged on labelled images: what its file says of its variances counts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from defnet import DataError, DataRoots, DEFNet, ModelInfo, Scorer, TrainConfig
from defnet.evaluation.judging import judge, labelled_images


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
    assert figures["nll_constant"] == pytest.approx(-stats.norm.logpdf(truth, quality, 0.9).mean(), abs=1e-5)
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
