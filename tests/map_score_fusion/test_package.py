import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import map_score_fusion

PYPROJECT = Path(__file__).parents[2] / "packages" / "map-score-fusion" / "pyproject.toml"


def test_version_is_the_one_in_pyproject():
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    assert map_score_fusion.__version__ == project["version"]


def test_every_public_name_is_there():
    for name in map_score_fusion.__all__:
        assert getattr(map_score_fusion, name) is not None
        assert name in dir(map_score_fusion)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="ScoreFussion"):
        _ = map_score_fusion.ScoreFussion


def test_the_import_is_light():
    code = (
        "import sys, map_score_fusion; "
        "print(*sorted({'torch', 'pandas', 'sklearn', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
