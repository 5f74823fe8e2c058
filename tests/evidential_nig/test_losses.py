"""What every loss of the package promises; a new loss joins by a line in LOSSES and its reference."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mpf
from torch.autograd import gradcheck, gradgradcheck

from evidential_nig import NormalInverseGamma, evidence_regularizer, evidential_loss, nig_nll

LOSSES = {
    "nig_nll": nig_nll,
    "evidence_regularizer": evidence_regularizer,
    "evidential_loss": evidential_loss,
    "evidential_loss(tau=1.5)": partial(evidential_loss, tau=1.5),
}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


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
        return {
            "nig_nll": nll,
            "evidence_regularizer": regularizer,
            "evidential_loss": nll + mpf(0.05) * regularizer,
            "evidential_loss(tau=1.5)": nll + mpf(1.5) * regularizer,
        }[name]

    return compute


@pytest.mark.parametrize("name", LOSSES)
def test_eq1_eq2_eq3_values(name, batch, expected):
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


@each_loss
def test_gradcheck_and_gradgradcheck(loss, batch):
    inputs = [value.detach().requires_grad_() for value in batch]

    def rows(*values):
        return loss(*split(values), reduction="none")

    assert gradcheck(rows, inputs, check_forward_ad=True)
    assert gradgradcheck(rows, inputs)


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

    compiled = torch.compile(total, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*inputs), total(*inputs))
    gradient = partial(torch.autograd.grad, inputs=inputs, materialize_grads=True)
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
