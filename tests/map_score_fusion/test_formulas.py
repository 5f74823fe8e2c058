import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata, spearmanr

from map_score_fusion import FusionWarning, ScoreFusion, ScoreTableError

EXPONENTS = {"SSIM": 0.5, "VIF": 0.3, "PSNR": 2.0}


@pytest.fixture
def table(made_table):
    return made_table()[0].abs()


def fit(table, method="weighted-product", coefficients=EXPONENTS, **arguments):
    return ScoreFusion(method, coefficients=coefficients, random_state=0, **arguments).fit(table)


@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
def test_the_product_of_powers(table, check_results):
    fusion = fit(table)
    value = table["SSIM"] ** 0.5 * table["VIF"] ** 0.3 * table["PSNR"] ** 2
    np.testing.assert_allclose(fusion.predict(table), (rankdata(value) - 0.5) / len(table), atol=1e-12)
    weights = fusion.weights(table)
    assert np.all(weights[:, [2, 3, 5]] == 0)
    spread = np.array([0.5, 0.3, 2.0]) * np.log(table[["SSIM", "VIF", "PSNR"]]).std(ddof=0).to_numpy()
    np.testing.assert_allclose(weights[0, [1, 4, 0]], spread / spread.sum())
    check_results(fusion, table)


@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
def test_the_weighted_sum(table, check_results):
    fusion = fit(table, "weighted-sum", {"PSNR": 0.1, "LPIPS": -2.0})
    value = 0.1 * table["PSNR"] - 2 * table["LPIPS"]
    np.testing.assert_allclose(fusion.predict(table), (rankdata(value) - 0.5) / len(table), atol=1e-12)
    assert fusion.metric_summary_["coefficient"].to_dict() == dict.fromkeys(table, 0.0) | {"PSNR": 0.1, "LPIPS": -2.0}
    check_results(fusion, table)


def test_an_error_measure_is_turned_round_with_a_word(table):
    with pytest.warns(FusionWarning, match="the formula of weighted-product is better when lower .* turned round"):
        fusion = fit(table[["LPIPS", "DISTS"]], coefficients={"LPIPS": 1.0, "DISTS": 2.0})
    value = table["LPIPS"] * table["DISTS"] ** 2
    assert spearmanr(fusion.predict(table), value).statistic == pytest.approx(-1)


def test_a_sign_that_goes_against_the_metric_is_warned_of(table):
    with pytest.warns(FusionWarning, match="the weight of LPIPS rewards what is worse by the metric's direction"):
        fit(table, "weighted-sum", {"PSNR": 1.0, "SSIM": 1.0, "LPIPS": 1.0})


@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
def test_a_missing_score_is_stood_in_for_by_the_others_rank(table, check_results):
    fusion = fit(table)
    holed = table.copy()
    holed.loc[[5, 6], "VIF"] = np.nan
    holed.loc[7, list(EXPONENTS)] = np.nan
    found, whole = fusion.predict(holed), fusion.predict(table)
    np.testing.assert_array_equal(np.delete(found, [5, 6, 7]), np.delete(whole, [5, 6, 7]))
    assert np.all(np.abs(found - whole)[[5, 6, 7]] < 0.3)
    check_results(fusion, holed)


@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
def test_it_is_saved_with_its_coefficients(table, tmp_path):
    fusion = fit(table)
    fusion.save(tmp_path / "model")
    loaded = ScoreFusion.load(tmp_path / "model")
    assert loaded.coefficients == EXPONENTS
    np.testing.assert_array_equal(loaded.predict(table), fusion.predict(table))
    np.testing.assert_array_equal(loaded.ranks(table)[1], fusion.ranks(table)[1])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"coefficients": None}, "'weighted-product' needs coefficients, the exponent of each metric"),
        ({"coefficients": {}}, "needs coefficients"),
        ({"coefficients": {"SSIM": 0}}, "the exponent of 'SSIM' is 0; it must be a finite number other than 0"),
        ({"coefficients": {"SSIM": np.nan}}, "the exponent of 'SSIM' is nan"),
        ({"coefficients": {"SSIM": "2"}}, "the exponent of 'SSIM' is '2'"),
        ({"coefficients": {"MS-SSIM": 1.0}}, "coefficients name 'MS-SSIM', which is no column; the columns are PSNR"),
        ({"coefficients": {"flat": 1.0}}, "no metric of the formula tells the images apart: flat is constant"),
        ({"coefficients": {"negative": 1.0}}, "takes powers of scores, and 'negative' has negative ones, down to -"),
        (
            {"method": "robust"},
            "coefficients mean nothing to the method 'robust'; they are for weighted-product, weigh",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
def test_wrong_coefficients_are_named(table, arguments, match):
    table = table.assign(flat=1.0, negative=-table["PSNR"])
    with pytest.raises(ScoreTableError, match=match):
        fit(table, **{"higher_is_better": {"flat": True, "negative": False}, **arguments})


@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
def test_arrays_name_their_columns_by_number(table):
    values = table.to_numpy()
    fusion = fit(pd.DataFrame(values).to_numpy(), coefficients={"x0": 1.0}, higher_is_better=True)
    np.testing.assert_allclose(fusion.predict(values), (rankdata(values[:, 0]) - 0.5) / len(values))
