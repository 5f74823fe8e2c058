"""The page "Reading the paper" names fields that there are, and every field that is a reading."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from defnet import ModelConfig, ObjectiveConfig, TrainConfig

PAGE = (Path(__file__).parents[3] / "docs" / "reading-the-paper.md").read_text(encoding="utf-8")
MINIMAL = '[[data]]\nname = "live-challenge"\nsession = 1\nbatch_size = 4\n'
ROWS = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and line.count(" | ") == 3]


def field_of(name: str) -> object:
    """The default of a field, or the configuration of a part of it."""
    found: object = TrainConfig
    for part in name.split("."):
        assert isinstance(found, type)
        assert issubclass(found, BaseModel), name
        field = found.model_fields[part]
        found = field.annotation if isinstance(field.annotation, type) else field.default
    return found


def test_every_field_of_the_tables_is_one() -> None:
    cells = [row[3] for row in ROWS if row[0].strip() not in ("point", "---")]
    assert len(cells) > 20
    for cell in cells:
        names = re.findall(r"`([a-z][\w.]+)`", cell)
        assert names or cell.strip().startswith("none: "), cell
        for name in names:
            field_of(name)


def test_a_field_that_is_none_is_found_out() -> None:
    with pytest.raises(KeyError):
        field_of("model.softmax")


@pytest.mark.parametrize(("part", "config"), [("model", ModelConfig), ("objective", ObjectiveConfig)])
def test_no_field_of_network_and_loss_is_left_out(part: str, config: type[BaseModel]) -> None:
    named = set(re.findall(r"`([\w.]+)(?: = [^`]+)?`", PAGE)) | set(re.findall(r"^(\w+) = ", PAGE, re.M))
    # Which tasks there are is no reading, but what is compared.
    missing = [name for name in config.model_fields if name != "tasks" and not {name, f"{part}.{name}"} & named]
    assert missing == []


def test_the_reading_that_the_page_shows_is_a_configuration_with_no_default_in_it(tmp_path: Path) -> None:
    [block] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.M | re.S)
    (tmp_path / "printed.toml").write_text(MINIMAL + block, encoding="utf-8")
    (tmp_path / "default.toml").write_text(MINIMAL, encoding="utf-8")
    printed, default = (TrainConfig.from_toml(tmp_path / f"{name}.toml") for name in ("printed", "default"))
    assert printed.score_from == "expected"
    for part, name in re.findall(r"^\[(\w+)\]|^(\w+) = ", block, re.M):
        if part:
            table = part
            continue
        assert getattr(getattr(printed, table), name) != getattr(getattr(default, table), name), name
