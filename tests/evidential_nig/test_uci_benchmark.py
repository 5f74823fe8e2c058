"""The UCI benchmark measures what it says: splits, standardising, batched training, choosing, resuming."""

import csv
import importlib.util
import math
import os
import sys
from pathlib import Path

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, Normal

from evidential_nig import NormalInverseGamma, evidential_loss, nig_nll

SCRIPT = Path(__file__).parents[2] / "packages" / "evidential-nig" / "benchmarks" / "uci.py"
# Rows and features of the sets.
SHAPES = {
    "boston": (506, 13),
    "concrete": (1030, 8),
    "energy": (768, 8),
    "kin8nm": (8192, 8),
    "power": (9568, 4),
    "wine": (1599, 11),
    "yacht": (308, 6),
}


def load_script():
    specification = importlib.util.spec_from_file_location("uci_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look their module up there
    specification.loader.exec_module(module)
    return module


uci = load_script()
METHODS = {method.name: method for method in uci.METHODS}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


@pytest.fixture(autouse=True)
def two_epochs(monkeypatch):
    monkeypatch.setattr(uci, "EPOCHS", 2)


@pytest.fixture
def data(generator):
    """53 rows of 3 inputs, far from standardised."""
    x = 5 + 3 * torch.randn(53, 3, generator=generator, dtype=torch.float64)
    y = 100 + 20 * x[:, 0] + 10 * torch.randn(53, generator=generator, dtype=torch.float64)
    return x, y


@pytest.fixture(scope="session")
def uci_folder():
    if not (root := os.environ.get("IQA_DATA_ROOT")):
        pytest.skip("IQA_DATA_ROOT is not set: no real data")
    folder = Path(root) / "uci"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist: no UCI data")
    return folder


def write_set(path, x, y):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*(f"x{i}" for i in range(x.shape[1])), "y"])
        writer.writerows(torch.cat((x, y[:, None]), 1).tolist())


@pytest.mark.parametrize(("rows", "held_out"), [(308, 31), (506, 51), (9568, 957)])
def test_a_split_holds_out_a_tenth_and_loses_no_row(rows, held_out):
    for repetition in range(3):
        train, test = uci.split(rows, repetition)
        assert len(test) == held_out
        assert torch.equal(torch.cat((train, test)).sort().values, torch.arange(rows))
    assert torch.equal(uci.split(rows, 2)[1], test)
    assert not torch.equal(uci.split(rows, 1)[1].sort().values, test.sort().values)


def test_folds_hold_out_training_rows_once_and_train_on_the_others():
    rows = uci.split(58, 0)[0]  # 52 rows, so that two are never held out
    held_before = set()
    for train, held in uci.folds(rows, 5):
        assert len(held) == 10
        assert set(train.tolist()) | set(held.tolist()) == set(rows.tolist())
        assert not set(train.tolist()) & set(held.tolist())
        assert not held_before & set(held.tolist())
        held_before |= set(held.tolist())
    assert len(held_before) == 50
    assert len(list(uci.folds(rows, 2))) == 2


def test_standardising_knows_the_training_rows_alone(data):
    x = torch.cat((data[0], torch.full((53, 1), 7.0)), 1)
    (train, held), center, scale = uci.standardise(x[:40], x[40:])
    torch.testing.assert_close(train.mean(0), torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(train[:, :3].square().mean(0), torch.ones(3, dtype=torch.float64))
    assert torch.equal(train[:, 3], torch.zeros(40, dtype=torch.float64))
    torch.testing.assert_close(held * scale + center, x[40:])
    (train_again, _), *_ = uci.standardise(x[:40], 1000 * x[40:])
    assert torch.equal(train, train_again)


@pytest.mark.parametrize("make_belief", [uci.nig_belief, uci.normal_belief], ids=["nig", "normal"])
def test_figures_are_in_the_units_of_the_target(data, make_belief, generator):
    x, y = data
    parts = [uci.split(53, repetition) for repetition in (0, 1)]
    tasks = uci.Tasks.make(x, y, parts, [0, 1])
    torch.testing.assert_close(
        tasks.targets(), torch.stack([y[test] for _, test in parts]), rtol=1e-6, atol=1e-6, check_dtype=False
    )
    outputs = 4 if make_belief is uci.nig_belief else 2
    standardised = make_belief(torch.randn(2, 5, outputs, generator=generator))
    inside = uci.predictive(standardised).log_prob(tasks.y_held)
    outside = uci.predictive(tasks.in_units(standardised)).log_prob(tasks.targets())
    # A density in other units: divided by what one standardised unit is.
    torch.testing.assert_close(outside, inside.double() - tasks.scale.double().log(), rtol=1e-5, atol=1e-5)


def some_tasks(data, repetitions=(0, 1)):
    return uci.Tasks.make(*data, [uci.split(53, repetition) for repetition in repetitions], list(repetitions))


@pytest.mark.parametrize("make_belief", [uci.nig_belief, uci.normal_belief], ids=["nig", "normal"])
def test_the_batched_network_is_the_sequential_one(make_belief, generator):
    layers = [uci.make_network(3, make_belief) for _ in range(4)]
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.normal_(generator=generator)
    x = torch.randn(4, 7, 3, generator=generator)
    batched = make_belief(uci.Networks(layers)(x))
    for i, layer in enumerate(layers):
        alone = layer(x[i])
        if make_belief is uci.nig_belief:
            assert isinstance(alone, NormalInverseGamma)
            pairs = [(getattr(batched, name)[i], getattr(alone, name)[:, 0]) for name in ("loc", "nu", "alpha", "beta")]
        else:
            normal = uci.normal_belief(alone)
            pairs = [(batched.loc[i], normal.loc), (batched.scale[i], normal.scale)]
        for computed, expected in pairs:
            torch.testing.assert_close(computed, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make_belief", [uci.nig_belief, uci.normal_belief], ids=["nig", "normal"])
def test_both_kinds_start_at_a_noise_of_variance_one(make_belief):
    x = torch.randn(1, 9, 3)
    belief = make_belief(uci.Networks([uci.make_network(3, make_belief)])(x))
    variance = belief.variance if isinstance(belief, Normal) else belief.aleatoric
    torch.testing.assert_close(variance, torch.ones(1, 9))


@each_method
def test_training_together_is_training_alone_with_adam(method, data):
    tasks = some_tasks(data)
    rates = torch.tensor([[1e-3, 1e-3], [2e-2, 5e-3]])
    coefficients = torch.tensor([[0.0, 0.0], [0.3, 0.1]])
    together = uci.train(method, tasks, rates, coefficients, batch_size=5)
    for candidate in range(2):
        for t in range(2):
            torch.manual_seed(tasks.seeds[t])
            network = uci.make_network(3, method.belief)
            optimizer = torch.optim.Adam(network.parameters(), lr=rates[candidate, t].item())
            generator = torch.Generator().manual_seed(tasks.seeds[t])
            for _ in range(2):
                order = torch.randperm(48, generator=generator)
                for batch in order[:45].split(5):
                    output = network(tasks.x[t, batch])
                    if isinstance(output, NormalInverseGamma):
                        belief = output.map(torch.Tensor.t)
                    else:
                        belief = method.belief(output[None])
                    optimizer.zero_grad()
                    method.loss(
                        belief, tasks.y[t, batch][None], coefficients[candidate, t].view(1, 1)
                    ).mean().backward()
                    optimizer.step()
            n = 2 * candidate + t
            expected = [p.detach().T if p.dim() == 2 else p.detach() for p in network.parameters()]
            for computed, reference in zip(together.parameters, expected, strict=True):
                torch.testing.assert_close(computed[n], reference, rtol=1e-3, atol=1e-5)


def test_the_losses_are_those_of_the_package(data, generator):
    nig = uci.nig_belief(torch.randn(2, 6, 4, generator=generator))
    target = torch.randn(2, 6, generator=generator)
    taus = torch.tensor([[0.2], [3.0]])
    loss = METHODS["evidential"].loss(nig, target, taus)
    for i, tau in enumerate((0.2, 3.0)):
        torch.testing.assert_close(loss[i], evidential_loss(nig[i], target[i], tau, reduction="none"))
    for name in ("NLL + KL", "NLL + scale-aware", "NLL + Lipschitz MSE"):
        without = METHODS[name].loss(nig, target, torch.zeros(2, 1))
        torch.testing.assert_close(without, nig_nll(nig, target, reduction="none"))
        assert not torch.equal(METHODS[name].loss(nig, target, taus), without)


def test_the_first_method_is_the_evidential_loss_and_names_are_unique():
    assert uci.METHODS[0].name == "evidential"
    names = [label for method in uci.METHODS for label in uci.labels(method)]
    assert len(set(names)) == len(names)


def test_an_ensemble_has_the_moments_of_its_mixture(generator):
    members = Normal(torch.randn(5, 4, generator=generator), 0.1 + torch.rand(5, 4, generator=generator))
    mixture = MixtureSameFamily(
        Categorical(torch.ones(4, 5)), Normal(members.loc.T.contiguous(), members.scale.T.contiguous())
    )
    matched = uci.moment_matched(members)
    torch.testing.assert_close(matched.mean, mixture.mean)
    torch.testing.assert_close(matched.variance, mixture.variance)


def test_the_held_out_rows_choose_the_learning_rate_that_learns(data, monkeypatch):
    monkeypatch.setattr(uci, "EPOCHS", 20)
    monkeypatch.setattr(uci, "LEARNING_RATES", (1e-7, 1e-2, 1e-6))
    choice = uci.choose(METHODS["NLL alone"], *data, [0, 3], batch_size=4)
    torch.testing.assert_close(choice.learning_rate, torch.full((2,), 1e-2))
    assert torch.equal(choice.coefficient, torch.zeros(2))
    assert all(0.2 < scale.factor < 5 for scale in choice.scales)


@pytest.mark.parametrize("name", ["evidential", "Gaussian"])
def test_no_choice_looks_at_the_test_rows(name, data):
    x, y = data
    _, test = uci.split(53, 1)
    spoilt = y.clone()
    spoilt[test] += 1e4
    chosen = ("learning_rate", "coefficient", "scale_factor", "sharpness")
    for before, after in zip(
        uci.run(METHODS[name], "made up", x, y, [1]), uci.run(METHODS[name], "made up", x, spoilt, [1]), strict=True
    ):
        assert [before[field] for field in chosen] == [after[field] for field in chosen]
        assert after["rmse"] > 9e3 > before["rmse"]


def numbers(record):
    return {field: value for field, value in record.items() if value != ""}


def test_a_repetition_does_not_depend_on_those_beside_it(data):
    method = METHODS["Gaussian"]
    together = uci.run(method, "made up", *data, [0, 1, 4])
    alone = uci.run(method, "made up", *data, [4])
    assert [record["method"] for record in alone] == uci.labels(method)
    for expected, record in zip(together[-3:], alone, strict=True):
        assert [record.pop(text) for text in ("set", "method")] == [expected.pop(text) for text in ("set", "method")]
        assert numbers(record) == pytest.approx(numbers(expected), rel=1e-4)


def test_figures_are_those_of_the_last_weights_on_the_test_rows(data):
    method = METHODS["NLL alone"]
    (record, rescaled) = uci.run(method, "made up", *data, [2])
    tasks = uci.Tasks.make(*data, [uci.split(53, 2)], [2100])
    rate = torch.tensor([[record["learning_rate"]]])
    networks = uci.train(method, tasks, rate, torch.zeros(1, 1), batch_size=uci.BATCH_SIZE)
    with torch.no_grad():
        raw = networks(tasks.x_held)[0].double()
    nig = uci.nig_belief(raw)
    deviation = data[1][uci.split(53, 2)[0]].std(correction=0)
    y = tasks.y_held[0].double()
    assert record["rmse"] == pytest.approx(((nig.loc - y).square().mean().sqrt() * deviation).item(), rel=1e-4)
    assert record["nll"] == pytest.approx((nig_nll(nig, y) + deviation.log()).item(), rel=1e-4)
    assert record["best_epoch_rmse"] <= record["rmse"] * (1 + 1e-6)
    assert record["best_epoch_nll"] <= record["nll"] + 1e-6
    assert rescaled["rmse"] == record["rmse"]
    assert rescaled["sharpness"] == pytest.approx(record["sharpness"] * rescaled["scale_factor"])


def run_main(capsys, *arguments):
    uci.main([str(argument) for argument in arguments])
    return capsys.readouterr()


def test_results_are_kept_and_not_trained_again(data, tmp_path, monkeypatch, capsys):
    write_set(tmp_path / "yacht.csv", *data)
    out = tmp_path / "results.csv"
    arguments = ["--data", tmp_path, "--sets", "yacht", "--methods", "evidential", "Gaussian", "--out", out]
    first = run_main(capsys, *arguments, "--repetitions", 2)
    assert "yacht, Gaussian: 2 repetitions" in first.err
    assert "| evidential, rescaled" in first.out
    records = uci.read_records(out)
    assert len(records) == 2 * (2 + 3)

    trained = []
    train = uci.train

    def watched(method, tasks, *arguments, **options):
        trained.append(tasks)
        return train(method, tasks, *arguments, **options)

    monkeypatch.setattr(uci, "train", watched)
    again = run_main(capsys, *arguments, "--repetitions", 2)
    assert not trained
    assert again.out == first.out
    more = run_main(capsys, *arguments, "--repetitions", 3)
    assert {seed // 1000 for tasks in trained for seed in tasks.seeds} == {2}
    assert "yacht, evidential: 1 repetitions" in more.err
    assert [r for r in uci.read_records(out) if r["repetition"] < 2] == records
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "yacht.csv"]


def test_the_committed_results_are_complete():
    keys = [(r["set"], r["method"], r["repetition"]) for r in uci.read_records(SCRIPT.with_name("uci_results.csv"))]
    shown = [label for method in uci.METHODS for label in uci.labels(method)]
    assert len(set(keys)) == len(keys)
    assert set(keys) == {(name, label, i) for name in uci.PAPER for label in shown for i in range(20)}


def test_a_file_of_other_columns_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit, match="other columns"):
        uci.read_records(tmp_path / "other.csv")


def test_without_data_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.delenv("IQA_DATA_ROOT", raising=False)
    assert "Nothing measured" in run_main(capsys).out


@pytest.mark.parametrize(
    ("rmse", "verdict"),
    [((3.2, 3.4), "matches"), ((4.0, 4.01), "worse"), ((2.0, 2.01), "better"), ((2.0, 4.0), "matches")],
)
def test_the_verdict_counts_both_standard_errors(rmse, verdict, capsys):
    # boston in the paper: 3.06 ± 0.16; 2.35 ± 0.06
    records = [
        {"set": "boston", "method": "evidential", "repetition": i, "rmse": value, "nll": 2.4}
        for i, value in enumerate(rmse)
    ]
    uci.compare_with_paper(uci.Table(records), ["boston"])
    row = capsys.readouterr().out.splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")][4] == verdict
    assert [cell.strip() for cell in row.split("|")][7] == "matches"


def test_the_standard_error_is_that_of_the_mean():
    assert uci.standard_error(torch.tensor([1.0, 2.0, 3.0, 6.0])) == pytest.approx(math.sqrt(14 / 3) / 2)


def test_the_real_sets_have_their_published_shapes(uci_folder):
    for name, (rows, features) in SHAPES.items():
        x, y = uci.read_set(uci_folder / f"{name}.csv")
        assert (tuple(x.shape), tuple(y.shape)) == ((rows, features), (rows,))
        assert x.isfinite().all()
        assert y.isfinite().all()
    assert set(SHAPES) == set(uci.PAPER)


def test_it_learns_on_real_data(uci_folder, monkeypatch):
    monkeypatch.setattr(uci, "EPOCHS", 10)
    monkeypatch.setattr(uci, "LEARNING_RATES", (3e-3, 1e-2))
    x, y = uci.read_set(uci_folder / "yacht.csv")
    for name in ("evidential", "Gaussian"):
        for record in uci.run(METHODS[name], "yacht", x, y, [0]):
            assert record["rmse"] < 0.5 * y.std().item()
            assert 0 < record["crps"] < record["rmse"]
            assert record["nll"] < Normal(y.mean(), y.std()).log_prob(y).mean().neg().item()
            assert 0.5 < record["coverage_0.95"] <= 1


def test_the_replay_reports_minima_beside_the_last_weights(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(uci, "EPOCHS", 30)
    x, y = data[0].repeat(40, 1), data[1].repeat(40)  # 212 test rows, so that 100 are a choice
    last, best, best_of_some = uci.replay("wine", x, y, [0, 1])
    assert (best <= last).all()
    assert (best_of_some < best).any()
    write_set(tmp_path / "wine.csv", *data)
    printed = run_main(capsys, "--data", tmp_path, "--sets", "wine", "--repetitions", 2, "--replay").out
    assert "0.61 ± 0.02" in printed


def test_methods_are_compared_on_the_repetitions_that_both_have(capsys):
    figures = {"crps": 1.0, "quantile_calibration_error": 0.05, "coverage_0.5": 0.4, "coverage_0.8": 0.8}
    records = [
        {"set": "boston", "method": name, "repetition": i, "rmse": rmse, "nll": rmse / 10, "coverage_0.95": 0.91}
        | figures
        for name, values in (("evidential", (4.0, 6.0, 50.0)), ("other", (3.0, 6.0)))
        for i, rmse in enumerate(values)
    ]
    uci.compare_methods(uci.Table(records), ["boston"], ["evidential", "other"])
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split("|")[1:-1]]
    # Differences of -1 and 0 from a mean of 5; coverage 10, 0 and 4 points off.
    assert cells == ["other", "-10.0 ± 10.0", "+0.0 ± 0.0", "-0.050 ± 0.050", "0.050", "4.7"]
