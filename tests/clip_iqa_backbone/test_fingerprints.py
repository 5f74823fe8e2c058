"""Fingerprints change with whatever changes outputs, and with nothing else."""

import copy
import functools
import json
import shutil

import pytest
import torch

from clip_iqa_backbone import (
    CLIPImageTower,
    LiteConfig,
    LiteImageTower,
    create_backbone,
    image_tower_fingerprint,
    rebuild_image_tower,
)
from clip_iqa_backbone.fingerprints import quick_digest


@pytest.fixture
def folder(tiny_clip, tmp_path):
    """A copy of the tiny CLIP's folder, to be edited."""
    return shutil.copytree(tiny_clip, tmp_path / "clip")


def _edit(folder, part, **values):
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text())
    target = config[part] if part != "vision_cfg" else config["model_cfg"][part]
    target.update(values)
    file.write_text(json.dumps(config))


def _tower(folder):
    return create_backbone(f"local-dir:{folder}").image


EDITS = {
    "activation": ("model_cfg", {"quick_gelu": True}, True),
    "mean": ("preprocess_cfg", {"mean": [0.1, 0.2, 0.31]}, True),
    "deviation": ("preprocess_cfg", {"std": [0.4, 0.5, 0.61]}, True),
    "mean and deviation swapped": ("preprocess_cfg", {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]}, True),
    "heads": ("vision_cfg", {"head_width": 16}, True),
    "activation's own arguments": ("vision_cfg", {"act_kwargs": {"approximate": "tanh"}}, True),
    "epsilon": ("vision_cfg", {"norm_kwargs": {"eps": 0.1}}, True),
    "pooling": ("vision_cfg", {"pool_type": "avg"}, True),
    # Nothing here uses it, but a source that changed what it says is another source.
    "interpolation": ("preprocess_cfg", {"interpolation": "bilinear"}, False),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_folder_edited_beside_its_weights_has_another_fingerprint(folder, edit):
    before = _tower(folder)
    part, values, moves_features = EDITS[edit]
    _edit(folder, part, **values)
    after = _tower(folder)
    assert all(torch.equal(value, after.state_dict()[name]) for name, value in before.state_dict().items())
    for trunk_only in (False, True):
        assert image_tower_fingerprint(before, trunk_only=trunk_only) != image_tower_fingerprint(
            after, trunk_only=trunk_only
        )
    pixels = torch.rand(2, 3, 32, 32)
    features = [tower.trunk((pixels - tower.mean) / tower.std) for tower in (before, after)]
    assert ((features[0] - features[1]).abs().max() > 1e-4) == moves_features


@pytest.mark.parametrize("vision", [{"patch_size": 8}, {"layers": 1}, {"image_size": 64}])
def test_other_shapes_have_other_fingerprints(write_clip, tmp_path, tiny_clip, vision):
    base = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32}
    other = _tower(write_clip(tmp_path / "clip", vision_cfg={**base, **vision}))
    assert image_tower_fingerprint(other) != image_tower_fingerprint(_tower(tiny_clip))


def test_every_weight_and_buffer_counts_by_name_value_and_type(tiny_clip):
    tower = _tower(tiny_clip)
    seen = {image_tower_fingerprint(tower)}
    for values in [*tower.parameters(), *tower.buffers()]:
        flat = values.data.view(-1)
        flat[-1] += 1
        seen.add(image_tower_fingerprint(tower))
        flat[-1] -= 1
    assert len(seen) == 1 + len(list(tower.parameters())) + len(list(tower.buffers()))
    assert image_tower_fingerprint(copy.deepcopy(tower).double()) not in seen


def test_the_same_tower_has_the_same_fingerprint_wherever_it_came_from(folder, tiny_clip):
    tower = _tower(tiny_clip)
    rebuilt = rebuild_image_tower(json.loads(json.dumps(tower.spec)))
    rebuilt.load_state_dict(tower.state_dict())
    others = (tower, _tower(folder), rebuilt, copy.deepcopy(tower).train())
    assert len({image_tower_fingerprint(other) for other in others}) == 1


def test_the_order_in_which_a_description_says_things_does_not_count(folder):
    before = image_tower_fingerprint(_tower(folder))
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text())
    for part in ("vision_cfg", "text_cfg"):
        config["model_cfg"][part] = dict(reversed(config["model_cfg"][part].items()))
    config["preprocess_cfg"] = dict(reversed(config["preprocess_cfg"].items()))
    config["model_cfg"] = dict(reversed(config["model_cfg"].items()))
    file.write_text(json.dumps(config))
    assert image_tower_fingerprint(_tower(folder)) == before


def test_whole_numbers_are_the_same_mean_and_deviation_as_decimal_ones(folder):
    prints = []
    for mean, std in (([0, 0, 0], [1, 1, 1]), ([0.0, 0.0, 0.0], [1.0, 1.0, 1.0])):
        _edit(folder, "preprocess_cfg", mean=mean, std=std)
        tower = _tower(folder)
        assert tower.mean.dtype == tower.std.dtype == torch.float32
        prints.append(image_tower_fingerprint(tower))
    assert prints[0] == prints[1]


def test_a_tower_without_configuration_is_told_by_its_modules(folder):
    import open_clip

    plain = CLIPImageTower(open_clip.create_model(f"local-dir:{folder}"))
    quick = CLIPImageTower(open_clip.create_model(f"local-dir:{folder}", force_quick_gelu=True))
    assert image_tower_fingerprint(plain) != image_tower_fingerprint(quick)


def test_stored_features_of_lite_outlive_its_head_and_nothing_else():
    torch.manual_seed(0)
    tower = LiteImageTower(LiteConfig(stages=(0, 1), embed_dim=8))
    of_trunk, of_all = image_tower_fingerprint(tower, trunk_only=True), image_tower_fingerprint(tower)
    other_head = LiteImageTower(LiteConfig(stages=(0, 1), embed_dim=4, hidden=3, dropout=0.5))
    other_head.backbone.load_state_dict(tower.backbone.state_dict())
    assert image_tower_fingerprint(other_head, trunk_only=True) == of_trunk
    assert image_tower_fingerprint(other_head) != of_all
    with torch.no_grad():
        tower.head[-1].bias[0] += 1
    assert image_tower_fingerprint(tower, trunk_only=True) == of_trunk
    assert image_tower_fingerprint(tower) != of_all
    # Both trunks end at stage 1 and hold the same weights; one is pooled at the end alone.
    fewer = LiteImageTower(LiteConfig(stages=(1,), embed_dim=8))
    fewer.backbone.load_state_dict(tower.backbone.state_dict())
    assert image_tower_fingerprint(fewer, trunk_only=True) != of_trunk
    tower.backbone.bn1.running_var[3] += 1e-3
    assert image_tower_fingerprint(tower, trunk_only=True) != of_trunk


# --- the quick digest


@pytest.fixture(params=[False, True], ids=["whole", "by sums"])
def digest_of(request):
    """Both ways: hashed whole, as on a CPU, and summed where the weights lie, as on any other device."""
    return functools.partial(quick_digest, in_place=request.param)


class Weights(torch.nn.Module):
    def __init__(self, **tensors):
        super().__init__()
        for name, values in tensors.items():
            self.register_buffer(name, values)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int8, torch.bool])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2048,), (2049,), (300, 1001)])
def test_any_change_of_any_tensor_changes_the_digest(dtype, shape, digest_of):
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 2 if dtype == torch.bool else 100, shape, generator=generator).to(dtype)
    module = Weights(values=values)
    before = digest_of(module)
    assert digest_of(Weights(values=values.clone())) == before
    flat = values.view(-1)
    for place in {0, flat.numel() // 2, flat.numel() - 1}:
        kept = flat[place].clone()
        flat[place] = ~kept if dtype == torch.bool else kept + 1
        assert digest_of(module) != before
        flat[place] = kept
    assert digest_of(module) == before


def test_order_and_place_count(digest_of):
    values = torch.arange(40_000, dtype=torch.float32).view(200, 200)
    digest = digest_of(Weights(a=values))
    swapped = values.clone()
    swapped[[3, 150]] = swapped[[150, 3]]
    columns = values.flip(1)
    assert len({digest, digest_of(Weights(a=swapped)), digest_of(Weights(a=columns))}) == 3
    assert digest_of(Weights(b=values)) != digest
    assert digest_of(Weights(a=values.view(100, 400))) != digest
    one, two = torch.zeros(5), torch.ones(5)
    assert digest_of(Weights(a=one, b=two)) != digest_of(Weights(a=two, b=one))


def test_what_cancels_in_a_sum_does_not_cancel_here(digest_of):
    # Two signs, two exponents, a bit moved from one number to the next: equal sums of bits.
    values = torch.full((4096,), 1.5)
    digests = {digest_of(Weights(a=values))}
    for first, second in ((0, 1), (0, 2), (1, 3), (0, 2048), (5, 4095)):
        changed = values.clone()
        changed[[first, second]] *= -1
        digests.add(digest_of(Weights(a=changed)))
        moved = values.clone()
        moved.view(torch.int32)[first] += 1
        moved.view(torch.int32)[second] -= 1
        digests.add(digest_of(Weights(a=moved)))
    assert len(digests) == 11


def test_a_tensor_that_starts_between_two_words_is_read_all_the_same(digest_of):
    whole = torch.arange(5000).to(torch.int8)
    assert digest_of(Weights(a=whole[1:])) == digest_of(Weights(a=whole[1:].clone()))
    matrix = torch.randn(64, 128)
    assert digest_of(Weights(a=matrix.T)) == digest_of(Weights(a=matrix.T.contiguous()))


def test_rows_taken_together_do_not_matter(monkeypatch):
    values = torch.randn(300, 1000)
    before = quick_digest(Weights(a=values), in_place=True)
    monkeypatch.setattr("clip_iqa_backbone.fingerprints._ROWS_AT_ONCE", 3)
    assert quick_digest(Weights(a=values), in_place=True) == before


def test_weights_on_a_cpu_are_hashed_whole_and_others_stay_where_they_are(monkeypatch):
    module = Weights(a=torch.ones(3))
    assert quick_digest(module) == quick_digest(module, in_place=False) != quick_digest(module, in_place=True)
    carried = []
    monkeypatch.setattr("clip_iqa_backbone.fingerprints._row_sums", lambda values: carried.append(values.device.type))
    with pytest.raises(TypeError):  # there are no sums to put together
        quick_digest(module.to("meta"))
    assert carried == ["meta"]
