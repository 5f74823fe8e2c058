import copy
import pickle

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch.distributions import Distribution

from evidential_nig import NormalInverseGamma


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
