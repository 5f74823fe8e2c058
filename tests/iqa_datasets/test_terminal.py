"""The frame of the command lines: where words go, exit codes, rows in every format, progress that does not mix."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from iqa_datasets import DatasetError
from iqa_datasets.terminal import (
    ALL_RIGHT,
    INTERRUPTED,
    NOTHING_DONE,
    SOME_NOT,
    OutputFormat,
    Terminal,
    cell,
    printable,
    write_rows,
)

FULL = Path("/dev/full")


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(code: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    prefix = (
        "import sys, time, typer; from pathlib import Path\n"
        "from iqa_datasets.terminal import Terminal, write_rows\n"
        "terminal = Terminal('tool'); app = typer.Typer(pretty_exceptions_enable=False)\n@app.command()\n"
        "def main(argument: str = '') -> None:\n"
    )
    body = "".join(f"    {line}\n" for line in code.strip().split("\n"))
    command = [sys.executable, "-c", f"{prefix}{body}\napp()", *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    return subprocess.run(command, check=False, **options)


def test_exit_codes():
    assert (ALL_RIGHT, SOME_NOT, NOTHING_DONE, INTERRUPTED) == (0, 1, 2, 130)


def test_messages_go_to_standard_error_under_the_commands_name(capsys):
    terminal = Terminal("tool")
    terminal.say("one\ntwo\x1b[31m")
    terminal.warn("odd")
    terminal.warn("odd")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "tool: one\ntool: two?[31m\ntool: warning: odd\n"


def test_fail_stops_with_2(capsys):
    with pytest.raises(typer.Exit) as caught:
        Terminal("tool").fail("nothing to do")
    assert caught.value.exit_code == NOTHING_DONE
    assert capsys.readouterr().err == "tool: nothing to do\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (DatasetError("labels.csv, row 3: no number"), "tool: labels.csv, row 3: no number"),
        (FileNotFoundError(2, "No such file or directory", "gone.csv"), "tool: gone.csv: no such file or directory"),
        (OSError(28, "No space left on device"), "tool: cannot write: no space left on device"),
        (PermissionError(13, "Permission denied", "x"), "tool: x: permission denied"),
        (OSError(30, "Read-only file system", "x"), "tool: x: read-only file system"),
        (ImportError("install tool[extra]"), "tool: install tool[extra]"),
        (ArithmeticError("own"), "tool: own"),
    ],
)
def test_errors_that_a_person_can_act_on_are_one_line_and_2(error, message, capfd):
    with pytest.raises(typer.Exit) as caught, Terminal("tool").plain_errors(ArithmeticError):
        raise error
    assert caught.value.exit_code == NOTHING_DONE
    assert capfd.readouterr().err == f"{message}\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError), Terminal("tool").plain_errors():
        raise ZeroDivisionError


def test_an_interruption_says_what_is_kept_and_ends_with_130(capsys):
    done = []

    def work():
        with Terminal("tool").plain_errors(interrupted=lambda: f"{len(done)} rows are kept"):
            done.append(1)
            raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as caught:
        work()
    assert caught.value.exit_code == INTERRUPTED
    assert capsys.readouterr().err == "tool: 1 rows are kept\n"


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_in_a_real_process():
    code = (
        "import signal, time, typer; from iqa_datasets.terminal import Terminal\n"
        # A shell that runs the tests in the background has it ignored, which children inherit.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def main():\n"
        "    with Terminal('tool').plain_errors(interrupted='nothing is kept'):\n"
        "        print('ready', flush=True); time.sleep(60)\n"
        "typer.run(main)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == INTERRUPTED
    assert err == "tool: nothing is kept\n"


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full")
@pytest.mark.parametrize("rows", [1, 100_000])
def test_a_full_disk_under_standard_output_is_one_line_and_2(rows):
    with FULL.open("w") as full:
        done = run(f"with terminal.plain_errors():\n    write_rows([[1]] * {rows}, ['a'])", stdout=full)
    assert done.returncode == NOTHING_DONE
    assert done.stderr == "tool: cannot write: no space left on device\n"


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full")
def test_what_was_printed_without_a_flush_is_found_out_too():
    with FULL.open("w") as full:
        done = run("with terminal.plain_errors():\n    print('one line')", stdout=full)
    assert (done.returncode, done.stderr) == (NOTHING_DONE, "tool: cannot write: no space left on device\n")


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full")
def test_a_full_disk_under_out_is_one_line_and_2():
    done = run("with terminal.plain_errors():\n    write_rows([[1]], ['a'], out=Path(argument))", "--argument", FULL)
    assert done.returncode == NOTHING_DONE
    assert done.stderr.count("\n") == 1
    assert "no space left on device" in done.stderr


def test_a_missing_folder_under_out_is_one_line_and_2(tmp_path):
    path = tmp_path / "nowhere" / "rows.csv"
    done = run("with terminal.plain_errors():\n    write_rows([[1]], ['a'], out=Path(argument))", "--argument", path)
    assert (done.returncode, done.stderr) == (NOTHING_DONE, f"tool: {path}: no such file or directory\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_has_enough_ends_it_without_a_word():
    code = (
        "import typer; from iqa_datasets.terminal import *\n"
        "def main():\n"
        "    with Terminal('tool').plain_errors():\n"
        "        for _ in range(20): write_rows([[1]] * 20_000, ['a'])\n"
        "typer.run(main)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == ALL_RIGHT
    assert process.stderr.read() == b""
    process.stderr.close()


def test_a_closed_standard_error_does_not_stop_the_work(monkeypatch):
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    Terminal("tool").say("nobody hears it")


# --- progress


def test_no_bar_where_standard_error_is_no_terminal(capsys):
    with Terminal("tool").progress(10, "reading") as bar:
        bar.advance()
        bar.above("by the way")
        bar.stage("writing", 5)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "tool: by the way\n")


def on_a_terminal(code: str, *, stdout_is_terminal: bool) -> tuple[str, bytes]:
    """What comes out of standard output where it is a pipe, and what the terminal shows."""
    pty = pytest.importorskip("pty")
    control, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", f"from iqa_datasets.terminal import *\nimport time\n{code}"],
        stdout=terminal if stdout_is_terminal else subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            piece = os.read(control, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    out = process.stdout.read().decode() if process.stdout else ""
    if process.stdout:
        process.stdout.close()
    assert process.wait(30) == 0
    os.close(control)
    return out, shown


WORK = "for _ in Terminal('tool').track(range(40), what='scoring'): print('row', _, flush=True); time.sleep(0.01)"


def test_bar_and_rows_do_not_mix_where_rows_go_down_a_pipe():
    out, shown = on_a_terminal(WORK, stdout_is_terminal=False)
    assert out.count("row") == 40
    assert shown == b""


def test_there_is_a_bar_on_a_terminal():
    _, shown = on_a_terminal(WORK, stdout_is_terminal=True)
    assert b"scoring" in shown
    assert shown.count(b"row") >= 40


def test_the_time_left_is_not_told_before_it_can_be_known():
    from rich.progress import Progress

    from iqa_datasets.terminal import _left

    now = [0.0]
    column = _left()
    progress = Progress(column, get_time=lambda: now[0], disable=True, speed_estimate_period=300)
    task = progress.add_task("scoring", total=100)

    def shown() -> str:
        return str(column.render(progress.tasks[0]))

    now[0] = 1.0
    progress.advance(task, 4)
    assert shown() == ""  # four of a hundred in a second: the model was still starting
    now[0] = 10.0
    assert shown() == ""
    now[0] = 61.0
    progress.advance(task, 36)
    assert shown() == "left 0:01:40"  # sixty more, after 36 in a minute


def test_the_time_left_does_not_count_what_was_done_before():
    """A training that goes on: of 1000 steps 900 were done before, ten in this minute."""
    from rich.progress import Progress

    from iqa_datasets.terminal import Bar, _left

    now = [0.0]
    column = _left()
    progress = Progress(column, get_time=lambda: now[0], disable=True, speed_estimate_period=300)
    bar = Bar(Terminal("tool"), progress, "starting", None)
    bar.stage("training", 1000)
    bar.advance(900)
    assert bar.speed is None
    for _ in range(10):
        now[0] += 6.0
        bar.advance(1)
    assert bar.speed == pytest.approx(1 / 6)
    assert str(column.render(progress.tasks[0])) == "left 0:09:00"
    bar.detail("8 images/s")
    assert progress.tasks[0].fields["detail"] == "8 images/s"


# --- rows

ROWS = [
    {"image": "a.png", "score": 0.1 + 0.2, "n": 3, "why": None},
    {"image": 'with "quotes", and commas', "score": float("nan"), "n": np.int64(4), "why": "är"},
    {"image": Path("b.png"), "score": np.float64("inf"), "n": None, "why": pd.NA},
]
COLUMNS = ("image", "score", "n", "why")


def test_csv(tmp_path):
    assert write_rows(ROWS, COLUMNS, out=tmp_path / "rows.csv") == 3
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert float(read[0]["score"]) == 0.1 + 0.2
    assert read[1] == {"image": 'with "quotes", and commas', "score": "", "n": "4", "why": "är"}
    assert read[2] == {"image": "b.png", "score": "inf", "n": "", "why": ""}


def test_json_has_neither_nan_nor_infinities(tmp_path):
    def refuse(name):
        raise AssertionError(name)

    write_rows(ROWS, COLUMNS, out=tmp_path / "rows.json")
    read = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert read[1] == {"image": 'with "quotes", and commas', "score": None, "n": 4, "why": "är"}
    assert read[2]["score"] is None
    write_rows(ROWS, COLUMNS, out=tmp_path / "rows.jsonl")
    lines = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line, parse_constant=refuse) for line in lines] == read


def test_parquet(tmp_path):
    write_rows(ROWS, COLUMNS, out=tmp_path / "rows.parquet")
    read = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(read.columns) == list(COLUMNS)
    assert read["image"].tolist()[2] == "b.png"
    assert read["score"].tolist()[0] == 0.1 + 0.2


def test_rows_in_order_are_taken_too(tmp_path):
    write_rows([(1, 2)], ("a", "b"), out=tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == "a,b\n1,2\n"
    with pytest.raises(ValueError, match="a row has 1 values for 2 columns"):
        write_rows([(1,)], ("a", "b"), out=tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text() == "a,b\n1,2\n"


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--out must end in .csv, .json, .jsonl, .parquet, got .*rows.txt"):
        write_rows(ROWS, COLUMNS, out=tmp_path / "rows.txt")


def test_names_that_are_not_utf8_keep_their_bytes(tmp_path):
    write_rows([[os.fsdecode(b"caf\xe9.png")]], ["image"], out=tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes() == b"image\ncaf\xe9.png\n"
    done = run("import os; write_rows([[os.fsdecode(b'caf\\xe9.png')]], ['image'])", text=False)
    assert done.stdout == b"image\ncaf\xe9.png\n"


def test_standard_output_gets_csv_on_a_pipe_and_a_table_on_a_terminal(capsys, monkeypatch):
    write_rows([["a", 1.23456]], ["name", "value"])
    assert capsys.readouterr().out == "name,value\na,1.23456\n"
    write_rows([["a", 1.23456]], ["name", "value"], output_format=OutputFormat.jsonl)
    assert json.loads(capsys.readouterr().out) == {"name": "a", "value": 1.23456}
    monkeypatch.setattr(sys, "stdout", FakeTerminal())
    write_rows([["a[b]\x1b[31m", 1.23456]], ["name", "value"])
    shown = sys.stdout.getvalue()
    assert "1.235" in shown
    assert "a[b]?[31m" in shown


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("rows.txt", "--out must end in .csv"),
        ("nowhere/rows.csv", "there is no folder"),
        ("folder.csv", "is a folder"),
    ],
)
def test_a_result_that_could_not_be_written_is_refused_before_the_work(tmp_path, out, message, capsys):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(typer.Exit):
        Terminal("tool").check_out(tmp_path / out, (".csv",))
    assert message in capsys.readouterr().err
    Terminal("tool").check_out(tmp_path / "rows.CSV", (".csv",))
    Terminal("tool").check_out(None, (".csv",))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (float("nan"), ""), (0.12345, "0.123"), (12345, "12,345"), (True, "True"), ("[b]", r"\[b]")],
)
def test_cells(value, shown):
    assert cell(value) == shown


def test_what_commands_a_terminal_is_not_printed():
    assert printable("a\x1b]0;title\x07\tb\u202e") == "a?]0;title?\tb?"
