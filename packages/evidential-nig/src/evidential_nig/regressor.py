"""Evidential regression as a scikit-learn estimator: `pip install "evidential-nig[sklearn]"`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from evidential_nig.arguments import check_number, check_whole_number
from evidential_nig.conformal import SplitConformal
from evidential_nig.distribution import NormalInverseGamma
from evidential_nig.head import NIGHead
from evidential_nig.losses import evidential_loss
from evidential_nig.recalibration import VarianceScale

try:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise ImportError(
        'evidential_nig.regressor needs scikit-learn, which cannot be imported: pip install "evidential-nig[sklearn]"'
    ) from error

__all__ = ["EvidentialRegressor"]

# With fewer rows than this a factor on the variance is noise.
_FEWEST_CALIBRATION_ROWS = 10


class EvidentialRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A small evidential network for tables, with `fit`, `predict` and intervals.

    Inputs and targets are standardised inside, hidden layers with ReLU end in a `NIGHead`, and Adam minimises
    `evidential_loss` for a fixed number of epochs, in double precision. A share of the rows is held out: training never
    sees it, one `VarianceScale` is fitted on it, and `predict_interval(..., conformal=True)` counts on it. Rows that
    hold out fewer than 10 are all trained on, and nothing is rescaled (`n_calibration_` is 0).

    It stands in pipelines, cross-validation and grid searches; several targets (a y of shape (n, targets)) are
    predicted side by side. Choose `learning_rate`, `epochs` and `tau` on your data.

    Args:
        hidden_sizes: Width of each hidden layer; an empty sequence is linear evidential regression.
        tau: Weight of the evidence regulariser, at least 0.
        learning_rate: Of Adam, above 0.
        weight_decay: Of the weights, at least 0.
        epochs: Passes over the rows, at least 1.
        batch_size: Rows a step, at least 1.
        calibration_fraction: Share of the rows that is held out, at least 0 and below 1.
        random_state: Seed of the initial weights, the batches and the rows that are held out. torch's global generator
            is left as it is.
        device: Where to train and predict.

    Attributes:
        network_: The trained network, for standardised inputs.
        variance_scale_: What the predicted variances are rescaled by; None where no rows were held out.
        conformal_: The `SplitConformal` of each target, a list; None where no rows were held out.
        n_calibration_: How many rows were held out.
        loss_: The training loss of each epoch, a list.
        n_features_in_: Number of columns in `fit`.
        feature_names_in_: Their names, where the table had some.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> X = rng.uniform(-2, 2, (300, 1))
        >>> y = X[:, 0] ** 2 + 0.1 * rng.normal(size=300)
        >>> model = EvidentialRegressor(epochs=60, random_state=0).fit(X, y)
        >>> lower, upper = model.predict_interval(X, 0.95)
        >>> model.score(X, y) > 0.95, lower.shape, bool((lower < upper).all())
        (True, (300,), True)

    Source: Amini et al., "Deep Evidential Regression", 2020; Levi et al., 2022, for the rescaling.
    """

    def __init__(
        self,
        hidden_sizes: Sequence[int] = (50,),
        *,
        tau: float = 0.01,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.0,
        epochs: int = 100,
        batch_size: int = 32,
        calibration_fraction: float = 0.2,
        random_state: int | np.random.RandomState | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.hidden_sizes = hidden_sizes
        self.tau = tau
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state
        self.device = device

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on a table.

        Args:
            X: Rows of numbers, shape (n, features), finite, at least two rows.
            y: Targets, shape (n,) or (n, targets), finite.

        Raises:
            TypeError: If an option is no number.
            ValueError: If an option is out of range, or the table is not that.
        """
        self._check_options()
        table, targets = validate_data(self, X, y, multi_output=True, y_numeric=True, ensure_min_samples=2)
        self._one_target = targets.ndim == 1
        inputs = torch.tensor(table, dtype=torch.float64, device=self.device)
        outputs = torch.tensor(targets, dtype=torch.float64, device=self.device).reshape(len(inputs), -1)
        generator = torch.Generator().manual_seed(int(check_random_state(self.random_state).randint(2**31 - 1)))

        order = torch.randperm(len(inputs), generator=generator)
        held_out = int(self.calibration_fraction * len(inputs))
        self.n_calibration_ = held_out if held_out >= _FEWEST_CALIBRATION_ROWS else 0
        calibration, training = order[: self.n_calibration_], order[self.n_calibration_ :]
        self._input_mean, self._input_scale = _moments(inputs[training])
        self._target_mean, self._target_scale = _moments(outputs[training])
        self.network_ = self._network(inputs.shape[1], outputs.shape[1], generator)
        standardised = (outputs[training] - self._target_mean) / self._target_scale
        self.loss_ = self._train(self._standardise(inputs[training]), standardised, generator)

        self.variance_scale_: VarianceScale | None = None
        self.conformal_: list[SplitConformal] | None = None
        if self.n_calibration_:
            belief = self._belief(inputs[calibration])
            # A target that is the same number in every row is predicted without error, and has no scale.
            if bool((outputs[calibration] != belief.loc).any()):
                self.variance_scale_ = VarianceScale.fit(belief, outputs[calibration])
                belief = self.variance_scale_.apply(belief)
            self.conformal_ = [
                SplitConformal.fit(belief[:, column], outputs[calibration, column])
                for column in range(outputs.shape[1])
            ]
        return self

    def predict(
        self, X: ArrayLike, return_std: bool = False
    ) -> NDArray[np.float64] | tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predicted means and, with `return_std`, the standard deviations of observations; in the shape of y.

        Args:
            X: Rows of numbers, shape (n, features).
            return_std: Whether to return a pair.

        Raises:
            NotFittedError: Before `fit`.
            ValueError: If the table is not that.
        """
        belief = self.predict_distribution(X)
        mean = _array(belief.loc)
        return (mean, _array(belief.predictive_variance.sqrt())) if return_std else mean

    def predict_distribution(self, X: ArrayLike) -> NormalInverseGamma:
        """The beliefs about each row, in the units of y and rescaled; batch shape that of y, `float64`.

        `predictive()`, `aleatoric` and `epistemic` are what the figures of `evidential_nig.calibration` take.

        Args:
            X: Rows of numbers, shape (n, features).

        Raises:
            NotFittedError: Before `fit`.
            ValueError: If the table is not that.
        """
        check_is_fitted(self)
        table = validate_data(self, X, reset=False)
        belief = self._belief(torch.tensor(table, dtype=torch.float64, device=self.device))
        if self.variance_scale_ is not None:
            belief = self.variance_scale_.apply(belief)
        return belief[:, 0] if self._one_target else belief

    def predict_interval(
        self, X: ArrayLike, level: float = 0.95, *, conformal: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper bounds for observations, each in the shape of y.

        Args:
            X: Rows of numbers, shape (n, features).
            level: Above 0 and below 1.
            conformal: Whether to count on the rows that were held out (`SplitConformal`, normalised): coverage of at
                least `level` is then guaranteed for rows that come from where those of `fit` do, and bounds are
                infinite where too few rows were held out for it. Otherwise the interval is that of the predictive
                Student t, a claim of the network.

        Raises:
            NotFittedError: Before `fit`.
            TypeError: If `level` is no number.
            ValueError: If `level` is out of range, the table is not that, or no rows were held out to count on.
        """
        check_number("level", level, above=0, below=1)
        belief = self.predict_distribution(X)
        if not conformal:
            lower, upper = belief.predictive().interval(level)
            return _array(lower), _array(upper)
        if self.conformal_ is None:
            raise ValueError(
                "conformal intervals need rows that training has not seen, but none were held out: "
                f"calibration_fraction is {self.calibration_fraction} and must hold out at least "
                f"{_FEWEST_CALIBRATION_ROWS} rows"
            )
        if self._one_target:
            lower, upper = self.conformal_[0].interval(belief, level)
        else:
            pairs = [one.interval(belief[:, column], level) for column, one in enumerate(self.conformal_)]
            lower, upper = (torch.stack(bounds, dim=-1) for bounds in zip(*pairs, strict=True))
        return _array(lower), _array(upper)

    def _check_options(self) -> None:
        for width in self.hidden_sizes:
            check_whole_number("hidden_sizes", width, at_least=1)
        check_number("tau", self.tau, at_least=0)
        check_number("learning_rate", self.learning_rate, above=0)
        check_number("weight_decay", self.weight_decay, at_least=0)
        check_whole_number("epochs", self.epochs, at_least=1)
        check_whole_number("batch_size", self.batch_size, at_least=1)
        check_number("calibration_fraction", self.calibration_fraction, at_least=0, below=1)

    def _network(self, features: int, targets: int, generator: torch.Generator) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator.initial_seed())
            layers: list[nn.Module] = []
            for width in self.hidden_sizes:
                layers += [nn.Linear(features, int(width), dtype=torch.float64), nn.ReLU()]
                features = int(width)
            return nn.Sequential(*layers, NIGHead(features, targets, dtype=torch.float64)).to(self.device)

    def _train(self, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> list[float]:
        optimizer = torch.optim.Adam(self.network_.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        losses = []
        for _ in range(self.epochs):
            total = 0.0
            for rows in torch.split(torch.randperm(len(inputs), generator=generator), int(self.batch_size)):
                optimizer.zero_grad()
                loss = evidential_loss(self.network_(inputs[rows]), targets[rows], self.tau)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += loss.item() * len(rows)
            losses.append(total / len(inputs))
        return losses

    def _standardise(self, inputs: Tensor) -> Tensor:
        return (inputs - self._input_mean) / self._input_scale

    @torch.no_grad()
    def _belief(self, inputs: Tensor) -> NormalInverseGamma:
        belief: NormalInverseGamma = self.network_(self._standardise(inputs))
        return NormalInverseGamma.from_alpha_minus_one(
            belief.loc * self._target_scale + self._target_mean,
            belief.nu,
            belief.alpha_minus_one,
            belief.beta * self._target_scale.square(),
            validate_args=False,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column, 1 in place of 0."""
    deviation = values.std(0, correction=0)
    return values.mean(0), torch.where(deviation > 0, deviation, 1)


def _array(values: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = values.cpu().numpy()
    return array
