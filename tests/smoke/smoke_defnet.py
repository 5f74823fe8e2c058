"""Smoke test of the installed defnet wheel: python smoke_defnet.py REPOSITORY."""

import csv
import io
import subprocess
import sys
from pathlib import Path

from installed import check_installed, expect

import defnet

COLUMNS = [
    "path",
    "quality",
    "expected_quality",
    "aleatoric_std",
    "epistemic_std",
    "lower",
    "upper",
    "familiarity",
    "scene",
    "scene_probability",
    "distortion",
    "distortion_probability",
    "crops",
    "frame",
    "frames",
    "file_size",
    "file_modified",
    "warnings",
]


def run_defnet(*arguments: str) -> str:
    """Run the installed command as a shell would, and return what it prints."""
    command = [str(Path(sys.executable).with_name("defnet")), *arguments]
    result = subprocess.run(command, check=False, capture_output=True, text=True, encoding="utf-8")
    expect(result.returncode == 0, f"{' '.join(command)} ended with {result.returncode}: {result.stderr}")
    return result.stdout


samples = check_installed("defnet", with_extras=("defnet.scoring.quality_metric",)) / "samples"
expect("score" in run_defnet("--help"), "defnet --help does not name the command score")

photographs = sorted(samples.glob("*.jpg"))
rows = list(csv.DictReader(io.StringIO(run_defnet("score", str(samples)))))
expect(list(rows[0]) == COLUMNS, f"the columns are {list(rows[0])}")
expect([row["path"] for row in rows] == [str(path) for path in photographs], "not all samples were scored, in order")
for row in rows:
    quality, lower, upper = (float(row[column]) for column in ("quality", "lower", "upper"))
    expect(1 <= lower <= quality <= upper <= 5, f"{row['path']}: {quality} in [{lower}, {upper}] on a scale of 1 to 5")

# The library gives what the command printed.
again = defnet.load_scorer(runtime="torch").score(photographs[:2])
for row, score in zip(rows, again, strict=False):
    expect(abs(float(row["quality"]) - score.quality) < 1e-3, f"{row['path']}: {row['quality']}, then {score.quality}")
page = Path("look.html")
run_defnet("score", str(photographs[0]), "--report", str(page))
expect("<script" in page.read_text(encoding="utf-8"), "the page of a score lacks its script")
print(f"defnet: {len(rows)} samples scored, quality {min(float(row['quality']) for row in rows):.2f} and up")
