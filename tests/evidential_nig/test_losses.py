"""What every loss of the package promises; a new loss joins by a line in LOSSES and its reference."""

from functools import partial

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf
from torch.autograd import gradcheck, gradgradcheck

from evidential_nig import (
    NIGHead,
    NormalInverseGamma,
    evidence_regularizer,
    evidential_loss,
    kl_regularizer,
    lipschitz_mse,
    nig_nll,
    scale_aware_regularizer,
    uncertainty_regularizer,
)

LOSSES = {
    "nig_nll": nig_nll,
    "evidence_regularizer": evidence_regularizer,
    "evidential_loss": evidential_loss,
    "evidential_loss(tau=1.5)": partial(evidential_loss, tau=1.5),
    "kl_regularizer": kl_regularizer,
    "kl_regularizer(omega=0.5)": partial(kl_regularizer, omega=0.5),
    "scale_aware_regularizer": scale_aware_regularizer,
    "scale_aware_regularizer(power=2)": partial(scale_aware_regularizer, power=2),
    "lipschitz_mse": lipschitz_mse,
    "uncertainty_regularizer": uncertainty_regularizer,
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
# Of these only δ gets a gradient; the other parameters set a bound that is held fixed.
ONLY_LOC = {"lipschitz_mse"}


@pytest.fixture
def batch(generator):
    """Four parameters and a target of shape (5, 3), double precision."""

    def draw(low, high):
        return low + (high - low) * torch.rand(5, 3, generator=generator, dtype=torch.float64)

    return draw(-2, 2), draw(0.2, 5), draw(0.1, 8), draw(0.2, 3), draw(-2, 2)


def split(batch):
    return NormalInverseGamma.from_alpha_minus_one(*batch[:4]), batch[4]


@pytest.fixture
def expected(reference_nll, reference_regularizer):
    """Name of a loss and one row of numbers → the exact loss."""

    def compute(name, loc, nu, alpha_minus_one, beta, target):
        nll = reference_nll(loc, nu, alpha_minus_one, beta, target)["value"].value
        regularizer = reference_regularizer(loc, nu, alpha_minus_one, target)
        loc, nu, less, beta, target = (mpf(value) for value in (loc, nu, alpha_minus_one, beta, target))
        error, alpha = abs(target - loc), 1 + less
        width_squared = beta * (1 + nu) / (nu * alpha)

        def kl(omega):
            other = 1 + mpf(omega)
            mean = (omega / nu - 1 - mpmath.log(omega / nu)) / 2
            psi, lost = mpmath.psi(0, alpha), mpmath.loggamma(other) - mpmath.loggamma(alpha)
            return mean + (alpha - other) * psi + lost

        s = 2 * beta * (1 + nu) / nu
        bound = min(width_squared, s * (mpmath.exp(mpmath.psi(0, alpha + mpf(1) / 2) - mpmath.psi(0, alpha)) - 1))
        return {
            "nig_nll": nll,
            "evidence_regularizer": regularizer,
            "evidential_loss": nll + mpf(0.05) * regularizer,
            "evidential_loss(tau=1.5)": nll + mpf(1.5) * regularizer,
            "kl_regularizer": error * kl(mpf(0.01)),
            "kl_regularizer(omega=0.5)": error * kl(mpf(0.5)),
            "scale_aware_regularizer": error / mpmath.sqrt(width_squared) * (2 * nu + alpha),
            "scale_aware_regularizer(power=2)": error**2 / width_squared * (2 * nu + alpha),
            "lipschitz_mse": error**2 if error**2 < bound else 2 * mpmath.sqrt(bound) * error - bound,
            "uncertainty_regularizer": -error * mpmath.log(mpmath.exp(less) - 1),
        }[name]

    return compute


@pytest.mark.parametrize("name", LOSSES)
def test_eq1_eq2_eq3_and_the_other_losses_against_50_digits(name, batch, expected):
    computed = LOSSES[name](*split(batch), reduction="none")
    rows = torch.stack(batch, dim=-1).flatten(end_dim=-2).tolist()
    reference = torch.tensor([float(expected(name, *row)) for row in rows], dtype=torch.float64)
    torch.testing.assert_close(computed.flatten(), reference, rtol=1e-13, atol=1e-13)


def test_eq2_is_the_error_times_the_total_evidence():
    nig = NormalInverseGamma(loc=torch.tensor([3.0]), nu=2.0, alpha=5.0, beta=1.0)
    assert evidence_regularizer(nig, torch.tensor([2.5])).item() == 0.5 * (2 * 2 + 5)


def test_eq3_weighs_the_regularizer_by_tau(batch):
    nig, target = split(batch)
    total = evidential_loss(nig, target, 0.7, reduction="none")
    parts = nig_nll(nig, target, reduction="none") + 0.7 * evidence_regularizer(nig, target, reduction="none")
    torch.testing.assert_close(total, parts, rtol=1e-15, atol=1e-15)


@each_loss
@pytest.mark.parametrize(
    ("batch_shape", "target_shape"), [((4,), (4, 1)), ((4, 1), (4,)), ((4,), (1,)), ((4,), ()), ((4, 2), (2, 4))]
)
def test_a_target_of_another_shape_is_refused(loss, batch_shape, target_shape):
    nig = NormalInverseGamma(torch.zeros(batch_shape), 1.0, 2.0, 1.0)
    with pytest.raises(ValueError, match="target must have exactly the batch shape") as error:
        loss(nig, torch.zeros(target_shape))
    assert str(batch_shape) in str(error.value)
    assert str(target_shape) in str(error.value)


@each_loss
def test_a_weight_of_another_shape_is_refused(loss):
    nig = NormalInverseGamma(torch.zeros(4, 2), 1.0, 2.0, 1.0)
    with pytest.raises(ValueError, match=r"weight must have exactly the batch shape .*\(4, 2\).*\(4, 1\)"):
        loss(nig, torch.zeros(4, 2), weight=torch.ones(4, 1))


@each_loss
def test_an_unknown_reduction_is_refused(loss, batch):
    with pytest.raises(ValueError, match="'average'"):
        loss(*split(batch), reduction="average")


@each_loss
def test_reductions(loss, batch):
    nig, target = split(batch)
    rows = loss(nig, target, reduction="none")
    assert rows.shape == (5, 3)
    torch.testing.assert_close(loss(nig, target, reduction="sum"), rows.sum())
    torch.testing.assert_close(loss(nig, target, reduction="mean"), rows.mean())
    torch.testing.assert_close(loss(nig, target), rows.mean())


@each_loss
def test_integer_weights_repeat_rows(loss, batch):
    nig, target = split(batch)
    counts = torch.tensor([2, 0, 1, 3, 1])
    repeated = nig.map(lambda p: p.repeat_interleave(counts, dim=0))
    repeated_target = target.repeat_interleave(counts, dim=0)
    weight = counts.unsqueeze(-1).expand(5, 3)
    for reduction in ("sum", "mean"):
        torch.testing.assert_close(
            loss(nig, target, reduction=reduction, weight=weight), loss(repeated, repeated_target, reduction=reduction)
        )
    rows = loss(nig, target, reduction="none")
    torch.testing.assert_close(loss(nig, target, reduction="none", weight=weight), rows * weight)


@each_loss
def test_a_row_does_not_depend_on_its_batch(loss, batch):
    nig, target = split(batch)
    together = loss(nig, target, reduction="none")
    alone = torch.stack([loss(nig[i], target[i], reduction="none") for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-14, atol=1e-14)
    assert loss(nig[0, 0], target[0, 0]).shape == ()
    assert loss(nig[:0], target[:0], reduction="none").shape == (0, 3)


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_input_is_computed_in_single(loss, dtype, batch):
    half = [value.to(dtype) for value in batch]
    single = [value.float() for value in half]
    result = loss(*split(half), reduction="none")
    assert result.dtype == torch.float32
    assert torch.equal(result, loss(*split(single), reduction="none"))


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(loss, dtype, batch):
    single = [value.float() for value in batch]
    outside = loss(*split(single))
    with torch.autocast("cpu", dtype=dtype):
        inside = loss(*split(single))
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)


@each_loss
def test_the_target_takes_the_dtype_of_the_predictions(loss, batch):
    nig, _ = split([value.float() for value in batch])
    target = torch.arange(15).reshape(5, 3)
    result = loss(nig, target.double(), reduction="none")
    assert result.dtype == torch.float32
    assert torch.equal(result, loss(nig, target, reduction="none"))


@pytest.mark.parametrize("name", LOSSES)
def test_gradcheck_and_gradgradcheck(name, batch):
    differentiable = (0,) if name in ONLY_LOC else range(5)
    inputs = [value.detach().requires_grad_(index in differentiable) for index, value in enumerate(batch)]
    # Second derivatives are differences of first ones, for each number against each: of a row, three instead of 15.
    row = [value[0].detach().requires_grad_(value.requires_grad) for value in inputs]

    def rows(*values):
        return LOSSES[name](*split(values), reduction="none")

    assert gradcheck(rows, inputs, check_forward_ad=True)
    assert gradgradcheck(rows, row)


@each_loss
def test_the_gradient_is_zero_and_finite_at_a_perfect_prediction(loss):
    loc = torch.ones(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(NormalInverseGamma(loc, 1.0, 2.0, 1.0), torch.ones(3)), loc)
    assert torch.equal(gradient, torch.zeros(3))


@each_loss
def test_vmap_equals_a_loop(loss, batch):
    def row(values):
        return loss(NormalInverseGamma.from_alpha_minus_one(*values[:4], validate_args=False), values[4])

    mapped = torch.func.vmap(row)(batch)
    looped = torch.stack([row([value[i] for value in batch]) for i in range(5)])
    torch.testing.assert_close(mapped, looped, rtol=1e-14, atol=1e-14)
    per_row = torch.func.vmap(torch.func.grad(row))(batch)
    for i in range(5):
        for computed, reference in zip(per_row, torch.func.grad(row)(tuple(value[i] for value in batch)), strict=True):
            torch.testing.assert_close(computed[i], reference, rtol=1e-13, atol=1e-13)


@each_loss
def test_the_whole_loss_is_one_graph(loss, batch):
    inputs = [value.detach().requires_grad_() for value in batch]

    def total(*values):
        return loss(*split(values), reduction="sum")

    torch.compiler.reset()  # each loss would count as one more recompilation of the same function
    compiled = torch.compile(total, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), total(*inputs))
    gradient = partial(torch.autograd.grad, inputs=inputs, materialize_grads=True, allow_unused=True)
    for computed, reference in zip(gradient(compiled(*inputs)), gradient(total(*inputs)), strict=True):
        torch.testing.assert_close(computed, reference)


def test_the_nll_is_that_of_the_predictive_student_t(batch):
    nig, target = split(batch)
    student = torch.distributions.StudentT(nig.predictive_df, nig.loc, nig.predictive_scale)
    torch.testing.assert_close(nig_nll(nig, target, reduction="none"), -student.log_prob(target))


raw = st.floats(-200, 200, width=32)


@given(st.lists(st.tuples(raw, raw, raw, raw, st.floats(-1e4, 1e4, width=32)), min_size=1, max_size=20))
def test_no_loss_or_gradient_is_nan_or_inf_for_raw_outputs_within_200(rows):
    values = torch.tensor(rows)
    leaves = values[:, :4].clone().requires_grad_()
    nig = NormalInverseGamma.from_unconstrained(*leaves.unbind(-1))
    for loss in LOSSES.values():
        result = loss(nig, values[:, 4], reduction="none")
        assert result.isfinite().all()
        (gradient,) = torch.autograd.grad(result.sum(), leaves, retain_graph=True)
        assert gradient.isfinite().all()


@each_loss
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_a_target_without_weight_may_be_missing(loss, reduction, batch):
    nig, target = split([value.detach().requires_grad_() for value in batch])
    present = torch.arange(15).reshape(5, 3) % 4 != 0
    with_gaps = torch.where(present, target, torch.nan)
    result = loss(nig, with_gaps, reduction=reduction, weight=present)
    expected_rows = loss(nig[present], target[present], reduction=reduction)
    if reduction == "none":
        assert torch.equal(result[~present], torch.zeros(4, dtype=torch.float64))
        result = result[present]
    torch.testing.assert_close(result, expected_rows)
    for gradient in torch.autograd.grad(result.sum(), [nig.loc, nig.nu], allow_unused=True):
        assert gradient is None or (gradient.isfinite().all() and torch.equal(gradient == 0, ~present))


@each_loss
def test_a_batch_without_any_label_gives_no_gradient(loss, batch):
    values = [value.detach().requires_grad_() for value in batch]
    nig, target = split(values)
    result = loss(nig, torch.full_like(target, torch.nan), weight=torch.zeros(5, 3))
    assert result == 0
    gradients = torch.autograd.grad(result, values[:4], allow_unused=True, materialize_grads=True)
    assert all(torch.equal(gradient, torch.zeros(5, 3, dtype=torch.float64)) for gradient in gradients)


@each_loss
def test_what_is_no_distribution_or_tensor_is_named(loss, batch):
    nig, target = split(batch)
    with pytest.raises(TypeError, match="nig must be a NormalInverseGamma, got StudentT"):
        loss(nig.predictive(), target)
    with pytest.raises(TypeError, match="target must be a tensor, got list"):
        loss(nig, target.tolist())
    with pytest.raises(TypeError, match="weight must be a tensor, got float"):
        loss(nig, target, weight=1.0)


def test_a_reduction_in_the_place_of_tau_is_named(batch):
    with pytest.raises(TypeError, match="tau must be a number or a tensor, got 'sum'"):
        evidential_loss(*split(batch), "sum")


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (partial(kl_regularizer, omega=0.0), "omega must be a finite number above 0, got 0.0"),
        (partial(scale_aware_regularizer, power=0.5), "power must be a finite number of at least 1, got 0.5"),
    ],
)
def test_a_parameter_of_a_regularizer_outside_its_range_is_named(loss, message, batch):
    with pytest.raises(ValueError, match=message):
        loss(*split(batch))


def test_kl_regularizer_equals_the_divergence_drawn_from_samples(generator):
    torch.manual_seed(1)
    nig = NormalInverseGamma(*(torch.tensor(v, dtype=torch.float64) for v in (1.0, 2.0, 3.0, 0.5)))
    prior = NormalInverseGamma.from_alpha_minus_one(nig.loc, 0.2, 0.2, nig.beta)
    pairs = nig.sample((200_000,))
    differences = nig.log_prob(pairs) - prior.log_prob(pairs)
    sampled, error = differences.mean().item(), differences.std().item() / 200_000**0.5
    assert abs(kl_regularizer(nig, nig.loc + 1, 0.2).item() - sampled) < 4 * error


def test_the_scale_aware_regularizer_does_not_depend_on_the_units(batch):
    nig, target = split(batch)
    in_centimetres = NormalInverseGamma.from_alpha_minus_one(100 * nig.loc, nig.nu, nig.alpha_minus_one, 1e4 * nig.beta)
    for power in (1.0, 1.7):
        torch.testing.assert_close(
            scale_aware_regularizer(in_centimetres, 100 * target, power), scale_aware_regularizer(nig, target, power)
        )
    assert evidence_regularizer(in_centimetres, 100 * target) > 50 * evidence_regularizer(nig, target)


def test_within_the_bound_of_the_lipschitz_mse_the_likelihood_raises_the_evidence_and_beyond_it_nu_falls():
    """The proposition behind MT-ENet's loss: ∂NLL/∂ν and ∂NLL/∂α are negative where the error is within w."""
    nu, alpha, beta, side = (
        x.flatten()
        for x in torch.meshgrid(
            torch.logspace(-3, 3, 7, dtype=torch.float64),
            1 + torch.logspace(-3, 4, 8, dtype=torch.float64),
            torch.logspace(-3, 3, 3, dtype=torch.float64),
            torch.tensor([0.5, 0.999, 1.001, 2.0], dtype=torch.float64),
            indexing="ij",
        )
    )
    nu, alpha = nu.requires_grad_(), alpha.requires_grad_()
    nig = NormalInverseGamma(torch.zeros_like(nu), nu, alpha, beta)
    target = side * nig.predictive_scale.detach()
    by_nu, by_alpha = torch.autograd.grad(nig_nll(nig, target, reduction="sum"), [nu, alpha])
    assert torch.equal(by_nu < 0, side < 1)
    assert (by_alpha[side < 1] < 0).all()


def test_the_lipschitz_mse_pulls_with_a_bounded_force_and_leaves_the_evidence_alone(batch):
    loc, nu = batch[0].clone().requires_grad_(), batch[1].clone().requires_grad_()
    nig = NormalInverseGamma.from_alpha_minus_one(loc, nu, *batch[2:4])
    by_loc, by_nu = torch.autograd.grad(
        lipschitz_mse(nig, batch[4], reduction="sum"), [loc, nu], allow_unused=True, materialize_grads=True
    )
    error = batch[4] - loc
    torch.testing.assert_close(by_loc, -2 * error.sign() * torch.minimum(error.abs(), nig.predictive_scale))
    assert torch.equal(by_nu, torch.zeros_like(nu))


def test_the_uncertainty_regularizer_learns_where_the_likelihood_cannot():
    """Ye et al.'s high uncertainty area: α near 1, the prediction wrong, and no gradient left in the raw output."""
    raw_alpha = torch.tensor([-12.0, -9.0], requires_grad=True)
    nig = NormalInverseGamma.from_unconstrained(torch.zeros(2), torch.zeros(2), raw_alpha, torch.zeros(2))
    target = torch.tensor([2.0, -3.0])
    (stuck,) = torch.autograd.grad(evidential_loss(nig, target, reduction="sum"), raw_alpha, retain_graph=True)
    (moving,) = torch.autograd.grad(uncertainty_regularizer(nig, target, reduction="sum"), raw_alpha)
    assert stuck.abs().max() < 1e-3
    torch.testing.assert_close(moving, torch.tensor([-2.0, -3.0]), rtol=0.2, atol=0)


def test_the_uncertainty_regularizer_frees_a_network_that_starts_in_the_zero_gradient_region():
    """Ye et al.'s cubic regression from such a start, by plain gradient descent, which does not rescale gradients."""
    torch.manual_seed(0)
    x = torch.linspace(-2, 2, 128).unsqueeze(-1)
    y = x**3 / 4 + 0.1 * torch.randn_like(x)

    def evidence_learnt(coefficient):
        torch.manual_seed(1)
        model = torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), NIGHead(32, 1))
        with torch.no_grad():
            model[-1].linear.bias[2] = -11.0  # the row of α
        optimizer = torch.optim.SGD(model.parameters(), lr=0.03)
        for _ in range(300):
            optimizer.zero_grad()
            nig = model(x)
            loss = evidential_loss(nig, y, 0.01) + coefficient * uncertainty_regularizer(nig, y)
            loss.backward()
            optimizer.step()
        return model(x).alpha_minus_one.median().item()

    start = 1.77e-5  # softplus(−11) + floor
    assert evidence_learnt(0.0) < 1.1 * start
    assert evidence_learnt(0.3) > 100 * start


def test_which_regularizers_take_noise_for_wrong_evidence(generator):
    """Two groups, the second ten times as noisy: DER's regulariser leaves it less evidence, the scale-aware as much."""
    noise = torch.randn(200, generator=generator, dtype=torch.float64)
    target = torch.stack([0.1 * noise, noise], dim=-1)

    def evidence(regularizer):
        raw = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.LBFGS([raw], max_iter=200, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            nig = NormalInverseGamma.from_unconstrained(*raw).expand((200, 2))
            loss = nig_nll(nig, target) + 0.1 * regularizer(nig, target)
            loss.backward()
            return loss

        optimizer.step(closure)
        nig = NormalInverseGamma.from_unconstrained(*raw.detach())
        return 2 * nig.nu + nig.alpha

    quiet, noisy = evidence(scale_aware_regularizer)
    torch.testing.assert_close(noisy, quiet, rtol=1e-3, atol=0)
    for regularizer in (evidence_regularizer, kl_regularizer):
        quiet, noisy = evidence(regularizer)
        assert noisy < 0.8 * quiet, regularizer
