"""The checks of what public functions are given: numbers, probabilities, choices, tensors and their shapes.

Every scalar argument of the package goes through here, so that all are held to the same rule: a number must be finite
and within its range. A tensor of numbers must have a shape that changes no other, and its values are looked at where
that costs no device synchronisation or where arguments are validated; never while a graph is recorded, since values
cannot be looked at there.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.distributions import constraints

Levels: TypeAlias = float | Sequence[float] | Tensor


def check_number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
    kind: str = "a number",
) -> None:
    """Refuse what is no finite number in a range.

    Raises:
        TypeError: If `value` is no real number; a bool is none.
        ValueError: If it is NaN, infinite or outside the range.
    """
    if not _is_real(value):
        raise TypeError(f"{name} must be {kind}, got {_kind(value)}")
    # Comparisons and not math.isfinite: torch.compile traces those of a number that it has made an input of the graph.
    if not (above < value < below and at_least <= value <= at_most and -math.inf < value < math.inf):
        raise ValueError(f"{name} must be a finite number{_range(above, at_least, at_most, below)}, got {value}")


def check_whole_number(name: str, value: Any, *, at_least: int, at_most: int | None = None) -> None:
    """Refuse what is no whole number from `at_least` to `at_most`.

    Raises:
        TypeError: If `value` is no whole number; a bool is none, and a float neither.
        ValueError: If it is outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, numbers.Integral)):
        raise TypeError(f"{name} must be a whole number, got {_kind(value)}")
    if int(value) < at_least or (at_most is not None and int(value) > at_most):
        limit = f" and at most {at_most}" if at_most is not None else ""
        raise ValueError(f"{name} must be at least {at_least}{limit}, got {value}")


def check_coefficient(
    name: str,
    value: Any,
    batch_shape: torch.Size,
    *,
    validate: bool,
    above: float = -math.inf,
    at_least: float = -math.inf,
) -> None:
    """Refuse what is neither a finite number in a range nor a tensor of such numbers that fits a batch.

    A tensor has no dimension, or as many as the batch shape, to which it broadcasts: with fewer it would stand for the
    last ones, and with more or other ones the result would be of another shape.

    Args:
        name: Of the argument.
        value: A number or a tensor.
        batch_shape: What a tensor must fit.
        validate: Whether to look at the values of a tensor that is not on the CPU.
        above: Open lower bound.
        at_least: Closed lower bound.

    Raises:
        TypeError: If it is neither number nor tensor.
        ValueError: If a shape or a value is wrong.
    """
    if not isinstance(value, Tensor):
        check_number(name, value, above=above, at_least=at_least, kind="a number or a tensor")
        return
    if value.dim() not in (0, len(batch_shape)) or not broadcasts_to(value.shape, batch_shape):
        raise ValueError(
            f"{name} must be a number or a tensor that broadcasts, dimension by dimension, to batch shape "
            f"{tuple(batch_shape)}, but has {tuple(value.shape)}"
        )
    if values_can_be_seen(value, validate=validate):
        refuse(
            ~(value.isfinite() & (value > above) & (value >= at_least)),
            f"{name} must be finite{_range(above, at_least, math.inf, math.inf)}",
        )


def check_probability(name: str, value: Any, *, validate: bool) -> None:
    """Refuse what is neither a probability in [0, 1] nor, where arguments are validated, a tensor of them.

    Raises:
        TypeError: If it is neither number nor tensor.
        ValueError: If a probability is NaN or outside [0, 1].
    """
    if isinstance(value, Tensor):
        # Looking at a tensor may have to wait for a device, looking at a number costs nothing.
        valid = not validate or bool(((value >= 0) & (value <= 1)).all())
    elif not _is_real(value):
        raise TypeError(f"{name} must be a number or a tensor, got {_kind(value)}")
    else:
        valid = 0 <= value <= 1
    if not valid:
        raise ValueError(f"{name} must be a probability in [0, 1], got {value}")


def check_not_nan(name: str, value: Any) -> None:
    """Refuse NaN and what is neither number nor tensor; the values of a tensor are not looked at.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is NaN.
    """
    if isinstance(value, Tensor):
        return
    if not _is_real(value):
        raise TypeError(f"{name} must be a number or a tensor, got {_kind(value)}")
    if math.isnan(value):
        raise ValueError(f"{name} must not be NaN")


def check_levels(levels: Levels, device: torch.device) -> Tensor:
    """One or several levels as a tensor in double precision.

    Raises:
        ValueError: If there is none, or one is NaN or not above 0 and below 1.
    """
    result = torch.as_tensor(levels, dtype=torch.float64, device=device)
    if not bool(((result > 0) & (result < 1)).all()) or result.numel() == 0:
        raise ValueError(f"levels must be one or more probabilities above 0 and below 1, got {levels}")
    return result


def check_choice(name: str, value: Any, choices: Sequence[str | int]) -> None:
    """Refuse what is none of the choices.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value not in choices:
        shown = [f'"{choice}"' if isinstance(choice, str) else str(choice) for choice in choices]
        raise ValueError(f"{name} must be {', '.join(shown[:-1])} or {shown[-1]}, got {value!r}")


def check_tensor(name: str, value: Any) -> None:
    """Refuse what is no tensor.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, got {_kind(value)}")


def check_batch(name: str, value: Any, shape: torch.Size, of: str = "batch shape of the distribution") -> None:
    """Refuse what is no tensor of exactly one shape: (N, 1) against (N,) would become (N, N) without a word.

    Raises:
        TypeError: If it is no tensor.
        ValueError: If its shape is another.
    """
    check_tensor(name, value)
    if value.shape != shape:
        raise ValueError(f"{name} must have exactly the {of}, {tuple(shape)}, but has {tuple(value.shape)}")


def check_finite(name: str, value: Tensor) -> None:
    """Refuse a tensor that holds NaN or infinity.

    Raises:
        ValueError: With their number and the place of the first.
    """
    refuse(~value.isfinite(), f"{name} must be finite")


def refuse(wrong: Tensor, demand: str) -> None:
    """Raise a ValueError that tells `demand` and where it is not met, if `wrong` is true anywhere."""
    count = int(wrong.sum())
    if count:
        first = tuple(wrong.nonzero()[0].tolist())
        raise ValueError(f"{demand}, but {count} of {wrong.numel()} values are not, the first at index {first}")


def broadcasts_to(shape: Sequence[int], target: Sequence[int]) -> bool:
    """Whether a shape broadcasts to another and leaves it as it is."""
    sizes = zip(reversed(shape), reversed(target), strict=False)
    return len(shape) <= len(target) and all(size in (1, full) for size, full in sizes)


def values_can_be_seen(value: Tensor, *, validate: bool) -> bool:
    """Whether to look at a tensor's values: where arguments are validated, and where it costs nothing."""
    if torch.compiler.is_compiling() or not (validate or value.device.type == "cpu"):
        return False
    # Under torch.func.vmap an argument may stand for many, and none of them can be looked at; under torch.func.grad
    # within it that is hidden by another wrapper.
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(value):
        if functorch.is_batchedtensor(value):
            return False
        value = functorch.get_unwrapped(value)
    return True


def _is_real(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    # NumPy's numbers and fractions come last: torch.compile knows what a float is, and not what a Real is.
    return isinstance(value, (int, float)) or isinstance(value, numbers.Real)  # noqa: SIM101


def _kind(value: Any) -> str:
    if isinstance(value, (str, bool)) or value is None:
        return repr(value)
    return type(value).__name__


def _range(above: float, at_least: float, at_most: float, below: float) -> str:
    limits = []
    if above > -math.inf:
        limits.append(f"above {above:g}")
    if at_least > -math.inf:
        limits.append(f"of at least {at_least:g}")
    if below < math.inf:
        limits.append(f"below {below:g}")
    if at_most < math.inf:
        limits.append(f"of at most {at_most:g}")
    return "".join(f" {limit}" if number == 0 else f" and {limit}" for number, limit in enumerate(limits))


class _Finite(constraints.Constraint):
    def check(self, value: Tensor) -> Tensor:
        return value.isfinite()


class _PositiveFinite(constraints.Constraint):
    def check(self, value: Tensor) -> Tensor:
        return (value > 0) & value.isfinite()


class _AtLeastOneFinite(constraints.Constraint):
    def check(self, value: Tensor) -> Tensor:
        return (value >= 1) & value.isfinite()


finite = _Finite()
positive_finite = _PositiveFinite()
at_least_one_finite = _AtLeastOneFinite()
