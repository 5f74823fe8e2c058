"""LIQE's checkpoints from end to end: scored without uncertainties, described, and given heads."""

import csv
import os
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from typer.testing import CliRunner, Result

from clip_iqa_backbone import (
    CropPlan,
    average_over_views,
    create_backbone,
    expected_quality,
    make_views,
    open_image,
    quality_marginal,
)
from defnet import CheckpointError, load_model, load_scorer, read_info
from defnet.cli import app
from defnet.config.start import StartConfig

UNCERTAINTY = ("aleatoric_std", "epistemic_std", "lower", "upper")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model in LIQE's layout, as its training writes it, with random weights."""
    torch.manual_seed(5)
    model = open_clip.CLIP(
        embed_dim=16,
        vision_cfg={"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
        quick_gelu=True,
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name != "logit_scale":
                weight.add_(0.1 * torch.randn(weight.shape))
    path = tmp_path_factory.mktemp("liqe") / "LIQE.pt"
    torch.save({"epoch": 5, "model_state_dict": model.state_dict()}, path)
    return path


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache") / "made"
        patch.setenv("DEFNET_CACHE", str(folder))
        yield folder


def defnet(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"IQA_DATA_ROOT": ""})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_scores_are_liqes_and_say_why_they_have_no_uncertainty(
    checkpoint: Path, photographs: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "scores.csv"
    done = defnet("score", *photographs[:2], "--model", f"liqe:{checkpoint}", "--out", out, "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert f"liqe:{checkpoint} states no uncertainty: LIQE has no evidence heads" in done.stderr
    assert "defnet fit-heads adds heads" in done.stderr
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    backbone = create_backbone(f"liqe:{checkpoint}")
    for row, path in zip(rows, photographs, strict=False):
        assert [row[name] for name in UNCERTAINTY] == [""] * 4
        assert row["warnings"].endswith("no uncertainty")
        views = make_views(open_image(path), CropPlan(count=15, size=32))
        with torch.no_grad():
            logits = backbone.logits(backbone.embed(backbone.image_features(views.local)))
            expected = expected_quality(average_over_views(logits, quality_marginal, "logits"))
        assert float(row["quality"]) == pytest.approx(expected.item(), abs=1e-5)


def test_the_model_file_is_made_once(checkpoint: Path, cache: Path, tmp_path: Path) -> None:
    info = read_info(f"liqe:{checkpoint}")
    assert (info.config.backbone.name, info.config.backbone.vocabulary) == ("liqe:LIQE.pt", "liqe")
    [made] = cache.iterdir()
    before = made.stat()
    copy = tmp_path / "another name.pt"
    copy.write_bytes(checkpoint.read_bytes())
    first, second = (load_model(f"liqe:{path}")[0].state_dict() for path in (checkpoint, copy))
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    [same] = cache.iterdir()
    assert (same.stat().st_ino, same.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_without_a_cache_it_is_made_anew(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photographs: list[Path]
) -> None:
    (tmp_path / "a file").write_text("in the way")
    expected = load_scorer(f"liqe:{checkpoint}", device="cpu").score(photographs[:1])[0].quality
    monkeypatch.setenv("DEFNET_CACHE", str(tmp_path / "a file" / "cache"))
    assert load_scorer(f"liqe:{checkpoint}", device="cpu").score(photographs[:1])[0].quality == expected


def test_what_the_file_says(checkpoint: Path) -> None:
    said = defnet("info", f"liqe:{checkpoint}", "--format", "json")
    assert said.exit_code == 0, said.output
    assert f"LIQE's checkpoint {checkpoint}" in said.stdout
    assert "data that the checkpoint does not name" in said.stdout


def test_heads_fitted_to_rated_photographs_give_it_uncertainties(
    checkpoint: Path, rated: Any, photographs: list[Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    ratings = ("--ratings", rated.table, "--images", rated.images, "--range", "0", "100", "--epochs", "2")
    done = defnet("fit-heads", f"liqe:{checkpoint}", *ratings, "--out", run, "--device", "cpu")
    assert done.exit_code == 0, done.output
    info = read_info(run)
    assert info.config.model.evidence
    assert info.config.start is not None
    assert info.config.start.model == "liqe:LIQE.pt"  # where it lay is no part of the model
    before, after = (load_model(model)[0].state_dict() for model in (f"liqe:{checkpoint}", run))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert {name.split(".")[0] for name in set(after) - set(before)} == {"heads", "global_heads"}
    scored = defnet("score", photographs[0], "--model", run, "--format", "csv", "--device", "cpu")
    assert scored.exit_code == 0, scored.output
    [row] = csv.DictReader(scored.stdout.splitlines())
    assert all(float(row[name]) > 0 for name in UNCERTAINTY)
    assert "no uncertainty" not in scored.output


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda _: None, "No such file"),
        (lambda path: path.write_bytes(os.urandom(100)), "damaged, cut short or no file of tensors"),
        (lambda path: torch.save({"weight": torch.zeros(1)}, path), "holds no CLIP"),
    ],
)
def test_what_is_no_checkpoint_of_liqe_is_one_line(write: Any, said: str, tmp_path: Path) -> None:
    path = tmp_path / "some.pt"
    write(path)
    with pytest.raises(CheckpointError, match=said):
        load_model(f"liqe:{path}")
    (tmp_path / "a.png").write_bytes(b"")
    done = defnet("score", tmp_path / "a.png", "--model", f"liqe:{path}")
    assert done.exit_code == 2
    assert said in done.stderr


def test_the_place_of_a_checkpoint_is_no_part_of_a_run() -> None:
    for model, expected in (
        ("liqe:/some/where/LIQE.pt", "liqe:LIQE.pt"),
        ("liqe:hf-hub:org/name/LIQE.pt", "liqe:hf-hub:org/name/LIQE.pt"),
        ("/some/run/", "run"),
    ):
        assert StartConfig(model=model).without_path().model == expected
