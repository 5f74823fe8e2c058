"""Models of open_clip by name, from the hub or from a folder, with the tokenizer that belongs to them."""

from __future__ import annotations

import contextlib
import difflib
import json
import logging
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import open_clip
from open_clip.pretrained import download_pretrained_from_hf
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

from clip_iqa_backbone.joint import MAX_LOGIT_SCALE, JointProbability, Precision
from clip_iqa_backbone.sources.checkpoint_files import why_not_loaded
from clip_iqa_backbone.sources.descriptions import check_image_side, check_pixels, read_description
from clip_iqa_backbone.sources.tag_files import tag_file
from clip_iqa_backbone.text.vocabulary import Vocabulary
from clip_iqa_backbone.towers.clip import CLIPImageTower, CLIPTextTower, Tokenizer

_HUB = "hf-hub:"
_LOCAL = "local-dir:"
_CONFIG_FILE = "open_clip_config.json"
_WEIGHTS_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def load_open_clip(
    name: str, vocabulary: Vocabulary, pretrained: str | None, precision: Precision, cache_dir: str | None
) -> JointProbability:
    """Do what :func:`~clip_iqa_backbone.create_backbone` documents, for every name but "lite"."""
    from_source = name.startswith((_HUB, _LOCAL))
    if from_source and pretrained is not None:
        raise ValueError(f"{name} brings its own weights; pretrained={pretrained!r} must be left out.")
    if name.startswith(_LOCAL):
        name = _LOCAL + str(Path(name.removeprefix(_LOCAL)).expanduser())
    config = _model_config(name, cache_dir)
    tokenizer = _tokenizer(name, config.get("text_cfg", {}), cache_dir)
    if not from_source and pretrained is None:
        warnings.warn(f"{name} without pretrained has random weights.", stacklevel=3)
    tag = None if from_source else _tag(name, pretrained)
    force_quick_gelu = tag is not None and _needs_quick_gelu(name, pretrained, tag, config)
    if pretrained is not None and tag is not None:
        pretrained = str(tag_file(name, pretrained, tag, cache_dir))
    try:
        model = open_clip.create_model(
            name,
            pretrained=pretrained,
            force_quick_gelu=force_quick_gelu,
            pretrained_text=False,  # else a text tower of another library is downloaded behind the caller's back
            cache_dir=cache_dir,
            # As open_clip does where it is given the tag and not its file.
            force_preprocess_cfg=None if tag is None else dict(tag),
            require_pretrained=from_source or pretrained is not None,
        )
    except Exception as error:  # open_clip lets through whatever its readers raise
        if "weights_only" in str(error):
            raise RuntimeError(why_not_loaded(_weights_file(name, pretrained), error)) from error
        reason = textwrap.shorten(str(error), 300)
        raise RuntimeError(f"The backbone {name} (pretrained={pretrained!r}) cannot be loaded: {reason}") from error
    logit_scale = min(max(model.logit_scale.item(), 0.0), MAX_LOGIT_SCALE)
    # A SigLIP bias is the same for every sentence and drops out of the softmax.
    return JointProbability(
        CLIPImageTower(model, {**config, "quick_gelu": force_quick_gelu or config.get("quick_gelu", False)}),
        CLIPTextTower(model, tokenizer, vocabulary),
        vocabulary,
        logit_scale=logit_scale,
        precision=precision,
    )


def rebuild_open_clip_image_tower(spec: Mapping[str, Any]) -> CLIPImageTower:
    """Do what :func:`~clip_iqa_backbone.rebuild_image_tower` documents, for the towers of open_clip."""
    where = "The spec of an image tower"
    for name in ("model_cfg", "mean", "std"):
        if name not in spec:
            raise ValueError(f"{where} of kind 'open_clip' lacks {name}.")
    unknown = sorted(set(spec) - {"model_cfg", "mean", "std"})
    if unknown:
        raise ValueError(f"{where} of kind 'open_clip' may not hold {unknown[0]!r}.")
    model_cfg = check_image_side(spec["model_cfg"], where)
    check_pixels({"mean": spec["mean"], "std": spec["std"]}, where)
    if "timm_model_name" in model_cfg["vision_cfg"]:
        # A model file from elsewhere must not start a download.
        model_cfg["vision_cfg"]["timm_model_pretrained"] = False
    # open_clip makes no image side alone. The smallest text side keeps it from fetching another library's.
    text_cfg = {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1}
    config = {
        "model_cfg": {**model_cfg, "text_cfg": text_cfg},
        "preprocess_cfg": {"mean": list(spec["mean"]), "std": list(spec["std"])},
    }
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / _CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
        try:
            with _without_word_of_random_weights():
                model = open_clip.create_model(_LOCAL + folder)
        except Exception as error:  # whatever the architectures raise where values do not fit each other
            raise ValueError(f"{where} makes no model: {textwrap.shorten(str(error), 300)}") from error
    return CLIPImageTower(model, model_cfg)


@contextlib.contextmanager
def _without_word_of_random_weights() -> Iterator[None]:
    """Keep open_clip, which logs to the root logger, from warning of what is meant here."""

    def keep(record: logging.LogRecord) -> bool:
        return "open_clip" not in record.pathname

    logging.root.addFilter(keep)
    try:
        yield
    finally:
        logging.root.removeFilter(keep)


def _weights_file(name: str, pretrained: str | None) -> Path:
    """The pickle that open_clip read, as far as that can be told."""
    if name.startswith(_LOCAL):
        folder = Path(name.removeprefix(_LOCAL))
        return Path(open_clip.factory._find_checkpoint_in_dir(folder) or folder)
    return Path(pretrained) if pretrained is not None else Path(f"the weights of {name}")


def _model_config(name: str, cache_dir: str | None) -> dict[str, Any]:
    if name.startswith(_LOCAL):
        folder = Path(name.removeprefix(_LOCAL))
        if not (folder / _CONFIG_FILE).is_file():
            raise FileNotFoundError(f"{folder} must be a folder that holds {_CONFIG_FILE} and a weights file.")
        return read_description(folder / _CONFIG_FILE, name)
    if name.startswith(_HUB):
        try:
            file = download_pretrained_from_hf(name.removeprefix(_HUB), filename=_CONFIG_FILE, cache_dir=cache_dir)
        except FileNotFoundError as error:
            raise RuntimeError(
                f"The configuration of {name} cannot be fetched: {' '.join(str(error).split())} Where the hub is out "
                f"of reach, put its {_CONFIG_FILE} and its weights file into a folder and give {_LOCAL}FOLDER."
            ) from error
        return read_description(Path(file), name)
    config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "see list_backbones()."
        raise ValueError(f"There is no backbone {name!r}; {hint}")
    return cast("dict[str, Any]", config)


def _tag(name: str, pretrained: str | None) -> dict[str, Any] | None:
    """What open_clip says of a tag; None of a file and of nothing."""
    if pretrained is None or Path(pretrained).is_file():
        return None
    tag = open_clip.get_pretrained_cfg(name, pretrained)
    if not tag:
        if Path(pretrained).suffix in _WEIGHTS_SUFFIXES or len(Path(pretrained).parts) > 1:
            raise FileNotFoundError(f"There is no weights file {Path(pretrained).absolute()}.")
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ValueError(f"{pretrained!r} is neither a file nor a tag of {name}; its tags are: {tags}.")
    return cast("dict[str, Any]", tag)


def _needs_quick_gelu(name: str, pretrained: str | None, tag: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
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
    context_length = text_config.get("context_length") or 77
    options = text_config.get("tokenizer_kwargs") or {}
    source = text_config.get("hf_tokenizer_name")
    if not source:
        return cast("Tokenizer", SimpleTokenizer(context_length=context_length, **options))
    # A description's own tokenizer lies beside it. Only the names in open_clip's code are followed elsewhere.
    for prefix in (_LOCAL, _HUB):
        if name.startswith(prefix):
            source = name.removeprefix(prefix)
    try:
        tokenizer = HFTokenizer(
            source,
            context_length=context_length,
            cache_dir=cache_dir,
            tokenizer_mode=text_config.get("tokenizer_mode"),
            **options,
            trust_remote_code=False,  # which else asks the user, at the terminal, whether to run what is named
            local_files_only=name.startswith(_LOCAL),
        )
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"The tokenizer of {name} needs the package {error.name}, which is not installed."
        ) from None
    except (OSError, ValueError) as error:
        raise RuntimeError(f"The tokenizer of {name} cannot be loaded: {textwrap.shorten(str(error), 300)}") from error
    return cast("Tokenizer", tokenizer)
