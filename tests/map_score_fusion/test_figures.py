"""What the pictures show, read from the drawn figures: values, legible names, paper that shows through."""

import itertools

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from map_score_fusion.figures import (
    plot_metric_curves,
    plot_noise_against_srcc,
    plot_residual_correlations,
    plot_weights,
)


def names(count):
    return [f"metric {at}" for at in range(count)]


def weights_of(count):
    weights = np.random.default_rng(0).dirichlet(np.arange(1, count + 1), size=500)
    weights[7] = np.nan
    return weights


def weights_figure(count):
    return plot_weights(names(count), weights_of(count))


def correlations_of(count):
    values = np.random.default_rng(0).uniform(-1, 1, size=(count, count))
    return np.triu(values, 1) + np.triu(values, 1).T + np.eye(count)


def correlations_figure(count):
    return plot_residual_correlations(names(count), correlations_of(count))


def noise_figure(count):
    figures = np.random.default_rng(0).uniform(size=(2, count))
    return plot_noise_against_srcc(*(pd.Series(values, names(count)) for values in figures))


def curves_figure(count):
    fused = np.linspace(0, 1, 300)
    scores = np.random.default_rng(0).normal(size=(300, count)) * 0.1 + fused[:, None]
    return plot_metric_curves(names(count), scores, fused)


ALL = pytest.mark.parametrize("figure_of", [weights_figure, correlations_figure, noise_figure, curves_figure])


def boxes(figure, texts):
    """Where texts stand on the drawn figure, and the figure's own box."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # Of an annotation, without its arrow.
    return [Text.get_window_extent(text, canvas.get_renderer()) for text in texts], figure.bbox


@pytest.mark.parametrize("count", [1, 4, 30])
@pytest.mark.parametrize(
    ("figure_of", "texts_of"),
    [
        (weights_figure, lambda axes: axes.get_yticklabels()),
        (correlations_figure, lambda axes: axes.get_yticklabels()),
        (noise_figure, lambda axes: axes.texts),
    ],
)
def test_names_do_not_cover_each_other_and_stand_within_the_picture(count, figure_of, texts_of):
    figure = figure_of(count)
    texts = texts_of(figure.axes[0])
    found, whole = boxes(figure, texts)
    assert sorted(text.get_text() for text in texts) == sorted(names(count))
    for one, other in itertools.combinations(found, 2):
        assert not one.overlaps(other)
    for box in found:
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    if count < 30 and figure_of is not correlations_figure:
        assert whole.height < whole.width


@ALL
def test_the_papers_colour_shows_through(figure_of):
    figure = figure_of(4)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())
    assert pixels[0, 0, 3] == 0
    assert (pixels[..., 3] == 0).mean() > 0.2
    # Whatever the user's own style says.
    with mpl.rc_context(
        {"axes.facecolor": "black", "figure.facecolor": "black", "axes.prop_cycle": "cycler(color='r')"}
    ):
        again = FigureCanvasAgg(figure_of(4))
        again.draw()
        assert (np.asarray(again.buffer_rgba()) == pixels).all()


@pytest.mark.parametrize("figure_of", [weights_figure, noise_figure, curves_figure])
def test_values_can_be_read_off_by_faint_lines_behind_them(figure_of):
    axes = figure_of(4).axes[0]
    [line, *_] = axes.get_xgridlines()
    assert line.get_visible()
    assert line.get_alpha() < 0.5
    assert axes.get_axisbelow()
    assert not axes.spines["top"].get_visible()
    assert not axes.spines["right"].get_visible()


def test_weights_are_means_and_where_nine_of_ten_images_lie():
    axes = weights_figure(5).axes[0]
    known = np.delete(weights_of(5), 7, axis=0) * 100
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(known.mean(axis=0))  # drawn with rising weights
    [lines] = axes.collections
    ends = np.array([segment[:, 0] for segment in lines.get_segments()])
    for (low, high), column in zip(ends, known.T, strict=True):
        assert np.mean(column < low) == pytest.approx(0.05, abs=0.01)
        assert np.mean(column > high) == pytest.approx(0.05, abs=0.01)
    assert axes.get_xlim()[0] == 0
    # All bars are whole, and there is no room for another.
    low, high = axes.get_ylim()
    assert low < axes.patches[0].get_y()
    assert axes.patches[-1].get_y() + axes.patches[-1].get_height() < high
    assert high - low < 6


def test_residual_correlations_are_opacities_with_the_sign_in_the_colour():
    correlations = correlations_of(6)
    axes = correlations_figure(6).axes[0]
    picture = axes.images[0].get_array()
    off = ~np.eye(6, dtype=bool)
    order = np.argsort(np.abs(correlations[off]))
    assert (np.diff(picture[..., 3][off][order]) >= 0).all()
    assert len(np.unique(picture[correlations > 0][:, :3], axis=0)) == 1
    assert len(np.unique(picture[correlations < 0][:, :3], axis=0)) == 1
    shown = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}
    assert set(shown) == {(row, column) for row in range(6) for column in range(6) if row != column}
    for place, text in shown.items():
        assert float(text) == pytest.approx(correlations[place], abs=0.0501)
    assert not correlations_figure(25).axes[0].texts


def test_without_a_curve_the_middle_and_spread_of_the_scores_are_drawn():
    fused = np.random.default_rng(1).uniform(size=5000)
    noise = np.random.default_rng(2).normal(size=5000)
    scores = np.stack([2 * fused + 0.1 * noise, fused], axis=1)
    scores[:50, 0] = [np.nan, np.inf] * 25
    scores[50, 0] = 40.0  # far off: the axes leave it out
    axes = plot_metric_curves(["a", "b"], scores, fused).axes[0]
    x, middle = axes.lines[-1].get_xydata().T
    assert middle == pytest.approx(2 * x, abs=0.06)
    band = axes.collections[0].get_paths()[0].vertices
    half_width = np.abs(band[:, 1] - 2 * band[:, 0])[2:-2]
    # One deviation on either side holds 68 %, and a bin is as wide as 2/25 of the scores.
    assert np.median(half_width) == pytest.approx(np.hypot(0.1, 0.08 / np.sqrt(12)), rel=0.15)
    assert np.isfinite(axes.lines[0].get_ydata()).all()
    assert axes.get_ylim() == pytest.approx((-0.2, 2.2), abs=0.2)


@pytest.mark.parametrize(("count", "panels"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 3)), (7, (3, 3))])
def test_there_is_a_panel_for_each_metric_and_no_row_of_empty_ones(count, panels):
    figure = curves_figure(count)
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == panels
    assert [axes.get_title(loc="left") for axes in figure.axes] == [*names(count), *[""] * (np.prod(panels) - count)]
    assert [axes.axison for axes in figure.axes] == [True] * count + [False] * (np.prod(panels) - count)
