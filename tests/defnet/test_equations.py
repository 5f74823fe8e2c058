"""Every equation of DEFNet that lives in this package or passes through it, against sums written out here.

The joint probability of Eq. 4 is taken from the backbone, whose tests check it; from there on nothing here calls what
it checks.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from defnet import DEFNet, ObjectiveConfig, Targets, overall_loss
from defnet.losses.fidelity import distortion_fidelity, pair_fidelity, scene_fidelity, thurstone_probability
from defnet.losses.tasks import evidential_task_losses, task_losses
from defnet.model.evidence import Prediction, cross_region
from evidential_nig import NormalInverseGamma

Array = NDArray[np.float64]

IMAGES, CROPS = 5, 4
LEVELS, SCENES, DISTORTIONS = 5, 9, 11
TASKS = ("quality", "scene", "distortion")
OUTPUTS = {"quality": 1, "scene": SCENES, "distortion": DISTORTIONS}
TOLERANCE = {"rel": 2e-5, "abs": 2e-6}


@dataclass(frozen=True)
class Case:
    """A network's output for a batch, beside what it was made from."""

    model: DEFNet
    local_features: torch.Tensor
    global_features: torch.Tensor
    prediction: Prediction
    local_joint: Array
    global_joint: Array
    targets: Targets


def make_case(model: DEFNet, crops: int = CROPS) -> Case:
    generator = torch.Generator().manual_seed(7)
    size = model.backbone.image.feature_dim
    local = torch.randn(IMAGES, crops, size, generator=generator)
    global_ = torch.randn(IMAGES, size, generator=generator)
    backbone = model.backbone
    with torch.no_grad():
        joints = [backbone.log_probabilities(backbone.logits(backbone.embed(x))).exp() for x in (local, global_)]
    return Case(
        model,
        local,
        global_,
        model.predict_from_features(local, global_),
        *(joint.double().numpy() for joint in joints),
        Targets(
            quality=torch.tensor([1.5, 4.0, 2.0, 2.0, 3.5]),
            scenes=torch.tensor([[float((i + k) % 4 == 0) for k in range(SCENES)] for i in range(IMAGES)]),
            distortion=torch.eye(DISTORTIONS)[torch.tensor([0, 3, 10, 3, 7])],
            dataset=torch.tensor([0, 0, 1, 1, 1]),
        ),
    )


@pytest.fixture(scope="module")
def case(make_model: Callable[..., DEFNet]) -> Case:
    return make_case(make_model())


def marginal(joint: Array, task: str) -> list[float]:
    """Sums over the other two of the three classes, one joint (5, 9, 11) at a time, term by term."""
    sums = [0.0] * {"quality": LEVELS, "scene": SCENES, "distortion": DISTORTIONS}[task]
    for c, s, d in itertools.product(range(LEVELS), range(SCENES), range(DISTORTIONS)):
        sums[{"quality": c, "scene": s, "distortion": d}[task]] += float(joint[c, s, d])
    return sums


def averaged(case: Case, task: str) -> Array:
    return np.array([np.mean([marginal(crop, task) for crop in image], axis=0) for image in case.local_joint])


def parameters(nig: NormalInverseGamma, *index: int) -> tuple[float, float, float, float]:
    """(δ, ν, α, β) of one element, as plain numbers."""
    return tuple(float(p.detach()[index]) for p in (nig.loc, nig.nu, nig.alpha_minus_one + 1, nig.beta))


def add(first: tuple[float, ...], second: tuple[float, ...]) -> tuple[float, ...]:
    """Eqs. 19 and 20 as printed."""
    d1, v1, a1, b1 = first
    d2, v2, a2, b2 = second
    v = v1 + v2
    d = (v1 * d1 + v2 * d2) / v
    return d, v, a1 + a2 + 0.5, b1 + b2 + 0.5 * v1 * (d1 - d) ** 2 + 0.5 * v2 * (d2 - d) ** 2


def evidential(m: tuple[float, ...], y: float, tau: float) -> float:
    """Eqs. 1 to 3 as printed, at 30 digits."""
    with mpmath.workdps(30):
        d, v, a, b = (mpmath.mpf(x) for x in m)
        omega = 2 * b * (1 + v)
        nll = (
            mpmath.log(mpmath.pi / v) / 2
            + mpmath.log(mpmath.gamma(a) / mpmath.gamma(a + mpmath.mpf(1) / 2))
            - a * mpmath.log(omega)
            + (a + mpmath.mpf(1) / 2) * mpmath.log((y - d) ** 2 * v + omega)
        )
        return float(nll + tau * abs(y - d) * (2 * v + a))


def mean_evidential(nig: NormalInverseGamma, labels: torch.Tensor, tau: float) -> float:
    """Mean over a batch (B, K) of evidence."""
    images, outputs = nig.loc.shape
    return float(
        np.mean(
            [evidential(parameters(nig, i, k), float(labels[i, k]), tau) for i in range(images) for k in range(outputs)]
        )
    )


def labels_of(case: Case) -> dict[str, torch.Tensor]:
    return {
        "quality": case.targets.quality[:, None],
        "scene": case.targets.scenes,
        "distortion": case.targets.distortion,
    }


def test_eq5_quality_is_the_expected_level(case: Case) -> None:
    expected = [sum((c + 1) * p for c, p in enumerate(row)) for row in averaged(case, "quality")]
    assert case.prediction.expected_quality.tolist() == pytest.approx(expected, **TOLERANCE)
    assert np.ptp(expected) > 0.05  # the images do differ


def test_eq6_level_probabilities_are_averaged_over_sub_images(case: Case) -> None:
    assert case.prediction.probabilities["quality"].detach().numpy() == pytest.approx(
        averaged(case, "quality"), **TOLERANCE
    )


def test_eq6_averaging_logits_instead_is_a_choice(make_model: Callable[..., DEFNet]) -> None:
    case = make_case(make_model(model={"averaging": "logits"}))
    # Averaging logits before the softmax is a geometric mean of the probabilities.
    joint = np.exp(np.log(case.local_joint).mean(1))
    joint /= joint.sum((1, 2, 3), keepdims=True)
    for task in TASKS:
        found = case.prediction.probabilities[task].detach().numpy()
        assert found == pytest.approx(np.array([marginal(image, task) for image in joint]), **TOLERANCE)
        assert found != pytest.approx(averaged(case, task), abs=1e-4)


@pytest.mark.parametrize("label", [0.0, 0.5, 1.0])
def test_eq7_fidelity_of_a_pair(label: float) -> None:
    probability = np.concatenate([[1e-6, 1e-3], np.linspace(0.01, 0.99, 25), [0.999]])
    found = pair_fidelity(torch.full((len(probability),), label).double(), torch.from_numpy(probability))
    expected = [1 - math.sqrt(label * p) - math.sqrt((1 - label) * (1 - p)) for p in probability]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)


def test_eq8_thurstone_probability() -> None:
    first, second = (torch.from_numpy(x) for x in np.random.default_rng(1).uniform(1, 5, (2, 40)))
    found = thurstone_probability(first, second)
    with mpmath.workdps(30):
        expected = [
            float(mpmath.ncdf((mpmath.mpf(a) - mpmath.mpf(b)) / mpmath.sqrt(2)))
            for a, b in zip(first.tolist(), second.tolist(), strict=True)
        ]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)
    liqe = thurstone_probability(first, second, "unit")
    assert liqe.tolist() == pytest.approx(stats.norm.cdf((first - second).numpy()).tolist(), rel=1e-12)


def test_eq9_scene_probabilities(case: Case) -> None:
    found = case.prediction.probabilities["scene"].detach().numpy()
    assert found == pytest.approx(averaged(case, "scene"), **TOLERANCE)


def test_eq10_scene_loss() -> None:
    rng = np.random.default_rng(2)
    probability = rng.dirichlet(np.full(SCENES, 0.3), 8)
    label = (rng.random((8, SCENES)) < 0.3).astype(float)
    expected = []
    for p, y in zip(probability, label, strict=True):
        terms = [1 - math.sqrt(y[s] * p[s]) - math.sqrt((1 - y[s]) * (1 - p[s])) for s in range(SCENES)]
        expected.append(sum(terms) / SCENES)
    # The square root is a chord below 1e-8, hence not to the last digit.
    found = scene_fidelity(torch.from_numpy(probability), torch.from_numpy(label))
    assert found.tolist() == pytest.approx(expected, abs=3e-5)


def test_eq11_distortion_probabilities(case: Case) -> None:
    found = case.prediction.probabilities["distortion"].detach().numpy()
    assert found == pytest.approx(averaged(case, "distortion"), **TOLERANCE)


def test_eq12_distortion_loss() -> None:
    rng = np.random.default_rng(3)
    probability = rng.dirichlet(np.full(DISTORTIONS, 0.3), 8)
    classes = rng.integers(0, DISTORTIONS, 8)
    found = distortion_fidelity(torch.from_numpy(probability), torch.eye(DISTORTIONS).double()[classes])
    expected = [1 - math.sqrt(p[d]) for p, d in zip(probability, classes, strict=True)]
    assert found.tolist() == pytest.approx(expected, abs=3e-5)


def expected_task_losses(case: Case, reduction: str) -> dict[str, float]:
    """The three sums of Eq. 13 without their weights."""
    estimate = [sum((c + 1) * p for c, p in enumerate(row)) for row in averaged(case, "quality")]
    quality, dataset = case.targets.quality.tolist(), case.targets.dataset.tolist()
    pairs: dict[int, list[float]] = {}
    for i, j in itertools.combinations(range(IMAGES), 2):
        if dataset[i] == dataset[j]:
            label = 1.0 if quality[i] > quality[j] else 0.0 if quality[i] < quality[j] else 0.5
            p = 0.5 * (1 + math.erf((estimate[i] - estimate[j]) / 2))  # Φ(x/√2) = ½(1 + erf(x/2))
            loss = 1 - math.sqrt(label * p) - math.sqrt((1 - label) * (1 - p))
            pairs.setdefault(dataset[i], []).append(loss)
    assert [len(pairs[group]) for group in (0, 1)] == [1, 3]
    all_pairs = [loss for group in pairs.values() for loss in group]
    groups = [sum(group) / len(group) for group in pairs.values()]
    chosen = groups if reduction == "dataset" else all_pairs
    scene, distortion = [], []
    for p, y in zip(averaged(case, "scene"), case.targets.scenes.tolist(), strict=True):
        terms = [1 - math.sqrt(y[s] * p[s]) - math.sqrt((1 - y[s]) * (1 - p[s])) for s in range(SCENES)]
        scene.append(sum(terms) / SCENES)
    for p, y in zip(averaged(case, "distortion"), case.targets.distortion.tolist(), strict=True):
        distortion.append(1 - sum(math.sqrt(y[d] * p[d]) for d in range(DISTORTIONS)))
    return {
        "quality": sum(chosen) / len(chosen),
        "scene": sum(scene) / IMAGES,
        "distortion": sum(distortion) / IMAGES,
    }


@pytest.mark.parametrize("reduction", ["dataset", "pairs"])
def test_eq13_multitask_loss(case: Case, reduction: str) -> None:
    weights = {"quality": 1.3, "scene": 0.9, "distortion": 0.8}
    config = ObjectiveConfig(pair_reduction=reduction)
    _, terms = overall_loss(case.prediction, case.targets, config, weights)
    expected = expected_task_losses(case, reduction)
    for task in TASKS:
        assert terms[f"fidelity_{task}"].item() == pytest.approx(expected[task], abs=3e-5)
    multitask = sum(weights[task] * expected[task] for task in TASKS)
    assert terms["multitask"].item() == pytest.approx(multitask, abs=5e-5)


def test_eq13_averages_over_the_images_that_have_a_label(case: Case) -> None:
    known = [0, 2, 3]
    mask = torch.zeros(IMAGES, 1).index_fill_(0, torch.tensor(known), 1)
    targets = Targets(
        case.targets.quality, case.targets.scenes * mask, case.targets.distortion * mask, case.targets.dataset
    )
    found = task_losses(case.prediction, targets, ObjectiveConfig())
    scene, distortion = [], []
    for i in known:
        p, y = averaged(case, "scene")[i], case.targets.scenes[i].tolist()
        terms = [1 - math.sqrt(y[s] * p[s]) - math.sqrt((1 - y[s]) * (1 - p[s])) for s in range(SCENES)]
        scene.append(sum(terms) / SCENES)
        distortion.append(1 - math.sqrt(averaged(case, "distortion")[i][int(case.targets.distortion[i].argmax())]))
    assert found["scene"].item() == pytest.approx(np.mean(scene), abs=3e-5)
    assert found["distortion"].item() == pytest.approx(np.mean(distortion), abs=3e-5)
    nobody = Targets(
        case.targets.quality, torch.zeros(IMAGES, SCENES), torch.zeros(IMAGES, DISTORTIONS), case.targets.dataset
    )
    found = task_losses(case.prediction, nobody, ObjectiveConfig())
    assert found["scene"].item() == found["distortion"].item() == 0


def head_inputs(case: Case, task: str) -> tuple[Array, Array]:
    """What the heads of a task are given for sub-images and for global views."""
    seen: list[torch.Tensor] = []
    heads = {id(heads[task]): heads[task] for heads in (case.model.heads, global_heads(case.model))}
    handles = [h.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach())) for h in heads.values()]
    case.model.predict_from_features(case.local_features, case.global_features)
    for handle in handles:
        handle.remove()
    local, global_ = sorted(seen, key=lambda x: -x.ndim)
    return local.double().numpy(), global_.double().numpy()


def global_heads(model: DEFNet) -> torch.nn.ModuleDict:
    return model.heads if model.global_heads is None else model.global_heads


def local_marginals(case: Case, task: str) -> Array:
    return np.array([[marginal(crop, task) for crop in image] for image in case.local_joint])


@pytest.fixture(scope="module")
def fresh(make_model: Callable[..., DEFNet]) -> Case:
    """A case with heads as they start."""
    model = make_model()
    return make_case(DEFNet(model.backbone, model.config))


def test_eq14_quality_head_sees_the_level_probabilities(case: Case, fresh: Case) -> None:
    local, global_ = head_inputs(case, "quality")
    assert local == pytest.approx(local_marginals(case, "quality"), **TOLERANCE)
    assert global_ == pytest.approx(np.array([marginal(x, "quality") for x in case.global_joint]), **TOLERANCE)
    # The sum over levels times c is where δ starts.
    expected = local_marginals(fresh, "quality") @ np.arange(1, LEVELS + 1)
    assert fresh.prediction.local["quality"].loc[..., 0].detach().numpy() == pytest.approx(expected, **TOLERANCE)


@pytest.mark.parametrize("task", ["scene", "distortion"], ids=["eq15", "eq16"])
def test_eq15_and_eq16_class_heads_see_the_class_probabilities(case: Case, fresh: Case, task: str) -> None:
    local, global_ = head_inputs(case, task)
    assert local == pytest.approx(local_marginals(case, task), **TOLERANCE)
    assert global_ == pytest.approx(np.array([marginal(x, task) for x in case.global_joint]), **TOLERANCE)
    start = fresh.prediction.local[task].loc.detach().numpy()
    assert start == pytest.approx(local_marginals(fresh, task), **TOLERANCE)


def expected_evidence(heads: torch.nn.ModuleDict, task: str, inputs: Array) -> list[Array]:
    """Eq. 17: a linear layer whose outputs are split in four, and the constraint of each block."""
    layer = heads[task].linear
    raw = inputs @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()
    k = OUTPUTS[task]
    delta, *others = (raw[..., block * k : (block + 1) * k] for block in range(4))
    nu, alpha_minus_one, beta = (np.log1p(np.exp(x)) for x in others)
    return [delta, nu, 1 + alpha_minus_one, beta]


@pytest.mark.parametrize("task", TASKS)
def test_eq17_evidence_is_split_from_the_heads_output(case: Case, task: str) -> None:
    nig = case.prediction.local[task]
    expected = expected_evidence(case.model.heads, task, local_marginals(case, task))
    for found, value in zip((nig.loc, nig.nu, nig.alpha, nig.beta), expected, strict=True):
        assert found.shape == (IMAGES, CROPS, OUTPUTS[task])
        assert found.detach().numpy() == pytest.approx(value, rel=2e-5, abs=5e-6)
    assert np.ptp(expected[1]) > 1e-3  # evidence depends on what is seen


def test_eq17_the_image_embedding_may_feed_the_heads_too(make_model: Callable[..., DEFNet]) -> None:
    case = make_case(make_model(model={"features": "embedding"}))
    with torch.no_grad():
        embedding = case.model.backbone.embed(case.local_features).double().numpy()
    inputs = np.concatenate([local_marginals(case, "quality"), embedding], -1)
    assert inputs.shape[-1] == LEVELS + 16
    delta, nu, alpha, beta = expected_evidence(case.model.heads, "quality", inputs)
    nig = case.prediction.local["quality"]
    for found, value in ((nig.loc, delta), (nig.nu, nu), (nig.alpha, alpha), (nig.beta, beta)):
        assert found.detach().numpy() == pytest.approx(value, rel=2e-5, abs=5e-6)


@pytest.mark.parametrize("task", TASKS)
def test_eq18_sub_images_are_fused_in_any_order(case: Case, task: str) -> None:
    local, cross = case.prediction.local[task], case.prediction.cross[task]
    # A configuration for two training crops would temper four.
    cross = cross_region(local, full_evidence=CROPS)
    for i, k in itertools.product(range(IMAGES), range(OUTPUTS[task])):
        experts = [parameters(local, i, n, k) for n in range(CROPS)]
        for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
            expected = experts[order[0]]
            for n in order[1:]:
                expected = add(expected, experts[n])
            assert parameters(cross, i, k) == pytest.approx(expected, rel=1e-5)


def test_eq18_more_sub_images_than_in_training_do_not_claim_more(make_model: Callable[..., DEFNet]) -> None:
    model = make_model(model={"train_crops": 4})
    case = make_case(model, crops=4)
    repeated = model.predict_from_features(
        case.local_features.repeat_interleave(5, dim=1), case.global_features
    )  # 20 sub-images, five times the same four, each weighing 4/20
    for task in TASKS:
        first, second = case.prediction.cross[task], repeated.cross[task]
        assert second.loc.detach().numpy() == pytest.approx(first.loc.detach().numpy(), rel=1e-4, abs=1e-5)
        assert second.nu.detach().numpy() == pytest.approx(first.nu.detach().numpy(), rel=1e-5)
        assert second.beta.detach().numpy() == pytest.approx(first.beta.detach().numpy(), rel=1e-4)
        assert second.alpha.detach().numpy() == pytest.approx(first.alpha.detach().numpy(), rel=1e-5)


def test_eq18_tempering_of_fifteen_by_hand() -> None:
    rng = np.random.default_rng(4)
    loc, nu, alpha, beta = rng.normal(3, 1, 15), rng.uniform(0.5, 2, 15), rng.uniform(1.5, 3, 15), rng.uniform(1, 2, 15)
    experts = NormalInverseGamma(*(torch.from_numpy(x)[None, :, None] for x in (loc, nu, alpha, beta)))
    w = 4 / 15
    v = w * nu.sum()
    d = w * (nu * loc).sum() / v
    expected = (d, v, w * (alpha + 0.5).sum() - 0.5, w * (beta + 0.5 * nu * (loc - d) ** 2).sum())
    assert parameters(cross_region(experts, 4), 0, 0) == pytest.approx(expected, rel=1e-12)
    # Fewer sub-images than in training are never blown up.
    three = NormalInverseGamma(*(torch.from_numpy(x)[None, :3, None] for x in (loc, nu, alpha, beta)))
    assert cross_region(three, 4).nu.item() == pytest.approx(nu[:3].sum(), rel=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_eq21_cross_region_loss_of_a_task(case: Case, task: str) -> None:
    tau = 0.05
    found = evidential_task_losses(case.prediction.cross, case.targets, tau)[task]
    expected = mean_evidential(case.prediction.cross[task], labels_of(case)[task], tau)
    assert found.item() == pytest.approx(expected, rel=2e-5)


def test_eq21_leaves_out_images_without_a_label(case: Case) -> None:
    known = torch.tensor([1, 4])
    mask = torch.zeros(IMAGES, 1).index_fill_(0, known, 1)
    targets = Targets(case.targets.quality, case.targets.scenes * mask, case.targets.distortion, case.targets.dataset)
    found = evidential_task_losses(case.prediction.cross, targets, 0.05)["scene"]
    expected = mean_evidential(case.prediction.cross["scene"][known], case.targets.scenes[known], 0.05)
    assert found.item() == pytest.approx(expected, rel=2e-5)


def equal_weights() -> dict[str, float]:
    return dict.fromkeys(TASKS, 1.0)


def test_eq22_cross_region_loss_is_the_sum_of_three(case: Case) -> None:
    config = ObjectiveConfig(tau=0.2)
    _, terms = overall_loss(case.prediction, case.targets, config, equal_weights())
    each = {t: mean_evidential(case.prediction.cross[t], labels_of(case)[t], 0.2) for t in TASKS}
    assert terms["cross"].item() == pytest.approx(sum(each.values()), rel=2e-5)
    for task in TASKS:
        assert terms[f"cross_{task}"].item() == pytest.approx(each[task], rel=2e-5)


@pytest.mark.parametrize("global_head", ["separate", "shared"])
@pytest.mark.parametrize("task", TASKS)
def test_eq23_global_evidence(make_model: Callable[..., DEFNet], task: str, global_head: str) -> None:
    case = make_case(make_model(model={"global_head": global_head}))
    nig = case.prediction.global_view[task]
    inputs = np.array([marginal(image, task) for image in case.global_joint])
    expected = expected_evidence(global_heads(case.model), task, inputs)
    for found, value in zip((nig.loc, nig.nu, nig.alpha, nig.beta), expected, strict=True):
        assert found.detach().numpy() == pytest.approx(value, rel=2e-5, abs=5e-6)


@pytest.mark.parametrize("global_head", ["shared", "separate"])
def test_eq23_global_view_teaches_the_head_and_not_the_towers(
    make_model: Callable[..., DEFNet], global_head: str
) -> None:
    model = make_model(model={"global_head": global_head}, backbone={"freeze_trunk": False}).train()
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    prediction = model(pixels[:, None], pixels)
    loss = sum(nig.loc.sum() + nig.nu.sum() + nig.beta.sum() for nig in prediction.global_view.values())
    torch.autograd.backward(loss)
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    assert (model.global_heads is None) is (global_head == "shared")
    for name, parameter in global_heads(model).named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    if global_head == "separate":
        assert all(parameter.grad is None for parameter in model.heads.parameters())


def test_eq23_sub_images_do_teach_the_towers(make_model: Callable[..., DEFNet]) -> None:
    """The counterpart: what is not seen under no-grad reaches every trained part of the towers."""
    model = make_model(backbone={"freeze_trunk": False}).train()
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    prediction = model(pixels[:, None], pixels)
    loss = sum(nig.loc.square().sum() + nig.beta.sum() for nig in prediction.cross.values())
    torch.autograd.backward(loss)
    silent = [n for n, p in model.backbone.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def pairwise_fusions(case: Case, task: str, i: int, k: int) -> list[tuple[float, ...]]:
    """Eq. 24 for one output."""
    global_ = parameters(case.prediction.global_view[task], i, k)
    return [add(parameters(case.prediction.local[task], i, n, k), global_) for n in range(CROPS)]


@pytest.mark.parametrize("task", TASKS)
def test_eq24_each_sub_image_is_fused_with_the_global_view(make_model: Callable[..., DEFNet], task: str) -> None:
    # With one sub-image the mean of Eq. 25 is that of one.
    case = make_case(make_model(), crops=1)
    for i, k in itertools.product(range(IMAGES), range(OUTPUTS[task])):
        expected = add(
            parameters(case.prediction.local[task], i, 0, k), parameters(case.prediction.global_view[task], i, k)
        )
        assert parameters(case.prediction.fusion[task], i, k) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_eq25_fused_parameters_are_averaged(case: Case, task: str) -> None:
    for i, k in itertools.product(range(IMAGES), range(OUTPUTS[task])):
        expected = tuple(sum(p) / CROPS for p in zip(*pairwise_fusions(case, task, i, k), strict=True))
        assert parameters(case.prediction.fusion[task], i, k) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("task", TASKS)
def test_eq26_local_global_loss_of_a_task(case: Case, task: str) -> None:
    found = evidential_task_losses(case.prediction.fusion, case.targets, 0.05)[task]
    expected = mean_evidential(case.prediction.fusion[task], labels_of(case)[task], 0.05)
    assert found.item() == pytest.approx(expected, rel=2e-5)


def test_eq27_local_global_loss_is_the_sum_of_three(case: Case) -> None:
    _, terms = overall_loss(case.prediction, case.targets, ObjectiveConfig(tau=0.2), equal_weights())
    each = {t: mean_evidential(case.prediction.fusion[t], labels_of(case)[t], 0.2) for t in TASKS}
    assert terms["fusion"].item() == pytest.approx(sum(each.values()), rel=2e-5)
    for task in TASKS:
        assert terms[f"fusion_{task}"].item() == pytest.approx(each[task], rel=2e-5)


@pytest.mark.parametrize(("cross", "fusion"), [(True, True), (True, False), (False, True), (False, False)])
def test_eq28_overall_loss(case: Case, cross: bool, fusion: bool) -> None:
    config = ObjectiveConfig(cross=cross, fusion=fusion, lambda1=0.3, lambda2=0.7)
    weights = {"quality": 1.3, "scene": 0.9, "distortion": 0.8}
    total, terms = overall_loss(case.prediction, case.targets, config, weights)
    multitask = expected_task_losses(case, "dataset")
    expected = sum(weights[task] * multitask[task] for task in TASKS)
    for active, weight, evidence in ((cross, 0.3, case.prediction.cross), (fusion, 0.7, case.prediction.fusion)):
        if active:
            expected += weight * sum(mean_evidential(evidence[t], labels_of(case)[t], 0.05) for t in TASKS)
    assert total.item() == terms["total"].item() == pytest.approx(expected, abs=1e-4)
    assert ("cross" in terms) is cross
    assert ("fusion" in terms) is fusion


def test_eq28_without_a_task_has_no_term_of_it(make_model: Callable[..., DEFNet]) -> None:
    case = make_case(make_model(model={"tasks": ["quality", "distortion"]}))
    prediction, targets = case.prediction, case.targets
    _, terms = overall_loss(prediction, targets, ObjectiveConfig(), {"quality": 1.0, "distortion": 1.0})
    assert not [name for name in terms if "scene" in name]
    each = [mean_evidential(prediction.cross[t], labels_of(case)[t], 0.05) for t in ("quality", "distortion")]
    assert terms["cross"].item() == pytest.approx(sum(each), rel=2e-5)
    namespace = SimpleNamespace(**{f.replace("fidelity_", ""): terms[f].item() for f in terms if "fidelity" in f})
    assert terms["multitask"].item() == pytest.approx(namespace.quality + namespace.distortion, rel=1e-6)
