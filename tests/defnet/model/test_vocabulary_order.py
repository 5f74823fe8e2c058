"""Classes stand in the paper's order everywhere, also where a preset of the prompts has another."""

from collections.abc import Callable

import torch

from clip_iqa_backbone import DISTORTIONS, SCENES, Vocabulary
from defnet import DEFNet


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
