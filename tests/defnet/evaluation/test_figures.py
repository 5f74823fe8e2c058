"""Figures of one data set and of several."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from defnet.data.table import ImageTable
from defnet.evaluation.correlations import correlations
from defnet.evaluation.figures import evaluation_figures, figures_by_dataset, mean_figures
from defnet.evaluation.predictions import Predictions
from evidential_nig import NormalInverseGamma

MakeEvidence = Callable[..., NormalInverseGamma]
Case = tuple[Predictions, ImageTable]


def case(
    make_evidence: MakeEvidence,
    ratings: list[float],
    predicted: list[float],
    *,
    dataset: list[int] | None = None,
    expected: list[float] | None = None,
    labels: dict[int, tuple[int, int]] | None = None,
) -> Case:
    """Predictions for images whose scene and distortion are labelled where `labels` says so, by their class."""
    count = len(ratings)
    scenes, distortion = torch.zeros(count, 9), torch.zeros(count, 11)
    for row, (scene, fault) in (labels or {}).items():
        scenes[row, scene] = distortion[row, fault] = 1
    table = ImageTable(
        paths=tuple(Path(f"{row}.png") for row in range(count)),
        quality=torch.tensor(ratings),
        scenes=scenes,
        distortion=distortion,
        dataset=torch.tensor(dataset or [0] * count),
        names=tuple(f"set-{number}" for number in range(max(dataset or [0]) + 1)),
    )
    evidence = make_evidence(np.full(count, 8.0), predicted, np.linspace(0.2, 0.6, count))
    names = ["animal"] * count, ["noise"] * count
    return Predictions(evidence, np.array(expected or predicted), *names), table


def test_perfect_order_within_each_of_two_sets_is_perfect_whatever_their_offset(make_evidence: MakeEvidence) -> None:
    """Pooled, the offset turns the order round."""
    ratings = [1.0, 2.0, 3.0, 3.1, 4.1, 5.0]
    predicted = [3.0, 4.0, 5.0, 1.0, 2.0, 2.9]
    assert stats.spearmanr(predicted, ratings).statistic < -0.5
    by_dataset = figures_by_dataset(*case(make_evidence, ratings, predicted, dataset=[0, 0, 0, 1, 1, 1]))
    assert [figures["srcc"] for figures in by_dataset.values()] == pytest.approx([1, 1])
    mean = mean_figures(by_dataset)
    assert mean["srcc"] == mean["krcc"] == pytest.approx(1)
    assert mean["plcc"] > 0.99
    assert mean["images"] == 6


def test_the_mean_is_that_of_the_data_sets_figures(make_evidence: MakeEvidence) -> None:
    rng = np.random.default_rng(0)
    ratings = rng.uniform(1, 5, 30).tolist()
    predicted = rng.uniform(1, 5, 30).tolist()
    predictions, table = case(make_evidence, ratings, predicted, dataset=[0] * 20 + [1] * 10)
    by_dataset = figures_by_dataset(predictions, table, variance_scale=2.0, constant_std=0.8)
    assert list(by_dataset) == ["set-0", "set-1"]
    for number, figures in enumerate(by_dataset.values()):
        rows = table.rows_of(number)
        alone = evaluation_figures(predictions.select(rows), table.select(rows), variance_scale=2.0, constant_std=0.8)
        assert figures == pytest.approx(alone, nan_ok=True)
    mean = mean_figures(by_dataset)
    for name in ("srcc", "nll", "coverage_95", "rmse", "band_logistic"):
        assert mean[name] == pytest.approx(np.mean([figures[name] for figures in by_dataset.values()]))


def test_what_a_data_set_cannot_have_is_left_out_of_the_mean(make_evidence: MakeEvidence) -> None:
    ratings, predicted = [1.0, 2.0, 3.0, 2.0, 2.0, 4.0], [1.0, 2.0, 3.0, 2.0, 3.0, 4.0]
    predictions, table = case(
        make_evidence, ratings, predicted, dataset=[0, 0, 0, 1, 1, 2], labels={0: (0, 0), 1: (1, 0), 2: (1, 0)}
    )
    by_dataset = figures_by_dataset(predictions, table)
    # Equal ratings have no order, one image has none, and neither has labels.
    assert math.isnan(by_dataset["set-1"]["srcc"])
    assert math.isnan(by_dataset["set-2"]["srcc"])
    assert math.isnan(by_dataset["set-1"]["scene_accuracy"])
    mean = mean_figures(by_dataset)
    assert mean["srcc"] == pytest.approx(1)
    assert mean["scene_accuracy"] == by_dataset["set-0"]["scene_accuracy"]


def test_one_answer_for_all_images_of_a_data_set_spoils_the_mean(make_evidence: MakeEvidence) -> None:
    ratings, predicted = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 2.5, 2.5, 2.5]
    mean = mean_figures(figures_by_dataset(*case(make_evidence, ratings, predicted, dataset=[0, 0, 0, 1, 1, 1])))
    assert math.isnan(mean["srcc"])
    assert mean["rmse"] == pytest.approx(0.5 * math.sqrt((1.5**2 + 0.5**2 + 0.5**2) / 3))


def test_the_variance_scale_moves_the_uncertainty_alone(make_evidence: MakeEvidence) -> None:
    rng = np.random.default_rng(1)
    ratings = rng.uniform(1, 5, 40)
    predicted = np.clip(ratings + rng.normal(0, 0.5, 40), 1, 5)
    predictions, table = case(make_evidence, ratings.tolist(), predicted.tolist())
    plain = evaluation_figures(predictions, table, constant_std=0.5)
    wider = evaluation_figures(predictions, table, constant_std=0.5, variance_scale=4.0)
    assert wider["width_50"] > 1.5 * plain["width_50"]
    student = stats.t(8.0, predicted, 2 * np.linspace(0.2, 0.6, 40))
    assert wider["nll"] == pytest.approx(-student.logpdf(table.quality.numpy()).mean(), rel=1e-9)
    assert plain["nll"] != pytest.approx(wider["nll"], rel=1e-2)
    unmoved = [name for name in plain if plain[name] == wider[name]]
    assert set(unmoved) >= {"srcc", "plcc", "rmse", "srcc_expected", "nll_constant"}


def test_the_constant_deviation_is_the_one_given(make_evidence: MakeEvidence) -> None:
    """That of the validation data; by default the error on these very images, which no rival could know."""
    rng = np.random.default_rng(2)
    ratings = rng.uniform(1, 5, 40)
    predicted = ratings + rng.normal(0, 0.5, 40)
    predictions, table = case(make_evidence, ratings.tolist(), predicted.tolist())
    y = table.quality.double().numpy()
    for std in (0.2, 0.9):
        found = evaluation_figures(predictions, table, constant_std=std)
        assert found["nll_constant"] == pytest.approx(-stats.norm.logpdf(y, predicted, std).mean(), rel=1e-9)
    found = evaluation_figures(predictions, table)
    assert found["nll_constant"] == pytest.approx(-stats.norm.logpdf(y, predicted, found["rmse"]).mean(), rel=1e-9)


def test_figures_of_the_expected_quality_are_its_own(make_evidence: MakeEvidence) -> None:
    rng = np.random.default_rng(3)
    ratings = rng.uniform(1, 5, 40)
    predicted, expected = ratings + rng.normal(0, 0.3, 40), ratings + rng.normal(0, 1.5, 40)
    predictions, table = case(make_evidence, ratings.tolist(), predicted.tolist(), expected=expected.tolist())
    found = evaluation_figures(predictions, table)
    for values, suffix in ((predicted, ""), (expected, "_expected")):
        alone = correlations(values, table.quality.numpy())
        for name in ("srcc", "plcc", "plcc_logistic"):
            assert found[name + suffix] == pytest.approx(alone[name], rel=1e-6)
    assert found["srcc"] > found["srcc_expected"] + 0.1


def test_images_without_a_label_do_not_count_in_an_accuracy(make_evidence: MakeEvidence) -> None:
    """All are predicted animal and noise; the class of what is not labelled is a row of zeros, whose largest is 0."""
    scene, noise = 0, 5
    predictions, table = case(
        make_evidence,
        [1.0, 2.0, 3.0, 4.0],
        [1.0, 2.0, 3.0, 4.0],
        labels={1: (scene, noise), 2: (scene, noise + 1)},
    )
    from iqa_datasets import DISTORTIONS, SCENES

    assert (SCENES[scene], DISTORTIONS[noise]) == ("animal", "noise")
    found = evaluation_figures(predictions, table)
    assert found["scene_accuracy"] == 1
    assert found["distortion_accuracy"] == 0.5
    assert found["distortion_majority"] == 0.5
    # A prediction of class 0 for an image without a label would otherwise be counted as right.
    zero = Predictions(predictions.evidence, predictions.expected_quality, [SCENES[1]] * 4, [DISTORTIONS[0]] * 4)
    assert evaluation_figures(zero, table)["distortion_accuracy"] == 0
    assert evaluation_figures(zero, table)["scene_accuracy"] == 0
