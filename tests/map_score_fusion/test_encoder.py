"""The encoder of the paper's sections 3.3 and 4.1."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from map_score_fusion.encoder import Encoder


def encoder_and_scores(metrics: int, seed: int, rows: int = 40) -> tuple[Encoder, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    encoder = Encoder(metrics, generator).requires_grad_(False)
    encoder.weight.mul_(4.0)  # so that the weights of the scores are far from equal
    return encoder, torch.rand(rows, metrics, dtype=torch.float64, generator=generator)


def test_is_six_layers_of_width_m_with_leaky_rectifiers_between_them() -> None:
    encoder, scores = encoder_and_scores(5, 0)
    hidden = scores.numpy()
    for layer, (weight, bias) in enumerate(zip(encoder.weight.numpy(), encoder.bias.numpy(), strict=True)):
        hidden = hidden @ weight.T + bias
        if layer < 5:
            hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    assert encoder.weight.shape == (6, 5, 5)
    expected = np.exp(hidden) / np.exp(hidden).sum(1, keepdims=True)
    np.testing.assert_allclose(encoder(scores), expected, rtol=1e-12)


@given(st.integers(1, 12), st.integers(0, 1000), st.data())
def test_the_fused_score_is_a_mean_of_the_scores_that_are_there(metrics: int, seed: int, data: st.DataObject) -> None:
    encoder, scores = encoder_and_scores(metrics, seed, rows=3)
    rows = st.lists(st.booleans(), min_size=metrics, max_size=metrics).filter(lambda row: not all(row))
    missing = torch.tensor(data.draw(st.lists(rows, min_size=3, max_size=3)))
    weights = encoder(scores, missing)
    assert torch.all(weights >= 0.0)
    assert torch.all(weights[missing] == 0.0)
    np.testing.assert_allclose(weights.sum(1), 1.0, rtol=1e-12)
    fused = (weights * scores).sum(1)
    assert torch.all(fused >= scores.masked_fill(missing, 2.0).amin(1) - 1e-12)
    assert torch.all(fused <= scores.masked_fill(missing, -1.0).amax(1) + 1e-12)


def test_a_mask_without_missing_scores_changes_nothing() -> None:
    encoder, scores = encoder_and_scores(4, 1)
    assert torch.equal(encoder(scores), encoder(scores, torch.zeros(scores.shape, dtype=torch.bool)))


def test_starts_as_torchs_linear_layers_and_from_the_generator_alone() -> None:
    first, again, other = (Encoder(16, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.weight, again.weight)
    assert torch.equal(first.bias, again.bias)
    assert not torch.equal(first.weight, other.weight)
    assert first.weight.abs().max() <= 0.25
    assert 0.14 < first.weight.std() < 0.15  # 0.25 / √3


def test_gradcheck() -> None:
    encoder, scores = encoder_and_scores(3, 2, rows=4)
    missing = torch.zeros(4, 3, dtype=torch.bool)
    missing[1, 2] = True

    def weights(scores: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(encoder, {"weight": weight, "bias": bias}, (scores, missing))

    inputs = (scores, encoder.weight.clone(), encoder.bias.clone())
    assert torch.autograd.gradcheck(weights, tuple(value.requires_grad_() for value in inputs))
