"""A network's last layer for evidential regression of several targets at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from evidential_nig.arguments import check_number, check_whole_number
from evidential_nig.distribution import DEFAULT_FLOOR
from evidential_nig.head import inverse_softplus
from evidential_nig.multivariate.distribution import NormalInverseWishart


class NIWHead(nn.Module):
    """A linear layer from features to one normal-inverse-Wishart distribution over `out_features` targets.

    With n = `out_features`, the layer has rows for δ (n), for the triangle of L (n (n + 1)/2), for df (1) and, unless
    `coupled`, for κ (1), in this order; `NormalInverseWishart.from_unconstrained` says what becomes of them. It
    computes in at least `float32`, inside autocast and with half-precision weights too.

    At the start all rows but those of δ are constant (weights 0), so that every input gets the `kappa` and `df` given
    here and noise that is uncorrelated and equal for all targets; bring these to a common scale. The rows of δ are
    those of a fresh `nn.Linear`.

    Args:
        in_features: Size of the features' last dimension.
        out_features: n, the number of targets.
        coupled: Whether κ stays in the proportion to df that both have at the start. The likelihood alone cannot learn
            κ (it depends on Ψ (1 + κ)/κ), which Meinert and Lavin solve in this way, with r = df/κ a constant of one's
            choice. Then the epistemic covariance is known up to a factor that r sets: scale it on validation data.
        kappa: Initial κ; by default that of `df`, the paper's r = 1.
        df: Initial degrees of freedom; `out_features` + 3 by default.
        noise: Initial standard deviation of the noise of each target, the root of the diagonal of `aleatoric`.
        floor: Smallest κ (unless coupled), df − n − 1 and Lᵢᵢ², at least 0.
        device: Of the weights.
        dtype: Of the weights.

    Raises:
        ValueError: If a size is below 1, `floor` is negative or not finite, or a starting value is not finite or lies
            at or below its floor.
        TypeError: If one of these is no number.

    Shape:
        Input (..., in_features); output a `NormalInverseWishart` of batch shape (...), with `loc` (..., n).

    Example:
        >>> niw = NIWHead(5, 2, noise=0.5)(torch.zeros(8, 5))
        >>> niw.batch_shape, niw.loc.shape
        (torch.Size([8]), torch.Size([8, 2]))
        >>> niw.aleatoric[0].detach()
        tensor([[0.2500, 0.0000],
                [0.0000, 0.2500]])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        coupled: bool = True,
        kappa: float | None = None,
        df: float | None = None,
        noise: float = 1.0,
        floor: float = DEFAULT_FLOOR,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_whole_number("in_features", in_features, at_least=1)
        check_whole_number("out_features", out_features, at_least=1)
        check_number("floor", floor, at_least=0)
        n = out_features
        df = n + 3.0 if df is None else df
        kappa = df if kappa is None else kappa
        for name, value in (("df", df), ("kappa", kappa), ("noise", noise)):
            check_number(name, value)
        scale = noise * math.sqrt(max(df - n - 1, 0.0))
        if not df - n - 1 > floor:
            raise ValueError(f"df must start above out_features + 1 ({n + 1}) + floor ({floor:g}), got {df}")
        if not kappa > floor:
            raise ValueError(f"kappa must start above floor ({floor:g}), got {kappa}")
        if not scale > math.sqrt(floor):
            raise ValueError(
                f"noise must start above the root of floor/(df - out_features - 1) "
                f"({math.sqrt(floor / (df - n - 1)):g}), got {noise}"
            )
        self.in_features = in_features
        self.out_features = out_features
        self.df_per_kappa = df / kappa if coupled else None
        self.floor = floor
        triangle = n * (n + 1) // 2
        self._rows = [n, triangle, 1] if coupled else [n, triangle, 1, 1]
        self.linear = nn.Linear(in_features, sum(self._rows), device=device, dtype=dtype)
        with torch.no_grad():
            self.linear.weight[n:] = 0
            bias = torch.split(self.linear.bias, self._rows)
            bias[1].zero_()
            for row in range(n):
                bias[1][row * (row + 3) // 2] = inverse_softplus(scale - math.sqrt(floor))
            bias[2].fill_(inverse_softplus(df - n - 1 - floor))
            if not coupled:
                bias[3].fill_(inverse_softplus(kappa - floor))

    def forward(self, features: Tensor) -> NormalInverseWishart:
        """Distributions of batch shape (...) for features of shape (..., in_features)."""
        weight, bias = self.linear.weight, self.linear.bias
        dtype = torch.promote_types(torch.promote_types(features.dtype, weight.dtype), torch.float32)
        with torch.autocast(features.device.type, enabled=False):
            raw = linear(features.to(dtype), weight.to(dtype), bias.to(dtype))
            loc, raw_scale_tril, raw_df, *rest = torch.split(raw, self._rows, dim=-1)
            return NormalInverseWishart.from_unconstrained(
                loc,
                rest[0].squeeze(-1) if rest else None,
                raw_df.squeeze(-1),
                raw_scale_tril,
                df_per_kappa=self.df_per_kappa,
                floor=self.floor,
            )

    def extra_repr(self) -> str:
        """What `print(head)` shows beside the linear layer."""
        coupling = "coupled=False" if self.df_per_kappa is None else f"df_per_kappa={self.df_per_kappa:g}"
        return f"in_features={self.in_features}, out_features={self.out_features}, {coupling}, floor={self.floor:g}"
