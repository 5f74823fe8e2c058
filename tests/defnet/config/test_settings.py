"""Single fields set from outside a configuration, and the configurations that are shipped."""

from pathlib import Path
from typing import Any

import pytest

from defnet import ConfigError, TrainConfig
from defnet.config.settings import with_settings
from defnet.config.toml_files import load_train_config

CONTENT: dict[str, Any] = {
    "epochs": 80,
    "backbone": {"name": "ViT-B-32", "pretrained": "openai"},
    "data": [{"name": "live", "session": 1}, {"name": "my.photos", "session": 1}],
}


@pytest.mark.parametrize(
    ("setting", "where", "value"),
    [
        ("epochs=2", ["epochs"], 2),
        ("epochs = 2", ["epochs"], 2),
        ("backbone.pretrained=null", ["backbone", "pretrained"], None),
        ("backbone.name=ViT-B-16", ["backbone", "name"], "ViT-B-16"),
        ('backbone.name="null"', ["backbone", "name"], "null"),
        ("backbone.name=local-dir:/a=b", ["backbone", "name"], "local-dir:/a=b"),
        ("optimizer.learning_rate=1e-5", ["optimizer", "learning_rate"], 1e-5),
        ("crops.flip=false", ["crops", "flip"], False),
        ('model.tasks=["quality", "scene"]', ["model", "tasks"], ["quality", "scene"]),
        ("data.1.session=seeded-1", ["data", 1, "session"], "seeded-1"),
        ("data.live.session=3", ["data", 0, "session"], 3),
        ("data.*.session=2", ["data", 1, "session"], 2),
    ],
)
def test_a_setting_sets_its_field(setting: str, where: list[Any], value: Any) -> None:
    found: Any = with_settings(CONTENT, [setting])
    for name in where:
        found = found[name]
    assert found == value
    assert type(found) is type(value)
    assert CONTENT["epochs"] == 80
    assert CONTENT["data"][1]["session"] == 1


def test_all_entries_and_the_last_of_two() -> None:
    found = with_settings(CONTENT, ["data.*.session=2", "data.live.session=4"])
    assert [entry["session"] for entry in found["data"]] == [4, 2]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", "'epochs' sets nothing: write KEY=VALUE"),
        ("=2", "sets nothing"),
        ("a..b=2", "sets nothing"),
        ("data.csiq.session=2", "data.csiq.session: 'csiq' is none of the 2 entries \\(live, my.photos\\)"),
        ("data.7.session=2", "'7' is none of the 2 entries"),
        ("epochs.more=2", "epochs.more: there is no 'more' in 80"),
    ],
)
def test_a_setting_that_is_none(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_settings(CONTENT, [setting])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer.momentum=0.9", "optimizer.momentum: Extra inputs are not permitted"),
        ("epochs=0", "epochs: Input should be greater than or equal to 1"),
        ("data.0.session=0", "data.0.session: session must be a whole number from 1 to 10"),
    ],
)
def test_a_field_that_is_none_or_out_of_its_range(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_train_config("lite", [setting])


def test_a_file_of_another_version_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text('version = 1\n[[data]]\nname = "live"\nsession = 1\nbatch_size = 4\n')
    assert TrainConfig.from_toml(path).version == 2


def test_the_papers_mixture() -> None:
    """Section 4.1: 48 images a batch, 4 sub-images, 15 in inference, 80 epochs, learning rate 5e-6, ViT-B/32."""
    config = load_train_config("paper")
    assert {source.name: source.batch_size for source in config.data} == {
        "live": 4,
        "csiq": 4,
        "bid": 4,
        "live-challenge": 4,
        "kadid-10k": 16,
        "koniq-10k": 16,
    }
    assert config.batch_size == 48
    assert (config.model.train_crops, config.crops.test_count, config.crops.train_source) == (4, 15, "images")
    assert (config.epochs, config.optimizer.learning_rate) == (80, 5e-6)
    assert (config.backbone.name, config.backbone.pretrained) == ("ViT-B-32-quickgelu", "openai")
    assert (config.objective.tau, config.objective.lambda1, config.objective.lambda2) == (0.05, 0.1, 0.1)
    assert not config.backbone.freeze_trunk
    assert not config.backbone.freeze_text


def test_clip_is_the_papers_network_on_the_images_of_lite() -> None:
    paper, clip, lite = (load_train_config(name) for name in ("paper", "clip", "lite"))
    assert (clip.backbone, clip.model, clip.objective, clip.crops) == (
        paper.backbone,
        paper.model,
        paper.objective,
        paper.crops,
    )
    assert [(s.name, s.session, s.exclude) for s in clip.data] == [(s.name, s.session, s.exclude) for s in lite.data]
