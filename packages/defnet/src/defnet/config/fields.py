"""The kinds of fields that configurations have, and the base of them all."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Task = Literal["quality", "scene", "distortion"]

TASKS: tuple[Task, ...] = ("quality", "scene", "distortion")
"""The three tasks, in the order of the joint probability's last three dimensions (Eq. 4)."""

ScoreSource = Literal["fusion", "cross", "expected"]
"""Where a model's score comes from: δ of the local-global evidence (Eq. 25), δ of the sub-images' fused evidence
(Eq. 18), or q̂ (Eq. 5), which comes without an uncertainty."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Config(BaseModel):
    """A configuration: frozen, and without fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
