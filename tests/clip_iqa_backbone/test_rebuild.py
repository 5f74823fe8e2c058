"""An image tower made again from its spec, without the folder, the hub or the name that it came from."""

import contextlib
import json
import logging
import shutil
import socket

import open_clip
import pytest
import timm
import torch

from clip_iqa_backbone import CLIPImageTower, LiteConfig, create_backbone, rebuild_image_tower
from clip_iqa_backbone.sources.descriptions import check_image_side
from clip_iqa_backbone.towers.base import ImageTower


def _again(tower: ImageTower) -> ImageTower:
    """Through JSON and new weights, as a checkpoint does."""
    rebuilt = rebuild_image_tower(json.loads(json.dumps(tower.spec)))
    rebuilt.load_state_dict(tower.state_dict())
    return rebuilt.eval()


def _pixels(tower: ImageTower) -> torch.Tensor:
    return torch.randn(2, 3, tower.input_size, tower.input_size, generator=torch.Generator().manual_seed(0))


def test_a_lite_tower_is_the_same_again() -> None:
    tower = create_backbone("lite", lite=LiteConfig(stages=(0, 2), embed_dim=8, hidden=4)).image
    rebuilt = _again(tower)
    assert rebuilt.spec == tower.spec
    pixels = _pixels(tower)
    assert torch.equal(rebuilt(pixels), tower(pixels))


@pytest.mark.parametrize("quick_gelu", [False, True])
def test_a_clip_tower_is_the_same_again_when_its_source_is_gone(tmp_path, write_clip, quick_gelu, caplog) -> None:
    folder = write_clip(tmp_path / "clip", quick_gelu=quick_gelu)
    tower = create_backbone(f"local-dir:{folder}").image
    shutil.rmtree(folder)
    caplog.clear()
    rebuilt = _again(tower)
    assert not caplog.records
    assert rebuilt.spec == tower.spec
    assert torch.equal(rebuilt.mean, tower.mean)
    assert torch.equal(rebuilt.std, tower.std)
    pixels = _pixels(tower)
    assert torch.equal(rebuilt(pixels), tower(pixels))


@pytest.mark.parametrize("name", ["test_vit", "test_vat"])
def test_open_clip_is_heard_again_afterwards(name) -> None:
    before = list(logging.root.filters)
    with contextlib.suppress(ValueError):  # there is no test_vat
        rebuild_image_tower(_with("vision", timm_model_name=name))
    assert logging.root.filters == before


def test_quick_gelu_that_was_switched_on_stays_on(tmp_path, write_clip) -> None:
    folder = write_clip(tmp_path / "clip")
    tower = create_backbone(f"local-dir:{folder}").image
    spec = json.loads(json.dumps(tower.spec))
    spec["model_cfg"]["quick_gelu"] = True
    other = rebuild_image_tower(spec)
    other.load_state_dict(tower.state_dict())
    pixels = _pixels(tower)
    assert not torch.allclose(other.eval()(pixels), tower(pixels))


def test_a_tower_without_its_configuration_says_so(tmp_path, write_clip) -> None:
    tower = create_backbone(f"local-dir:{write_clip(tmp_path / 'clip')}").image
    bare = CLIPImageTower.__new__(CLIPImageTower)
    bare.__dict__.update(tower.__dict__)
    bare._model_config = None
    with pytest.raises(ValueError, match="without model_config"):
        _ = bare.spec


RIGHT = {
    "kind": "open_clip",
    "model_cfg": {
        "embed_dim": 8,
        "vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "token", "image_size": 160},
    },
    "mean": [0.5] * 3,
    "std": [0.5] * 3,
}


def _with(part: str, **values) -> dict:
    """The right spec with something else in one of its parts."""
    spec = json.loads(json.dumps(RIGHT))
    target = {"spec": spec, "model": spec["model_cfg"], "vision": spec["model_cfg"]["vision_cfg"]}[part]
    target.update(values)
    return spec


def _without(name: str) -> dict:
    return {key: value for key, value in RIGHT.items() if key != name}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "kind None"),
        ("lite", "must be a table, got 'lite'"),
        ({"kind": "vgg"}, "'vgg'"),
        ({"kind": "lite", "depth": 3}, "lite has no option 'depth'"),
        ({"kind": "lite", "stages": [9]}, "stages"),
        ({"kind": "open_clip"}, "lacks model_cfg"),
        (_without("mean"), "lacks mean"),
        (_without("std"), "lacks std"),
        (_with("spec", model_cfg=[1]), r"model_cfg must be a table, got \[1\]"),
        (_with("spec", model_cfg={"embed_dim": 8}), "model_cfg lacks vision_cfg"),
        (_with("spec", pretrained="openai"), "may not hold 'pretrained'"),
        (_with("spec", mean=[0.5, 0.5]), r"preprocess_cfg.mean must be three numbers, got \[0.5, 0.5\]"),
        (_with("spec", mean=[0.5, 0.5, float("inf")]), "mean must be three numbers"),
        (_with("spec", std=[0.5, 0.5, 0]), "std must be three positive numbers"),
        (_with("spec", std=0.5), "std must be three positive numbers"),
        (_with("model", embed_dim=0), "model_cfg.embed_dim must be a whole number of at least 1, got 0"),
        (_with("model", embed_dim="8"), "embed_dim must be a whole number"),
        (_with("model", embed_dim=True), "embed_dim must be a whole number"),
        (_with("model", quick_gelu="yes"), "quick_gelu must be true or false"),
        (_with("model", text_cfg={"hf_model_name": "org/text"}), "model_cfg may not hold 'text_cfg'"),
        (_with("model", custom_text=True), "model_cfg may not hold 'custom_text'"),
        (_with("model", vision_cfg="org/vision"), "vision_cfg must be a table"),
        (_with("vision", hub="org/vision"), "vision_cfg may not hold 'hub'"),
        (_with("vision", layers=[1, 2, 3]), "layers must be a whole number of at least 1, or four"),
        (_with("vision", patch_dropout=1.0), "patch_dropout must be a number of at least 0 and below 1"),
        (_with("vision", patch_dropout=-0.1), "patch_dropout must be"),
        (_with("vision", mlp_ratio=0), "mlp_ratio must be a positive number"),
        (_with("vision", act_kwargs={"approximate": ["tanh"]}), "act_kwargs must be a table of numbers, words"),
        (_with("vision", pool_type="../tok"), "pool_type must be a word"),
        (_with("vision", timm_model_name="test_vat"), "makes no model: .*test_vat"),
        (_with("vision", timm_model_name=None, width=30), "makes no model"),
    ],
)
def test_a_spec_that_is_not_one(spec, message) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        rebuild_image_tower(spec)
    assert len(str(caught.value)) < 500


@pytest.fixture
def no_network(monkeypatch):
    """Notes whom anything tries to reach, and lets nobody through."""
    asked = []

    def refuse(self, address, *_):
        asked.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: refuse(None, host))
    return asked


SOURCES = [
    "hf-hub:timm/resnet18.a1_in1k",
    "hf_hub:timm/resnet18.a1_in1k",
    "timm/resnet18",
    "local-dir:/tmp",
    "http://127.0.0.1/model",
    "resnet18@hf-hub",
    "",
    "test_vit\n",
    ["test_vit"],
]


@pytest.mark.parametrize("name", SOURCES)
def test_a_spec_names_no_source(name, no_network, monkeypatch) -> None:
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("timm was asked"))
    with pytest.raises(
        ValueError, match=r"timm_model_name must be the plain name .* nothing that a file names is fetched"
    ):
        rebuild_image_tower(_with("vision", timm_model_name=name))
    assert no_network == []


def test_a_spec_from_elsewhere_starts_no_download(monkeypatch, no_network) -> None:
    create, asked = timm.create_model, []

    def spy(name, **options):
        asked.append(options["pretrained"])
        return create(name, **options)

    monkeypatch.setattr("timm.create_model", spy)
    for flag in (True, None, False):
        assert rebuild_image_tower(_with("vision", timm_model_pretrained=flag)).embed_dim == 8
    assert asked == [False] * 3
    assert no_network == []
    with pytest.raises(ValueError, match="timm_model_pretrained must be true or false, got 'hf-hub:org/x'"):
        rebuild_image_tower(_with("vision", timm_model_pretrained="hf-hub:org/x"))


def test_a_timm_tower_is_the_same_again(tmp_path, write_clip) -> None:
    vision = {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear", "image_size": 160}
    tower = create_backbone(f"local-dir:{write_clip(tmp_path / 'clip', vision_cfg=vision)}").image
    rebuilt = _again(tower)
    pixels = _pixels(tower)
    assert torch.equal(rebuilt(pixels), tower(pixels))
    assert tower(pixels).std() > 1e-3


def test_every_architecture_of_open_clip_may_be_described() -> None:
    checked = 0
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        side = {key: config[key] for key in ("embed_dim", "vision_cfg", "quick_gelu") if key in config}
        assert check_image_side(side, name) == side
        checked += 1
    assert checked > 100
