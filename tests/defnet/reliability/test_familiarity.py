"""Familiarity: p-values, distances, and what a model file holds of them."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from defnet.errors import CheckpointError, DataError
from defnet.reliability.descriptors import describe
from defnet.reliability.familiarity import DIMENSIONS, LARGEST, NEIGHBOURS, Familiarity, dimensions_of
from defnet.reliability.unfamiliar import UNFAMILIAR


def described(count: int, seed: int, width: int = 40) -> Tensor:
    """Points around three centres, stretched along some axes."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(0, 3, (3, width))
    points = centres[generator.integers(0, 3, count)] + generator.normal(0, np.linspace(0.2, 3, width), (count, width))
    return torch.from_numpy(points)


def fitted(seed: int, count: int = 300, folds: int = 5) -> Familiarity:
    """Familiarity of points, each one's distance to the other folds known."""
    points, fold = described(count, seed), np.arange(count) % folds
    distances = torch.empty(count, dtype=torch.float64)
    for number in range(folds):
        distances[fold == number] = Familiarity.fit(points[fold != number], 12).distance(points[fold == number])
    return Familiarity.fit(points, 12).with_distances(distances)


def test_p_values_of_new_points_like_them_are_uniform() -> None:
    values = torch.cat([f.familiarity(f.distance(described(40, 1000 + s))) for s in range(20) for f in [fitted(s)]])
    assert 0.02 < (values < UNFAMILIAR).double().mean() < 0.07
    # Slightly to the side of no warning: the final distance is to a fold more points.
    assert kstest(values.numpy(), "uniform", alternative="greater").statistic < 0.03
    assert kstest(values.numpy(), "uniform").statistic < 0.1


def test_a_p_value_counts_distances_at_least_as_large() -> None:
    familiarity = fitted(0).with_distances(torch.tensor([3.0, 1.0, 2.0, 2.0]))
    found = familiarity.familiarity(torch.tensor([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 9.0], dtype=torch.float64))
    assert found.tolist() == [1.0, 1.0, 0.8, 0.8, 0.4, 0.4, 0.2]


def test_it_falls_with_the_distance() -> None:
    familiarity = fitted(1)
    direction = torch.from_numpy(np.random.default_rng(3).normal(size=40))
    distance = familiarity.distance(described(300, 1).mean(0) + torch.arange(0.0, 30.0, 2.0)[:, None] * direction)
    assert bool((distance.diff() > 0)[2:].all())
    values = familiarity.familiarity(distance)
    assert bool((values.diff() <= 0)[2:].all())
    assert values[-1] == 1 / 301


def test_distances_are_those_of_a_plain_computation() -> None:
    points, new = described(60, 2).numpy(), described(7, 3).numpy()
    mean, scale = points.mean(0), points.std(0, ddof=1)
    standardised = (points - mean) / scale
    _, values, rows = np.linalg.svd(standardised, full_matrices=False)
    whiten = rows[:6].T / values[:6] * np.sqrt(59)
    apart = np.linalg.norm((((new - mean) / scale) @ whiten)[:, None] - (standardised @ whiten)[None], axis=2)
    expected = np.sort(apart, 1)[:, :NEIGHBOURS].mean(1)
    np.testing.assert_allclose(
        Familiarity.fit(torch.from_numpy(points), 6).distance(torch.from_numpy(new)), expected, rtol=2e-3
    )


def test_the_same_bits_whenever_it_is_fitted_and_however_many_are_asked_for_together() -> None:
    points, new = described(120, 4), described(9, 5)
    one, other = Familiarity.fit(points, 8), Familiarity.fit(points.clone(), 8)
    assert all(torch.equal(one.tensors()[name], tensor) for name, tensor in other.tensors().items())
    torch.testing.assert_close(
        torch.cat([one.distance(row[None]) for row in new]), one.distance(new), rtol=1e-12, atol=0
    )


def test_it_is_small_however_many_images_there_are() -> None:
    generator = torch.Generator().manual_seed(0)
    familiarity = Familiarity.fit(torch.randn(9000, 60, generator=generator).double(), dimensions_of(9000, 60))
    assert familiarity.components.shape == (60, DIMENSIONS)
    assert len(familiarity.references) == 8192
    size = sum(t.numel() * t.element_size() for t in familiarity.with_distances(torch.rand(9000)).tensors().values())
    assert size < LARGEST
    # However wide descriptions are, and however few images there are.
    assert dimensions_of(9000, 12288) * 12288 * 2 <= 400_000
    assert (dimensions_of(45, 60), dimensions_of(8, 60)) == (4, 1)


def test_what_a_single_sub_image_cannot_say_counts_as_usual() -> None:
    generator = torch.Generator().manual_seed(1)
    local, whole = torch.randn(80, 4, 10, generator=generator), torch.randn(80, 10, generator=generator)
    familiarity = Familiarity.fit(describe(local, whole), 5)
    single = describe(local[:, :1], whole)
    assert single[:, 10:20].isnan().all()
    assert familiarity.distance(single).isfinite().all()
    usual = torch.where(single.isnan(), familiarity.mean.double(), single)
    torch.testing.assert_close(familiarity.distance(single), familiarity.distance(usual))


def test_descriptions_are_means_deviations_and_the_whole() -> None:
    local = torch.tensor([[[1.0, 4.0], [3.0, 4.0]]])
    assert describe(local, torch.tensor([[7.0, 8.0]])).tolist() == [[2.0, 4.0, 2**0.5, 0.0, 7.0, 8.0]]


def test_a_feature_that_never_changes_is_left_unscaled() -> None:
    points = described(60, 6)
    points[:, 3] = 5.0
    assert Familiarity.fit(points, 5).distance(points).isfinite().all()


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="the 5 nearest rated training images in 1 dimensions, and there are 5 of"):
        Familiarity.fit(described(5, 0), 1)


def test_tensors_are_read_back_and_what_does_not_fit_is_refused() -> None:
    familiarity = fitted(7, count=100)
    tensors = familiarity.tensors()
    again = Familiarity.from_tensors(tensors)
    new = described(5, 8)
    assert torch.equal(again.familiarity(again.distance(new)), familiarity.familiarity(familiarity.distance(new)))
    with pytest.raises(CheckpointError, match="there is no tensor 'scale'"):
        Familiarity.from_tensors({name: tensor for name, tensor in tensors.items() if name != "scale"})
    for name, tensor in (("components", tensors["components"][:, 0]), ("references", tensors["references"][:, 1:]),
                         ("scale", tensors["scale"][1:]), ("distances", tensors["distances"][:0])):  # fmt: skip
        with pytest.raises(CheckpointError, match="do not fit each other"):
            Familiarity.from_tensors({**tensors, name: tensor})
