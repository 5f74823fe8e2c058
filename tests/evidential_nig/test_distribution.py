import copy
import pickle

import mpmath
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mpf
from torch.distributions import Distribution, Independent
from torch.utils._pytree import tree_map

import evidential_nig
from evidential_nig import NormalInverseGamma, calibration, nig_nll


@pytest.fixture
def nig(generator):
    def draw(low, high):
        return low + (high - low) * torch.rand(4, 3, generator=generator)

    return NormalInverseGamma(draw(-1, 1), draw(0.5, 3), draw(1.5, 6), draw(0.5, 2))


def moments(nig):
    return {
        name: getattr(nig, name)
        for name in (
            "mean",
            "mode",
            "aleatoric",
            "epistemic",
            "predictive_df",
            "predictive_scale",
            "predictive_variance",
        )
    }


def test_parameters_are_broadcast_and_numbers_allowed():
    nig = NormalInverseGamma(torch.zeros(4, 1), torch.ones(3), 2, 0.5)
    assert isinstance(nig, Distribution)
    assert nig.batch_shape == (4, 3)
    assert nig.event_shape == (2,)
    for parameter in (nig.loc, nig.nu, nig.alpha, nig.alpha_minus_one, nig.beta):
        assert parameter.shape == (4, 3)
    assert NormalInverseGamma(0.0, 1.0, 2.0, 1.0).batch_shape == ()


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ((float("nan"), 1.0, 2.0, 1.0), "loc"),
        ((0.0, 0.0, 2.0, 1.0), "nu"),
        ((0.0, -1.0, 2.0, 1.0), "nu"),
        ((0.0, 1.0, 0.5, 1.0), "alpha"),
        ((0.0, 1.0, 1.0, 1.0), "alpha"),
        ((0.0, 1.0, float("nan"), 1.0), "alpha"),
        ((0.0, 1.0, 2.0, 0.0), "beta"),
    ],
)
def test_a_parameter_outside_its_range_is_named(parameters, named):
    with pytest.raises(ValueError, match=f"parameter {named} "):
        NormalInverseGamma(*parameters, validate_args=True)
    assert NormalInverseGamma(*parameters, validate_args=False).batch_shape == ()


@pytest.mark.parametrize("alpha_minus_one", [0.0, -1e-3])
def test_alpha_minus_one_must_be_positive(alpha_minus_one):
    with pytest.raises(ValueError, match="alpha"):
        NormalInverseGamma.from_alpha_minus_one(0.0, 1.0, alpha_minus_one, 1.0, validate_args=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_alpha_minus_one_is_kept_where_alpha_rounds_to_one(dtype):
    tiny = torch.tensor(1e-6, dtype=dtype)
    nig = NormalInverseGamma.from_alpha_minus_one(torch.zeros((), dtype=dtype), 1.0, tiny, tiny, validate_args=True)
    assert nig.alpha == 1 or dtype == torch.float32
    assert nig.alpha_minus_one == tiny
    assert nig.aleatoric == 1
    assert nig.expand((2,))[0].alpha_minus_one == tiny


def test_validation_accepts_alpha_minus_one_of_1e_minus_10_in_single_precision():
    nig = NormalInverseGamma.from_alpha_minus_one(torch.tensor(0.0), 1.0, 1e-10, 1e-10, validate_args=True)
    assert nig.alpha == 1
    assert nig.aleatoric == 1


def test_moments_follow_their_formulas(nig):
    nu, alpha, beta = (p.double() for p in (nig.nu, nig.alpha, nig.beta))
    torch.testing.assert_close(nig.aleatoric.double(), beta / (alpha - 1))
    torch.testing.assert_close(nig.epistemic.double(), beta / (nu * (alpha - 1)))
    torch.testing.assert_close(nig.predictive_df.double(), 2 * alpha)
    torch.testing.assert_close(nig.predictive_scale.double(), (beta * (1 + nu) / (nu * alpha)).sqrt())
    torch.testing.assert_close(nig.predictive_variance, nig.aleatoric + nig.epistemic)
    torch.testing.assert_close(nig.mean, torch.stack([nig.loc, nig.aleatoric], -1))
    torch.testing.assert_close(nig.mode[..., 1].double(), beta / (alpha + 1.5))


def test_predictive_variance_is_that_of_the_predictive_student_t(nig):
    student = torch.distributions.StudentT(nig.predictive_df, nig.loc, nig.predictive_scale)
    torch.testing.assert_close(nig.predictive_variance, student.variance)


def test_aleatoric_is_the_noise_and_epistemic_what_evidence_for_the_mean_removes():
    little, much = (NormalInverseGamma(0.0, nu, 3.0, 4.0) for nu in (1.0, 1e6))
    assert little.aleatoric == much.aleatoric == 2
    assert little.epistemic == 2
    assert much.epistemic == 2e-6


def test_samples_have_the_moments_of_the_distribution():
    torch.manual_seed(3)
    nig = NormalInverseGamma(torch.tensor([1.0, -2.0]), torch.tensor([2.0, 0.5]), 6.0, 4.0)
    samples = nig.sample((200_000,))
    assert samples.shape == (200_000, 2, 2)
    torch.testing.assert_close(samples.mean(0), nig.mean, rtol=0.02, atol=0.02)
    torch.testing.assert_close(samples.var(0), nig.variance, rtol=0.06, atol=0.0)
    observations = samples[..., 0] + samples[..., 1].sqrt() * torch.randn(200_000, 2)
    torch.testing.assert_close(observations.var(0), nig.predictive_variance, rtol=0.03, atol=0.0)
    assert nig.support.check(samples).all()


def test_the_variance_of_sigma_squared_is_infinite_up_to_alpha_2():
    nig = NormalInverseGamma(0.0, 1.0, torch.tensor([1.5, 2.0, 3.0]), 2.0)
    assert nig.variance[:, 1].tolist() == [float("inf"), float("inf"), 1.0]


def test_rsample_has_gradients_to_every_parameter():
    torch.manual_seed(4)
    parameters = [torch.tensor(v, requires_grad=True) for v in (1.0, 2.0, 6.0, 4.0)]
    samples = NormalInverseGamma(*parameters).rsample((100_000,))
    gradients = torch.autograd.grad(samples[:, 1].mean(), parameters[2:])
    # E[σ²] = β/(α − 1), so its slopes are −β/(α − 1)² and 1/(α − 1).
    torch.testing.assert_close(torch.stack(gradients), torch.tensor([-4 / 25, 1 / 5]), rtol=0.03, atol=0.0)
    gradients = torch.autograd.grad(NormalInverseGamma(*parameters).rsample((100,))[:, 0].sum(), parameters)
    assert all(gradient != 0 for gradient in gradients)


def test_the_mode_is_where_the_density_is_highest(nig):
    nig = nig.map(torch.Tensor.double)

    def log_density(mu, sigma_squared):
        normal = torch.distributions.Normal(nig.loc, (sigma_squared / nig.nu).sqrt())
        return normal.log_prob(mu) + torch.distributions.InverseGamma(nig.alpha, nig.beta).log_prob(sigma_squared)

    mode = nig.mode.requires_grad_()
    (slope,) = torch.autograd.grad(log_density(*mode.unbind(-1)).sum(), mode)
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-9)


def test_expand_shares_memory_and_keeps_the_parameters(nig):
    wide = nig.expand((5, 4, 3))
    assert type(wide) is NormalInverseGamma
    assert wide.batch_shape == (5, 4, 3)
    assert wide.loc.data_ptr() == nig.loc.data_ptr()
    for name, value in moments(nig).items():
        assert torch.equal(getattr(wide, name)[3], value)


def test_indexing_and_map_act_on_all_parameters(nig):
    row, column, chosen = nig[1], nig[..., 2], nig[torch.tensor([True, False, True, False])]
    assert (row.batch_shape, column.batch_shape, chosen.batch_shape) == ((3,), (4,), (2, 3))
    assert torch.equal(column.aleatoric, nig.aleatoric[:, 2])
    assert torch.equal(chosen.epistemic, nig.epistemic[::2])
    double = nig.map(torch.Tensor.double)
    assert double.beta.dtype == torch.float64
    assert torch.equal(double.nu.float(), nig.nu)


def test_copies_and_pickles_are_equal(nig):
    for other in (copy.deepcopy(nig), pickle.loads(pickle.dumps(nig))):
        for name, value in moments(nig).items():
            assert torch.equal(getattr(other, name), value)


def test_repr_says_what_it_is(nig):
    assert repr(nig) == "NormalInverseGamma(batch_shape=(4, 3), dtype=torch.float32)"


def test_softplus_minus_one_does_not_underflow():
    """1 + softplus(x) − 1 is 0 at −20 in single precision and at −8 in bfloat16."""
    assert (1 + torch.nn.functional.softplus(torch.tensor(-20.0)) - 1) == 0
    zero = torch.zeros(())
    at_20 = NormalInverseGamma.from_unconstrained(zero, zero, torch.tensor(-20.0), zero, floor=0.0)
    torch.testing.assert_close(at_20.alpha_minus_one, torch.tensor(2.0611536e-09))
    at_8 = NormalInverseGamma.from_unconstrained(*torch.tensor([0.0, 0.0, -8.0, 0.0], dtype=torch.bfloat16), floor=0.0)
    torch.testing.assert_close(at_8.alpha_minus_one, torch.tensor(3.3540637e-04))


def test_from_unconstrained_is_softplus_plus_floor():
    raw = torch.linspace(-60, 60, 41, dtype=torch.float64)
    nig = NormalInverseGamma.from_unconstrained(raw, raw, raw, raw, floor=1e-3)
    exact = torch.logaddexp(raw, torch.zeros_like(raw)) + 1e-3
    assert torch.equal(nig.loc, raw)
    for parameter in (nig.nu, nig.alpha_minus_one, nig.beta):
        torch.testing.assert_close(parameter, exact, rtol=1e-15, atol=0)


raw = st.floats(-200, 200, width=16)


@given(st.tuples(raw, raw, raw, raw), st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
@example((0.0, -200.0, -200.0, 200.0), torch.float32)
@example((0.0, -110.0, -14.0, -110.0), torch.float32)
@example((0.0, -13.8, -13.8, 200.0), torch.float32)
def test_moments_and_their_gradients_are_finite_for_raw_outputs_within_200(values, dtype):
    # A half-precision layer rounds the raw outputs; gradients beyond 65504 do not fit float16, so they stay in float32.
    leaves = torch.tensor(values, dtype=dtype).float().requires_grad_()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        nig = NormalInverseGamma.from_unconstrained(*leaves)
        for name, moment in moments(nig).items():
            assert moment.dtype == torch.float32, name
            assert moment.isfinite().all(), name
            (gradient,) = torch.autograd.grad(moment.sum(), leaves, retain_graph=True)
            assert gradient.isfinite().all(), name


def exact_log_density(loc, nu, alpha_minus_one, beta, mu, sigma_squared):
    loc, nu, less, beta, mu, v = (mpf(x) for x in (loc, nu, alpha_minus_one, beta, mu, sigma_squared))
    alpha = 1 + less
    normal = mpmath.log(nu / (2 * mpmath.pi * v)) / 2 - nu * (mu - loc) ** 2 / (2 * v)
    return normal + alpha * mpmath.log(beta) - mpmath.loggamma(alpha) - (alpha + 1) * mpmath.log(v) - beta / v


wide = st.floats(1e-3, 1e4)


@given(st.floats(-10, 10), wide, wide, wide, st.floats(-10, 10), st.floats(1e-2, 1e2))
def test_log_prob_against_mpmath(loc, nu, alpha_minus_one, beta, mu, sigma_squared):
    row = [torch.tensor(x, dtype=torch.float64) for x in (loc, nu, alpha_minus_one, beta)]
    value = torch.tensor([mu, sigma_squared], dtype=torch.float64)
    expected = float(exact_log_density(loc, nu, alpha_minus_one, beta, mu, sigma_squared))
    computed = NormalInverseGamma.from_alpha_minus_one(*row).log_prob(value).item()
    assert computed == pytest.approx(expected, rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("alpha_minus_one", [1e-6, 1.0, 1e3, 1e6, 1e8])
def test_log_prob_and_entropy_keep_their_digits_in_single_precision(alpha_minus_one):
    nig = NormalInverseGamma.from_alpha_minus_one(torch.tensor(1.0), 2.0, alpha_minus_one, alpha_minus_one)
    row = (1.0, 2.0, nig.alpha_minus_one.item(), nig.beta.item())
    value = torch.tensor([1.5, 1 + alpha_minus_one**-0.5])
    expected = float(exact_log_density(*row, *value.tolist()))
    assert nig.log_prob(value).item() == pytest.approx(expected, rel=3e-6, abs=1e-3 if alpha_minus_one > 1e7 else 1e-5)
    nu, alpha, beta = mpf(row[1]), 1 + mpf(row[2]), mpf(row[3])
    entropy = (
        mpmath.log(2 * mpmath.pi * mpmath.e / nu) / 2
        + mpf(3) / 2 * mpmath.log(beta)
        + alpha
        + mpmath.loggamma(alpha)
        - (alpha + mpf(3) / 2) * mpmath.psi(0, alpha)
    )
    assert nig.entropy().item() == pytest.approx(float(entropy), rel=2e-6, abs=2e-6)


def test_log_prob_integrates_to_one_and_its_mean_is_the_entropy():
    nig = NormalInverseGamma(*(torch.tensor(x, dtype=torch.float64) for x in (0.5, 2.0, 3.0, 1.0)))

    mu = torch.linspace(-40, 40, 4001, dtype=torch.float64)
    log_variance = torch.linspace(-8, 9, 1001, dtype=torch.float64)
    pairs = torch.stack(torch.meshgrid(mu, log_variance.exp(), indexing="ij"), dim=-1)
    over_mu = torch.trapezoid(nig.log_prob(pairs).exp(), mu, dim=0)
    total = torch.trapezoid(over_mu * log_variance.exp(), log_variance)
    assert total.item() == pytest.approx(1, abs=1e-6)
    torch.manual_seed(3)
    drawn = -nig.log_prob(nig.sample((200_000,)))
    assert abs(drawn.mean() - nig.entropy()) < 4 * drawn.std() / 200_000**0.5


def test_log_prob_peaks_at_the_mode(nig):
    mode = nig.mode.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(nig.log_prob(mode).sum(), mode)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=2e-5, rtol=0)


def test_log_prob_broadcasts_and_refuses_values_outside_the_support(nig):
    assert nig.log_prob(torch.tensor([0.0, 1.0])).shape == (4, 3)
    assert nig.log_prob(nig.sample((5,))).shape == (5, 4, 3)
    checked = NormalInverseGamma(nig.loc, nig.nu, nig.alpha, nig.beta, validate_args=True)
    for bad in ([0.0, -1.0], [0.0, 0.0], [float("nan"), 1.0]):
        with pytest.raises(ValueError, match="within the support"):
            checked.log_prob(torch.tensor(bad))


def test_log_prob_and_entropy_are_differentiable(generator):
    values = [(torch.rand(3, generator=generator, dtype=torch.float64) + 0.3).requires_grad_() for _ in range(4)]
    pairs = (torch.rand(3, 2, generator=generator, dtype=torch.float64) + 0.3).requires_grad_()

    def both(pairs, *parameters):
        nig = NormalInverseGamma.from_alpha_minus_one(*parameters)
        return nig.log_prob(pairs), nig.entropy()

    assert torch.autograd.gradcheck(both, (pairs, *values), check_forward_ad=True)


def test_independent_of_it_is_one_event(nig):
    together = Independent(nig, 1)
    assert (together.batch_shape, together.event_shape) == ((4,), (3, 2))
    pairs = nig.sample()
    torch.testing.assert_close(together.log_prob(pairs), nig.log_prob(pairs).sum(-1))
    torch.testing.assert_close(together.entropy(), nig.entropy().sum(-1))


def test_the_predictive_distribution_is_the_student_t_of_the_samples(nig):
    predictive = nig.predictive()
    torch.testing.assert_close(predictive.mean, nig.loc)
    torch.testing.assert_close(predictive.variance, nig.predictive_variance)
    torch.testing.assert_close(predictive.log_prob(torch.ones(4, 3)), -nig_nll(nig, torch.ones(4, 3), reduction="none"))
    torch.manual_seed(5)
    mu, sigma_squared = nig.sample((40_000,)).unbind(-1)
    observations = mu + sigma_squared.sqrt() * torch.randn_like(mu)
    lower, upper = predictive.interval(0.9)
    inside = ((observations > lower) & (observations < upper)).double().mean(0)
    torch.testing.assert_close(inside, torch.full_like(inside, 0.9), atol=0.008, rtol=0)


def test_the_credible_interval_holds_the_mean_that_often(nig):
    torch.manual_seed(6)
    mu = nig.sample((40_000,))[..., 0]
    for level in (0.5, 0.95):
        lower, upper = nig.credible_interval(level)
        inside = ((mu > lower) & (mu < upper)).double().mean(0)
        torch.testing.assert_close(inside, torch.full_like(inside, level), atol=0.011, rtol=0)
    observed_lower, observed_upper = nig.predictive().interval(0.95)
    assert bool((observed_upper - observed_lower > upper - lower).all())
    # Said aloud, because torch.compile in an earlier test turns the checks off for the whole process.
    checked = NormalInverseGamma(nig.loc, nig.nu, nig.alpha, nig.beta, validate_args=True)
    with pytest.raises(ValueError, match="level must be a probability"):
        checked.credible_interval(1.5)


def test_the_posterior_is_proportional_to_prior_times_likelihood(generator):
    prior = NormalInverseGamma(*(torch.tensor(x, dtype=torch.float64) for x in (0.5, 2.0, 3.0, 1.0)))
    data = torch.randn(6, generator=generator, dtype=torch.float64)
    posterior = prior.posterior(data)
    pairs = prior.sample((50,))
    mu, sigma_squared = pairs.unbind(-1)
    likelihood = torch.distributions.Normal(mu.unsqueeze(-1), sigma_squared.sqrt().unsqueeze(-1)).log_prob(data).sum(-1)
    evidence = prior.log_prob(pairs) + likelihood - posterior.log_prob(pairs)
    torch.testing.assert_close(evidence, evidence[:1].expand_as(evidence), rtol=1e-10, atol=1e-10)


def test_observations_may_come_one_by_one_or_as_statistics(nig, generator):
    data = torch.randn(7, 4, 3, generator=generator)
    at_once = nig.posterior(data, dim=0)
    one_by_one = nig
    for row in data:
        one_by_one = one_by_one.posterior(row.unsqueeze(-1))
    deviations = (data - data.mean(0)).square().sum(0)
    for other in (one_by_one, nig.posterior_from_statistics(7, data.mean(0), deviations)):
        for name in ("loc", "nu", "alpha_minus_one", "beta"):
            torch.testing.assert_close(getattr(other, name), getattr(at_once, name))


def test_no_observations_change_nothing(nig):
    assert nig.posterior(torch.zeros(4, 3, 0)) is nig
    count = torch.tensor([0.0, 2.0, 0.0])
    mean = torch.tensor([float("nan"), 1.0, float("nan")])
    updated = nig.posterior_from_statistics(count, mean, mean)
    assert torch.equal(updated.loc[:, 0], nig.loc[:, 0])
    assert torch.equal(updated.beta[:, 2], nig.beta[:, 2])
    assert bool((updated.nu[:, 1] == nig.nu[:, 1] + 2).all())


def test_observations_that_do_not_fit_are_refused(nig):
    for shape, dim in (((4, 3), -1), ((4, 3, 5), 0), ((3, 4, 5), -1), ((4, 3, 5), 3)):
        with pytest.raises(ValueError, match=r"observations must have the batch shape \(4, 3\)"):
            nig.posterior(torch.zeros(shape), dim)
    checked = NormalInverseGamma(nig.loc, nig.nu, nig.alpha, nig.beta, validate_args=True)
    with pytest.raises(ValueError, match="observations must be finite"):
        checked.posterior(torch.full((4, 3, 1), float("nan")))
    with pytest.raises(ValueError, match="count must be a finite number of at least 0, got -1"):
        checked.posterior_from_statistics(-1, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"squared_deviations must be a finite number of at least 0, got -1\.0"):
        checked.posterior_from_statistics(1, 0.0, -1.0)


def test_integers_do_not_round_the_other_parameters():
    nig = NormalInverseGamma(torch.tensor([70, 80]), 1.9, 2.5, 1.9)
    assert nig.loc.dtype == torch.float32
    torch.testing.assert_close(nig.aleatoric, torch.full((2,), 1.9 / 1.5))
    updated = nig.posterior(torch.tensor([[4, 5], [5, 5]]))
    assert updated.beta[0] > updated.beta[1] - 1e4
    assert NormalInverseGamma(torch.tensor(2), 1, 2, 1).posterior_from_statistics(1, 4.5, 0.0).loc == 3.25


def test_the_parameters_take_their_common_dtype():
    double = torch.tensor(1e8 + 1, dtype=torch.float64)
    for nig in (
        NormalInverseGamma(double, torch.tensor(1.0), torch.tensor(3.0), torch.tensor(1e-6)),
        NormalInverseGamma(torch.tensor(1.0), double, torch.tensor(3.0), torch.tensor(1e-6)),
    ):
        assert {p.dtype for p in (nig.loc, nig.nu, nig.alpha_minus_one, nig.beta)} == {torch.float64}
        assert nig.predictive().log_prob(double).dtype == torch.float64
    single = NormalInverseGamma(torch.tensor(1e8), 1.0, 2.0, 1e-6)
    spread = single.posterior(torch.tensor([1e8 + 1, 1e8 + 3], dtype=torch.float64)).beta - single.beta
    assert spread > 1  # ½ Σ(y − ȳ)² = 1, and what the prior's mean is off


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_parameters_are_computed_with_in_single(dtype):
    half = NormalInverseGamma(*(torch.tensor(value, dtype=dtype) for value in (1.0, 2.0, 40000.0, 30000.0)))
    single = half.to(torch.float32)
    pair = torch.tensor([1.5, 0.7])
    for computed, expected in (
        (half.log_prob(pair), single.log_prob(pair)),
        (half.entropy(), single.entropy()),
        (half.predictive().interval(0.9)[1], single.predictive().interval(0.9)[1]),
        (half.credible_interval(0.9)[0], single.credible_interval(0.9)[0]),
        (
            half.posterior(torch.tensor([400.0, 0.0], dtype=dtype)).beta,
            single.posterior(torch.tensor([400.0, 0.0])).beta,
        ),
    ):
        assert computed.dtype == torch.float32
        assert computed.isfinite()
        torch.testing.assert_close(computed, expected)
    assert half.sample((3,)).dtype == torch.float32


def test_what_is_made_from_it_keeps_the_decision_about_validation(nig):
    for validate_args in (True, False):
        parent = NormalInverseGamma(nig.loc, nig.nu, nig.alpha, nig.beta, validate_args=validate_args)
        made = (parent[0], parent.detach(), parent.to(torch.float64), parent.expand((2, 4, 3)), parent.predictive())
        for child in (*made, parent.posterior(torch.ones(4, 3, 2))):
            assert child._validate_args == validate_args


def test_a_level_or_a_count_given_as_a_number_is_always_checked(nig):
    unchecked = NormalInverseGamma(nig.loc, nig.nu, nig.alpha, nig.beta, validate_args=False)
    for level in (95, -0.1, float("nan")):
        with pytest.raises(ValueError, match="level"):
            unchecked.credible_interval(level)
        with pytest.raises(ValueError, match="level"):
            unchecked.predictive().interval(level)
    with pytest.raises(ValueError, match="count must be a finite number of at least 0, got -3"):
        unchecked.posterior_from_statistics(-3, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"mean must broadcast to the batch shape \(4, 3\), but has \(4,\)"):
        unchecked.posterior_from_statistics(1, torch.zeros(4), 0.0)


def test_it_is_a_pytree_of_its_parameters(nig):
    doubled = tree_map(lambda parameter: 2 * parameter, nig)
    assert torch.equal(doubled.alpha_minus_one, 2 * nig.alpha_minus_one)
    assert doubled.batch_shape == (4, 3)
    names = tree_map(lambda parameter: str(parameter.dtype), nig)
    assert names.loc == "torch.float32"
    mapped = torch.func.vmap(lambda loc: NormalInverseGamma(loc, 1.0, 2.0, 1.0, validate_args=False))(nig.loc)
    assert mapped.batch_shape == (4, 3)
    assert torch.equal(mapped.loc, nig.loc)


def test_detach_and_to(nig):
    recorded = nig.map(lambda parameter: parameter.clone().requires_grad_())
    assert recorded.epistemic.requires_grad
    assert not recorded.detach().epistemic.requires_grad
    assert nig.to(torch.float64).loc.dtype == torch.float64


def test_submodules_are_attributes_of_the_package():
    assert evidential_nig.calibration.summarize is calibration.summarize
    assert {"calibration", "multivariate", "plots", "recalibration", "fuse"} <= set(dir(evidential_nig))
    with pytest.raises(AttributeError, match="module 'evidential_nig' has no attribute 'nothing'"):
        evidential_nig.nothing  # noqa: B018
