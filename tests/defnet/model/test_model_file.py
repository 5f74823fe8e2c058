"""Model files: what comes back is what was saved, and what is wrong with a file is said in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clip_iqa_backbone import FrozenTextFeatures
from defnet import CheckpointError, DEFNet, ModelInfo, TrainConfig, load_model, load_scorer, read_info, save_model
from defnet.config.training import VERSION
from defnet.model.half_precision import to_half


def predictions(model: DEFNet) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    local = torch.randint(0, 256, (2, 3, 3, 224, 224), dtype=torch.uint8, generator=generator)
    global_view = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        found = model.eval()(local, global_view)
    nigs = [nig for part in (found.cross, found.fusion) for nig in part.values()]
    tensors = [p for nig in nigs for p in (nig.loc, nig.nu, nig.alpha_minus_one, nig.beta)]
    return [*found.probabilities.values(), found.expected_quality, *tensors]


@pytest.fixture(
    params=[{}, {"model": {"global_head": "shared", "features": "embedding"}}, {"model": {"tasks": ["quality"]}}]
)
def model(request: pytest.FixtureRequest, make_model: Callable[..., DEFNet]) -> DEFNet:
    model = make_model(**request.param)
    # Statistics of the features and of batches are weights too.
    model.backbone.image.set_feature_statistics(torch.rand(96), 0.5 + torch.rand(96))
    return model


@pytest.fixture
def info(model: DEFNet, make_config: Callable[..., TrainConfig]) -> ModelInfo:
    config = make_config().model_copy(update={"model": model.config})
    return ModelInfo(
        config=config,
        variance_scale=0.3,
        constant_std=0.7,
        epoch=4,
        validation={"srcc": 0.5, "plcc": 0.1 + 0.2},
        versions={"defnet": "0.1.0"},
    )


def test_round_trip(model: DEFNet, info: ModelInfo, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, model, info)
    loaded, found = load_model(path)
    assert found == read_info(path) == info.model_copy(update={"image_tower": model.backbone.image.spec})
    assert not loaded.training
    for one, other in zip(predictions(loaded), predictions(model), strict=True):
        assert torch.equal(one, other)


def test_the_text_tower_is_reduced_to_its_features(model: DEFNet, info: ModelInfo, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_model(path, model, info)
    names = [name for name in load_file(path) if name.startswith("backbone.text.")]
    assert names == ["backbone.text.features"]
    assert load_file(path)[names[0]].shape == (495, 16)
    loaded, _ = load_model(path)
    assert isinstance(loaded.backbone.text, FrozenTextFeatures)
    # The model that was saved keeps its words and goes on learning.
    assert any(parameter.requires_grad for parameter in model.backbone.text.parameters())
    save_model(tmp_path / "again.safetensors", loaded, info)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_half_precision(model: DEFNet, info: ModelInfo, tmp_path: Path) -> None:
    save_model(tmp_path / "full.safetensors", model, info)
    save_model(tmp_path / "half.safetensors", model, info, half=True)
    full, half = load_file(tmp_path / "full.safetensors"), load_file(tmp_path / "half.safetensors")
    assert set(full) == set(half)
    for name, tensor in full.items():
        if tensor.ndim > 1:
            assert half[name].dtype == torch.float16
            assert torch.equal(half[name], tensor.half())
        else:  # biases, batch statistics and scales
            assert half[name].dtype == tensor.dtype
            assert torch.equal(half[name], tensor)
    loaded, _ = load_model(tmp_path / "half.safetensors")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    for one, other in zip(predictions(loaded), predictions(model), strict=True):
        assert one.numpy() == pytest.approx(other.numpy(), rel=0.03, abs=0.03)


def test_a_weight_beyond_half_precision_is_an_error() -> None:
    with pytest.raises(CheckpointError, match=r"weight 'b' does not fit half precision"):
        to_half({"a": torch.ones(2, 2), "b": torch.full((2, 2), 1e6), "c": torch.full((2,), 1e6)})


def test_nothing_is_pickled(model_file: Path) -> None:
    """The file is a length, a table in JSON and numbers; no reader of it can run code."""
    content = model_file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    table = json.loads(content[8 : 8 + length])
    metadata = table.pop("__metadata__")
    assert json.loads(metadata.pop("defnet"))["format"] == 2
    assert not metadata
    assert {entry["dtype"] for entry in table.values()} <= {"F32", "F16", "I64"}
    assert len(content) == 8 + length + max(entry["data_offsets"][1] for entry in table.values())


def test_a_failed_write_leaves_the_old_file(
    model_file: Path, make_model: Callable[..., DEFNet], model_info: ModelInfo, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_file.read_bytes())
    model = make_model()
    with torch.no_grad():
        model.heads["quality"].linear.weight.fill_(1e9)
    with pytest.raises(CheckpointError, match="does not fit half precision"):
        save_model(path, model, model_info, half=True)
    assert path.read_bytes() == model_file.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture
def copy(model_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "copy.safetensors"
    path.write_bytes(model_file.read_bytes())
    return path


def metadata_of(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["defnet"])
    return found


@pytest.mark.parametrize("keep", [0, 1, 7, 100, 5000, -1])
def test_truncated_files(copy: Path, keep: int) -> None:
    copy.write_bytes(copy.read_bytes()[:keep])
    for read in (read_info, load_model, load_scorer):
        with pytest.raises(CheckpointError, match=rf"^{copy}: cannot be read as a safetensors file"):
            read(copy)


def test_files_of_other_kinds(tmp_path: Path) -> None:
    text = tmp_path / "notes.safetensors"
    text.write_text("These are not weights.")
    with pytest.raises(CheckpointError, match=r"notes\.safetensors: cannot be read as a safetensors file"):
        load_model(text)
    pickled = tmp_path / "old.pt"
    torch.save({"weight": torch.ones(3)}, pickled)
    with pytest.raises(CheckpointError, match=r"old\.pt: cannot be read as a safetensors file"):
        load_model(pickled)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(3)}, foreign)
    with pytest.raises(CheckpointError, match=r"foreign\.safetensors: is not a DEFNet model: .*no 'defnet' entry"):
        load_model(foreign)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model .*nothing\.safetensors"):
        read_info(tmp_path / "nothing.safetensors")
    with pytest.raises(CheckpointError, match=r"nor a folder with model\.safetensors"):
        load_model(tmp_path)
    with pytest.raises(
        CheckpointError, match=r"no model 'nothing': it is neither a shipped one \(lite2, .*, lite\) nor"
    ):
        load_scorer("nothing")
    with pytest.raises(CheckpointError, match=r"nor a folder with model\.safetensors"):
        load_scorer(tmp_path)


@pytest.mark.parametrize("version", [0, 3, None, "1"])
def test_another_version_of_the_format(copy: Path, version: Any) -> None:
    save_file(load_file(copy), copy, {"defnet": json.dumps(metadata_of(copy) | {"format": version})})
    with pytest.raises(CheckpointError, match=rf"copy\.safetensors: has format {version}, .* reads formats 1 to 2"):
        read_info(copy)


@pytest.mark.parametrize(
    "description",
    ["", "not json", "[]", "3", '{"format": 2}', '{"format": 2, "config": {"data": []}}'],
)
def test_a_description_that_is_none(copy: Path, description: str) -> None:
    save_file(load_file(copy), copy, {"defnet": description})
    with pytest.raises(CheckpointError, match=r"copy\.safetensors: its description is not that of a DEFNet model"):
        read_info(copy)


def test_an_unknown_field_is_refused(copy: Path) -> None:
    save_file(load_file(copy), copy, {"defnet": json.dumps(metadata_of(copy) | {"surprise": 1})})
    with pytest.raises(CheckpointError, match="surprise"):
        read_info(copy)


@pytest.mark.parametrize(
    "change", ["missing", "unknown", "shape", "no text", "text shape", "text count", "text NaN", "head NaN"]
)
def test_weights_that_do_not_fit(copy: Path, change: str) -> None:
    tensors, description = load_file(copy), metadata_of(copy)
    match change:
        case "missing":
            del tensors["heads.quality.linear.weight"]
        case "unknown":
            tensors["extra.weight"] = torch.ones(2)
        case "shape":
            tensors["heads.quality.linear.weight"] = torch.ones(4, 6)
        case "no text":
            del tensors["backbone.text.features"]
        case "text shape":
            tensors["backbone.text.features"] = torch.ones(495, 16, 1)
        case "text count":
            tensors["backbone.text.features"] = torch.ones(494, 16)
        case "text NaN":
            tensors["backbone.text.features"][3, 3] = np.nan
        case "head NaN":
            tensors["heads.quality.linear.bias"][1] = np.inf
    save_file(tensors, copy, {"defnet": json.dumps(description)})
    with pytest.raises(CheckpointError) as caught:
        load_model(copy)
    message = str(caught.value)
    assert message.startswith(f"{copy}: ")
    expected = {
        "missing": "heads.quality.linear.weight",
        "unknown": "extra.weight",
        "shape": "size mismatch for heads.quality.linear.weight",
        "no text": "holds no tensor 'backbone.text.features'",
        "text shape": "features must be a floating-point matrix",
        "text count": "494 sentences, the vocabulary 495",
        "text NaN": "weight 'backbone.text.features' holds NaN or infinite values",
        "head NaN": "weight 'heads.quality.linear.bias' holds NaN or infinite values",
    }
    assert expected[change] in message


@pytest.mark.parametrize(
    "spec",
    [{}, {"kind": "other"}, {"kind": "lite", "stages": [3, 1]}, {"kind": "lite", "depth": 3}, {"kind": "open_clip"}],
    ids=str,
)
def test_an_image_tower_that_cannot_be_made(copy: Path, spec: dict[str, Any]) -> None:
    save_file(load_file(copy), copy, {"defnet": json.dumps(metadata_of(copy) | {"image_tower": spec})})
    with pytest.raises(CheckpointError, match=r"copy\.safetensors: the model that it describes cannot be made: "):
        load_model(copy)


def test_undefined_validation_figures_survive(
    copy: Path, make_model: Callable[..., DEFNet], model_info: ModelInfo
) -> None:
    info = model_info.model_copy(update={"validation": {"srcc": float("nan"), "plcc": 0.5}})
    save_model(copy, make_model(), info)
    found = read_info(copy).validation
    assert np.isnan(found["srcc"])
    assert found["plcc"] == 0.5
    json.loads(info.model_dump_json(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_file_of_format_1_is_read_as_what_it_meant(copy: Path) -> None:
    """As version 0.1 wrote it: no version of the configuration, base names in exclude, `_eq5` in figures."""
    described = metadata_of(copy)
    config = {name: value for name, value in described["config"].items() if name != "version"}
    for field in ("dataset", "path"):
        del config["data"][0][field]
    config["data"][0]["exclude"] = ["333.bmp", "Images/246.bmp"]
    for part, field in (("model", "evidence_crops"), ("crops", "short_side")):
        del config[part][field]
    old = described | {"format": 1, "config": config, "validation": {"srcc": 0.5, "srcc_eq5": 0.4, "plcc": None}}
    for field in ("variance_scales", "validation_by_dataset"):
        del old[field]
    save_file(load_file(copy), copy, {"defnet": json.dumps(old)})
    info = read_info(copy)
    assert (info.format, info.config.version) == (2, VERSION)
    assert info.config.data[0].exclude == ("Images/333.bmp", "Images/246.bmp")
    assert info.config.model.full_evidence == info.config.model.train_crops
    assert info.validation["srcc_expected"] == 0.4
    assert np.isnan(info.validation["plcc"])
    load_model(copy)


def test_a_model_of_a_later_version_says_so(copy: Path) -> None:
    described = metadata_of(copy)
    described["config"]["version"] = 3
    save_file(load_file(copy), copy, {"defnet": json.dumps(described)})
    with pytest.raises(CheckpointError, match=r"copy\.safetensors: the configuration has version 3; .* knows 0 to 2"):
        read_info(copy)


def test_every_way_to_name_a_model(model: DEFNet, info: ModelInfo, tmp_path: Path) -> None:
    """A name, a text, a path, a folder: what `load_scorer` takes."""
    path = tmp_path / "model.safetensors"
    save_model(str(path), model, info)
    for name in (path, str(path), tmp_path, str(tmp_path)):
        assert load_model(name)[1] == read_info(name) == read_info(path)
    assert load_model("lite")[1] == read_info("lite") == load_scorer("lite").info
    assert load_model()[1] == read_info("lite2") == read_info() == load_scorer().info


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_of_the_towers_comes_from_the_configuration(
    precision: str, make_model: Callable[..., DEFNet], make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    model = make_model(precision=precision)
    assert model.backbone.precision == precision
    save_model(tmp_path / "m.safetensors", model, ModelInfo(config=make_config(precision=precision)))
    loaded, _ = load_model(tmp_path / "m.safetensors")
    assert loaded.backbone.precision == precision
