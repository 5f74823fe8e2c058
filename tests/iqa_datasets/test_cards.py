import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import iqa_datasets
from iqa_datasets import DatasetError, QualityScale

SCALES = st.builds(
    lambda low, width, up: QualityScale(low, low + width, up),
    st.floats(-100, 100),
    st.floats(0.1, 1000),
    st.booleans(),
)


@settings(derandomize=True)
@given(SCALES, st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_maps_to_quality_and_back(scale, fractions):
    scores = np.clip(scale.low + np.array(fractions) * (scale.high - scale.low), scale.low, scale.high)
    quality = scale.to_quality(scores)
    assert ((quality >= 1 - 1e-9) & (quality <= 5 + 1e-9)).all()
    np.testing.assert_allclose(scale.to_score(quality), scores, atol=1e-9 * max(1, abs(scale.low), abs(scale.high)))
    direction = 1 if scale.higher_is_better else -1
    order = np.argsort(scores, kind="stable")
    assert (np.diff(direction * quality[order]) >= -1e-9).all()


@pytest.mark.parametrize(("up", "expected"), [(True, [1.0, 2.0, 5.0]), (False, [5.0, 4.0, 1.0])])
def test_ends_are_exact_and_direction_is_kept(up, expected):
    assert QualityScale(0, 100, higher_is_better=up).to_quality([0, 25, 100]).tolist() == expected


def test_shape_and_missing_scores_are_kept():
    quality = QualityScale(0, 1).to_quality([[0.5, math.nan]])
    assert quality.shape == (1, 2)
    assert quality[0, 0] == 3
    assert math.isnan(quality[0, 1])


@pytest.mark.parametrize("score", [-0.001, 100.001, math.inf, -math.inf])
def test_nothing_is_clipped(score):
    with pytest.raises(DatasetError, match="outside the documented range"):
        QualityScale(0, 100).to_quality([50, score])


@pytest.mark.parametrize(("low", "high"), [(1, 1), (5, 1), (0, math.inf), (math.nan, 1)])
def test_empty_range(low, high):
    with pytest.raises(DatasetError, match="finite low < high"):
        QualityScale(low, high)


def test_registry():
    names = iqa_datasets.available()
    assert "live-challenge" in names
    assert names == sorted(set(names))
    for name in names:
        card = iqa_datasets.info(name)
        assert card.name == name
        # Of a folder of one's own nothing is known without the folder.
        assert name == "folder" or (card.size > 0 and card.year > 1990)
        assert card.home_page.startswith("https://")
        assert card.licence
        assert card.citation


def test_ratings_of_beauty_are_marked():
    assert [name for name in iqa_datasets.available() if iqa_datasets.info(name).aesthetic] == ["ava"]


@pytest.mark.parametrize("name", ["live challenge", "nothing-like-it", "", None, ["live"]])
def test_unknown_data_set(name, tmp_path):
    with pytest.raises(DatasetError, match=r"unknown data set .*live"):
        iqa_datasets.info(name)
    with pytest.raises(DatasetError, match=r"unknown data set .*live"):
        iqa_datasets.load(name, tmp_path)
