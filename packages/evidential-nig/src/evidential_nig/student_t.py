"""Student's t with a distribution function, quantiles and the CRPS, all differentiable in every parameter."""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor
from torch.distributions import Chi2, Distribution
from torch.distributions.utils import broadcast_all

from evidential_nig.arguments import check_probability, finite, positive_finite
from evidential_nig.batch import Batch, decide, in_common_dtype, register_as_pytree
from evidential_nig.signed_root import (
    HALF_LOG_TWO_PI,
    log_normalizer,
    log_normalizer_slope,
    root,
    signed_cdf,
    signed_quantile,
    signed_score,
    unroot,
)


class StudentT(Batch, torch.distributions.StudentT):
    """Student's t: `torch.distributions.StudentT` with `cdf`, `sf`, `icdf`, `interval` and `crps`.

    All of them are differentiable, twice, in the value or probability and in the three parameters, and keep their
    digits for df from 2 to 1e12: relative to the result, in the tails as well, the error is about 1e-6 in single
    precision and 1e-13 in double, that of gradients too, although those by df are of order 1/df². Down to df = 1
    quantiles in single precision are off by up to 1e-5. `log_prob` and `entropy` too are in forms that do not cancel
    as df grows. For df ≤ 1 there is no mean and no `crps`, and quantiles have fewer digits: in single precision they
    are off by up to 2e-4 at df = ½ and 4e-3 at df = ¼. An infinite df is refused; take 1e12, where the distribution
    is normal to about 1e-12.

    Beside df it stores df − 2 (`excess_df`), by which the variance divides: 2 + 1e-8 is 2 in single precision, where
    the variance would be infinite. `NormalInverseGamma.predictive` and `from_excess_df` keep it without loss.

    Results have the dtype of the parameters, at least `float32`. Single precision is computed in double where an
    exponent needs it (in single precision throughout on devices that lack double, where far tails have fewer digits).

    Args:
        df: Degrees of freedom, positive and finite.
        loc: Location, real; the mean where df > 1.
        scale: Scale, positive, in units of `loc`; not the standard deviation, which is `scale` · √(df/(df − 2)).
        validate_args: Whether to check the constraints; None takes the setting of `set_default_validate_args`.

    The parameters are broadcast against each other; `batch_shape` is their common shape, and their dtype the common one
    of those given as tensors (integers count as the default dtype). Values and probabilities are broadcast against the
    batch shape, as everywhere in `torch.distributions`; a number will do as well as a tensor.

    Indexing, `map`, `to`, `detach`, `cat` and `stack` act on all parameters. It is a pytree node with the leaves `df`,
    `excess_df`, `loc` and `scale`, so that functions under `torch.func.vmap`, `torch.export` or
    `DistributedDataParallel` can take and return one.

    Raises:
        ValueError: If a parameter is not finite or outside its range (only when arguments are validated).

    Example:
        >>> student = StudentT(torch.tensor([2.0, 1e6]), loc=1.0, scale=0.5)
        >>> student.cdf(torch.tensor(2.0))
        tensor([0.9082, 0.9772])
        >>> student.interval(0.95)
        (tensor([-1.1513,  0.0200]), tensor([3.1513, 1.9800]))
    """

    arg_constraints = {"df": positive_finite, "loc": finite, "scale": positive_finite}  # noqa: RUF012
    _leaves = ("df", "excess_df", "loc", "scale")

    df: Tensor
    excess_df: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(
        self,
        df: Tensor | float,
        loc: Tensor | float = 0.0,
        scale: Tensor | float = 1.0,
        validate_args: bool | None = None,
        *,
        _excess_df: Tensor | float | None = None,
    ) -> None:
        # In place of the base's, which in torch 2.6 validates the degrees of freedom whether asked to or not, so that
        # neither torch.func.vmap nor torch.compile gets through. The private argument is for `from_excess_df`, as that
        # of NormalInverseGamma for `from_alpha_minus_one`.
        excess_df = df - 2 if _excess_df is None else _excess_df
        self.df, self.excess_df, self.loc, self.scale = broadcast_all(*in_common_dtype(df, excess_df, loc, scale))
        Distribution.__init__(self, self.df.shape, validate_args=decide(validate_args))

    @classmethod
    def from_excess_df(
        cls,
        excess_df: Tensor | float,
        loc: Tensor | float = 0.0,
        scale: Tensor | float = 1.0,
        validate_args: bool | None = None,
    ) -> Self:
        """Make a distribution from df − 2 in place of df, which keeps values that df would round away.

        Example:
            >>> StudentT.from_excess_df(torch.tensor(1e-8)).variance
            tensor(2.0000e+08)
        """
        return cls(excess_df + 2, loc, scale, validate_args, _excess_df=excess_df)

    @property
    def mean(self) -> Tensor:
        """`loc`, batch shape; NaN where df ≤ 1."""
        return torch.where(self.df > 1, self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        """scale² df/(df − 2), batch shape, squared units of `loc`; infinite where df ≤ 2 and NaN where df ≤ 1."""
        finite = self.excess_df > 0
        variance = self.scale.square() * (1 + 2 / torch.where(finite, self.excess_df, 1))
        return torch.where(finite, variance, torch.where(self.df > 1, math.inf, math.nan))

    def expand(self, batch_shape: torch.Size | list[int] | tuple[int, ...], _instance: Any = None) -> Self:
        """The same distribution with its batch dimensions broadcast to `batch_shape`, without copying."""
        student: Self = self._get_checked_instance(StudentT, _instance)  # type: ignore[no-untyped-call]
        shape = torch.Size(batch_shape)
        for name in self._leaves:
            setattr(student, name, getattr(self, name).expand(shape))
        Distribution.__init__(student, shape, validate_args=False)
        student._validate_args = self._validate_args
        return student

    @property
    def _chi2(self) -> Chi2:  # type: ignore[override]
        """What the base draws samples with, made when it is asked for."""
        return Chi2(self.df, validate_args=False)

    def log_prob(self, value: Tensor | float) -> Tensor:
        """Logarithm of the density.

        With r = (value − loc)/scale and x = log1p(r²/df): c(df) − ½ log(2π) − log(scale) − ½ (df + 1) x.

        Args:
            value: Shape that broadcasts with the batch shape, or a number.
        """
        value = self._observation(value)
        dtype, _ = self._dtypes()
        standard, df = self._standardized(value, dtype)
        w = root(standard, df)
        return log_normalizer(df) - HALF_LOG_TWO_PI - torch.log(self.scale.to(dtype)) - 0.5 * (w * w + w * w / df)

    def cdf(self, value: Tensor | float) -> Tensor:
        """P(X ≤ value), with its digits in the lower tail; `sf` has them in the upper one.

        Args:
            value: Shape that broadcasts with the batch shape, or a number.
        """
        return self._probability(value, 1)

    def sf(self, value: Tensor | float) -> Tensor:
        """P(X > value), the survival function: 1 − `cdf` with its digits in the upper tail.

        Args:
            value: Shape that broadcasts with the batch shape, or a number.

        Example:
            >>> StudentT(torch.tensor(5.0)).sf(torch.tensor(1e6))
            tensor(9.4902e-30)
        """
        return self._probability(value, -1)

    def icdf(self, value: Tensor | float) -> Tensor:
        """The quantile: the x with P(X ≤ x) = value.

        Args:
            value: Probabilities in [0, 1], shape that broadcasts with the batch shape, or a number; 0 and 1 give −inf
                and inf.

        Raises:
            ValueError: If a probability is NaN or outside [0, 1] (those of a tensor only when arguments are validated).

        Example:
            >>> StudentT(torch.tensor(2.0)).icdf(torch.tensor([0.0, 1e-30, 0.5, 0.975]))
            tensor([       -inf, -7.0711e+14,  0.0000e+00,  4.3027e+00])
        """
        dtype, wide = self._dtypes()
        probability = self._probabilities("value", value)
        quantile = self._standard_quantile(probability - 0.5, torch.minimum(probability, 1 - probability))
        return (self.loc.to(wide) + self.scale.to(wide) * quantile).to(dtype)

    def interval(self, level: Tensor | float) -> tuple[Tensor, Tensor]:
        """Bounds of the central interval that holds a share `level` of the probability.

        Args:
            level: In [0, 1], shape that broadcasts with the batch shape, or a number.

        Returns:
            Lower and upper bound, of the broadcast shape.

        Raises:
            ValueError: If a level is NaN or outside [0, 1] (those of a tensor only when arguments are validated).

        Example:
            >>> StudentT(torch.tensor(4.0), loc=3.0).interval(0.5)
            (tensor(2.2593), tensor(3.7407))
        """
        dtype, wide = self._dtypes()
        level = self._probabilities("level", level)
        reach = self.scale.to(wide) * self._standard_quantile(0.5 * level, 0.5 * (1 - level))
        loc = self.loc.to(wide)
        return (loc - reach).to(dtype), (loc + reach).to(dtype)

    def crps(self, value: Tensor | float) -> Tensor:
        """Continuous ranked probability score of an observation: ∫ (P(X ≤ x) − 1{x ≥ value})² dx. Units of `loc`.

        With r = (value − loc)/scale, F and f those of loc 0 and scale 1, and B the beta function:

            scale · (r (2F(r) − 1) + 2 f(r) (df + r²)/(df − 1) − 2 √df B(½, df − ½) / ((df − 1) B(½, df/2)²)).

        Source: Jordan, Krüger and Lerch, "Evaluating probabilistic forecasts with scoringRules", 2019, Appendix A.

        Args:
            value: Observations, shape that broadcasts with the batch shape, or a number.

        Returns:
            Scores, at least 0, lower is better; NaN where df ≤ 1, which has no mean. Near 1 the last two terms cancel.

        Raises:
            ValueError: If df ≤ 1 somewhere (only when arguments are validated).

        Example:
            >>> StudentT(torch.tensor(1e6)).crps(torch.tensor([0.0, 3.0]))
            tensor([0.2337, 2.4366])
        """
        value = self._observation(value)
        if self._validate_args and not bool((self.df > 1).all()):
            raise ValueError(f"df must be above 1 for the CRPS, got {self.df}")
        dtype, wide = self._dtypes()
        standard, df = self._standardized(value, wide)
        score = torch.where(df > 1, signed_score(standard, df, dtype), torch.nan)
        return (self.scale.to(wide) * score).to(dtype)

    def entropy(self) -> Tensor:
        """Differential entropy, of the batch shape: ½ log(2πe) + log(scale) − c + (df + 1) c' + 1/(2 df)."""
        dtype, _ = self._dtypes()
        df = self.df.to(dtype)
        slope = log_normalizer_slope(df)
        correction = (df + 1) * slope + 0.5 / df - log_normalizer(df)
        return 0.5 + HALF_LOG_TWO_PI + torch.log(self.scale.to(dtype)) + correction

    def _dtypes(self) -> tuple[torch.dtype, torch.dtype]:
        """Of results, and of what needs more digits to give them."""
        dtype = torch.promote_types(self.df.dtype, torch.float32)
        return dtype, dtype if self.df.device.type == "mps" else torch.float64

    def _standardized(self, value: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """(value − loc)/scale and df, of one shape."""
        standard = (value.to(dtype) - self.loc.to(dtype)) / self.scale.to(dtype)
        standard, df = torch.broadcast_tensors(standard, self.df.to(dtype))  # type: ignore[no-untyped-call]
        return standard, df

    def _probability(self, value: Tensor | float, side: int) -> Tensor:
        value = self._observation(value)
        dtype, wide = self._dtypes()
        standard, df = self._standardized(value, wide)
        result: Tensor = signed_cdf(root(side * standard, df), df, dtype).to(dtype)
        return result

    def _standard_quantile(self, centre: Tensor, tail: Tensor) -> Tensor:
        dtype, _ = self._dtypes()
        centre, tail, df = torch.broadcast_tensors(centre, tail, self.df.to(centre.dtype))  # type: ignore[no-untyped-call]
        result: Tensor = unroot(signed_quantile(centre, tail, df, dtype), df)
        return result

    def _observation(self, value: Tensor | float) -> Tensor:
        value = self._tensor(value)
        if self._validate_args:
            self._validate_sample(value)
        return value

    def _with(self, *parameters: Tensor) -> Self:
        df, excess_df, loc, scale = parameters
        # In torch 2.6, torch.compile can trace a call of a class by its name, and not one of type(self).
        kind = StudentT if type(self) is StudentT else type(self)
        student = kind(df, loc, scale, validate_args=False, _excess_df=excess_df)
        student._validate_args = self._validate_args
        return student  # type: ignore[return-value]

    def _shapes(self) -> tuple[torch.Size, torch.Size]:
        return getattr(self.df, "shape", torch.Size()), torch.Size()

    def _probabilities(self, name: str, value: Tensor | float) -> Tensor:
        check_probability(name, value, validate=bool(self._validate_args))
        return self._tensor(value).to(device=self.df.device, dtype=self._dtypes()[1])

    def _tensor(self, value: Tensor | float) -> Tensor:
        if isinstance(value, Tensor):
            return value
        return torch.as_tensor(value, dtype=self._dtypes()[1], device=self.df.device)


register_as_pytree(StudentT)
