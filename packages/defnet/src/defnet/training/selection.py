"""Which epoch's weights are kept."""

from collections.abc import Mapping


def selection_figure(figures: Mapping[str, float], select_by: str, epoch: int) -> float:
    """The figure by which epochs are compared; larger is better."""
    if select_by == "last":
        return float(epoch)
    value = -figures["nll"] if select_by == "nll" else sum(figures[name] for name in select_by.split("+"))
    return value if value == value else -float("inf")  # NaN, of a constant prediction, loses to any other
