"""The normal-inverse-Wishart distribution, its moments and the beliefs about each target alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all
from torch.linalg import solve_triangular
from torch.nn.functional import softplus

from evidential_nig.arguments import check_batch, check_number, check_tensor, finite, positive_finite
from evidential_nig.batch import Batch, decide, in_common_dtype, register_as_pytree
from evidential_nig.distribution import DEFAULT_FLOOR, SOFTPLUS_THRESHOLD, NormalInverseGamma
from evidential_nig.stirling import excess, stirling_remainder

LOG_PI = math.log(math.pi)
LOG_TWO = math.log(2)


class _MeanAndCovariance(constraints.Constraint):
    """Matrices (..., n, n + 1): a real vector in the first column, a positive definite matrix in the others."""

    event_dim = 2

    def check(self, value: Tensor) -> Tensor:
        positive_definite: Tensor = constraints.positive_definite.check(value[..., 1:])  # type: ignore[no-untyped-call]
        return positive_definite & value[..., 0].isfinite().all(-1)


class NormalInverseWishart(Batch):
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
        validate_args: Whether to check the constraints; None takes the setting of `set_default_validate_args`.

    The leading dimensions are broadcast against each other; `batch_shape` is their common shape, and the dtype the
    common one of the parameters given as tensors (integers count as the default dtype).

    Indexing, `map`, `to`, `detach`, `cat` and `stack` act on all parameters; what is made so, and the marginals, keep
    the decision about validation. It is a pytree node with the leaves `loc`, `kappa`, `excess_df` and
    `scale_tril`, so that functions under `torch.func.vmap`, `torch.export` or `DistributedDataParallel` can take and
    return one.

    Raises:
        ValueError: If `loc` is no vector or `scale_tril` not of shape (..., n, n); or, when arguments are validated, if
            a parameter is not finite or outside its range.
        TypeError: If one of the two is no tensor.

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
        "kappa": positive_finite,
        "df": finite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = _MeanAndCovariance()
    has_rsample = True
    _leaves = ("loc", "kappa", "excess_df", "scale_tril")

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
        check_tensor("loc", loc)
        check_tensor("scale_tril", scale_tril)
        if loc.dim() < 1 or loc.shape[-1] < 1:
            raise ValueError(f"loc must have shape (..., n) with n at least 1, but has {tuple(loc.shape)}")
        n = loc.shape[-1]
        if scale_tril.shape[-2:] != (n, n):
            raise ValueError(
                f"scale_tril must have shape (..., {n}, {n}) for loc of shape {tuple(loc.shape)}, "
                f"but has {tuple(scale_tril.shape)}"
            )
        excess_df = df - (n + 1) if _excess_df is None else _excess_df
        loc, kappa, excess_df, scale_tril = in_common_dtype(loc, kappa, excess_df, scale_tril)  # type: ignore[assignment]
        first, self.kappa, self.excess_df, _ = broadcast_all(loc[..., 0], kappa, excess_df, scale_tril[..., 0, 0])
        self.loc = loc.expand(*first.shape, n)
        self.scale_tril = scale_tril.expand(*first.shape, n, n)
        super().__init__(first.shape, torch.Size((n, n + 1)), validate_args=decide(validate_args))
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
            floor: Smallest κ, df − n − 1 and Lᵢᵢ², at least 0.

        Raises:
            ValueError: If not exactly one of `raw_kappa` and `df_per_kappa` is given, the latter is not finite and
                positive, `floor` is negative or not finite, or a shape is not that.
            TypeError: If a number or a tensor is neither.

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
        check_number("floor", floor, at_least=0)
        check_tensor("raw_scale_tril", raw_scale_tril)
        batch, n = loc.shape[:-1], loc.shape[-1]
        for name, raw in (("raw_kappa", raw_kappa), ("raw_df", raw_df)):
            if raw is not None or name == "raw_df":
                check_batch(name, raw, batch, of="batch shape of loc")
        entries = n * (n + 1) // 2
        if raw_scale_tril.dim() < 1 or raw_scale_tril.shape[-1] != entries:
            raise ValueError(
                f"raw_scale_tril must have n (n + 1)/2 = {entries} entries in its last dimension for n = {n}, "
                f"but has shape {tuple(raw_scale_tril.shape)}"
            )
        dtype = torch.promote_types(loc.dtype, torch.float32)
        excess_df = _positive(raw_df.to(dtype), floor)
        if raw_kappa is not None and df_per_kappa is None:
            kappa = _positive(raw_kappa.to(dtype), floor)
        elif raw_kappa is None and df_per_kappa is not None:
            check_number("df_per_kappa", df_per_kappa, above=0)
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
        """E[Σ] = Ψ/(df − n − 1), shape (..., n, n); the noise that more data would not remove, and its correlation."""
        return gram(self.scale_tril) / _matrix(self.excess_df)

    @property
    def epistemic(self) -> Tensor:
        """Cov[μ] = Ψ/(κ (df − n − 1)), shape (..., n, n); the uncertainty of the mean itself."""
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
        """Covariance of an observation, shape (..., n, n); `aleatoric` + `epistemic`."""
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
        nig = NormalInverseGamma.from_alpha_minus_one(
            self.loc,
            self.kappa.unsqueeze(-1),
            0.5 * self.excess_df.unsqueeze(-1),
            0.5 * self.scale_tril.square().sum(-1),
            validate_args=False,
        )
        nig._validate_args = self._validate_args
        return nig

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
        deviation = solve(factor, value[..., 0] - loc)
        ratio = solve_triangular(factor, scale_tril, upper=False)
        log_ratio = ratio.diagonal(dim1=-2, dim2=-1).log()
        # Of a Wishart matrix's reversed Cholesky factor the squares on the diagonal have df − n + i degrees of freedom,
        # so that h is near 0 where the density is not.
        order = torch.arange(n, dtype=dtype, device=loc.device)
        shape = 0.5 * (excess_df.unsqueeze(-1) + 2 + order)
        diagonal = (
            (n - 1 - order) * (log_ratio - 0.5 * LOG_TWO)
            - shape * excess(2 * log_ratio - (2 * shape).log())
            + 0.5 * shape.log()
            - stirling_remainder(shape)
        )
        log_density: Tensor = (
            0.5 * n * kappa.log()
            - n * (LOG_TWO + 0.25 * (n + 3) * LOG_PI)
            - 0.5 * kappa * deviation.square().sum(-1)
            - (n + 2) * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
            - 0.5 * ratio.tril(-1).square().sum((-2, -1))
            + diagonal.sum(-1)
        )
        return log_density

    def rsample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = torch.Size()) -> Tensor:  # noqa: B008
        """Draw (μ, Σ), shape `sample_shape` + (..., n, n + 1), in at least `float32`, with gradients to the parameters.

        By Bartlett's decomposition: Σ = L (A Aᵀ)⁻¹ Lᵀ with A lower triangular, standard normal below the diagonal and
        the root of a chi-square of df − i + 1 degrees of freedom at (i, i).

        Example:
            >>> niw = NormalInverseWishart(torch.zeros(2), 2.0, 7.0, torch.eye(2))
            >>> pair = niw.sample((5,))
            >>> pair[..., 0].shape, pair[..., 1:].shape
            (torch.Size([5, 2]), torch.Size([5, 2, 2]))
        """
        niw, n = self._at_least_single(), self._n
        shape = torch.Size(sample_shape) + self.batch_shape
        dtype, device = niw.loc.dtype, niw.loc.device
        order = torch.arange(n, dtype=dtype, device=device)
        halves = 0.5 * (niw.excess_df.unsqueeze(-1) + (n + 1) - order)
        diagonal = (2 * torch._standard_gamma(halves.expand(*shape, n))).sqrt()
        below = torch.randn(*shape, n, n, dtype=dtype, device=device).tril(-1)
        transposed = solve_triangular(below + torch.diag_embed(diagonal), niw.scale_tril.mT, upper=False)
        direction = torch.randn(*shape, n, 1, dtype=dtype, device=device)
        mu = niw.loc + (transposed * direction).sum(-2) * niw.kappa.rsqrt().unsqueeze(-1)
        return torch.cat((mu.unsqueeze(-1), gram(transposed.mT)), dim=-1)

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
        return self._with(loc, function(self.kappa), function(self.excess_df), torch.stack(rows, dim=-2))

    def _with(self, *parameters: Tensor) -> Self:
        loc, kappa, excess_df, scale_tril = parameters
        # In torch 2.6, torch.compile can trace a call of a class by its name, and not one of type(self).
        kind = NormalInverseWishart if type(self) is NormalInverseWishart else type(self)
        niw = kind.from_excess_df(loc, kappa, excess_df, scale_tril, validate_args=False)
        niw._validate_args = self._validate_args
        return niw  # type: ignore[return-value]

    def _shapes(self) -> tuple[torch.Size, torch.Size]:
        n = getattr(self.loc, "shape", (0,))[-1]
        return getattr(self.kappa, "shape", torch.Size()), torch.Size((n, n + 1))

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


register_as_pytree(NormalInverseWishart)


def _positive(raw: Tensor, floor: float) -> Tensor:
    return softplus(raw, threshold=SOFTPLUS_THRESHOLD) + floor


def _matrix(batch: Tensor) -> Tensor:
    return batch.unsqueeze(-1).unsqueeze(-1)


def gram(factor: Tensor) -> Tensor:
    """F Fᵀ in the precision of F, inside autocast too."""
    with torch.autocast(factor.device.type, enabled=False):
        return factor @ factor.mT


def solve(lower: Tensor, vector: Tensor) -> Tensor:
    """L⁻¹ v of a lower triangular matrix and a vector, both in the last dimensions."""
    solution: Tensor = solve_triangular(lower, vector.unsqueeze(-1), upper=False)
    return solution.squeeze(-1)
