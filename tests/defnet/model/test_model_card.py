"""The folder that one uploads: a model that loads as it was, and a card that the hub's client reads."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from defnet import ModelInfo, TrainConfig, read_info
from defnet.cli import app
from defnet.config.start import StartConfig
from defnet.model.model_card import model_card, started_from, trained_on


def export(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    return result.exit_code, result.stderr


def test_the_shipped_models_folder(tmp_path: Path) -> None:
    out = tmp_path / "hub"
    code, said = export("lite", out, "--license", "apache-2.0", "--repository", "someone/lite")
    assert code == 0, said
    assert {path.name for path in out.iterdir()} == {"model.safetensors", "README.md"}
    info = read_info("lite")
    assert read_info(out) == info
    card = ModelCard.load(out / "README.md")
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "defnet")
    assert "image-quality-assessment" in card.data.tags
    assert {(one.metric_type, one.metric_value) for one in card.data.eval_results} == {
        (name, round(info.validation[name], 4)) for name in ("srcc", "plcc")
    }
    assert "defnet score photos/ --model hf-hub:someone/lite" in card.text
    assert "live-challenge, training part of session 1, without Images/333.bmp" in card.text
    assert f"| SRCC | {info.validation['srcc']:.3f} |" in card.text


def test_without_a_licence_it_says_so(model_file: Path, tmp_path: Path) -> None:
    code, said = export(model_file, tmp_path / "hub")
    assert code == 0
    assert "the card states no licence" in said
    text = (tmp_path / "hub" / "README.md").read_text(encoding="utf-8")
    assert "license:" not in text
    assert "Not stated." in text


def test_what_is_there_is_not_written_over(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    code, said = export(model_file, tmp_path)
    assert code == 2
    assert "README.md is there already; give a new folder" in said
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"
    assert not (tmp_path / "model.safetensors").exists()
    assert export("gone", tmp_path / "x")[0] == 2


def test_the_card_tells_what_the_file_does(make_config: object, model_info: ModelInfo) -> None:
    config: TrainConfig = model_info.config.model_copy(
        update={"start": StartConfig(model="hf-hub:someone/photos@" + "c" * 40, fingerprint="ab" * 32)}
    )
    info = model_info.model_copy(update={"config": config, "images": {"live-challenge": {"train": 17, "val": 2}}})
    assert trained_on(info) == ["live-challenge, training part of session 1, 17 images"]
    assert started_from(info) == f"the model hf-hub:someone/photos@{'c' * 40} (SHA-256 abababababababab…)"
    card = ModelCard(model_card(info, name="Mine"))
    assert card.data["base_model"] == "someone/photos"
    assert "# Mine" in card.text
    assert "chosen by srcc+plcc on validation (2 of live-challenge images)" in card.text


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        ({"name": "lite", "pretrained": "imagenet"}, "the backbone lite with the weights imagenet"),
        ({"name": "lite", "pretrained": None}, "the backbone lite with random weights"),
        ({"name": "hf-hub:org/clip"}, "the backbone hf-hub:org/clip"),
    ],
)
def test_a_backbone_in_words(backbone: dict[str, str | None], said: str, model_info: ModelInfo) -> None:
    config = TrainConfig.model_validate(model_info.config.model_dump() | {"backbone": backbone})
    assert started_from(model_info.model_copy(update={"config": config})) == said
