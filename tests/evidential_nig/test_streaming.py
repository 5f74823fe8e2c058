"""Every figure over batches is the one-shot figure to rounding, however the data are cut, ordered and merged."""

import copy
import pickle

import pytest
import torch
from torch.distributions import Normal

from evidential_nig import NormalInverseGamma, calibration, streaming

N = 400


class Case:
    """A metric, what a batch of it is, and the function that it must agree with."""

    def __init__(self, metric, one_shot, *, ranking=False, target=True):
        self.metric, self.one_shot, self.ranking, self.target = metric, one_shot, ranking, target

    def batch(self, data, rows):
        nig, target = data[0][rows], data[1][rows]
        if self.ranking:
            return nig.predictive_variance, target - nig.loc
        return (nig.predictive(), target) if self.target else (nig.predictive(),)

    def everything(self, data):
        return self.one_shot(*self.batch(data, slice(None)))


LEVELS = [0.5, 0.8, 0.95]
CASES = {
    "coverage": Case(lambda: streaming.Coverage(LEVELS), lambda p, t: calibration.interval_coverage(p, t, LEVELS)),
    "coverage of one level": Case(
        lambda: streaming.Coverage(0.9), lambda p, t: calibration.interval_coverage(p, t, 0.9)
    ),
    "calibration error": Case(streaming.QuantileCalibrationError, calibration.quantile_calibration_error),
    "squared calibration error": Case(
        lambda: streaming.QuantileCalibrationError([0.1, 0.6], order=2),
        lambda p, t: calibration.quantile_calibration_error(p, t, [0.1, 0.6], order=2),
    ),
    "miscalibration area": Case(streaming.MiscalibrationArea, calibration.miscalibration_area),
    "miscalibration area at levels": Case(
        lambda: streaming.MiscalibrationArea([0.9, 0.3]), lambda p, t: calibration.miscalibration_area(p, t, [0.9, 0.3])
    ),
    "nll": Case(streaming.NegativeLogLikelihood, calibration.nll),
    "crps": Case(streaming.ContinuousRankedProbabilityScore, calibration.crps),
    "sharpness": Case(streaming.Sharpness, calibration.sharpness, target=False),
    "ause": Case(streaming.AUSE, calibration.ause, ranking=True),
    "ause in units": Case(
        lambda: streaming.AUSE(metric="mae", normalized=False),
        lambda u, e: calibration.ause(u, e, metric="mae", normalized=False),
        ranking=True,
    ),
    "correlation": Case(streaming.ErrorUncertaintyCorrelation, calibration.error_uncertainty_correlation, ranking=True),
    "ence": Case(streaming.ENCE, calibration.expected_normalized_calibration_error, ranking=True),
    "ence of 7 bins": Case(
        lambda: streaming.ENCE(bins=7),
        lambda v, e: calibration.expected_normalized_calibration_error(v, e, bins=7),
        ranking=True,
    ),
    "summary": Case(streaming.Summary, calibration.summarize),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture(scope="module")
def data():
    generator = torch.Generator().manual_seed(3)
    draw = torch.rand(4, N, generator=generator, dtype=torch.float64)
    # Equal variances among them, so that ties across batches count.
    nig = NormalInverseGamma.from_alpha_minus_one(
        draw[0], 0.5 + draw[1].round(decimals=1), 1.5, 0.2 + draw[2].round(decimals=1)
    )
    return nig, nig.loc + torch.randn(N, generator=generator, dtype=torch.float64) * (0.2 + draw[3])


def figures(value):
    """One number or several as a vector."""
    if isinstance(value, calibration.CalibrationSummary):
        return torch.tensor(list(value.as_dict().values()), dtype=torch.float64)
    return value.reshape(-1)


def assert_same(found, expected):
    torch.testing.assert_close(figures(found), figures(expected), rtol=1e-12, atol=1e-13)


def fed(case, data, pieces):
    metric = case.metric()
    for rows in pieces:
        metric.update(*case.batch(data, rows))
    return metric


@each_case
@pytest.mark.parametrize("size", [1, 30, 133, N])
def test_whatever_the_batches_it_is_the_figure_of_all_data(case, size, data):
    rows = torch.randperm(N, generator=torch.Generator().manual_seed(size)) if size > 1 else torch.arange(N)
    pieces = rows.split(size) if size > 1 else rows[:40].split(1)
    data = data if size > 1 else (data[0][:40], data[1][:40])
    metric = fed(case, data, pieces)
    assert metric.n == len(data[1])
    assert_same(metric.compute(), case.everything(data))


@each_case
def test_merging_is_associative_and_commutative(case, data):
    rows = torch.randperm(N, generator=torch.Generator().manual_seed(1)).split(150)

    def one(number):
        return fed(case, data, rows[number].split(60))

    def merged(*metrics):
        first = copy.deepcopy(metrics[0])
        for metric in metrics[1:]:
            first.merge_state(metric)
        return first

    left = merged(merged(one(0), one(1)), one(2))
    right = merged(one(0), merged(one(1), one(2)))
    backwards = merged(one(2), one(1), one(0))
    for metric in (left, right, backwards):
        assert metric.n == N
        assert_same(metric.compute(), case.everything(data))


@each_case
def test_a_call_takes_the_batch_in_and_returns_its_figure_alone(case, data):
    metric = case.metric()
    halves = slice(0, 150), slice(150, N)
    for half in halves:
        assert_same(metric(*case.batch(data, half)), case.one_shot(*case.batch(data, half)))
    assert_same(metric.compute(), case.everything(data))


@each_case
def test_reset_forgets_and_without_data_there_is_no_figure(case, data):
    metric = fed(case, data, [slice(0, 150)])
    metric.reset()
    assert metric.n == 0
    with pytest.raises(ValueError, match="has seen no target; call update before compute"):
        metric.compute()
    metric.update(*case.batch(data, slice(150, N)))
    assert_same(metric.compute(), case.one_shot(*case.batch(data, slice(150, N))))


@each_case
def test_compute_changes_nothing(case, data):
    metric = fed(case, data, [slice(0, 150)])
    first = metric.compute()
    assert_same(metric.compute(), first)
    metric.update(*case.batch(data, slice(150, N)))
    assert_same(metric.compute(), case.everything(data))


@each_case
def test_a_state_travels_between_processes_and_files(case, data, tmp_path):
    metric = fed(case, data, [slice(0, 150)])
    torch.save(metric.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = case.metric()
    again.update(*case.batch(data, slice(0, 10)))
    again.load_state_dict(state)
    assert again.n == 150
    other = pickle.loads(pickle.dumps(fed(case, data, [slice(150, N)])))
    other.merge_state(state)
    for whole in (other, other.synced()):
        assert_same(whole.compute(), case.everything(data))
    again.merge_state(fed(case, data, [slice(150, N)]).state_dict())
    assert_same(again.compute(), case.everything(data))


@each_case
def test_no_gradient_and_no_graph_are_kept(case, data):
    nig = data[0].map(lambda parameter: parameter.clone().requires_grad_())
    metric = case.metric()
    metric.update(*case.batch((nig, data[1]), slice(0, 50)))
    state = metric.state_dict()
    assert not any(value.requires_grad for kind in ("sums", "rows") for value in state[kind].values())


def test_sums_of_many_batches_lose_nothing():
    """A plain sum of a million small scores beside a large one is off in the tenth digit."""
    metric = streaming.NegativeLogLikelihood()
    large, small = torch.tensor(1e16, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    metric._add("score", large)
    for _ in range(1000):
        metric._add("score", small)
    metric._add("score", -large)
    assert metric._sum("score") == 1000


def test_a_likelihood_of_zero_is_an_infinite_figure_and_not_nan():
    metric = streaming.NegativeLogLikelihood()
    uniform = torch.distributions.Uniform(torch.zeros(2), torch.ones(2), validate_args=False)
    metric.update(uniform, torch.tensor([0.5, 2.0]))
    metric.update(uniform, torch.tensor([0.5, 0.5]))
    assert metric.compute() == torch.inf


def test_a_ranking_may_be_of_another_uncertainty(data):
    nig, target = data
    summary = streaming.Summary(0.5)
    for rows in (slice(0, 100), slice(100, N)):
        summary.update(nig[rows].predictive(), target[rows], nig[rows].epistemic)
    assert_same(summary.compute(), calibration.summarize(nig.predictive(), target, nig.epistemic, 0.5))


def test_states_of_other_metrics_and_options_are_refused(data):
    coverage = fed(CASES["coverage"], data, [slice(0, 10)])
    for other in (streaming.Coverage(0.5), streaming.MiscalibrationArea(LEVELS), streaming.Sharpness()):
        with pytest.raises(ValueError, match="incoming must be the state of"):
            other.merge_state(coverage)
        with pytest.raises(ValueError, match="incoming must be the state of"):
            other.load_state_dict(coverage.state_dict())
        assert other.n == 0
    with pytest.raises(TypeError, match="incoming must be a metric or its state_dict, got int"):
        coverage.merge_state(3)
    assert repr(streaming.AUSE(metric="mae")) == "AUSE(metric='mae', normalized=True)"
    assert repr(streaming.Coverage(0.5)) == "Coverage(levels=0.5)"


def test_a_bad_batch_is_refused_and_leaves_the_metric_as_it_was(data):
    for name, case in CASES.items():
        metric = fed(case, data, [slice(0, 100)])
        before = metric.compute()
        nig, target = data[0][:3], torch.tensor([0.0, torch.nan, 0.0], dtype=torch.float64)
        if name == "sharpness":
            with pytest.raises(TypeError, match="predictive"):
                metric.update(nig)
        else:
            with pytest.raises(ValueError, match="must be finite, but 1 of 3"):
                metric.update(*case.batch((nig, target), slice(None)))
        assert metric.n == 100
        assert_same(metric.compute(), before)


def test_ence_needs_as_many_targets_as_bins():
    metric = streaming.ENCE(bins=5)
    metric.update(torch.ones(4), torch.ones(4))
    with pytest.raises(ValueError, match="bins must be at least 1 and at most 4, got 5"):
        metric.compute()
    metric.update(torch.ones(1), torch.ones(1))
    assert metric.compute() == 0


def test_an_unknown_option_is_refused():
    with pytest.raises(ValueError, match='metric must be "rmse" or "mae", got \'max\''):
        streaming.AUSE(metric="max")


def test_a_normal_is_scored_too():
    metric = streaming.ContinuousRankedProbabilityScore()
    metric.update(Normal(torch.zeros(2), 1.0), torch.tensor([0.0, 1.0]))
    assert metric.compute() == calibration.crps(Normal(torch.zeros(2), 1.0), torch.tensor([0.0, 1.0]))
