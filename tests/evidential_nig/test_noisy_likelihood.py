"""The likelihood of targets with noise of a known deviation, against adaptive quadrature of the plain convolution."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate

from evidential_nig import EvidentialLoss, NIGNLLLoss, NormalInverseGamma, evidential_loss, nig_nll

DOUBLE = {"dtype": torch.float64}


def convolved(nu: float, alpha: float, beta: float, residual: float, std: float) -> float:
    """−log ∫ t(r − ε) N(ε; 0, s²) dε: the definition, and not the mixture over the precision that is implemented."""
    width = math.sqrt(beta * (1 + nu) / (nu * alpha))
    half = alpha + 0.5
    log_scale = math.lgamma(half) - math.lgamma(alpha) - 0.5 * math.log(2 * math.pi * alpha) - math.log(width)
    log_scale -= 0.5 * math.log(2 * math.pi) + math.log(std)

    def density(noise: float) -> float:
        r, e = (residual - noise) / width, noise / std
        return math.exp(log_scale - half * math.log1p(r * r / (2 * alpha)) - 0.5 * e * e)

    edges = {k * std for k in (-9, -4, -2, -1, 0, 1, 2, 4, 9)}
    edges |= {residual + sign * k * width for k in (0, 1, 3, 10, 30, 100) for sign in (-1, 1)}
    inside = sorted(edge for edge in edges if abs(edge) <= 38 * std)
    places = [-38 * std, *inside, 38 * std]
    total = sum(
        integrate.quad(density, low, high, epsabs=0, epsrel=1e-9, limit=200)[0]
        for low, high in itertools.pairwise(places)
        if low < high
    )
    return -math.log(total)


@pytest.mark.parametrize("std", [1e-3, 0.03, 0.3, 1.0, 20.0])
@pytest.mark.parametrize("alpha", [1.001, 2.0, 40.0])
def test_the_convolution_is_that_of_adaptive_quadrature(alpha: float, std: float) -> None:
    """From a Student t a hundred times as wide as the noise to one of a thousandth, at errors of any size."""
    for nu, beta, residual in itertools.product([0.1, 5.0], [1e-3, 1.0], [0.0, 0.4, 3.0]):
        nig = NormalInverseGamma(torch.tensor([1.0], **DOUBLE), nu, alpha, beta)
        target = torch.tensor([1.0 + residual], **DOUBLE)
        found = nig_nll(nig, target, target_std=std)
        assert found.item() == pytest.approx(convolved(nu, alpha, beta, residual, std), abs=1e-6)


def test_where_the_integrand_has_two_peaks_both_are_seen() -> None:
    """A narrow Student t and wide noise: tail and noise explain an error of a few deviations about equally well."""
    for alpha, residual in itertools.product([1.001, 3.0, 10.0], [3.0, 5.0, 6.0, 8.0, 12.0]):
        nig = NormalInverseGamma(torch.tensor([0.0], **DOUBLE), 1.0, alpha, 1e-4)
        found = nig_nll(nig, torch.tensor([residual], **DOUBLE), target_std=1.0)
        assert found.item() == pytest.approx(convolved(1.0, alpha, 1e-4, residual, 1.0), abs=1e-6)


def grid(dtype: torch.dtype = torch.float64) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    parameters = itertools.product([0.0], [0.2, 3.0], [0.05, 4.0], [0.02, 2.0], [0.0, 0.5, -4.0], [0.01, 0.5, 10.0])
    loc, nu, excess, beta, target, std = torch.tensor(list(parameters), dtype=dtype).unbind(-1)
    return [loc, nu, excess, beta], target, std


def test_gradients_are_those_of_finite_differences() -> None:
    parameters, target, std = grid()
    inputs = tuple(value.clone().requires_grad_() for value in (*parameters, std))

    def loss(*values: torch.Tensor) -> torch.Tensor:
        nig = NormalInverseGamma.from_alpha_minus_one(*values[:4])
        return evidential_loss(nig, target, 0.05, target_std=values[4], reduction="none")

    # |y − δ| of the regulariser has none where both are equal.
    apart = tuple(value[target != 0].detach().requires_grad_() for value in inputs)
    target = target[target != 0]
    assert torch.autograd.gradcheck(loss, apart)
    few = tuple(value[::13].detach().requires_grad_() for value in apart)
    target = target[::13]
    assert torch.autograd.gradgradcheck(loss, few)


def test_without_noise_it_is_the_closed_form_to_the_bit() -> None:
    parameters, target, std = grid(torch.float32)
    leaves = [parameter.clone().requires_grad_() for parameter in parameters]
    nig = NormalInverseGamma.from_alpha_minus_one(*leaves)
    for loss in (nig_nll, evidential_loss):
        plain = loss(nig, target, reduction="none")
        gradients = torch.autograd.grad(plain.sum(), leaves, retain_graph=True)
        for none in (0, 0.0, torch.zeros(()), torch.zeros(len(target))):
            same = loss(nig, target, target_std=none, reduction="none")
            assert torch.equal(same, plain)
            for one, other in zip(torch.autograd.grad(same.sum(), leaves, retain_graph=True), gradients, strict=True):
                assert torch.equal(one, other)
        # Of those next to it some have noise.
        some = torch.where(torch.arange(len(target)) % 2 == 0, 0.0, std)
        mixed = loss(nig, target, target_std=some, reduction="none")
        assert torch.equal(mixed[::2], plain[::2])
        assert (mixed[1::2] != plain[1::2]).all()


def test_limits_of_no_noise_and_of_nothing_but_noise() -> None:
    parameters, target, _ = grid()
    nig = NormalInverseGamma.from_alpha_minus_one(*parameters)
    almost = nig_nll(nig, target, target_std=1e-9, reduction="none")
    torch.testing.assert_close(almost, nig_nll(nig, target, reduction="none"), rtol=0, atol=1e-7)
    wide = nig_nll(nig, target, target_std=1e6, reduction="none")
    normal = -torch.distributions.Normal(0.0, torch.tensor(1e6, **DOUBLE)).log_prob(target)
    torch.testing.assert_close(wide, normal, rtol=0, atol=1e-6)


def test_the_density_of_a_noisy_target_sums_to_one() -> None:
    target = torch.linspace(-100, 100, 4001, **DOUBLE)
    one = torch.ones_like(target)
    nig = NormalInverseGamma(0 * one, 0.5 * one, 2.5 * one, 0.1 * one)
    density = (-nig_nll(nig, target, target_std=0.4, reduction="none")).exp()
    assert density.sum().item() * (target[1] - target[0]).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
def test_values_and_gradients_are_finite_at_the_ends(dtype: torch.dtype) -> None:
    ends = itertools.product(
        [1e-6, 1.0, 1e4], [1e-6, 1.0, 1e4], [1e-6, 1.0, 1e3], [0.0, 1e-4, 4.0, 1e3], [0.0, 1e-6, 1.0, 1e3]
    )
    nu, excess, beta, target, std = torch.tensor(list(ends), dtype=dtype).unbind(-1)
    leaves = [value.clone().requires_grad_() for value in (torch.zeros_like(nu), nu, excess, beta, std)]
    nig = NormalInverseGamma.from_alpha_minus_one(*leaves[:4])
    loss = evidential_loss(nig, target, target_std=leaves[4], reduction="none")
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss).all()
    loss.sum().backward()
    for leaf in leaves:
        assert leaf.grad is not None
        assert torch.isfinite(leaf.grad).all()


def test_what_is_learnt_is_the_distribution_without_the_noise() -> None:
    """Truths of deviation 0.5 seen with noise of deviation 1: the noise is told, or it is learnt as spread."""
    rng = np.random.default_rng(0)
    noise = rng.choice([0.5, 1.5], 1500)
    target = torch.from_numpy(2 + 0.5 * rng.normal(size=1500) + noise * rng.normal(size=1500))
    found = []
    for std in (None, torch.from_numpy(noise)):
        raw = torch.zeros(2, **DOUBLE, requires_grad=True)
        optimizer = torch.optim.LBFGS([raw], max_iter=50, line_search_fn="strong_wolfe")

        def closure(raw=raw, optimizer=optimizer, std=std) -> torch.Tensor:
            optimizer.zero_grad()
            one = torch.ones(1500, **DOUBLE)
            # α of 50 leaves the Student t all but normal, of variance β(1 + 1/ν)/(α − 1).
            nig = NormalInverseGamma(raw[0] * one, one, 50 * one, raw[1].exp() * one)
            loss = nig_nll(nig, target, target_std=std)
            loss.backward()
            return loss

        optimizer.step(closure)
        found.append((raw[0].item(), math.sqrt(2 * raw[1].exp().item() / 49)))
    assert found[0][1] > 1.0
    assert found[1] == (pytest.approx(2, abs=0.1), pytest.approx(0.5, abs=0.1))


def test_weights_reductions_and_modules_take_it() -> None:
    nig = NormalInverseGamma(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 1.0, 2.0, 1.0)
    target, std = torch.tensor([[1.5, math.nan], [2.0, 4.0]]), torch.tensor([[0.5], [2.0]])
    weight = torch.tensor([[1.0, 0.0], [2.0, 1.0]])
    each = evidential_loss(nig, torch.nan_to_num(target), target_std=std, reduction="none")
    mean = evidential_loss(nig, target, target_std=std, weight=weight)
    assert mean.item() == pytest.approx((each * weight).sum().item() / 4, rel=1e-6)
    assert torch.equal(EvidentialLoss()(nig, target, weight, std), mean)
    assert torch.equal(NIGNLLLoss()(nig, target, weight, 0.5), nig_nll(nig, target, weight=weight, target_std=0.5))
    # The regulariser does not know of it.
    plain = nig_nll(nig, torch.nan_to_num(target), target_std=std, reduction="none")
    torch.testing.assert_close(each - plain, 0.05 * (torch.nan_to_num(target) - nig.loc).abs() * (2 + 2.0))


@pytest.mark.parametrize(
    ("std", "error", "message"),
    [
        (-0.1, ValueError, "target_std must be a finite number of at least 0"),
        (math.inf, ValueError, "target_std must be a finite number"),
        ("1", TypeError, "target_std must be a number or a tensor"),
        (torch.ones(2, 1), ValueError, "target_std must be a number or a tensor that broadcasts"),
        (torch.tensor([0.1, -1.0]), ValueError, "target_std must be finite of at least 0"),
    ],
)
def test_what_is_no_deviation_is_refused(std: object, error: type[Exception], message: str) -> None:
    nig = NormalInverseGamma(torch.tensor([1.0, 2.0]), 1.0, 2.0, 1.0)
    with pytest.raises(error, match=message):
        nig_nll(nig, torch.tensor([1.0, 2.0]), target_std=std)  # type: ignore[arg-type]


def test_it_goes_under_vmap() -> None:
    parameters, target, std = grid()

    def loss(loc, nu, excess, beta, y, s):
        nig = NormalInverseGamma.from_alpha_minus_one(loc, nu, excess, beta, validate_args=False)
        return nig_nll(nig, y, target_std=s, reduction="none")

    together = loss(*parameters, target, std)
    torch.testing.assert_close(torch.func.vmap(loss)(*parameters, target, std), together)
    slopes = torch.func.vmap(torch.func.grad(loss))(*parameters, target, std)
    assert torch.isfinite(slopes).all()
