import re
from pathlib import Path

from PIL import Image
from skimage import data

README = Path(__file__).parents[2] / "packages" / "clip-iqa-backbone" / "README.md"


def test_the_example_runs(tiny_clip, tmp_path, monkeypatch):
    [example] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    # The one thing that needs the network: weights of the same kind, from a folder.
    source = '"ViT-B-32-quickgelu", pretrained="openai"'
    assert source in example
    Image.fromarray(data.chelsea()).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example.replace(source, f'"local-dir:{tiny_clip}"'), names)
    assert names["log_p"].shape == (15, 5, 9, 11)
    assert 1 <= names["quality"].item() <= 5
