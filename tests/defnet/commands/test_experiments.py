"""`defnet reproduce` and the commands of one experiment: whole on made-up data, every refusal in a sentence."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from defnet import DEFNetError, TrainConfig
from defnet.cli import app
from defnet.commands.experiment_options import parse_seeds, parse_sessions
from defnet.experiments import protocol
from defnet.experiments.ablation import ROWS
from defnet.experiments.found_runs import found_runs
from defnet.experiments.items import ITEMS
from iqa_datasets.testing import make_fake

MIXTURE = [{"name": name, "session": 1, "batch_size": 2} for name in ("live-challenge", "csiq", "bid")]


def defnet(*arguments: str | Path) -> Result:
    """Run the command in this process; an error that is not told as one would come through as it is."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"IQA_DATA_ROOT": ""})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refusal(result: Result) -> str:
    """What is said where nothing could be done."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.stderr


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def write_toml(path: Path, content: dict[str, Any]) -> Path:
    """A configuration's fields as TOML, whose inline tables are JSON with equals signs."""

    def text(value: Any) -> str:
        if isinstance(value, dict):
            inner = (f"{key} = {text(item)}" for key, item in value.items() if item is not None)
            return "{" + ", ".join(inner) + "}"
        return "[" + ", ".join(map(text, value)) + "]" if isinstance(value, list) else json.dumps(value)

    lines = [f"{key} = {text(value)}\n" for key, value in content.items() if value is not None]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of three data sets that are trained on, and one of the three that are never seen."""
    folder = tmp_path_factory.mktemp("places")
    for name, images in (("live-challenge", 20), ("csiq", 30), ("tid2013", 12)):
        make_fake(name, folder, images=images)
    return folder


@pytest.fixture
def config_file(make_config: Callable[..., TrainConfig], tmp_path: Path) -> Callable[..., Path]:
    def write(**changes: Any) -> Path:
        fields = {"data": MIXTURE, "epochs": 1, "steps_per_epoch": 1, "crops": {"test_count": 2}, **changes}
        config = make_config(**fields)
        return write_toml(tmp_path / "small.toml", json.loads(config.model_dump_json()))

    return write


def test_reproduce_all(
    config_file: Callable[..., Path], places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be made with the data sets that are there is made; what cannot is listed with its reason."""
    out = tmp_path / "out"
    arguments = ("reproduce", "all", config_file(), "--sessions", "1", "--data-root", places, "--out", out)

    # It is killed first, after three runs.
    original, made = protocol.run, list[str]()

    def counted(*args: Any, **options: Any) -> Any:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(options["name"])
        return original(*args, **options)

    monkeypatch.setattr(protocol, "run", counted)
    killed = defnet(*arguments)
    assert killed.exit_code == 130
    assert "finished runs and the last state of the others are kept" in killed.stderr
    assert made[:2] == ["q+s+d-M+U+F", "liqe"]
    kept = {run.folder: (run.folder / "result.json").stat().st_mtime_ns for run in found_runs(out)}
    assert len(kept) == 3

    monkeypatch.setattr(protocol, "run", original)
    done = defnet(*arguments)
    assert done.exit_code == 1, done.output
    assert {folder: (folder / "result.json").stat().st_mtime_ns for folder in kept} == kept

    rows = {row["item"]: row for row in rows_of(done.stdout)}
    # Each run is made once for whatever needs it: sixteen rows, LIQE, and five pairs beside the configuration's own.
    names = [run.result.name for run in found_runs(out)]
    assert sorted(names) == sorted(
        [*(row.name for row in ROWS), "liqe", *(f"lambda-{pair}" for pair in
         ("0.1-0.2", "0.1-0.3", "0.2-0.1", "0.3-0.1", "0.4-0.1"))]
    )  # fmt: skip
    assert {run.result.seed for run in found_runs(out)} == {0}
    assert list(found_runs(out)[0].result.data)[:2] == ["live-challenge", "csiq"]
    [whole] = [run.result for run in found_runs(out) if run.result.name == "q+s+d-M+U+F"]
    assert set(whole.zero_shot) == {"tid2013"}
    for item in ("table1", "table3", "table4", "table5", "table6", "table8", "distortions", "claims", "uncertainty"):
        assert rows[item]["made"], rows[item]
        assert rows[item]["not made"] == "", rows[item]
    for item in ("figure1", "figure5", "figure6", "figure8", "figure9", "figure10", "figure11", "reliability"):
        assert rows[item]["made"].split()[0].endswith(".png"), rows[item]
    assert "no run was judged on spaq" in rows["table2"]["not made"]
    assert rows["table2"]["made"]
    assert "was trained on live" in rows["table7"]["not made"]
    assert "defnet gmad" in rows["figure4"]["not made"]
    assert "BID" in rows["bid"]["not made"]
    assert {name for name, row in rows.items() if not row["made"]} == {
        "bid", "spaq", "pipal", "table7", "figure4", "figure7",
    }  # fmt: skip
    assert set(rows) == {*ITEMS, "bid", "spaq", "pipal"}
    files = [Path(path) for row in rows.values() for path in row["made"].split()]
    assert all(path.stat().st_size for path in files)
    assert {path.suffix for path in files} == {".md", ".csv", ".tex", ".png", ".svg"}
    assert (out / "shared_pictures.json").exists()
    pictures = {(row["data set"], row["pictures"]) for row in rows_of((out / "tables" / "table2.csv").read_text())}
    assert {("tid2013", "all"), ("tid2013", "not shared"), ("spaq", "all")} <= pictures

    # From the files alone, the same again, byte for byte.
    monkeypatch.setattr(protocol, "run", None)
    for item in ("table1", "table3", "table6", "distortions", "claims", "uncertainty"):
        again = defnet("reproduce", item, "--tables-only", "--out", out, "--tables", tmp_path / "again")
        assert again.exit_code == 0, again.output
        [path] = [Path(path) for path in rows[item]["made"].split() if path.endswith(".csv")]
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    for command, item in (("ablate", "table4"), ("cross", "table2")):
        one = defnet(command, "--tables-only", "--out", out, "--format", "csv")
        assert one.exit_code == (command == "cross"), one.output
        assert one.stdout == (out / "tables" / f"{item}.csv").read_text()
    five = defnet("sweep", "--tables-only", "--out", out, "--format", "json")
    assert len(json.loads(five.stdout)) == 6 * 3
    assert "SRCC q25" in json.loads(five.stdout)[0]
    monkeypatch.setattr(protocol, "run", original)

    # Another configuration does not go into the same folder.
    other = ("ablate", config_file(data=MIXTURE[:2], epochs=2), "--sessions", "1", "--data-root", places, "--out", out)
    assert "q-M/session-1/seed-0: holds a run with another configuration: epochs is 1 there and 2 here" in refusal(
        defnet(*other)
    )


def test_a_data_set_that_is_judged_later_needs_no_training(
    config_file: Callable[..., Path], places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from defnet.training.loop import Training

    out = tmp_path / "out"
    data = MIXTURE[:1]
    common = ("--sessions", "1", "--data-root", places, "--out", out)
    assert defnet("reproduce", "table1", config_file(data=data), *common).exit_code == 0
    monkeypatch.setattr(Training, "run", None)
    first = defnet("cross", config_file(data=data), "--data", "tid2013", *common)
    assert first.exit_code == 0, first.output
    rows = rows_of(first.stdout)
    assert [(row["data set"], row["images"]) for row in rows[:2]] == [("tid2013", "12"), ("tid2013", "12")]
    second = defnet("cross", config_file(data=data), "--data", "csiq", *common)
    assert {row["data set"] for row in rows_of(second.stdout) if row["SRCC"]} == {"tid2013", "csiq"}
    # What is there already is asked for without the data sets that it was judged on.
    assert defnet("reproduce", "table1", config_file(data=data), *common).exit_code == 0


def test_missing_data_sets_are_named_before_anything_is_trained(
    config_file: Callable[..., Path], places: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    data = [*MIXTURE, {"name": "koniq-10k", "session": 1, "batch_size": 2}]
    for command in (("ablate",), ("sweep",), ("reproduce", "table1")):
        said = refusal(defnet(*command, config_file(data=data), "--data-root", places, "--out", out))
        assert [line.count("BID") + line.count("koniq") for line in said.splitlines()].count(0) == 0, said
        assert len(said.splitlines()) == 2
    said = refusal(defnet("cross", config_file(data=MIXTURE[:2]), "--data-root", places, "--out", out))
    assert len(said.splitlines()) == 2
    assert "SPAQ" in said
    assert not out.exists()
    everything = refusal(defnet("reproduce", "all", config_file(), "--data-root", tmp_path, "--out", out))
    assert len(everything.splitlines()) == 3


def test_a_data_set_without_scenes(config_file: Callable[..., Path], places: Path, tmp_path: Path) -> None:
    data = [{"name": "tid2013", "session": "seeded-1", "batch_size": 2}]
    common = ("--sessions", "seeded-1", "--data-root", places, "--out", tmp_path / "out")
    said = refusal(defnet("ablate", config_file(data=data), *common))
    assert said == (
        "defnet: tid2013: no image has a scene, so that the task 'scene' cannot be learnt; give LIQE's label files as "
        "--labels, or a configuration with [model] tasks = ['quality', 'distortion']\n"
    )
    tasks = {"tasks": ["quality", "distortion"], "train_crops": 2}
    done = defnet("ablate", config_file(data=data, model=tasks), *common)
    assert done.exit_code == 1
    assert {row["tasks"] for row in rows_of(done.stdout) if row["SRCC"]} == {"q", "q+d"}
    assert "8 of 16 runs" in done.stderr


def test_a_data_set_of_one_image(config_file: Callable[..., Path], tmp_path: Path) -> None:
    fake = make_fake("folder", tmp_path / "own", images=12)
    [table] = fake.root.glob("*.csv")
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:2]))
    data = [{"name": "mine", "session": "seeded-1", "batch_size": 1}]
    tasks = {"tasks": ["quality"], "train_crops": 2}
    place = f"mine={fake.root}"
    for command in (("ablate",), ("reproduce", "all")):
        options = ("--sessions", "seeded-1", "--data-root", place, "--out", tmp_path / "out")
        said = refusal(defnet(*command, config_file(data=data, model=tasks), *options))
        assert len(said.splitlines()) == 1, said
        assert "mine" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ablate", "nothing"), "no configuration 'nothing'"),
        (("ablate", "lite", "--sessions", "1-11"), "session must be a whole number from 1 to 10"),
        (("ablate", "lite", "--sessions", "3-1"), "names no session"),
        (("ablate", "lite", "--seeds", "x"), "--seeds x: must be whole numbers"),
        (("ablate", "liqe"), "an ablation needs a model with heads of evidence"),
        (("sweep", "liqe"), "a sweep of λ₁ and λ₂ needs a model with heads of evidence"),
        (("sweep", "lite", "--lambda1", "0.1"), "--lambda1 and --lambda2 go together"),
        (("sweep", "lite", "--lambda1", "0.1", "--lambda2", "0"), "must be positive"),
        (("sweep", "lite", "--lambda1", "a", "--lambda2", "0"), "must be numbers"),
        (("reproduce", "table9"), "there is no 'table9' to reproduce; there are table1,"),
        (("cross", "lite", "--data", "live-challenge"), "live-challenge: is trained on, so it is not one never seen"),
        (("ablate", "--tables-only"), "there is no such folder of runs"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    arguments: tuple[str, ...], message: str, places: Path, tmp_path: Path
) -> None:
    said = refusal(defnet(*arguments, "--data-root", places, "--out", tmp_path / "out"))
    assert message in said
    assert len(said.splitlines()) == 1


def test_a_wrong_configuration_names_its_field(config_file: Callable[..., Path], places: Path, tmp_path: Path) -> None:
    path = config_file()
    path.write_text("epoch = 3\n" + path.read_text())
    said = refusal(defnet("ablate", path, "--data-root", places, "--out", tmp_path / "out"))
    assert "epoch: Extra inputs are not permitted" in said
    nll = refusal(defnet("ablate", config_file(select_by="nll"), "--data-root", places, "--out", tmp_path / "out"))
    assert "row q-M of the ablation cannot be: select_by = 'nll' needs an uncertainty" in nll
    zero = config_file(objective={"lambda1": 0})
    assert "objective.lambda1 is 0" in refusal(defnet("ablate", zero, "--data-root", places, "--out", tmp_path / "o"))


def test_nothing_is_found_in_an_empty_folder(tmp_path: Path) -> None:
    done = defnet("reproduce", "table4", "--tables-only", "--out", tmp_path)
    assert done.exit_code == 2
    assert f"no run of the ablation is in {tmp_path}" in done.stdout
    assert f"no run of the ablation is in {tmp_path}" in refusal(defnet("ablate", "--tables-only", "--out", tmp_path))


def test_sessions_and_seeds() -> None:
    assert parse_sessions("1-3,7,2") == [1, 2, 3, 7]
    assert parse_sessions("seeded-1,official") == ["seeded-1", "official"]
    assert parse_seeds("0-2,7") == [0, 1, 2, 7]
    for wrong in ("", "0", "1-", "x"):
        with pytest.raises(DEFNetError):
            parse_sessions(wrong)
    for wrong in ("", "-1", "2-1"):
        with pytest.raises(DEFNetError):
            parse_seeds(wrong)
