"""What the package's distributions have in common: parameters that are moved, cast, indexed and joined as one.

torch has one setting for all distributions that says whether arguments are validated, and the first `torch.compile` of
a process switches it off for good, without a word. The distributions here have a setting of their own, which nothing
but `set_default_validate_args` changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.utils import _pytree as pytree


class Batch(Distribution):
    """Base of the distributions of this package, each of which holds a batch of parameters."""

    _leaves: ClassVar[tuple[str, ...]]  # the names of what is stored, each a tensor with the batch dimensions first
    _validate_args = __debug__  # as torch's is until something is compiled

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Set whether the distributions of `evidential_nig` validate their arguments where they are not told.

        On at the start (off under `python -O`). It is apart from torch's setting of that name, which any use of
        `torch.compile` switches off for the whole process. While a function is compiled or exported nothing is
        validated, since values cannot be looked at there.
        """
        Batch._validate_args = bool(value)

    def _parameters(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._leaves]

    def _with(self, *parameters: Tensor) -> Self:
        """Other parameters, which are known to be valid, and the same decision about validation."""
        raise NotImplementedError

    def _shapes(self) -> tuple[torch.Size, torch.Size]:
        """Batch and event shape of what is stored, which under a transform may be anything but tensors."""
        raise NotImplementedError

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """Apply one function to all parameters; see the distributions."""
        return self._with(*(function(parameter) for parameter in self._parameters()))

    def detach(self) -> Self:
        """The same distribution without gradients."""
        return self._with(*(parameter.detach() for parameter in self._parameters()))

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """The same distribution on another device or in another dtype; arguments are those of `torch.Tensor.to`."""
        return self._with(*(parameter.to(*args, **kwargs) for parameter in self._parameters()))

    def __getitem__(self, index: Any) -> Self:
        """Take a part of the batch, as of a tensor of the batch shape."""
        return self.map(lambda parameter: parameter[index])

    def _at_least_single(self) -> Self:
        if self._parameters()[0].dtype not in (torch.float16, torch.bfloat16):
            return self
        return self.to(torch.float32)

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """`torch.cat` and `torch.stack` of distributions are `cat` and `stack`; there is no other such function."""
        if function in (torch.cat, torch.concat, torch.concatenate):
            return cat(*args, **(kwargs or {}))
        if function is torch.stack:
            return stack(*args, **(kwargs or {}))
        return NotImplemented


AnyBatch = TypeVar("AnyBatch", bound=Batch)


def cat(distributions: Sequence[AnyBatch], dim: int = 0) -> AnyBatch:
    """Join distributions of one kind along a batch dimension, as `torch.cat` does tensors; `torch.cat` calls it.

    Args:
        distributions: One or more of one class, batch shapes equal but for `dim`.
        dim: The batch dimension; negative counts from the end of the batch shape.

    Returns:
        A distribution of that class. It validates its arguments if one of them does.

    Raises:
        TypeError: If they are not of one class.
        ValueError: If there is none, or the other batch dimensions differ.
        IndexError: If there is no such dimension.

    Example:
        >>> from evidential_nig import NormalInverseGamma, cat
        >>> first = NormalInverseGamma(torch.zeros(2), 1.0, 2.0, 1.0)
        >>> cat([first, NormalInverseGamma(torch.ones(3), 4.0, 2.0, 1.0)]).nu
        tensor([1., 1., 4., 4., 4.])
    """
    first = _of_one_class("cat", distributions)
    dim = _dimension(dim, len(first.batch_shape))
    shapes = [tuple(one.batch_shape[:dim] + one.batch_shape[dim + 1 :]) for one in distributions]
    if len({len(one.batch_shape) for one in distributions}) > 1 or len(set(shapes)) > 1:
        known = ", ".join(str(tuple(one.batch_shape)) for one in distributions)
        raise ValueError(f"batch shapes must be equal but for dimension {dim}, got {known}")
    return _joined(torch.cat, distributions, dim)


def stack(distributions: Sequence[AnyBatch], dim: int = 0) -> AnyBatch:
    """Join distributions of one kind and batch shape along a new batch dimension; `torch.stack` calls it.

    Args:
        distributions: One or more of one class and one batch shape.
        dim: The new batch dimension; negative counts from the end of the new batch shape.

    Returns:
        A distribution of that class. It validates its arguments if one of them does.

    Raises:
        TypeError: If they are not of one class.
        ValueError: If there is none, or batch shapes differ.
        IndexError: If there is no such dimension.

    Example:
        >>> from evidential_nig import NormalInverseGamma, fuse, stack
        >>> experts = [NormalInverseGamma(torch.tensor([loc]), 1.0, 2.0, 1.0) for loc in (2.0, 4.0)]
        >>> fuse(stack(experts), dim=0).loc
        tensor([3.])
    """
    first = _of_one_class("stack", distributions)
    dim = _dimension(dim, len(first.batch_shape) + 1)
    if len({tuple(one.batch_shape) for one in distributions}) > 1:
        known = ", ".join(str(tuple(one.batch_shape)) for one in distributions)
        raise ValueError(f"all distributions must have one batch shape, got {known}")
    return _joined(torch.stack, distributions, dim)


def _of_one_class(name: str, distributions: Sequence[Any]) -> Batch:
    if not isinstance(distributions, Sequence) or not distributions:
        raise ValueError(f"{name} takes a sequence of at least one distribution")
    first = distributions[0]
    for number, one in enumerate(distributions):
        if not isinstance(one, Batch) or type(one) is not type(first):
            raise TypeError(
                f"{name} takes distributions of one class of evidential_nig, but the first is of type "
                f"{type(first).__name__} and number {number} of type {type(one).__name__}"
            )
    return distributions[0]  # type: ignore[no-any-return]


def _dimension(dim: int, dimensions: int) -> int:
    if not -dimensions <= dim < dimensions:
        raise IndexError(f"there is no dimension {dim} among {dimensions} of the batch")
    return dim % dimensions


def _joined(join: Callable[..., Tensor], distributions: Sequence[AnyBatch], dim: int) -> AnyBatch:
    # Batch dimensions come first in every parameter, so that one number names them in all.
    result = distributions[0]._with(
        *(join(parameters, dim=dim) for parameters in zip(*(one._parameters() for one in distributions), strict=True))
    )
    result._validate_args = any(one._validate_args for one in distributions)
    return result


def decide(validate_args: bool | None) -> bool | None:
    """What a constructor makes of its `validate_args`: None, the default, is no while a graph is recorded."""
    return False if validate_args is None and torch.compiler.is_compiling() else validate_args


def in_common_dtype(*values: Tensor | float) -> list[Tensor | float]:
    """The tensors among them in their common dtype, the default one if that is no floating one.

    Without this a number beside tensors of integers would be cut off to one.
    """
    dtype: torch.dtype | None = None
    for value in values:
        if isinstance(value, Tensor):
            dtype = value.dtype if dtype is None else torch.promote_types(dtype, value.dtype)
    if dtype is None or not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    return [value.to(dtype) if isinstance(value, Tensor) else value for value in values]


def register_as_pytree(kind: type[Batch]) -> None:
    """Let torch find the tensors in a distribution that a function takes or returns.

    DistributedDataParallel(static_graph=True), torch.func.vmap and torch.export do.
    """

    def flatten(distribution: Batch) -> tuple[list[Any], bool]:
        return list(distribution._parameters()), distribution._validate_args

    def flatten_with_keys(distribution: Batch) -> tuple[list[tuple[pytree.KeyEntry, Any]], bool]:
        return [
            (pytree.GetAttrKey(name), getattr(distribution, name)) for name in kind._leaves
        ], distribution._validate_args

    def unflatten(leaves: Iterable[Any], validate_args: bool) -> Batch:
        """Undo `flatten`, where what comes back may be anything: other shapes, specifications, no tensors at all."""
        distribution = kind.__new__(kind)
        for name, leaf in zip(kind._leaves, leaves, strict=True):
            setattr(distribution, name, leaf)
        batch_shape, event_shape = distribution._shapes()
        Distribution.__init__(distribution, batch_shape, event_shape, validate_args=False)
        distribution._validate_args = validate_args
        return distribution

    pytree.register_pytree_node(
        kind,
        flatten,
        unflatten,
        serialized_type_name=f"evidential_nig.{kind.__name__}",
        flatten_with_keys_fn=flatten_with_keys,
    )
