"""The command `iqa-datasets` as a shell sees it: output, files and exit codes."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from iqa_datasets import SCHEMA, available, info, load
from iqa_datasets.cli import app

runner = CliRunner()


def run(*arguments):
    return runner.invoke(app, [str(argument) for argument in arguments])


def commands():
    return sorted(command.name for command in app.registered_commands)


def test_there_is_a_command_for_each_task():
    assert {"fake", "fetch", "info", "list", "overlap", "plot", "sessions", "synthesize", "table", "verify"} <= set(
        commands()
    )


@pytest.mark.parametrize("command", commands())
def test_help_has_no_private_names(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output
    assert "Traceback" not in result.output


def test_starts_without_pandas():
    code = (
        "import sys, iqa_datasets.cli; heavy = {'pandas', 'scipy', 'torch', 'matplotlib', 'PIL'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# list and info


def test_list():
    assert [card["name"] for card in json.loads(run("list", "--format", "json").output)] == available()
    rows = list(csv.DictReader(io.StringIO(run("list", "--format", "csv").output)))
    assert [row["id"] for row in rows] == available()
    table = run("list").output
    assert all(name in table for name in available())


@pytest.mark.parametrize("name", available())
def test_info(name):
    text = run("info", name).output
    card = info(name)
    assert card.home_page in text
    assert card.licence in text
    assert json.loads(run("info", name, "--format", "json").output)["title"] == card.title


def test_info_of_unknown():
    result = run("info", "live-chalenge")
    assert result.exit_code == 2
    assert "did you mean 'live-challenge'?" in result.stderr


# verify


def test_verify_whole(clive):
    result = run("verify", "live-challenge", clive.root, "--workers", 1)
    assert result.exit_code == 0
    assert "identical (1)" in result.stdout
    assert "the label files list 24 images; the whole data set has 1,162" in result.stderr


def test_verify_with_faults(clive, tmp_path):
    path = Path(load("live-challenge", clive.root).records["image_path"][4])
    path.write_bytes(path.read_bytes()[:-300])
    for suffix in ("csv", "json"):
        out = tmp_path / f"report.{suffix}"
        result = run("verify", "live-challenge", clive.root, "--workers", 1, "--out", out)
        assert result.exit_code == 1
        assert f"{path} is damaged or truncated" in result.stdout
    rows = list(csv.DictReader((tmp_path / "report.csv").open()))
    assert {row["kind"] for row in rows} == {"unreadable", "identical"}
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["ok"] is False
    assert content["findings"] == rows


def test_verify_with_damaged_labels(clive):
    (clive.root / "Data" / "AllMOS_release.mat").write_bytes(b"x")
    result = run("verify", "live-challenge", clive.root)
    assert result.exit_code == 1
    assert "no image was looked at" in result.stderr


@pytest.mark.parametrize("arguments", [("live-challenge", "nowhere"), ("nothing", "."), ("live-challenge", ".")])
def test_verify_of_nothing(arguments):
    result = run("verify", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("iqa-datasets: ")
    assert result.exception is None or isinstance(result.exception, SystemExit)


# sessions


def test_sessions_with_labels(clive):
    result = run("sessions", "live-challenge", clive.root, "--labels", clive.labels, "--format", "table")
    assert result.exit_code == 1
    assert "session 1: Images/" in result.stdout
    report = json.loads(
        run("sessions", "live-challenge", clive.root, "--labels", clive.labels, "--format", "json").stdout
    )
    assert [entry["session"] for entry in report] == [str(number) for number in range(1, 11)]
    assert all(sum(entry["parts"].values()) == 24 for entry in report)
    assert {"content"} <= {pair["kind"] for pair in report[0]["on_both_sides"]}


def test_sessions_of_our_own(clive):
    result = run("sessions", "live-challenge", clive.root, "--session", "seeded-1", "--session", "seeded-2:0.5/0/0.5")
    assert result.exit_code == 0, result.output
    assert "seeded-2:0.5/0/0.5" in result.stdout
    assert run("sessions", "live-challenge", clive.root).exit_code == 0


def test_sessions_refusal(clive):
    result = run("sessions", "live-challenge", clive.root, "--session", "3")
    assert result.exit_code == 2
    assert "session=3 needs LIQE's label files" in result.stderr


# overlap


def test_overlap(clive, tmp_path):
    pair = f"live-challenge={clive.root}"
    out = tmp_path / "shared.csv"
    result = run("overlap", pair, pair, "--no-crops", "--out", out, "--format", "table")
    assert result.exit_code == 0
    assert "not sought" in result.stdout
    table = pd.read_csv(out)
    assert (table.loc[table["first"] == table["second"], "kind"] == "identical").sum() == 23
    [entry] = json.loads(run("overlap", pair, pair, "--no-crops", "--format", "json").stdout)
    assert entry["pictures_compared"] == [23, 23]
    assert len(entry["shared"]) == len(table)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("live-challenge=x",), "two data sets or more"),
        (("live-challenge", "live-challenge"), "must be NAME=ROOT"),
        (("nothing=x", "live-challenge=y"), "unknown data set 'nothing'"),
    ],
)
def test_overlap_refusals(arguments, message):
    result = run("overlap", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


# table


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_table_to_file(clive, tmp_path, suffix):
    out = tmp_path / f"table.{suffix}"
    arguments = ("--labels", clive.labels, "--session", 1, "--part", "test", "--relative", "--out", out)
    assert run("table", "live-challenge", clive.root, *arguments).exit_code == 0
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "jsonl": lambda path: pd.read_json(path, lines=True)}
    table = read[suffix](out)
    expected = load("live-challenge", clive.root, labels=clive.labels, session=1, part="test").records
    assert list(table.columns) == list(SCHEMA)
    assert table["mos"].tolist() == pytest.approx(expected["mos"].tolist(), rel=1e-9)
    assert table["image_path"].str.startswith("Images/").all()
    assert table["scenes"].str.split("|").map(tuple).tolist() == expected["scenes"].tolist()
    assert list(tmp_path.glob(".*")) == []


def test_table_on_a_pipe(clive):
    result = run("table", "live-challenge", clive.root)
    table = pd.read_csv(io.StringIO(result.stdout))
    assert len(table) == 24
    assert all(Path(path).is_file() for path in table["image_path"])


@pytest.mark.parametrize(
    ("command", "name"), [("table", "t.csv"), ("verify", "t.csv"), ("plot", "t.svg"), ("overlap", "t.csv")]
)
def test_where_nothing_can_be_written(tmp_path, command, name):
    """Said before the work is begun: there is no data set at all here."""
    place = f"live-challenge={tmp_path}" if command == "overlap" else tmp_path
    arguments = (place, place) if command == "overlap" else ("live-challenge", place)
    result = run(command, *arguments, "--out", tmp_path / "nowhere" / name)
    assert result.exit_code == 2
    assert f"there is no folder {tmp_path / 'nowhere'}" in result.stderr
    (tmp_path / name).mkdir()
    assert "is a folder; give a file in it" in run(command, *arguments, "--out", tmp_path / name).stderr


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_table_keeps_further_columns(copied, tmp_path, suffix):
    fake = copied("koniq-10k")
    out = tmp_path / f"koniq{suffix}"
    assert run("table", "koniq-10k", fake.root, "--out", out).exit_code == 0
    read = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".jsonl": lambda file: pd.read_json(file, lines=True)}
    written, records = read[suffix](out), load("koniq-10k", fake.root).records
    assert list(written.columns) == list(records.columns)
    for column in ("ratings_1", "ratings_4"):
        assert written[column].tolist() == records[column].tolist()


def test_columns_of_ones_own_go_to_parquet_and_back(copied, tmp_path):
    dataset = load("koniq-10k", copied("koniq-10k").root)
    scored = dataset.with_columns({"brisque": [0.5] * len(dataset), "features": [[1.0, 2.0]] * len(dataset)})
    scored.records.to_parquet(tmp_path / "scored.parquet")
    again = pd.read_parquet(tmp_path / "scored.parquet")
    assert again["brisque"].tolist() == [0.5] * len(dataset)
    assert again["features"].iloc[3].tolist() == [1.0, 2.0]
    assert again["image_path"].tolist() == dataset.records["image_path"].tolist()


def test_table_to_unknown_format(clive, tmp_path):
    result = run("table", "live-challenge", clive.root, "--out", tmp_path / "table.xls")
    assert result.exit_code == 2
    assert "must end in .csv, .json, .jsonl, .parquet" in result.stderr


# plot and fake


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_plot(clive, tmp_path, suffix):
    out = tmp_path / f"scores.{suffix}"
    result = run("plot", "live-challenge", clive.root, "--out", out, "--score", "quality")
    assert result.exit_code == 0
    assert out.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r")


def test_fake_prints_the_command_that_reads_it(tmp_path):
    result = run("fake", "live-challenge", tmp_path / "made", "--images", 12)
    assert result.exit_code == 0
    words = result.stdout.split()
    assert words[0] == "iqa-datasets"
    table = run(*words[1:])
    assert table.exit_code == 0
    assert len(pd.read_csv(io.StringIO(table.stdout))) == 12
    again = run("fake", "live-challenge", tmp_path / "made")
    assert again.exit_code == 2
    assert "Traceback" not in again.output


def test_file_names_cannot_command_the_terminal(clive):
    path = Path(load("live-challenge", clive.root).records["image_path"][4])
    stray = path.with_name("x\x1b[31m\x07.png")
    stray.write_bytes(path.read_bytes())
    result = run("verify", "live-challenge", clive.root, "--workers", 1)
    assert result.exit_code == 1
    assert "x?[31m?.png" in result.stdout
    assert "\x1b[31m" not in result.stdout


def test_as_a_program(clive):
    program = Path(sys.executable).with_name("iqa-datasets")
    done = subprocess.run([program, "table", "live-challenge", clive.root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 25
    # Whoever reads only the start must not be shown a traceback.
    piped = subprocess.run(
        f"'{program}' table live-challenge '{clive.root}' | head -n 1",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    )
    assert piped.stdout.startswith("image_path,")
    assert "Traceback" not in piped.stderr


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full")
@pytest.mark.parametrize("command", ["table", "verify", "sessions"])
def test_a_full_disk_under_standard_output_is_one_line_and_2(clive, command):
    program = Path(sys.executable).with_name("iqa-datasets")
    with FULL.open("w") as full:
        done = subprocess.run(
            [program, command, "live-challenge", clive.root],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "iqa-datasets: cannot write: no space left on device"
    assert "Traceback" not in done.stderr


def test_reports_in_every_format(clive):
    arguments = ("sessions", "live-challenge", clive.root, "--session", "seeded-1")
    [row] = csv.DictReader(io.StringIO(run(*arguments, "--format", "csv").stdout))
    [entry] = json.loads(run(*arguments, "--format", "json").stdout)
    assert json.loads(run(*arguments, "--format", "jsonl").stdout) == entry
    assert {part: int(row[part]) for part in entry["parts"]} == entry["parts"]
    records = [json.loads(line) for line in run("table", *arguments[1:3], "--format", "jsonl").stdout.splitlines()]
    assert [record["mos"] for record in records] == load("live-challenge", clive.root).records["mos"].tolist()
