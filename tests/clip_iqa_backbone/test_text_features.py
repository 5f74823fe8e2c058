from dataclasses import replace

import pytest
import torch

from clip_iqa_backbone import (
    CLIPTextTower,
    FrozenTextFeatures,
    LiteTextTower,
    Vocabulary,
    create_backbone,
    freeze_text_features,
    text_digest,
)

WORDS = Vocabulary.preset("defnet")


class CountingText(LiteTextTower):
    calls = 0

    def forward(self):
        CountingText.calls += 1
        return super().forward()


@pytest.fixture
def tower() -> CountingText:
    torch.manual_seed(0)
    CountingText.calls = 0
    return CountingText(WORDS, embed_dim=6).eval()


def test_features_are_computed_once_for_a_tower_and_a_vocabulary(tower, tmp_path):
    first = freeze_text_features(tower, WORDS, cache_dir=tmp_path / "cache")
    second = freeze_text_features(tower, WORDS, cache_dir=tmp_path / "cache")
    assert CountingText.calls == 1
    assert torch.equal(first(), second())
    assert torch.equal(first(), LiteTextTower.forward(tower).detach())
    [file] = (tmp_path / "cache").iterdir()
    assert file.name == f"text-features-{text_digest(tower, WORDS)[:32]}.safetensors"


def test_the_folder_is_made_with_those_above_it(tower, tmp_path):
    freeze_text_features(tower, WORDS, cache_dir=tmp_path / "a" / "b")
    assert len(list((tmp_path / "a" / "b").iterdir())) == 1


def test_features_that_are_frozen_already_may_be_frozen_again(tower, tmp_path):
    frozen = freeze_text_features(tower, WORDS)
    for _ in range(2):  # written, then read
        assert torch.equal(freeze_text_features(frozen, WORDS, cache_dir=tmp_path)(), frozen())


def test_without_a_folder_nothing_is_kept(tower, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(freeze_text_features(tower, WORDS), FrozenTextFeatures)
    assert list(tmp_path.iterdir()) == []


def test_other_weights_under_the_same_name_get_their_own_features(tower, tmp_path):
    # A cache keyed by the model's name served the features of other weights.
    stale = freeze_text_features(tower, WORDS, cache_dir=tmp_path)
    with torch.no_grad():
        tower.combine[0].weight[0, 0] += 1e-3
    assert not torch.equal(freeze_text_features(tower, WORDS, cache_dir=tmp_path)(), stale())
    assert len(list(tmp_path.iterdir())) == 2


def test_the_digest_depends_on_weights_words_and_sentence_and_on_nothing_else(tower):
    base = text_digest(tower, WORDS)
    assert base == text_digest(tower, Vocabulary())
    assert base != text_digest(tower, replace(WORDS, template=WORDS.template.rstrip(".")))
    assert base != text_digest(tower, replace(WORDS, scenes=WORDS.scenes[::-1]))
    tower.scene_words.weight.data = tower.scene_words.weight.data.flip(0)
    assert base != text_digest(tower, WORDS)


def test_the_same_weights_in_another_architecture_are_told_apart(write_clip, tmp_path):
    # QuickGELU and the number of heads leave no trace in the weights.
    words = Vocabulary(qualities=("bad", "good"), scenes=("town",), distortions=("blur",))
    digests, features = set(), []
    for name, options in {
        "plain": {},
        "quick": {"quick_gelu": True},
        "heads": {"text_cfg": {"heads": 4}},
        "pool": {"text_cfg": {"pool_type": "first"}},
    }.items():
        model = create_backbone(f"local-dir:{write_clip(tmp_path / name, seed=5, **options)}", vocabulary=words)
        assert isinstance(model.text, CLIPTextTower)
        digests.add(text_digest(model.text, words))
        features.append(model.text().detach())
    assert len(digests) == 4
    assert all((features[0] - other).abs().max() > 1e-4 for other in features[1:])


@pytest.mark.parametrize("damage", ["cut short", "empty", "of another tower"])
def test_a_damaged_file_is_written_anew(tower, tmp_path, damage):
    expected = freeze_text_features(tower, WORDS, cache_dir=tmp_path)()
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    if damage == "of another tower":
        torch.manual_seed(1)
        other = CountingText(WORDS, embed_dim=6)
        freeze_text_features(other, WORDS, cache_dir=tmp_path / "other")
        [foreign] = (tmp_path / "other").iterdir()
        file.write_bytes(foreign.read_bytes())
    else:
        file.write_bytes(whole[: len(whole) // 2] if damage == "cut short" else b"")
    assert torch.equal(freeze_text_features(tower, WORDS, cache_dir=tmp_path)(), expected)
    CountingText.calls = 0
    assert torch.equal(freeze_text_features(tower, WORDS, cache_dir=tmp_path)(), expected)
    assert CountingText.calls == 0
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [file]  # nothing half written


def test_frozen_features_stand_in_for_the_tower(tiny_clip, tmp_path):
    model = create_backbone(f"local-dir:{tiny_clip}")
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        expected = model(pixels)
        model.text = freeze_text_features(model.text, model.vocabulary, cache_dir=tmp_path)
        torch.testing.assert_close(model(pixels), expected, rtol=0, atol=1e-5)
    assert [name for name, _ in model.text.named_parameters()] == []
