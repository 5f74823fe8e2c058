"""The script of the page "Deploy without torch" scores by the file alone, as `defnet score` does."""

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image

from defnet import load_scorer
from defnet.model.shipped import DEFAULT_MODEL

REPOSITORY = Path(__file__).parents[3]
PAGE = REPOSITORY / "docs" / "defnet" / "deploy-without-torch.md"
SCRIPT = PAGE.with_name("score_without_torch.py")
MODEL = files("defnet") / "weights" / f"{DEFAULT_MODEL}.onnx"

ALONE = """
import runpy, sys
for name in ("torch", "defnet", "clip_iqa_backbone", "iqa_datasets", "evidential_nig", "scipy", "pandas", "onnx"):
    sys.modules[name] = None  # to import it is an error
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """A photograph as it is, one on its side by EXIF, a wide one, one as high as a crop, one that is too small."""
    sample = Image.open(REPOSITORY / "samples" / "coffee.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    made = {"as_it_is": sample, "wide": sample.crop((0, 0, sample.width, 230)), "flat": sample.crop((0, 0, 400, 224))}
    made |= {"high": sample.crop((0, 0, 224, 300)), "small": sample.crop((10, 10, 200, 150))}
    for name, image in made.items():
        image.save(tmp_path / f"{name}.jpg", quality=95)
    sample.save(tmp_path / "turned.jpg", exif=turned)
    return sorted(tmp_path.glob("*.jpg"))


def test_the_script_says_what_defnet_says(photographs: list[Path]) -> None:
    command = [sys.executable, "-c", ALONE, str(SCRIPT), str(MODEL), *map(str, photographs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    scores = load_scorer(device="cpu", runtime="onnx").score(photographs)
    assert [row["path"] for row in rows] == [score.path for score in scores]
    for row, score in zip(rows, scores, strict=True):
        columns = {"quality", "expected_quality", "aleatoric_std", "epistemic_std", "lower", "upper", "familiarity"}
        for name in columns | {"scene", "distortion"}:
            expected = getattr(score, name)
            assert row[name] == (expected if isinstance(expected, str) else pytest.approx(expected, abs=2e-6)), name
    assert len({row["quality"] for row in rows}) == len(rows)


def test_the_page_shows_the_script() -> None:
    assert "{literalinclude} score_without_torch.py" in PAGE.read_text()
    lines = SCRIPT.read_text().splitlines()
    assert len(lines) <= 50
    imports = {line.split()[1].split(".")[0] for line in lines if line.startswith(("import", "from"))}
    assert imports - set(sys.stdlib_module_names) == {"numpy", "onnxruntime", "PIL"}
