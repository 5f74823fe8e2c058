"""Figures hold the numbers that they were made from: looked up in what is drawn, not in what was asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from defnet import DataError, TrainConfig
from defnet.evaluation.correlations import correlations
from defnet.experiments.result import Result
from defnet.report.ablation_plots import LOSS_SETS, TASK_SETS, combination, figure_8, figure_10
from defnet.report.agreement_plots import figure_1, figure_11
from defnet.report.calibration_plots import reliability
from defnet.report.distribution_plots import figure_5, figure_6, normal_scores
from defnet.report.figure_makers import FIGURES, write_figure

Runs = tuple[list[Result], list[pd.DataFrame]]

_NO_EVIDENCE = ("loc", "nu", "alpha_minus_one", "beta")


@pytest.fixture(scope="module")
def runs(
    make_config: Callable[..., TrainConfig],
    plant_predictions: Callable[..., pd.DataFrame],
    plant_result: Callable[..., Result],
) -> Runs:
    """Two sessions of DEFNet on two data sets, and one of a model that states no uncertainty."""
    results, tables = [], []
    for session in (1, 2):
        table = plant_predictions(session, datasets=("live-challenge", "csiq"), val=20, test=40)
        results.append(plant_result(make_config(), table, name="q+s+d-M+U+F", session=session, variance_scale=1.5))
        tables.append(table)
    plain = plant_predictions(7, datasets=("live-challenge", "csiq"), val=20, test=40)
    plain = plain.drop(columns=[name for name in plain if str(name).endswith(_NO_EVIDENCE)])
    results.append(plant_result(make_config(), plain, name="liqe"))
    tables.append(plain)
    return results, tables


@pytest.fixture(scope="module")
def ablation(
    make_config: Callable[..., TrainConfig],
    plant_predictions: Callable[..., pd.DataFrame],
    plant_result: Callable[..., Result],
) -> list[Result]:
    """Three sessions of some of the sixteen rows, with figures that no two share."""
    results = []
    table = plant_predictions(1, val=10, test=20)
    made = plant_result(make_config(), table)
    for tasks in (["quality"], ["quality", "scene"], ["quality", "scene", "distortion"]):
        for cross, fusion in ((False, False), (True, True)):
            config = make_config(model={"tasks": tasks}, objective={"cross": cross, "fusion": fusion})
            for session in (1, 2, 3):
                srcc = 0.5 + 0.05 * len(tasks) + 0.03 * cross + 0.001 * session**2
                figures: dict[str, Any] = {"srcc": srcc, "plcc": srcc - 0.2}
                for task in tasks[1:]:
                    figures |= {f"{task}_accuracy": srcc - 0.1, f"{task}_majority": 0.4}
                results.append(
                    made.model_copy(
                        update={
                            "config": config,
                            "session": session,
                            "figures": {"test": {"live-challenge": figures}, "val": {}},
                        }
                    )
                )
    return results


def test_every_figure_is_written_as_png_and_svg_and_twice_alike(runs: Runs, tmp_path: Path) -> None:
    for number in FIGURES:
        written = write_figure(number, *runs, tmp_path / "one")
        stem = f"figure{number}" if number.isdigit() else number
        assert [path.name for path in written] == [f"{stem}.png", f"{stem}.svg"]
        assert written[0].read_bytes().startswith(b"\x89PNG")
        assert b"</svg>" in written[1].read_bytes()
    for first, again in zip(written, write_figure(number, *runs, tmp_path / "two"), strict=True):
        assert first.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("number", [number for number in FIGURES if number != "reliability"])
def test_nothing_to_draw_is_said(number: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run to draw"):
        write_figure(number, [], [], tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_figures_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no figure '2'; there are 1, 5, "):
        write_figure("2", [], [], tmp_path)


def test_configurations_are_called_as_in_the_paper(make_config: Callable[..., TrainConfig]) -> None:
    config = make_config(model={"tasks": ["quality", "distortion"]}, objective={"lambda1": 0.0})
    assert combination(config) == ("q + d", "M + F")
    assert combination(make_config(objective={"cross": False, "fusion": False})) == ("q + s + d", "M")


def test_figure_8_holds_medians_quartiles_and_sessions(ablation: list[Result]) -> None:
    [axes] = [axes for axes in figure_8(ablation).axes if axes.get_visible()]
    medians = {line.get_label(): line for line in axes.get_lines() if str(line.get_gid()).startswith("median")}
    assert list(medians) == list(LOSS_SETS)
    assert [text.get_text() for text in axes.get_xticklabels()] == list(TASK_SETS)
    for losses, cross in (("M", 0), ("M + U + F", 1)):
        x, y = medians[losses].get_data()
        assert np.round(x).tolist() == [0, 1, 3]  # nothing stands where there is no run
        np.testing.assert_allclose(y, [0.5 + 0.05 * tasks + 0.03 * cross + 0.004 for tasks in (1, 2, 3)])
    for losses in ("M + U", "M + F"):
        assert len(medians[losses].get_data()[0]) == 0
    points = [line.get_ydata() for line in axes.get_lines() if line.get_marker() == "."]
    np.testing.assert_allclose(points[0], [0.551, 0.554, 0.559])
    bars = [segment for drawn in axes.collections for segment in drawn.get_segments()]
    np.testing.assert_allclose(bars[0][:, 1], np.quantile([0.551, 0.554, 0.559], [0.25, 0.75]))


def test_figure_10_holds_both_accuracies_and_the_constant_answer(ablation: list[Result]) -> None:
    scene, distortion = (axes for axes in figure_10(ablation).axes if axes.get_visible())
    [top] = [line for line in scene.get_lines() if line.get_gid() == "median M"]
    np.testing.assert_allclose(top.get_ydata(), [0.504, 0.554])
    assert [text.get_text() for text in scene.get_xticklabels()] == ["q + s", "q + s + d"]
    [top] = [line for line in distortion.get_lines() if line.get_gid() == "median M"]
    np.testing.assert_allclose(top.get_ydata(), [0.554])
    for axes in (scene, distortion):
        [constant] = [line for line in axes.get_lines() if line.get_label() == "constant answer"]
        assert set(constant.get_ydata()) == {0.4}


def test_figure_1_holds_both_widths_of_each_session(runs: Runs) -> None:
    results, _ = runs
    figure = figure_1(*runs)
    left, right = figure.axes
    for axes, (across, up) in ((left, ("srcc", "band_logistic")), (right, ("coverage_95", "width_95"))):
        drawn = {str(c.get_label()): np.asarray(c.get_offsets()) for c in axes.collections}
        own = [result.figures["test"]["csiq"] for result in results if result.name == "q+s+d-M+U+F"]
        median = [np.median([figures[name] for figures in own]) for name in (across, up)]
        np.testing.assert_allclose(drawn["DEFNet, CSIQ"], [median])
        faint = [np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets()) == 2]
        assert any(np.allclose(points, [[f[across], f[up]] for f in own]) for points in faint)
    drawn_right = [str(points.get_label()) for points in right.collections]
    assert not any("LIQE" in label for label in drawn_right), "it states no interval"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *(f"{name}, {title}" for name in ("DEFNet", "LIQE") for title in ("LIVE In the Wild", "CSIQ")),
        "as stated",
    ]


def test_figure_11_holds_images_fit_and_band(runs: Runs) -> None:
    results, tables = runs
    grid = figure_11(*runs).axes
    assert [axes.get_title() for axes in grid] == [
        f"{name}: {title}, session 1" for name in ("DEFNet", "LIQE") for title in ("LIVE In the Wild", "CSIQ")
    ]
    rows = tables[0][(tables[0]["part"] == "test") & (tables[0]["dataset"] == "csiq")]
    points, band = grid[1].collections
    np.testing.assert_allclose(points.get_offsets(), rows[["score", "quality"]])
    x, curve = grid[1].get_lines()[0].get_data()
    outline = band.get_paths()[0].vertices
    at = len(x) // 2
    edges = outline[np.isclose(outline[:, 0], x[at]), 1]
    assert edges.min() < curve[at] < edges.max()
    np.testing.assert_allclose(edges.max() + edges.min(), 2 * curve[at], rtol=1e-9)
    width = correlations(rows["score"], rows["quality"])["band_logistic"]
    assert f"95 % band {width:.2f} wide" in grid[1].get_legend().get_texts()[0].get_text()
    assert results[0].figures["test"]["csiq"]["band_logistic"] == pytest.approx(width)


def test_figure_5_is_the_histogram_of_ratings_and_of_errors(runs: Runs) -> None:
    _, tables = runs
    grid = figure_5(*runs).axes
    own = [table[table["dataset"] == "csiq"] for table in tables]
    rated = pd.concat(own).drop_duplicates("image")
    assert len(rated) == 60
    assert grid[1].get_title() == "CSIQ\n60 images"
    error = np.concatenate([(t["quality"] - t["score"])[t["part"] == "test"] for t in own[:2]])
    for axes, values in ((grid[1], rated["quality"]), (grid[3], error)):
        heights = np.array([bar.get_height() for bar in axes.patches])
        widths = np.array([bar.get_width() for bar in axes.patches])
        edges = np.r_[[bar.get_x() for bar in axes.patches], axes.patches[-1].get_x() + widths[-1]]
        np.testing.assert_allclose(heights, np.histogram(values, edges, density=True)[0], rtol=1e-9)
        assert sum(heights * widths) == pytest.approx(1)
        density, normal = axes.get_lines()
        np.testing.assert_allclose(density.get_ydata(), stats.gaussian_kde(values)(density.get_xdata()))
        expected = stats.norm.pdf(normal.get_xdata(), np.mean(values), np.std(values, ddof=1))
        np.testing.assert_allclose(normal.get_ydata(), expected)


def test_figure_6_holds_quantiles_and_what_is_stated(runs: Runs) -> None:
    _, tables = runs
    lower = figure_6(*runs).axes[2]
    test = [t[(t["dataset"] == "live-challenge") & (t["part"] == "test")] for t in tables[:2]]
    errors, stated = (np.asarray(points.get_offsets()) for points in lower.collections)
    n = 80
    np.testing.assert_allclose(errors[:, 0], special.ndtri((np.arange(n) + 0.5) / n), rtol=1e-9)
    residual = np.concatenate([t["quality"] - t["score"] for t in test])
    np.testing.assert_allclose(errors[:, 1], np.sort((residual - residual.mean()) / residual.std()), rtol=1e-7)
    z = []
    for t in test:
        scale = np.sqrt(1.5 * t["beta"] * (1 + t["nu"]) / t["nu"] / (t["alpha_minus_one"] + 1))
        z.append(stats.norm.ppf(stats.t.cdf(t["quality"], 2 * (t["alpha_minus_one"] + 1), t["loc"], scale)))
    np.testing.assert_allclose(stated[:, 1], np.sort(np.concatenate(z)), rtol=1e-6)
    assert len(figure_6(runs[0][2:], runs[1][2:]).axes[2].collections) == 1, "nothing is stated, so nothing is drawn"


def test_normal_scores_of_true_statements_are_standard_normal(
    plant_predictions: Callable[..., pd.DataFrame],
) -> None:
    z = normal_scores(plant_predictions(5, val=0, test=4000), 1.0)
    # Errors are normal with the stated deviation; the stated Student t of 85 degrees of freedom is nearly that.
    assert abs(z.mean()) < 0.05
    assert abs(z.std() - 1) < 0.04


def test_reliability_counts_ratings_below_quantiles(runs: Runs) -> None:
    _, tables = runs
    axes = reliability(*runs).axes[0]
    rows = tables[0][(tables[0]["dataset"] == "live-challenge") & (tables[0]["part"] == "test")]
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    for label, factor in (("as trained", 1.0), ("variance × 1.50", 1.5)):
        scale = np.sqrt(factor * rows["beta"] * (1 + rows["nu"]) / rows["nu"] / (rows["alpha_minus_one"] + 1))
        below = stats.t.cdf(rows["quality"], 2 * (rows["alpha_minus_one"] + 1), rows["loc"], scale)
        x, y = lines[label].get_data()
        np.testing.assert_allclose(y[1:-1], [np.mean(below <= level) for level in x[1:-1]], atol=1e-12)
    with pytest.raises(DataError, match="states an uncertainty"):
        reliability(runs[0][2:], runs[1][2:])
