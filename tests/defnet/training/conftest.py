"""A tiny CLIP."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file


def _write_clip(folder: Path) -> Path:
    """A tiny random CLIP as a folder that `local-dir:` reads."""
    import open_clip

    tower = {"layers": 1, "width": 32}
    config = {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {**tower, "image_size": 32, "patch_size": 16, "head_width": 16},
            "text_cfg": {**tower, "context_length": 77, "vocab_size": 49408, "heads": 2},
        },
        "preprocess_cfg": {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.2]},
    }
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_file(open_clip.create_model(f"local-dir:{folder}").state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def write_clip() -> Callable[[Path], Path]:
    """Writes a tiny random CLIP as a folder that `local-dir:` reads."""
    return _write_clip
