"""The sentences an image is compared with: one for each quality level, scene and distortion.

DEFNet, section 3.1 and supplementary D: "a photo of a(n) {scene} with {distortion} artifacts, which is of {quality}
quality.", 5 x 9 x 11 = 495 sentences.
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from iqa_datasets.vocabulary import DISTORTIONS, SCENES

__all__ = ["DISTORTIONS", "QUALITIES", "SCENES", "Vocabulary"]

QUALITIES = ("bad", "poor", "fair", "good", "perfect")
"""Quality levels, worst first; level ``i`` (from 0) is worth ``i + 1`` points."""

_LIQE_SCENES = ("animal", "cityscape", "human", "indoor", "landscape", "night", "plant", "still_life", "others")
_LIQE_DISTORTIONS = (
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
)

# LIQE's words for the classes of the paper, where they differ.
_SCENE_CLASSES = {"indoor": "indoor scene", "night": "night scene", "still_life": "still-life"}
_DISTORTION_CLASSES = {
    "jpeg2000 compression": "JPEG2000 compression",
    "jpeg compression": "JPEG compression",
    "color": "color-related",
    "overexposure": "over-exposure",
    "underexposure": "under-exposure",
    "spatial": "spatially-localized",
    "other": "others",
}

_TEMPLATE = "a photo of {article} {scene} with {distortion} artifacts, which is of {quality} quality."
_LIQE_TEMPLATE = "a photo of a {scene} with {distortion} artifacts, which is of {quality} quality"


def _article(following: str) -> str:
    return "an" if following.lstrip()[:1].lower() in tuple("aeiou") else "a"


@dataclass(frozen=True)
class Vocabulary:
    """The words and the sentence whose combinations span the joint distribution.

    Args:
        qualities: Quality levels, worst first. Level ``i`` (from 0) is worth ``i + 1`` points.
        scenes: Words for the scene classes.
        distortions: Words for the distortion classes.
        template: The sentence, with the fields ``{scene}``, ``{distortion}`` and ``{quality}``, of which one whose list
            has a single word may be left out, and optionally ``{article}``, any number of times. That becomes "an"
            where the word that follows in the finished sentence, whichever field or text it is of, starts with a, e, i,
            o or u, and "a" before any other. Words that the rule gets wrong ("hour", "uniform") take their article with
            them, under a template without it.

    Raises:
        ValueError: A list is empty, holds an empty or a repeated word or two words for one class, or the template lacks
            a field or is no plain sentence.

    Example:
        >>> words = Vocabulary.preset("defnet")
        >>> words.shape
        (5, 9, 11)
        >>> words.prompts()[0]
        'a photo of an animal with blur artifacts, which is of bad quality.'
        >>> Vocabulary(scenes=("any",), distortions=("any",), template="{article} {quality} photo").prompts()[:2]
        ['a bad photo', 'a poor photo']
    """

    qualities: tuple[str, ...] = QUALITIES
    scenes: tuple[str, ...] = SCENES
    distortions: tuple[str, ...] = DISTORTIONS
    template: str = _TEMPLATE

    def __post_init__(self) -> None:
        for field in ("qualities", "scenes", "distortions"):
            words: Sequence[str] = getattr(self, field)
            if not isinstance(words, list | tuple):
                raise ValueError(f"{field} must be a list of words, got {words!r}.")
            words = tuple(words)
            if not words or not all(isinstance(word, str) and word.strip() for word in words):
                raise ValueError(f"{field} must hold at least one word and no empty one, got {words!r}.")
            ragged = [word for word in words if word != " ".join(word.split())]
            if ragged:
                raise ValueError(f"{field} must be words with single spaces between them, got {ragged[0]!r}.")
            # To a tokenizer that writes all small they are the same sentence, to a label the same class.
            if len({word.casefold() for word in words}) != len(words):
                folded = [word.casefold() for word in words]
                repeated = sorted({word for word in words if folded.count(word.casefold()) > 1})
                raise ValueError(f"{field} must not repeat a word, but {repeated} come twice or more.")
            object.__setattr__(self, field, words)  # lists, as JSON gives them, become tuples
        for field, classes in (("scenes", self.scene_classes), ("distortions", self.distortion_classes)):
            if len(set(classes)) != len(classes):
                twice = sorted({name for name in classes if classes.count(name) > 1})
                raise ValueError(f"{field} must not name a class twice, but {twice} stand under two words each.")
        self._check_template()

    def _check_template(self) -> None:
        expected = (
            "template must hold {scene}, {distortion} and {quality} (save one whose list has a single word), may hold "
            f"{{article}}, and nothing else, got {self.template!r}."
        )
        if not isinstance(self.template, str):
            raise ValueError(expected)
        try:
            parts = list(string.Formatter().parse(self.template))
        except ValueError as error:
            raise ValueError(f"{expected} It is no format string: {error}.") from None
        fields = {name for _, name, _, _ in parts if name is not None}
        lists = {"scene": self.scenes, "distortion": self.distortions, "quality": self.qualities}
        required = {name for name, words in lists.items() if len(words) > 1}
        if not required <= fields <= {*lists, "article"}:
            raise ValueError(expected)
        if any(spec or conversion for _, _, spec, conversion in parts):
            raise ValueError(f"{expected} The fields stand bare, without ':' and '!'.")

    def _sentence(self, **words: str) -> str:
        # From the end, as an article goes by the finished text behind it.
        sentence = ""
        for text, name, _, _ in reversed(list(string.Formatter().parse(self.template))):
            if name is not None:
                sentence = (_article(sentence) if name == "article" else words[name]) + sentence
            sentence = text + sentence
        return sentence

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary of plain values, as :meth:`to_dict` gives them or a file holds them; see :class:`Vocabulary`.

        Raises:
            ValueError: A key is unknown, or a value does not do.

        Example:
            >>> Vocabulary.from_dict({"scenes": ["town", "sea"]}).shape
            (5, 2, 11)
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(values, Mapping) or not set(values) <= set(known):
            raise ValueError(f"A vocabulary is a table with the keys {', '.join(known)}, got {values!r}.")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` reads them back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def preset(cls, name: Literal["defnet", "liqe"] | str) -> Vocabulary:  # noqa: PYI051 - the literals document it
        """The vocabulary of a published model.

        Args:
            name: "defnet" for the words of the DEFNet paper with the correct article and a full stop, or "liqe" for
                LIQE's own words, order and sentence ("a animal", no full stop), which its released weights need.

        Returns:
            The vocabulary. Both have the shape (5, 9, 11); the distortions are in a different order.

        Raises:
            ValueError: There is no such preset.
        """
        if name == "defnet":
            return cls()
        if name == "liqe":
            return cls(scenes=_LIQE_SCENES, distortions=_LIQE_DISTORTIONS, template=_LIQE_TEMPLATE)
        raise ValueError(f"There is no vocabulary {name!r}; choose 'defnet' or 'liqe'.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of quality levels, scenes and distortions."""
        return len(self.qualities), len(self.scenes), len(self.distortions)

    @property
    def scene_classes(self) -> tuple[str, ...]:
        """The scenes by the paper's names, in this vocabulary's order: what data sets' labels are matched with."""
        return tuple(_SCENE_CLASSES.get(word, word) for word in self.scenes)

    @property
    def distortion_classes(self) -> tuple[str, ...]:
        """The distortions by the paper's names, in this vocabulary's order."""
        return tuple(_DISTORTION_CLASSES.get(word, word) for word in self.distortions)

    def prompts(self) -> list[str]:
        """All sentences in row-major (quality, scene, distortion) order: the distortion changes fastest.

        Returns:
            ``prod(shape)`` strings, 495 for both presets.
        """
        return [
            self._sentence(scene=scene, distortion=distortion, quality=quality)
            for quality in self.qualities
            for scene in self.scenes
            for distortion in self.distortions
        ]

    def digest(self) -> str:
        """A SHA-256 over every word and the template, for cache keys and checkpoints (64 hexadecimal digits)."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
