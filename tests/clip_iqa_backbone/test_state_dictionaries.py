"""Weights that say nothing of their model, against CLIP written out by hand in double precision."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from clip_iqa_backbone import (
    Vocabulary,
    average_over_views,
    create_backbone,
    distortion_marginal,
    expected_quality,
    quality_marginal,
    rebuild_image_tower,
    scene_marginal,
)

# Two heads of 64 on the image side, one on the text side, as OpenAI's models have them.
VIT = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 128, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}
RESNET = VIT | {"vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 4, "patch_size": None}}
FEW = Vocabulary(qualities=("bad", "perfect"), scenes=("animal", "plant"), distortions=("blur",))


def random_model(config: dict, *, quick_gelu: bool = True, seed: int = 0) -> open_clip.CLIP:
    torch.manual_seed(seed)
    model = open_clip.CLIP(**config, quick_gelu=quick_gelu).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name != "logit_scale":  # large enough that activations leave the straight part of GELU
                weight.add_(0.1 * torch.randn(weight.shape))
    return model


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return dict(random_model(VIT).state_dict())


def normed(x: Tensor, w: Mapping[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * w[f"{name}.weight"] + w[f"{name}.bias"]


def transformer(x: Tensor, w: Mapping[str, Tensor], prefix: str, layers: int, mask: Tensor | None) -> Tensor:
    """OpenAI's residual attention blocks of heads 64 wide, with QuickGELU."""
    for layer in range(layers):
        p = f"{prefix}.resblocks.{layer}"
        q, k, v = (normed(x, w, f"{p}.ln_1") @ w[f"{p}.attn.in_proj_weight"].T + w[f"{p}.attn.in_proj_bias"]).chunk(
            3, dim=-1
        )
        heads = [part.unflatten(-1, (-1, 64)).transpose(1, 2) for part in (q, k, v)]
        similarity = heads[0] @ heads[1].transpose(-1, -2) / 8
        attended = (similarity if mask is None else similarity + mask).softmax(-1) @ heads[2]
        x = x + attended.transpose(1, 2).flatten(2) @ w[f"{p}.attn.out_proj.weight"].T + w[f"{p}.attn.out_proj.bias"]
        hidden = normed(x, w, f"{p}.ln_2") @ w[f"{p}.mlp.c_fc.weight"].T + w[f"{p}.mlp.c_fc.bias"]
        x = x + (hidden * torch.sigmoid(1.702 * hidden)) @ w[f"{p}.mlp.c_proj.weight"].T + w[f"{p}.mlp.c_proj.bias"]
    return x


def by_hand(weights: Mapping[str, Tensor], crops: Tensor, prompts: list[str]) -> Tensor:
    """Logits (B, N, prompts) of uint8 crops (B, N, 3, 32, 32), in double precision."""
    w = {name: value.double() for name, value in weights.items()}
    mean, std = (
        torch.tensor(values, dtype=torch.float64)[:, None, None]
        for values in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    )
    pixels = (crops.flatten(0, 1).double() / 255 - mean) / std
    patches = torch.conv2d(pixels, w["visual.conv1.weight"], stride=16).flatten(2).transpose(1, 2)
    x = torch.cat([w["visual.class_embedding"].expand(len(patches), 1, -1), patches], 1)
    x = normed(x + w["visual.positional_embedding"], w, "visual.ln_pre")
    x = transformer(x, w, "visual.transformer", 2, None)
    image = normed(x[:, 0], w, "visual.ln_post") @ w["visual.proj"]
    tokens = open_clip.tokenize(prompts)
    mask = torch.full((77, 77), float("-inf"), dtype=torch.float64).triu(1)
    y = transformer(w["token_embedding.weight"][tokens] + w["positional_embedding"], w, "transformer", 2, mask)
    text = normed(y, w, "ln_final")[torch.arange(len(tokens)), tokens.argmax(1)] @ w["text_projection"]
    unit = [features / features.norm(dim=-1, keepdim=True) for features in (image, text)]
    return (w["logit_scale"].exp() * unit[0] @ unit[1].T).unflatten(0, crops.shape[:2])


def as_liqe_publishes(weights):
    return weights, ".pt"


def as_liqe_trains(weights):
    optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 5e-6}]}
    return {"epoch": 7, "model_state_dict": weights, "optimizer_state_dict": optimizer}, ".pt"


def as_other_packages_wrap_it(weights):
    return {"params": {f"clip_model.{name}": value for name, value in weights.items()}}, ".pth"


def as_data_parallel(weights):
    return {"state_dict": {f"module.{name}": value for name, value in weights.items()}}, ".pth"


def as_safetensors(weights):
    return weights, ".safetensors"


LAYOUTS = [as_liqe_publishes, as_liqe_trains, as_other_packages_wrap_it, as_data_parallel, as_safetensors]


def write(content, path: Path) -> Path:
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
def test_liqes_checkpoints_are_read_in_every_layout(weights, layout, tmp_path):
    content, suffix = layout(weights)
    model = create_backbone(f"liqe:{write(content, tmp_path / f'liqe{suffix}')}", vocabulary=FEW)
    assert (model.image.input_size, model.image.embed_dim) == (32, 24)
    for name, value in model.image.visual.state_dict().items():
        assert torch.equal(value, weights[f"visual.{name}"]), name
    assert torch.equal(model.text.token_embedding.weight, weights["token_embedding.weight"])
    assert model.logit_scale.item() == weights["logit_scale"].item()


@pytest.mark.parametrize("images", [1, 3])
@torch.no_grad()
def test_liqes_quality_scene_and_distortion(weights, tmp_path, images):
    crops = torch.randint(0, 256, (images, 4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    model = create_backbone(f"liqe:{write(weights, tmp_path / 'liqe.pt')}")
    words = Vocabulary.preset("liqe")
    assert model.vocabulary == words
    expected = by_hand(weights, crops, words.prompts())
    logits = model.logits(model.embed(model.image_features(crops)))
    np.testing.assert_allclose(logits.flatten(-3), expected, atol=1e-4)
    joint = expected.mean(1).softmax(-1).unflatten(-1, words.shape)
    for marginal, axes in ((quality_marginal, (2, 3)), (scene_marginal, (1, 3)), (distortion_marginal, (1, 2))):
        np.testing.assert_allclose(average_over_views(logits, marginal, "logits"), joint.sum(axes), atol=1e-5)
    quality = (joint.sum((2, 3)) * torch.arange(1, 6)).sum(-1)
    ours = expected_quality(average_over_views(logits, quality_marginal, "logits"))
    np.testing.assert_allclose(ours, quality, atol=1e-5)
    assert images == 1 or quality.std() > 0


def test_half_precision_weights_become_single(weights, tmp_path):
    half = {name: value.half() for name, value in weights.items()}
    model = create_backbone(f"liqe:{write(half, tmp_path / 'liqe.pt')}", vocabulary=FEW)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def archive(weights, resolution: int = 32) -> dict[str, Tensor]:
    """As OpenAI's archives hold it: three numbers beside the weights, which are in half precision."""
    numbers = {"input_resolution": resolution, "context_length": 77, "vocab_size": 49408}
    half = {name: value.half() for name, value in weights.items()}
    return half | {name: torch.tensor(number) for name, number in numbers.items()}


@pytest.mark.parametrize("config", [VIT, RESNET], ids=["vit", "resnet"])
@torch.no_grad()
def test_openais_archives_tell_quick_gelu_by_their_layout(config, tmp_path):
    reference = random_model(config)
    size = config["vision_cfg"]["image_size"]
    path = write(archive(reference.state_dict(), size), tmp_path / "openai.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = create_backbone(f"state-dict:{path}", vocabulary=FEW)
    reference.load_state_dict({name: value.half().float() for name, value in reference.state_dict().items()})
    pixels = torch.rand(2, 3, size, size)
    assert torch.equal(model.image(pixels), reference.encode_image(pixels))
    torch.testing.assert_close(model.text(), reference.encode_text(open_clip.tokenize(FEW.prompts())))
    rebuilt = rebuild_image_tower(json.loads(json.dumps(model.image.spec)))
    rebuilt.load_state_dict(model.image.state_dict())
    assert torch.equal(rebuilt.eval()(pixels), model.image(pixels))
    with pytest.raises(ValueError, match=r"quick_gelu=False does not fit state-dict:.*QuickGELU"):
        create_backbone(f"state-dict:{path}", vocabulary=FEW, quick_gelu=False)


@pytest.fixture
def registered(monkeypatch):
    """The tiny shapes as architectures of open_clip; heads 32 wide, which no weight tells."""
    config = VIT | {"vision_cfg": VIT["vision_cfg"] | {"head_width": 32}}
    for suffix, extra in (("", {}), ("-quickgelu", {"quick_gelu": True})):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, f"tiny{suffix}", config | extra)
    return config


@pytest.mark.parametrize("quick_gelu", [True, False])
@torch.no_grad()
def test_other_weights_must_be_told_their_activation(registered, tmp_path, quick_gelu):
    reference = random_model(registered, quick_gelu=quick_gelu)
    path = write(dict(reference.state_dict()), tmp_path / "open_clip_model.safetensors")
    with pytest.raises(ValueError, match=r"model.safetensors does not tell whether .* Give quick_gelu=True for"):
        create_backbone(f"state-dict:{path}", vocabulary=FEW)
    model = create_backbone(f"state-dict:{path}", vocabulary=FEW, quick_gelu=quick_gelu)
    pixels = torch.rand(2, 3, 32, 32)
    assert torch.equal(model.image(pixels), reference.encode_image(pixels))
    other = create_backbone(f"state-dict:{path}", vocabulary=FEW, quick_gelu=not quick_gelu)
    assert (model.image(pixels) - other.image(pixels)).abs().max() > 1e-3


def test_shapes_that_leave_the_heads_open_are_refused(weights, registered, tmp_path, monkeypatch):
    path = write(weights, tmp_path / "clip.pt")
    # As 64 is what OpenAI's have, the file of a model that is not theirs is nobody's without open_clip's list.
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-64", VIT)
    with pytest.raises(
        ValueError, match=r"shapes in .*clip.pt are those of .*tiny.*, and weights do not tell .* heads"
    ):
        create_backbone(f"state-dict:{path}", vocabulary=FEW, quick_gelu=True)
    for name in ("tiny", "tiny-quickgelu", "tiny-64"):
        monkeypatch.delitem(open_clip.factory._MODEL_CONFIGS, name)
    with pytest.raises(ValueError, match="are those of no architecture of open_clip"):
        create_backbone(f"state-dict:{path}", vocabulary=FEW, quick_gelu=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: {"a": torch.zeros(2)}, r"holds no CLIP .*its first tensors: a\)"),
        (lambda _: {}, "holds no CLIP .*its first tensors: none"),
        (
            lambda w: {k: v for k, v in w.items() if k != "ln_final.weight"},
            "no whole CLIP: the tensor 'ln_final.weight'",
        ),
        (lambda w: {k: v for k, v in w.items() if k != "visual.ln_post.bias"}, "not those of one CLIP: .*ln_post.bias"),
        (lambda w: w | {"head.weight": torch.zeros(1)}, "not those of one CLIP: .*head.weight"),
        (lambda w: w | {"token_embedding.weight": torch.zeros(100, 64)}, "vocabulary of 100 tokens, not the 49408"),
    ],
)
def test_what_is_no_whole_clip_is_refused(weights, tmp_path, change, message):
    path = write(change(weights), tmp_path / "some.pt")
    with pytest.raises(ValueError, match=rf"some\.pt .*{message}"):
        create_backbone(f"liqe:{path}", vocabulary=FEW)


class Runs:
    def __reduce__(self):
        return print, ("run",)


def test_a_checkpoint_that_could_run_code_is_not_read(weights, tmp_path):
    path = write({"model_state_dict": weights, "extra": Runs()}, tmp_path / "liqe.pt")
    with pytest.raises(ValueError, match="could run code, so it is not loaded"):
        create_backbone(f"liqe:{path}", vocabulary=FEW)
    with pytest.raises(FileNotFoundError, match=r"no weights file .*gone\.pt"):
        create_backbone(f"liqe:{tmp_path / 'gone.pt'}")


def test_arguments_that_do_not_go_together(tmp_path):
    with pytest.raises(ValueError, match=r"liqe:a\.pt brings its own weights; pretrained='openai' must be left out"):
        create_backbone("liqe:a.pt", pretrained="openai")
    with pytest.raises(ValueError, match=r"quick_gelu= is about .* 'lite' says itself"):
        create_backbone("lite", quick_gelu=True)
    for name in ("hf-hub:org/name", "hf-hub:org//file", "hf-hub:org"):
        with pytest.raises(ValueError, match="is named hf-hub:ORG/NAME/FILE, got"):
            create_backbone(f"liqe:{name}")


def test_a_file_on_the_hub(weights, tmp_path, monkeypatch):
    from clip_iqa_backbone.sources import state_dictionaries

    asked = []

    def fetch(*arguments, **options):
        asked.append((arguments, options))
        if options["revision"] == "gone":
            raise FileNotFoundError("no network.")
        return str(write(weights, tmp_path / "liqe.pt"))

    monkeypatch.setattr(state_dictionaries, "download_pretrained_from_hf", fetch)
    create_backbone("liqe:hf-hub:org/name@main/sub/liqe.pt", vocabulary=FEW, cache_dir=tmp_path)
    assert asked == [(("org/name",), {"filename": "sub/liqe.pt", "revision": "main", "cache_dir": str(tmp_path)})]
    with pytest.raises(RuntimeError, match=r"cannot be fetched: no network\. .*put sub/liqe.pt into any folder"):
        create_backbone("liqe:hf-hub:org/name@gone/sub/liqe.pt", vocabulary=FEW)
