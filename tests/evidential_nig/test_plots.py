"""What the plots have drawn: the data of their lines, bars and bands."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.patches import StepPatch
from torch.distributions import Normal

from evidential_nig import NormalInverseGamma
from evidential_nig.calibration import ause, calibration_curve, pit, sparsification_curve
from evidential_nig.plots import (
    plot_calibration_curve,
    plot_pit_histogram,
    plot_regression,
    plot_sparsification,
)


@pytest.fixture(autouse=True)
def no_display():
    with mpl.rc_context({"backend": "agg"}):
        yield
    pyplot.close("all")


@pytest.fixture
def pair(generator):
    """Too narrow by half."""
    return Normal(torch.zeros(400), 1.0), 2 * torch.randn(400, generator=generator)


def lines(ax):
    return {line.get_label(): line for line in ax.get_lines()}


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_the_calibration_curve_is_drawn_from_corner_to_corner_with_its_band(pair):
    ax = plot_calibration_curve(*pair, label="narrow")
    curve = calibration_curve(*pair)
    x, y = lines(ax)["narrow"].get_data()
    np.testing.assert_array_equal(x, [0, *curve.expected, 1])
    np.testing.assert_array_equal(y, [0, *curve.observed, 1])
    np.testing.assert_array_equal(lines(ax)["calibrated"].get_data(), [[0, 1], [0, 1]])
    (band,) = ax.collections
    at_half = [y for x, y in band.get_paths()[0].vertices if x == 0.5]
    assert sorted(set(at_half)) == pytest.approx([0.5 - 1.96 * 0.5 / 20, 0.5 + 1.96 * 0.5 / 20])
    assert legend(ax) == ["calibrated", "narrow"]
    assert (ax.get_ylabel(), ax.get_aspect()) == ("observed share", 1)


def test_a_second_model_gets_a_colour_of_its_own_and_no_second_diagonal(pair):
    predictive, target = pair
    ax = plot_calibration_curve(predictive, target, label="narrow")
    same = plot_calibration_curve(Normal(predictive.loc, 2.0), target, label="right", ax=ax)
    assert same is ax
    assert legend(ax) == ["calibrated", "narrow", "right"]
    assert len(ax.collections) == 1
    assert lines(ax)["narrow"].get_color() != lines(ax)["right"].get_color()


def test_the_bars_of_the_histogram_are_shares_over_widths(pair):
    ax = plot_pit_histogram(*pair, bins=8)
    counts = np.histogram(pit(*pair).numpy(), bins=8, range=(0, 1))[0]
    bars = ax.containers[0]
    assert [bar.get_height() for bar in bars] == pytest.approx(list(counts / 400 * 8))
    assert [bar.get_x() for bar in bars] == pytest.approx([k / 8 for k in range(8)])
    assert set(lines(ax)["calibrated"].get_ydata()) == {1}
    # The standard error of a share of 1/8 among 400, times 8.
    (band,) = [patch for patch in ax.patches if patch not in bars]
    assert band.get_y() == pytest.approx(1 - 1.96 * 8 * (1 / 8 * 7 / 8 / 400) ** 0.5)
    assert band.get_y() + band.get_height() == pytest.approx(2 - band.get_y())
    assert ax.get_ylim()[1] > max(bar.get_height() for bar in bars)


def test_a_second_histogram_is_an_outline_with_a_name_and_a_colour_of_its_own(pair):
    predictive, target = pair
    ax = plot_pit_histogram(predictive, target, bins=8, label="narrow")
    plot_pit_histogram(Normal(predictive.loc, 0.2), target, bins=8, label="narrower", ax=ax)
    assert legend(ax) == ["calibrated", "narrow", "narrower"]
    assert len(ax.containers) == 1
    (outline,) = [patch for patch in ax.patches if isinstance(patch, StepPatch)]
    counts = np.histogram(pit(Normal(predictive.loc, 0.2), target).numpy(), bins=8, range=(0, 1))[0]
    np.testing.assert_allclose(outline.get_data().values, counts / 400 * 8)
    assert mpl.colors.same_color(outline.get_edgecolor(), "#D55E00")
    highest = ax.get_ylim()[1]
    assert highest > counts.max() / 400 * 8
    plot_pit_histogram(predictive, target, bins=8, label="again", ax=ax)
    assert ax.get_ylim()[1] == highest


def test_the_limits_hold_all_sparsification_curves(generator):
    uncertainty = torch.rand(60, generator=generator)
    error = uncertainty * torch.randn(60, generator=generator)
    ax = plot_sparsification(uncertainty, error, label="good")
    for factor in (10, 0.1):
        plot_sparsification(uncertainty, factor * error, label=f"times {factor}", ax=ax)
        highest = max(line.get_ydata().max() for line in ax.get_lines())
        assert ax.get_ylim()[0] == 0
        assert highest < ax.get_ylim()[1] < 1.2 * highest
    assert ax.get_xlim() == (0, 1)


def test_a_second_regression_in_the_same_axes_is_refused():
    x = torch.linspace(0, 1, 5)
    nig = NormalInverseGamma(x, 1.0, 2.0, 1.0)
    ax = plot_regression(x, nig)
    drawn = len(ax.get_children())
    with pytest.raises(ValueError, match="ax must not hold a model already"):
        plot_regression(x, nig, ax=ax)
    assert len(ax.get_children()) == drawn


@pytest.mark.parametrize("metric", ["rmse", "mae"])
def test_both_sparsification_curves_are_drawn_and_the_area_is_named(metric, generator):
    uncertainty = torch.rand(60, generator=generator)
    error = uncertainty * torch.randn(60, generator=generator)
    ax = plot_sparsification(uncertainty, error, metric=metric)
    curve = sparsification_curve(uncertainty, error, metric=metric)
    by_uncertainty = f"by uncertainty (AUSE {ause(uncertainty, error, metric=metric).item():.3f})"
    assert legend(ax) == [by_uncertainty, "oracle"]
    np.testing.assert_array_equal(lines(ax)[by_uncertainty].get_data(), [curve.fraction, curve.error])
    np.testing.assert_array_equal(lines(ax)["oracle"].get_data(), [curve.fraction, curve.oracle])
    assert ax.get_ylabel().startswith(metric.upper())
    plot_sparsification(-uncertainty, error, metric=metric, label="inverted", ax=ax)
    assert legend(ax)[3] == "oracle of inverted"
    assert lines(ax)["oracle of inverted"].get_color() != lines(ax)["oracle"].get_color()


def test_the_bands_of_a_regression_are_the_standard_deviations_of_each_uncertainty(generator):
    x = torch.randperm(30, generator=generator).double() / 10
    nig = NormalInverseGamma(x.sin(), 2 + x, 3.0, 1 + x.square())
    observations = x[:7], torch.rand(7, generator=generator)
    ax = plot_regression(x, nig, observations=observations, standard_deviations=1.5)
    ordered = np.sort(x.numpy())
    mean = lines(ax)["mean"]
    np.testing.assert_array_equal(mean.get_xdata(), ordered)
    np.testing.assert_allclose(mean.get_ydata(), np.sin(ordered))
    bands = {collection.get_label(): collection for collection in ax.collections}
    for name, variance in (
        ("aleatoric", (1 + ordered**2) / 2),
        ("epistemic", (1 + ordered**2) / 2 / (2 + ordered)),
    ):
        vertices = bands[f"± 1.5 {name} standard deviations"].get_paths()[0].vertices
        for at, centre, spread in zip(ordered, np.sin(ordered), np.sqrt(variance), strict=True):
            edges = {round(y, 9) for px, y in vertices if px == at}
            assert {round(centre - 1.5 * spread, 9), round(centre + 1.5 * spread, 9)} <= edges
    np.testing.assert_allclose(bands["observations"].get_offsets(), torch.stack(observations, dim=-1).numpy())
    assert len(legend(ax)) == 4


def test_what_requires_a_gradient_or_is_in_half_precision_is_drawn_too():
    x = torch.linspace(0, 1, 5, dtype=torch.bfloat16)
    nig = NormalInverseGamma(x.clone().requires_grad_(), 1.0, 2.0, 1.0)
    np.testing.assert_allclose(lines(plot_regression(x, nig))["mean"].get_ydata(), x.double().numpy())


def test_every_plot_draws_into_the_axes_that_it_is_given(pair):
    _, axes = pyplot.subplots(2, 2)
    x = torch.linspace(0, 1, 5)
    assert plot_calibration_curve(*pair, ax=axes[0, 0]) is axes[0, 0]
    assert plot_pit_histogram(*pair, ax=axes[0, 1]) is axes[0, 1]
    assert plot_sparsification(x, x, ax=axes[1, 0]) is axes[1, 0]
    assert plot_regression(x, NormalInverseGamma(x, 1.0, 2.0, 1.0), ax=axes[1, 1]) is axes[1, 1]
    assert len(pyplot.get_fignums()) == 1


def test_bad_input_is_refused_before_anything_is_drawn(pair):
    x = torch.linspace(0, 1, 5)
    nig = NormalInverseGamma(x, 1.0, 2.0, 1.0)
    with pytest.raises(ValueError, match=r"take nig\[:, 0\].*\(5,\) and \(5, 1\)"):
        plot_regression(x, nig.map(lambda p: p.unsqueeze(-1)))
    with pytest.raises(ValueError, match=r"observations must be two tensors of one shape .* \(5,\) and \(4,\)"):
        plot_regression(x, nig, observations=(x, x[1:]))
    with pytest.raises(ValueError, match="standard_deviations must be a finite number above 0, got 0"):
        plot_regression(x, nig, standard_deviations=0)
    with pytest.raises(ValueError, match="bins must be at least 2, got 1"):
        plot_pit_histogram(*pair, bins=1)
    with pytest.raises(ValueError, match="target must have exactly the batch shape"):
        plot_calibration_curve(pair[0], pair[1][1:])
    assert not pyplot.get_fignums()


def test_the_package_does_not_import_matplotlib_and_without_it_the_plots_say_how_to_get_it():
    program = """
import sys
sys.modules["matplotlib"] = None  # what a missing package looks like to an import
import evidential_nig, evidential_nig.calibration, evidential_nig.recalibration
try:
    import evidential_nig.plots
except ImportError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "evidential-nig[plots]"' in result.stdout
