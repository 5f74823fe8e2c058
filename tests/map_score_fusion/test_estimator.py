import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from map_score_fusion import FusionWarning, OutsideRangeWarning, ScoreFusion, ScoreTableError
from map_score_fusion.column_names import looks_like_ratings

BASELINE = "mean-rank"
pytestmark = pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")


def of(table, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FusionWarning)
        return ScoreFusion(BASELINE, **arguments).fit(table)


def test_parameters_are_kept_as_given():
    said = {"PSNR": True}
    fusion = ScoreFusion("rrf", higher_is_better=said, random_state=3, max_fit_rows=10)
    assert fusion.get_params()["higher_is_better"] is said
    assert clone(fusion).get_params() == fusion.get_params()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"method": "median"}, "method is 'median'; it must be one of .*mean-rank"),
        ({"amortised": False}, "amortised=False means nothing to the method 'mean-rank'"),
        ({"max_fit_rows": 1}, "max_fit_rows is 1"),
        ({"max_fit_rows": 2.5}, "max_fit_rows is 2.5"),
    ],
)
def test_wrong_parameters_are_named_in_fit(arguments, match, made_table):
    table, _ = made_table(rows=10)
    with pytest.raises(ScoreTableError, match=match):
        ScoreFusion(**{"method": BASELINE, **arguments}).fit(table)


def test_columns_are_found_by_name_in_any_order_and_others_are_ignored(made_table):
    table, _ = made_table()
    fusion = of(table)
    shuffled = table[table.columns[::-1]].assign(image="a.png", mos=3.0)
    np.testing.assert_array_equal(fusion.predict(shuffled), fusion.predict(table))
    np.testing.assert_array_equal(fusion.weights(shuffled), fusion.weights(table))


def test_an_absent_column_is_named(made_table):
    table, _ = made_table()
    fusion = of(table)
    with pytest.raises(ScoreTableError, match="the table has no column 'SSIM' and 'VIF', which the fit had"):
        fusion.predict(table.drop(columns=["VIF", "SSIM"]))
    added = table.drop(columns=["VIF"]).assign(VIF=np.nan)
    assert np.all(fusion.weights(added)[:, 4] == 0)


def test_a_text_column_is_refused_in_fit_and_ignored_in_predict(made_table):
    table, _ = made_table(rows=20)
    with pytest.raises(ScoreTableError, match=r"row 0 of column 'image' holds 'a\.png', which is no number"):
        ScoreFusion(BASELINE).fit(table.assign(image="a.png"))


@pytest.mark.parametrize("kind", [lambda table: table, np.asarray])
def test_a_table_like_that_of_the_fit_is_no_reason_to_warn(made_table, kind):
    table = kind(made_table()[0])
    fusion = of(table, higher_is_better=[True, True, False, False, True, True])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fusion.predict(table[:50])


def test_an_array_of_another_width_is_refused(made_table):
    table, _ = made_table()
    fusion = of(table.to_numpy())
    with pytest.raises(ValueError, match="X has 5 features, but ScoreFusion is expecting 6 features"):
        fusion.predict(table.to_numpy()[:, :5])


def test_infinite_scores_are_clipped_to_the_training_range_and_counted(made_table):
    table, _ = made_table()
    table.loc[[0, 5], "PSNR"] = np.inf
    table.loc[7, "VIF"] = -np.inf
    with pytest.warns(FusionWarning, match=r"3 infinite scores were clipped .*: PSNR 2 \(range .* to .*\), VIF 1"):
        fusion = ScoreFusion(BASELINE, higher_is_better=True).fit(table)
    assert fusion.metric_summary_["clipped"].to_dict() == dict.fromkeys(table, 0) | {"PSNR": 2, "VIF": 1}
    best = table["PSNR"][np.isfinite(table["PSNR"])].max()
    new = table.iloc[[20]].assign(PSNR=np.inf)
    with pytest.warns(FusionWarning, match="1 infinite scores were clipped"):
        np.testing.assert_array_equal(fusion.predict(new), fusion.predict(new.assign(PSNR=best)))


def test_metrics_that_tell_nothing_get_no_weight_and_a_warning(made_table):
    table, _ = made_table()
    table["constant"], table["empty"], table["only_infinite"] = 3.0, np.nan, np.inf
    with pytest.warns(FusionWarning, match=r"weight 0: constant \(all scores are 3\), empty \(no finite score\), only"):
        fusion = ScoreFusion(BASELINE, higher_is_better=True).fit(table)
    summary = fusion.metric_summary_.loc[["constant", "empty", "only_infinite"]]
    assert summary["weight"].tolist() == [0, 0, 0]
    assert summary["direction"].tolist() == ["none"] * 3
    assert summary["missing"].tolist() == [0, 1, 1]
    assert summary["correlation"].isna().all()
    plain = ScoreFusion(BASELINE, higher_is_better=True).fit(table.iloc[:, :6])
    np.testing.assert_array_equal(fusion.predict(table), plain.predict(table))


@pytest.mark.parametrize("table", [np.ones((4, 2)), np.full((3, 1), np.nan), [[np.inf], [-np.inf]]])
def test_a_table_that_tells_nothing_is_refused(table):
    with pytest.raises(ScoreTableError, match="no metric tells the images apart: every column"):
        ScoreFusion(BASELINE).fit(table)


def test_one_image_is_too_few():
    with pytest.raises(ScoreTableError, match="n_samples = 1"):
        ScoreFusion(BASELINE).fit([[1.0, 2.0]])


def test_images_without_scores(made_table):
    table, _ = made_table(rows=50)
    table["constant"] = 1.0
    table.index = [f"{row}.png" for row in range(50)]
    table.iloc[[3, 9], :6] = np.nan
    with pytest.warns(
        FusionWarning, match=r"2 of 50 images have no score .* left out of the fit: row 3\.png and 9\.png"
    ):
        fusion = ScoreFusion(BASELINE, higher_is_better=True).fit(table)
    assert fusion.n_fit_rows_ == 48
    with pytest.raises(ScoreTableError, match=r"2 rows have no score of a metric with weight: row 3\.png and 9\.png; "):
        fusion.predict(table)
    fused, deviation = fusion.predict(table, return_std=True, on_empty_row="nan")
    weights, uncertainty = (
        fusion.weights(table, on_empty_row="nan"),
        fusion.score_uncertainty(table, on_empty_row="nan"),
    )
    for found in (fused, deviation, weights[:, 0], uncertainty[:, 0]):
        assert np.flatnonzero(np.isnan(found)).tolist() == [3, 9]
    assert np.isnan(weights[3]).all()
    with pytest.raises(ScoreTableError, match="on_empty_row is 'skip'"):
        fusion.predict(table, on_empty_row="skip")


def test_a_long_table_is_sampled(made_table):
    table, _ = made_table(rows=1000)
    fusion = of(table, max_fit_rows=100, random_state=0)
    assert fusion.n_fit_rows_ == 100
    again, other = of(table, max_fit_rows=100, random_state=0), of(table, max_fit_rows=100, random_state=1)
    np.testing.assert_array_equal(fusion.predict(table), again.predict(table))
    assert np.any(fusion.predict(table) != other.predict(table))
    # A sample of a tenth gives every rank to within a few hundredths.
    np.testing.assert_allclose(fusion.predict(table), of(table).predict(table), atol=0.15)


def test_the_summary_says_what_was_found(made_table):
    table, _ = made_table(missing=0.1)
    fusion = of(table)
    summary = fusion.metric_summary_
    assert summary.index.tolist() == table.columns.tolist()
    assert summary.index.name == "metric"
    np.testing.assert_allclose(summary["missing"], table.isna().mean())
    np.testing.assert_allclose(summary["weight"], fusion.weights(table).mean(axis=0))
    fused = pd.Series(fusion.predict(table))
    signs = np.where(summary["direction"] == "higher", 1, -1)
    expected = [table[name].corr(fused, method="spearman") for name in table]
    np.testing.assert_allclose(summary["correlation"], signs * expected)
    assert "noise" in summary.columns


def test_scores_that_are_missing_where_images_are_bad_are_reported(made_table):
    table, quality = made_table(rows=1000)
    table.loc[quality < 0.1, "SSIM"] = np.nan
    table["DISTS"] = table["DISTS"].mask(np.random.default_rng(99).uniform(size=1000) < 0.2)
    missing = of(table).missing_summary_
    assert missing.index.tolist() == ["SSIM", "DISTS"]
    assert missing["missing"].tolist() == [(quality < 0.1).sum(), table["DISTS"].isna().sum()]
    assert missing.loc["SSIM", "mean_rank_missing"] < 0.2
    assert missing.loc["SSIM", "mean_rank_present"] > 0.5
    np.testing.assert_allclose(*missing.loc["DISTS", ["mean_rank_missing", "mean_rank_present"]], atol=0.05)


def test_nothing_missing_nothing_to_report(made_table):
    assert len(of(made_table()[0]).missing_summary_) == 0


def test_copies_of_a_metric_do_not_count_as_independent(made_table):
    table, _ = made_table(rows=2000)
    alone = of(table).effective_metrics_
    copied = table.assign(**{f"VIF {index}": table["VIF"] for index in range(5)})
    fusion = of(copied)
    assert fusion.effective_metrics_ < alone + 0.5
    assert fusion.metric_summary_.loc["VIF 3", "near_duplicates"] > 5.9


def test_oriented_scores(made_table):
    table, _ = made_table(rows=30)
    table["constant"] = 1.0
    fusion = of(table)
    table.iloc[4] = np.nan
    oriented = fusion.oriented_scores(table)
    np.testing.assert_array_equal(oriented[:, 0], table["PSNR"])
    np.testing.assert_array_equal(oriented[:, 2], -table["LPIPS"])
    assert np.isnan(oriented[:, 6]).all()


def test_one_column_out_for_pipelines(made_table):
    table, _ = made_table()
    fusion = of(table)
    np.testing.assert_array_equal(fusion.transform(table)[:, 0], fusion.predict(table))
    assert fusion.get_feature_names_out().tolist() == ["fused_score"]
    framed = fusion.set_output(transform="pandas").transform(table)
    assert framed.columns.tolist() == ["fused_score"]
    with pytest.warns(FusionWarning):
        pipeline = make_pipeline(ScoreFusion(BASELINE), StandardScaler()).fit(table)
    np.testing.assert_allclose(pipeline.transform(table).std(), 1)


def test_fit_predict_is_fit_and_predict(made_table):
    table, _ = made_table()
    with pytest.warns(FusionWarning):
        np.testing.assert_array_equal(ScoreFusion(BASELINE).fit_predict(table), of(table).predict(table))


@pytest.mark.parametrize("call", ["predict", "transform", "weights", "score_uncertainty", "oriented_scores"])
def test_what_is_not_fitted_says_so(call):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(ScoreFusion(BASELINE), call)([[1.0]])


def test_a_new_fit_forgets_the_old_one(made_table):
    table, _ = made_table()
    fusion = of(table)
    with pytest.warns(FusionWarning):
        fusion.fit(table.to_numpy()[:, :4])
    assert not hasattr(fusion, "feature_names_in_")
    assert fusion.metric_summary_.index.tolist() == ["x0", "x1", "x2", "x3"]


def test_names_that_are_no_text_count_as_none():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(10, 2)))
    fusion = of(frame)
    assert not hasattr(fusion, "feature_names_in_")
    np.testing.assert_array_equal(fusion.predict(frame), fusion.predict(frame.to_numpy()))


def test_names_of_mixed_kinds_are_refused():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(10, 2)), columns=["a", 1])
    with pytest.raises(TypeError, match="column names"):
        ScoreFusion(BASELINE).fit(frame)


def test_columns_of_ratings_are_refused_unless_the_user_insists(made_table):
    table, quality = made_table()
    rated = table.assign(mos=quality, mos_std=0.1 + quality / 9)
    with pytest.raises(
        ScoreTableError, match="'mos' and 'mos_std' are human ratings, or the spread of such, by the na"
    ):
        ScoreFusion(BASELINE).fit(rated)
    fusion = of(rated, accept_rating_names=True)
    assert list(fusion.metric_summary_.index) == [*table.columns, "mos", "mos_std"]
    assert of(table).predict(rated).shape == (400,)  # a table to predict may have its ratings beside the scores


@pytest.mark.parametrize("name", ["mos", "DMOS", "dmos_new", "MOS_std", "var", "95_CI", "STD", "subjective score"])
def test_names_of_ratings(name):
    assert looks_like_ratings(name)


@pytest.mark.parametrize("name", ["psnr", "vmaf", "mosaic", "std_gmsd", "variational", "CISI"])
def test_names_that_are_no_ratings(name):
    assert not looks_like_ratings(name)


def test_scores_on_another_scale_are_warned_of_and_flagged(made_table):
    """SSIM times a hundred, and in the end all six metrics: once fused with full confidence and without a word."""
    table, quality = made_table()
    fusion = of(table, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OutsideRangeWarning)
        _, deviations = fusion.ranks(table)
        assert not fusion.outside_range(table).any()
    one = table.assign(SSIM=100 * table["SSIM"])
    with pytest.warns(OutsideRangeWarning, match=r"SSIM (100|9\d)\.\d% \(from .* to .*, in the fit from"):
        moved, wider = fusion.ranks(one)
    flags = fusion.outside_range(one)
    assert flags[:, 1].mean() > 0.9
    assert not np.delete(flags, 1, axis=1).any()
    rows = flags.any(axis=1)
    assert wider[rows].mean() > 1.3 * deviations[rows].mean()
    truth = (np.argsort(np.argsort(quality)) + 0.5) / len(quality)
    assert np.mean(np.abs(moved - truth) <= 2 * wider) > 0.9
    everything = 100 * table
    with pytest.warns(OutsideRangeWarning):
        moved, wider = fusion.ranks(everything)
    rows = fusion.outside_range(everything).sum(axis=1) >= 5
    assert rows.mean() > 0.9
    assert np.mean(wider[rows] > 0.15) > 0.95
    assert np.mean(np.abs(moved - truth) <= 2 * wider) > 0.9


def test_scores_divided_by_a_hundred_lie_in_the_range_and_are_warned_of_all_the_same(made_table):
    table, _ = made_table()
    fusion = of(table)
    # LPIPS here goes from about 0.1 to 0.8 in the fit, and its worst hundredth lies above 0.79.
    with pytest.warns(OutsideRangeWarning, match="100% of LPIPS are among the best hundredth of the fit's scores"):
        fusion.predict(table.assign(LPIPS=table["LPIPS"].min() + table["LPIPS"] / 1000))


def test_a_few_images_beyond_the_range_are_no_reason_to_warn(made_table):
    table, _ = made_table()
    fusion = of(table)
    fresh, _ = made_table(seed=7)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OutsideRangeWarning)
        fusion.predict(fresh)
    low, high = table["PSNR"].min(), table["PSNR"].max()
    edge = table.head(3).assign(PSNR=[high + 0.24 * (high - low), low - 0.26 * (high - low), np.inf])
    with pytest.warns(OutsideRangeWarning, match=r"PSNR 50\.0%"):
        fusion.predict(edge)
    assert fusion.outside_range(edge)[:, 0].tolist() == [False, True, False]
