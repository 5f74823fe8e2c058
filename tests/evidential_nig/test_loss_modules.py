"""Each loss module is its function with the options fixed."""

from functools import partial

import pytest
import torch
from torch import nn

import evidential_nig
from evidential_nig import NIGHead, NormalInverseGamma, losses

PAIRS = {
    "NIGNLLLoss": ({}, losses.nig_nll),
    "EvidenceRegularizer": ({}, losses.evidence_regularizer),
    "EvidentialLoss": ({"tau": 0.7}, losses.evidential_loss),
    "KLRegularizer": ({"omega": 0.3}, losses.kl_regularizer),
    "ScaleAwareRegularizer": ({"power": 2.0}, losses.scale_aware_regularizer),
    "LipschitzMSE": ({}, losses.lipschitz_mse),
    "UncertaintyRegularizer": ({}, losses.uncertainty_regularizer),
}
NIG = NormalInverseGamma(
    torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.5, 1.0, 2.0]), 1.7, torch.tensor([1.0, 2.0, 0.3])
)
TARGET, WEIGHT = torch.tensor([0.4, -1.0, 2.5]), torch.tensor([1.0, 0.0, 3.0])


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_it_is_the_function(name, reduction):
    options, function = PAIRS[name]
    module = getattr(evidential_nig, name)(**options, reduction=reduction)
    for weight in (None, WEIGHT):
        expected = function(NIG, TARGET, **options, reduction=reduction, weight=weight)
        assert torch.equal(module(NIG, TARGET, weight), expected)
    assert not list(module.parameters())
    shown = "".join(f"{option}={value:g}, " for option, value in options.items())
    assert repr(module) == f"{name}({shown}reduction='{reduction}')"


@pytest.mark.parametrize("name", PAIRS)
def test_the_defaults_are_those_of_the_function(name):
    _, function = PAIRS[name]
    assert torch.equal(getattr(evidential_nig, name)()(NIG, TARGET), function(NIG, TARGET))
    with pytest.raises(ValueError, match='reduction must be "none", "mean" or "sum", got \'max\''):
        getattr(evidential_nig, name)(reduction="max")


def test_every_loss_has_a_module():
    functions = {
        name
        for name, thing in vars(losses).items()
        if callable(thing) and "nig" in getattr(thing, "__annotations__", {})
    }
    assert {function.__name__ for _, function in PAIRS.values()} == {
        name for name in functions if not name.startswith("_")
    }


def test_a_loop_that_knows_only_modules_trains():
    """Nothing in it is of this package but the last layer and the loss."""
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 64).unsqueeze(-1)
    model, criterion = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), NIGHead(16, 1)), evidential_nig.EvidentialLoss(0.01)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    step = partial(lambda: criterion(model(x), x**3))
    first = step().item()
    for _ in range(100):
        optimizer.zero_grad()
        step().backward()
        optimizer.step()
    assert step().item() < first - 0.5
    assert torch.equal(copy_of(criterion)(model(x), x**3), step())


def copy_of(module):
    import pickle

    return pickle.loads(pickle.dumps(module))
