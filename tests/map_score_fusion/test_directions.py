from pathlib import Path

import numpy as np
import pandas as pd
import piq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from map_score_fusion import KNOWN_METRICS, FusionWarning, ScoreFusion, ScoreTableError, known_metric
from map_score_fusion.directions import key_of, known_metrics_table, resolve_directions


def of(values, names, said=None):
    directions, messages = resolve_directions(np.asarray(values, dtype=float), names, said)
    return [direction.higher_is_better for direction in directions], [d.source for d in directions], messages


def test_at_least_sixty_metrics_are_known_and_no_spelling_is_two():
    assert len(KNOWN_METRICS) >= 60
    names = [metric.name for metric in KNOWN_METRICS]
    assert names == sorted(names, key=str.casefold)
    keys = [key_of(spelling) for metric in KNOWN_METRICS for spelling in (metric.name, *metric.spellings)]
    assert None not in keys
    assert len(keys) == len(set(keys))
    assert all(metric.source for metric in KNOWN_METRICS)


@pytest.mark.parametrize(
    ("column", "metric", "higher"),
    [
        ("PSNR", "PSNR", True),
        ("psnr_y", "PSNR", True),
        ("ms_ssim", "MS-SSIM", True),
        ("MS SSIM", "MS-SSIM", True),
        ("Butteraugli_XL_3m", "Butteraugli XL", False),
        ("Butteraugli 3-norm", "Butteraugli", False),
        ("ssimulacra", "SSIMULACRA", False),
        ("SSIMULACRA2", "SSIMULACRA 2", True),
        ("ssimulacra_2.1", "SSIMULACRA 2", True),
        ("DSSIM", "DSSIM", False),
        ("sg_essim", "SG-ESSIM", True),
        ("ffs", "FFS", False),
        ("lgv", "LGV", True),
        ("clipiqa+", "CLIP-IQA+", True),
        ("NIQE", "NIQE", False),
    ],
)
def test_known_names(column, metric, higher):
    found = known_metric(column)
    assert (found.name, found.higher_is_better) == (metric, higher)


@pytest.mark.parametrize(
    "column",
    ["my_ssim_loss", "ssim_loss", "-PSNR", "psnr-", "1-SSIM", "1 - ssim", "1/SSIM", "neg_psnr", "inverted NIQE",
     "rank of SSIM", "SSIM (inverted)", "ssim^2", "", "x0", "log10(MSE)", "psnr_drop", "ciede2000"],
)  # fmt: skip
def test_names_that_only_hold_a_metrics_name_are_not_known(column):
    assert known_metric(column) is None


@given(st.sampled_from(KNOWN_METRICS), st.text("abcdefgh0123456789", min_size=3, max_size=6))
def test_a_name_with_a_word_more_is_another_name(metric, word):
    known_keys = {key_of(spelling) for known in KNOWN_METRICS for spelling in (known.name, *known.spellings)}
    if key_of(f"{metric.name}_{word}") not in known_keys:
        assert known_metric(f"{metric.name}_{word}") is None


PIQ_METRICS = {
    "PSNR": piq.psnr,
    "SSIM": piq.ssim,
    "MS-SSIM": piq.multi_scale_ssim,
    "IW-SSIM": piq.information_weighted_ssim,
    "VIF": piq.vif_p,
    "FSIM": lambda *pair: piq.fsim(*pair, chromatic=False),
    "FSIMc": piq.fsim,
    "SR-SIM": piq.srsim,
    "SR-SIMc": lambda *pair: piq.srsim(*pair, chromatic=True),
    "VSI": piq.vsi,
    "GMSD": piq.gmsd,
    "MS-GMSD": piq.multi_scale_gmsd,
    "MS-GMSDc": lambda *pair: piq.multi_scale_gmsd(*pair, chromatic=True),
    "HaarPSI": piq.haarpsi,
    "MDSI": piq.mdsi,
    "DSS": piq.dss,
}


@pytest.mark.filterwarnings("ignore")
def test_piqs_metrics_go_the_way_that_the_table_says():
    assert {metric.name for metric in KNOWN_METRICS if metric.source.startswith("piq")} == set(PIQ_METRICS)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((1, 3, 24, 24), generator=generator)
    image = torch.nn.functional.interpolate(coarse, size=(168, 168), mode="bicubic").clamp(0, 1)
    noise = torch.randn(image.shape, generator=generator)
    worse = [(image + size * noise).clamp(0, 1) for size in (0.05, 0.3)]
    for name, measure in PIQ_METRICS.items():
        found = [float(measure(distorted, image)) for distorted in worse]
        assert found[0] != found[1]
        assert (found[0] > found[1]) == known_metric(name).higher_is_better, (name, found)


def test_the_users_word_comes_before_the_name_and_the_name_before_the_consensus(made_table):
    table, _ = made_table()
    higher, sources, messages = of(table, list(table), {"PSNR": True, "own_metric": None})
    assert higher == [True, True, False, False, True, True]
    assert sources == ["user", "known name", "known name", "known name", "known name", "consensus"]
    assert len(messages) == 1
    assert "own_metric" in messages[0]


def test_a_flipped_metric_is_named(made_table):
    table, _ = made_table()
    table["own_metric"] *= -1
    with pytest.warns(FusionWarning, match="turned round: own_metric"):
        fusion = ScoreFusion("mean-rank").fit(table)
    of_own = fusion.metric_summary_.loc["own_metric"]
    assert (of_own["direction"], of_own["direction_source"]) == ("lower", "consensus")


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"PNSR": True}, "higher_is_better names 'PNSR', which is no column; the columns are PSNR"),
        ([True, False], "higher_is_better has 2 entries, and the table has 6 columns"),
        ({"PSNR": 1}, "higher_is_better says 1 of 'PSNR'"),
        (["yes"] * 6, "higher_is_better says 'yes' of 'PSNR'"),
        ("PSNR", "higher_is_better is 'PSNR'; it must be a mapping"),
        (3.5, "higher_is_better is 3.5; it must be a mapping"),
    ],
)
def test_a_wrong_argument_is_named(said, match, made_table):
    table, _ = made_table()
    with pytest.raises(ScoreTableError, match=match):
        ScoreFusion("mean-rank", higher_is_better=said).fit(table)


@pytest.mark.parametrize("said", [True, [True] * 3, np.array([True, True, True]), (True, True, True)])
def test_one_word_for_all(said):
    values = np.random.default_rng(0).normal(size=(20, 3))
    higher, sources, messages = of(values, ["a", "b", "c"], said)
    assert higher == [True] * 3
    assert sources == ["user"] * 3
    assert not [message for message in messages if "assumed" in message]


@pytest.mark.parametrize("flip", [(), (1,), (0, 2), (3, 4)])
def test_with_nothing_known_the_majority_stays_as_given_and_a_warning_says_so(flip):
    rng = np.random.default_rng(1)
    values = rng.uniform(size=(300, 1)) + 0.2 * rng.normal(size=(300, 5))
    values[:, list(flip)] *= -1
    higher, sources, messages = of(values, list("abcde"))
    assert higher == [index not in flip for index in range(5)]
    assert sources == ["consensus"] * 5
    assert "it was assumed that most columns are better when higher" in messages[0]
    assert "upside down" in messages[0]


def test_with_nothing_known_and_a_tie_the_column_that_agrees_most_stays():
    rng = np.random.default_rng(2)
    quality = rng.uniform(size=500)
    values = np.column_stack([quality, -quality]) + 0.05 * rng.normal(size=(500, 2))
    higher, _, messages = of(values, ["a", "b"])
    assert higher == [True, False]
    assert "assumed" in messages[0]


def test_a_weak_metric_is_kept_as_given_with_a_warning(made_table):
    table, _ = made_table()
    table["dice"] = np.random.default_rng(3).uniform(size=len(table))
    higher, sources, messages = of(table, list(table))
    assert higher[-1]
    assert sources[-1] == "assumed"
    assert any("dice" in message and "too weakly" in message for message in messages)


def test_a_metric_against_its_known_direction_is_reported_and_not_turned(made_table):
    table, _ = made_table()
    table["LPIPS"] *= -1
    higher, _, messages = of(table, list(table))
    assert higher[2] is False
    [message] = [message for message in messages if "against the consensus" in message]
    assert "LPIPS (lower = better by its name, correlation -0." in message


def test_unknown_metrics_are_followed_through_a_chain():
    # c tells nothing of the one known metric, a, but of what b adds to it.
    a, added, noise = np.random.default_rng(4).normal(size=(3, 2000))
    b, c = a + added, -(added + 0.5 * noise)
    assert abs(np.corrcoef(a, c)[0, 1]) < 0.05
    higher, sources, _ = of(np.column_stack([a, b, c]), ["PSNR", "b", "c"])
    assert higher == [True, True, False]
    assert sources[1:] == ["consensus", "consensus"]


def test_missing_scores_do_not_hide_a_direction(made_table):
    table, _ = made_table(missing=0.4, seed=7)
    table["own_metric"] *= -1
    higher, _, _ = of(table, list(table))
    assert higher == [True, True, False, False, True, False]


def test_directions_of_real_tables_from_psnr_alone(real_scores):
    six = pd.read_csv(real_scores / "kadid10k_6metrics.csv")
    table = pd.read_csv(real_scores / "vqmt_kadid10k.csv").merge(six, on="dist_img")
    columns = ["DSSIM", "SSIMULACRA", "Butteraugli", "Butteraugli_XL_3m", "psnr", "ssim", "sg_essim", "ffs", "lgv"]
    known = [known_metric(name).higher_is_better for name in columns]
    with pytest.warns(FusionWarning):
        fusion = ScoreFusion("mean-rank", higher_is_better=[None] * 4 + [True] + [None] * 4).fit(
            table[columns].set_axis([f"metric {index}" for index in range(9)], axis=1)
        )
    assert (fusion.metric_summary_["direction"] == "higher").tolist() == known
    assert (fusion.metric_summary_["direction_source"] == "consensus").sum() == 8


def test_the_documentations_table_is_that_of_the_code():
    page = Path(__file__).parents[2] / "docs" / "map-score-fusion" / "directions.md"
    assert known_metrics_table() in page.read_text(encoding="utf-8")
