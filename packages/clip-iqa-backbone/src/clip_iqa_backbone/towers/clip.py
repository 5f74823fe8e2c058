"""Towers over any model of open_clip."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, cast

import open_clip
import torch
from torch import Tensor, nn

from clip_iqa_backbone.text.vocabulary import Vocabulary
from clip_iqa_backbone.towers.base import ImageTower, TextTower
from clip_iqa_backbone.training_modes import evaluating

Tokenizer = Callable[[list[str]], Tensor]


class CLIPImageTower(ImageTower):
    """The image side of an open_clip model.

    ``trunk`` is the whole visual tower with its projection, ``project`` passes its output on.

    Args:
        model: An open_clip model: ``CLIP``, ``CustomTextCLIP`` or ``CoCa``.
        model_config: open_clip's configuration that the model was made from; only ``spec`` needs it.

    Raises:
        ValueError: The model takes images that are not square.
    """

    trunk_children = ("visual",)

    def __init__(self, model: nn.Module, model_config: Mapping[str, Any] | None = None) -> None:
        visual = cast("nn.Module", model.visual)
        preprocess = open_clip.get_model_preprocess_cfg(model)
        size = cast("Any", visual).image_size
        height, width = (size, size) if isinstance(size, int) else size
        if height != width:
            raise ValueError(f"Only models with square input can be used, this one takes {width}x{height}.")
        embed_dim = _output_dim(visual, height)
        super().__init__(
            input_size=height,
            feature_dim=embed_dim,
            embed_dim=embed_dim,
            mean=preprocess.get("mean", open_clip.OPENAI_DATASET_MEAN),
            std=preprocess.get("std", open_clip.OPENAI_DATASET_STD),
        )
        self.visual = visual
        self._preprocess = dict(preprocess)
        self._model_config = None if model_config is None else dict(model_config)

    @property
    def spec(self) -> dict[str, Any]:
        """``{"kind": "open_clip"}``, open_clip's configuration of the image side, and the pixels' mean and deviation.

        Raises:
            ValueError: The tower was made without ``model_config``.
        """
        if self._model_config is None:
            raise ValueError("The tower was made without model_config, so its architecture cannot be told.")
        image_side = ("embed_dim", "vision_cfg", "quick_gelu")
        return {
            "kind": "open_clip",
            "model_cfg": {name: self._model_config[name] for name in image_side if name in self._model_config},
            "mean": self.mean.flatten().tolist(),
            "std": self.std.flatten().tolist(),
        }

    def architecture(self, *, trunk_only: bool = False) -> str:
        """What the embeddings depend on beside weights, buffers and pixels, for the key of a cache.

        With the whole of what the model's source says of preprocessing, its interpolation too, of which only size,
        mean and deviation are used here.
        """
        config = None if self._model_config is None else self.spec["model_cfg"]
        # repr leaves out how tokens are pooled and dropped; the configuration, what was changed since.
        rest = {name: value for name, value in self._preprocess.items() if name not in ("mean", "std")}  # are buffers
        said = json.dumps([config, rest], sort_keys=True)
        return f"{said}\n{super().architecture(trunk_only=trunk_only)}"

    def trunk(self, pixels: Tensor) -> Tensor:
        """Embeddings (B, D), not normalised, of normalised pixels (B, 3, S, S)."""
        return _pooled(self.visual(pixels))

    def project(self, features: Tensor) -> Tensor:
        """The features as they are."""
        return features


class CLIPTextTower(TextTower):
    """The text side of an open_clip model, with the sentences of a vocabulary tokenised once.

    In a causal tower nothing behind the token at which a sentence is pooled can change its feature, so the tokens are
    cut behind the last such token of any sentence: 25 of CLIP's 77 remain, and the features are the same. Where
    that does not hold (no causal mask, a class token at the end, another library's encoder) all tokens are kept.

    Args:
        model: An open_clip model: ``CLIP``, ``CustomTextCLIP`` or ``CoCa``.
        tokenizer: The model's own tokenizer, strings to token numbers (B, context length).
        vocabulary: The words.
        cut_padding: Whether to cut the tokens where that is exact.

    Raises:
        ValueError: Two sentences become the same tokens, as when they are longer than the context, or the tower gives
            no one feature for a sentence.
    """

    tokens: Tensor
    pooled_at: Tensor
    attn_mask: Tensor | None

    def __init__(
        self, model: nn.Module, tokenizer: Tokenizer, vocabulary: Vocabulary, *, cut_padding: bool = True
    ) -> None:
        prompts = vocabulary.prompts()
        tokens = tokenizer(prompts)
        if len(torch.unique(tokens, dim=0)) != len(prompts):
            raise ValueError(
                f"Some of the {len(prompts)} sentences become the same tokens: the context of {tokens.shape[1]} tokens "
                "is too short for them, or their words are too much alike."
            )
        source = cast("Any", getattr(model, "text", model))
        if not _is_plain(source):
            super().__init__(count=len(prompts), embed_dim=source.output_dim)
            self.encoder: nn.Module | None = source
            self.register_buffer("attn_mask", None)
            self.register_buffer("tokens", tokens, persistent=False)
            return
        projection = source.text_projection
        super().__init__(count=len(prompts), embed_dim=_projected_dim(projection, source.transformer.width))
        self.encoder = None
        pooled_at = _pooled_at(
            tokens,
            getattr(source, "text_pool_type", None) or source.pool_type,
            getattr(source, "text_eos_id", None) or getattr(source, "eos_id", None),
        )
        length = tokens.shape[1]
        if cut_padding and _is_causal(source.attn_mask):
            length = int(pooled_at.max()) + 1
        self.token_embedding = source.token_embedding
        self.positional_embedding = source.positional_embedding
        self.transformer = source.transformer
        self.ln_final = source.ln_final
        self.text_projection = projection
        mask = None if source.attn_mask is None else source.attn_mask[:length, :length].clone()
        self.register_buffer("attn_mask", mask, persistent=False)
        self.register_buffer("tokens", tokens[:, :length].contiguous(), persistent=False)
        self.register_buffer("pooled_at", pooled_at, persistent=False)

    def forward(self) -> Tensor:
        """Text features (count, D), not normalised, in the order of ``Vocabulary.prompts``."""
        if self.encoder is not None:
            return _pooled(self.encoder(self.tokens))
        dtype = self.transformer.get_cast_dtype()
        x = self.token_embedding(self.tokens).to(dtype) + self.positional_embedding[: self.tokens.shape[1]].to(dtype)
        x = self.ln_final(self.transformer(x, attn_mask=self.attn_mask))
        features: Tensor = x[torch.arange(len(x), device=x.device), self.pooled_at]
        if self.text_projection is None:
            return features
        if isinstance(self.text_projection, nn.Linear):
            return cast("Tensor", self.text_projection(features))
        return features @ cast("Tensor", self.text_projection)

    def architecture(self) -> str:
        """What the features depend on besides weights, buffers and words."""
        heads = [module.num_heads for module in self.modules() if hasattr(module, "num_heads")]
        return f"{super().architecture()} heads={heads}"


def _pooled(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    # Towers made for CoCa return their tokens as well.
    return output[0] if isinstance(output, tuple) else output


def _is_plain(source: Any) -> bool:
    """Whether a text tower is token embedding, transformer, norm and projection and nothing else."""
    pieces = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection", "attn_mask")
    return (
        all(hasattr(source, piece) for piece in pieces)
        and getattr(source, "cls_emb", None) is None
        and not getattr(source, "use_pad_mask", False)
    )


def _is_causal(mask: Tensor | None) -> bool:
    return mask is not None and torch.equal(mask, torch.full_like(mask, float("-inf")).triu(1))


def _pooled_at(tokens: Tensor, pool_type: str, eos_id: int | None) -> Tensor:
    """Place of the token whose feature stands for its sentence, (count,), by open_clip's names for the choice."""
    if pool_type == "first":
        return torch.zeros(len(tokens), dtype=torch.long)
    if pool_type == "last":  # of all, which is padding for most sentences
        return torch.full((len(tokens),), tokens.shape[1] - 1)
    if pool_type == "argmax":  # the end of text has the highest number
        return tokens.argmax(dim=-1)
    if pool_type == "eos" and eos_id is not None:
        return torch.eq(tokens, eos_id).int().argmax(dim=-1)
    raise ValueError(f"The text tower pools its tokens by {pool_type!r}, which gives no one feature for a sentence.")


def _projected_dim(projection: nn.Linear | Tensor | None, width: int) -> int:
    if projection is None:
        return width
    return projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]


def _output_dim(visual: nn.Module, size: int) -> int:
    declared = getattr(visual, "output_dim", None)
    if isinstance(declared, int):
        return declared
    with evaluating(visual), torch.no_grad():
        weight = next(visual.parameters())
        return _pooled(visual(torch.zeros(1, 3, size, size, device=weight.device, dtype=weight.dtype))).shape[1]
