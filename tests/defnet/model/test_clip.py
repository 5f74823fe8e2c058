"""CLIP goes through the same training, checkpoint and scoring as the compact tower: only the towers differ."""

import json
import shutil
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from defnet import DataRoots, TrainConfig, load_scorer, train
from iqa_datasets.testing import FakeDataset

TINY = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 1, "width": 32, "head_width": 16, "patch_size": 56},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def clip_folder(tmp_path: Path) -> Path:
    """A tiny CLIP with random weights, as open_clip writes one."""
    folder = tmp_path / "clip"
    folder.mkdir()
    preprocess = {"mean": list(open_clip.OPENAI_DATASET_MEAN), "std": list(open_clip.OPENAI_DATASET_STD)}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    save_file(open_clip.create_model(f"local-dir:{folder}").state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.mark.parametrize("freeze_trunk", [False, True], ids=["fine-tuned", "frozen pool"])
def test_clip_trains_and_scores_where_its_source_is_gone(
    tmp_path: Path, clip_folder: Path, fake: FakeDataset, freeze_trunk: bool
) -> None:
    config = TrainConfig.model_validate(
        {
            "epochs": 1,
            "steps_per_epoch": 2,
            "data": [{"name": "live-challenge", "session": 1, "batch_size": 4}],
            "backbone": {"name": f"local-dir:{clip_folder}", "freeze_trunk": freeze_trunk},
            "crops": {"test_count": 2, "train_source": "pool" if freeze_trunk else "images", "pool_size": 4},
            "optimizer": {"learning_rate": 1e-3},
        }
    )
    before = open_clip.create_model(f"local-dir:{clip_folder}").visual.state_dict()
    result = train(config, DataRoots(fake.root.parent), tmp_path / "run", device="cpu")
    shutil.rmtree(clip_folder)
    scorer = load_scorer(tmp_path / "run")
    moved = [n for n, t in scorer.model.backbone.image.visual.state_dict().items() if not torch.equal(t, before[n])]
    assert bool(moved) is not freeze_trunk
    images = sorted((fake.root / "Images").glob("*.*"))[:3]
    assert [score.path for score in scorer.score(images)] == [str(path) for path in images]
    assert result.model == tmp_path / "run" / "model.safetensors"
