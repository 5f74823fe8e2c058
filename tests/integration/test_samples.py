"""What the README shows: the shipped model on the sample photographs."""

from pathlib import Path

import pytest

import defnet

SAMPLES = Path(__file__).parents[2] / "samples"
DEGRADED = sorted(path for path in SAMPLES.glob("*.jpg") if "_" in path.stem)


@pytest.fixture(scope="module")
def quality() -> dict[str, float]:
    """Quality of each sample by its file's stem."""
    paths = sorted(SAMPLES.glob("*.jpg"))
    return {Path(score.path).stem: score.quality for score in defnet.load_scorer("lite").score(paths)}


@pytest.mark.parametrize("path", DEGRADED, ids=lambda path: path.stem)
def test_a_degraded_copy_scores_below_its_original(path: Path, quality: dict[str, float]) -> None:
    assert quality[path.stem] < quality[path.stem.split("_")[0]]
