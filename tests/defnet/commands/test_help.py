"""What every command tells of itself, and what it says of a wrong use."""

import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from defnet.cli import app


def commands() -> dict[str, Any]:
    """The commands by name. Typer brings a click of its own, so that their types cannot be named."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


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


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_documented(name: str) -> None:
    """Each has a sentence of its own, and the help shows it; a flag is shown as a flag."""
    command = commands()[name]
    shown = " ".join(CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).stdout.split())
    assert command.help
    for parameter in command.params:
        described = getattr(parameter, "help", None)
        assert described, f"{name}: {parameter.name} has no help"
        assert len(described) > 10
        label = parameter.opts[0] if parameter.param_type_name == "option" else parameter.metavar
        assert label is not None
        assert label.strip("[]").removesuffix("...") in shown
    assert "<bool>" not in shown


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_helps_examples_are_right_uses(name: str) -> None:
    command = commands()[name]
    examples = re.findall(r"`defnet ([\w-]+) ([^`]+)`", command.epilog or "")
    assert examples, f"{name}: its help has no example"
    for other, words in examples:
        arguments = shlex.split(words.split(" | ")[0])
        # Parsed and not run; a wrong option or a missing one is an error here.
        commands()[other].make_context(other, arguments)


@pytest.mark.parametrize(
    "arguments",
    [["score", "x.png", "--crops", "0"], ["score", "x.png", "--batch-size", "0"], ["scores"], ["train"],
     ["score", "x.png", "--format", "xml"], ["evaluate", "lite"]],
)  # fmt: skip
def test_usage_errors_are_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments, env={"IQA_DATA_ROOT": ""})
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert "Usage" in result.stderr
