"""What moves in training and what stays put: batch statistics, dropout, chunks."""

import pytest
import torch
from torch import nn

from clip_iqa_backbone import (
    FrozenTextFeatures,
    ImageTower,
    JointProbability,
    LiteConfig,
    LiteImageTower,
    Vocabulary,
    create_backbone,
)
from clip_iqa_backbone.training_modes import evaluating

RESNET = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 8}
VIT = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32, "patch_dropout": 0.5}


def _views(count: int, size: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(count)
    )


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in [*module.named_parameters(), *module.named_buffers()]}


def _moved(module: nn.Module, before: dict[str, torch.Tensor]) -> list[str]:
    return [name for name, value in _state(module).items() if not torch.equal(value, before[name])]


@pytest.fixture
def resnet(write_clip, tmp_path) -> JointProbability:
    """A CLIP whose image tower is a ModifiedResNet, full of batch normalisation."""
    return create_backbone(f"local-dir:{write_clip(tmp_path / 'resnet', vision_cfg=RESNET)}")


@pytest.fixture
def lite() -> JointProbability:
    torch.manual_seed(0)
    return create_backbone("lite", lite=LiteConfig(stages=(0, 1), embed_dim=8, freeze_trunk=False))


def _freeze_by_method(model):
    model.image.freeze_trunk()


def _freeze_by_hand(model):
    model.image.requires_grad_(False)


def _freeze_after_training_began(model):
    model.train()
    model.image.requires_grad_(False)


@pytest.mark.parametrize("freeze", [_freeze_by_method, _freeze_by_hand, _freeze_after_training_began])
@pytest.mark.parametrize("gradients", [True, False])
def test_no_weight_and_no_buffer_of_a_frozen_trunk_moves(resnet, freeze, gradients):
    # One forward in training changed 57 tensors of a "frozen" trunk.
    views = _views(6, 32)
    freeze(resnet)
    resnet.eval()
    expected = resnet.image_features(views)
    resnet.train()
    before = _state(resnet.image)
    assert any("running_var" in name for name in before)
    with torch.set_grad_enabled(gradients):
        features = resnet.image_features(views)
        resnet.embed(features)
    assert _moved(resnet.image, before) == []
    torch.testing.assert_close(features, expected, rtol=0, atol=1e-5)


def test_a_trunk_that_is_not_frozen_does_move(resnet):
    resnet.train()
    before = _state(resnet.image)
    resnet.image_features(_views(6, 32))
    assert any("running_var" in name for name in _moved(resnet.image, before))
    resnet.image.freeze_trunk()
    resnet.image.freeze_trunk(False)
    assert all(module.training for module in resnet.image.modules())
    assert all(weight.requires_grad for weight in resnet.image.parameters())
    before = _state(resnet.image)
    resnet.image_features(_views(6, 32))
    assert any("running_var" in name for name in _moved(resnet.image, before))


def test_a_look_without_gradients_moves_nothing_and_sees_what_scoring_sees(lite):
    # DEFNet looks at the global view under no-grad in the middle of a training step.
    views = _views(5, 224)
    with torch.no_grad():
        expected = lite.embed(lite.image_features(views))
    lite.train()
    before = _state(lite.image)
    with torch.no_grad():
        actual = lite.embed(lite.image_features(views))
    assert _moved(lite.image, before) == []
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)
    # And the training goes on as if nothing had been.
    assert all(module.training for module in lite.image.modules())
    lite.image_features(views)
    moved = _moved(lite.image, before)
    assert moved
    assert all("running" in name or "num_batches" in name for name in moved)


def test_layers_frozen_one_by_one_stay_put_among_those_that_learn(lite):
    first, later = lite.image.backbone.bn1, lite.image.backbone.blocks[0][0].bn1
    first.requires_grad_(False)
    lite.train()
    before = _state(lite.image)
    lite.image_features(_views(3, 224))
    moved = _moved(lite.image, before)
    assert not any(name.startswith("backbone.bn1.") for name in moved)
    assert "backbone.blocks.0.0.bn1.running_mean" in moved
    assert first.training
    assert later.training


class NormTower(ImageTower):
    """Batch normalisation without weights of its own, in the trunk and in the projection, and a dropout."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__(input_size=8, feature_dim=192, embed_dim=6, mean=(0.5,) * 3, std=(0.2,) * 3)
        self.norm = nn.BatchNorm2d(3, affine=False)
        self.drop = nn.Dropout(dropout)
        self.out_norm = nn.BatchNorm1d(192)
        self.matrix = nn.Linear(192, 6)

    def trunk(self, pixels):
        return self.drop(self.norm(pixels)).flatten(1)

    def project(self, features):
        return self.matrix(self.out_norm(features))


def _norm_model(**options) -> JointProbability:
    torch.manual_seed(0)
    words = Vocabulary()
    tower = NormTower(options.pop("dropout", 0.0))
    return JointProbability(tower, FrozenTextFeatures(torch.randn(495, 6)), words, **options)


def test_layers_without_weights_go_with_the_tower():
    model = _norm_model().train()
    before = _state(model.image)
    model.image_features(_views(4, 8))
    assert "norm.running_mean" in _moved(model.image, before)
    model.image.requires_grad_(False)
    before = _state(model.image)
    model(_views(4, 8))
    assert _moved(model.image, before) == []


def test_a_norm_is_held_by_its_own_weights_and_not_by_those_of_its_activation():
    # timm's norms carry their activation with them, which may have weights.
    model = _norm_model().train()
    norm = nn.BatchNorm2d(3)
    norm.add_module("act", nn.PReLU())
    norm.weight.requires_grad_(False)
    norm.bias.requires_grad_(False)
    model.image.norm = norm
    before = _state(model.image)
    model.image_features(_views(4, 8))
    assert _moved(model.image, before) == []


def test_the_projection_under_no_grad_moves_nothing_either():
    model = _norm_model().train()
    features = torch.randn(4, 192)
    before = _state(model.image)
    with torch.no_grad():
        model.embed(features)
    assert _moved(model.image, before) == []
    model.embed(features)
    assert "out_norm.running_mean" in _moved(model.image, before)


def test_statistics_can_be_estimated_anew_through_the_tower_itself():
    model = _norm_model().train()
    model.image.norm.momentum = None
    model.image.norm.reset_running_stats()
    pixels = model.normalize(_views(20, 8))
    with torch.no_grad():
        model.image(pixels)
    torch.testing.assert_close(model.image.norm.running_mean, pixels.mean((0, 2, 3)))


@pytest.mark.parametrize("mode", ["learning", "frozen", "no gradients", "evaluation"])
@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_chunks_change_no_feature_in_any_mode(resnet, mode, chunk):
    # In training mode they did, by up to 0.7: each chunk was normalised by its own statistics.
    resnet.image.freeze_trunk(mode == "frozen")
    resnet.train(mode != "evaluation")
    state = resnet.state_dict()
    start = {name: value.clone() for name, value in state.items()}
    results = []
    for size in (7, chunk):
        resnet.load_state_dict(start)
        resnet.max_views_per_forward = size
        with torch.set_grad_enabled(mode != "no gradients"):
            results.append((resnet.image_features(_views(7, 32)).detach(), _state(resnet.image)))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-5)
    for name, value in results[0][1].items():
        torch.testing.assert_close(value, results[1][1][name], rtol=1e-5, atol=1e-6, msg=name)


def test_a_learning_trunk_sees_all_views_at_once_and_only_then():
    model = _norm_model(max_views_per_forward=2)
    batches = []
    trunk = model.image.trunk
    model.image.trunk = lambda pixels: batches.append(len(pixels)) or trunk(pixels)
    model.train()
    model.image_features(_views(5, 8))
    with torch.no_grad():
        model.image_features(_views(5, 8))
    model.eval()
    model.image_features(_views(5, 8))
    assert batches == [5, 2, 2, 1, 2, 2, 1]


def test_dropout_of_a_frozen_trunk_is_off(write_clip, tmp_path):
    model = create_backbone(f"local-dir:{write_clip(tmp_path / 'clip', vision_cfg=VIT)}")
    views = _views(4, 32)
    model.train()
    assert not torch.equal(model.image_features(views), model.image_features(views))
    model.image.freeze_trunk()
    model.train()
    assert torch.equal(model.image_features(views), model.image_features(views))
    assert model.training
    assert model.image.training


def test_dropout_draws_for_each_view_by_itself_whatever_the_chunks():
    for chunk in (1, 4, 64):
        model = _norm_model(dropout=0.5, max_views_per_forward=chunk).train()
        model.image.norm.eval()
        views = torch.full((64, 3, 8, 8), 255, dtype=torch.uint8)
        kept = model.image_features(views) != 0
        assert kept.float().mean().item() == pytest.approx(0.5, abs=0.03)
        assert len(torch.unique(kept, dim=0)) == 64


def test_a_tower_that_does_not_name_its_trunk_says_so_when_it_is_to_be_frozen():
    with pytest.raises(ValueError, match=r"NormTower does not say which modules are its trunk: set trunk_children\."):
        NormTower().freeze_trunk()


def test_modes_come_back_as_they_were_also_after_an_error():
    tower = LiteImageTower(LiteConfig(stages=(0, 1), embed_dim=8)).train()
    modes = {name: module.training for name, module in tower.named_modules()}
    assert set(modes.values()) == {True, False}
    tower.backbone.bn1.forward = lambda _: pytest.fail("in training mode") if tower.head.training else 1 / 0
    with pytest.raises(ZeroDivisionError), evaluating(tower):
        tower(torch.zeros(1, 3, 224, 224))
    assert {name: module.training for name, module in tower.named_modules()} == modes
    model = _norm_model().train()
    model.image.trunk = lambda _: 1 / 0
    with pytest.raises(ZeroDivisionError), torch.no_grad():
        model.image_features(_views(2, 8))
    assert model.image.norm.training


def test_how_many_views_go_at_once_follows_from_the_device():
    model = _norm_model()
    assert model.max_views_per_forward is None
    assert model._views_per_forward(torch.device("cpu")) == 16
    assert model._views_per_forward(torch.device("cuda")) == 256
    assert model._views_per_forward(torch.device("mps")) == 256
    model.max_views_per_forward = 7
    assert model._views_per_forward(torch.device("cuda")) == 7


def test_views_elsewhere_than_on_a_cpu_go_in_large_chunks():
    # A trainer on a GPU worked in chunks of 16. The meta device stands in for it: it computes shapes.
    model = _norm_model().eval().to("meta")
    batches = []
    model.image.trunk = lambda pixels: batches.append(len(pixels)) or pixels.flatten(1)
    model.normalize = lambda pixels: pixels.float()
    model.image_features(torch.zeros(300, 3, 8, 8, dtype=torch.uint8, device="meta"))
    assert batches == [256, 44]
