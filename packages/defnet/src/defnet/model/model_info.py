"""What a model file says of itself, as JSON, in this and in earlier formats."""

import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from defnet.config.training import TrainConfig
from defnet.config.versions import migrate
from defnet.errors import CheckpointError

FORMAT = 2
"""Format of the description.

Format 1 had configurations without a version, and `_eq5` in the names of figures for what is `_expected` now.
"""

Figure = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A figure; one that could not be computed is NaN here and null in the file: JSON has no NaN."""


class ReliabilityInfo(BaseModel):
    """What a model file says of how far its scores can be relied on; see `defnet.reliability.reliability.Reliability`.

    Attributes:
        deviation: the numbers of `defnet.reliability.deviation.Deviation`, by their names.
        folds: number of parts that the contents were dealt into, each left out once.
        families: distortions that were left out, each group of them once.
        images: number of images that were predicted by a model that had not seen them: `rated` (which intervals and
            familiarity count by), and those that only the fit of the deviation saw, `rated_families`,
            `pseudo_rated` and `pseudo_rated_families`.
        figures: figures of these images; see `defnet.out_of_fold.fitting.figures_of`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    deviation: dict[str, float]
    folds: int
    families: list[list[str]] = []
    images: dict[str, int] = {}
    figures: dict[str, Figure] = {}


class ModelInfo(BaseModel):
    """What a model file says of itself.

    Attributes:
        format: version of the layout of the file.
        config: how the model was trained.
        variance_scale: factor on β fitted on validation data under the inference crop plan.
        variance_scales: that of each data set, whose geometric mean it is; empty in files of format 1.
        constant_std: standard deviation on validation data of the model's error, the rival of its own uncertainty.
        image_tower: the image tower's architecture, so that nothing but this file is needed to load it;
            `save_model` fills it in.
        epoch: the epoch, counted from 1, whose weights these are.
        images: for each data set the number of images that it was trained on (`train`) and chosen and calibrated on
            (`val`); empty in files of earlier versions.
        validation: figures on the validation part that chose the epoch, each the mean over data sets.
        validation_by_dataset: the figures of each data set; empty in files of format 1.
        versions: versions of the packages that trained it.
        reliability: how far its scores can be relied on, by images that were left out of training; None for a model
            that `defnet calibrate` has not seen.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2] = 2
    config: TrainConfig
    variance_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    variance_scales: dict[str, float] = {}
    constant_std: float | None = None
    image_tower: dict[str, Any] = {}
    epoch: int = 0
    images: dict[str, dict[str, int]] = {}
    validation: dict[str, Figure] = {}
    validation_by_dataset: dict[str, dict[str, Figure]] = {}
    versions: dict[str, str] = {}
    reliability: ReliabilityInfo | None = None


def package_versions() -> dict[str, str]:
    """Versions of the packages that have a part in what a trained model is."""
    names = ("defnet", "clip-iqa-backbone", "evidential-nig", "iqa-datasets", "torch")
    return {name: version(name) for name in names}


def parse_info(text: str) -> ModelInfo:
    """Read a description, brought up to the present format.

    Raises:
        CheckpointError: it is of a format that this package does not know.
        ValueError: it is no description of a model.
    """
    raw = json.loads(text)
    if not isinstance(raw, dict):
        raise ValueError("it is no table of names and values")
    if raw.get("format") == 1:
        raw = _from_format_1(raw)
    if raw.get("format") != FORMAT:
        raise CheckpointError(f"has format {raw.get('format')}, this version of defnet reads formats 1 to {FORMAT}")
    return ModelInfo.model_validate({**raw, "config": migrate(raw.get("config", {}))})


def _from_format_1(raw: Mapping[str, Any]) -> dict[str, Any]:
    figures = raw.get("validation", {})
    renamed = {name.replace("_eq5", "_expected"): value for name, value in figures.items()}
    return {**raw, "format": FORMAT, "validation": renamed}
