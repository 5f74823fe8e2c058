"""State dictionaries of CLIP: files that hold weights and nothing that says which model they are of.

Three layouts have the same names for the same tensors: OpenAI's archives, which hold three numbers besides; open_clip's
plain models; and the checkpoints of models fine-tuned from OpenAI's, LIQE's among them, which training wrapped in one
more table or put a prefix before. Numbers of layers, widths and sizes follow from the shapes. The width of an attention
head does not, nor whether the activation is QuickGELU.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from open_clip.pretrained import download_pretrained_from_hf
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor, nn

from clip_iqa_backbone.joint import MAX_LOGIT_SCALE, JointProbability, Precision
from clip_iqa_backbone.sources.checkpoint_files import read_checkpoint
from clip_iqa_backbone.text.vocabulary import Vocabulary
from clip_iqa_backbone.towers.clip import CLIPImageTower, CLIPTextTower

LIQE = "liqe:"
STATE_DICT = "state-dict:"

_HUB = "hf-hub:"
# What training and other packages wrap the table of weights in, or put before each name.
_WRAPPERS = ("state_dict", "model_state_dict", "params_ema", "params", "model")
_PREFIXES = ("module.", "clip_model.", "model.", "_orig_mod.")
# OpenAI's archives hold these beside the weights, and nobody else's.
_NUMBERS = ("input_resolution", "context_length", "vocab_size")
_OPENAI_HEAD_WIDTH = 64
_VOCABULARY = 49408  # of CLIP's tokenizer, the only one that a file without a description can be read with

_Shape = dict[str, Any]


@dataclass(frozen=True)
class StateDictionary:
    """Weights of a CLIP and what they tell of it.

    Args:
        path: The file.
        tensors: The weights under open_clip's names, fp32 where they are floating point.
        of_openai: Whether the file is one of OpenAI's own archives, all of which have QuickGELU.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    of_openai: bool


def load_state_dictionary(
    name: str, vocabulary: Vocabulary, precision: Precision, cache_dir: str | None, quick_gelu: bool | None
) -> JointProbability:
    """Do what :func:`~clip_iqa_backbone.create_backbone` documents, for ``liqe:FILE`` and ``state-dict:FILE``."""
    kind, _, source = name.partition(":")
    is_liqe = f"{kind}:" == LIQE
    state = read_state_dictionary(weights_file(source, cache_dir))
    told = True if is_liqe or state.of_openai else None
    if told and quick_gelu is False:
        raise ValueError(f"quick_gelu=False does not fit {name}: the weights stem from OpenAI's, which have QuickGELU.")
    activation = told if quick_gelu is None else quick_gelu
    if activation is None:
        raise ValueError(
            f"{state.path} does not tell whether its model has QuickGELU, and with the wrong one every score is wrong "
            "without a sign. Give quick_gelu=True for OpenAI's weights and what was fine-tuned from them, False for "
            "most others."
        )
    config = model_config(state, openai_architecture=is_liqe)
    model = make_model(state, config, quick_gelu=activation)
    logit_scale = min(max(float(state.tensors["logit_scale"]), 0.0), MAX_LOGIT_SCALE)
    return JointProbability(
        CLIPImageTower(model, {**config, "quick_gelu": activation}),
        CLIPTextTower(model, SimpleTokenizer(context_length=config["text_cfg"]["context_length"]), vocabulary),
        vocabulary,
        logit_scale=logit_scale,
        precision=precision,
    )


def weights_file(source: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The file of weights that ``liqe:`` and ``state-dict:`` name, fetched where it is the hub's.

    Args:
        source: A path, which is not looked at, or ``hf-hub:ORG/NAME/FILE`` or ``hf-hub:ORG/NAME@REVISION/FILE``.
        cache_dir: Folder for downloads; by default that of the hub's client.

    Raises:
        ValueError: The name of the hub's file is none.
        RuntimeError: It cannot be fetched.
    """
    if not source.startswith(_HUB):
        return Path(source).expanduser()
    parts = source.removeprefix(_HUB).split("/", 2)
    if len(parts) < 3 or not all(parts):
        raise ValueError(f"A file of weights on the hub is named hf-hub:ORG/NAME/FILE, got {source!r}.")
    name, _, revision = parts[1].partition("@")
    try:
        fetched = download_pretrained_from_hf(
            f"{parts[0]}/{name}",
            filename=parts[2],
            revision=revision or None,
            cache_dir=None if cache_dir is None else os.fspath(cache_dir),
        )
    except FileNotFoundError as error:
        raise RuntimeError(
            f"{source} cannot be fetched: {' '.join(str(error).split())} Where the hub is out of reach, put "
            f"{parts[2]} into any folder and give its path."
        ) from error
    return Path(fetched)


def read_state_dictionary(path: Path) -> StateDictionary:
    """Read the weights of a CLIP out of whatever training wrapped them in.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, could run code, or holds no CLIP in a layout known here.
    """
    found: Mapping[str, Any] = read_checkpoint(path)
    while True:
        inner = next((found[name] for name in _WRAPPERS if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            break
        found = inner
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    while prefix := next((p for p in _PREFIXES if tensors and all(name.startswith(p) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    of_openai = any(name in tensors for name in _NUMBERS)
    weights = {
        name: value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
        if name not in _NUMBERS
    }
    if "token_embedding.weight" not in weights or not any(name.startswith("visual.") for name in weights):
        raise ValueError(
            f"{path} holds no CLIP in OpenAI's layout or in open_clip's plain one (its first tensors: "
            f"{', '.join(list(weights)[:3]) or 'none'}). Give the name of the architecture and the file as "
            "pretrained=FILE."
        )
    return StateDictionary(path, weights, of_openai)


def model_config(state: StateDictionary, *, openai_architecture: bool) -> dict[str, Any]:
    """open_clip's configuration of the model that weights are of, without its activation.

    Args:
        state: The weights.
        openai_architecture: Whether the model is known to be one of OpenAI's or fine-tuned from it, whose attention
            heads are 64 wide. Otherwise its shapes are looked up among open_clip's architectures.

    Raises:
        ValueError: The shapes are no CLIP's, or those of no architecture of open_clip, or of several.
    """
    try:
        shape = _shape(state.tensors)
    except (KeyError, IndexError) as error:
        raise ValueError(f"{state.path} holds no whole CLIP: the tensor {error} is missing.") from None
    if shape["text_cfg"]["vocab_size"] != _VOCABULARY:
        raise ValueError(
            f"{state.path} has a vocabulary of {shape['text_cfg']['vocab_size']} tokens, not the {_VOCABULARY} of "
            "CLIP's tokenizer. Give the name of the architecture and the file as pretrained=FILE."
        )
    if openai_architecture or state.of_openai:
        return shape
    fitting = {name: config for name in open_clip.list_models() if (config := _fits(name, shape)) is not None}
    different = {repr(sorted(_without_activation(config).items())) for config in fitting.values()}
    if len(different) != 1:
        which = f"those of {', '.join(fitting)}" if fitting else "those of no architecture of open_clip"
        raise ValueError(
            f"The shapes in {state.path} are {which}, and weights do not tell the number of attention heads. Give the "
            "name of the architecture and the file as pretrained=FILE."
        )
    return _without_activation(next(iter(fitting.values())))


def make_model(state: StateDictionary, config: Mapping[str, Any], *, quick_gelu: bool) -> nn.Module:
    """An open_clip model with the weights in it.

    Raises:
        ValueError: They are not all there, or there are others.
    """
    model: nn.Module = open_clip.CLIP(**{**config, "quick_gelu": quick_gelu})
    tensors = {
        # A scalar in one layout, one number in another.
        name: value.reshape(model.logit_scale.shape) if name == "logit_scale" else value  # type: ignore[arg-type]
        for name, value in state.tensors.items()
    }
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(
            f"The weights in {state.path} are not those of one CLIP: {' '.join(str(error).split())}"
        ) from None
    return model


def _shape(tensors: Mapping[str, Tensor]) -> _Shape:
    """What the shapes tell, as open_clip writes it."""
    width = tensors["ln_final.weight"].shape[0]
    return {
        "embed_dim": tensors["text_projection"].shape[1],
        "vision_cfg": _vit(tensors) if "visual.proj" in tensors else _resnet(tensors),
        "text_cfg": {
            "context_length": tensors["positional_embedding"].shape[0],
            "vocab_size": tensors["token_embedding.weight"].shape[0],
            "width": width,
            "heads": max(1, width // _OPENAI_HEAD_WIDTH),
            "layers": _count(tensors, "transformer.resblocks."),
        },
    }


def _vit(tensors: Mapping[str, Tensor]) -> _Shape:
    width, _, patch, _ = tensors["visual.conv1.weight"].shape
    return {
        "image_size": patch * _side(tensors["visual.positional_embedding"]),
        "layers": _count(tensors, "visual.transformer.resblocks."),
        "width": width,
        "patch_size": patch,
    }


def _resnet(tensors: Mapping[str, Tensor]) -> _Shape:
    return {
        "image_size": 32 * _side(tensors["visual.attnpool.positional_embedding"]),
        "layers": [_count(tensors, f"visual.layer{stage}.") for stage in (1, 2, 3, 4)],
        "width": tensors["visual.layer1.0.conv1.weight"].shape[0],
        "patch_size": None,
    }


def _side(positions: Tensor) -> int:
    """Side of the grid of places, beside which there is one for the class."""
    return math.isqrt(positions.shape[0] - 1)


def _count(tensors: Mapping[str, Tensor], prefix: str) -> int:
    return len({name.removeprefix(prefix).partition(".")[0] for name in tensors if name.startswith(prefix)})


def _without_activation(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in ("quick_gelu", "custom_text")}


def _fits(name: str, shape: _Shape) -> dict[str, Any] | None:
    """The configuration of an architecture of open_clip, if it is a plain one of these shapes."""
    config: dict[str, Any] = open_clip.get_model_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    plain = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "custom_text"}
    # A larger MLP, an attention pooling or another library's tower has other tensors, or none that is known here.
    if not set(config) <= plain or not set(vision) <= {*shape["vision_cfg"], "head_width"}:
        return None
    if not set(text) <= {*shape["text_cfg"]} or config["embed_dim"] != shape["embed_dim"]:
        return None
    pairs = [(vision, shape["vision_cfg"]), (text, {k: v for k, v in shape["text_cfg"].items() if k != "heads"})]
    return config if all(there.get(key) == value for there, known in pairs for key, value in known.items()) else None
