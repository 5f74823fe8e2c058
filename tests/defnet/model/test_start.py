"""Going on from a trained model: the same weights, the same answers, and what does not fit is named."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from defnet import ConfigError, DEFNet, ModelInfo, TrainConfig, load_model, save_model
from defnet.config.start import StartConfig
from defnet.config.versions import differences, without_paths
from defnet.model.initial_model import build_model
from defnet.model.start import resolve_start

MakeConfig = Callable[..., TrainConfig]


def test_it_gives_the_same_answers(make_config: MakeConfig, model_file: Path) -> None:
    started = build_model(make_config(start=str(model_file))).eval()
    trained, _ = load_model(model_file)
    local, whole = torch.randint(256, (2, 3, 3, 224, 224), dtype=torch.uint8), torch.zeros(2, 3, 224, 224).byte()
    with torch.no_grad():
        one, other = started(local, whole), trained(local, whole)
    torch.testing.assert_close(one.fusion["quality"].loc, other.fusion["quality"].loc, rtol=0, atol=0)
    torch.testing.assert_close(one.fusion["scene"].nu, other.fusion["scene"].nu, rtol=0, atol=0)
    torch.testing.assert_close(one.expected_quality, other.expected_quality, rtol=0, atol=0)


def test_it_learns_what_the_configuration_says(make_config: MakeConfig, model_file: Path) -> None:
    config = make_config(start=str(model_file), backbone={"lite": {"dropout": 0.3}})
    image: Any = build_model(config).backbone.image
    assert [m.p for m in image.modules() if isinstance(m, torch.nn.Dropout)] == [0.3]
    assert not any(p.requires_grad for p in image.backbone.parameters())
    free = build_model(make_config(start=str(model_file), backbone={"freeze_trunk": False}))
    assert all(p.requires_grad for p in free.backbone.image.parameters())
    assert build_model(make_config(start=str(model_file), backbone={"logit_scale": 1.5})).backbone.logit_scale == 1.5


def test_heads_of_another_shape_start_anew(make_config: MakeConfig, model_file: Path, make_model: Any) -> None:
    started = build_model(make_config(start=str(model_file), model={"features": "embedding"}))
    fresh = make_model(1, model={"features": "embedding"})
    assert started.state_dict().keys() - {"backbone.text.features"} <= fresh.state_dict().keys()
    quality = started.state_dict()["heads.quality.linear.weight"]
    torch.testing.assert_close(quality[0, :5].detach(), torch.arange(1.0, 6.0))
    one_task = build_model(make_config(start=str(model_file), model={"tasks": ["quality"]}))
    trained, _ = load_model(model_file)
    assert torch.equal(*(m.state_dict()["heads.quality.linear.weight"] for m in (one_task, trained)))


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        ({"lite": {"embed_dim": 8}}, r"backbone.lite = \{.*'embed_dim': 16.*and the configuration \{.*'embed_dim': 8"),
        ({"vocabulary": "liqe"}, "backbone.vocabulary = 'defnet', and the configuration 'liqe'"),
        ({"name": "ViT-B-32", "lite": {}}, "backbone.name = 'lite', and the configuration 'ViT-B-32'"),
    ],
)
def test_another_backbone_is_named(
    make_config: MakeConfig, model_file: Path, backbone: dict[str, Any], said: str
) -> None:
    content = make_config(start=str(model_file)).model_dump(mode="json")
    content["backbone"] |= backbone if "name" in backbone else {}
    config = (
        TrainConfig.model_validate(content)
        if "name" in backbone
        else make_config(start=str(model_file), backbone=backbone)
    )
    with pytest.raises(ConfigError, match=said):
        build_model(config)


def test_the_fingerprint_is_written_and_held_to(
    make_config: MakeConfig, model_file: Path, tmp_path: Path, make_model: Callable[..., DEFNet], model_info: ModelInfo
) -> None:
    resolved = resolve_start(make_config(start=str(model_file)))
    digest = sha256(model_file.read_bytes()).hexdigest()
    assert resolved.start == StartConfig(model=str(model_file), fingerprint=digest)
    assert resolve_start(resolved) == resolved
    assert resolve_start(make_config()) == make_config()
    other = tmp_path / "other.safetensors"
    save_model(other, make_model(5), model_info)
    with pytest.raises(ConfigError, match=rf"start: .*other.safetensors is another model .* not {digest[:16]}"):
        resolve_start(make_config(start={"model": str(other), "fingerprint": digest}))


def test_where_a_start_lies_is_no_difference(make_config: MakeConfig) -> None:
    one, other = (make_config(start={"model": path, "fingerprint": "a" * 64}) for path in ("/here/m", "there/m/"))
    assert differences(one, other) == []
    named = without_paths(one).start
    assert named is not None
    assert named.model == "m"
    hub = make_config(start="hf-hub:someone/photos@v1")
    assert without_paths(hub) == hub
    assert differences(one, make_config(start={"model": "m", "fingerprint": "b" * 64})) == [
        f"start.fingerprint is '{'a' * 64}' there and '{'b' * 64}' here"
    ]


def test_a_hubs_start_is_written_with_its_hash(make_config: MakeConfig, hub: Any, model_file: Path) -> None:
    hub.put("someone/photos", model__safetensors=model_file.read_bytes())
    start = resolve_start(make_config(start="hf-hub:someone/photos@v1")).start
    assert start is not None
    assert start.model == f"hf-hub:someone/photos@{'c' * 40}"


def test_statistics_stay_those_of_the_start(
    make_config: MakeConfig, model_file: Path, roots: Any, tmp_path: Path, make_model: Any, model_info: ModelInfo
) -> None:
    """A compact tower's projection has learnt with the means of its own training images."""
    from defnet.training.loop import Training

    model = make_model()
    features = model.backbone.image.feature_dim
    model.backbone.image.set_feature_statistics(torch.full((features,), 0.25), torch.full((features,), 2.0))
    start = tmp_path / "start.safetensors"
    save_model(start, model, model_info)
    Training(make_config(start=str(start), epochs=1), roots, tmp_path / "run", device="cpu").run()
    trained, _ = load_model(tmp_path / "run")
    assert torch.equal(trained.state_dict()["backbone.image.feature_mean"], torch.full((features,), 0.25))
