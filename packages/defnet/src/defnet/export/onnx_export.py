"""Writing a model as one ONNX file that holds all that scoring needs."""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from clip_iqa_backbone import DISTORTIONS, SCENES, ImageTower
from clip_iqa_backbone.export.onnx_graphs import need_onnx, onnx_graph, store_small, traced_program
from clip_iqa_backbone.export.tower_graphs import TrunkOfView
from defnet.errors import DEFNetError
from defnet.export.score_graph import ScoreOfFeatures
from defnet.model.model_file import load_model, load_reliability
from defnet.model.model_info import package_versions
from defnet.model.names import located_model
from defnet.model.network import DEFNet
from defnet.model.shipped import DEFAULT_MODEL, SHIPPED
from defnet.reliability.unfamiliar import UNFAMILIAR
from defnet.scoring.columns import LEVEL
from defnet.scoring.onnx_model import CROPS, FORMAT, KEY, SUFFIX, WHOLE, ExportedInfo, OnnxModel
from iqa_datasets.atomic_files import replacing

if TYPE_CHECKING:
    import onnx

_FEATURES: Final = "features"
_MOST: Final = 1e-4


@dataclass(frozen=True)
class ExportedScorer:
    """An exported file, and how far it is from the model.

    Attributes:
        path: the file.
        difference: largest difference between what the file says and what the model says in double precision, of
            images made up for it, in whatever is said of them: on the scale of the ratings, and of probabilities.
    """

    path: Path
    difference: float


def export_onnx(model: str | os.PathLike[str] = DEFAULT_MODEL, out: str | os.PathLike[str] = "") -> ExportedScorer:
    """Write a model as one ONNX file that scores images by onnxruntime.

    The file takes the views of one image, uint8 `crops` (N, 3, S, S) for any N from 1 on and `whole` (3, S, S), and
    gives what `ExportedInfo.outputs` names. The views go through the image tower one after the other: its memory is
    that of one, and no view's result depends on the others. The convolutions are computed in single precision, all that
    comes after them in double. Weights are stored in half precision where the model file has them so.

    Args:
        model: as for `defnet.load_model`.
        out: the file to write; its name ends in `.onnx`.

    Raises:
        CheckpointError: there is no such model.
        DEFNetError: a package that is needed is not installed, the name has another ending, or the file says something
            else than the model.
    """
    out = Path(out)
    if out.suffix != SUFFIX:
        raise DEFNetError(f"{out}: the name of an exported file must end in {SUFFIX}")
    try:
        need_onnx()
    except ModuleNotFoundError as error:
        raise DEFNetError(f"export needs the package {error.name}; pip install 'defnet[export]'") from None
    with located_model(model) as found:
        network, info = load_model(found.path)
        reliability = load_reliability(found.path)
        weights = sha256(found.path.read_bytes()).hexdigest()
    network.requires_grad_(False)
    network.backbone.precision = "fp32"
    judge = ScoreOfFeatures(network, reliability).eval()
    crops = info.config.crops
    size = network.backbone.image.input_size
    said = ExportedInfo(
        format=FORMAT,
        name=os.fspath(model) if os.fspath(model) in SHIPPED else Path(model).stem,
        weights=weights,
        crops={"kind": crops.test_plan, "count": crops.test_count, "size": size, "seed": info.config.seed},
        short_side=crops.short_side,
        variance_scale=info.variance_scale,
        score_from=network.score_from,
        level=LEVEL,
        unfamiliar=UNFAMILIAR,
        tasks=tuple(network.config.tasks),
        qualities=network.backbone.vocabulary.qualities,
        scenes=SCENES,
        distortions=DISTORTIONS,
        outputs=judge.outputs,
        versions=package_versions(),
    )
    proto = _whole_graph(network, judge, size)
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, said.to_json()
    with replacing(out) as part:
        part.write_bytes(proto.SerializeToString())
        difference = _difference(part, network, judge, size)
        if not difference <= _MOST:
            raise DEFNetError(
                f"{out}: onnxruntime says something else of the exported file than torch of the model, by "
                f"{difference:.2g} where at most {_MOST:g} is rounding; it was not written"
            )
    return ExportedScorer(out, difference)


def _whole_graph(network: DEFNet, judge: ScoreOfFeatures, size: int) -> "onnx.ModelProto":
    """Both inputs, the trunk over the views one after the other, and the judge."""
    from onnx import TensorProto, helper

    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    towers = list(network.image_towers())
    evidence = network.config.evidence
    shared = len(towers) == 1
    weights.append(helper.make_tensor("first_axis", TensorProto.INT64, [1], [0]))
    nodes.append(helper.make_node("Unsqueeze", [WHOLE, "first_axis"], ["one_view"], name="one_view"))
    if not evidence:
        nodes.append(_over_views(towers[0], size, CROPS, "local_features"))
    elif shared:
        nodes.append(helper.make_node("Concat", [CROPS, "one_view"], ["views"], name="views", axis=0))
        nodes.append(_over_views(towers[0], size, "views", _FEATURES))
        for name, bounds in (("start", [0]), ("last", [-1]), ("end", [np.iinfo(np.int64).max])):
            weights.append(helper.make_tensor(name, TensorProto.INT64, [1], bounds))
        nodes.append(helper.make_node("Slice", [_FEATURES, "start", "last", "first_axis"], ["local_features"]))
        nodes.append(helper.make_node("Slice", [_FEATURES, "last", "end", "first_axis"], ["global_features"]))
    else:
        nodes.append(_over_views(towers[0], size, CROPS, "local_features"))
        nodes.append(_over_views(towers[1], size, "one_view", "global_features"))
    width = network.backbone.image.feature_dim
    example = [torch.rand(2, width, dtype=torch.float64), torch.rand(1, width, dtype=torch.float64)]
    program = traced_program(judge, example, [{0: "N"}, {}])
    judged = onnx_graph(program, ["local_features", "global_features"], judge.outputs, "judge/")
    nodes += judged.graph.node
    weights += judged.graph.initializer
    graph = helper.make_graph(
        nodes,
        "defnet",
        [
            helper.make_tensor_value_info(CROPS, TensorProto.UINT8, ["N", 3, size, size]),
            helper.make_tensor_value_info(WHOLE, TensorProto.UINT8, [3, size, size]),
        ],
        list(judged.graph.output),
        weights,
    )
    store_small(graph)
    opsets = list(judged.opset_import)
    return helper.make_model(graph, opset_imports=opsets, ir_version=judged.ir_version, producer_name="defnet")


def _over_views(tower: ImageTower, size: int, views: str, features: str) -> "onnx.NodeProto":
    """A loop that takes views (V, 3, S, S) through a tower's trunk one by one, to features (V, F)."""
    from onnx import helper

    program = traced_program(TrunkOfView(tower).eval(), [torch.zeros(3, size, size, dtype=torch.uint8)])
    # Names in a loop's body must be none of those outside.
    body = onnx_graph(program, [f"{features}:view"], [f"{features}:features"], f"{features}/").graph
    store_small(body)
    return helper.make_node("Scan", [views], [features], name=features, num_scan_inputs=1, body=body)


def _difference(path: Path, network: DEFNet, judge: ScoreOfFeatures, size: int) -> float:
    """How far the file is from the model, each with a view more than it was traced with and with one alone."""
    exported = OnnxModel(path)
    rng = np.random.default_rng(0)
    shade, contrast = rng.random((2, 4, 3, 1, 1))
    views = np.clip(255 * (shade + 0.3 * contrast * rng.standard_normal((4, 3, size, size))), 0, 255).astype(np.uint8)
    worst = 0.0
    for count in (1, 3):
        said = exported.run(views[:count], views[3])
        with torch.inference_mode():
            local, whole = network.features(torch.from_numpy(views[None, :count]), torch.from_numpy(views[None, 3]))
            own = judge(local[0].double(), (local[0, :1] if whole is None else whole).double())
        for name, expected in zip(judge.outputs, own, strict=True):
            worst = max(worst, float(np.max(np.abs(said[name] - expected.numpy()))))
    return worst
