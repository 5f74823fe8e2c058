"""The words that two packages keep for themselves, because neither may import the other, are the same words."""

import clip_iqa_backbone
import iqa_datasets


def test_scenes_and_distortions_stand_in_the_same_order() -> None:
    assert clip_iqa_backbone.SCENES == iqa_datasets.SCENES
    assert clip_iqa_backbone.DISTORTIONS == iqa_datasets.DISTORTIONS


def test_every_preset_has_a_word_for_each_scene_and_distortion() -> None:
    for preset in ("defnet", "liqe"):
        vocabulary = clip_iqa_backbone.Vocabulary.preset(preset)
        assert vocabulary.shape == (5, len(iqa_datasets.SCENES), len(iqa_datasets.DISTORTIONS))
