"""The joint probability of quality, scene and distortion, from an image tower and a text tower."""

from __future__ import annotations

import contextlib
import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from clip_iqa_backbone.fingerprints import quick_digest
from clip_iqa_backbone.marginals import joint_log_softmax
from clip_iqa_backbone.single_precision import at_least_single
from clip_iqa_backbone.text.vocabulary import Vocabulary
from clip_iqa_backbone.towers.base import ImageTower, TextTower
from clip_iqa_backbone.training_modes import statistics_held

Precision = Literal["fp32", "bf16", "fp16"]

CLIP_LOGIT_SCALE = math.log(1 / 0.07)
MAX_LOGIT_SCALE = math.log(100)

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_VIEWS_ON_CPU, _VIEWS_ELSEWHERE = 16, 256


class JointProbability(nn.Module):
    """Image-text model of p(quality, scene, distortion | view): DEFNet, Eq. 4.

    The two towers map a view and each sentence of the vocabulary to unit vectors; their cosine similarities divided by
    the temperature κ = exp(−``logit_scale``) are the logits of one softmax over all sentences.

    Weights are always held in fp32, whatever the towers compute in: with half-precision weights, steps as small as
    fine-tuning takes are lost in rounding. A model that was made double (``model.double()``) computes in fp64 where
    fp32 is said below.

    Args:
        image: Tower for the views.
        text: Tower for the sentences, in the order of ``vocabulary.prompts()``.
        vocabulary: The words.
        logit_scale: Logarithm of 1/κ to begin with; CLIP's starting value by default.
        trainable_logit_scale: Whether κ is learned.
        precision: What the towers compute in: "fp32", or "bf16" or "fp16" under autocast. The softmax is always fp32.
        max_views_per_forward: Largest number of views that go through the image tower at once, which bounds memory;
            None for 16 on a CPU, where more are no faster, and 256 elsewhere. See :meth:`image_features`.

    Raises:
        ValueError: The towers and the vocabulary do not fit together, or an argument is out of range.

    Example:
        >>> from clip_iqa_backbone import LiteConfig, create_backbone
        >>> model = create_backbone("lite", lite=LiteConfig(stages=(0, 1))).eval()
        >>> log_p = model(torch.zeros(2, 15, 3, 224, 224, dtype=torch.uint8))
        >>> log_p.shape
        torch.Size([2, 15, 5, 9, 11])
    """

    def __init__(
        self,
        image: ImageTower,
        text: TextTower,
        vocabulary: Vocabulary,
        *,
        logit_scale: float = CLIP_LOGIT_SCALE,
        trainable_logit_scale: bool = True,
        precision: Precision = "fp32",
        max_views_per_forward: int | None = None,
    ) -> None:
        super().__init__()
        if image.embed_dim != text.embed_dim:
            raise ValueError(f"The image tower embeds in {image.embed_dim} dimensions, the text in {text.embed_dim}.")
        if text.count != math.prod(vocabulary.shape):
            raise ValueError(
                f"The text tower has {text.count} sentences, the vocabulary {math.prod(vocabulary.shape)}."
            )
        if precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}.")
        if max_views_per_forward is not None and max_views_per_forward < 1:
            raise ValueError(f"max_views_per_forward must be at least 1, got {max_views_per_forward}.")
        if not 0 <= logit_scale <= MAX_LOGIT_SCALE + 1e-6:  # CLIP's own weights sit on the bound, rounded to fp32
            raise ValueError(f"logit_scale must lie in [0, ln 100], got {logit_scale}.")
        self.image = image
        self.text = text
        self.vocabulary = vocabulary
        self.logit_scale = nn.Parameter(torch.tensor(float(logit_scale)), requires_grad=trainable_logit_scale)
        self.precision: Precision = precision
        self.max_views_per_forward = max_views_per_forward
        self._cached_text: tuple[TextTower, tuple[object, ...], Tensor] | None = None

    def normalize(self, pixels: Tensor) -> Tensor:
        """Shift and scale pixels to what the image tower expects.

        Args:
            pixels: uint8 in 0–255 or floating point in [0, 1], (..., 3, S, S).

        Returns:
            fp32 of the same shape.

        Raises:
            ValueError: The shape, the type or the range is wrong.
        """
        self._check_shape(pixels)
        if pixels.dtype == torch.uint8:
            scaled = pixels.float() / 255.0
        elif pixels.is_floating_point():
            scaled = pixels.float()
            if pixels.numel():
                low, high = (bound.item() for bound in torch.aminmax(scaled.detach()))
                if not (low >= 0.0 and high <= 1.0):  # written so that NaN fails too
                    raise ValueError(f"Floating-point pixels must lie in [0, 1], got {low:g} to {high:g}.")
        else:
            raise ValueError(f"pixels must be uint8 or floating point, got {pixels.dtype}.")
        return (scaled - self.image.mean) / self.image.std

    def image_features(self, pixels: Tensor) -> Tensor:
        """Features of the image tower's trunk.

        Views go through the trunk in chunks of ``max_views_per_forward``; a view's features do not depend on the
        others beyond rounding, nor on the chunks. The exception is a trunk that learns with batch normalisation: in
        training it normalises by the statistics of all views given here, which therefore go through at once. Dropout
        draws for each view by itself; other chunks, other draws.

        Statistics that a layer keeps (``running_mean``, ``running_var``) move only where the layer learns. Under
        no-grad, and where its weights want no gradient, it uses them as they are, in training mode too: to look at a
        view changes nothing. To estimate them anew without gradients call ``model.image`` itself.

        Args:
            pixels: uint8 in 0–255 or floating point in [0, 1], (..., 3, S, S).

        Returns:
            fp32 (..., F).
        """
        self._check_shape(pixels)
        lead = pixels.shape[:-3]
        flat = pixels.reshape(-1, *pixels.shape[-3:])
        with self._autocast(), statistics_held(self.image) as moving:
            chunks = [
                at_least_single(self.image.trunk(self.normalize(chunk)))
                for chunk in torch.split(flat, max(len(flat), 1) if moving else self._views_per_forward(flat.device))
                if len(chunk)
            ]
        if not chunks:
            return torch.zeros(*lead, self.image.feature_dim, device=pixels.device)
        return torch.cat(chunks).view(*lead, self.image.feature_dim)

    def embed(self, features: Tensor) -> Tensor:
        """Unit vectors of the joint space.

        Args:
            features: What :meth:`image_features` returned, (..., F).

        Returns:
            fp32 (..., D), of length one.
        """
        with self._autocast(), statistics_held(self.image):
            embeddings = self.image.project(features.reshape(-1, features.shape[-1]))
        return F.normalize(at_least_single(embeddings), dim=-1).view(*features.shape[:-1], self.image.embed_dim)

    def text_embeddings(self) -> Tensor:
        """Unit vectors of the sentences.

        Computed anew where gradients are wanted, or the text tower is in training mode. Otherwise kept for as long as
        the text tower, its weights, the vocabulary and the precision stay what they were. Weights are compared by a
        digest of their content: fused optimisers and writes through ``Tensor.data`` leave no other trace. That reads
        every weight of the text tower once a call; put :class:`~clip_iqa_backbone.FrozenTextFeatures` in its place
        where it no longer changes.

        Returns:
            fp32 (5 * 9 * 11, D), of length one, in the order of ``vocabulary.prompts()``.
        """
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in self.text.parameters()):
            return self._compute_text_embeddings()
        if any(module.training for module in self.text.modules()):
            return self._compute_text_embeddings()  # dropout, where a tower has it, must stay random
        text = self.text.architecture()
        key = (self.vocabulary, self.precision, *self._outer_autocast(), text, quick_digest(self.text))
        if self._cached_text is None or self._cached_text[0] is not self.text or self._cached_text[1] != key:
            # Outside inference mode, so that a later training step may use what is kept.
            with torch.inference_mode(False), torch.no_grad():
                self._cached_text = (self.text, key, self._compute_text_embeddings())
        return self._cached_text[2]

    def logits(self, embeddings: Tensor, text: Tensor | None = None) -> Tensor:
        """Cosine similarities with every sentence, divided by the temperature κ.

        Args:
            embeddings: What :meth:`embed` returned, (..., D).
            text: What :meth:`text_embeddings` returned, to use it for several calls of one training step; None asks
                for it.

        Returns:
            fp32 (..., 5, 9, 11) for quality, scene, distortion.
        """
        text = self.text_embeddings() if text is None else text
        with torch.autocast(embeddings.device.type, enabled=False):
            similarities = at_least_single(embeddings) @ at_least_single(text).T
            return (self.logit_scale.exp() * similarities).view(*embeddings.shape[:-1], *self.vocabulary.shape)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Logarithm of the softmax over all sentences together (DEFNet, Eq. 4).

        Args:
            logits: What :meth:`logits` returned, (..., 5, 9, 11).

        Returns:
            fp32 (..., 5, 9, 11); its exponential sums to one over the last three axes.
        """
        return joint_log_softmax(logits)

    def forward(self, pixels: Tensor) -> Tensor:
        """Joint log-probabilities of views (DEFNet, Eq. 4).

        Args:
            pixels: uint8 in 0–255 or floating point in [0, 1], (..., 3, S, S).

        Returns:
            fp32 (..., 5, 9, 11) for quality, scene, distortion.
        """
        return self.log_probabilities(self.logits(self.embed(self.image_features(pixels))))

    def clamp_logit_scale(self) -> None:
        """Keep the logit scale in CLIP's range, [0, ln 100]; call it after each optimiser step."""
        with torch.no_grad():
            self.logit_scale.clamp_(0.0, MAX_LOGIT_SCALE)

    def _views_per_forward(self, device: torch.device) -> int:
        if self.max_views_per_forward is not None:
            return self.max_views_per_forward
        return _VIEWS_ON_CPU if device.type == "cpu" else _VIEWS_ELSEWHERE

    def _check_shape(self, pixels: Tensor) -> None:
        size = self.image.input_size
        if pixels.ndim < 3 or tuple(pixels.shape[-3:]) != (3, size, size):
            raise ValueError(f"pixels must have shape (..., 3, {size}, {size}), got {tuple(pixels.shape)}.")

    def _compute_text_embeddings(self) -> Tensor:
        with self._autocast():
            features = self.text()
        return F.normalize(at_least_single(features), dim=-1)

    def _outer_autocast(self) -> tuple[bool, torch.dtype]:
        device = self.logit_scale.device.type
        return torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

    def _autocast(self) -> contextlib.AbstractContextManager[object]:
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.logit_scale.device.type, dtype=_AUTOCAST[self.precision])
