"""A network's last layer for evidential regression."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from evidential_nig.arguments import check_batch, check_finite, check_number, check_whole_number
from evidential_nig.distribution import DEFAULT_FLOOR, NormalInverseGamma


class NIGHead(nn.Module):
    """A linear layer from features to normal-inverse-gamma distributions.

    The layer has 4 × `out_features` rows in four blocks: δ, then what becomes ν, α − 1 and β through
    softplus(·) + floor (`NormalInverseGamma.from_unconstrained`). It computes in at least `float32`, inside autocast
    and with half-precision weights too.

    At the start the evidence rows are constant (weights 0), so that every input gets the `nu`, `alpha` and `beta`
    given here, and the loc rows are `loc_weight` without bias or, without one, those of a fresh `nn.Linear`.

    Args:
        in_features: Size of the features' last dimension.
        out_features: Number of distributions made from one feature vector.
        loc_weight: Initial weights of the loc rows, shape (out_features, in_features). For a layer on the
            probabilities of five quality levels, `[[1., 2., 3., 4., 5.]]` starts δ at the expected quality; on class
            probabilities, the identity starts δ at them.
        nu: Initial ν.
        alpha: Initial α.
        beta: Initial β, in squared units of the target. With α = 2 it is the initial aleatoric variance.
        floor: Smallest ν, α − 1 and β, at least 0.
        device: Of the weights.
        dtype: Of the weights.

    Raises:
        ValueError: If a size is below 1, `loc_weight` has another shape or a value that is not finite, `floor` is
            negative or not finite, or a starting value is not finite or lies at or below its floor.
        TypeError: If one of these is no number, or `loc_weight` no tensor.

    Shape:
        Input (..., in_features); output a `NormalInverseGamma` of batch shape (..., out_features).

    Example:
        >>> head = NIGHead(5, 1, loc_weight=torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]))
        >>> nig = head(torch.full((8, 5), 0.2))
        >>> nig.batch_shape, round(nig.loc[0].item(), 4)
        (torch.Size([8, 1]), 3.0)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        loc_weight: Tensor | None = None,
        nu: float = 1.0,
        alpha: float = 2.0,
        beta: float = 1.0,
        floor: float = DEFAULT_FLOOR,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_whole_number("in_features", in_features, at_least=1)
        check_whole_number("out_features", out_features, at_least=1)
        check_number("floor", floor, at_least=0)
        if loc_weight is not None:
            shape = torch.Size((out_features, in_features))
            check_batch("loc_weight", loc_weight, shape, of="shape (out_features, in_features)")
            check_finite("loc_weight", loc_weight)
        for name, value, least in (("nu", nu, 0.0), ("alpha", alpha, 1.0), ("beta", beta, 0.0)):
            check_number(name, value)
            if not value - least > floor:
                raise ValueError(f"{name} must start above {least:g} + floor ({floor:g}), got {value}")
        self.in_features = in_features
        self.out_features = out_features
        self.floor = floor
        self.linear = nn.Linear(in_features, 4 * out_features, device=device, dtype=dtype)
        with torch.no_grad():
            if loc_weight is not None:
                self.linear.weight[:out_features] = loc_weight.to(self.linear.weight)
                self.linear.bias[:out_features] = 0
            self.linear.weight[out_features:] = 0
            for block, start in enumerate((nu, alpha - 1, beta), start=1):
                rows = slice(block * out_features, (block + 1) * out_features)
                self.linear.bias[rows] = inverse_softplus(start - floor)

    def forward(self, features: Tensor) -> NormalInverseGamma:
        """Distributions of batch shape (..., out_features) for features of shape (..., in_features)."""
        weight, bias = self.linear.weight, self.linear.bias
        dtype = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
        with torch.autocast(features.device.type, enabled=False):
            raw = linear(features.to(dtype), weight.to(dtype), bias.to(dtype))
            return NormalInverseGamma.from_unconstrained(*raw.chunk(4, dim=-1), floor=self.floor)

    def extra_repr(self) -> str:
        """What `print(head)` shows beside the linear layer."""
        return f"in_features={self.in_features}, out_features={self.out_features}, floor={self.floor:g}"


def inverse_softplus(value: float) -> float:
    """The raw output whose softplus is `value` > 0."""
    return value + math.log(-math.expm1(-value))
