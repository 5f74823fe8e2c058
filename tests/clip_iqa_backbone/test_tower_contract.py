"""What holds for every backbone, whatever its towers are: one suite over five kinds of them."""

import copy
import json
import logging
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor

from clip_iqa_backbone import (
    FrozenTextFeatures,
    JointProbability,
    LiteConfig,
    Vocabulary,
    create_backbone,
    distortion_marginal,
    export_model,
    image_tower_fingerprint,
    quality_marginal,
    read_exported,
    rebuild_image_tower,
    scene_marginal,
)

WORDS = Vocabulary(("bad", "good"), ("animal", "plant"), ("blur", "noise", "JPEG compression"))
MADE = ("vit", "resnet", "timm", "siglip", "lite")
CLIP = {
    "vit": {},
    "resnet": {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8}},
    # A trunk of timm's with batch normalisation, as the models of open_clip named after convolutions have it.
    "timm": {
        "vision_cfg": {
            "timm_model_name": "resnet10t",
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "image_size": 32,
        }
    },
    # No causal mask, the last token's feature, a bias of the logits, a ViT of timm's pooled by attention.
    "siglip": {
        "custom_text": True,
        "init_logit_bias": -10,
        "init_logit_scale": 2.3,
        "vision_cfg": {
            "timm_model_name": "test_vit",
            "timm_model_pretrained": False,
            "timm_pool": "map",
            "timm_proj": "none",
            "image_size": 32,
        },
        "text_cfg": {"no_causal_mask": True, "pool_type": "last", "proj_bias": True, "context_length": 32},
        "embed_dim": 64,
    },
}


@pytest.fixture(scope="module")
def make(
    write_clip: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], JointProbability]:
    folder = tmp_path_factory.mktemp("towers")

    def make_one(kind: str) -> JointProbability:
        if kind == "lite":
            torch.manual_seed(0)
            config = LiteConfig(stages=(0, 1), embed_dim=8, freeze_trunk=False)
            with pytest.warns(UserWarning, match="random weights"):
                return create_backbone("lite", lite=config, vocabulary=WORDS)
        path = folder / kind
        if not path.exists():
            write_clip(path, **CLIP[kind])
        return create_backbone(f"local-dir:{path}", vocabulary=WORDS)

    return make_one


@pytest.fixture(params=MADE)
def model(request: pytest.FixtureRequest, make: Callable[[str], JointProbability]) -> JointProbability:
    return make(request.param)


def views(model: JointProbability, *shape: int, seed: int = 0) -> Tensor:
    size = model.image.input_size
    generator = torch.Generator().manual_seed(seed)
    # Each view has a shade and a contrast of its own, so that no two look alike to an untrained tower.
    noise = torch.randn(*shape, 3, size, size, generator=generator)
    shade, contrast = (torch.rand(*shape, 3, 1, 1, generator=generator) for _ in range(2))
    return (255 * (shade + 0.3 * contrast * noise)).clamp(0, 255).to(torch.uint8)


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in [*module.named_parameters(), *module.named_buffers()]}


@torch.no_grad()
def test_shapes_and_sums(model):
    pixels = views(model, 2, 3)
    features = model.image_features(pixels)
    embeddings = model.embed(features)
    log_p = model(pixels)
    assert features.shape == (2, 3, model.image.feature_dim)
    assert embeddings.shape == (2, 3, model.image.embed_dim)
    assert log_p.shape == (2, 3, 2, 2, 3)
    assert model.text_embeddings().shape == (12, model.text.embed_dim)
    for unit in (embeddings, model.text_embeddings()):
        torch.testing.assert_close(unit.norm(dim=-1), torch.ones(unit.shape[:-1]))
    torch.testing.assert_close(log_p.exp().sum((-3, -2, -1)), torch.ones(2, 3))
    assert model(pixels[:0]).shape == (0, 3, 2, 2, 3)
    assert log_p.flatten(0, 1).std(0).max() > 1e-4  # the views differ, and so does what is said of them


@torch.no_grad()
def test_a_view_is_alone_whatever_batch_and_chunk_it_is_in(model):
    pixels = views(model, 7)
    alone = torch.cat([model(pixel[None]) for pixel in pixels])
    for chunk in (None, 1, 3):
        model.max_views_per_forward = chunk
        torch.testing.assert_close(model(pixels), alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(model(pixels.flip(0)).flip(0), alone, rtol=0, atol=1e-5)
    model.train()  # a look without gradients sees what scoring sees
    model.image.freeze_trunk()
    torch.testing.assert_close(model.image_features(pixels), model.eval().image_features(pixels), rtol=0, atol=1e-5)


def test_frozen_is_frozen_buffers_too(model):
    pixels = views(model, 4)
    model.image.freeze_trunk()
    model.train()
    before = state(model)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(2):
        model(pixels)[..., 0, 0, 0].mean().backward()
        optimizer.step()
    after = state(model)
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    children = tuple(f"image.{name}." for name in model.image.trunk_children)
    assert not {name for name in moved if name.startswith(children)}
    assert moved & {name for name, _ in model.text.named_parameters("text")}
    assert "logit_scale" in moved


def test_gradients_go_where_they_are_due(model):
    model.train()
    model(views(model, 4))[..., 0, 0, 0].mean().backward()
    # Not to what no output depends on: tokens that are no word of ours get a gradient of zero, all others some.
    without = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert without == []
    assert all(torch.isfinite(weight.grad).all() for weight in model.parameters())
    for part in (model.image, model.text):
        assert max(weight.grad.abs().max() for weight in part.parameters()) > 0
    pixels = (views(model, 2).float() / 255).requires_grad_()
    model.eval()(pixels)[..., 0, 0, 0].sum().backward()
    assert torch.isfinite(pixels.grad).all()
    assert (pixels.grad.flatten(1).abs().max(1).values > 0).all()


@torch.no_grad()
def test_saved_and_made_again(model, tmp_path):
    pixels = views(model, 3)
    expected = model(pixels)
    path = tmp_path / "weights.pt"
    torch.save(model.state_dict(), path)
    spec = json.loads(json.dumps(model.image.spec))
    image = rebuild_image_tower(spec)
    text = FrozenTextFeatures.of(model.text)
    again = JointProbability(image, text, WORDS)
    kept = torch.load(path, weights_only=True)
    again.load_state_dict({name: value for name, value in kept.items() if not name.startswith("text.")}, strict=False)
    again.eval()
    assert torch.equal(again(pixels), expected)
    assert image_tower_fingerprint(again.image) == image_tower_fingerprint(model.image)


@torch.no_grad()
def test_bytes_and_numbers_are_the_same_pixels(model):
    pixels = views(model, 3)
    expected = model(pixels)
    for dtype, atol in ((torch.float32, 1e-6), (torch.float64, 1e-5), (torch.bfloat16, None)):
        given = model((pixels.double() / 255).to(dtype))
        assert given.dtype == torch.float32
        if atol is not None:
            torch.testing.assert_close(given, expected, rtol=0, atol=atol)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        model(pixels.float())
    with pytest.raises(ValueError, match="pixels must have shape"):
        model(pixels[..., :-1])


@torch.no_grad()
def test_half_precision_towers_say_nearly_the_same(model):
    pixels = views(model, 3)
    expected = model(pixels)
    weights = state(model)
    model.precision = "bf16"
    half = model(pixels)
    assert half.dtype == torch.float32
    assert not torch.equal(half, expected)  # it did compute in half precision
    # The cosine of embeddings is off by some thousandths, and 1/κ, at most 14 here, multiplies that.
    cosine = (model.embed(model.image_features(pixels)) * _single(model, pixels)).sum(-1)
    assert cosine.min() > 0.995
    assert (half - expected).abs().max() < 0.5
    assert all(torch.equal(value, weights[name]) for name, value in state(model).items())


def _single(model: JointProbability, pixels: Tensor) -> Tensor:
    model.precision = "fp32"
    return model.embed(model.image_features(pixels))


@pytest.fixture
def quiet_tracing():
    """Pytest keeps what is logged; torch then writes down every step of its tracing, which takes most of the time."""
    logging.disable(logging.DEBUG)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("to", ["onnx", "pt2"])
@pytest.mark.usefixtures("quiet_tracing")
def test_exported_it_says_what_the_model_says(model, to, tmp_path):
    pixels = views(model, 5, seed=3)
    path = tmp_path / f"model.{to}"
    before = state(model)
    # Half of the weights' precision in one of the two: the writer itself compares with the weights rounded.
    written = export_model(model, path, precision="fp32" if to == "onnx" else "fp16", name="made", views=pixels)
    assert all(torch.equal(value, before[name]) for name, value in state(model).items())
    assert written.description == read_exported(path)
    assert written.views == 5
    said = read_exported(path)
    assert (said["name"], said["input_size"], said["qualities"]) == ("made", model.image.input_size, ["bad", "good"])
    assert said["image_tower"] == image_tower_fingerprint(model.image)
    if to == "pt2":
        run = torch.export.load(path).module()
        found = run(pixels)
    else:
        content = path.read_bytes()
        assert not [word for word in (b"/home/", b"/tmp/", b"site-packages", b'File "') if word in content]
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found = [torch.from_numpy(value) for value in session.run(None, {"views": pixels.numpy()})]
    log_p, quality, scene, distortion, embedding = found
    with torch.no_grad():
        double = copy.deepcopy(model).double()
        expected, unit = double(pixels), double.embed(double.image_features(pixels))
    if to == "onnx":
        torch.testing.assert_close(log_p.double(), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(embedding.double(), unit, rtol=0, atol=2e-6)
        assert written.difference == pytest.approx((log_p.double() - expected).abs().max().item(), abs=2e-6)
    else:
        assert 1e-6 < (log_p - expected).abs().max() < 0.1  # rounded, and no more
    marginals = ((quality, quality_marginal, 2), (scene, scene_marginal, 2), (distortion, distortion_marginal, 3))
    for marginal, of, classes in marginals:
        torch.testing.assert_close(marginal, of(log_p), rtol=0, atol=1e-6)
        assert marginal.shape == (5, classes)
