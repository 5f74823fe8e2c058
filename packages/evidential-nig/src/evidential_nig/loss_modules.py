"""The losses as modules, for training loops and pipelines that take one: `loss(nig, target)`.

Each is its function with the options fixed, holds no parameters, and checks the options where it is made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from evidential_nig.arguments import check_choice, check_number
from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.losses import (
    REDUCTIONS,
    Reduction,
    evidence_regularizer,
    evidential_loss,
    kl_regularizer,
    lipschitz_mse,
    nig_nll,
    scale_aware_regularizer,
    uncertainty_regularizer,
)

__all__ = [
    "EvidenceRegularizer",
    "EvidentialLoss",
    "KLRegularizer",
    "LipschitzMSE",
    "NIGNLLLoss",
    "ScaleAwareRegularizer",
    "UncertaintyRegularizer",
]


class _Loss(nn.Module):
    _function: ClassVar[Callable[..., Tensor]]

    def __init__(self, *, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_choice("reduction", reduction, REDUCTIONS)
        self.reduction: Reduction = reduction

    def _options(self) -> dict[str, Any]:
        return {}

    def forward(self, nig: NormalInverseGamma, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """The loss of predictions of batch shape (...), with a target and a weight of exactly that shape."""
        return type(self)._function(nig, target, reduction=self.reduction, weight=weight, **self._options())

    def extra_repr(self) -> str:
        """What `print(loss)` shows."""
        options = [f"{name}={value:g}" for name, value in self._options().items()]
        return ", ".join([*options, f"reduction={self.reduction!r}"])


class _LikelihoodLoss(_Loss):
    def forward(
        self,
        nig: NormalInverseGamma,
        target: Tensor,
        weight: Tensor | None = None,
        target_std: float | Tensor | None = None,
    ) -> Tensor:
        """The loss of predictions of batch shape (...); `target_std` is the deviation of the targets' own noise."""
        options = self._options() | {"target_std": target_std}
        return type(self)._function(nig, target, reduction=self.reduction, weight=weight, **options)


class NIGNLLLoss(_LikelihoodLoss):
    """`nig_nll` as a module.

    Args:
        reduction: "none", "mean" or "sum".

    Raises:
        ValueError: If `reduction` is not one of the three.

    Example:
        >>> import torch
        >>> nig = NormalInverseGamma(torch.tensor([3.0, 4.0]), 1.0, 2.0, 1.0)
        >>> NIGNLLLoss(reduction="none")(nig, torch.tensor([3.0, 5.0]))
        tensor([0.9808, 1.5387])
    """

    _function = staticmethod(nig_nll)


class EvidenceRegularizer(_Loss):
    """`evidence_regularizer` as a module; arguments and errors are those of `NIGNLLLoss`.

    Example:
        >>> import torch
        >>> EvidenceRegularizer()(NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0), torch.tensor([3.5]))
        tensor(2.)
    """

    _function = staticmethod(evidence_regularizer)


class EvidentialLoss(_LikelihoodLoss):
    """`evidential_loss` as a module.

    Args:
        tau: τ ≥ 0, the weight of the regulariser.
        reduction: "none", "mean" or "sum".

    Raises:
        TypeError: If `tau` is no number.
        ValueError: If `tau` is negative or not finite, or `reduction` is not one of the three.

    Example:
        >>> import torch
        >>> loss = EvidentialLoss(tau=0.01)
        >>> loss
        EvidentialLoss(tau=0.01, reduction='mean')
        >>> loss(NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0), torch.tensor([3.0]))
        tensor(0.9808)
    """

    _function = staticmethod(evidential_loss)

    def __init__(self, tau: float = 0.05, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        check_number("tau", tau, at_least=0)
        self.tau = tau

    def _options(self) -> dict[str, Any]:
        return {"tau": self.tau}


class KLRegularizer(_Loss):
    """`kl_regularizer` as a module.

    Args:
        omega: ω > 0, the evidence of the prior.
        reduction: "none", "mean" or "sum".

    Raises:
        TypeError: If `omega` is no number.
        ValueError: If `omega` is not finite and above 0, or `reduction` is not one of the three.

    Example:
        >>> import torch
        >>> KLRegularizer()(NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0), torch.tensor([3.5]))
        tensor(1.1102)
    """

    _function = staticmethod(kl_regularizer)

    def __init__(self, omega: float = 0.01, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        check_number("omega", omega, above=0)
        self.omega = omega

    def _options(self) -> dict[str, Any]:
        return {"omega": self.omega}


class ScaleAwareRegularizer(_Loss):
    """`scale_aware_regularizer` as a module.

    Args:
        power: p ≥ 1.
        reduction: "none", "mean" or "sum".

    Raises:
        TypeError: If `power` is no number.
        ValueError: If `power` is not finite or below 1, or `reduction` is not one of the three.

    Example:
        >>> import torch
        >>> ScaleAwareRegularizer()(NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0), torch.tensor([3.5]))
        tensor(2.)
    """

    _function = staticmethod(scale_aware_regularizer)

    def __init__(self, power: float = 1.0, *, reduction: Reduction = "mean") -> None:
        super().__init__(reduction=reduction)
        check_number("power", power, at_least=1)
        self.power = power

    def _options(self) -> dict[str, Any]:
        return {"power": self.power}


class LipschitzMSE(_Loss):
    """`lipschitz_mse` as a module; arguments and errors are those of `NIGNLLLoss`.

    Example:
        >>> import torch
        >>> LipschitzMSE()(NormalInverseGamma(torch.tensor([3.0]), 1.0, 2.0, 1.0), torch.tensor([3.5]))
        tensor(0.2500)
    """

    _function = staticmethod(lipschitz_mse)


class UncertaintyRegularizer(_Loss):
    """`uncertainty_regularizer` as a module; arguments and errors are those of `NIGNLLLoss`.

    Example:
        >>> import torch
        >>> UncertaintyRegularizer()(NormalInverseGamma(torch.tensor([3.0]), 1.0, 1.1, 1.0), torch.tensor([3.5]))
        tensor(1.1261)
    """

    _function = staticmethod(uncertainty_regularizer)
