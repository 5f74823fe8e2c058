"""From modules to ONNX graphs: traced, without what a tracer notes of its machine, weights stored small."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import onnx

STORED = ("float16", "float32", "float64")
"""Types that floating-point weights are stored in, the smallest first."""


def need_onnx() -> None:
    """Look whether graphs can be made here.

    Raises:
        ModuleNotFoundError: A package of ``clip-iqa-backbone[export]`` is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Export to ONNX needs the package {error.name}; install clip-iqa-backbone[export].", name=error.name
        ) from None


def traced_program(
    module: nn.Module, arguments: Sequence[Tensor], dynamic: Sequence[Mapping[int, str]] | None = None
) -> torch.export.ExportedProgram:
    """Trace a module.

    Args:
        module: The module, in evaluation mode.
        arguments: What it is called with; an axis that is free must not be 1 long, which would be taken for a constant.
        dynamic: For each argument the axes that are free, by the names of their lengths, which are 1 or more.
    """
    axes: dict[str, Any] = {}
    shapes = None
    if dynamic is not None:
        for name in (name for one in dynamic for name in one.values()):
            axes.setdefault(name, torch.export.Dim(name, min=1, max=65536))
        shapes = tuple({axis: axes[name] for axis, name in one.items()} for one in dynamic)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        return torch.export.export(module, tuple(arguments), dynamic_shapes=shapes, strict=False)


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:  # noqa: ARG001
    """Softplus in double, which onnxruntime lacks; without a threshold, as this form needs none."""
    if x.dtype != torch.float64:
        return cast("Tensor", NotImplemented)
    return (x.clamp(min=0.0) * beta + torch.log(1.0 + torch.exp(-(x * beta).abs()))) / beta


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """GELU in double but for the error function, which onnxruntime has in single precision alone."""
    if x.dtype != torch.float64 or approximate != "none":
        return cast("Tensor", NotImplemented)
    return 0.5 * x * (1.0 + torch.erf((x * math.sqrt(0.5)).float()).double())


_IN_DOUBLE = {torch.ops.aten.softplus.default: _softplus, torch.ops.aten.gelu.default: _gelu}


def onnx_graph(
    program: torch.export.ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], prefix: str = "traced/"
) -> onnx.ModelProto:
    """The ONNX model of a traced module.

    Args:
        program: The traced module.
        inputs: Names of the model's inputs.
        outputs: Names of its outputs.
        prefix: What all other names in it begin with.
    """
    # Traced values may be called as inputs and outputs are. No name of them has a colon.
    names = {f"{name}:": name for name in (*inputs, *outputs)}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = program.run_decompositions(_IN_DOUBLE)
        made = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=list(names)[: len(inputs)],
            output_names=list(names)[len(inputs) :],
            external_data=False,
            # The optimiser takes 1e-8 for zero: without the floor under the variance, dead channels of lite are 0 and
            # not 1e-4. The runtime optimises when it loads the file.
            optimize=False,
            verbose=False,
        )
    if made is None:
        raise ValueError("torch gave no ONNX program.")
    model = made.model_proto
    _forget(model.graph)
    del model.metadata_props[:]
    _settle_constants(model)
    _rename(model.graph, prefix, names)
    return model


def _rename(graph: onnx.GraphProto, prefix: str, others: Mapping[str, str]) -> None:
    """Give every value, node and weight of a graph another name: one of `others`, or with a prefix."""

    def new(name: str) -> str:
        return others.get(name, f"{prefix}{name}" if name else "")

    for value in (*graph.input, *graph.output, *graph.initializer, *graph.value_info):
        value.name = new(value.name)
    for node in graph.node:
        node.name = f"{prefix}{node.name}"
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]


def _settle_constants(model: onnx.ModelProto) -> None:
    """Make weights of constants, those included that are given the type of a value whose type is known.

    Unless the bounds of a clip are plain weights, onnxruntime does not see that it follows a convolution.
    """
    from onnx import helper, numpy_helper, shape_inference

    known = shape_inference.infer_shapes(model).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*known.value_info, *known.input)}
    graph = model.graph
    types |= {weight.name: weight.data_type for weight in graph.initializer}
    constants: dict[str, np.ndarray[Any, Any]] = {}
    nodes = []
    for node in graph.node:
        if node.op_type == "Constant":
            value = helper.get_attribute_value(node.attribute[0])
            constants[node.output[0]] = _array(node.attribute[0].name, value)
        elif node.op_type == "CastLike" and node.input[0] in constants and types.get(node.input[1]):
            wanted = types[node.output[0]] = types[node.input[1]]
            constants[node.output[0]] = constants[node.input[0]].astype(helper.tensor_dtype_to_np_dtype(wanted))
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input} | {value.name for value in graph.output}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items() if name in used)


def _array(kind: str, value: Any) -> np.ndarray[Any, Any]:
    from onnx import numpy_helper

    return (
        numpy_helper.to_array(value)
        if kind == "value"
        else np.array(value, np.float32 if "float" in kind else np.int64)
    )


def _forget(graph: onnx.GraphProto) -> None:
    """Where in which file of this machine each step was traced is nobody's business."""
    graph.doc_string = ""
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]


def store_small(graph: onnx.GraphProto) -> None:
    """Store each floating-point weight in the smallest type that holds it exactly; where it is used nothing changes.

    Weights that come from a file in half precision are half as large again. What is computed with them is computed in
    the precision of before.
    """
    from onnx import helper, numpy_helper

    casts = []
    for weight in graph.initializer:
        values = numpy_helper.to_array(weight)
        small = _smallest(values)
        if small.dtype == values.dtype or values.size < 64:
            continue
        name, wide = weight.name, weight.data_type
        weight.CopyFrom(numpy_helper.from_array(small, f"{name}:stored"))
        casts.append(helper.make_node("Cast", [f"{name}:stored"], [name], name=f"{name}:cast", to=wide))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _smallest(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if values.dtype.name not in STORED:
        return values
    with np.errstate(over="ignore", under="ignore"):
        for name in STORED[: STORED.index(values.dtype.name)]:
            if np.array_equal(values, values.astype(name).astype(values.dtype)):
                return values.astype(name)
    return values
