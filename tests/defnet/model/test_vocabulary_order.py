"""Classes stand in the paper's order everywhere, also where a preset of the prompts has another."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from clip_iqa_backbone import DISTORTIONS, QUALITIES, SCENES, LiteConfig, Vocabulary, create_backbone
from defnet import ConfigError, DEFNet, ModelInfo, save_model


def test_liqes_prompts_are_matched_with_the_labels_by_name(make_model: Callable[..., DEFNet]) -> None:
    model = make_model(backbone={"vocabulary": "liqe"}).eval()
    words = Vocabulary.preset("liqe")
    assert words.distortion_classes != DISTORTIONS, "the two presets differ in order, or this test shows nothing"
    features = torch.randn(1, 3, model.backbone.image.feature_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        prediction = model.predict_from_features(features, features[:, 0])
        logits = model.backbone.logits(model.backbone.embed(features))
        joint = model.backbone.log_probabilities(logits).exp().mean(1)[0]
    for number, name in enumerate(DISTORTIONS):
        expected = sum(joint[:, :, k].sum() for k, word in enumerate(words.distortion_classes) if word == name)
        torch.testing.assert_close(prediction.probabilities["distortion"][0, number], expected)
    for number, name in enumerate(SCENES):
        expected = sum(joint[:, k].sum() for k, word in enumerate(words.scene_classes) if word == name)
        torch.testing.assert_close(prediction.probabilities["scene"][0, number], expected)


def own(**words: tuple[str, ...]) -> DEFNet:
    """A network over a vocabulary of one's own."""
    lite = LiteConfig(stages=(0, 1), embed_dim=8, word_dim=4, text_hidden=8)
    return DEFNet(create_backbone("lite", vocabulary=Vocabulary(**words), lite=lite)).eval()


def test_a_vocabulary_of_ones_own_order_and_levels_works() -> None:
    model = own(qualities=("awful", "bad", "fair", "good", "superb"), scenes=SCENES[::-1])
    prediction = model(torch.zeros(1, 2, 3, 224, 224), torch.zeros(1, 3, 224, 224))
    assert prediction.probabilities["scene"].shape == (1, 9)
    assert 1 <= prediction.expected_quality.item() <= 5


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ({"scenes": ("animal", "plant")}, r"scenes must be the paper's.*: expected animal, .*, got animal, plant"),
        ({"scenes": (*SCENES[:-1], "space")}, "scenes must be the paper's.*got animal, .*, space"),
        ({"distortions": ("blur", "haze")}, "distortions must be the paper's.*, got blur, haze"),
        ({"qualities": ("bad", "good")}, "quality levels must be the paper's.*expected bad, .*, got bad, good"),
    ],
)
def test_other_classes_are_refused_in_a_sentence(words: dict[str, tuple[str, ...]], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        own(**words)


def test_a_file_does_not_hide_that_the_words_are_others(tmp_path: Path, model_info: ModelInfo) -> None:
    with pytest.raises(ConfigError, match=r"expected the words of 'defnet', got others \(awful, bad"):
        save_model(tmp_path / "own.safetensors", own(qualities=("awful", *QUALITIES[:1], *QUALITIES[2:])), model_info)
    assert list(tmp_path.iterdir()) == []
