"""Configuration of the network: the image-text model below, and the evidence above."""

import math
from dataclasses import fields
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from defnet.config.fields import TASKS, Config, Positive, ScoreSource, Task


class BackboneConfig(Config):
    """Which image-text model stands under the heads, and which of its parts learn.

    Attributes:
        name: `lite`, an open_clip model name, `hf-hub:ORG/NAME` or `local-dir:FOLDER`.
        pretrained: open_clip's tag of the weights to start from; for `lite`, `imagenet` or None.
        vocabulary: preset of the prompts, `defnet` (the paper's words) or `liqe`.
        lite: options of the compact tower; see `clip_iqa_backbone.LiteConfig`.
        freeze_trunk: keep the image tower's trunk as it starts; only its projection learns.
        freeze_projection: keep the image tower's projection as it starts too; needs `freeze_trunk`.
        freeze_text: keep the text tower as it starts.
        train_logit_scale: learn the temperature κ of Eq. 4.
        logit_scale: start of log(1/κ), within CLIP's range of 0 to ln 100, or None for the model's own.
    """

    name: str = "lite"
    pretrained: str | None = None
    vocabulary: Literal["defnet", "liqe"] = "defnet"
    lite: dict[str, Any] = Field(default_factory=dict)
    freeze_trunk: bool = False
    freeze_projection: bool = False
    freeze_text: bool = False
    train_logit_scale: bool = True
    logit_scale: Annotated[float, Field(ge=0, le=math.log(100) + 1e-6)] | None = None

    @model_validator(mode="after")
    def _check_frozen(self) -> Self:
        if self.freeze_projection and not self.freeze_trunk:
            raise ValueError("freeze_projection keeps what lies above the trunk, so it needs freeze_trunk too")
        return self

    @field_validator("lite")
    @classmethod
    def _known_lite_options(cls, options: dict[str, Any]) -> dict[str, Any]:
        """Refuse what the compact tower does not know before anything is computed."""
        if not options:
            return options
        from clip_iqa_backbone import LiteConfig  # only here: it needs torch

        known = [field.name for field in fields(LiteConfig) if field.name != "freeze_trunk"]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r}; there are {', '.join(known)}")
        try:
            LiteConfig(**options)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return options


class ModelConfig(Config):
    """How probabilities become evidence.

    Attributes:
        tasks: the tasks learnt; quality always is one.
        evidence: whether there are heads of evidence (Eqs. 14 to 27). Without them the network is LIQE's: its score is
            q̂ of Eq. 5, it states no uncertainty, and of the losses only Eq. 13 is left.
        features: what the normal-inverse-gamma heads see: the task's marginal probabilities (Eqs. 14 to 16), or those
            and the image embedding.
        delta: what the heads give as δ (Eqs. 14 to 17): the linear layer's output as it is, or its softplus, as
            printed.
        softplus: `once`, where ν, α − 1 and β need it, or `twice`: all four parameters of the fused evidence go through
            it again (Eqs. 21 and 26, as printed), and the score is δ after that.
        global_tower: what looks at the whole image (section 3.1): the towers as they are, under no-grad (`shared`); a
            frozen copy of the towers that training started from (`pretrained`), which makes the model file that much
            larger; or the towers under no-grad and behind them a projection of the whole image's own, which learns
            from the evidential losses (`learnt`).
        global_head: whether the global view's evidence (Eq. 23) comes from heads of its own, so that it can be trusted
            more or less than a sub-image's, or from those of the sub-images.
        averaging: what Eq. 6 averages over sub-images: probabilities (the paper) or logits (LIQE).
        score: where the score comes from; see `ScoreSource`. None for the last of Eqs. 25, 18 and 5 that training
            teaches: see `TrainConfig.score_from`.
        train_crops: number of sub-images in training.
        evidence_crops: number of sub-images whose evidence counts in full when it is fused (Eqs. 18 to 20). Of N more,
            each weighs evidence_crops / N, so that more crops sharpen the mean and not the claim; None for
            `train_crops`.
        initial_nu: the heads' starting ν.
        initial_alpha: the heads' starting α.
        initial_std: square root of the heads' starting aleatoric variance E[σ²], for quality on its scale of [1, 5].
        initial_probability_std: the same for the scene and distortion outputs, on [0, 1].
    """

    tasks: tuple[Task, ...] = TASKS
    evidence: bool = True
    features: Literal["marginals", "embedding"] = "marginals"
    delta: Literal["raw", "softplus"] = "raw"
    softplus: Literal["once", "twice"] = "once"
    global_tower: Literal["shared", "pretrained", "learnt"] = "shared"
    global_head: Literal["separate", "shared"] = "separate"
    averaging: Literal["probabilities", "logits"] = "probabilities"
    score: ScoreSource | None = None
    train_crops: Annotated[int, Field(ge=1)] = 4
    evidence_crops: Annotated[int, Field(ge=1)] | None = None
    initial_nu: Positive = 1.0
    initial_alpha: Annotated[float, Field(gt=1, allow_inf_nan=False)] = 2.0
    initial_std: Positive = 0.5
    initial_probability_std: Positive = 0.3

    @property
    def full_evidence(self) -> int:
        """Number of sub-images whose evidence counts in full."""
        return self.train_crops if self.evidence_crops is None else self.evidence_crops

    @model_validator(mode="after")
    def _check_tasks(self) -> Self:
        if "quality" not in self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise ValueError(f"tasks must be distinct and include 'quality', got {list(self.tasks)}")
        return self
