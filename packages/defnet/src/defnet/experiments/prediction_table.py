"""A model's answers beside the truth, as one table that every figure of an experiment can be computed from.

A row is an image. `dataset`, `part` and `image` (the path from the data set's folder, with forward slashes) say which;
`quality` (the rating on [1, 5], higher = better), `scenes` and `distortion` are the truth; `score`, `expected_quality`,
`scene_top` and `distortion_top` the answers. The evidence of quality is there before the variance scale, in its four
parameters `loc`, `nu`, `alpha_minus_one` and `beta`: that behind the score (Eq. 25, or Eq. 18 where Eq. 27 was not
trained) under these names, of each sub-image as lists `local_*` (Eq. 17), of the whole image as `global_*` (Eq. 23).
These columns are absent where the score is the expected quality of Eq. 5, which has no uncertainty, and those of tops
where the task is not learnt.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from defnet.data.table import ImageTable
from defnet.errors import DataError
from defnet.evaluation.predictions import Predictions
from defnet.model.evidence import Prediction
from evidential_nig import NormalInverseGamma
from iqa_datasets import DISTORTIONS, SCENES
from iqa_datasets.atomic_files import replacing

PARAMETERS = ("loc", "nu", "alpha_minus_one", "beta")

_TEXT = ("dataset", "part", "image", "distortion", "scene_top", "distortion_top")


def truth_table(table: ImageTable, images: Sequence[str], part: str) -> pd.DataFrame:
    """The truth of labelled images: the first columns of a table of predictions.

    Args:
        table: the images and their ground truth.
        images: their paths from their data sets' folders.
        part: which part of the split they are.
    """
    scenes, distortion = table.scenes.bool().tolist(), table.distortion.tolist()
    return pd.DataFrame(
        {
            "dataset": [table.names[number] for number in table.dataset.tolist()],
            "part": part,
            "image": list(images),
            "quality": table.quality.double().numpy(),
            "scenes": [[name for name, on in zip(SCENES, row, strict=True) if on] for row in scenes],
            "distortion": [DISTORTIONS[int(np.argmax(row))] if any(row) else None for row in distortion],
        }
    )


def answer_table(predictions: Iterable[Prediction]) -> pd.DataFrame:
    """A model's answers, batch after batch: the other columns of a table of predictions."""
    return pd.concat([_answers(prediction) for prediction in predictions], ignore_index=True)


def _answers(prediction: Prediction) -> pd.DataFrame:
    columns: dict[str, object] = {
        "score": _numbers(prediction.quality),
        "expected_quality": _numbers(prediction.expected_quality),
    }
    for task, names in (("scene", SCENES), ("distortion", DISTORTIONS)):
        if task in prediction.probabilities:
            columns[f"{task}_top"] = [names[i] for i in prediction.probabilities[task].argmax(-1).tolist()]
    if prediction.score_evidence is not None:
        for prefix, evidence in (
            ("", prediction.score_evidence),
            ("local_", prediction.local["quality"][..., 0]),
            ("global_", prediction.global_view["quality"][..., 0]),
        ):
            for name in PARAMETERS:
                values = _numbers(getattr(evidence, name))
                columns[prefix + name] = list(values) if values.ndim == 2 else values
    return pd.DataFrame(columns)


def _numbers(tensor: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = tensor.detach().double().cpu().numpy()
    return array


def write_predictions(path: Path, table: pd.DataFrame) -> None:
    """Write a table of predictions as Parquet, atomically."""
    with replacing(path) as part:
        table.to_parquet(part, index=False)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a table of predictions.

    Args:
        path: the Parquet file, or the folder of a run.

    Raises:
        DataError: it cannot be read, or is no table of predictions.
    """
    path = path / PREDICTIONS_FILE if path.is_dir() else path
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a table of predictions: {error}") from error
    missing = [
        name for name in ("dataset", "part", "image", "quality", "score", "expected_quality") if name not in table
    ]
    if missing:
        raise DataError(f"{path}: is no table of predictions: it has no column {missing[0]!r}")
    for name in _TEXT:
        if name in table:
            table[name] = table[name].astype(object).where(table[name].notna(), None)
    return table


PREDICTIONS_FILE = "predictions.parquet"


def evidence_of(table: pd.DataFrame, prefix: str = "") -> NormalInverseGamma:
    """The evidence of quality in a table of predictions, before the variance scale.

    Args:
        table: n rows.
        prefix: "" for what is fused over all views, `local_` for each sub-image, `global_` for the whole image.

    Returns:
        Evidence of batch shape (n,), or (n, N) for `local_`, in double precision.
    """
    loc, nu, alpha_minus_one, beta = (
        torch.from_numpy(np.asarray(list(table[prefix + name]), np.float64)) for name in PARAMETERS
    )
    return NormalInverseGamma.from_alpha_minus_one(loc, nu, alpha_minus_one, beta)


def predictions_of(table: pd.DataFrame) -> Predictions:
    """The answers of a table of predictions, as `evaluation_figures` takes them."""
    return Predictions(
        evidence_of(table) if "loc" in table else None,
        table["expected_quality"].to_numpy(np.float64),
        list(table["scene_top"]) if "scene_top" in table else [],
        list(table["distortion_top"]) if "distortion_top" in table else [],
    )


def truth_of(table: pd.DataFrame) -> ImageTable:
    """The truth of a table of predictions, as `evaluation_figures` takes it."""
    names = tuple(dict.fromkeys(table["dataset"]))
    return ImageTable(
        paths=tuple(map(Path, table["image"])),
        quality=torch.tensor(table["quality"].to_numpy(np.float64)),
        scenes=torch.tensor([[float(name in row) for name in SCENES] for row in table["scenes"]]).reshape(-1, 9),
        distortion=torch.tensor([[float(name == row) for name in DISTORTIONS] for row in table["distortion"]]).reshape(
            -1, 11
        ),
        dataset=torch.tensor([names.index(name) for name in table["dataset"]], dtype=torch.int64),
        names=names,
    )
