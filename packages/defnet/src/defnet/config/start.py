"""Configuration of what training goes on from."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from defnet.config.fields import Config

HUB = "hf-hub:"
"""What the name of a model on the Hugging Face hub begins with."""

LIQE = "liqe:"
"""What the name of one of LIQE's checkpoints begins with; a path follows, or `hf-hub:ORG/NAME/FILE`."""


class StartConfig(Config):
    """The trained model whose weights are a run's first ones. In a TOML file its name alone will do.

    Attributes:
        model: a shipped model's name, a model file, the folder of a training run, or `hf-hub:ORG/NAME[@REVISION]`.
            A run writes a hub's model with the revision that it got. Where a file lies is no part of what a run is.
        fingerprint: SHA-256 of its file. A run writes it, and does not go on from another file.
    """

    model: Annotated[str, Field(min_length=1)]
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name_alone(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    def without_path(self) -> "StartConfig":
        """The same without the folder that a file lies in on this machine."""
        if self.model.startswith((HUB, LIQE + HUB)):
            return self
        scheme = LIQE if self.model.startswith(LIQE) else ""
        path = re.sub(r"[\\/]+$", "", self.model.removeprefix(scheme))
        return self.model_copy(update={"model": scheme + (Path(path).name or path)})
