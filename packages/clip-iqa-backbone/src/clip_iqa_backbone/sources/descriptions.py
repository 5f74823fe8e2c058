"""What a file may say of a model: plain values that an architecture is made from, and nothing that is fetched.

The description of a model comes with its weights, from the hub, from a folder or inside a model file of another
package. open_clip, timm and transformers follow the names in it to the network, and some options run code. Here every
key is known, every value has its type, and names of other sources are refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number_of_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\w{0,64}", value, re.ASCII) is not None


def _is_architecture(value: Any) -> bool:
    """A name of timm's registry, perhaps with the tag of its weights; no ``hf-hub:``, ``local-dir:`` or path."""
    return isinstance(value, str) and re.fullmatch(r"\w{1,128}(\.\w{1,128})?", value, re.ASCII) is not None


def _several(check: _Check, length: int) -> _Check:
    return lambda value: isinstance(value, list | tuple) and len(value) == length and all(map(check, value))


def _either(*checks: _Check) -> _Check:
    return lambda value: any(check(value) for check in checks)


def _options(value: Any) -> bool:
    """Arguments of an activation or a normalisation."""
    return isinstance(value, Mapping) and all(
        _is_word(name) and _either(_is_number, _is_flag, _is_word)(option) for name, option in value.items()
    )


_COUNT = "a whole number of at least 1", _is_count
_POSITIVE = "a positive number", _is_positive
_SHARE = "a number of at least 0 and below 1", _is_share
_FLAG = "true or false", _is_flag
_WORD = "a word", _is_word
_OPTIONS = "a table of numbers, words, true and false", _options
_TOKEN = "a whole number of at least 0", _is_number_of_token

_BLOCK = {
    "ls_init_value": _POSITIVE,
    "act_kwargs": _OPTIONS,
    "norm_kwargs": _OPTIONS,
    "block_type": _WORD,
    "final_ln_after_pool": _FLAG,
    "mlp_ratio": _POSITIVE,
    "output_tokens": _FLAG,
    "pool_type": _WORD,
    "qk_norm": _FLAG,
    "scale_attn": _FLAG,
    "scale_attn_inner": _FLAG,
    "scale_fc": _FLAG,
    "scale_heads": _FLAG,
    "scaled_cosine_attn": _FLAG,
    "width": _COUNT,
}
_VISION = _BLOCK | {
    "attentional_pool": ("true, false or a word", _either(_is_flag, _is_word)),
    "attn_pooler_heads": _COUNT,
    "attn_pooler_queries": _COUNT,
    "head_width": _COUNT,
    "image_size": ("a whole number of at least 1, or two", _either(_is_count, _several(_is_count, 2))),
    "layers": ("a whole number of at least 1, or four", _either(_is_count, _several(_is_count, 4))),
    "no_ln_pre": _FLAG,
    "patch_dropout": _SHARE,
    "patch_size": _COUNT,
    "pos_embed_type": _WORD,
    "timm_drop": _SHARE,
    "timm_drop_path": _SHARE,
    "timm_model_name": (
        "the plain name of an architecture of timm: nothing that a file names is fetched",
        _is_architecture,
    ),
    "timm_model_pretrained": _FLAG,
    "timm_pool": _WORD,
    "timm_proj": _WORD,
    "timm_proj_bias": _FLAG,
}
_TOKENIZER = {"clean": _WORD, "language": _WORD, "strip_sep_token": _FLAG}
_TEXT = _BLOCK | {
    "context_length": _COUNT,
    "embed_cls": _FLAG,
    "eos_id": _TOKEN,
    "heads": _COUNT,
    # Only whether there is one counts: the tokenizer is read from the model's own source, not from the one named.
    "hf_tokenizer_name": ("a name", lambda value: isinstance(value, str)),
    "hf_model_pretrained": _FLAG,
    "hf_pooler_type": _WORD,
    "hf_proj_type": _WORD,
    "layers": _COUNT,
    "no_causal_mask": _FLAG,
    "pad_id": _TOKEN,
    "proj_bias": _FLAG,
    "proj_type": _WORD,
    "tokenizer_kwargs": ("a table", lambda value: isinstance(value, Mapping)),
    "tokenizer_mode": _WORD,
    "vocab_size": _COUNT,
}
_DECODER = _TEXT | {"attn_pooler_heads": _COUNT, "dim_head": _COUNT, "n_queries": _COUNT}
_IMAGE_SIDE = {
    "embed_dim": _COUNT,
    "quick_gelu": _FLAG,
    "vision_cfg": ("a table", lambda value: isinstance(value, Mapping)),
}
_MODEL = _IMAGE_SIDE | {
    "custom_text": _FLAG,
    "init_logit_bias": ("a number", _is_number),
    "init_logit_scale": ("a number", _is_number),
    "multimodal_cfg": ("a table", lambda value: isinstance(value, Mapping)),
    "nonscalar_logit_scale": _FLAG,
    "output_dict": _FLAG,
    "text_cfg": ("a table", lambda value: isinstance(value, Mapping)),
}
_PIXELS = {
    "mean": ("three numbers", _several(_is_number, 3)),
    "std": ("three positive numbers", _several(_is_positive, 3)),
}


def read_description(file: Path, source: str) -> dict[str, Any]:
    """Read and check an ``open_clip_config.json``.

    Args:
        file: The file.
        source: What the user called it, for errors.

    Returns:
        Its ``model_cfg``.

    Raises:
        ValueError: It is no description of a model, or says something that it may not.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"The description of {source} cannot be read: {error}.") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("model_cfg"), Mapping):
        raise ValueError(f"The description of {source} has no table model_cfg.")
    where = f"The description of {source}"
    check_pixels(content.get("preprocess_cfg", {}), where)
    config = dict(content["model_cfg"])
    _check(config, _MODEL, where, "model_cfg", needed=("embed_dim", "text_cfg", "vision_cfg"))
    _check(config["vision_cfg"], _VISION, where, "vision_cfg")
    text = config["text_cfg"]
    if text.get("hf_model_name") is not None:
        raise ValueError(
            f"{where} names the text model {text['hf_model_name']!r} (text_cfg.hf_model_name), which would be fetched: "
            "nothing that a file names is. Where it is one of open_clip's own architectures, give that name and the "
            "weights as pretrained=FILE."
        )
    _check({name: value for name, value in text.items() if name != "hf_model_name"}, _TEXT, where, "text_cfg")
    _check(text.get("tokenizer_kwargs") or {}, _TOKENIZER, where, "text_cfg.tokenizer_kwargs")
    _check(config.get("multimodal_cfg") or {}, _DECODER, where, "multimodal_cfg")
    return config


def check_image_side(config: Any, where: str) -> dict[str, Any]:
    """Check the description of an image tower alone, as :attr:`CLIPImageTower.spec` holds it, and copy it.

    Raises:
        ValueError: It says something that it may not.
    """
    if not isinstance(config, Mapping):
        raise ValueError(f"{where}: model_cfg must be a table, got {config!r}.")
    _check(config, _IMAGE_SIDE, where, "model_cfg", needed=("embed_dim", "vision_cfg"))
    _check(config["vision_cfg"], _VISION, where, "vision_cfg")
    return {**config, "vision_cfg": dict(config["vision_cfg"])}


def check_pixels(values: Any, where: str) -> None:
    """Check the mean and the deviation that pixels are prepared with.

    Raises:
        ValueError: One is not three finite numbers, or a deviation is not positive.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{where}: preprocess_cfg must be a table, got {values!r}.")
    # What else is said of preprocessing is not used here.
    _check({name: value for name, value in values.items() if name in _PIXELS}, _PIXELS, where, "preprocess_cfg")


def _check(
    values: Mapping[str, Any],
    allowed: Mapping[str, tuple[str, _Check]],
    where: str,
    part: str,
    needed: tuple[str, ...] = (),
) -> None:
    for name in needed:
        if name not in values:
            raise ValueError(f"{where}: {part} lacks {name}.")
    for name, value in values.items():
        if name not in allowed:
            raise ValueError(f"{where}: {part} may not hold {name!r}.")
        kind, is_right = allowed[name]
        # Null stands for open_clip's default wherever it has one.
        if not is_right(value) and (value is not None or name in needed):
            raise ValueError(f"{where}: {part}.{name} must be {kind}, got {value!r}.")
