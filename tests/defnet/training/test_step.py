"""One step: what moves, how far, and what happens when a gradient is not finite."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from defnet import DataError, DataRoots, DEFNet, TrainConfig
from defnet.losses.weighting import DynamicWeightAverage
from defnet.training import step as step_module
from defnet.training.loop import Training
from defnet.training.optimizer import learning_rate_factor, make_optimizer
from defnet.training.state import TrainingState
from defnet.training.step import train_step

MakeConfig = Callable[..., TrainConfig]
MakeModel = Callable[..., DEFNet]


def state_of(config: TrainConfig, model: DEFNet) -> TrainingState:
    return TrainingState(model, make_optimizer(model, config), DynamicWeightAverage(config.model.tasks))


def batch(images: int = 4) -> tuple[torch.Tensor, torch.Tensor, Any]:
    from defnet import Targets

    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (images, 3, 3, 224, 224), dtype=torch.uint8, generator=generator)
    truth = Targets(
        quality=torch.linspace(1, 5, images),
        scenes=torch.eye(9)[torch.arange(images) % 9],
        distortion=torch.eye(11)[torch.arange(images) % 11],
        dataset=torch.zeros(images, dtype=torch.int64),
    )
    return pixels[:, :2], pixels[:, 2], truth


PATHS = [Path(f"photos/{number}.png") for number in range(4)]


def one_step(
    config: TrainConfig, make_model: MakeModel
) -> tuple[TrainingState, dict[str, torch.Tensor], dict[str, float]]:
    """A step from the start: the state after it, the weights before it and the log's row."""
    torch.manual_seed(0)
    model = make_model().train()
    state = state_of(config, model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    return state, before, train_step(state, config, 0, batch(), PATHS)


def moved(state: TrainingState, before: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: p.detach() - before[name] for name, p in state.model.named_parameters()}


def test_weight_decay_is_of_matrices_and_kernels_alone(make_config: MakeConfig, make_model: MakeModel) -> None:
    """Adam's step of a whole weight's size at once; decay adds its share of the weight to it."""
    steps = {}
    for decay in (0.0, 0.5):
        config = make_config(optimizer={"learning_rate": 1e-3, "weight_decay": decay}, model={"train_crops": 2})
        state, before, _ = one_step(config, make_model)
        steps[decay] = moved(state, before), before
    plain, start = steps[0.0]
    decayed, _ = steps[0.5]
    vectors = matrices = 0
    for name, change in decayed.items():
        if torch.count_nonzero(plain[name]) == 0 and torch.count_nonzero(change) == 0:
            continue  # frozen
        extra = change - plain[name]
        if start[name].ndim > 1:
            matrices += 1
            # One step of the cosine's first factor, 1.
            torch.testing.assert_close(extra, -1e-3 * 0.5 * start[name], rtol=1e-3, atol=2e-7)
        else:
            vectors += 1
            assert torch.equal(change, plain[name]), name
    assert vectors > 3
    assert matrices > 3


def test_the_gradient_is_clipped_to_its_norm(make_config: MakeConfig, make_model: MakeModel) -> None:
    norms = {}
    for largest in (None, 1e-3):
        config = make_config(optimizer={"max_grad_norm": largest})
        state, _, row = one_step(config, make_model)
        squares = [p.grad.square().sum() for p in state.model.parameters() if p.grad is not None]
        norms[largest] = row["gradient_norm"], math.sqrt(sum(squares).item())
    assert norms[None][0] == pytest.approx(norms[None][1], rel=1e-5)
    assert norms[None][0] > 0.01
    # The log keeps what it was.
    assert norms[1e-3][0] == pytest.approx(norms[None][0], rel=1e-5)
    assert norms[1e-3][1] == pytest.approx(1e-3, rel=1e-2)


def test_bf16_is_of_the_towers_and_weights_stay_single(make_config: MakeConfig, make_model: MakeModel) -> None:
    steps = {}
    for precision in ("fp32", "bf16"):
        config = make_config(precision=precision)
        torch.manual_seed(0)
        model = make_model(precision=precision).train()
        state = state_of(config, model)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        steps[precision] = train_step(state, config, 0, batch(), PATHS), moved(state, before)
        held = [*model.parameters(), *(p.grad for p in model.parameters() if p.grad is not None)]
        held += [value for values in state.optimizer.state.values() for value in values.values()]
        assert {tensor.dtype for tensor in held} == {torch.float32}
    (single, _), (half, change) = steps["fp32"], steps["bf16"]
    assert half["total"] != single["total"]
    assert half["total"] == pytest.approx(single["total"], rel=0.05)
    # A step of 1e-3 is lost in rounding where a weight itself is bf16 and near one.
    assert all(torch.count_nonzero(change[name]) for name in change if name.startswith("backbone.text."))


@pytest.mark.parametrize("option", [{"betas": (0.5, 0.9)}, {"eps": 0.3}])
def test_betas_and_eps_are_adams(option: dict[str, Any], make_config: MakeConfig, make_model: MakeModel) -> None:
    """Two steps written out: m and v are running means of g and g², each divided by 1 − βᵗ."""
    options = {"learning_rate": 1e-3, "weight_decay": 0.0, **option}
    config = make_config(optimizer=options, epochs=1, steps_per_epoch=10)
    torch.manual_seed(0)
    model = make_model().train()
    state = state_of(config, model)
    (b1, b2), eps = config.optimizer.betas, config.optimizer.eps
    weight = dict(model.named_parameters())["heads.quality.linear.weight"]
    expected, m, v = weight.detach().clone().double(), 0.0, 0.0
    for step in range(2):
        train_step(state, config, step, batch(), PATHS)
        assert weight.grad is not None
        gradient = weight.grad.double()
        m, v = b1 * m + (1 - b1) * gradient, b2 * v + (1 - b2) * gradient**2
        rate = 1e-3 * learning_rate_factor(step, 10, 0)
        expected -= rate * (m / (1 - b1 ** (step + 1))) / ((v / (1 - b2 ** (step + 1))).sqrt() + eps)
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-7)


def test_learning_rate_is_a_cosine_after_a_linear_warm_up() -> None:
    factors = [learning_rate_factor(step, 10, 3) for step in range(10)]
    assert factors[:3] == pytest.approx([0.25, 0.5, 0.75])
    assert factors[3] == 1
    assert factors[3:] == pytest.approx([0.5 * (1 + math.cos(math.pi * k / 7)) for k in range(7)])
    assert learning_rate_factor(0, 10, 0) == 1
    assert learning_rate_factor(9, 10, 0) > 0


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Gives the gradient of one step a NaN, while its loss stays finite."""
    original = step_module.overall_loss
    calls = 0

    def poisoned(at: int) -> None:
        def loss_of(prediction: Any, *arguments: Any) -> Any:
            nonlocal calls
            loss, terms = original(prediction, *arguments)
            if calls == at:
                # √x at 0 has an infinite slope, and its product with 0 is NaN.
                zero = prediction.expected_quality.sum() * 0
                loss = loss + 0 * torch.sqrt(zero)
                assert torch.isfinite(loss)
            calls += 1
            return loss, terms

        monkeypatch.setattr(step_module, "overall_loss", loss_of)

    yield poisoned
    monkeypatch.undo()


def test_a_gradient_that_is_not_finite_stops_before_the_step(
    poison: Callable[[int], None], make_config: MakeConfig, make_model: MakeModel
) -> None:
    config = make_config()
    model = make_model().train()
    state = state_of(config, model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    poison(0)
    with pytest.raises(
        DataError, match=r"the gradient of step 0 is not finite \(.*\), though its loss is .*"
    ) as caught:
        train_step(state, config, 0, batch(), PATHS)
    assert str(caught.value).endswith("the files of its batch are " + ", ".join(map(str, PATHS)))
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert not state.optimizer.state


@pytest.mark.parametrize("mode", ["pool", "images"])
def test_a_run_goes_on_from_the_last_good_step_as_if_nothing_had_been(
    mode: str,
    poison: Callable[[int], None],
    make_config: MakeConfig,
    roots: DataRoots,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make_config(crops={"train_source": mode}, backbone={"freeze_trunk": mode == "pool"})
    good = Training(config, roots, tmp_path / "good", cache=tmp_path / "pools").run()
    run = Training(config, roots, tmp_path / "run", cache=tmp_path / "pools")
    poison(4)
    with pytest.raises(DataError, match=r"the gradient of step 4 .*ChallengeDB_release"):
        run.run()
    state = load_file(tmp_path / "run" / "state.safetensors")
    assert all(torch.isfinite(value).all() for value in state.values())
    monkeypatch.undo()
    again = run.run()
    assert good is not None
    assert again is not None
    found, wanted = load_file(again.model), load_file(good.model)
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


def test_weights_that_overflowed_are_not_saved(make_config: MakeConfig, roots: DataRoots, tmp_path: Path) -> None:
    """A finite gradient may still throw a weight to infinity."""
    config = make_config(optimizer={"learning_rate": 1e-3}, checkpoint_every=1)
    training = Training(config, roots, tmp_path / "run")
    training.run(stop_after_steps=2)
    path = tmp_path / "run" / "state.safetensors"
    before = path.read_bytes()
    model = training_model(config)
    state = state_of(config, model)
    state.restore(path)
    with torch.no_grad():
        next(model.evidence_parameters()).fill_(float("inf"))
    with pytest.raises(DataError, match=r"after step 1 the weight 'heads\.quality\..*' is not finite"):
        state.save(path)
    assert path.read_bytes() == before


def training_model(config: TrainConfig) -> DEFNet:
    from defnet.model.initial_model import build_model

    return build_model(config)
