"""Other readings of the paper: each field changes exactly what it says, against sums written out here."""

import copy
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from defnet import (
    DEFNet,
    ModelConfig,
    ModelInfo,
    ObjectiveConfig,
    Targets,
    TrainConfig,
    load_model,
    overall_loss,
    save_model,
)
from defnet.losses.fidelity import quality_fidelity
from defnet.model.evidence import Prediction
from defnet.model.initial_model import build_model
from defnet.training.loop import Training
from defnet.training.optimizer import freeze
from evidential_nig import NormalInverseGamma

MakeConfig = Callable[..., TrainConfig]
MakeModel = Callable[..., DEFNet]
Array = NDArray[np.float64]

TASKS = ("quality", "scene", "distortion")
OUTPUTS = {"quality": 1, "scene": 9, "distortion": 11}
IMAGES, CROPS = 4, 2


def softplus(x: Array | float) -> Array:
    return np.logaddexp(0.0, x)


def parameters(nig: NormalInverseGamma) -> list[Array]:
    """δ, ν, α and β in double precision."""
    return [p.detach().double().numpy() for p in (nig.loc, nig.nu, nig.alpha_minus_one + 1, nig.beta)]


def features(model: DEFNet) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    size = model.backbone.image.feature_dim
    return torch.randn(IMAGES, CROPS, size, generator=generator), torch.randn(IMAGES, size, generator=generator)


def predict(model: DEFNet) -> Prediction:
    with torch.no_grad():
        return model.eval().predict_from_features(*features(model))


@pytest.fixture(scope="module")
def targets() -> Targets:
    return Targets(
        quality=torch.tensor([1.5, 4.0, 2.0, 3.5]),
        scenes=torch.tensor([[float((i + k) % 4 == 0) for k in range(9)] for i in range(IMAGES)]),
        distortion=torch.eye(11)[torch.tensor([0, 3, 10, 7])],
        dataset=torch.tensor([0, 0, 1, 1]),
    )


def evidential(delta: float, nu: float, alpha: float, beta: float, y: float, tau: float) -> float:
    """Eqs. 1 to 3 as printed, at 30 digits."""
    with mpmath.workdps(30):
        d, v, a, b = (mpmath.mpf(x) for x in (delta, nu, alpha, beta))
        omega, half = 2 * b * (1 + v), mpmath.mpf(1) / 2
        nll = mpmath.log(mpmath.pi / v) / 2 + mpmath.log(mpmath.gamma(a) / mpmath.gamma(a + half))
        nll += -a * mpmath.log(omega) + (a + half) * mpmath.log((y - d) ** 2 * v + omega)
        return float(nll + tau * abs(y - d) * (2 * v + a))


def losses_of(nig: list[Array], labels: torch.Tensor, tau: float) -> Array:
    """The evidential loss of every image and output, (B, K)."""
    return np.array(
        [
            [evidential(*(float(p[i, k]) for p in nig), float(labels[i, k]), tau) for k in range(labels.shape[1])]
            for i in range(len(labels))
        ]
    )


def labels_of(targets: Targets) -> dict[str, torch.Tensor]:
    return {"quality": targets.quality[:, None], "scene": targets.scenes, "distortion": targets.distortion}


# Softplus: on δ too, and again on what is fused.


@pytest.mark.parametrize("task", TASKS)
def test_delta_may_go_through_softplus(task: str, make_model: MakeModel) -> None:
    """δ of every view is the softplus of what it is without; ν, α and β are the same to the bit."""
    raw, printed = predict(make_model()), predict(make_model(model={"delta": "softplus"}))
    for one, other in ((raw.local, printed.local), (raw.global_view, printed.global_view)):
        before, after = parameters(one[task]), parameters(other[task])
        assert after[0] == pytest.approx(softplus(before[0]), rel=1e-6)
        assert np.abs(after[0] - before[0]).max() > 0.01
        for k in (1, 2, 3):
            assert np.array_equal(after[k], before[k])
    assert torch.equal(raw.probabilities[task], printed.probabilities[task])
    # The fusion is that of Eqs. 18 to 25, of other δ: two sub-images and the whole.
    d, v, _, _ = (p[:, :, :] for p in parameters(printed.local[task]))
    assert parameters(printed.cross[task])[0] == pytest.approx((v * d).sum(1) / v.sum(1), rel=1e-5)


def test_with_softplus_delta_starts_as_eq14_is_printed(make_model: MakeModel) -> None:
    """softplus(Σ c·p̂(c)) for quality, softplus(p̂) for classes."""
    model = make_model(model={"delta": "softplus"})
    fresh = DEFNet(model.backbone, model.config).eval()
    with torch.no_grad():
        local, _ = features(model)
        joint = model.backbone.log_probabilities(model.backbone.logits(model.backbone.embed(local))).exp()
    joint_ = joint.double().numpy()
    expected = {
        "quality": sum((c + 1) * joint_[..., c, :, :].sum((-2, -1)) for c in range(5))[..., None],
        "scene": joint_.sum((-3, -1)),
        "distortion": joint_.sum((-3, -2)),
    }
    found = predict(fresh)
    for task in TASKS:
        assert parameters(found.local[task])[0] == pytest.approx(softplus(expected[task]), rel=1e-5)


@pytest.mark.parametrize("delta", ["raw", "softplus"])
@pytest.mark.parametrize("task", TASKS)
def test_fused_evidence_may_go_through_softplus_again(task: str, delta: str, make_model: MakeModel) -> None:
    once = predict(make_model(model={"delta": delta}))
    twice = predict(make_model(model={"delta": delta, "softplus": "twice"}))
    for one, other in ((once.cross, twice.cross), (once.fusion, twice.fusion)):
        for before, after in zip(parameters(one[task]), parameters(other[task]), strict=True):
            assert after == pytest.approx(softplus(before), rel=2e-6)
        assert (other[task].alpha_minus_one > 0).all()
    for one, other in ((once.local, twice.local), (once.global_view, twice.global_view)):
        for before, after in zip(parameters(one[task]), parameters(other[task]), strict=True):
            assert np.array_equal(before, after)
    assert torch.equal(once.expected_quality, twice.expected_quality)
    if task == "quality":
        assert twice.quality.numpy() == pytest.approx(softplus(once.quality.double().numpy()), rel=1e-6)


def test_eqs_21_and_26_as_printed(make_model: MakeModel, targets: Targets) -> None:
    """ℓ^U(softplus(x), y) of the parameters that are fused without it."""
    once, twice = (predict(make_model(model={"delta": "softplus", "softplus": s})) for s in ("once", "twice"))
    config = ObjectiveConfig(tau=0.2)
    _, terms = overall_loss(twice, targets, config, dict.fromkeys(TASKS, 1.0))
    for task, labels in labels_of(targets).items():
        for name, evidence in (("cross", once.cross), ("fusion", once.fusion)):
            printed = losses_of([softplus(p) for p in parameters(evidence[task])], labels, 0.2).mean()
            assert terms[f"{name}_{task}"].item() == pytest.approx(printed, rel=2e-5)


def test_twice_through_softplus_cannot_say_that_a_class_is_absent(make_model: MakeModel) -> None:
    """Why once is the default: δ ≥ ln 2, however sure the head is of 0."""
    model = make_model(model={"delta": "softplus", "softplus": "twice"})
    with torch.no_grad():
        for heads in (model.heads, model.global_heads):
            heads["scene"].linear.weight.zero_()
            heads["scene"].linear.bias[:9] = -50
    assert predict(model).fusion["scene"].loc.min().item() == pytest.approx(math.log(2), abs=1e-6)


# Reductions of the evidential losses.


@pytest.mark.parametrize(("of_classes", "of_images"), itertools.product(["mean", "sum"], ["mean", "sum"]))
def test_evidential_losses_are_means_or_sums(
    of_classes: Any, of_images: Any, make_model: MakeModel, targets: Targets
) -> None:
    """Over a task's outputs both losses; over the images the local-global one alone, as Algorithm 1 has it."""
    prediction = predict(make_model())
    config = ObjectiveConfig(class_reduction=of_classes, fusion_reduction=of_images, lambda1=0.3, lambda2=0.7)
    total, terms = overall_loss(prediction, targets, config, dict.fromkeys(TASKS, 1.0))
    sums = {"cross": 0.0, "fusion": 0.0}
    for task, labels in labels_of(targets).items():
        for name, evidence in (("cross", prediction.cross), ("fusion", prediction.fusion)):
            each = losses_of(parameters(evidence[task]), labels, config.tau)
            image = each.mean(1) if of_classes == "mean" else each.sum(1)
            expected = image.sum() if name == "fusion" and of_images == "sum" else image.mean()
            assert terms[f"{name}_{task}"].item() == pytest.approx(expected, rel=3e-5)
            sums[name] += expected
    assert total.item() == pytest.approx(
        terms["multitask"].item() + 0.3 * sums["cross"] + 0.7 * sums["fusion"], rel=1e-4
    )


def test_a_sum_over_images_is_over_those_with_a_label(make_model: MakeModel, targets: Targets) -> None:
    prediction = predict(make_model())
    known = torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    some = Targets(targets.quality, targets.scenes * known, targets.distortion, targets.dataset)
    _, terms = overall_loss(prediction, some, ObjectiveConfig(fusion_reduction="sum"), dict.fromkeys(TASKS, 1.0))
    each = losses_of(parameters(prediction.fusion["scene"]), targets.scenes, 0.05).mean(1)
    assert terms["fusion_scene"].item() == pytest.approx(each[0] + each[2], rel=2e-5)


# Ties of Eq. 7.


def test_ties_are_half_or_one() -> None:
    """q(x₁) ≥ q(x₂) holds of a tie, so that as printed the earlier image should look better."""
    estimate, quality = torch.tensor([2.0, 3.5, 1.0]), torch.tensor([3.0, 3.0, 1.0])
    better = {(i, j): 0.5 * (1 + math.erf((estimate[i] - estimate[j]).item() / 2)) for i, j in [(0, 1), (0, 2), (1, 2)]}
    untied = [1 - math.sqrt(better[pair]) for pair in ((0, 2), (1, 2))]
    tied = better[0, 1]
    half = 1 - math.sqrt(0.5 * tied) - math.sqrt(0.5 * (1 - tied))
    dataset = torch.zeros(3, dtype=torch.int64)
    for ties, loss in (("half", half), ("one", 1 - math.sqrt(tied))):
        found = quality_fidelity(estimate, quality, dataset, ties=ties)  # type: ignore[arg-type]
        assert found.item() == pytest.approx((sum(untied) + loss) / 3, rel=1e-5), ties
    assert quality_fidelity(estimate, quality, dataset).item() == pytest.approx((sum(untied) + half) / 3, rel=1e-5)


def test_the_label_of_ties_comes_from_the_configuration(make_model: MakeModel, targets: Targets) -> None:
    prediction = predict(make_model())
    tied = Targets(torch.tensor([2.0, 2.0, 3.0, 3.0]), targets.scenes, targets.distortion, targets.dataset)
    found = []
    for ties in ("half", "one"):
        _, terms = overall_loss(prediction, tied, ObjectiveConfig(ties=ties), dict.fromkeys(TASKS, 1.0))
        expected = quality_fidelity(prediction.expected_quality, tied.quality, tied.dataset, ties=ties)  # type: ignore[arg-type]
        assert terms["fidelity_quality"] == expected
        found.append(expected.item())
    assert found[0] != found[1]


# What looks at the whole image.


def global_delta(model: DEFNet, joint: Array, task: str) -> Array:
    """δ of the whole image by its head, from the joint probability (B, 5, 9, 11)."""
    axes = {"quality": (2, 3), "scene": (1, 3), "distortion": (1, 2)}[task]
    assert model.global_heads is not None
    layer = model.global_heads[task].linear
    k = OUTPUTS[task]
    weight, bias = layer.weight.detach().double().numpy()[:k], layer.bias.detach().double().numpy()[:k]
    return joint.sum(axes) @ weight.T + bias


def joint_of(backbone: Any, embedding: torch.Tensor) -> Array:
    """Eq. 4 from unit vectors: softmax of the cosines over κ."""
    words = backbone.text().detach().double().numpy()
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    logits = math.exp(backbone.logit_scale.item()) * embedding.double().numpy() @ words.T
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return (shares / shares.sum(1, keepdims=True)).reshape(-1, 5, 9, 11)


def shaken(model: DEFNet) -> DEFNet:
    """Training stood in for: every weight of the towers that learns moves."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in model.backbone.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.mark.parametrize("tower", ["shared", "pretrained", "learnt"])
def test_which_towers_look_at_the_whole_image(tower: Any, make_model: MakeModel) -> None:
    """After the towers have moved: those that moved, those that training started from, or a projection behind them."""
    start = make_model()
    model = DEFNet(copy.deepcopy(start.backbone), ModelConfig(global_tower=tower))
    with torch.no_grad():
        for number, parameter in enumerate(model.evidence_parameters()):
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number)))
    shaken(model)
    source = start if tower == "pretrained" else model
    with torch.no_grad():
        embedding = source.backbone.embed(features(model)[1])
        if tower == "learnt":
            assert model.global_projection is not None
            embedding = embedding.double() @ model.global_projection.weight.double().T
            embedding = embedding / embedding.norm(dim=-1, keepdim=True)
    joint = joint_of(source.backbone, embedding)
    found = predict(model)
    for task in TASKS:
        expected = global_delta(model, joint, task)
        assert parameters(found.global_view[task])[0] == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("tower", ["pretrained", "learnt"])
def test_sub_images_do_not_see_how_the_whole_is_looked_at(tower: str, make_model: MakeModel) -> None:
    shared, other = predict(make_model()), predict(make_model(model={"global_tower": tower}))
    for task in TASKS:
        assert torch.equal(shared.probabilities[task], other.probabilities[task])
        for one, two in zip(parameters(shared.cross[task]), parameters(other.cross[task]), strict=True):
            assert np.array_equal(one, two)


@pytest.mark.parametrize("tower", ["pretrained", "learnt"])
def test_before_training_the_whole_image_is_seen_as_the_shared_towers_see_it(tower: str, make_model: MakeModel) -> None:
    model = make_model()
    config = model.config.model_copy(update={"global_tower": tower})
    shared, other = predict(DEFNet(model.backbone, model.config)), predict(DEFNet(model.backbone, config))
    for task in TASKS:
        for one, two in zip(parameters(shared.fusion[task]), parameters(other.fusion[task]), strict=True):
            assert one == pytest.approx(two, rel=1e-5)


@pytest.mark.parametrize("tower", ["shared", "pretrained", "learnt"])
def test_what_learns_from_the_whole_image(tower: str, make_model: MakeModel, make_config: MakeConfig) -> None:
    """Its heads always; beside them its own projection, and never a tower, a word or the temperature."""
    changes: dict[str, Any] = {"model": {"global_tower": tower}, "backbone": {"freeze_trunk": False}}
    model = make_model(**changes).train()
    freeze(model, make_config(**changes))
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    prediction = model(pixels[:, None], pixels)
    torch.autograd.backward(sum(nig.loc.square().sum() + nig.beta.sum() for nig in prediction.global_view.values()))
    learning = {n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learning == {"global_heads", *(["global_projection"] if tower == "learnt" else [])}
    if tower == "pretrained":
        assert not [p for p in model.global_tower.parameters() if p.requires_grad]  # type: ignore[union-attr]


def test_a_frozen_copy_stays_in_evaluation_mode_and_moves_by_nothing(
    make_model: MakeModel,
) -> None:
    """Dropout is off and batch statistics stand still, whatever the rest of the network does."""
    changes: dict[str, Any] = {"global_tower": "pretrained"}
    model = make_model(model=changes, backbone={"freeze_trunk": False, "lite": {"dropout": 0.5}}).train()
    assert model.global_tower is not None
    assert not [name for name, module in model.global_tower.named_modules() if module.training]
    assert model.backbone.image.head.training
    before = {name: value.clone() for name, value in model.global_tower.state_dict().items()}
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    one, two = (model(pixels[:, None], pixels).global_view["quality"].loc for _ in range(2))
    assert torch.equal(one, two)
    assert all(torch.equal(value, before[name]) for name, value in model.global_tower.state_dict().items())


@pytest.mark.parametrize("tower", ["pretrained", "learnt"])
@pytest.mark.parametrize("half", [False, True])
def test_its_file_holds_what_looks_at_the_whole_image(
    tower: str, half: bool, make_model: MakeModel, make_config: MakeConfig, tmp_path: Path
) -> None:
    changes = {"model": {"global_tower": tower}}
    model = shaken(make_model(**changes)).eval()
    path = tmp_path / "model.safetensors"
    save_model(path, model, ModelInfo(config=make_config(**changes)), half=half)
    loaded, _ = load_model(path)
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, two = (each(pixels[:, None], pixels).fusion["quality"].loc for each in (model, loaded))
    if half:
        assert one.numpy() == pytest.approx(two.numpy(), abs=0.02)
    else:
        assert torch.equal(one, two)


@pytest.mark.parametrize("source", ["pool", "images"])
@pytest.mark.parametrize("tower", ["pretrained", "learnt"])
def test_a_whole_run_and_going_on_with_it(
    tower: str, source: str, make_config: MakeConfig, roots: Any, tmp_path: Path
) -> None:
    """The copy stays what training started from, with the statistics of the features; the projection moves."""
    config = make_config(
        model={"global_tower": tower},
        crops={"train_source": source},
        backbone={"freeze_trunk": source == "pool"},
        optimizer={"learning_rate": 1e-2},
    )
    one = Training(config, roots, tmp_path / "one", cache=tmp_path / "pools").run()
    stopped = Training(config, roots, tmp_path / "two", cache=tmp_path / "pools")
    assert stopped.run(stop_after_steps=3) is None
    two = Training(config, roots, tmp_path / "two", cache=tmp_path / "pools").run()
    assert one is not None
    assert two is not None
    assert one.model.read_bytes() == two.model.read_bytes()
    model, _ = load_model(one.model)
    if tower == "pretrained":
        assert model.global_tower is not None
        at_first, now = model.global_tower.backbone.image, model.backbone.image
        assert torch.equal(at_first.feature_mean, now.feature_mean)
        assert now.feature_mean.abs().sum() > 0
        assert not torch.equal(at_first.head[-1].weight, now.head[-1].weight)
        kernels = [next(each.backbone.parameters()) for each in (at_first, now)]
        assert torch.equal(*kernels) is (source == "pool")
    else:
        assert model.global_projection is not None
        assert not torch.equal(model.global_projection.weight, torch.eye(16))


def test_the_frozen_copy_is_of_the_towers_that_this_training_starts_from(
    make_model: MakeModel, make_config: MakeConfig, tmp_path: Path
) -> None:
    """Going on from a model, that is the model, and not the copy in its file, whose trunk is another."""
    changes: dict[str, Any] = {"model": {"global_tower": "pretrained"}, "backbone": {"freeze_trunk": False}}
    trained = shaken(make_model(**changes))
    save_model(tmp_path / "model.safetensors", trained, ModelInfo(config=make_config(**changes)))
    started = build_model(make_config(**changes, start={"model": str(tmp_path / "model.safetensors")}))
    assert started.global_tower is not None
    assert trained.global_tower is not None
    own, copied = started.backbone.image.state_dict(), started.global_tower.backbone.image.state_dict()
    assert [name for name in own if not torch.equal(own[name], copied[name])] == []
    earlier = trained.global_tower.backbone.image.state_dict()
    assert [name for name in own if not torch.equal(own[name], earlier[name])]
    heads, expected = started.global_heads, trained.global_heads
    assert torch.equal(heads["quality"].linear.weight, expected["quality"].linear.weight)  # type: ignore[index]


# The text side.


@pytest.mark.parametrize("frozen", [False, True])
def test_the_text_learns_or_stays(frozen: bool, make_model: MakeModel, make_config: MakeConfig) -> None:
    config = make_config(backbone={"freeze_text": frozen})
    model = make_model(backbone={"freeze_text": frozen}).train()
    freeze(model, config)
    torch.autograd.backward(model.predict_from_features(*features(model)).expected_quality.sum())
    learnt = [p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.backbone.text.parameters()]
    assert learnt == [not frozen] * len(learnt)
    assert len(learnt) > 3


def test_the_default_reading_has_no_weights_of_another(make_model: MakeModel) -> None:
    """What the shipped file and every earlier one holds still fits."""
    names = {name.split(".")[0] for name in make_model().state_dict()}
    assert names == {"backbone", "heads", "global_heads"}
