"""Every cell of every table equals what scipy and numpy make of the prediction files, by formulas written anew."""

import csv
import io
import itertools
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, optimize, special, stats

from defnet import TrainConfig
from defnet.experiments import paper
from defnet.experiments.ablation import ROWS, ablation_table, whole_model
from defnet.experiments.claims import claims_table
from defnet.experiments.cross import SharedImages, cross_table
from defnet.experiments.found_runs import found_runs, named
from defnet.experiments.sweep import sweep_configs, sweep_table
from defnet.experiments.table import Table
from defnet.experiments.whole_model import by_dataset_table, by_distortion_table, interval_table
from defnet.report.from_files import make
from defnet.report.tables import to_csv

DATASETS = ("live", "csiq")
WHOLE = "q+s+d-M+U+F"
SCALE = 1.3
Planted = dict[tuple[str, int, int], pd.DataFrame]
Figure = Callable[[pd.DataFrame], float]


def cells(table: Table) -> list[dict[str, str]]:
    """The table as a program reads it from its file."""
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def srcc(rows: pd.DataFrame, column: str = "score") -> float:
    return float(stats.spearmanr(rows[column], rows["quality"])[0])


def plcc(rows: pd.DataFrame, column: str = "score") -> float:
    return float(np.corrcoef(rows[column], rows["quality"])[0, 1])


def krcc(rows: pd.DataFrame) -> float:
    return float(stats.kendalltau(rows["score"], rows["quality"])[0])


def rmse(rows: pd.DataFrame) -> float:
    return float(np.sqrt(np.mean((rows["score"] - rows["quality"]) ** 2)))


def _curve(x: Any, b1: float, b2: float, b3: float, b4: float) -> Any:
    return b2 + (b1 - b2) * special.expit((x - b3) / b4)


def _fit(rows: pd.DataFrame) -> tuple[Any, Any, Any]:
    """The best four-parameter logistic: ends by linear least squares, place and slope from a grid, then polished."""
    return _fitted(tuple(rows["score"]), tuple(rows["quality"]))


@cache
def _fitted(scores: tuple[float, ...], ratings: tuple[float, ...]) -> tuple[Any, Any, Any]:
    x, y = np.array(scores), np.array(ratings)

    def ends(place: float, log_slope: float) -> tuple[Any, Any]:
        rise = special.expit((x - place) / np.exp(log_slope))
        columns = np.stack([rise, 1 - rise], axis=1)
        return columns, np.linalg.lstsq(columns, y, rcond=None)[0]

    def error(chosen: Any) -> float:
        columns, found = ends(*chosen)
        return float(np.sum((columns @ found - y) ** 2))

    grid = itertools.product(np.linspace(x.min(), x.max(), 15), np.linspace(-4, 2, 13))
    starts = sorted(grid, key=error)[:2]
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 4000, "maxfev": 4000}
    best = min(
        (optimize.minimize(error, start, method="Nelder-Mead", options=options) for start in starts),
        key=lambda fit: fit.fun,
    )
    place, log_slope = best.x
    return x, y, (*ends(place, log_slope)[1], place, float(np.exp(log_slope)))


def plcc_logistic(rows: pd.DataFrame) -> float:
    x, y, found = _fit(rows)
    return float(np.corrcoef(_curve(x, *found), y)[0, 1])


def band(rows: pd.DataFrame) -> float:
    """By the delta method: the hat matrix of the logistic's tangent space, from a QR of its derivatives at the fit."""
    x, y, (b1, b2, b3, b4) = _fit(rows)
    z = (x - b3) / b4
    rise = special.expit(z)
    slope = (b1 - b2) * rise * (1 - rise)
    jacobian = np.stack([rise, 1 - rise, -slope / b4, -slope * z / b4], axis=1)
    q, _ = np.linalg.qr(jacobian / np.linalg.norm(jacobian, axis=0))
    residual = y - _curve(x, b1, b2, b3, b4)
    deviation = np.sqrt(residual @ residual / (len(x) - 4) * (q * q).sum(1))
    return float(np.mean(2 * stats.t.ppf(0.975, len(x) - 4) * deviation))


def interval(rows: pd.DataFrame) -> tuple[Any, Any]:
    """The predictive Student t's 95 %: scale² = β (1 + ν) / (ν α), 2α degrees of freedom, β with the variance scale."""
    alpha = rows["alpha_minus_one"] + 1
    scale = np.sqrt(SCALE * rows["beta"] * (1 + rows["nu"]) / (rows["nu"] * alpha))
    low, high = stats.t.interval(0.95, 2 * alpha, rows["loc"], scale)
    return low, high


def width(rows: pd.DataFrame) -> float:
    low, high = interval(rows)
    return float(np.mean(np.clip(high, 1, 5) - np.clip(low, 1, 5)))


def coverage(rows: pd.DataFrame) -> float:
    low, high = interval(rows)
    return float(np.mean((low <= rows["quality"]) & (rows["quality"] <= high)))


def crps(rows: pd.DataFrame) -> float:
    """By the integral of the squared difference of the distribution functions, below and above the rating."""
    alpha = rows["alpha_minus_one"] + 1
    scale = np.sqrt(SCALE * rows["beta"] * (1 + rows["nu"]) / (rows["nu"] * alpha))
    t = stats.t(2 * alpha.to_numpy()[:, None], rows["loc"].to_numpy()[:, None], scale.to_numpy()[:, None])
    below = rows["quality"].to_numpy()[:, None] + np.linspace(-25, 0, 2001)
    above = rows["quality"].to_numpy()[:, None] + np.linspace(0, 25, 2001)
    whole = integrate.simpson(t.cdf(below) ** 2, x=below) + integrate.simpson(t.sf(above) ** 2, x=above)
    return float(np.mean(whole))


def scene_accuracy(rows: pd.DataFrame) -> float:
    return float(np.mean([top in scenes for top, scenes in zip(rows["scene_top"], rows["scenes"], strict=True)]))


def distortion_accuracy(rows: pd.DataFrame) -> float:
    return float(np.mean(rows["distortion_top"] == rows["distortion"]))


def part(rows: pd.DataFrame, dataset: str, name: str = "test") -> pd.DataFrame:
    return rows[(rows["part"] == name) & (rows["dataset"] == dataset)]


def over_sessions(planted: Planted, name: str, figure: Figure) -> list[float]:
    """First quartile, median and third quartile over sessions, of each the mean over its seeds."""
    sessions = sorted({session for row, session, _ in planted if row == name})
    means = [
        np.mean([figure(rows) for (row, of, _), rows in planted.items() if row == name and of == session])
        for session in sessions
    ]
    return [float(np.quantile(means, q)) for q in (0.25, 0.5, 0.75)]


def mean_over(figure: Figure, datasets: Sequence[str] = DATASETS) -> Figure:
    return lambda rows: float(np.mean([figure(part(rows, dataset)) for dataset in datasets]))


def of_dataset(figure: Figure, dataset: str) -> Figure:
    return lambda rows: figure(part(rows, dataset))


def check(row: dict[str, str], column: str, expected: list[float], rel: float = 1e-9, sessions: int = 3) -> None:
    """A median, its quartiles and its number of sessions in a row of a file."""
    found = [float(row[f"{column}{which}"]) for which in (" q25", "", " q75")]
    np.testing.assert_allclose(found, expected, rtol=rel, err_msg=f"{row}: {column}")
    assert row[f"{column} sessions"] == str(sessions)


def number(text: str) -> float | None:
    return float(text) if text else None


def test_table_1(experiment: tuple[Path, Planted]) -> None:
    folder, planted = experiment
    table = by_dataset_table(whole_model(found_runs(folder)))
    rows = cells(table)
    assert [row["data set"] for row in rows[:2]] == ["live", "csiq"]
    figures: dict[str, tuple[Figure, float]] = {
        "SRCC": (srcc, 1e-9),
        "PLCC": (plcc, 1e-9),
        "PLCC logistic": (plcc_logistic, 1e-4),
        "KRCC": (krcc, 1e-9),
        "RMSE": (rmse, 1e-9),
        "expected SRCC": (lambda of: srcc(of, "expected_quality"), 1e-9),
        "expected PLCC": (lambda of: plcc(of, "expected_quality"), 1e-9),
    }
    for row in rows[:2]:
        for column, (figure, rel) in figures.items():
            check(row, column, over_sessions(planted, WHOLE, of_dataset(figure, row["data set"])), rel)
        assert number(row["paper SRCC"]) == paper.TABLE_1[row["data set"]]["srcc"]
        assert number(row["paper PLCC"]) == paper.TABLE_1[row["data set"]]["plcc"]
        assert row["runs"] == "4"
    # The paper's other data sets are there as rows without a measurement.
    assert {row["data set"] for row in rows[2:]} == {"kadid-10k", "bid", "live-challenge", "koniq-10k"}
    assert {(row["SRCC"], row["RMSE"], row["runs"]) for row in rows[2:]} == {("", "", "0")}
    assert set(rows[0]) == {
        "data set", "paper SRCC", "paper PLCC", "runs",
        *(f"{column}{which}" for column in figures for which in ("", " q25", " q75", " sessions")),
    }  # fmt: skip
    assert table.lacking == ()


def test_table_2(experiment: tuple[Path, Planted]) -> None:
    folder, planted = experiment
    whole = whole_model(found_runs(folder))
    shared = [
        SharedImages(
            dataset="tid2013",
            trained_on=dataset,
            sha256=("", ""),
            pictures=len(images),
            compared=(30, 30),
            crops_sought=dataset != "csiq",
            images=images,
        )
        for dataset, images in (
            ("live", ("distorted_images/3.png", "distorted_images/5.png")),
            ("csiq", ("distorted_images/5.png", "distorted_images/9.png")),
        )
    ]
    table = cross_table(whole, shared)
    every, rest = (row for row in cells(table) if row["data set"] == "tid2013")
    out = {f"distorted_images/{n}.png" for n in (3, 5, 9)}
    for row, images, chosen in (
        (every, 30, lambda rows: part(rows, "tid2013", "all")),
        (rest, 27, lambda rows: part(rows, "tid2013", "all")[lambda of: ~of["image"].isin(out)]),
    ):
        assert row["images"] == str(images)
        assert row["runs"] == "4"
        for column, figure, rel in (
            ("SRCC", srcc, 1e-9),
            ("PLCC", plcc, 1e-9),
            ("PLCC logistic", plcc_logistic, 1e-4),
            ("expected SRCC", lambda of: srcc(of, "expected_quality"), 1e-9),
        ):
            expected = over_sessions(planted, WHOLE, lambda rows, f=figure, c=chosen: f(c(rows)))  # type: ignore[misc]
            check(row, column, expected, rel)
    assert (every["pictures"], number(every["paper SRCC"])) == ("all", 0.828)
    assert (rest["pictures"], rest["paper SRCC"]) == ("not shared", "")
    text = " ".join(table.notes)
    assert "tid2013 shares 2 with live, 2 with csiq of its pictures: 3 images are left out" in text
    assert "Crops were not sought in csiq" in text
    assert "no run was judged on spaq" in " ".join(table.lacking)
    assert "which pictures tid2013 shares with live" in " ".join(cross_table(whole, shared[1:]).lacking)


@pytest.mark.parametrize(("dataset", "name"), [("csiq", "table3"), ("live", "table7")])
def test_tables_3_and_7(dataset: str, name: str, experiment: tuple[Path, Planted]) -> None:
    folder, planted = experiment
    table = by_distortion_table(whole_model(found_runs(folder)), dataset)
    assert table.name == name
    printed = {"csiq": paper.TABLE_3, "live": paper.TABLE_7}.get(dataset, {})

    def rows_of(kind: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
        def chosen(rows: pd.DataFrame) -> pd.DataFrame:
            of = part(rows, dataset)
            return of[of["image"].str.contains(f"(?:^|/){kind}/")] if printed else of[of["distortion"] == kind]

        return chosen

    rows = cells(table)
    measured = [row for row in rows if row["runs"] != "0"]
    assert len(measured) == 3
    assert {row["type"] for row in rows} == set(printed or ("noise", "blur", "contrast"))
    for row in rows:
        assert number(row["paper SRCC"]) == printed.get(row["type"])
    for row in measured:
        chosen = rows_of(row["type"])
        assert (row["images"], row["runs"]) == ("10.0", "4")
        for column, figure in (
            ("SRCC", srcc),
            ("PLCC", plcc),
            ("expected SRCC", lambda of: srcc(of, "expected_quality")),
        ):
            check(row, column, over_sessions(planted, WHOLE, lambda rows, f=figure, c=chosen: f(c(rows))))  # type: ignore[misc]


def test_table_4(experiment: tuple[Path, Planted]) -> None:
    folder, planted = experiment
    table = ablation_table(found_runs(folder))
    rows = cells(table)
    assert [f"{row['tasks']}-{row['losses']}" for row in rows] == [row.name for row in ROWS] == list(paper.TABLE_4)
    for row in rows:
        name = f"{row['tasks']}-{row['losses']}"
        printed = paper.TABLE_4[name]
        for column, figure, key in (
            ("SRCC", srcc, "srcc"),
            ("PLCC", plcc, "plcc"),
            ("PLCC logistic", plcc_logistic, ""),
            ("expected SRCC", lambda of: srcc(of, "expected_quality"), ""),
            ("expected PLCC", lambda of: plcc(of, "expected_quality"), ""),
        ):
            rel = 1e-4 if "logistic" in column else 1e-9
            check(row, column, over_sessions(planted, name, mean_over(figure)), rel)
            if key:
                assert number(row[f"paper {column}"]) == printed[key]
        for letter, task, figure in (("s", "scene", scene_accuracy), ("d", "distortion", distortion_accuracy)):
            assert number(row[f"paper ACC {letter}"]) == printed.get(f"{task}_accuracy")
            if letter in row["tasks"]:
                check(row, f"ACC {letter}", over_sessions(planted, name, mean_over(figure)))
            else:
                assert row[f"ACC {letter}"] == row[f"ACC {letter} q25"] == row[f"ACC {letter} sessions"] == ""
        assert row["runs"] == "4"
        # What is planted in rows M is that the score is the expected quality.
        assert (row["SRCC"] == row["expected SRCC"]) is (row["losses"] == "M")
    assert "The best constant answer has ACC s 1.000 and ACC d 0.333." in table.notes
    assert table.lacking == ()


def test_table_5(experiment: tuple[Path, Planted]) -> None:
    folder, planted = experiment
    rows = cells(sweep_table(found_runs(folder)))
    assert len(rows) == 6 * 3
    for row in rows:
        pair = (float(row["lambda1"]), float(row["lambda2"]))
        name = WHOLE if pair == (0.1, 0.1) else f"lambda-{row['lambda1']}-{row['lambda2']}"
        dataset = row["data set"]
        for column, figure, key in (
            ("SRCC", srcc, "srcc"),
            ("PLCC", plcc, "plcc"),
            ("expected SRCC", lambda of: srcc(of, "expected_quality"), ""),
            ("expected PLCC", lambda of: plcc(of, "expected_quality"), ""),
        ):
            of = mean_over(figure) if dataset == "mean" else of_dataset(figure, dataset)
            check(row, column, over_sessions(planted, name, of))
            if key:
                printed = paper.TABLE_5[pair]
                values = [of_set[key] for of_set in printed.values()]
                expected = np.mean(values) if dataset == "mean" else printed[dataset][key]
                assert float(row[f"paper {column}"]) == pytest.approx(expected)
        assert row["runs"] == "4"


def test_table_6(experiment: tuple[Path, Planted]) -> None:
    folder, planted = experiment
    runs = found_runs(folder)
    rows = cells(interval_table(whole_model(runs), named(runs, "liqe")))
    assert [(row["model"], row["data set"]) for row in rows] == [
        (model, dataset) for model in ("liqe", "defnet") for dataset in (*DATASETS, "mean")
    ]
    for row in rows:
        name = "liqe" if row["model"] == "liqe" else WHOLE
        for column, figure, rel in (
            ("band width", band, 2e-3),
            ("interval width", width, 1e-9),
            ("interval coverage", coverage, 1e-9),
        ):
            if name == "liqe" and column != "band width":
                assert row[column] == ""
                continue
            of = mean_over(figure) if row["data set"] == "mean" else of_dataset(figure, row["data set"])
            check(row, column, over_sessions(planted, name, of), rel)
        printed = {"liqe": 0.286, "defnet": 0.251}[row["model"]]
        assert number(row["paper width"]) == (printed if row["data set"] == "mean" else None)


def test_claims(experiment: tuple[Path, Planted]) -> None:
    """Differences of the rows, the corrected t-test and Holm's adjustment, each written out again."""
    folder, planted = experiment
    rows = cells(claims_table(found_runs(folder)))
    figures: dict[str, tuple[Figure, int, float]] = {
        "SRCC": (srcc, 1, 1e-9),
        "PLCC": (plcc, 1, 1e-9),
        "PLCC logistic": (plcc_logistic, 1, 1e-2),
        "width of the logistic's band": (band, -1, 2e-2),
        "width of the 95 % interval": (width, -1, 1e-9),
        "CRPS": (crps, -1, 1e-4),
    }
    assert len(rows) == 3 * (13 + 9 + 9) + 3 * 5 + 4
    pairs_of: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in rows:
        if row["without"]:
            pairs_of.setdefault((row["claim"], row["figure"]), []).append((row["with"], row["without"]))
    assert {claim: len(pairs) for (claim, figure), pairs in pairs_of.items() if figure in ("SRCC", "CRPS")} == {
        "auxiliary tasks help": 12, "the loss U helps": 8, "the loss F helps": 8, "fusion lowers uncertainty": 4,
        "DEFNet is better than LIQE": 1,
    }  # fmt: skip
    known: dict[tuple[str, str, int, int], float] = {}

    def of(row: str, name: str, session: int, seed: int) -> float:
        key = (row, name, session, seed)
        if key not in known:
            known[key] = mean_over(figures[name][0])(planted[row, session, seed])
        return known[key]

    families: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        _, sign, rel = figures[row["figure"]]
        pairs = pairs_of[row["claim"], row["figure"]]
        if row["without"]:
            pairs = [(row["with"], row["without"])]
        else:
            assert row["with"] == f"mean of these {len(pairs)}"
        differences = [
            np.mean(
                [
                    of(one, row["figure"], session, seed) - of(other, row["figure"], session, seed)
                    for seed in ((0, 1) if session == 1 else (0,))
                    for one, other in pairs
                ]
            )
            for session in (1, 2, 3)
        ]
        values = np.array(differences)
        assert float(row["difference"]) == pytest.approx(values.mean(), rel=rel, abs=1e-12 + 1e-3 * (rel > 1e-6))
        assert row["better in"] == f"{np.sum(sign * values > 0)} of 3"
        if rel < 1e-6:
            # n_test / n_train of what is planted is 30 / 105.
            error = values.std(ddof=1) * np.sqrt(1 / 3 + 30 / 105)
            t = values.mean() / error
            assert float(row["t"]) == pytest.approx(t)
            assert float(row["p"]) == pytest.approx(2 * stats.t.sf(abs(t), 2))
            reach = stats.t.ppf(0.975, 2) * error
            assert float(row["low"]) == pytest.approx(values.mean() - reach)
            assert float(row["high"]) == pytest.approx(values.mean() + reach)
        families.setdefault((row["claim"] if row["without"] else "means", row["figure"]), []).append(row)
    for family in families.values():
        p = [float(row["p"]) for row in family]
        for row, own in zip(family, p, strict=True):
            # Holm: the largest, over the p-values that are no larger, of each times how many are no smaller.
            adjusted = max(min(1.0, other * sum(q >= other for q in p)) for other in p if other <= own)
            assert float(row["p (Holm)"]) == pytest.approx(adjusted)
            sign = figures[row["figure"]][1]
            expected = "not shown" if adjusted >= 0.05 else "yes" if sign * float(row["difference"]) > 0 else "opposite"
            assert row["holds"] == expected


def test_claims_find_what_is_planted(
    make_config: Callable[..., TrainConfig], plant_run: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    """Of ten sessions: a row whose errors are much smaller than the other's holds the claim."""
    config = make_config()
    for session in range(1, 11):
        plant_run(tmp_path, "q-M", make_config(objective={"cross": False, "fusion": False}), session)
        plant_run(tmp_path, "q-M+U", config, session)
    by_claim = {row["claim"]: row for row in cells(claims_table(found_runs(tmp_path))) if row["figure"] == "SRCC"}
    # M's scores are the expected quality, with errors of 0.4; M+U's have 0.2.
    assert by_claim["the loss U helps"]["holds"] == "yes"
    assert float(by_claim["the loss U helps"]["difference"]) > 0
    assert set(by_claim) == {"the loss U helps"}


def test_a_sweep_of_fewer_tasks_has_its_own_pair(
    make_config: Callable[..., TrainConfig], plant_run: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    config = make_config(model={"tasks": ["quality", "scene"]}, objective={"lambda1": 0.2, "lambda2": 0.1})
    configs = sweep_configs(config, [(0.2, 0.1), (0.05, 0.1)])
    assert list(configs) == ["q+s-M+U+F", "lambda-0.05-0.1"]
    for name, chosen in (*configs.items(), ("q-M+U+F", make_config(model={"tasks": ["quality"]}))):
        plant_run(tmp_path, name, chosen, 1)
    rows = {(row["lambda1"], row["lambda2"]): row for row in cells(sweep_table(found_runs(tmp_path)))}
    assert {pair: row["runs"] for pair, row in rows.items() if row["runs"] != "0"} == {
        ("0.2", "0.1"): "1",
        ("0.05", "0.1"): "1",
    }
    [whole] = named(found_runs(tmp_path), "q+s-M+U+F")
    assert float(rows["0.2", "0.1"]["SRCC"]) == whole.result.figures["test"]["live-challenge"]["srcc"]
    assert rows["0.05", "0.1"]["paper SRCC"] == ""


def test_an_unfinished_set_says_what_is_not_there(
    make_config: Callable[..., TrainConfig], plant_run: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    plant_run(tmp_path, "q-M", make_config(), 1)
    plant_run(tmp_path, "q-M", make_config(), 2)
    plant_run(tmp_path, "q-M+U", make_config(), 1)
    runs = found_runs(tmp_path)
    table = ablation_table(runs)
    [sentence] = table.lacking
    assert sentence.startswith("Not there yet: 29 of 32 runs: q-M+U (session 2); q-M+F (sessions 1 2);")
    assert [row["runs"] for row in cells(table)] == ["2", "1", *["0"] * 14]
    [sentence] = ablation_table(runs, [(1, 0)]).lacking
    assert "q-M+U (" not in sentence
    outcomes = {outcome.item: outcome for outcome in make(("table1", "table2", "table4", "table5"), tmp_path)}
    assert outcomes["table4"].table is not None
    assert outcomes["table1"].problem == f"no run of the whole model is in {tmp_path}"
    assert outcomes["table5"].problem == f"no run of the sweep is in {tmp_path}"
    # Only the sessions that are asked for are in the table.
    [chosen] = make(("table4",), tmp_path, wanted=[(1, 0)])
    assert chosen.table is not None
    assert [row["runs"] for row in cells(chosen.table)][:2] == ["1", "1"]


def test_a_figure_that_could_not_be_computed_is_not_left_out(
    make_config: Callable[..., TrainConfig], plant_run: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    """One session whose predictions are all the same has no SRCC, and so the median has none."""
    from defnet.experiments.result import read_result, write_result

    for session in (1, 2, 3):
        plant_run(tmp_path, "q+s+d-M+U+F", make_config(), session)
    folder = tmp_path / "q+s+d-M+U+F" / "session-2" / "seed-0"
    result = read_result(folder)
    figures = dict(result.figures["test"]["live-challenge"]) | {"srcc": float("nan")}
    changed = {**result.figures, "test": {"live-challenge": figures}}
    write_result(folder, result.model_copy(update={"figures": changed}))
    row = cells(by_dataset_table(found_runs(tmp_path)))[0]
    assert row["SRCC"] == ""
    assert row["SRCC sessions"] == "3"
    assert row["PLCC"] != ""
