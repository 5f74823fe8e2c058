import math

import mpmath
import numpy as np
import pytest
import torch

from clip_iqa_backbone import (
    FrozenTextFeatures,
    ImageTower,
    JointProbability,
    LiteConfig,
    LiteTextTower,
    TextTower,
    Vocabulary,
    create_backbone,
)

WORDS = Vocabulary.preset("defnet")
SIZE = 8


class LinearTower(ImageTower):
    """The smallest real tower: pixels are features, one matrix embeds them."""

    def __init__(self, embed_dim: int = 6) -> None:
        super().__init__(
            input_size=SIZE, feature_dim=3 * SIZE**2, embed_dim=embed_dim, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)
        )
        self.matrix = torch.nn.Linear(self.feature_dim, embed_dim)
        self.batches: list[int] = []

    def trunk(self, pixels):
        self.batches.append(len(pixels))
        return pixels.flatten(1)

    def project(self, features):
        return self.matrix(features)


def make(text: TextTower | None = None, **options) -> JointProbability:
    torch.manual_seed(0)
    tower = LinearTower()
    return JointProbability(tower, LiteTextTower(WORDS, embed_dim=6) if text is None else text, WORDS, **options).eval()


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (2, 4, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


# --- the equation


def test_eq4_joint_probability_is_one_softmax_over_all_sentences(pixels):
    model = make(logit_scale=3.0)
    with torch.no_grad():
        log_p = model(pixels)
        features = model.text().double().numpy()
    assert log_p.shape == (2, 4, 5, 9, 11)
    view = pixels[1, 2].double().numpy() / 255
    mean, std = np.array([0.1, 0.2, 0.3])[:, None, None], np.array([0.5, 0.6, 0.7])[:, None, None]
    weight, bias = (
        model.image.matrix.weight.detach().double().numpy(),
        model.image.matrix.bias.detach().double().numpy(),
    )
    embedding = weight @ ((view - mean) / std).ravel() + bias
    embedding /= np.linalg.norm(embedding)
    sentences = features / np.linalg.norm(features, axis=1, keepdims=True)
    with mpmath.workdps(30):
        kappa = mpmath.exp(-3)
        weights = [mpmath.exp(mpmath.mpf(float(logit)) / kappa) for logit in sentences @ embedding]
        expected = np.array([float(mpmath.log(value / mpmath.fsum(weights))) for value in weights])
    np.testing.assert_allclose(log_p[1, 2].ravel(), expected, atol=2e-5)


def test_eq4_probabilities_sum_to_one(pixels):
    with torch.no_grad():
        log_p = make(logit_scale=math.log(100))(pixels)
    torch.testing.assert_close(log_p.exp().sum((-3, -2, -1)), torch.ones(2, 4))


def test_logits_are_cosines_times_the_scale(pixels):
    model = make(logit_scale=2.0)
    with torch.no_grad():
        embeddings = model.embed(model.image_features(pixels))
        text = model.text_embeddings()
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2, 4))
    torch.testing.assert_close(text.norm(dim=-1), torch.ones(495))
    logits = model.logits(embeddings).detach()
    torch.testing.assert_close(logits.flatten(-3), math.exp(2) * torch.einsum("bvd,td->bvt", embeddings, text))


def test_the_temperature_is_learned_unless_told_otherwise(pixels):
    model = make()
    model(pixels)[..., 0, 0, 0].sum().backward()
    assert model.logit_scale.grad.abs() > 0
    assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    assert not make(trainable_logit_scale=False).logit_scale.requires_grad


def test_the_temperature_is_kept_in_clips_range():
    model = make()
    for value, expected in ((9.0, math.log(100)), (-1.0, 0.0), (2.5, 2.5)):
        with torch.no_grad():
            model.logit_scale.fill_(value)
        model.clamp_logit_scale()
        assert model.logit_scale.item() == pytest.approx(expected)


# --- pixels


def test_bytes_and_fractions_are_the_same_pixels(pixels):
    model = make()
    with torch.no_grad():
        expected = model(pixels)
        torch.testing.assert_close(model(pixels.float() / 255), expected)
        torch.testing.assert_close(model(pixels.double() / 255), expected)
    normalized = model.normalize(torch.full((3, SIZE, SIZE), 255, dtype=torch.uint8))
    torch.testing.assert_close(normalized[:, 0, 0], torch.tensor([0.9 / 0.5, 0.8 / 0.6, 0.7 / 0.7]))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.full((3, SIZE, SIZE), 200.0), r"must lie in \[0, 1\], got 200 to 200"),
        (torch.full((3, SIZE, SIZE), 1.25), r"must lie in \[0, 1\], got 1.25 to 1.25"),
        (torch.full((3, SIZE, SIZE), -0.25), r"must lie in \[0, 1\], got -0.25 to -0.25"),
        (torch.full((3, SIZE, SIZE), torch.nan), r"must lie in \[0, 1\]"),
        (torch.zeros(3, SIZE, SIZE, dtype=torch.int64), "must be uint8 or floating point, got torch.int64"),
        (torch.zeros(3, SIZE, SIZE + 1), rf"must have shape \(..., 3, {SIZE}, {SIZE}\), got \(3, 8, 9\)"),
        (torch.zeros(SIZE, SIZE, 3), r"must have shape \(..., 3, 8, 8\)"),
    ],
)
def test_pixels_that_are_none_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        make()(bad)


@pytest.mark.parametrize("lead", [(), (1,), (7,), (2, 3), (2, 1, 3)])
def test_any_leading_shape_goes_through(lead):
    with torch.no_grad():
        model = make(max_views_per_forward=4)
        views = torch.zeros(*lead, 3, SIZE, SIZE, dtype=torch.uint8)
        assert model.image_features(views).shape == (*lead, 3 * SIZE**2)
        assert model(views).shape == (*lead, 5, 9, 11)


def test_no_views_give_no_probabilities():
    assert make()(torch.zeros(0, 3, SIZE, SIZE, dtype=torch.uint8)).shape == (0, 5, 9, 11)


def test_views_go_through_the_tower_in_chunks(pixels):
    model, whole = make(max_views_per_forward=3), make(max_views_per_forward=100)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels), whole(pixels))
    assert model.image.batches == [3, 3, 2]
    assert whole.image.batches == [8]


def test_a_view_is_scored_the_same_alone_and_among_sixteen():
    # In the reference implementation one image's score moved by 0.05 with its batch.
    torch.manual_seed(0)
    model = create_backbone("lite", lite=LiteConfig(stages=(0, 2, 4)))
    views = torch.randint(0, 256, (16, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        together = model(views)
        alone = torch.stack([model(view) for view in views])
    assert (together - alone).abs().max() < 1e-5


# --- the kept text embeddings


class CountingText(LiteTextTower):
    def __init__(self) -> None:
        super().__init__(WORDS, embed_dim=6)
        self.calls = 0

    def forward(self):
        self.calls += 1
        return super().forward()


@torch.no_grad()
def fresh(model: JointProbability) -> torch.Tensor:
    return torch.nn.functional.normalize(LiteTextTower.forward(model.text), dim=-1)


@torch.no_grad()
def test_text_embeddings_are_computed_once_while_nothing_changes(pixels):
    model = make(CountingText())
    for _ in range(3):
        model(pixels)
    assert model.text.calls == 1


def step(model, **options):
    optimizer = torch.optim.AdamW(model.text.parameters(), lr=0.1, **options)
    with torch.enable_grad():
        model.text_embeddings()[:, 0].sum().backward()
    optimizer.step()


def load(model):
    torch.manual_seed(99)
    model.text.load_state_dict(CountingText().state_dict())


def load_by_assignment(model):
    torch.manual_seed(98)
    model.text.load_state_dict(CountingText().state_dict(), assign=True)


def write_to_data(model):
    model.text.combine[0].weight.data.mul_(2)


def write_to_data_and_swap_rows(model):
    words = model.text.scene_words.weight
    written = words._version
    words.data.copy_(words.data.flip(0))
    assert words._version == written  # torch counts no write


def replace_parameter(model):
    model.text.combine[0].bias = torch.nn.Parameter(model.text.combine[0].bias + 1)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda m: step(m, foreach=True), id="a step, foreach"),
        pytest.param(lambda m: step(m, foreach=False), id="a step, one by one"),
        pytest.param(lambda m: step(m, fused=True), id="a step, fused"),  # does not count as a write in torch
        load,
        load_by_assignment,
        write_to_data,
        write_to_data_and_swap_rows,
        replace_parameter,
    ],
)
def test_text_embeddings_are_never_stale(change):
    model = make(CountingText())
    with torch.no_grad():
        before = model.text_embeddings()
        change(model)
        after = model.text_embeddings()
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, fresh(model), rtol=0, atol=0)


def test_another_tower_in_its_place_is_noticed():
    model = make()
    with torch.no_grad():
        model.text_embeddings()
        model.text = FrozenTextFeatures(torch.randn(495, 6))
        expected = torch.nn.functional.normalize(model.text.features, dim=-1)
        torch.testing.assert_close(model.text_embeddings(), expected)


class ShiftedText(LiteTextTower):
    """Depends on more than its weights and its modules tell."""

    def __init__(self, shift: float) -> None:
        super().__init__(WORDS, embed_dim=6)
        self.shift = shift

    def forward(self):
        return super().forward() + self.shift


@torch.no_grad()
def test_another_tower_with_the_same_weights_is_noticed():
    model = make(ShiftedText(0.0))
    before = model.text_embeddings()
    other = ShiftedText(1.0).eval()
    other.load_state_dict(model.text.state_dict())
    model.text = other
    assert not torch.allclose(model.text_embeddings(), before)


@torch.no_grad()
def test_another_activation_in_a_tower_is_noticed():
    model = make(CountingText())
    before = model.text_embeddings()
    model.text.combine[1] = torch.nn.Tanh()
    after = model.text_embeddings()
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, fresh(model), rtol=0, atol=0)


@torch.no_grad()
def test_another_vocabulary_or_precision_is_noticed():
    model = make(CountingText())
    exact = model.text_embeddings()
    model.precision = "bf16"
    assert not torch.equal(model.text_embeddings(), exact)
    calls = model.text.calls
    model.vocabulary = Vocabulary.preset("liqe")
    model.text_embeddings()
    assert model.text.calls == calls + 1


@torch.no_grad()
def test_a_layer_in_training_mode_stays_random_where_the_tower_is_not():
    model = make(CountingText())
    model.text.combine.append(torch.nn.Dropout(0.5))
    model.text.combine[-1].train()
    assert not model.text.training
    assert not torch.equal(model.text_embeddings(), model.text_embeddings())


def test_gradients_reach_the_words_even_after_embeddings_were_kept(pixels):
    model = make()
    with torch.no_grad():
        model(pixels)
    model(pixels).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.text.parameters())


def test_what_inference_mode_kept_can_be_used_in_training(pixels):
    model = make()
    model.text.requires_grad_(False)
    with torch.inference_mode():
        model(pixels)
    model(pixels).square().sum().backward()
    assert model.image.matrix.weight.grad.abs().max() > 0


def test_a_model_made_in_inference_mode_works_there(pixels):
    with torch.inference_mode():
        model = make(CountingText())
        before = model(pixels)
        model.text.combine[0].weight.mul_(3)
        assert not torch.equal(model(pixels), before)


@torch.no_grad()
def test_dropout_in_a_text_tower_stays_random_in_training():
    class Noisy(CountingText):
        def forward(self):
            return torch.nn.functional.dropout(super().forward(), 0.5, self.training)

    model = make(Noisy())
    model.train()
    assert not torch.equal(model.text_embeddings(), model.text_embeddings())
    model.eval()
    assert torch.equal(model.text_embeddings(), model.text_embeddings())


# --- precision


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_weights_stay_in_single_precision_and_small_steps_move_them(pixels, precision):
    # A step of 5e-6 is below the spacing of half-precision numbers for about half of all weights.
    model = make(precision=precision)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    before = model.image.matrix.weight.detach().clone()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-6, weight_decay=0)
    (model(pixels) * torch.linspace(-1, 1, 495).view(5, 9, 11)).sum().backward()
    optimizer.step()
    moved = (model.image.matrix.weight != before).float().mean()
    assert moved > 0.99


def test_the_softmax_is_single_precision_whatever_the_towers_compute_in(pixels):
    with torch.no_grad():
        exact, rounded = make()(pixels), make(precision="bf16")(pixels)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded.exp().sum((-3, -2, -1)), torch.ones(2, 4))
    assert 0 < (exact - rounded).abs().max() < 0.5  # the towers did round
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert make()(pixels).dtype == torch.float32


@torch.no_grad()
def test_similarities_and_softmax_are_single_precision_under_autocast_and_for_half_precision(pixels):
    model = make(logit_scale=math.log(100))
    embeddings, text = model.embed(model.image_features(pixels)), model.text_embeddings()
    expected = model.logits(embeddings, text)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(model.logits(embeddings, text), expected, rtol=0, atol=0)
    rounded = expected.bfloat16()
    log_p = model.log_probabilities(rounded)
    assert log_p.dtype == torch.float32
    torch.testing.assert_close(log_p, model.log_probabilities(rounded.float()), rtol=0, atol=0)


@torch.no_grad()
def test_embeddings_made_under_autocast_are_not_served_outside(pixels):
    model = make(CountingText())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model.text_embeddings()
    exact = model.text_embeddings()
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(exact, fresh(model), rtol=0, atol=0)


# --- what does not fit together


def test_parts_that_do_not_fit_are_refused():
    tower = LinearTower()
    with pytest.raises(ValueError, match="image tower embeds in 6 dimensions, the text in 5"):
        JointProbability(tower, LiteTextTower(WORDS, embed_dim=5), WORDS)
    with pytest.raises(ValueError, match="text tower has 10 sentences, the vocabulary 495"):
        JointProbability(tower, FrozenTextFeatures(torch.ones(10, 6)), WORDS)
    text = LiteTextTower(WORDS, embed_dim=6)
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16, fp16, got 'int8'"):
        JointProbability(tower, text, WORDS, precision="int8")
    with pytest.raises(ValueError, match="max_views_per_forward must be at least 1"):
        JointProbability(tower, text, WORDS, max_views_per_forward=0)
    for outside in (100, math.log(100) + 1e-3, -1e-6, math.nan):
        with pytest.raises(ValueError, match=r"logit_scale must lie in \[0, ln 100\], got"):
            JointProbability(tower, text, WORDS, logit_scale=outside)
    for bound in (0.0, math.log(100)):
        JointProbability(tower, text, WORDS, logit_scale=bound)


def test_frozen_features_are_what_the_tower_returns():
    tower = LiteTextTower(WORDS, embed_dim=6).train()
    frozen = FrozenTextFeatures.of(tower)
    assert torch.equal(frozen(), tower().detach())
    assert tower.training
    assert not list(frozen.parameters())
    other = FrozenTextFeatures(torch.zeros(495, 6))
    other.load_state_dict(frozen.state_dict())
    assert torch.equal(other(), frozen())
    with pytest.raises(ValueError, match="floating-point matrix"):
        FrozenTextFeatures(torch.zeros(495, 6, dtype=torch.int64))
    with pytest.raises(ValueError, match="features must be finite"):
        FrozenTextFeatures(torch.full((2, 2), torch.inf))


def test_a_model_survives_saving_and_loading(pixels, tmp_path):
    from safetensors.torch import load_file, save_file

    model = make(logit_scale=1.5)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    other = make()
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    with torch.no_grad():
        assert torch.equal(other(pixels), model(pixels))
    assert "image.mean" not in model.state_dict()  # it belongs to the architecture


@pytest.mark.gpu
def test_the_gpu_gives_what_the_cpu_gives():
    torch.manual_seed(0)
    model = create_backbone("lite")
    views = torch.randint(0, 256, (16, 3, 224, 224), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model(views)
        actual = model.cuda()(views.cuda())
        model.precision = "bf16"
        rounded = model(views.cuda())
    torch.testing.assert_close(actual.cpu(), expected, rtol=0, atol=1e-2)
    torch.testing.assert_close(rounded.cpu(), expected, rtol=0, atol=0.3)


def test_a_tower_of_ones_own_need_not_tell_its_architecture() -> None:
    with pytest.raises(ValueError, match="LinearTower does not tell its architecture"):
        _ = LinearTower().spec
