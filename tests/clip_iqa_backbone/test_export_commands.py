"""The commands `export` and `info`, and what they cannot do."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from clip_iqa_backbone import LiteConfig, create_backbone, export_model, read_exported
from clip_iqa_backbone.cli import app
from clip_iqa_backbone.export import files

pytestmark = pytest.mark.filterwarnings("ignore:lite without pretrained has random weights")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "small.pt2"
    export_model(create_backbone("lite", lite=LiteConfig(stages=(0, 1), embed_dim=8)), path, name="small")
    return path


def test_info_says_what_a_file_is(exported):
    done = CliRunner().invoke(app, ["info", str(exported), "--format", "json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == read_exported(exported)
    done = CliRunner().invoke(app, ["info", str(exported)])
    assert "qualities" in done.stdout
    assert "bad, poor, fair, good, perfect" in done.stdout


def test_export_writes_what_is_asked_for(monkeypatch, tmp_path):
    asked = []

    def write(model, path, **options):
        asked.append((path.name, options))
        path.write_bytes(b"12345")
        return files.Exported(path, {}, 1e-7, 6)

    monkeypatch.setattr(files, "export_model", write)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["export", "lite", "--to", "onnx", "--precision", "fp16"])
    assert done.exit_code == 0, done.stderr
    assert "lite.onnx: 0.0 MB; its log-probabilities differ" in done.stderr
    done = CliRunner().invoke(app, ["export", "lite", "--out", str(tmp_path / "other.pt2")])
    assert done.exit_code == 0, done.stderr
    assert asked == [
        ("lite.onnx", {"to": "onnx", "precision": "fp16", "name": "lite"}),
        ("other.pt2", {"to": None, "precision": "fp32", "name": "lite"}),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "lite"], "say --to onnx or --to pt2"),
        (["export", "lite", "--out", "lite.bin"], "to must be one of onnx, pt2, got 'bin'"),
        (["export", "no-such-model", "--to", "onnx"], "no-such-model"),
        (["info", "nothing.onnx"], "There is no exported file nothing.onnx"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments, said):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_another_origin_is_no_exported_file(tmp_path):
    for name in ("other.onnx", "other.pt2"):
        path = tmp_path / name
        path.write_bytes(b"no model")
        with pytest.raises(ValueError, match=rf"{name} cannot be read"):
            read_exported(path)


def test_a_file_that_says_something_else_is_not_written(monkeypatch, tmp_path):
    model = create_backbone("lite", lite=LiteConfig(stages=(0,), embed_dim=8))

    def wrong(_path, _to, views):
        with torch.no_grad():
            return model(torch.from_numpy(views)).numpy() + 1e-3

    monkeypatch.setattr(files, "_log_probability", wrong)
    with pytest.raises(RuntimeError, match=r"differs from the model by 0.001 in log-probability"):
        export_model(model, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
