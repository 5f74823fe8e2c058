"""The tutorials that cross packages run as they stand, in order; the codec study on fewer, smaller photographs."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from defnet.cli import app as defnet_app
from iqa_datasets.cli import app as iqa_datasets_app
from map_score_fusion.cli import app as map_score_fusion_app

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "docs" / "tutorials"
APPS = {"defnet": defnet_app, "iqa-datasets": iqa_datasets_app, "map-score-fusion": map_score_fusion_app}


def follow(page: Path, fewer: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """Run a page's Python, and its commands of the packages with the options of `fewer`, in their order."""
    names: dict[str, object] = {"__name__": "page"}
    ran = []
    for language, block in re.findall(r"^```(python|bash)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        if language == "python":
            exec(compile(block, str(page), "exec"), names)
            printed = capsys.readouterr().out.splitlines()
            for said in re.findall(r"^print\(.*\)\s*# (.*)$", block, re.M):
                assert said in printed
            continue
        for line in block.replace("\\\n", " ").splitlines():
            program, *words = shlex.split(line, comments=True) or [""]
            if program in APPS:
                result = CliRunner().invoke(APPS[program], [*words, *fewer.get(words[0], [])])
                assert result.exit_code == 0, result.output
                ran.append(words[0])
    assert ran
    return names


def test_cull_a_shoot(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    table = follow(FOLDER / "cull-a-shoot.md", {}, capsys)["table"]
    assert isinstance(table, pd.DataFrame)
    lists = {name: (tmp_path / f"{name}.txt").read_text("utf-8").split() for name in ("keep", "look", "drop")}
    assert sorted(lists["keep"]) == sorted(table.loc[table["path"].str.endswith("_1.jpg"), "path"])
    assert sorted(path for paths in lists.values() for path in paths) == sorted(table["path"])
    # The page's table, to the last digit: it goes stale when the model does.
    page = (FOLDER / "cull-a-shoot.md").read_text("utf-8")
    shown = re.findall(r"^ *(shoot/\S+) +(\S+) +(\S+) +(\w+)$", page, re.M)
    found = table.set_index("path")
    assert len(shown) == len(table)
    for path, quality, may_be_better, verdict in shown:
        assert found.loc[path, "quality"] == pytest.approx(float(quality), abs=0.0101)
        assert found.loc[path, "may_be_better"] == pytest.approx(float(may_be_better), abs=0.0101)
        assert found.loc[path, "verdict"] == verdict


@pytest.mark.filterwarnings("ignore::map_score_fusion.FusionWarning")
def test_codec_study(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("coffee", "chelsea"):
        shutil.copy(REPOSITORY / "samples" / f"{name}.jpg", tmp_path / "photos")
    names = follow(FOLDER / "codec-study.md", {"synthesize": ["--size", "128x96"]}, capsys)
    study = pd.read_csv("study.csv")
    assert len(study) == 2 * 3 * 5
    for _, rows in study.groupby(["photograph", "codec"]):
        assert (np.diff(rows.sort_values("bits")["quality"]) > 0).all()  # more bits look better, to all of it
    assert list(names["said"]) == list(names["scores"])
    assert all(0 < ratio < 5 for said in names["said"].values() for ratio in said.dropna())
