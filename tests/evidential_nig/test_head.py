import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from evidential_nig import NIGHead, NormalInverseGamma, evidential_loss, nig_nll

HALVES = [torch.bfloat16, torch.float16]


@pytest.fixture
def head():
    torch.manual_seed(5)
    head = NIGHead(6, 3)
    with torch.no_grad():
        head.linear.weight.normal_()
    return head


def test_rows_are_loc_nu_alpha_beta_in_blocks(head):
    features = torch.randn(2, 7, 6)
    nig = head(features)
    assert isinstance(nig, NormalInverseGamma)
    assert nig.batch_shape == (2, 7, 3)
    raw = features @ head.linear.weight.T + head.linear.bias
    torch.testing.assert_close(nig.loc, raw[..., 0:3])
    for parameter, block in ((nig.nu, 1), (nig.alpha_minus_one, 2), (nig.beta, 3)):
        expected = torch.nn.functional.softplus(raw[..., 3 * block : 3 * block + 3]) + 1e-6
        torch.testing.assert_close(parameter, expected)


def test_evidence_starts_at_the_given_constants():
    head = NIGHead(6, 3, nu=0.5, alpha=4.0, beta=0.02)
    nig = head(torch.randn(10, 6))
    for parameter, start in ((nig.nu, 0.5), (nig.alpha, 4.0), (nig.beta, 0.02)):
        torch.testing.assert_close(parameter, torch.full((10, 3), start))
    assert nig.loc.std() > 0.1


def test_loc_starts_at_the_expected_quality_or_the_class_probability():
    probabilities = torch.randn(10, 5).softmax(-1)
    levels = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    torch.testing.assert_close(NIGHead(5, 1, loc_weight=levels)(probabilities).loc, probabilities @ levels.T)
    torch.testing.assert_close(NIGHead(5, 5, loc_weight=torch.eye(5))(probabilities).loc, probabilities)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loc_weight": torch.ones(5, 3)}, r"\(3, 5\), but has \(5, 3\)"),
        ({"nu": 0.0}, "nu must start above 0"),
        ({"alpha": 1.0}, "alpha must start above 1"),
        ({"beta": 0.0}, "beta must start above 0"),
        ({"beta": float("nan")}, "beta must be a finite number, got nan"),
        ({"beta": 0.01, "floor": 0.1}, r"floor \(0.1\), got 0.01"),
    ],
)
def test_unusable_starts_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NIGHead(5, 3, **arguments)


def test_every_weight_gets_a_gradient_at_the_start():
    head = NIGHead(6, 3)
    evidential_loss(head(torch.randn(10, 6)), torch.randn(10, 3)).backward()
    assert (head.linear.weight.grad != 0).all()
    assert (head.linear.bias.grad != 0).all()


@pytest.mark.parametrize("dtype", HALVES)
def test_single_precision_inside_autocast(head, dtype):
    features = torch.randn(10, 6)
    outside = head(features)
    with torch.autocast("cpu", dtype=dtype):
        inside = head(features)
        from_half = head(features.to(dtype))
    assert inside.loc.dtype == from_half.loc.dtype == torch.float32
    assert torch.equal(inside.beta, outside.beta)
    assert torch.equal(from_half.beta, head(features.to(dtype).float()).beta)


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_weights_give_single_precision_parameters(head, dtype):
    head.to(dtype)
    nig = head(torch.randn(10, 6).to(dtype))
    assert nig.alpha_minus_one.dtype == torch.float32


def test_double_precision_is_kept(head):
    assert head.double()(torch.randn(10, 6).double()).loc.dtype == torch.float64


def test_state_dict_round_trip(head):
    other = NIGHead(6, 3, beta=7.0)
    other.load_state_dict(head.state_dict())
    features = torch.randn(10, 6)
    assert torch.equal(other(features).beta, head(features).beta)


def test_the_head_and_its_loss_are_one_graph(head):
    features, target = torch.randn(10, 6), torch.randn(10, 3)

    def loss(features):
        return nig_nll(head(features), target)

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(features), loss(features))
    nig = torch.compile(head, fullgraph=True, backend="aot_eager")(features)
    torch.testing.assert_close(nig.epistemic, head(features).epistemic)


def test_it_learns_the_noise_and_the_mean():
    """A regression whose noise depends on the input: σ = 0.1 where x = 0 and 0.5 where x = 1."""
    torch.manual_seed(6)
    group = torch.arange(400) % 2
    features = torch.nn.functional.one_hot(group, 2).float()
    target = (1.0 + group + torch.tensor([0.1, 0.5])[group] * torch.randn(400)).unsqueeze(-1)
    head = NIGHead(2, 1)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = nig_nll(head(features), target)
        loss.backward()
        return loss

    optimizer.step(closure)
    nig = head(torch.eye(2))
    torch.testing.assert_close(nig.loc[:, 0], torch.tensor([1.0, 2.0]), rtol=0, atol=0.1)
    spread = torch.stack([target[group == g].std() for g in (0, 1)])
    torch.testing.assert_close(nig.predictive_scale[:, 0], spread, rtol=0.15, atol=0)


raw = st.floats(-200, 200, width=16)


@given(st.tuples(raw, raw, raw, raw), st.floats(-1e4, 1e4, width=32), st.sampled_from([torch.float32, *HALVES]))
@example((0.0, -200.0, 200.0, -200.0), 1e4, torch.float16)
@example((0.0, 200.0, 200.0, -110.0), 1e-3, torch.bfloat16)
def test_no_nan_or_inf_for_raw_outputs_within_200(values, target, dtype):
    head = NIGHead(4, 1)
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(4))
        head.linear.bias.zero_()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        nig = head(torch.tensor([values], dtype=dtype))
        results = {
            "loss": evidential_loss(nig, torch.tensor([[target]])),
            "epistemic": nig.epistemic.sum(),
            "predictive_scale": nig.predictive_scale.sum(),
        }
    assert torch.stack([nig.loc, nig.nu, nig.alpha_minus_one, nig.beta]).isfinite().all()
    for name, result in results.items():
        assert result.isfinite(), name
        gradients = torch.autograd.grad(result, tuple(head.parameters()), retain_graph=True)
        assert all(gradient.isfinite().all() for gradient in gradients), name


def test_printing_a_head_says_what_it_is():
    assert "in_features=6, out_features=3, floor=0.001" in repr(NIGHead(6, 3, floor=1e-3))
