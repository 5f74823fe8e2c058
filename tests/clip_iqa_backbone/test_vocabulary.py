import json
from dataclasses import asdict, replace
from itertools import product

import pytest

from clip_iqa_backbone import DISTORTIONS, QUALITIES, SCENES, Vocabulary

ARTICLES = "{article} {scene} {distortion} {quality}"


def test_the_vocabularies_are_the_papers():
    assert QUALITIES == ("bad", "poor", "fair", "good", "perfect")
    assert len(SCENES) == 9
    assert SCENES[3:6] == ("indoor scene", "landscape", "night scene")
    assert len(DISTORTIONS) == 11
    assert DISTORTIONS[3:5] == ("JPEG compression", "JPEG2000 compression")


@pytest.mark.parametrize("preset", ["defnet", "liqe"])
def test_prompts_are_in_row_major_order(preset):
    words = Vocabulary.preset(preset)
    prompts = words.prompts()
    assert words.shape == (5, 9, 11)
    assert len(prompts) == len(set(prompts)) == 495
    for index in (0, 1, 10, 11, 98, 99, 300, 494):
        quality, rest = divmod(index, 9 * 11)
        scene, distortion = divmod(rest, 11)
        for word in (words.qualities[quality], words.scenes[scene], words.distortions[distortion]):
            assert word in prompts[index]


def test_defnet_prompts_have_the_right_article_and_a_full_stop():
    prompts = Vocabulary.preset("defnet").prompts()
    assert prompts[0] == "a photo of an animal with blur artifacts, which is of bad quality."
    assert prompts[11] == "a photo of a cityscape with blur artifacts, which is of bad quality."
    assert prompts[33 + 4] == "a photo of an indoor scene with JPEG2000 compression artifacts, which is of bad quality."
    assert prompts[-1] == "a photo of an others with others artifacts, which is of perfect quality."


def test_liqe_prompts_are_those_its_weights_were_trained_with():
    # Written out as LIQE's scripts put them together, apart from the code under test.
    scenes = ["animal", "cityscape", "human", "indoor", "landscape", "night", "plant", "still_life", "others"]
    distortions = [
        "jpeg2000 compression",
        "jpeg compression",
        "noise",
        "blur",
        "color",
        "contrast",
        "overexposure",
        "underexposure",
        "spatial",
        "quantization",
        "other",
    ]
    expected = [
        f"a photo of a {scene} with {distortion} artifacts, which is of {quality} quality"
        for quality, scene, distortion in product(["bad", "poor", "fair", "good", "perfect"], scenes, distortions)
    ]
    assert Vocabulary.preset("liqe").prompts() == expected


def test_both_presets_name_the_same_classes():
    # The order differs, so a label must be looked up in the vocabulary's own list and never by position.
    defnet, liqe = Vocabulary.preset("defnet"), Vocabulary.preset("liqe")
    assert defnet.distortion_classes == DISTORTIONS
    assert liqe.distortion_classes != DISTORTIONS
    assert set(liqe.distortion_classes) == set(DISTORTIONS)
    assert liqe.scene_classes == SCENES


def test_a_vocabulary_survives_json():
    words = replace(Vocabulary.preset("liqe"), qualities=("low", "high"))
    assert Vocabulary(**json.loads(json.dumps(asdict(words)))) == words
    assert Vocabulary.from_dict(json.loads(json.dumps(words.to_dict()))) == words
    assert Vocabulary.from_dict({}) == Vocabulary()


def test_a_vocabulary_with_other_keys_is_answered_with_the_known_ones():
    for values in ({"scene": ["town"]}, ["town"], None):
        with pytest.raises(ValueError, match="table with the keys qualities, scenes, distortions, template, got"):
            Vocabulary.from_dict(values)


def test_braces_in_a_sentence_may_be_doubled():
    words = replace(Vocabulary(), template="{{{scene}}} {distortion} {quality}")
    assert words.prompts()[0] == "{animal} blur bad"


def test_the_article_follows_the_letter_the_scene_starts_with():
    words = Vocabulary(scenes=("Alley", "egg", "inn", "oak", "urn", "yard", "Lake", "über"), template=ARTICLES)
    articles = [prompt.split()[0] for prompt in words.prompts()[:: len(words.distortions)][: len(words.scenes)]]
    assert articles == ["an", "an", "an", "an", "an", "a", "a", "a"]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        # The article goes by the word behind it, be it a scene, a distortion, a level or the template's own.
        ("{article} {quality} photo of {article} {scene}, {distortion}", "an awful photo of a yard, echo"),
        ("{scene} with {article} {distortion} of {quality} quality", "yard with an echo of awful quality"),
        ("{article} old {scene} {distortion} {quality}", "an old yard echo awful"),
        ("{article}{scene} {distortion} {quality}", "ayard echo awful"),
        ("{article} {article} {scene} {distortion} {quality}", "an a yard echo awful"),
        ("{scene} {distortion} {quality} {article}", "yard echo awful a"),
        ("{scene}, no article, {distortion}, {quality}", "yard, no article, echo, awful"),
    ],
)
def test_the_article_is_a_function_of_the_template(template, expected):
    words = Vocabulary(("awful", "fine"), ("yard", "inn"), ("echo", "haze"), template)
    assert words.prompts()[0] == expected


def test_a_list_of_a_single_word_need_not_be_in_the_sentence():
    words = Vocabulary(("bad", "good"), ("any",), ("any",), "a photo with {quality} quality")
    assert words.prompts() == ["a photo with bad quality", "a photo with good quality"]
    for lists in ((("bad", "good"), ("a", "b"), ("any",)), (("bad", "good"), ("any",), ("a", "b"))):
        with pytest.raises(ValueError, match="save one whose list has a single word"):
            Vocabulary(*lists, "a photo with {quality} quality")
    assert Vocabulary(("bad",), ("town", "sea"), ("blur",), "{scene}").prompts() == ["town", "sea"]


def test_the_digest_tells_words_order_and_template_apart():
    base = Vocabulary()
    others = [
        replace(base, scenes=SCENES[::-1]),
        replace(base, qualities=("bad", "poor", "fair", "good", "excellent")),
        replace(base, template=base.template.rstrip(".")),
        Vocabulary.preset("liqe"),
    ]
    assert len({words.digest() for words in [base, *others]}) == 5
    assert Vocabulary().digest() == base.digest()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("scenes", (), "scenes must hold at least one word"),
        ("scenes", ("animal", ""), "no empty one"),
        ("scenes", "animal", "must be a list of words"),
        ("scenes", 3, "must be a list of words, got 3"),
        ("scenes", ("animal", 3), "no empty one"),
        ("scenes", ("animal", "  "), "no empty one"),
        ("scenes", ("animal", " plant"), "single spaces between them, got ' plant'"),
        ("scenes", ("night  scene",), "single spaces"),
        ("scenes", ("a\nb",), "single spaces"),
        ("distortions", ("Blur", "blur"), r"\['Blur', 'blur'\] come twice"),
        ("scenes", ("indoor", "indoor scene"), r"must not name a class twice, but \['indoor scene'\]"),
        ("distortions", ("other", "noise", "others"), r"must not name a class twice, but \['others'\]"),
        ("template", None, "template must hold .*, got None"),
        ("template", "{scene} {distortion} {quality", "It is no format string"),
        ("template", "{scene} {distortion} {quality!r}", "fields stand bare"),
        ("template", "{scene:>20} {distortion} {quality}", "fields stand bare"),
        ("template", "{scene.upper} {distortion} {quality}", "template must hold"),
        ("template", "{scene[0]} {distortion} {quality}", "template must hold"),
        ("distortions", ("blur", "noise", "blur"), r"\['blur'\] come twice"),
        ("template", "a photo of a {scene} with {distortion}", "template must hold"),
        ("template", "{scene} {distortion} {quality} {mood}", "template must hold"),
        ("template", "{scene} {distortion} {quality} {}", "template must hold"),
    ],
)
def test_a_vocabulary_that_makes_no_sense_is_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        replace(Vocabulary(), **{field: value})


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="choose 'defnet' or 'liqe'"):
        Vocabulary.preset("clip")
