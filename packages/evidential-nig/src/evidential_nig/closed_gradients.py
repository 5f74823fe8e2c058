"""Elementwise functions whose derivatives are given as formulas, for reverse and forward mode, vmap and compilation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

_CHUNK = {"cpu": 8192}  # elements of one pass: what the nodes of so many need stays in the cache of a processor core
_LARGE_CHUNK = 131_072  # on any other device, where it is memory that is saved

Elementwise: TypeAlias = Callable[..., Tensor]


def _in_chunks(function: Elementwise, tensors: Sequence[Tensor], constants: Sequence[Any]) -> Tensor:
    """Call an elementwise function of tensors of one shape; on large ones in pieces where nothing is recorded.

    On a CPU this takes a quarter of the time; and what the integrals need for each node takes no memory to speak of.
    """
    first = tensors[0]
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return function(*tensors, *constants)
    size = _CHUNK.get(first.device.type, _LARGE_CHUNK)
    if first.numel() <= size:
        return function(*tensors, *constants)
    chunks = zip(*(torch.split(tensor.flatten(), size) for tensor in tensors), strict=True)
    return torch.cat([function(*chunk, *constants) for chunk in chunks]).reshape(first.shape)


def with_partials(*partials: Elementwise | None) -> Callable[[Elementwise], Elementwise]:
    """Give an elementwise function, of tensors of one shape and then of constants, its derivatives.

    Args:
        partials: The derivative by each of the tensors, None for one that has none. Each takes the tensors, the result
            and the constants, and is made of differentiable operations.
    """

    def decorate(value: Elementwise) -> Elementwise:
        class Traceable(torch.autograd.Function):
            generate_vmap_rule = True

            @staticmethod
            def forward(*arguments: Any) -> Tensor:
                return _in_chunks(value, *_separate(arguments))

            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                tensors, ctx.constants = _separate(inputs)
                ctx.save_for_backward(*tensors, output)

            @staticmethod
            def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
                results = [
                    gradient * _in_chunks(partial, ctx.saved_tensors, ctx.constants)
                    if partial is not None and needed
                    else None
                    for partial, needed in zip(partials, ctx.needs_input_grad[: len(partials)], strict=True)
                ]
                return (*results, *(None for _ in ctx.constants))

        class WithForwardMode(Traceable):
            @staticmethod
            def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
                Traceable.setup_context(ctx, inputs, output)
                ctx.save_for_forward(*_separate(inputs)[0], output)

            @staticmethod
            def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
                total = torch.zeros_like(ctx.saved_tensors[-1])
                for partial, tangent in zip(partials, tangents[: len(partials)], strict=True):
                    if partial is not None and tangent is not None:
                        total = total + tangent * partial(*ctx.saved_tensors, *ctx.constants)
                return total

        def function(*arguments: Any) -> Tensor:
            # torch.compile traces a custom function with its backward, but not one that has forward mode as well.
            chosen = Traceable if torch.compiler.is_compiling() else WithForwardMode
            result: Tensor = chosen.apply(*arguments)
            return result

        return function

    return decorate


def _separate(arguments: tuple[Any, ...]) -> tuple[tuple[Tensor, ...], tuple[Any, ...]]:
    count = sum(isinstance(argument, Tensor) for argument in arguments)
    return arguments[:count], arguments[count:]
