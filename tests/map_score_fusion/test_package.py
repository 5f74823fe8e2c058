import tomllib
from pathlib import Path

import map_score_fusion

PYPROJECT = Path(__file__).parents[2] / "packages" / "map-score-fusion" / "pyproject.toml"


def test_version_is_the_one_in_pyproject() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    assert map_score_fusion.__version__ == project["version"]


def test_offers_no_method_before_it_has_one() -> None:
    assert map_score_fusion.__all__ == ["__version__"]
    public = {name for name in vars(map_score_fusion) if not name.startswith("_")}
    assert public == set(), f"public names that __all__ does not list: {sorted(public)}"
