"""The fusion methods, one module for each family, all behind `FusionMethod`, and the registry of their names."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

from map_score_fusion.errors import ScoreTableError
from map_score_fusion.methods.base import FusionMethod


@dataclass(frozen=True)
class RegisteredMethod:
    """Where a method is, and what to know before choosing it.

    Attributes:
        module: Module of `map_score_fusion.methods` that holds its class, imported when the method is used.
        class_name: Name of its class, a `FusionMethod`.
        summary: What it does, in one line.
        amortisation_is_optional: Whether its class takes ``amortised``, as the MAP methods do.
        needs_coefficients: Whether its class takes ``coefficients``, and does nothing without.
    """

    module: str
    class_name: str
    summary: str
    amortisation_is_optional: bool = False
    needs_coefficients: bool = False


METHODS: dict[str, RegisteredMethod] = {
    "robust": RegisteredMethod(
        "robust", "Robust", "Robust mean of ranks, weighted by agreement and what a metric adds"
    ),
    "sf-ms": RegisteredMethod(
        "map_estimation", "ScoreFusionMS", "The paper's SF-ms: scores, noise of model and score level", True
    ),
    "rf-ms": RegisteredMethod(
        "map_estimation", "RankFusionMS", "The paper's RF-ms: ranks, noise of model and score level", True
    ),
    "sf-m": RegisteredMethod("map_estimation", "ScoreFusionM", "The paper's SF-m: scores, noise of model level", True),
    "rf-m": RegisteredMethod("map_estimation", "RankFusionM", "As SF-m, on ranks: noise of model level", True),
    "mean-rank": RegisteredMethod("baselines", "MeanRank", "Mean of the metrics' ranks among the training images"),
    "mean-scaled": RegisteredMethod("baselines", "MeanScaled", "Mean of the metrics' robustly scaled scores"),
    "first-component": RegisteredMethod("baselines", "FirstComponent", "First principal component of normal scores"),
    "rrf": RegisteredMethod("baselines", "ReciprocalRank", "Reciprocal rank fusion with k = 60"),
    "weighted-rrf": RegisteredMethod(
        "baselines", "WeightedReciprocalRank", "Reciprocal rank fusion, metrics weighted by how well they agree"
    ),
    "weighted-product": RegisteredMethod(
        "formulas",
        "WeightedProduct",
        "Product of powers with your exponents: CISI, HFSIMc, CM3",
        needs_coefficients=True,
    ),
    "weighted-sum": RegisteredMethod(
        "formulas", "WeightedSum", "Sum of the metrics' own scores with your weights", needs_coefficients=True
    ),
}
"""Every method by the name that ``ScoreFusion(method=...)`` takes, in the order in which tables list them."""


def make_method(name: str, *, amortised: bool = True, coefficients: Mapping[str, float] | None = None) -> FusionMethod:
    """Make an unfitted method.

    Args:
        name: One of `METHODS`.
        amortised: Whether a MAP method predicts with its encoder. Other methods have no such choice.
        coefficients: Exponents or weights of a formula's metrics, by their names. Other methods have none.

    Raises:
        ScoreTableError: There is no such method, it has no choice of amortisation, or it takes no coefficients or needs
            some.
    """
    method_class = class_of(name)
    entry = METHODS[name]
    if coefficients is not None and not entry.needs_coefficients:
        taking = ", ".join(key for key, other in METHODS.items() if other.needs_coefficients)
        raise ScoreTableError(f"coefficients mean nothing to the method {name!r}; they are for {taking}")
    if not amortised and not entry.amortisation_is_optional:
        optional = ", ".join(key for key, other in METHODS.items() if other.amortisation_is_optional)
        raise ScoreTableError(f"amortised=False means nothing to the method {name!r}; it is for {optional}")
    if entry.amortisation_is_optional:
        return method_class(amortised=amortised)  # type: ignore[call-arg]
    if entry.needs_coefficients:
        return method_class(coefficients)  # type: ignore[call-arg]
    return method_class()


def class_of(name: str) -> type[FusionMethod]:
    """Import and return the class of a method; an unknown name is a `ScoreTableError` that lists the known ones."""
    if name not in METHODS:
        raise ScoreTableError(f"method is {name!r}; it must be one of {', '.join(METHODS)}")
    entry = METHODS[name]
    found: type[FusionMethod] = getattr(import_module(f"{__name__}.{entry.module}"), entry.class_name)
    return found
