"""The words of two packages are the same words."""

import clip_iqa_backbone
import iqa_datasets


def test_scenes_and_distortions_are_those_of_the_labels() -> None:
    assert clip_iqa_backbone.SCENES is iqa_datasets.SCENES
    assert clip_iqa_backbone.DISTORTIONS is iqa_datasets.DISTORTIONS


def test_every_preset_has_a_word_for_each_scene_and_distortion() -> None:
    for preset in ("defnet", "liqe"):
        vocabulary = clip_iqa_backbone.Vocabulary.preset(preset)
        assert vocabulary.shape == (5, len(iqa_datasets.SCENES), len(iqa_datasets.DISTORTIONS))
