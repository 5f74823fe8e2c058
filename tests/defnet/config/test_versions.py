"""Configurations of other versions, and in what two differ."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from defnet import ConfigError, TrainConfig
from defnet.config.versions import _IMAGE_FOLDERS, differences, migrate, without_paths
from iqa_datasets import info

MakeConfig = Callable[..., TrainConfig]


def version_0(config: TrainConfig, exclude: list[str], name: str = "live-challenge") -> dict[str, Any]:
    """As version 0.1 of the package wrote it."""
    content = json.loads(config.model_dump_json())
    del content["version"]
    content["data"] = [{"name": name, "session": 1, "batch_size": 4, "exclude": exclude}]
    return content


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("live-challenge", "333.bmp", "Images/333.bmp"),
        ("live-challenge", "10.JPG", "Images/10.JPG"),
        ("koniq-10k", "10004473376.jpg", "1024x768/10004473376.jpg"),
        ("kadid-10k", "I01_01_01.png", "images/I01_01_01.png"),
        # LIVE's names repeat across its folders of distortions: which one was meant is not known.
        ("live", "img29.bmp", "img29.bmp"),
        ("live-challenge", "Images/333.bmp", "Images/333.bmp"),
        ("unheard-of", "a.bmp", "a.bmp"),
    ],
)
def test_version_0_excluded_by_base_name(name: str, old: str, new: str, make_config: MakeConfig) -> None:
    content = migrate(version_0(make_config(), [old], name))
    assert content["version"] == 2
    assert content["data"][0]["exclude"] == [new]
    assert content["data"][0]["batch_size"] == 4


@pytest.mark.parametrize("name", _IMAGE_FOLDERS)
def test_the_folders_of_version_0_are_those_of_the_data_sets(name: str) -> None:
    assert [file for file in info(name).files if file.startswith(f"{_IMAGE_FOLDERS[name]}/*")]


def test_version_1_had_fewer_fields(make_config: MakeConfig) -> None:
    content = json.loads(make_config().model_dump_json()) | {"version": 1}
    for field in ("accumulate", "checkpoints_kept"):
        del content[field]
    assert TrainConfig.model_validate(migrate(content)) == make_config()


def test_the_present_version_is_left_as_it_is(make_config: MakeConfig) -> None:
    content = json.loads(make_config().model_dump_json())
    assert migrate(content) == content
    assert TrainConfig.model_validate(content) == make_config()


@pytest.mark.parametrize("version", [3, -1, "1", None, 1.5])
def test_a_version_nobody_knows(version: Any, make_config: MakeConfig) -> None:
    content = json.loads(make_config().model_dump_json()) | {"version": version}
    with pytest.raises(ConfigError, match=r"the configuration has version .* knows 0 to 2"):
        migrate(content)


def test_every_difference_is_named_with_both_values(make_config: MakeConfig) -> None:
    one = make_config()
    other = make_config(
        seed=3,
        objective={"tau": 0.5},
        backbone={"lite": {"embed_dim": 8}},
        data=[{"name": "live-challenge", "session": "seeded-1", "batch_size": 4}],
    )
    assert differences(one, one) == []
    assert differences(one, other) == [
        "data.0.session is 1 there and 'seeded-1' here",
        "backbone.lite.embed_dim is 16 there and 8 here",
        "objective.tau is 0.05 there and 0.5 here",
        "seed is 0 there and 3 here",
    ]
    more = make_config(data=[*(s.model_dump() for s in one.data), {"name": "b", "session": 1, "batch_size": 1}])
    [difference] = differences(one, more)
    assert difference.startswith("data is [{'name': 'live-challenge'")


def test_where_data_lies_is_no_difference(make_config: MakeConfig) -> None:
    source = {"name": "live-challenge", "session": 1, "batch_size": 4}
    one, other = (make_config(data=[source | {"path": path}]) for path in ("/here", "/there"))
    assert one != other
    assert differences(one, other) == []
    assert without_paths(one).data[0].path is None
