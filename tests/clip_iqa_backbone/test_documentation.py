"""The documentation pages' examples run and print what they say."""

import ast
import re
from pathlib import Path

import open_clip
import pytest
import torch
from PIL import Image

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted((REPOSITORY / "docs" / "clip-iqa-backbone").glob("*.md"))
# The one thing that needs the network: weights of the same kind, from a folder.
FETCHED = '"ViT-B-32-quickgelu", pretrained="openai"'
SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 128, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}


@pytest.fixture(scope="module")
def surroundings(tmp_path_factory, write_clip) -> Path:
    """What the pages take for granted: two photographs, a folder with a model, and files of weights."""
    folder = tmp_path_factory.mktemp("pages")
    for sample, name in (("coffee", "photo"), ("chelsea_blur", "blurred")):
        Image.open(REPOSITORY / "samples" / f"{sample}.jpg").save(folder / f"{name}.jpg")
    torch.manual_seed(0)
    weights = open_clip.CLIP(**SMALL, quick_gelu=True).state_dict()
    torch.save({"params": {f"clip_model.{name}": value for name, value in weights.items()}}, folder / "LIQE.pt")
    archive = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    torch.save(weights | {name: torch.tensor(number) for name, number in archive.items()}, folder / "openai.pt")
    write_clip(folder / "my-clip", vision_cfg=SMALL["vision_cfg"])
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page(page, surroundings, capsys, monkeypatch):
    monkeypatch.chdir(surroundings)
    namespace: dict[str, object] = {"__name__": "page"}
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert blocks
    for block in blocks:
        code = block.replace(FETCHED, '"local-dir:my-clip"')
        exec(compile(ast.parse(code), str(page), "exec"), namespace)
        printed = capsys.readouterr().out.splitlines()
        expected = [
            line.split("#", 1)[1].strip() for line in block.splitlines() if re.match(r"\s*print\(.*\)\s*#", line)
        ]
        assert [line for line in printed if line in expected] == expected, printed
