"""Several targets at once: the normal-inverse-Wishart distribution, its likelihood and its head."""

import copy
import math

import mpmath
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mpf
from scipy import stats
from torch.autograd import gradcheck, gradgradcheck
from torch.distributions import Distribution, Independent, MultivariateNormal
from torch.utils._pytree import tree_flatten_with_path, tree_map

from evidential_nig import NormalInverseGamma, nig_nll
from evidential_nig.multivariate import NIWHead, NormalInverseWishart, niw_nll

HALVES = [torch.bfloat16, torch.float16]
DIMENSIONS = [1, 2, 3, 4, 7]


def triangle(generator, *shape, n):
    entries = torch.randn(*shape, n, n, generator=generator, dtype=torch.float64)
    return entries.tril(-1) + torch.diag_embed(entries.diagonal(dim1=-2, dim2=-1).abs() + 0.3)


def draw(generator, n, shape=(5, 3)):
    """δ, κ, df − n − 1, L and a target, double precision."""

    def uniform(low, high, *more):
        return low + (high - low) * torch.rand(*shape, *more, generator=generator, dtype=torch.float64)

    return (
        uniform(-2, 2, n),
        uniform(0.2, 5),
        uniform(0.1, 8),
        triangle(generator, *shape, n=n),
        uniform(-3, 3, n),
    )


def split(batch):
    return NormalInverseWishart.from_excess_df(*batch[:4], validate_args=False), batch[4]


@pytest.fixture
def batch(generator):
    return draw(generator, 2)


@pytest.fixture
def niw(batch):
    return split(batch)[0]


# The distribution


def test_parameters_are_broadcast_and_numbers_allowed():
    niw = NormalInverseWishart(torch.zeros(4, 1, 2), torch.ones(3), 7, torch.eye(2))
    assert isinstance(niw, Distribution)
    assert niw.batch_shape == (4, 3)
    assert niw.event_shape == (2, 3)
    assert niw.loc.shape == (4, 3, 2)
    assert niw.scale_tril.shape == (4, 3, 2, 2)
    assert niw.kappa.shape == niw.df.shape == niw.excess_df.shape == (4, 3)
    assert NormalInverseWishart(torch.zeros(2), 1.0, 5.0, torch.eye(2)).batch_shape == ()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"loc": torch.tensor([0.0, float("nan")])}, "parameter loc "),
        ({"kappa": 0.0}, "parameter kappa "),
        ({"df": 3.0}, r"parameter df .* greater than n \+ 1 = 3"),
        ({"df": float("nan")}, "parameter df "),
        ({"scale_tril": -torch.eye(2)}, "parameter scale_tril "),
        ({"scale_tril": torch.ones(2, 2)}, "parameter scale_tril "),
    ],
)
def test_a_parameter_outside_its_range_is_named(change, named):
    parameters = {"loc": torch.zeros(2), "kappa": 1.0, "df": 5.0, "scale_tril": torch.eye(2)} | change
    with pytest.raises(ValueError, match=named):
        NormalInverseWishart(**parameters, validate_args=True)
    assert NormalInverseWishart(**parameters, validate_args=False).batch_shape == ()


@pytest.mark.parametrize(
    ("loc", "scale_tril", "message"),
    [
        (torch.tensor(0.0), torch.eye(1), r"loc must have shape \(\.\.\., n\) .* has \(\)"),
        (torch.zeros(3, 0), torch.zeros(0, 0), r"loc must .* has \(3, 0\)"),
        (torch.zeros(4, 2), torch.eye(3), r"scale_tril must have shape \(\.\.\., 2, 2\) .* has \(3, 3\)"),
        (torch.zeros(2), torch.ones(2), r"scale_tril must .* has \(2,\)"),
    ],
)
def test_shapes_that_are_no_vector_and_matrix_are_refused(loc, scale_tril, message):
    with pytest.raises(ValueError, match=message):
        NormalInverseWishart(loc, 1.0, 9.0, scale_tril)


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
def test_excess_df_is_kept_where_df_rounds_to_its_bound(dtype):
    tiny = torch.tensor(1e-4 if dtype != torch.float32 else 1e-10, dtype=dtype)
    loc, scale_tril = torch.zeros(2, dtype=dtype), torch.eye(2, dtype=dtype) * tiny.sqrt()
    niw = NormalInverseWishart.from_excess_df(loc, 1.0, tiny, scale_tril, validate_args=True)
    assert niw.df == 3
    assert niw.expand((2,))[0].excess_df == tiny
    torch.testing.assert_close(niw.aleatoric, torch.eye(2, dtype=dtype))


def test_moments_follow_their_formulas(niw):
    psi = niw.scale_tril @ niw.scale_tril.mT
    kappa, df = niw.kappa[..., None, None], niw.df[..., None, None]
    torch.testing.assert_close(niw.aleatoric, psi / (df - 3))
    torch.testing.assert_close(niw.epistemic, psi / (df - 3) / kappa)
    torch.testing.assert_close(niw.predictive_df, niw.df - 1)
    shape = psi * (1 + kappa) / (kappa * (df - 1))
    torch.testing.assert_close(niw.predictive_scale_tril @ niw.predictive_scale_tril.mT, shape)
    torch.testing.assert_close(niw.predictive_covariance, niw.aleatoric + niw.epistemic)
    # A multivariate t has the covariance shape · df/(df − 2).
    torch.testing.assert_close(niw.predictive_covariance, shape * (df - 1) / (df - 3))
    torch.testing.assert_close(niw.mean, torch.cat([niw.loc.unsqueeze(-1), niw.aleatoric], -1))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_variance_is_that_of_samples(n, generator):
    _, kappa, _, scale_tril, _ = (part[0] for part in draw(generator, n, shape=(1,)))
    niw = NormalInverseWishart.from_excess_df(torch.zeros(n, dtype=torch.float64), kappa, 12.0, scale_tril)
    torch.manual_seed(1)
    samples = niw.sample((200_000,))
    assert niw.variance.shape == (n, n + 1)
    torch.testing.assert_close(samples.var(0), niw.variance, rtol=0.05, atol=0)


def test_the_variance_of_a_single_target_is_that_of_the_normal_inverse_gamma(generator):
    niw, _ = split(draw(generator, 1))
    torch.testing.assert_close(niw.variance.squeeze(-2), niw.marginals().variance.squeeze(-2))
    assert (niw.variance[..., 1].isinf() == (niw.excess_df <= 2).unsqueeze(-1)).all()


def test_what_is_not_implemented_says_so(niw):
    with pytest.raises(NotImplementedError, match="entropy of NormalInverseWishart is not implemented"):
        niw.entropy()


@pytest.mark.parametrize(
    ("loc", "kappa", "scale_tril", "dtype"),
    [
        (torch.tensor([1, 2]), 0.5, torch.tensor([[2, 0], [1, 1]]), torch.float32),
        (torch.tensor([1, 2]), 0.5, torch.eye(2, dtype=torch.float64), torch.float64),
        (torch.zeros(2), torch.tensor(0.3, dtype=torch.float64), torch.eye(2), torch.float64),
    ],
)
def test_parameters_come_to_one_floating_dtype_and_are_not_cut_off(loc, kappa, scale_tril, dtype):
    niw = NormalInverseWishart(loc, kappa, 5.7, scale_tril)
    assert {niw.loc.dtype, niw.kappa.dtype, niw.excess_df.dtype, niw.scale_tril.dtype} == {dtype}
    assert niw.kappa.item() == pytest.approx(float(kappa))
    assert niw.excess_df.item() == pytest.approx(2.7)
    assert niw.aleatoric.dtype == dtype


def test_a_tree_of_its_parameters_is_put_together_again_with_any_leaves(niw):
    single = tree_map(lambda parameter: parameter.float().unsqueeze(0), niw)
    assert type(single) is NormalInverseWishart
    assert single.batch_shape == (1, 5, 3)
    assert single.event_shape == (2, 3)
    assert single._validate_args is niw._validate_args is False
    torch.testing.assert_close(single.aleatoric, niw.aleatoric.float().unsqueeze(0))
    assert tree_map(lambda _: "leaf", niw).kappa == "leaf"
    paths, _ = tree_flatten_with_path(niw)
    assert [str(path[0]) for path, _ in paths] == [".loc", ".kappa", ".excess_df", ".scale_tril"]


def test_vmap_returns_the_distributions_of_the_head(head):
    features = torch.randn(10, 6)
    mapped, together = torch.func.vmap(head)(features), head(features)
    assert mapped.batch_shape == (10,)
    torch.testing.assert_close(mapped.scale_tril, together.scale_tril)
    torch.testing.assert_close(mapped.aleatoric, together.aleatoric)


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_head_returns_a_distribution(head, strict):
    features = torch.randn(10, 6)
    batch = {0: torch.export.Dim("batch", min=2)}
    exported = torch.export.export(head, (features,), dynamic_shapes=(batch,), strict=strict)
    niw = exported.module()(features[:4])
    assert type(niw) is NormalInverseWishart
    assert niw.batch_shape == (4,)
    torch.testing.assert_close(niw.predictive_covariance, head(features[:4]).predictive_covariance)


@pytest.mark.parametrize("n", DIMENSIONS)
def test_marginals_are_those_of_the_predictive_t(n, generator):
    niw, target = split(draw(generator, n))
    marginals = niw.marginals()
    assert marginals.batch_shape == (5, 3, n)
    torch.testing.assert_close(marginals.aleatoric, niw.aleatoric.diagonal(dim1=-2, dim2=-1))
    torch.testing.assert_close(marginals.epistemic, niw.epistemic.diagonal(dim1=-2, dim2=-1))
    covariance = niw.predictive_scale_tril @ niw.predictive_scale_tril.mT
    for i in range(n):
        reference = stats.t(
            niw.predictive_df.numpy(), niw.loc[..., i].numpy(), covariance[..., i, i].sqrt().numpy()
        ).logpdf(target[..., i].numpy())
        computed = nig_nll(marginals[..., i], target[..., i], reduction="none")
        torch.testing.assert_close(-computed, torch.from_numpy(reference), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n", DIMENSIONS)
def test_log_prob_is_that_of_an_inverse_wishart_and_a_normal(n, generator):
    niw, _ = split(draw(generator, n))
    torch.manual_seed(1)
    value = niw.sample()
    assert value.shape == (5, 3, n, n + 1)
    computed = niw.log_prob(value)
    for index in [(0, 0), (2, 1), (4, 2)]:
        one, mu, sigma = niw[index], value[index][:, 0].numpy(), value[index][:, 1:].numpy()
        psi = (one.scale_tril @ one.scale_tril.mT).numpy()
        reference = stats.invwishart(one.df.item(), psi).logpdf(sigma) + stats.multivariate_normal(
            one.loc.numpy(), sigma / one.kappa.item()
        ).logpdf(mu)
        assert computed[index].item() == pytest.approx(reference, rel=1e-10, abs=1e-10)


def test_log_prob_for_one_target_is_that_of_the_normal_inverse_gamma(generator):
    niw, _ = split(draw(generator, 1))
    pairs = niw.marginals().sample()
    torch.testing.assert_close(niw.log_prob(pairs), niw.marginals().log_prob(pairs).squeeze(-1))


def test_log_prob_keeps_its_digits_in_single_precision_however_large_df_is(generator):
    loc, factor = torch.zeros(3), triangle(generator, n=3).float()
    torch.manual_seed(2)
    for df in (1e2, 1e4, 1e6):
        niw = NormalInverseWishart(loc, df, df, math.sqrt(df) * factor)
        value = niw.sample((20,))
        exact = NormalInverseWishart(*(p.double() for p in (niw.loc, niw.kappa, niw.df, niw.scale_tril)))
        psi = (exact.scale_tril @ exact.scale_tril.mT).numpy()
        for pair, computed in zip(value.double().numpy(), niw.log_prob(value).tolist(), strict=True):
            sigma = (pair[:, 1:] + pair[:, 1:].T) / 2
            reference = stats.invwishart(df, psi).logpdf(sigma) + stats.multivariate_normal(
                loc.numpy(), sigma / df
            ).logpdf(pair[:, 0])
            # The rounding of Σ alone, 1e-7 of it, moves the density by √df times as much.
            assert computed == pytest.approx(reference, abs=2e-5 * math.sqrt(df)), df


def test_only_pairs_of_a_vector_and_a_covariance_matrix_have_a_density(niw):
    niw = NormalInverseWishart(niw.loc, niw.kappa, niw.df, niw.scale_tril, validate_args=True)
    value = niw.mean
    assert niw.support.check(value).all()
    for broken in (value * torch.tensor([1.0, -1.0, 1.0]), value.index_fill(-1, torch.tensor(0), torch.inf)):
        assert not niw.support.check(broken).any()
        with pytest.raises(ValueError, match="within the support"):
            niw.log_prob(broken)
    with pytest.raises(ValueError, match="event_shape"):
        niw.log_prob(value[..., 1:])


def test_samples_have_the_moments_of_the_distribution(generator):
    torch.manual_seed(3)
    factor = triangle(generator, 2, n=3).float()
    niw = NormalInverseWishart(torch.tensor([1.0, -2.0, 0.0]), torch.tensor([2.0, 0.5]), 14.0, factor)
    samples = niw.sample((200_000,))
    assert samples.shape == (200_000, 2, 3, 4)
    assert niw.support.check(samples[:100]).all()
    spread = niw.aleatoric.diagonal(dim1=-2, dim2=-1).amax().item()
    torch.testing.assert_close(samples[..., 1:].mean(0), niw.aleatoric, rtol=0, atol=0.01 * spread)
    mu = samples[..., 0]
    torch.testing.assert_close(mu.mean(0), niw.loc, rtol=0, atol=0.01 * spread**0.5)
    for item in range(2):
        torch.testing.assert_close(torch.cov(mu[:, item].T), niw.epistemic[item], rtol=0.02, atol=0.02 * spread)
        factors = torch.linalg.cholesky(samples[:, item, :, 1:])
        observed = mu[:, item] + (factors @ torch.randn(200_000, 3, 1)).squeeze(-1)
        expected = niw.predictive_covariance[item]
        torch.testing.assert_close(torch.cov(observed.T), expected, rtol=0.02, atol=0.02 * spread)
    # The variance of a diagonal element of an inverse Wishart matrix: 2 Ψᵢᵢ² / ((df − n − 1)² (df − n − 3)).
    diagonal = samples[..., 1:].diagonal(dim1=-2, dim2=-1)
    expected = 2 * niw.aleatoric.diagonal(dim1=-2, dim2=-1).square() / (14 - 3 - 3)
    torch.testing.assert_close(diagonal.var(0), expected, rtol=0.1, atol=0)


def test_rsample_has_gradients_to_every_parameter():
    torch.manual_seed(4)
    values = torch.tensor([1.0, -1.0]), torch.tensor(2.0), torch.tensor(5.0), torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    parameters = [value.requires_grad_() for value in values]
    niw = NormalInverseWishart.from_excess_df(*parameters)
    pairs = niw.rsample((100_000,))
    by_excess, by_factor = torch.autograd.grad(pairs[:, 1, 2].mean(), parameters[2:], retain_graph=True)
    # E[Σ₂₂] = (L₂₁² + L₂₂²)/(df − n − 1).
    torch.testing.assert_close(by_excess, torch.tensor(-(0.25 + 4) / 25), rtol=0.05, atol=0)
    torch.testing.assert_close(by_factor, torch.tensor([[0.0, 0.0], [0.2, 0.8]]), rtol=0.03, atol=0.01)
    gradients = torch.autograd.grad(pairs[:10, :, 0].sum(), parameters)
    assert all((gradient != 0).any() for gradient in gradients)


def test_indexing_map_and_expand_follow_the_batch_dimensions(batch):
    niw, _ = split(batch)
    for index in (0, (slice(1, 4), 2), (..., 0), (slice(None), None), torch.rand(5, 3) > 0.5):
        part = niw[index]
        assert part.batch_shape == niw.kappa[index].shape
        assert part.event_shape == niw.event_shape
        torch.testing.assert_close(part.aleatoric[..., 1, 0], niw.aleatoric[..., 1, 0][index], rtol=1e-12, atol=0)
        assert torch.equal(part.loc[..., 1], niw.loc[..., 1][index])
    single = niw.map(lambda parameter: parameter.float().reshape(15))
    assert single.batch_shape == (15,)
    assert single.mean.dtype == torch.float32
    wide = niw[0].expand((4, 3))
    assert type(wide) is NormalInverseWishart
    assert wide.batch_shape == (4, 3)
    assert torch.equal(wide.scale_tril[3], niw.scale_tril[0])
    assert wide.excess_df.stride(0) == 0
    assert wide.sample((2,)).shape == (2, 4, 3, 2, 3)
    together = Independent(niw, 1)
    torch.testing.assert_close(together.log_prob(niw.mean), niw.log_prob(niw.mean).sum(-1))
    assert torch.equal(copy.deepcopy(niw).loc, niw.loc)
    assert repr(niw) == "NormalInverseWishart(batch_shape=(5, 3), n=2, dtype=torch.float64)"


# Real numbers to distributions


@pytest.mark.parametrize("n", DIMENSIONS)
def test_from_unconstrained_fills_the_triangle_row_by_row_in_units_of_its_diagonal(n, generator):
    raw = torch.randn(4, n * (n + 1) // 2, generator=generator)
    loc, raw_kappa, raw_df = torch.randn(4, n), torch.randn(4), torch.randn(4)
    niw = NormalInverseWishart.from_unconstrained(loc, raw_kappa, raw_df, raw)
    softplus = torch.nn.functional.softplus
    torch.testing.assert_close(niw.kappa, softplus(raw_kappa) + 1e-6)
    torch.testing.assert_close(niw.excess_df, softplus(raw_df) + 1e-6)
    expected = torch.zeros(4, n, n)
    for position, (i, j) in enumerate(torch.tril_indices(n, n).T.tolist()):
        expected[:, i, j] = raw[:, position]
    for i in range(n):
        diagonal = softplus(expected[:, i, i]) + 1e-3
        expected[:, i] *= diagonal.unsqueeze(-1)
        expected[:, i, i] = diagonal
    torch.testing.assert_close(niw.scale_tril, expected)
    coupled = NormalInverseWishart.from_unconstrained(loc, None, raw_df, raw, df_per_kappa=2.0)
    torch.testing.assert_close(coupled.kappa, coupled.df / 2)


@pytest.mark.parametrize(
    ("raw_kappa", "entries", "options", "message"),
    [
        (None, 3, {}, "exactly one of raw_kappa and df_per_kappa"),
        (torch.zeros(()), 3, {"df_per_kappa": 1.0}, "exactly one of raw_kappa and df_per_kappa"),
        (None, 3, {"df_per_kappa": 0.0}, "df_per_kappa must be a finite number above 0, got 0.0"),
        (torch.zeros(()), 4, {}, r"raw_scale_tril must have n \(n \+ 1\)/2 = 3 entries .* has shape \(4,\)"),
    ],
)
def test_from_unconstrained_names_what_it_cannot_use(raw_kappa, entries, options, message):
    with pytest.raises(ValueError, match=message):
        NormalInverseWishart.from_unconstrained(
            torch.zeros(2), raw_kappa, torch.zeros(()), torch.zeros(entries), **options
        )


# The likelihood


@pytest.mark.parametrize("n", DIMENSIONS)
def test_nll_against_scipy(n, generator):
    niw, target = split(draw(generator, n))
    computed = niw_nll(niw, target, reduction="none")
    assert computed.shape == (5, 3)
    for i, j in torch.cartesian_prod(torch.arange(5), torch.arange(3)).tolist():
        one = niw[i, j]
        shape = (one.predictive_scale_tril @ one.predictive_scale_tril.mT).numpy()
        reference = stats.multivariate_t.logpdf(
            target[i, j].numpy(), one.loc.numpy(), shape, df=one.predictive_df.item()
        )
        assert -computed[i, j].item() == pytest.approx(float(reference), rel=1e-11)


def test_nll_is_the_mean_density_of_normals_drawn_from_the_distribution(niw):
    """The definition: p(y) = E[Normal(y; μ, Σ)]."""
    torch.manual_seed(5)
    niw = NormalInverseWishart(torch.zeros(2), 2.0, 8.0, niw.scale_tril[0, 0].float())
    target = torch.tensor([0.4, -0.3])
    pairs = niw.sample((200_000,))
    density = MultivariateNormal(pairs[..., 0], pairs[..., 1:], validate_args=False).log_prob(target).exp()
    error = density.std() / 200_000**0.5
    assert abs(density.mean() - torch.exp(-niw_nll(niw, target))) < 4 * error


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 2e-15)])
def test_nll_of_one_target_is_nig_nll(dtype, tolerance, generator):
    def log_uniform(low, high):
        return (10 ** (low + (high - low) * torch.rand(2000, generator=generator, dtype=torch.float64))).to(dtype)

    inputs = [log_uniform(*span).requires_grad_() for span in ((-4, 4), (-6, 6), (-6, 8), (-8, 8))]
    residual, kappa, alpha_minus_one, beta = inputs
    zeros = torch.zeros(2000, dtype=dtype)
    nig = NormalInverseGamma.from_alpha_minus_one(residual, kappa, alpha_minus_one, beta)
    niw = NormalInverseWishart.from_excess_df(
        residual.unsqueeze(-1), kappa, 2 * alpha_minus_one, (2 * beta).sqrt()[:, None, None]
    )
    expected, computed = nig_nll(nig, zeros, reduction="none"), niw_nll(niw, zeros.unsqueeze(-1), reduction="none")
    slopes = torch.autograd.grad(expected.sum(), inputs)

    # Errors are measured by the sum of the magnitudes of the terms.
    with torch.no_grad():
        alpha, s = 1 + alpha_minus_one, 2 * beta * (1 + 1 / kappa)
        growth = torch.log1p(residual**2 / s)
        by_s = (1 + (2 * alpha + 1) * residual**2 / (s + residual**2)) / (2 * s)
        terms = 1 + alpha.log() + s.log().abs() + (alpha + 0.5) * growth
        scales = (slopes[0].abs(), by_s * 2 * beta / kappa**2, growth + 0.5 / alpha, by_s * s / beta)
    assert ((computed - expected).abs() <= tolerance * terms).all()
    for slope, ours, scale in zip(slopes, torch.autograd.grad(computed.sum(), inputs), scales, strict=True):
        assert ((ours - slope).abs() <= tolerance * scale).all()


def exact_nll(n, loc, kappa, excess_df, entries, target):
    """The equation as Meinert and Lavin print it, by determinants; `entries` are L's, row by row."""
    factor = mpmath.zeros(n)
    for (i, j), entry in zip(torch.tril_indices(n, n).T.tolist(), entries, strict=True):
        factor[i, j] = entry
    psi, df = factor * factor.T, excess_df + n + 1
    residual = mpmath.matrix([y - d for y, d in zip(target, loc, strict=True)])
    return (
        mpmath.loggamma((df - n + 1) / 2)
        - mpmath.loggamma((df + 1) / 2)
        + mpf(n) / 2 * mpmath.log(mpmath.pi * (1 + kappa) / kappa)
        - df / 2 * mpmath.log(mpmath.det(psi))
        + (df + 1) / 2 * mpmath.log(mpmath.det(psi + residual * residual.T * (kappa / (1 + kappa))))
    )


def term_magnitudes(loc, kappa, excess_df, factor, target):
    """For the value and each gradient, the sum of the magnitudes of the terms it is made of. In double precision."""
    n = loc.shape[-1]
    half_df, widening = 1 + 0.5 * excess_df, 1 / kappa
    inverse = torch.linalg.inv(factor).abs()
    share = 1 / (1 + widening)
    # |L⁻¹||L||z| bounds what the rounding of a triangular solve can move z by.
    z = inverse @ factor.abs() @ (torch.linalg.inv(factor) @ (target - loc)).abs()
    squares = (torch.linalg.inv(factor) @ (target - loc)).square().sum() * share
    pull = (2 * half_df + n) * share / (1 + squares)
    steps = torch.special.digamma(half_df + n / 2) - torch.special.digamma(half_df)
    logs = (half_df + torch.arange(n) / 2).log().abs().sum() / 2 + n * (torch.pi * (1 + widening)).log().abs() / 2
    slack = pull * (z * (torch.linalg.inv(factor) @ (target - loc)).abs()).sum()
    return {
        "value": logs + factor.diagonal().log().abs().sum() + (half_df + n / 2) * torch.log1p(squares) + slack,
        "loc": pull * inverse.mT @ z,
        "kappa": (n / 2 + slack) * widening**2 * share,
        "excess_df": steps / 2 + torch.log1p(squares) / 2 + slack / (2 * half_df + n),
        "factor": torch.diag(1 / factor.diagonal()) + pull * torch.outer(inverse.mT @ z, z).tril(),
    }


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_nll_and_gradients_against_50_digits_at_every_magnitude(n, generator):
    def log_uniform(low, high, *shape):
        return 10 ** (low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64))

    rows, columns = torch.tril_indices(n, n)
    worst = dict.fromkeys((torch.float32, torch.float64), 0.0)
    for _ in range(12):
        unit = triangle(generator, n=n).clamp(-2, 2)
        single = [
            value.float()
            for value in (
                log_uniform(-4, 4, n) * torch.randn(n, generator=generator).sign(),
                log_uniform(-6, 6),
                log_uniform(-6, 8),
                unit * log_uniform(-4, 4, n, 1),
                torch.zeros(n),
            )
        ]
        point = [value.double() for value in single]
        magnitudes = term_magnitudes(*point)
        flat = [*point[0].tolist(), point[1].item(), point[2].item(), *point[3][rows, columns].tolist()]

        def function(*values):
            return exact_nll(n, values[:n], values[n], values[n + 1], values[n + 2 :], [mpf(0)] * n)

        with mpmath.workdps(90):
            values = [mpf(value) for value in flat]
            exact = {"value": function(*values)}
            slopes = [
                mpmath.diff(function, values, tuple(int(k == index) for k in range(len(values))))
                for index in range(len(values))
            ]
        exact |= {"loc": slopes[:n], "kappa": slopes[n], "excess_df": slopes[n + 1], "factor": slopes[n + 2 :]}
        for dtype in worst:
            leaves = [value.to(dtype).requires_grad_() for value in single[:4]]
            result = niw_nll(NormalInverseWishart.from_excess_df(*leaves), torch.zeros(n, dtype=dtype))
            gradients = torch.autograd.grad(result, leaves)
            computed = dict(zip(magnitudes, (result, *gradients), strict=True))
            computed["factor"], bounds = computed["factor"][rows, columns], dict(magnitudes)
            bounds["factor"] = bounds["factor"][rows, columns]
            for name, reference in exact.items():
                reference = reference if isinstance(reference, list) else [reference]
                ours, scales = computed[name].reshape(-1).tolist(), bounds[name].reshape(-1).tolist()
                for one, true, scale in zip(ours, reference, scales, strict=True):
                    worst[dtype] = max(worst[dtype], float(abs(one - true) / scale))
    assert worst[torch.float32] <= 1e-6
    assert worst[torch.float64] <= 5e-15


@pytest.mark.parametrize("n", [2, 3])
def test_gradcheck_and_gradgradcheck(n, generator):
    loc, kappa, excess_df, factor, target = draw(generator, n, (2,))
    target = target * torch.tensor([[1.0], [40.0]])  # of the second row |L⁻¹ (y − δ)| is above 1
    inputs = [value.requires_grad_() for value in (loc, kappa, excess_df, factor, target)]

    def rows(loc, kappa, excess_df, factor, target):
        niw = NormalInverseWishart.from_excess_df(loc, kappa, excess_df, factor.tril(), validate_args=False)
        return niw_nll(niw, target, reduction="none")

    assert gradcheck(rows, inputs, check_forward_ad=True)
    assert gradgradcheck(rows, inputs)


def test_the_likelihood_alone_cannot_tell_kappa_from_psi(niw, batch):
    """Why the head couples κ to df: only Ψ (1 + κ)/κ matters."""
    kappa = niw.kappa * 7
    factor = niw.scale_tril * ((1 + 1 / niw.kappa) / (1 + 1 / kappa)).sqrt()[..., None, None]
    other = NormalInverseWishart.from_excess_df(niw.loc, kappa, niw.excess_df, factor)
    torch.testing.assert_close(
        niw_nll(other, batch[4], reduction="none"), niw_nll(niw, batch[4], reduction="none"), rtol=1e-13, atol=1e-13
    )
    assert (other.epistemic.diagonal(dim1=-2, dim2=-1) < 0.8 * niw.epistemic.diagonal(dim1=-2, dim2=-1)).all()


@pytest.mark.parametrize("target_shape", [(4,), (4, 1), (2,), (4, 3), (2, 4), (1, 4, 2)])
def test_a_target_of_another_shape_is_refused(target_shape):
    niw = NormalInverseWishart(torch.zeros(4, 2), 1.0, 5.0, torch.eye(2))
    with pytest.raises(ValueError, match=r"target must have exactly the shape .*\(4, 2\)") as error:
        niw_nll(niw, torch.zeros(target_shape))
    assert str(target_shape) in str(error.value)


@pytest.mark.parametrize("weight_shape", [(4, 2), (4, 1), (1,), ()])
def test_a_weight_of_another_shape_is_refused(weight_shape):
    niw = NormalInverseWishart(torch.zeros(4, 2), 1.0, 5.0, torch.eye(2))
    with pytest.raises(ValueError, match=r"weight must have exactly the batch shape .*\(4,\)") as error:
        niw_nll(niw, torch.zeros(4, 2), weight=torch.ones(weight_shape))
    assert str(weight_shape) in str(error.value)


def test_an_unknown_reduction_is_refused(batch):
    with pytest.raises(ValueError, match="'average'"):
        niw_nll(*split(batch), reduction="average")


def test_reductions_and_integer_weights(batch):
    niw, target = split(batch)
    rows = niw_nll(niw, target, reduction="none")
    torch.testing.assert_close(niw_nll(niw, target, reduction="sum"), rows.sum())
    torch.testing.assert_close(niw_nll(niw, target), rows.mean())
    counts = torch.tensor([2, 0, 1, 3, 1])
    weight = counts.unsqueeze(-1).expand(5, 3)
    repeated = niw.map(lambda parameter: parameter.repeat_interleave(counts, dim=0))
    for reduction in ("sum", "mean"):
        torch.testing.assert_close(
            niw_nll(niw, target, reduction=reduction, weight=weight),
            niw_nll(repeated, target.repeat_interleave(counts, dim=0), reduction=reduction),
        )
    torch.testing.assert_close(niw_nll(niw, target, reduction="none", weight=weight), rows * weight)


def test_a_row_does_not_depend_on_its_batch(batch):
    niw, target = split(batch)
    alone = torch.stack([niw_nll(niw[i], target[i], reduction="none") for i in range(5)])
    torch.testing.assert_close(niw_nll(niw, target, reduction="none"), alone, rtol=1e-14, atol=1e-14)
    assert niw_nll(niw[0, 0], target[0, 0]).shape == ()
    assert niw_nll(niw[:0], target[:0], reduction="none").shape == (0, 3)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_a_target_without_weight_may_be_missing(reduction, batch):
    leaves = [value.detach().requires_grad_() for value in batch[:4]]
    niw, target = NormalInverseWishart.from_excess_df(*leaves, validate_args=False), batch[4]
    present = torch.arange(15).reshape(5, 3) % 4 != 0
    with_gaps = target.clone()
    with_gaps[..., 0][~present] = torch.nan
    result = niw_nll(niw, with_gaps, reduction=reduction, weight=present)
    if reduction == "none":
        assert torch.equal(result[~present], torch.zeros(4, dtype=torch.float64))
        result = result[present]
    torch.testing.assert_close(result, niw_nll(niw[present], target[present], reduction=reduction))
    for gradient in torch.autograd.grad(result.sum(), leaves):
        assert gradient.isfinite().all()
        assert torch.equal(gradient.reshape(5, 3, -1).abs().sum(-1) == 0, ~present)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_input_is_computed_in_single(dtype, batch):
    half = [value.to(dtype) for value in batch]
    single = [value.float() for value in half]
    result = niw_nll(*split(half), reduction="none")
    assert result.dtype == torch.float32
    assert torch.equal(result, niw_nll(*split(single), reduction="none"))
    pairs = split(single)[0].mean
    torch.testing.assert_close(split(half)[0].log_prob(pairs), split(single)[0].log_prob(pairs))


@pytest.mark.parametrize("dtype", HALVES)
def test_autocast_changes_nothing(dtype, batch):
    niw, target = split([value.float().requires_grad_() for value in batch])
    outside = niw_nll(niw, target), niw.aleatoric, niw.predictive_covariance, niw.log_prob(niw.mean)
    with torch.autocast("cpu", dtype=dtype):
        inside = niw_nll(niw, target), niw.aleatoric, niw.predictive_covariance, niw.log_prob(niw.mean)
    for one, other in zip(inside, outside, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


def test_the_target_takes_the_dtype_of_the_predictions(batch):
    niw, _ = split([value.float() for value in batch])
    target = torch.arange(30).reshape(5, 3, 2)
    result = niw_nll(niw, target.double(), reduction="none")
    assert result.dtype == torch.float32
    assert torch.equal(result, niw_nll(niw, target, reduction="none"))


@pytest.mark.parametrize("n", [2, 3])
def test_vmap_equals_a_loop(n, generator):
    batch = draw(generator, n)

    def row(values):
        return niw_nll(*split(values))

    mapped = torch.func.vmap(row)(batch)
    torch.testing.assert_close(mapped, torch.stack([row([value[i] for value in batch]) for i in range(5)]))
    per_row = torch.func.vmap(torch.func.grad(row))(batch)
    for i in range(5):
        alone = torch.func.grad(row)(tuple(value[i] for value in batch))
        for computed, reference in zip(per_row, alone, strict=True):
            torch.testing.assert_close(computed[i], reference)


# The head


@pytest.fixture
def head():
    torch.manual_seed(6)
    head = NIWHead(6, 3)
    with torch.no_grad():
        head.linear.weight.normal_(std=0.5)
    return head


@pytest.mark.parametrize("coupled", [True, False])
def test_rows_of_the_head_are_loc_triangle_df_and_kappa(coupled):
    torch.manual_seed(7)
    head = NIWHead(6, 3, coupled=coupled)
    with torch.no_grad():
        head.linear.weight.normal_()
    features = torch.randn(2, 7, 6)
    niw = head(features)
    assert niw.batch_shape == (2, 7)
    assert niw.loc.shape == (2, 7, 3)
    raw = features @ head.linear.weight.T + head.linear.bias
    assert raw.shape[-1] == (10 if coupled else 11)  # Meinert and Lavin: n (n + 3)/2 + 1
    torch.testing.assert_close(niw.loc, raw[..., :3])
    expected = NormalInverseWishart.from_unconstrained(
        raw[..., :3],
        None if coupled else raw[..., 10],
        raw[..., 9],
        raw[..., 3:9],
        df_per_kappa=1.0 if coupled else None,
    )
    for name in ("scale_tril", "excess_df", "kappa"):
        torch.testing.assert_close(getattr(niw, name), getattr(expected, name))


@pytest.mark.parametrize("coupled", [True, False])
def test_the_head_starts_at_the_given_constants(coupled):
    niw = NIWHead(6, 3, coupled=coupled, kappa=2.0, df=9.0, noise=0.3)(torch.randn(10, 6))
    torch.testing.assert_close(niw.df, torch.full((10,), 9.0))
    torch.testing.assert_close(niw.kappa, torch.full((10,), 2.0))
    torch.testing.assert_close(niw.aleatoric, 0.09 * torch.eye(3).expand(10, 3, 3))
    assert niw.loc.std() > 0.1
    plain = NIWHead(6, 3, coupled=coupled)(torch.randn(10, 6))
    torch.testing.assert_close(plain.df, torch.full((10,), 6.0))
    torch.testing.assert_close(plain.kappa, torch.full((10,), 6.0))
    torch.testing.assert_close(plain.aleatoric, torch.eye(3).expand(10, 3, 3))


def test_a_coupled_head_keeps_the_proportion_of_df_to_kappa(head):
    niw = head(torch.randn(10, 6))
    torch.testing.assert_close(niw.kappa, niw.df)
    other = NIWHead(6, 3, kappa=2.0, df=9.0)
    with torch.no_grad():
        other.linear.weight.normal_()
    niw = other(torch.randn(10, 6))
    assert niw.df.std() > 0.1
    torch.testing.assert_close(niw.df / niw.kappa, torch.full((10,), 4.5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"df": 3.0}, r"df must start above out_features \+ 1 \(3\) \+ floor"),
        ({"df": float("inf")}, "df must be a finite number, got inf"),
        ({"kappa": 0.0}, "kappa must start above floor"),
        ({"noise": 0.0}, "noise must start above .* got 0.0"),
        ({"noise": 0.1, "floor": 0.1, "df": 4.0}, r"noise must start above .*\(0.316228\), got 0.1"),
        ({"noise": float("nan")}, "noise must be a finite number, got nan"),
        ({"out_features": 0}, "out_features must be at least 1, got 0"),
    ],
)
def test_unusable_starts_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NIWHead(5, **({"out_features": 2} | arguments))


def test_every_weight_gets_a_gradient_at_the_start():
    for coupled in (True, False):
        head = NIWHead(6, 3, coupled=coupled)
        niw_nll(head(torch.randn(10, 6)), torch.randn(10, 3)).backward()
        assert (head.linear.weight.grad != 0).all()
        assert (head.linear.bias.grad != 0).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_the_head_computes_in_single_precision_inside_autocast(head, dtype):
    features = torch.randn(10, 6)
    outside = head(features)
    with torch.autocast("cpu", dtype=dtype):
        inside = head(features)
        from_half = head(features.to(dtype))
    assert inside.loc.dtype == from_half.loc.dtype == torch.float32
    assert torch.equal(inside.scale_tril, outside.scale_tril)
    assert torch.equal(from_half.scale_tril, head(features.to(dtype).float()).scale_tril)
    half = copy.deepcopy(head).to(dtype)
    assert half(features.to(dtype)).excess_df.dtype == torch.float32
    assert head.double()(features.double()).loc.dtype == torch.float64


def test_state_dict_round_trip_and_repr(head):
    other = NIWHead(6, 3, noise=7.0)
    other.load_state_dict(head.state_dict())
    features = torch.randn(10, 6)
    assert torch.equal(other(features).scale_tril, head(features).scale_tril)
    assert "in_features=6, out_features=3, df_per_kappa=1, floor=1e-06" in repr(head)
    assert "coupled=False" in repr(NIWHead(6, 3, coupled=False))


def test_head_moments_and_loss_are_one_graph(head):
    features, target = torch.randn(10, 6), torch.randn(10, 3)

    def step(features, target):
        niw = head(features)
        return niw_nll(niw, target) + niw.epistemic.mean() + niw.predictive_scale_tril.square().mean()

    torch.compiler.reset()
    parameters = list(head.parameters())
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")(features, target)
    plain = step(features, target)
    torch.testing.assert_close(compiled, plain)
    for one, other in zip(
        torch.autograd.grad(compiled, parameters), torch.autograd.grad(plain, parameters), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_per_sample_gradients_of_the_head_by_vmap(head):
    features, target = torch.randn(5, 6), torch.randn(5, 3)
    parameters = {name: value.detach() for name, value in head.named_parameters()}

    def loss(parameters, features, target):
        return niw_nll(torch.func.functional_call(head, parameters, (features,)), target)

    each = torch.func.vmap(torch.func.grad(loss), (None, 0, 0))(parameters, features, target)
    for row in range(5):
        alone = torch.func.grad(loss)(parameters, features[row], target[row])
        for name in parameters:
            torch.testing.assert_close(each[name][row], alone[name])


def check_finite(n, raw, target, coupled, dtype):
    """Raw outputs, in the head's order, through a head whose weights are the identity."""
    head = NIWHead(len(raw), n, coupled=coupled)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(len(raw)))
        head.linear.bias.zero_()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        niw = head(torch.tensor([raw], dtype=dtype))
        results = {
            "nll": niw_nll(niw, torch.tensor([target])),
            "aleatoric": niw.aleatoric.sum(),
            "epistemic": niw.epistemic.sum(),
            "predictive_scale_tril": niw.predictive_scale_tril.sum(),
            "predictive_covariance": niw.predictive_covariance.sum(),
        }
    for name, result in results.items():
        assert result.isfinite(), name
        gradients = torch.autograd.grad(result, tuple(head.parameters()), retain_graph=True)
        assert all(gradient.isfinite().all() for gradient in gradients), name


RAW = st.floats(-200, 200, width=16)


@st.composite
def raw_outputs(draw):
    n, coupled = draw(st.integers(1, 5)), draw(st.booleans())
    entries = n * (n + 3) // 2 + (1 if coupled else 2)
    raw = draw(st.lists(RAW, min_size=entries, max_size=entries))
    target = draw(st.lists(st.floats(-1e4, 1e4, width=32), min_size=n, max_size=n))
    return n, raw, target, coupled, draw(st.sampled_from([torch.float32, *HALVES]))


@given(raw_outputs())
@example((2, [0.0, 0.0, -200.0, 200.0, -200.0, -200.0, -200.0], [1e4, -1e4], False, torch.float16))
@example((2, [0.0, 0.0, -200.0, 200.0, 200.0, 200.0], [1e-3, 0.0], True, torch.bfloat16))
def test_no_nan_or_inf_for_raw_outputs_within_200(case):
    check_finite(*case)


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("df", [-200.0, 200.0])
def test_no_nan_or_inf_where_eight_targets_are_as_nearly_dependent_as_raw_outputs_allow(coupled, df):
    """All below the diagonal at −200, all signs alike: L⁻¹ (y − δ) is near 1e23, its square beyond single precision."""
    n = 8
    raw = [0.0] * n + [-200.0] * (n * (n + 1) // 2) + [df] * (1 if coupled else 2)
    head_input = raw if coupled else [*raw[:-1], -df]
    check_finite(n, head_input, [1e4] * n, coupled, torch.float32)


def test_it_learns_the_correlation_of_the_noise_around_a_circle():
    """Meinert and Lavin's experiment: points around a circle, here with noise of 0.2 along the radius and 0.05 across.

    The angles have their V-shaped density. In x and y the noise is correlated, by up to ±0.88, as the angle turns.
    """
    torch.manual_seed(0)

    def frame(angle):
        radius = torch.stack([angle.cos(), angle.sin()], -1)
        return radius, torch.stack([radius, torch.stack([-angle.sin(), angle.cos()], -1)], -1)

    def observe(count):
        uniform = 2 * torch.rand(count) - 1
        angle = math.pi * (1 + uniform.sign() * uniform.abs().sqrt())
        radius, axes = frame(angle)
        noise = torch.randn(count, 2) * torch.tensor([0.2, 0.05])
        return radius, radius + (axes @ noise.unsqueeze(-1)).squeeze(-1)

    def correlation(covariance):
        deviation = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        return covariance[:, 0, 1] / deviation.prod(-1)

    x, y = observe(1500)
    model = torch.nn.Sequential(
        torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh(), NIWHead(32, 2, noise=0.3)
    )
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.03, total_steps=300)
    for _ in range(300):
        optimizer.zero_grad()
        niw_nll(model(x), y).backward()
        optimizer.step()
        schedule.step()
    radius, axes = frame(torch.linspace(0, 2 * math.pi, 73)[:-1])
    with torch.no_grad():
        niw = model(radius)
        x, y = observe(2000)
        together = niw_nll(model(x), y)
        apart = nig_nll(model(x).marginals(), y) * 2
    truth = axes @ torch.diag(torch.tensor([0.04, 0.0025])) @ axes.mT
    error = correlation(niw.predictive_covariance) - correlation(truth)
    assert error.abs().mean() < 0.12
    assert torch.corrcoef(torch.stack([correlation(niw.predictive_covariance), correlation(truth)]))[0, 1] > 0.97
    assert (niw.loc - radius).norm(dim=-1).mean() < 0.04
    deviations = [covariance.diagonal(dim1=-2, dim2=-1).sqrt() for covariance in (niw.predictive_covariance, truth)]
    assert (deviations[0] / deviations[1] - 1).abs().mean() < 0.2
    assert together < apart - 0.3  # what two univariate predictions, even with the same marginals, cannot have
