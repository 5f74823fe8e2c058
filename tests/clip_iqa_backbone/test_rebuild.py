"""An image tower made again from its spec, without the folder, the hub or the name that it came from."""

import json
import shutil

import pytest
import timm
import torch

from clip_iqa_backbone import CLIPImageTower, LiteConfig, create_backbone, rebuild_image_tower
from clip_iqa_backbone.towers import ImageTower


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


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "kind None"),
        ({"kind": "vgg"}, "'vgg'"),
        ({"kind": "lite", "depth": 3}, "not complete"),
        ({"kind": "open_clip"}, "model_cfg"),
        ({"kind": "lite", "stages": [9]}, "stages"),
    ],
)
def test_a_spec_that_is_not_one(spec, message) -> None:
    with pytest.raises(ValueError, match=message):
        rebuild_image_tower(spec)


def test_a_spec_from_elsewhere_starts_no_download(monkeypatch) -> None:
    create, asked = timm.create_model, []

    def spy(name, **options):
        asked.append(options["pretrained"])
        return create(name, **options)

    monkeypatch.setattr("timm.create_model", spy)
    vision = {"timm_model_name": "resnet18", "timm_model_pretrained": True, "timm_pool": "avg", "timm_proj": "linear"}
    spec = {
        "kind": "open_clip",
        "model_cfg": {"embed_dim": 8, "vision_cfg": {**vision, "image_size": 64}},
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    assert rebuild_image_tower(spec).embed_dim == 8
    assert asked == [False]
