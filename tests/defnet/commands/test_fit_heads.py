"""`defnet fit-heads`: the heads learn and nothing else moves; backbones and trained models are told apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

from defnet import DataRoots, load_model, read_info
from defnet.cli import app
from defnet.commands.fit_heads import _settings
from defnet.config.data import DataConfig
from defnet.config.model import BackboneConfig
from defnet.config.recipes import heads_of_backbone
from defnet.training.loop import Training


def defnet(*arguments: str | Path) -> Result:
    """Run the command in this process; an error that is not told as one would come through as it is."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"IQA_DATA_ROOT": ""})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def weights(model: str | Path) -> dict[str, Tensor]:
    return load_model(model)[0].state_dict()


def fit(rated: Any, model: str | Path, out: Path, *more: str) -> Result:
    ratings = ("--ratings", rated.table, "--images", rated.images, "--range", "0", "100")
    return defnet("fit-heads", model, *ratings, "--out", out, "--epochs", "2", "--device", "cpu", *more)


def test_heads_and_calibration_learn_and_nothing_else(rated: Any, model_file: Path, tmp_path: Path) -> None:
    result = fit(rated, model_file, tmp_path / "heads")
    assert result.exit_code == 0, result.output
    before, after = weights(model_file), weights(tmp_path / "heads")
    assert set(before) == set(after)
    moved = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    # Of scenes and distortions there is no label.
    assert moved == {
        f"{heads}.quality.{part}" for heads in ("heads", "global_heads") for part in ("linear.weight", "linear.bias")
    }
    info = read_info(tmp_path / "heads")
    assert info.variance_scale != read_info(model_file).variance_scale
    assert info.config.backbone.freeze_projection
    assert (tmp_path / "heads" / "summary" / "index.html").is_file()
    assert f"The evidence heads of {model_file} were fitted" in (
        tmp_path / "heads" / "summary" / "index.html"
    ).read_text(encoding="utf-8")


def test_heads_that_see_more_start_anew(rated: Any, model_file: Path, tmp_path: Path) -> None:
    assert fit(rated, model_file, tmp_path / "heads", "--features", "embedding").exit_code == 0
    before, after = weights(model_file), weights(tmp_path / "heads")
    assert after["heads.quality.linear.weight"].shape[1] == before["heads.quality.linear.weight"].shape[1] + 16
    assert torch.equal(before["backbone.logit_scale"], after["backbone.logit_scale"])


def test_a_data_set_in_place_of_ratings(roots: DataRoots, model_file: Path, tmp_path: Path, fifty: Any) -> None:
    places = ("--data-root", f"live-challenge={fifty.root}", "--session", "seeded-1:0.6/0.2/0.2")
    done = defnet(
        "fit-heads", model_file, "--dataset", "live-challenge", *places, "--out", tmp_path / "run", "--epochs", "1"
    )
    assert done.exit_code == 0, done.output
    info = read_info(tmp_path / "run")
    assert info.images["live-challenge"]["train"] == 30
    assert "on the scale 0 to 100, higher = better" in done.stderr


def test_a_frozen_projection_gives_one_embedding_of_a_view(
    make_config: Callable[..., Any],
) -> None:
    """Dropout is off in what stays as it is, also while the heads learn."""
    config = make_config(
        backbone={"lite": {"dropout": 0.5}, "freeze_projection": True, "freeze_text": True, "train_logit_scale": False},
        objective={"weighting": "equal"},
    )
    from defnet.model.initial_model import build_model
    from defnet.training.optimizer import freeze

    model = build_model(config)
    freeze(model, config)
    model.train()
    features = torch.randn(2, 3, model.backbone.image.feature_dim)
    seen = [model.backbone.embed(features) for _ in range(2)]
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=0)
    learning = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"heads", "global_heads"}


def test_new_heads_on_a_backbone(write_clip: Callable[[Path], Path], rated: Any, tmp_path: Path) -> None:
    folder = write_clip(tmp_path / "clip")
    result = fit(rated, f"local-dir:{folder}", tmp_path / "run", "--epochs", "1")
    assert result.exit_code == 0, result.output
    info = read_info(tmp_path / "run")
    assert info.config.start is None
    assert info.config.model.features == "embedding"
    model, _ = load_model(tmp_path / "run")
    from clip_iqa_backbone import create_backbone

    plain = create_backbone(f"local-dir:{folder}")
    for name, weight in plain.image.state_dict().items():
        torch.testing.assert_close(model.backbone.image.state_dict()[name], weight, rtol=0, atol=0)


def test_a_run_of_heads_goes_on_to_the_bit(rated: Any, model_file: Path, tmp_path: Path) -> None:
    from defnet.config.recipes import heads_of_model
    from defnet.data.ratings import declare_ratings

    ratings = declare_ratings(rated.table, rated.images, scale=(0, 100))
    source = DataConfig(name="ratings", session="seeded-1:0.7/0.15/0.15", batch_size=8)
    config = heads_of_model(str(model_file), read_info(model_file).config, source, 20, features=None, epochs=2, seed=0)
    roots = DataRoots(ratings=[ratings])
    cache = tmp_path / "cache"
    Training(config, roots, tmp_path / "whole", cache=cache, device="cpu").run()
    while Training(config, roots, tmp_path / "parts", cache=cache, device="cpu").run(stop_after_steps=2) is None:
        pass
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(weight, parts[name]) for name, weight in whole.items())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lite"], "give --ratings FILE or --dataset NAME"),
        (["lite", "--ratings", "r.csv", "--dataset", "live"], "give --ratings FILE or --dataset NAME, not both"),
        (["lite", "--dataset", "live", "--range", "0", "1"], "--range, --lower-is-better and --name go with --ratings"),
        (["lite", "--dataset", "live"], "nobody knows where it lies"),
    ],
)
def test_a_wrong_use_is_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    result = defnet("fit-heads", *arguments, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_backbone_needs_weights(rated: Any, model_file: Path, tmp_path: Path) -> None:
    said = fit(rated, "ViT-B-32", tmp_path / "run").stderr
    assert "ViT-B-32 without --pretrained has random weights" in said
    said = fit(rated, "ViT-Z", tmp_path / "run").stderr
    assert "There is no backbone 'ViT-Z'" in said
    said = fit(rated, model_file, tmp_path / "run", "--pretrained", "openai").stderr
    assert "is a trained model, which has its own" in said
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_what_the_hub_says_decides_what_a_name_stands_for(hub: Any, model_file: Path) -> None:
    class Data:
        dataset = type("D", (), {"name": "x"})
        session = "seeded-1"
        parts = {"train": range(20)}  # noqa: RUF012

    hub.put("org/trained", model__safetensors=model_file.read_bytes())
    hub.put("org/clip", open_clip_config__json=b"{}")
    trained = _settings("hf-hub:org/trained", None, Data, None, 1, 0)  # type: ignore[arg-type]
    assert trained.start is not None
    backbone = _settings("hf-hub:org/clip", None, Data, None, 1, 0)  # type: ignore[arg-type]
    assert backbone.start is None
    assert backbone.backbone.name == "hf-hub:org/clip"


def test_heads_of_a_backbone_learn_with_every_reading() -> None:
    source = DataConfig(name="x", session="seeded-1", batch_size=4)
    config = heads_of_backbone(BackboneConfig(name="ViT-B-32"), source, 100, features=None, epochs=3, seed=1)
    assert (config.epochs, config.steps_per_epoch, config.seed) == (3, 25, 1)
    assert config.objective.teaches_fusion
