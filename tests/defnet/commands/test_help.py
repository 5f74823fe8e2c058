"""What every command tells of itself, and what it says of a wrong use."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from defnet.cli import app


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["train", "--help"], ["--version"], []])
def test_help_imports_no_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from defnet.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'timm', 'open_clip', 'scipy', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"
    assert ("defnet 0." in done.stdout) if arguments == ["--version"] else ("Usage" in done.stdout + done.stderr)


def test_every_option_is_documented() -> None:
    for command in ("score", "train", "evaluate"):
        result = CliRunner().invoke(app, [command, "--help"])
        assert result.exit_code == 0
        assert "Example" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [["score"], ["score", "x.png", "--crops", "0"], ["score", "x.png", "--batch-size", "0"], ["scores"], ["train"],
     ["score", "x.png", "--format", "xml"], ["evaluate", "lite"]],
)  # fmt: skip
def test_usage_errors_are_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments, env={"IQA_DATA_ROOT": ""})
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "Usage" in result.stderr
