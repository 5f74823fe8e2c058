"""What a fusion method is: the seam between `ScoreFusion`, which knows tables, and the mathematics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

State = tuple[dict[str, NDArray[Any]], dict[str, Any]]
"""What a fitted method is made of: arrays by name, for safetensors, and settings, for JSON."""


@dataclass(frozen=True)
class FittingLog:
    """How a fit went.

    Attributes:
        objective: Value of what was minimised (or the negative of what was maximised) after each iteration, per image.
        converged: Whether the stopping rule was met before the limit of iterations.
        messages: What a user should know of the fit, such as a Heywood collapse, one sentence each. `ScoreFusion`
            raises each as a `FusionWarning`.
    """

    objective: tuple[float, ...] = ()
    converged: bool = True
    messages: tuple[str, ...] = ()


class FusionMethod(ABC):
    """A method that turns the scores of several metrics into one score per image.

    It sees *oriented* scores: shape (N, M), float64, each column turned so that higher = better, every value finite or
    NaN for a missing one; infinities were clipped to the training range by the caller. Every column has at least one
    value in ``fit``. Constant columns, ties, duplicated rows, N = 1, M = 1 and M > N occur. In ``predict``, ``weights``
    and ``score_uncertainty`` a row may have any values missing but not all of them.

    All that it returns is on one scale for all metrics, that of the fused score: [0, 1], higher = better.

    Attributes:
        name: What `ScoreFusion(method=...)` calls it.
        log: How the last fit went.
    """

    name: ClassVar[str]
    log: FittingLog

    @abstractmethod
    def fit(self, scores: FloatArray, names: Sequence[str], generator: np.random.Generator) -> Self:
        """Fit to oriented scores (N, M) of metrics with these names, drawing what is random from the generator."""

    @abstractmethod
    def predict(self, scores: FloatArray) -> FloatArray:
        """Return the fused score (N,) of each row, in [0, 1]; a row's result does not depend on the other rows."""

    @abstractmethod
    def predict_std(self, scores: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the fused scores (N,) and the standard deviation (N,) of each, on the scale of the fused score."""

    @abstractmethod
    def weights(self, scores: FloatArray) -> FloatArray:
        """Return each metric's weight (N, M) in each row's score: at least 0, 0 where missing, each row's sum is 1."""

    @abstractmethod
    def score_uncertainty(self, scores: FloatArray) -> FloatArray:
        """Return ω̃ (N, M), the scale of each score's noise about its metric's curve; NaN where the score is missing."""

    @abstractmethod
    def summary(self) -> Mapping[str, FloatArray]:
        """Return what was fitted for each metric, by name, each of shape (M,)."""

    def curves(self, grid: FloatArray) -> Mapping[str, FloatArray] | None:  # noqa: ARG002, for those that override it
        """Return, for latent qualities (G,) in [0, 1], each metric's fitted curve and noise; None where it has none.

        The keys are ``"expected"``, the mean score of each metric on its own oriented scale, and ``"lower"`` and
        ``"upper"``, the bounds of the central 68 % of its scores; each of shape (G, M).
        """
        return None

    @abstractmethod
    def state(self) -> State:
        """Return all that ``from_state`` needs to make this fitted method again."""

    @classmethod
    @abstractmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Make the fitted method again from what ``state`` returned."""
