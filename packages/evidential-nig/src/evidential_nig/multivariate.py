"""Evidential regression of several targets at once, with the correlation of their noise.

The conjugate belief about the mean and the covariance matrix of normal vectors is the normal-inverse-Wishart
distribution, as the normal-inverse-gamma is for single numbers. `NormalInverseWishart`, `niw_nll` and `NIWHead` are to
vectors what `NormalInverseGamma`, `nig_nll` and `NIGHead` are to numbers; `NormalInverseWishart.marginals` leads from
the first to the second, and so to intervals, scores and calibration of each target.

Source: Meinert and Lavin, "Multivariate Deep Evidential Regression", 2021, in whose letters κ, ν and Ψ are `kappa`,
`df` and `scale_tril` times its transpose; Murphy, "Conjugate Bayesian analysis of the Gaussian distribution", 2007,
Section 9; Gelman et al., "Bayesian Data Analysis", third edition, 2013, Section 3.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all
from torch.linalg import solve_triangular
from torch.nn.functional import linear, softplus
from torch.utils import _pytree as pytree

from evidential_nig.distribution import _SOFTPLUS_THRESHOLD, DEFAULT_FLOOR, NormalInverseGamma
from evidential_nig.gamma_ratio import log_gamma_ratio
from evidential_nig.head import _inverse_softplus
from evidential_nig.losses import Reduction, _reduce
from evidential_nig.stirling import excess, stirling_remainder
from evidential_nig.student_t import _in_common_dtype

__all__ = ["NIWHead", "NormalInverseWishart", "niw_nll"]

_LOG_PI = math.log(math.pi)
_LOG_TWO = math.log(2)


class _MeanAndCovariance(constraints.Constraint):
    """Matrices (..., n, n + 1): a real vector in the first column, a positive definite matrix in the others."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        positive_definite: Tensor = constraints.positive_definite.check(value[..., 1:])  # type: ignore[no-untyped-call]
        return positive_definite & value[..., 0].isfinite().all(-1)


class NormalInverseWishart(Distribution):
    """A distribution over the unknown mean vector μ and covariance matrix Σ of normal observations in n dimensions.

    Σ ~ InverseWishart(Ψ, df) and μ | Σ ~ Normal(δ, Σ/κ), with Ψ = L Lᵀ and df > n + 1 so that E[Σ] exists. An
    observation y | μ, Σ ~ Normal(μ, Σ) then follows a multivariate Student t with df − n + 1 degrees of freedom,
    location δ and scale matrix Ψ (1 + κ)/(κ (df − n + 1)). For n = 1 it is the normal-inverse-gamma distribution with
    ν = κ, α = df/2 and β = Ψ/2.

    What is stored is df − n − 1 (`excess_df`), by which moments divide and which df would round away. Make a
    distribution from it with `from_excess_df`, or from a network's real outputs with `from_unconstrained`; both keep
    it without loss.

    A sample is a matrix: `event_shape` is `(n, n + 1)`, with μ in the first column and Σ in the others, so that
    `value[..., 0]` and `value[..., 1:]` take it apart. `mean` and `variance` follow that layout. There is no `entropy`.

    Args:
        loc: δ, the mean of μ and of an observation, shape (..., n). Real.
        kappa: κ > 0, the evidence for the mean, in virtual observations, shape (...) or a number.
        df: Degrees of freedom above n + 1, the evidence for the covariance in virtual observations, shape (...) or a
            number.
        scale_tril: L, shape (..., n, n), lower triangular with a positive diagonal, in units of `loc`.
        validate_args: Whether to check the constraints; None takes the setting of `torch.distributions`.

    The leading dimensions are broadcast against each other; `batch_shape` is their common shape, and the dtype the
    common one of the parameters given as tensors (integers count as the default dtype).

    It is a pytree node with the leaves `loc`, `kappa`, `excess_df` and `scale_tril`, so that functions under
    `torch.func.vmap`, `torch.export` or `DistributedDataParallel` can return one.

    Raises:
        ValueError: If `loc` is no vector or `scale_tril` not of shape (..., n, n); or, when arguments are validated, if
            a parameter is NaN or outside its range.

    Example:
        >>> niw = NormalInverseWishart(torch.zeros(2), 2.0, 7.0, torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
        >>> niw.aleatoric
        tensor([[1.0000, 0.5000],
                [0.5000, 0.5000]])
        >>> niw.epistemic
        tensor([[0.5000, 0.2500],
                [0.2500, 0.2500]])
    """

    # The bound on df depends on n, and df itself may round to n + 1; it is checked on `excess_df` below.
    arg_constraints = {  # noqa: RUF012
        "loc": constraints.real_vector,
        "kappa": constraints.positive,
        "df": constraints.real,
        "scale_tril": constraints.lower_cholesky,
    }
    support = _MeanAndCovariance()
    has_rsample = True

    loc: Tensor
    kappa: Tensor
    excess_df: Tensor
    scale_tril: Tensor

    def __init__(
        self,
        loc: Tensor,
        kappa: Tensor | float,
        df: Tensor | float,
        scale_tril: Tensor,
        validate_args: bool | None = None,
        *,
        _excess_df: Tensor | float | None = None,
    ) -> None:
        # The private argument is for `from_excess_df`, as that of NormalInverseGamma for `from_alpha_minus_one`.
        if loc.dim() < 1 or loc.shape[-1] < 1:
            raise ValueError(f"loc must have shape (..., n) with n at least 1, but has {tuple(loc.shape)}")
        n = loc.shape[-1]
        if scale_tril.shape[-2:] != (n, n):
            raise ValueError(
                f"scale_tril must have shape (..., {n}, {n}) for loc of shape {tuple(loc.shape)}, "
                f"but has {tuple(scale_tril.shape)}"
            )
        excess_df = df - (n + 1) if _excess_df is None else _excess_df
        loc, kappa, excess_df, scale_tril = _in_common_dtype(loc, kappa, excess_df, scale_tril)  # type: ignore[assignment]
        first, self.kappa, self.excess_df, _ = broadcast_all(loc[..., 0], kappa, excess_df, scale_tril[..., 0, 0])
        self.loc = loc.expand(*first.shape, n)
        self.scale_tril = scale_tril.expand(*first.shape, n, n)
        super().__init__(first.shape, torch.Size((n, n + 1)), validate_args=validate_args)
        if self._validate_args and not bool((self.excess_df > 0).all()):
            raise ValueError(
                f"Expected parameter df of distribution {self!r} to be greater than n + 1 = {n + 1}, "
                f"but df - n - 1 has invalid values:\n{self.excess_df}"
            )

    @classmethod
    def from_excess_df(
        cls,
        loc: Tensor,
        kappa: Tensor | float,
        excess_df: Tensor | float,
        scale_tril: Tensor,
        validate_args: bool | None = None,
    ) -> Self:
        """Make a distribution from df − n − 1 > 0 in place of df, which keeps values that df would round away.

        Example:
            >>> niw = NormalInverseWishart.from_excess_df(torch.zeros(2), 1.0, 1e-10, 1e-5 * torch.eye(2))
            >>> niw.df, niw.aleatoric[0, 0]
            (tensor(3.), tensor(1.0000))
        """
        return cls(loc, kappa, math.nan, scale_tril, validate_args, _excess_df=excess_df)

    @classmethod
    def from_unconstrained(
        cls,
        loc: Tensor,
        raw_kappa: Tensor | None,
        raw_df: Tensor,
        raw_scale_tril: Tensor,
        *,
        df_per_kappa: float | None = None,
        floor: float = DEFAULT_FLOOR,
    ) -> Self:
        """Make a distribution from real numbers.

        κ and df − n − 1 are softplus(raw) + floor, Lᵢᵢ = softplus(rawᵢᵢ) + √floor and Lᵢⱼ = Lᵢᵢ rawᵢⱼ: what is below
        the diagonal is in units of its row's diagonal, so that a target in other units needs another Lᵢᵢ and nothing
        else.

        The likelihood cannot tell κ from Ψ: it depends on Ψ (1 + κ)/κ alone. Learn κ from `raw_kappa` only with
        something beside it that does; or give `df_per_kappa`, Meinert and Lavin's r, which ties κ = df/r.

        Computed in at least `float32`. With the default floor and n up to 8, every moment and, for |y − δ| up to 1e4,
        `niw_nll` and its gradients are finite for raw values in [−200, 200]. The result satisfies the constraints by
        construction, so it is not validated; a NaN passes on.

        Args:
            loc: δ, shape (..., n).
            raw_kappa: Shape (...); None with `df_per_kappa`.
            raw_df: Shape (...); df = n + 1 + softplus(raw_df) + floor.
            raw_scale_tril: Shape (..., n (n + 1)/2), the lower triangle row by row: (1,1), (2,1), (2,2), (3,1), ….
            df_per_kappa: r > 0; None with `raw_kappa`.
            floor: Smallest κ, df − n − 1 and Lᵢᵢ².

        Raises:
            ValueError: If not exactly one of `raw_kappa` and `df_per_kappa` is given, the latter is not positive, or
                `raw_scale_tril` has another number of entries.

        Example:
            >>> raw = torch.tensor([0.0, 2.0, 0.0])
            >>> niw = NormalInverseWishart.from_unconstrained(
            ...     torch.zeros(2), None, torch.tensor(0.0), raw, df_per_kappa=1.0
            ... )
            >>> niw.scale_tril
            tensor([[0.6941, 0.0000],
                    [1.3883, 0.6941]])
            >>> niw.df, niw.kappa
            (tensor(3.6931), tensor(3.6931))
        """
        n = loc.shape[-1]
        entries = n * (n + 1) // 2
        if raw_scale_tril.shape[-1] != entries:
            raise ValueError(
                f"raw_scale_tril must have n (n + 1)/2 = {entries} entries in its last dimension for n = {n}, "
                f"but has shape {tuple(raw_scale_tril.shape)}"
            )
        dtype = torch.promote_types(loc.dtype, torch.float32)
        excess_df = _positive(raw_df.to(dtype), floor)
        if raw_kappa is not None and df_per_kappa is None:
            kappa = _positive(raw_kappa.to(dtype), floor)
        elif raw_kappa is None and df_per_kappa is not None:
            if not df_per_kappa > 0:
                raise ValueError(f"df_per_kappa must be above 0, got {df_per_kappa}")
            kappa = (excess_df + (n + 1)) / df_per_kappa
        else:
            raise ValueError("exactly one of raw_kappa and df_per_kappa must be given: κ is either learnt or df/r")
        row = torch.arange(n, device=loc.device)
        # Above the diagonal stands some entry or other, which tril takes away.
        index = (row * (row + 1) // 2).unsqueeze(-1) + torch.minimum(row, row.unsqueeze(-1))
        triangle = raw_scale_tril.to(dtype)[..., index]
        diagonal = _positive(triangle.diagonal(dim1=-2, dim2=-1), math.sqrt(floor))
        scale_tril = diagonal.unsqueeze(-1) * triangle.tril(-1) + torch.diag_embed(diagonal)
        return cls.from_excess_df(loc.to(dtype), kappa, excess_df, scale_tril, validate_args=False)

    @property
    def df(self) -> Tensor:
        """Degrees of freedom, rounded to the precision of the parameters; `excess_df` holds all digits."""
        return self.excess_df + (self._n + 1)

    @property
    def aleatoric(self) -> Tensor:
        """E[Σ] = Ψ/(df − n − 1), shape (..., n, n): the noise that more data would not remove, and its correlation."""
        return _gram(self.scale_tril) / _matrix(self.excess_df)

    @property
    def epistemic(self) -> Tensor:
        """Cov[μ] = Ψ/(κ (df − n − 1)), shape (..., n, n): the uncertainty of the mean itself."""
        return self.aleatoric / _matrix(self.kappa)

    @property
    def predictive_df(self) -> Tensor:
        """Degrees of freedom of the predictive Student t, df − n + 1, batch shape."""
        return self.excess_df + 2

    @property
    def predictive_scale_tril(self) -> Tensor:
        """√((1 + κ)/(κ (df − n + 1))) L, shape (..., n, n), a factor of the predictive Student t's scale matrix."""
        return _matrix(((1 + self.kappa.reciprocal()) / self.predictive_df).sqrt()) * self.scale_tril

    @property
    def predictive_covariance(self) -> Tensor:
        """Covariance of an observation, shape (..., n, n): `aleatoric` + `epistemic`."""
        return self.aleatoric * _matrix(1 + self.kappa.reciprocal())

    @property
    def mean(self) -> Tensor:
        """(E[μ], E[Σ]) = (`loc`, `aleatoric`), shape (..., n, n + 1)."""
        return torch.cat((self.loc.unsqueeze(-1), self.aleatoric), dim=-1)

    @property
    def variance(self) -> Tensor:
        """(Var[μᵢ], Var[Σᵢⱼ]), shape (..., n, n + 1); with e = df − n − 1, the latter is infinite where e ≤ 2.

        Var[Σᵢⱼ] = ((e + 2) Aᵢⱼ² + e Aᵢᵢ Aⱼⱼ)/((e + 1) (e − 2)) with A = `aleatoric`.

        Example:
            >>> niw = NormalInverseWishart(torch.zeros(2), 2.0, 7.0, torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
            >>> niw.variance
            tensor([[0.5000, 1.0000, 0.3500],
                    [0.2500, 0.3500, 0.2500]])

        Source: von Rosen, "Moments for the inverted Wishart distribution", 1988.
        """
        aleatoric, excess_df = self.aleatoric, _matrix(self.excess_df)
        diagonal = aleatoric.diagonal(dim1=-2, dim2=-1)
        pairs = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        spread = (excess_df + 2) * aleatoric.square() + excess_df * pairs
        of_covariance = spread / ((excess_df + 1) * (excess_df - 2).clamp_min(0))
        return torch.cat(((diagonal / self.kappa.unsqueeze(-1)).unsqueeze(-1), of_covariance), dim=-1)

    def entropy(self) -> Tensor:
        """Not implemented; −`log_prob` of many samples has it as its mean.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "the entropy of NormalInverseWishart is not implemented; -niw.log_prob(niw.sample((10_000,))).mean(0) "
            "estimates it"
        )

    def marginals(self) -> NormalInverseGamma:
        """What is believed of each target alone, batch shape (..., n): ν = κ, α = (df − n + 1)/2, β = Ψᵢᵢ/2.

        Its `predictive()` is the marginal of the multivariate Student t, for intervals, CRPS and calibration.

        Example:
            >>> niw = NormalInverseWishart(torch.zeros(2), 2.0, 7.0, torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
            >>> niw.marginals().aleatoric
            tensor([1.0000, 0.5000])
        """
        return NormalInverseGamma.from_alpha_minus_one(
            self.loc,
            self.kappa.unsqueeze(-1),
            0.5 * self.excess_df.unsqueeze(-1),
            0.5 * self.scale_tril.square().sum(-1),
            validate_args=False,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the density at pairs (μ, Σ), with respect to μ and the lower triangle of Σ.

        With Σ = C Cᵀ, T = C⁻¹ L, aᵢ = (df − n + i)/2, h(t) = t − 1 − log t and Stirling's remainder R, for i = 1 … n,

            ½ n log(κ/(2π)) − ½ κ |C⁻¹ (μ − δ)|² − (n + 2) Σ log Cᵢᵢ − ¼ n (n − 1) log π − ½ Σ_{i>j} Tᵢⱼ²
            + Σ [(n − i) log(Tᵢᵢ/√2) − aᵢ h(Tᵢᵢ²/(2aᵢ)) + ½ log(aᵢ/(2π)) − R(aᵢ)],

        in which, unlike in the usual form, nothing grows with df that is taken away again.

        Args:
            value: Shape (..., n, n + 1), broadcastable with the batch shape + (n, n + 1): μ in the first column, Σ in
                the others.

        Returns:
            Shape (...), in at least `float32`.

        Raises:
            ValueError: If a value is not finite or a Σ not positive definite (only when arguments are validated).

        Example:
            >>> niw = NormalInverseWishart(torch.zeros(2), 2.0, 7.0, torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
            >>> niw.log_prob(niw.mean)
            tensor(0.0134)
        """
        if self._validate_args:
            self._validate_sample(value)
        dtype = torch.promote_types(self.loc.dtype, torch.float32)
        loc, kappa, excess_df, scale_tril, value = (
            tensor.to(dtype) for tensor in (self.loc, self.kappa, self.excess_df, self.scale_tril, value)
        )
        n = self._n
        factor = torch.linalg.cholesky(value[..., 1:])
        deviation = _solve(factor, value[..., 0] - loc)
        ratio = solve_triangular(factor, scale_tril, upper=False)
        log_ratio = ratio.diagonal(dim1=-2, dim2=-1).log()
        # Of a Wishart matrix's reversed Cholesky factor the squares on the diagonal have df − n + i degrees of freedom,
        # so that h is near 0 where the density is not.
        order = torch.arange(n, dtype=dtype, device=loc.device)
        shape = 0.5 * (excess_df.unsqueeze(-1) + 2 + order)
        diagonal = (
            (n - 1 - order) * (log_ratio - 0.5 * _LOG_TWO)
            - shape * excess(2 * log_ratio - (2 * shape).log())
            + 0.5 * shape.log()
            - stirling_remainder(shape)
        )
        log_density: Tensor = (
            0.5 * n * kappa.log()
            - n * (_LOG_TWO + 0.25 * (n + 3) * _LOG_PI)
            - 0.5 * kappa * deviation.square().sum(-1)
            - (n + 2) * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            - 0.5 * ratio.tril(-1).square().sum((-2, -1))
            + diagonal.sum(-1)
        )
        return log_density

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """Draw (μ, Σ), shape `sample_shape` + (..., n, n + 1), with gradients to all four parameters.

        By Bartlett's decomposition: Σ = L (A Aᵀ)⁻¹ Lᵀ with A lower triangular, standard normal below the diagonal and
        the root of a chi-square of df − i + 1 degrees of freedom at (i, i).

        Example:
            >>> niw = NormalInverseWishart(torch.zeros(2), 2.0, 7.0, torch.eye(2))
            >>> pair = niw.sample((5,))
            >>> pair[..., 0].shape, pair[..., 1:].shape
            (torch.Size([5, 2]), torch.Size([5, 2, 2]))
        """
        n = self._n
        shape = torch.Size(sample_shape) + self.batch_shape
        order = torch.arange(n, dtype=self.loc.dtype, device=self.loc.device)
        halves = 0.5 * (self.excess_df.unsqueeze(-1) + (n + 1) - order)
        diagonal = (2 * torch._standard_gamma(halves.expand(*shape, n))).sqrt()
        below = torch.randn(*shape, n, n, dtype=self.loc.dtype, device=self.loc.device).tril(-1)
        transposed = solve_triangular(below + torch.diag_embed(diagonal), self.scale_tril.mT, upper=False)
        direction = torch.randn(*shape, n, 1, dtype=self.loc.dtype, device=self.loc.device)
        mu = self.loc + (transposed * direction).sum(-2) * self.kappa.rsqrt().unsqueeze(-1)
        return torch.cat((mu.unsqueeze(-1), _gram(transposed.mT)), dim=-1)

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply one function to κ, df − n − 1 and every component of δ and L, for moving, casting and reshaping.

        Args:
            function: Takes a tensor of the batch shape; must give all of them the same shape and keep them valid.

        Example:
            >>> niw = NormalInverseWishart(torch.zeros(6, 2), 1.0, 5.0, torch.eye(2))
            >>> niw.map(lambda parameter: parameter.detach().reshape(2, 3)).batch_shape
            torch.Size([2, 3])
        """
        loc = torch.stack([function(component) for component in self.loc.unbind(-1)], dim=-1)
        rows = [
            torch.stack([function(component) for component in row.unbind(-1)], dim=-1)
            for row in self.scale_tril.unbind(-2)
        ]
        return type(self).from_excess_df(
            loc, function(self.kappa), function(self.excess_df), torch.stack(rows, dim=-2), validate_args=False
        )

    def __getitem__(self, index: Any) -> Self:
        return self.map(lambda parameter: parameter[index])

    def expand(self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: Any = None) -> Self:
        """The same distribution with its batch dimensions broadcast to `batch_shape`, without copying."""
        niw: Self = self._get_checked_instance(NormalInverseWishart, _instance)  # type: ignore[no-untyped-call]
        shape, n = torch.Size(batch_shape), self._n
        niw.loc = self.loc.expand(*shape, n)
        niw.kappa = self.kappa.expand(shape)
        niw.excess_df = self.excess_df.expand(shape)
        niw.scale_tril = self.scale_tril.expand(*shape, n, n)
        Distribution.__init__(niw, shape, self.event_shape, validate_args=False)
        niw._validate_args = self._validate_args
        return niw

    def __repr__(self) -> str:
        return f"{type(self).__name__}(batch_shape={tuple(self.batch_shape)}, n={self._n}, dtype={self.loc.dtype})"

    @property
    def _n(self) -> int:
        return self.loc.shape[-1]


_LEAVES = ("loc", "kappa", "excess_df", "scale_tril")


def _flatten(niw: NormalInverseWishart) -> tuple[list[Any], bool]:
    return [getattr(niw, name) for name in _LEAVES], niw._validate_args


def _flatten_with_keys(niw: NormalInverseWishart) -> tuple[list[tuple[pytree.KeyEntry, Any]], bool]:
    leaves, context = _flatten(niw)
    return [(pytree.GetAttrKey(name), leaf) for name, leaf in zip(_LEAVES, leaves, strict=True)], context


def _unflatten(leaves: Iterable[Any], validate_args: bool) -> NormalInverseWishart:
    """Undo `_flatten`, where the leaves may be anything: other shapes, the integers of vmap's in_dims."""
    niw = NormalInverseWishart.__new__(NormalInverseWishart)
    for name, leaf in zip(_LEAVES, leaves, strict=True):
        setattr(niw, name, leaf)
    batch_shape = getattr(niw.kappa, "shape", torch.Size())
    n = getattr(niw.loc, "shape", (0,))[-1]
    Distribution.__init__(niw, batch_shape, torch.Size((n, n + 1)), validate_args=False)
    niw._validate_args = validate_args
    return niw


pytree.register_pytree_node(
    NormalInverseWishart,
    _flatten,
    _unflatten,
    serialized_type_name="evidential_nig.NormalInverseWishart",
    flatten_with_keys_fn=_flatten_with_keys,
)


def niw_nll(
    niw: NormalInverseWishart,
    target: Tensor,
    *,
    reduction: Reduction = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Negative log likelihood of observed vectors under the predictive multivariate Student t.

    Meinert and Lavin, 2021, Section 2.2, in a form that keeps its digits at every magnitude: with d = df − n + 1 and
    m = |L⁻¹ (y − δ)|² κ/(1 + κ),

        log(Γ(d/2)/Γ((d + n)/2)) + ½ n log(π (1 + 1/κ)) + Σ log Lᵢᵢ + ½ (d + n) log1p(m),

    where the logarithm of the gamma ratio is a sum of logarithms and, for odd n, one half step by the series that
    `nig_nll` uses. For n = 1 it is `nig_nll`.

    Args:
        niw: Predictions, batch shape (...).
        target: Observations y, shape exactly (..., n); converted to the dtype of the predictions.
        reduction: "none" keeps (...), "sum" adds up, "mean" divides that by the number of vectors or, with weights,
            by their sum.
        weight: One weight a vector, shape exactly (...). Where it is 0 the target is not looked at and may be NaN.

    Returns:
        The loss in at least `float32`, inside autocast too.

    Raises:
        ValueError: If a shape is not exactly that, or `reduction` is not one of the three.

    Example:
        >>> niw = NormalInverseWishart(torch.zeros(2, 2), 1.0, 5.0, torch.eye(2))
        >>> niw_nll(niw, torch.tensor([[0.0, 0.0], [1.0, 1.0]]), reduction="none")
        tensor([1.1447, 3.2242])
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f'reduction must be "none", "mean" or "sum", got {reduction!r}')
    if target.shape != niw.loc.shape:
        raise ValueError(
            f"target must have exactly the shape of the distribution's loc, {tuple(niw.loc.shape)}, "
            f"but has {tuple(target.shape)}"
        )
    if weight is not None and weight.shape != niw.batch_shape:
        raise ValueError(
            f"weight must have exactly the batch shape of the distribution, {tuple(niw.batch_shape)}, "
            f"but has {tuple(weight.shape)}"
        )
    dtype = torch.promote_types(niw.loc.dtype, torch.float32)
    loc, kappa, excess_df, scale_tril, target = (
        tensor.to(dtype) for tensor in (niw.loc, niw.kappa, niw.excess_df, niw.scale_tril, target)
    )
    if weight is not None:
        # 0 times NaN is NaN, in the gradients as well, so what has no weight is taken out before.
        target = torch.where((weight == 0).unsqueeze(-1), loc.detach(), target)
    n = loc.shape[-1]
    widening = kappa.reciprocal()
    standard = _solve(scale_tril, target - loc) * (1 + widening).rsqrt().unsqueeze(-1)
    nll = (
        _log_gamma_steps(1 + 0.5 * excess_df, n)
        + 0.5 * n * (_LOG_PI + torch.log1p(widening))
        + scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        + (1 + 0.5 * (excess_df + n)) * _log1p_of_squares(standard)
    )
    return _reduce(nll, reduction, weight)


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
        floor: Smallest κ (unless coupled), df − n − 1 and Lᵢᵢ².
        device: Of the weights.
        dtype: Of the weights.

    Raises:
        ValueError: If `out_features` is not positive or a starting value lies at or below its floor.

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
        if out_features < 1:
            raise ValueError(f"out_features must be at least 1, got {out_features}")
        n = out_features
        df = n + 3.0 if df is None else df
        kappa = df if kappa is None else kappa
        scale = noise * math.sqrt(max(df - n - 1, 0.0))
        if not (math.isfinite(df) and df - n - 1 > floor):
            raise ValueError(f"df must start above out_features + 1 ({n + 1}) + floor ({floor:g}), got {df}")
        if not (math.isfinite(kappa) and kappa > floor):
            raise ValueError(f"kappa must start above floor ({floor:g}), got {kappa}")
        if not (math.isfinite(noise) and scale > math.sqrt(floor)):
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
                bias[1][row * (row + 3) // 2] = _inverse_softplus(scale - math.sqrt(floor))
            bias[2].fill_(_inverse_softplus(df - n - 1 - floor))
            if not coupled:
                bias[3].fill_(_inverse_softplus(kappa - floor))

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


def _positive(raw: Tensor, floor: float) -> Tensor:
    return softplus(raw, threshold=_SOFTPLUS_THRESHOLD) + floor


def _matrix(batch: Tensor) -> Tensor:
    return batch.unsqueeze(-1).unsqueeze(-1)


def _gram(factor: Tensor) -> Tensor:
    """F Fᵀ in the precision of F, inside autocast too."""
    with torch.autocast(factor.device.type, enabled=False):
        return factor @ factor.mT


def _solve(lower: Tensor, vector: Tensor) -> Tensor:
    solution: Tensor = solve_triangular(lower, vector.unsqueeze(-1), upper=False)
    return solution.squeeze(-1)


def _log_gamma_steps(x: Tensor, n: int) -> Tensor:
    """log(Γ(x)/Γ(x + n/2)): a half step for odd n, then whole ones by Γ(x + 1) = x Γ(x)."""
    steps = torch.arange(n // 2, dtype=x.dtype, device=x.device) + 0.5 * (n % 2)
    whole = -(x.unsqueeze(-1) + steps).log().sum(-1)
    return whole + log_gamma_ratio(x) if n % 2 else whole


def _log1p_of_squares(z: Tensor) -> Tensor:
    """log(1 + |z|²) without squaring what is large: nearly singular L make z exceed 1e19, whose square is infinite.

    With h = max(1, |zᵢ|), 1 + |z|² = h² (1 + (|z/h|² − 1 + 1/h²)); where h is 1, that is log1p(|z|²). The result does
    not depend on h, which so needs no gradient.
    """
    h = z.detach().abs().amax(-1, keepdim=True).clamp(1, torch.finfo(z.dtype).max)
    inverse = h.reciprocal()
    scaled = (z * inverse).square().sum(-1)
    h, inverse = h.squeeze(-1), inverse.squeeze(-1)
    return 2 * h.log() + torch.log1p(scaled + (inverse.square() - 1))
