"""Models as ONNX files: every reading of the network says there what it says in torch."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from defnet import CheckpointError, DEFNet, DEFNetError, ModelInfo, OnnxScorer, TrainConfig, load_scorer, save_model
from defnet.cli import app
from defnet.export import onnx_export
from defnet.export.onnx_export import ExportedScorer, export_onnx
from defnet.scoring.scores import COLUMNS, Score

NUMBERS = [name for name in COLUMNS if Score.__annotations__[name] is float]

# Together they take every turn that there is.
READINGS = {
    "as it is": {},
    "other": {
        "model": {
            "features": "embedding",
            "softplus": "twice",
            "delta": "softplus",
            "global_tower": "pretrained",
            "global_head": "shared",
            "averaging": "logits",
            "score": "cross",
        },
        "backbone": {"vocabulary": "liqe", "lite": {"hidden": 8}},
    },
    "learnt": {"model": {"global_tower": "learnt", "tasks": ("quality", "scene")}, "crops": {"short_side": 230}},
    "no evidence": {"model": {"evidence": False}, "objective": {"cross": False, "fusion": False}},
}


SLOW = ("other", "learnt")  # to trace a network takes half a minute


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in READINGS],
)
def exported(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_model: Callable[..., DEFNet],
    make_config: Callable[..., TrainConfig],
) -> Path:
    """The folder of a model and of its exported file."""
    folder = tmp_path_factory.mktemp("exported")
    changes = READINGS[request.param]
    info = ModelInfo(config=make_config(**changes), variance_scale=0.25)
    save_model(folder / "model.safetensors", make_model(**changes), info)
    export_onnx(folder, folder / "model.onnx")
    return folder


def test_scores_are_those_of_torch(exported: Path, photographs: list[Path]) -> None:
    found, expected = (load_scorer(exported, device="cpu", runtime=runtime) for runtime in (None, "torch"))
    assert isinstance(found, OnnxScorer)
    assert found.provenance == expected.provenance
    for one, other in zip(found.score(photographs[:6]), expected.score(photographs[:6]), strict=True):
        for name in COLUMNS:
            if name in NUMBERS:
                np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=1e-5, err_msg=name)
            else:
                assert getattr(one, name) == getattr(other, name), name


def test_the_file_is_whole_and_plain(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    onnx.checker.check_model(model)
    assert not [weight for weight in model.graph.initializer if weight.external_data]
    assert {node.domain for node in model.graph.node} == {""}
    [entry] = model.metadata_props
    said = json.loads(entry.value)
    assert {"weights", "crops", "scenes", "distortions", "versions"} <= set(said)
    assert str(exported) not in entry.value


def test_what_cannot_be_exported_is_said(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DEFNetError, match=r"the name of an exported file must end in .onnx"):
        export_onnx(model_file, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="no model"):
        export_onnx(tmp_path / "nothing", tmp_path / "model.onnx")
    monkeypatch.setattr(onnx_export, "need_onnx", lambda: (_ for _ in ()).throw(ModuleNotFoundError(name="onnxscript")))
    with pytest.raises(DEFNetError, match=r"export needs the package onnxscript; pip install 'defnet\[export\]'"):
        export_onnx(model_file, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_says_something_else_is_not_written(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a rule of an optimiser drops the floor of 1e-8 under a root."""
    model = onnx.load(exported / "model.onnx")
    del model.metadata_props[:]
    monkeypatch.setattr(onnx_export, "_whole_graph", lambda *_: model)
    assert export_onnx(exported, tmp_path / "same.onnx").difference < 1e-5
    loops = [node for node in model.graph.node if node.op_type == "Scan"]
    floors = 0
    for weight in (weight for loop in loops for part in loop.attribute for weight in part.g.initializer):
        values = onnx.numpy_helper.to_array(weight)
        if values.size == 1 and values.dtype.kind == "f" and 0 < values.item() < 1e-6:
            weight.CopyFrom(onnx.numpy_helper.from_array(np.full_like(values, 1.0), weight.name))
            floors += 1
    assert floors
    del model.metadata_props[:]
    with pytest.raises(DEFNetError, match="onnxruntime says something else of the exported file than torch"):
        export_onnx(exported, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["same.onnx"]


def test_the_command(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    for arguments in ([], [str(tmp_path / "folder"), "--out", str(tmp_path / "model.onnx")]):
        done = runner.invoke(app, ["export", str(model_file), *arguments])
        assert done.exit_code == 2
        assert "say either a FOLDER for the hub, or --out FILE.onnx" in done.stderr
    done = runner.invoke(app, ["export", str(model_file), "--out", str(tmp_path / "model.onnx"), "--license", "mit"])
    assert (done.exit_code, "--out writes none" in done.stderr) == (2, True)
    asked = []
    written = ExportedScorer(tmp_path / "model.onnx", 1.25e-7)
    monkeypatch.setattr(onnx_export, "export_onnx", lambda *arguments: asked.append(arguments) or written)
    done = runner.invoke(app, ["export", str(model_file), "--out", str(tmp_path / "model.onnx")])
    assert (done.exit_code, asked) == (0, [(str(model_file), str(tmp_path / "model.onnx"))])
    assert "onnxruntime differs from torch by at most 1.2e-07 on made images" in done.stderr
