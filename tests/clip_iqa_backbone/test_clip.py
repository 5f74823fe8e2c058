import copy

import open_clip
import pytest
import torch

from clip_iqa_backbone import CLIPImageTower, CLIPTextTower, Vocabulary

WORDS = Vocabulary.preset("defnet")
FEW = Vocabulary(qualities=("bad", "perfect"), scenes=("animal", "plant"), distortions=("blur", "JPEG2000 compression"))


def load(folder):
    model = open_clip.create_model(f"local-dir:{folder}").eval()
    return model, open_clip.get_tokenizer(f"local-dir:{folder}")


@pytest.fixture(scope="module")
def clip(tiny_clip):
    return load(tiny_clip)


def test_the_image_tower_is_the_models(clip):
    model, _ = clip
    tower = CLIPImageTower(model)
    assert (tower.input_size, tower.feature_dim, tower.embed_dim) == (32, 24, 24)
    assert tower.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert tower.std.flatten().tolist() == pytest.approx([0.4, 0.5, 0.6])
    pixels = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(tower(pixels), model.encode_image(pixels), rtol=0, atol=0)


@torch.no_grad()
def test_cutting_the_padding_is_exact(clip):
    model, tokenizer = clip
    expected = model.encode_text(tokenizer(WORDS.prompts()))
    cut = CLIPTextTower(model, tokenizer, WORDS)
    whole = CLIPTextTower(model, tokenizer, WORDS, cut_padding=False)
    assert cut.tokens.shape == (495, 25)
    assert whole.tokens.shape == (495, 77)
    assert expected.std(dim=0).min() > 1e-3  # the sentences do differ
    torch.testing.assert_close(whole(), expected, rtol=0, atol=0)
    torch.testing.assert_close(cut(), expected, rtol=1e-5, atol=1e-5)


def test_features_and_gradients_through_the_cut_tower_are_those_of_the_whole_one(clip):
    # In double precision, where what is cut away must show and rounding cannot.
    model = copy.deepcopy(clip[0]).double()
    features, gradients = [], []
    for cut_padding in (True, False):
        tower = CLIPTextTower(model, clip[1], FEW, cut_padding=cut_padding).double()
        tower.transformer.get_cast_dtype = lambda: torch.float64
        tower.zero_grad()
        features.append(tower())
        features[-1].square().sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in tower.named_parameters()})
    torch.testing.assert_close(features[0], features[1], rtol=0, atol=1e-12)
    cut, whole = gradients
    assert cut.keys() == whole.keys()
    for name, gradient in cut.items():
        torch.testing.assert_close(gradient, whole[name], rtol=0, atol=1e-10, msg=name)
    assert cut["token_embedding.weight"].abs().max() > 0
    # Positions behind the cut never mattered.
    assert not cut["positional_embedding"][23:].any()


VARIANTS = {
    # Attends to what follows, so the padding is part of the sentence.
    "not causal": ({"text_cfg": {"no_causal_mask": True}}, 77),
    "not causal, in a custom tower": ({"custom_text": True, "text_cfg": {"no_causal_mask": True}}, 77),
    # Pools at the last place of all, which is padding.
    "pooled at the end": ({"custom_text": True, "text_cfg": {"pool_type": "last"}}, 77),
    "causal, in a custom tower": ({"custom_text": True}, 23),
    "pooled at the first token": ({"custom_text": True, "text_cfg": {"pool_type": "first"}}, 1),
    "pooled at the end of text": ({"custom_text": True, "text_cfg": {"pool_type": "eos", "eos_id": 49407}}, 23),
    "a linear projection with bias": ({"custom_text": True, "text_cfg": {"proj_bias": True}}, 23),
    "no projection": ({"custom_text": True, "embed_dim": 32, "text_cfg": {"proj_type": "none"}}, 23),
    "QuickGELU": ({"quick_gelu": True}, 23),
    "a short context": ({"text_cfg": {"context_length": 40}}, 23),
}


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_every_kind_of_text_tower_gives_what_open_clip_gives(write_clip, tmp_path, variant):
    config, length = VARIANTS[variant]
    model, tokenizer = load(write_clip(tmp_path / "clip", **config))
    tower = CLIPTextTower(model, tokenizer, FEW)
    assert tower.tokens.shape == (8, length)
    assert tower.embed_dim == tower().shape[1]
    torch.testing.assert_close(tower(), model.encode_text(tokenizer(FEW.prompts())), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_cutting_a_tower_that_is_not_causal_would_be_wrong(write_clip, tmp_path):
    # What the test above guards against: the same tokens without their padding give other features.
    model, tokenizer = load(write_clip(tmp_path / "clip", custom_text=True, text_cfg={"no_causal_mask": True}))
    tokens = tokenizer(FEW.prompts())
    assert (model.encode_text(tokens) - model.encode_text(tokens[:, :23])).abs().max() > 1e-3


@torch.no_grad()
def test_coca_keeps_its_padding_and_its_class_token(write_clip, tmp_path):
    tower_cfg = {"layers": 2, "width": 64, "patch_size": 16, "head_width": 32, "image_size": 32}
    vision = {**tower_cfg, "attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    text = {"context_length": 76, "embed_cls": True, "output_tokens": True}
    decoder = {"context_length": 76, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    folder = write_clip(tmp_path / "coca", vision_cfg=vision, text_cfg=text, multimodal_cfg=decoder, custom_text=True)
    model, tokenizer = load(folder)
    assert type(model).__name__ == "CoCa"
    tower, pixels = CLIPTextTower(model, tokenizer, FEW), torch.randn(2, 3, 32, 32)
    assert tower.tokens.shape == (8, 76)
    torch.testing.assert_close(tower(), model.encode_text(tokenizer(FEW.prompts()), normalize=False))
    torch.testing.assert_close(CLIPImageTower(model)(pixels), model.encode_image(pixels, normalize=False))


TIMM = {
    "a transformer": {"timm_model_name": "test_vit", "timm_pool": "token", "timm_proj": "linear", "image_size": 160},
    "a network of convolutions": {
        "timm_model_name": "test_resnet",
        "timm_pool": "avg",
        "timm_proj": "mlp",
        "image_size": 64,
    },
}


@pytest.mark.parametrize("kind", TIMM)
def test_a_timm_image_tower_gives_what_open_clip_gives(write_clip, tmp_path, kind):
    model, _ = load(write_clip(tmp_path / "clip", vision_cfg=TIMM[kind]))
    size = TIMM[kind]["image_size"]
    pixels = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.encode_image(pixels)
    model.visual.train()
    before = {name: value.clone() for name, value in model.visual.state_dict().items()}
    tower = CLIPImageTower(model)
    # To learn the size of its output it is run once; neither its mode nor its statistics show that.
    assert all(module.training for module in tower.visual.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.visual.state_dict().items())
    assert (tower.input_size, tower.feature_dim, tower.embed_dim) == (size, 24, 24)
    with torch.no_grad():
        actual = tower.eval()(pixels)
    assert torch.equal(actual, expected)
    assert (actual[0] - actual[1]).abs().max() > 1e-3  # the views do differ


def test_sentences_that_do_not_fit_the_context_are_refused(write_clip, tmp_path):
    model, tokenizer = load(write_clip(tmp_path / "clip", text_cfg={"context_length": 10}))
    with pytest.raises(ValueError, match="context of 10 tokens is too short"):
        CLIPTextTower(model, tokenizer, WORDS)


def test_oblong_input_is_refused(write_clip, tmp_path):
    vision = {"image_size": [32, 64], "layers": 1, "width": 64, "patch_size": 16, "head_width": 32}
    model, _ = load(write_clip(tmp_path / "clip", vision_cfg=vision))
    with pytest.raises(ValueError, match="square input can be used, this one takes 64x32"):
        CLIPImageTower(model)


def test_a_tower_that_does_not_pool_is_refused(write_clip, tmp_path):
    model, tokenizer = load(write_clip(tmp_path / "clip", custom_text=True, text_cfg={"pool_type": "none"}))
    with pytest.raises(ValueError, match="pools its tokens by 'none'"):
        CLIPTextTower(model, tokenizer, FEW)


@pytest.mark.parametrize("vision_and_text", [{}, {"custom_text": True, "text_cfg": {"embed_cls": True}}])
@torch.no_grad()
def test_the_weights_of_a_text_tower_load_into_one_with_another_vocabulary(write_clip, tmp_path, vision_and_text):
    # Sentences, their places and the mask belong to the vocabulary and the architecture, not to the weights.
    model, tokenizer = load(write_clip(tmp_path / "clip", **vision_and_text))
    other, _ = load(write_clip(tmp_path / "other", seed=1, **vision_and_text))
    trained, few = CLIPTextTower(model, tokenizer, WORDS), CLIPTextTower(other, tokenizer, FEW)
    state = trained.state_dict()
    assert set(state) == {name for name, _ in trained.named_parameters()}
    few.load_state_dict(state)
    torch.testing.assert_close(few(), CLIPTextTower(model, tokenizer, FEW)())
