"""What a run came to, in the files that tables and plots are made from."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from defnet.config.data import Session
from defnet.config.training import TrainConfig
from defnet.config.versions import migrate
from defnet.errors import DataError
from defnet.finite_json import to_json
from defnet.model.model_info import Figure
from iqa_datasets.atomic_files import replacing

RESULT_FILE = "result.json"

FiguresByDataset = dict[str, dict[str, Figure]]


class DataSummary(BaseModel):
    """Which images of a data set a run had.

    Attributes:
        images: number of images in each part: `train` (less those that were left out), `val` and `test`, or `all` for
            a data set that was not trained on.
        sha256: of the table of these images: paths from the data set's folder, parts, ratings, scenes and distortions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: dict[str, int]
    sha256: str


class Result(BaseModel):
    """What a run came to.

    Attributes:
        format: version of the layout of the file.
        name: what the run is in its experiment, such as a row of a table.
        config: how the model was trained, every data set in the session below; where data lies is left out.
        session: the split into parts, or None where the data sets have different ones.
        seed: seed of every random choice.
        data: the images, by data set.
        versions: versions of the packages.
        device: where it was trained.
        seconds: time that this process took; less than the run's where it was stopped between.
        epoch: the epoch, counted from 1, that was chosen on the validation parts.
        variance_scale: factor on the predictive variance, fitted on the validation parts.
        constant_std: standard deviation of the constant-variance rival, likewise.
        figures: by part (`val`, `test`) and data set, those of `evaluation_figures`.
        zero_shot: by data set that was not trained on, the same of all its images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str
    config: Annotated[TrainConfig, BeforeValidator(lambda value: migrate(value) if isinstance(value, dict) else value)]
    session: Session | None
    seed: int
    data: dict[str, DataSummary]
    versions: dict[str, str]
    device: str
    seconds: float
    epoch: int
    variance_scale: float | None
    constant_std: float | None
    figures: dict[str, FiguresByDataset]
    zero_shot: FiguresByDataset = {}


def write_result(folder: Path, result: Result) -> None:
    """Write the result of the run in a folder, atomically."""
    with replacing(folder / RESULT_FILE) as part:
        part.write_text(to_json(result.model_dump(mode="python")) + "\n", encoding="utf-8")


def read_result(folder: Path) -> Result:
    """Read the result of the run in a folder.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    path = folder / RESULT_FILE
    try:
        return Result.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{folder}: holds no finished run: there is no {RESULT_FILE}") from error
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise DataError(f"{path}: is not the result of a run: {_first(error)}") from error


def _first(error: Any) -> str:
    if isinstance(error, ValidationError):
        found = error.errors()[0]
        return f"{'.'.join(map(str, found['loc'])) or 'the whole'}: {found['msg']}"
    return str(error)
