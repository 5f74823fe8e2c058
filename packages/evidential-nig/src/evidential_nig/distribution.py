"""The normal-inverse-gamma distribution, its moments and those of its predictive distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all
from torch.nn.functional import softplus

from evidential_nig.arguments import (
    at_least_one_finite,
    broadcasts_to,
    check_batch,
    check_number,
    finite,
    positive_finite,
)
from evidential_nig.batch import Batch, decide, in_common_dtype, register_as_pytree
from evidential_nig.stirling import excess, stirling_remainder, stirling_remainder_slope
from evidential_nig.student_t import StudentT

DEFAULT_FLOOR = 1e-6

# In single precision the exact softplus and its gradient stay finite well beyond this; torch's own default of 20 would
# leave a step of 2e-9 in double precision.
SOFTPLUS_THRESHOLD = 50.0

_LOG_TWO_PI = math.log(2 * math.pi)


class NormalInverseGamma(Batch):
    """A distribution over the unknown mean μ and variance σ² of normal observations.

    σ² ~ InverseGamma(α, β) and μ | σ² ~ Normal(δ, σ²/ν), with α > 1 so that every moment used here exists. An
    observation y | μ, σ² ~ Normal(μ, σ²) then follows a Student t with 2α degrees of freedom, location δ and scale
    √(β(1 + ν)/(να)).

    What is stored is α − 1 (`alpha_minus_one`), since 1 + 1e-10 is 1 in single precision while moments divide by
    α − 1. Make a distribution from it with `from_alpha_minus_one`, or from a network's real outputs with
    `from_unconstrained`; both keep it without loss.

    A sample is a pair: `event_shape` is `(2,)`, with μ at index 0 and σ² at index 1 of the last dimension. `mean`,
    `mode` and `variance` follow that layout; the other properties have the batch shape.

    Args:
        loc: δ, the mean of μ and of an observation. Real.
        nu: ν > 0, the evidence for the mean, in virtual observations.
        alpha: α > 1, half the degrees of freedom: the evidence for the variance.
        beta: β > 0, the scale of the variance, in squared units of `loc`.
        validate_args: Whether to check the constraints; None takes the setting of `set_default_validate_args`.

    The parameters are broadcast against each other; `batch_shape` is their common shape, and their dtype the common one
    of those given as tensors (integers count as the default dtype). The moments have that dtype; everything else is
    computed in at least `float32`. Distributions made by `map`, indexing, `expand`, `posterior`, `cat`, `stack` and the
    package's functions keep the `validate_args` of the one they come from; those of a network (`from_unconstrained`,
    `NIGHead`) check no values of tensors, since that would cost a device synchronisation. Nothing is validated while a
    function is compiled or exported. torch's own setting has no say here: any use of `torch.compile` switches it off
    for the whole process.

    It is a pytree node with the leaves `loc`, `nu`, `alpha_minus_one` and `beta`, so that functions under
    `torch.func.vmap`, `torch.export` or `DistributedDataParallel` can take and return one.

    Raises:
        ValueError: If a parameter is not finite or outside its range (only when arguments are validated).

    Example:
        >>> nig = NormalInverseGamma(loc=3.0, nu=2.0, alpha=3.0, beta=4.0)
        >>> nig.aleatoric, nig.epistemic, nig.predictive_variance
        (tensor(2.), tensor(1.), tensor(3.))

    Source: Amini et al., "Deep Evidential Regression", 2020; DEFNet, Section 2.
    """

    # α itself may round to 1 while α − 1 is positive, so the strict bound is checked on `alpha_minus_one` below.
    arg_constraints = {  # noqa: RUF012
        "loc": finite,
        "nu": positive_finite,
        "alpha": at_least_one_finite,
        "beta": positive_finite,
    }
    support = constraints.stack([constraints.real, constraints.positive], dim=-1)  # type: ignore[no-untyped-call]
    has_rsample = True
    _leaves = ("loc", "nu", "alpha_minus_one", "beta")

    loc: Tensor
    nu: Tensor
    alpha_minus_one: Tensor
    beta: Tensor

    def __init__(
        self,
        loc: Tensor | float,
        nu: Tensor | float,
        alpha: Tensor | float,
        beta: Tensor | float,
        validate_args: bool | None = None,
        *,
        _alpha_minus_one: Tensor | float | None = None,
    ) -> None:
        # The private argument, which takes the place of alpha, is for `from_alpha_minus_one`: in torch 2.6,
        # torch.compile cannot trace a constructor that goes around __init__.
        alpha_minus_one = alpha - 1 if _alpha_minus_one is None else _alpha_minus_one
        self.loc, self.nu, self.alpha_minus_one, self.beta = broadcast_all(
            *in_common_dtype(loc, nu, alpha_minus_one, beta)
        )
        super().__init__(self.loc.shape, torch.Size((2,)), validate_args=decide(validate_args))
        if self._validate_args and not bool((self.alpha_minus_one > 0).all()):
            raise ValueError(
                f"Expected parameter alpha of distribution {self!r} to be greater than 1, "
                f"but alpha - 1 has invalid values:\n{self.alpha_minus_one}"
            )

    @classmethod
    def from_alpha_minus_one(
        cls,
        loc: Tensor | float,
        nu: Tensor | float,
        alpha_minus_one: Tensor | float,
        beta: Tensor | float,
        validate_args: bool | None = None,
    ) -> Self:
        """Make a distribution from α − 1 > 0 in place of α, which keeps values that 1 + (α − 1) would round away.

        Example:
            >>> nig = NormalInverseGamma.from_alpha_minus_one(0.0, 1.0, 1e-10, 1e-10)
            >>> nig.alpha, nig.aleatoric
            (tensor(1.), tensor(1.))
        """
        return cls(loc, nu, math.nan, beta, validate_args, _alpha_minus_one=alpha_minus_one)

    @classmethod
    def from_unconstrained(
        cls,
        loc: Tensor,
        raw_nu: Tensor,
        raw_alpha: Tensor,
        raw_beta: Tensor,
        *,
        floor: float = DEFAULT_FLOOR,
    ) -> Self:
        """Make a distribution from real numbers: ν, α − 1 and β are softplus(raw) + floor, `loc` is taken as it is.

        Computed in at least `float32`. With the default floor every moment and every gradient is finite for raw values
        in [−200, 200]; under float16 autocast hand over raw values in `float32`, as `NIGHead` does, since a gradient
        that flows on into a float16 tensor must be below 65504. The result satisfies the constraints by construction,
        so it is not validated; a NaN passes on.

        Args:
            loc: δ, shape (...).
            raw_nu: Shape (...).
            raw_alpha: Shape (...); α = 1 + softplus(raw_alpha) + floor.
            raw_beta: Shape (...).
            floor: Smallest ν, α − 1 and β, at least 0. With 0 a raw value below −104 gives 0 in single precision, for
                which there is no distribution.

        Raises:
            TypeError: If one of the four is no tensor.
            ValueError: If their shapes differ, or `floor` is negative or not finite.
        """
        check_number("floor", floor, at_least=0)
        for name, raw in (("raw_nu", raw_nu), ("raw_alpha", raw_alpha), ("raw_beta", raw_beta)):
            check_batch(name, raw, loc.shape, of="shape of loc")
        dtype = torch.promote_types(loc.dtype, torch.float32)
        nu, alpha_minus_one, beta = (
            softplus(raw.to(dtype), threshold=SOFTPLUS_THRESHOLD) + floor for raw in (raw_nu, raw_alpha, raw_beta)
        )
        return cls.from_alpha_minus_one(loc.to(dtype), nu, alpha_minus_one, beta, validate_args=False)

    @property
    def alpha(self) -> Tensor:
        """α, rounded to the precision of the parameters; `alpha_minus_one` holds all its digits."""
        return self.alpha_minus_one + 1

    @property
    def aleatoric(self) -> Tensor:
        """E[σ²] = β/(α − 1): the noise that more data would not remove. Squared units of `loc`."""
        return self.beta / self.alpha_minus_one

    @property
    def epistemic(self) -> Tensor:
        """Var[μ] = β/(ν(α − 1)): the uncertainty of the mean itself. Squared units of `loc`."""
        return self.aleatoric / self.nu

    @property
    def predictive_df(self) -> Tensor:
        """2α, the degrees of freedom of the predictive Student t."""
        return 2 + 2 * self.alpha_minus_one

    @property
    def predictive_scale(self) -> Tensor:
        """√(β(1 + ν)/(να)), the scale of the predictive Student t (not its standard deviation). Units of `loc`."""
        return (self.beta / self.alpha * (1 + self.nu.reciprocal())).sqrt()

    @property
    def predictive_variance(self) -> Tensor:
        """Variance of an observation: `aleatoric` + `epistemic`. Squared units of `loc`."""
        return self.aleatoric * (1 + self.nu.reciprocal())

    @property
    def mean(self) -> Tensor:
        """(E[μ], E[σ²]) = (`loc`, `aleatoric`), shape (..., 2)."""
        return torch.stack((self.loc, self.aleatoric), dim=-1)

    @property
    def mode(self) -> Tensor:
        """The pair (μ, σ²) of highest density, (`loc`, β/(α + 3/2)), shape (..., 2)."""
        return torch.stack((self.loc, self.beta / (self.alpha_minus_one + 2.5)), dim=-1)

    @property
    def variance(self) -> Tensor:
        """(Var[μ], Var[σ²]), shape (..., 2); Var[σ²] is infinite where α ≤ 2."""
        alpha_minus_two = (self.alpha_minus_one - 1).clamp_min(0)
        return torch.stack((self.epistemic, self.aleatoric.square() / alpha_minus_two), dim=-1)

    def predictive(self) -> StudentT:
        """The distribution of an observation: Student t with 2α degrees of freedom, `loc` and `predictive_scale`.

        In at least `float32`. Its `log_prob`, `cdf`, `icdf`, `crps` and `interval` are differentiable with respect to
        all four parameters.

        Example:
            >>> nig = NormalInverseGamma(loc=3.0, nu=2.0, alpha=3.0, beta=4.0)
            >>> lower, upper = nig.predictive().interval(0.95)
            >>> lower, upper
            (tensor(-0.4605), tensor(6.4605))
        """
        nig = self._at_least_single()
        return nig._student_t(nig.predictive_scale)

    def credible_interval(self, level: float | Tensor) -> tuple[Tensor, Tensor]:
        """Where the mean μ lies with probability `level`, given these beliefs: lower and upper bound, batch shape.

        Central, from the Student t that μ follows: 2α degrees of freedom, `loc`, scale √(β/(αν)). An interval for an
        observation, which adds the noise, is `predictive().interval(level)`.

        Args:
            level: In [0, 1], a number or a tensor that broadcasts with the batch shape.

        Raises:
            ValueError: If a level is NaN or outside [0, 1] (a tensor's only when arguments are validated).

        Example:
            >>> lower, upper = NormalInverseGamma(loc=3.0, nu=2.0, alpha=3.0, beta=4.0).credible_interval(0.95)
            >>> lower, upper
            (tensor(1.0021), tensor(4.9979))
        """
        nig = self._at_least_single()
        return nig._student_t((nig.beta / nig.alpha / nig.nu).sqrt()).interval(level)

    def _student_t(self, scale: Tensor) -> StudentT:
        student = StudentT.from_excess_df(2 * self.alpha_minus_one, self.loc, scale, validate_args=False)
        student._validate_args = self._validate_args
        return student

    def posterior(self, observations: Tensor, dim: int = -1) -> Self:
        """Beliefs after seeing normal observations with the same unknown mean and variance.

        Args:
            observations: Shape of the batch with one more dimension, `dim`, of any size; finite.
            dim: The dimension of `observations` that counts them.

        Raises:
            ValueError: If the shape without `dim` is not the batch shape, or a value is not finite (values only when
                arguments are validated).

        Example:
            >>> prior = NormalInverseGamma(loc=0.0, nu=1.0, alpha=2.0, beta=1.0)
            >>> updated = prior.posterior(torch.tensor([3.0, 5.0]))
            >>> updated.loc, updated.nu, updated.alpha, updated.beta
            (tensor(2.6667), tensor(3.), tensor(3.), tensor(7.3333))
        """
        shape = tuple(observations.shape)
        if not -len(shape) <= dim < len(shape) or shape[: dim % len(shape)] + shape[dim % len(shape) + 1 :] != tuple(
            self.batch_shape
        ):
            raise ValueError(
                f"observations must have the batch shape {tuple(self.batch_shape)} with one more dimension at "
                f"dim={dim}, but have {shape}"
            )
        if self._validate_args and not bool(observations.isfinite().all()):
            raise ValueError(f"observations must be finite, but hold\n{observations}")
        count = shape[dim]
        if count == 0:
            return self
        # In the wider of the two dtypes: the spread of large numbers is gone once they are rounded.
        observations = observations.to(torch.promote_types(observations.dtype, self._at_least_single().loc.dtype))
        mean = observations.mean(dim, keepdim=True)
        squared_deviations = (observations - mean).square().sum(dim)
        return self.posterior_from_statistics(count, mean.squeeze(dim), squared_deviations)

    def posterior_from_statistics(
        self, count: Tensor | float, mean: Tensor | float, squared_deviations: Tensor | float
    ) -> Self:
        """`posterior` from what of n observations matters: n, their mean ȳ and S = Σ(yᵢ − ȳ)².

        ν' = ν + n, δ' = (νδ + nȳ)/ν', α' = α + n/2, β' = β + S/2 + ½ (nν/ν')(ȳ − δ)².

        Args:
            count: n ≥ 0; 0 leaves an element as it is, whatever its mean. A number or a tensor that broadcasts to the
                batch shape, as the others.
            mean: ȳ.
            squared_deviations: S ≥ 0 (n times the variance that divides by n).

        Raises:
            ValueError: If a count or S is negative or not finite, or the mean of something not finite (those of tensors
                only when arguments are validated), or a shape does not broadcast to the batch shape.

        Source: Murphy, "Conjugate Bayesian analysis of the Gaussian distribution", 2007, Section 6.

        Example:
            >>> prior = NormalInverseGamma(loc=0.0, nu=1.0, alpha=2.0, beta=1.0)
            >>> updated = prior.posterior_from_statistics(2, 4.0, 2.0)
            >>> updated.loc, updated.nu, updated.alpha, updated.beta
            (tensor(2.6667), tensor(3.), tensor(3.), tensor(7.3333))
        """
        nig = self._at_least_single()
        for name, number in (("count", count), ("squared_deviations", squared_deviations)):
            if not isinstance(number, Tensor):
                check_number(name, number, at_least=0)
        if not isinstance(mean, Tensor) and (isinstance(count, Tensor) or count > 0):
            check_number("mean", mean)
        statistics = [torch.as_tensor(value, device=nig.loc.device) for value in (count, mean, squared_deviations)]
        for name, statistic in zip(("count", "mean", "squared_deviations"), statistics, strict=True):
            if not broadcasts_to(statistic.shape, self.batch_shape):
                raise ValueError(
                    f"{name} must broadcast to the batch shape {tuple(self.batch_shape)}, "
                    f"but has {tuple(statistic.shape)}"
                )
        n, average, spread = (
            value.to(torch.promote_types(value.dtype, nig.loc.dtype)).expand(self.batch_shape) for value in statistics
        )
        gap = torch.where(n == 0, 0, average - nig.loc).to(nig.loc.dtype)
        n, spread = n.to(nig.loc.dtype), torch.where(n == 0, 0, spread).to(nig.loc.dtype)
        if self._validate_args:
            for name, value in (("count", n), ("squared_deviations", spread)):
                if not bool(((value >= 0) & value.isfinite()).all()):
                    raise ValueError(f"{name} must be finite and not negative, but holds\n{value}")
            if not bool(gap.isfinite().all()):
                raise ValueError(f"mean must be finite where the count is above 0, but holds\n{average}")
        nu = nig.nu + n
        share = n / nu
        return self._with(
            nig.loc + share * gap,
            nu,
            nig.alpha_minus_one + 0.5 * n,
            nig.beta + 0.5 * (spread + nig.nu * share * gap.square()),
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density at pairs (μ, σ²).

        With t = β/(ασ²), Stirling's remainder R and h(t) = t − 1 − log t,

            ½ log(ν/(2πσ²)) − ½ ν(μ − δ)²/σ² − α h(t) + ½ log(α/(2π)) − R(α) − log σ²,

        where the usual form takes α log β − log Γ(α) − (α + 1) log σ² − β/σ² apart.

        Args:
            value: Shape (..., 2), broadcastable with the batch shape + (2,): μ at index 0, σ² > 0 at index 1.

        Raises:
            ValueError: If a value is NaN or a variance not positive (only when arguments are validated).

        Example:
            >>> nig = NormalInverseGamma(loc=3.0, nu=2.0, alpha=3.0, beta=4.0)
            >>> nig.log_prob(torch.tensor([3.0, 1.0]))
            tensor(-1.1066)
        """
        if self._validate_args:
            self._validate_sample(value)
        nig = self._at_least_single()
        mu, sigma_squared = value.to(torch.promote_types(value.dtype, nig.loc.dtype)).unbind(-1)
        alpha = nig.alpha
        log_variance = sigma_squared.log()
        log_ratio = (nig.beta / alpha).log() - log_variance
        return (
            0.5 * (nig.nu.log() + alpha.log())
            - _LOG_TWO_PI
            - 1.5 * log_variance
            - 0.5 * nig.nu * (mu - nig.loc).square() / sigma_squared
            - alpha * excess(log_ratio)
            - stirling_remainder(alpha)
        )

    def entropy(self) -> Tensor:
        """Differential entropy over (μ, σ²) in nats, batch shape; accurate however large α is.

        Example:
            >>> NormalInverseGamma(loc=3.0, nu=2.0, alpha=3.0, beta=4.0).entropy()
            tensor(2.6924)
        """
        nig = self._at_least_single()
        alpha = nig.alpha
        return (
            _LOG_TWO_PI
            + 1
            - 0.5 * nig.nu.log()
            + 1.5 * nig.beta.log()
            - 2 * alpha.log()
            + 0.75 / alpha
            + stirling_remainder(alpha)
            - (alpha + 1.5) * stirling_remainder_slope(alpha)
        )

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """Draw pairs (μ, σ²) of shape `sample_shape` + (..., 2), with gradients to all four parameters."""
        nig = self._at_least_single()
        shape = torch.Size(sample_shape) + self.batch_shape
        sigma_squared = nig.beta / torch._standard_gamma(nig.alpha.expand(shape))
        mu = nig.loc + (sigma_squared / nig.nu).sqrt() * torch.randn_like(sigma_squared)
        return torch.stack((mu, sigma_squared), dim=-1)

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply one function to δ, ν, α − 1 and β, for moving, detaching, casting and reshaping.

        Args:
            function: Takes a tensor of the batch shape; must give the four the same shape and keep them valid.

        Example:
            >>> nig = NormalInverseGamma(torch.zeros(6), 1.0, 2.0, 1.0)
            >>> nig.map(lambda parameter: parameter.detach().reshape(2, 3)).batch_shape
            torch.Size([2, 3])
        """
        return super().map(function)

    def _with(self, *parameters: Tensor) -> Self:
        loc, nu, alpha_minus_one, beta = parameters
        # In torch 2.6, torch.compile can trace a call of a class by its name, and not one of type(self).
        kind = NormalInverseGamma if type(self) is NormalInverseGamma else type(self)
        nig = kind.from_alpha_minus_one(loc, nu, alpha_minus_one, beta, validate_args=False)
        nig._validate_args = self._validate_args
        return nig  # type: ignore[return-value]

    def _shapes(self) -> tuple[torch.Size, torch.Size]:
        return getattr(self.loc, "shape", torch.Size()), torch.Size((2,))

    def expand(self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: Any = None) -> Self:
        """The same distribution with its batch dimensions broadcast to `batch_shape`, without copying."""
        nig: Self = self._get_checked_instance(NormalInverseGamma, _instance)  # type: ignore[no-untyped-call]
        shape = torch.Size(batch_shape)
        for name in self._leaves:
            setattr(nig, name, getattr(self, name).expand(shape))
        Distribution.__init__(nig, shape, self.event_shape, validate_args=False)
        nig._validate_args = self._validate_args
        return nig

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_shape={tuple(self.batch_shape)}, dtype={self.loc.dtype})"


register_as_pytree(NormalInverseGamma)
