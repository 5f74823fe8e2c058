"""A trained model judged on labelled images, each data set by itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from defnet.config.data import Session, check_session
from defnet.data.roots import DataRoots
from defnet.data.table import ImageTable
from defnet.errors import DataError
from defnet.evaluation.figures import Figures, figures_by_dataset, mean_figures
from defnet.evaluation.predictions import predict_files
from defnet.scoring.image_error import ImageError
from defnet.scoring.scorer import Scorer
from iqa_datasets import DatasetError

ALL = "all"
"""What stands for a part where all images are judged."""


@dataclass(frozen=True)
class Judgement:
    """Figures of a model.

    Attributes:
        by_dataset: every figure of each data set, by its name; see `evaluation_figures`.
        mean: the mean of each over the data sets.
    """

    by_dataset: dict[str, Figures]
    mean: Figures


def labelled_images(
    roots: DataRoots, names: Sequence[str], session: Session | None = None, part: str | None = None
) -> ImageTable:
    """The images that a model is judged on.

    Args:
        roots: where data lies.
        names: data sets, each once.
        session: the split, or None for all images.
        part: `train`, `val`, `test` or `all`; by default `test` with a session, else `all`.

    Raises:
        DataError: a data set cannot be read, stands twice, or has images without a score.
    """
    if len(set(names)) != len(names) or not names:
        raise DataError(f"data sets must be given, each once, got {', '.join(names) or 'none'}")
    part = part or (ALL if session is None else "test")
    try:
        chosen = None if session is None else check_session(session)
        datasets = [roots.load(name, chosen) for name in names]
        return ImageTable.from_datasets([d if part == ALL else d.part(part) for d in datasets], names)
    except (DatasetError, ValueError) as error:
        raise DataError(str(error)) from error


def judge(
    scorer: Scorer, table: ImageTable, *, batch_size: int = 8, advance: Callable[[int], None] = lambda _: None
) -> Judgement:
    """Score labelled images as `defnet score` does, and compare with their ratings.

    Args:
        scorer: the model.
        table: the images and their ground truth.
        batch_size: images that go through the network together; it does not change a figure.
        advance: called with the number of images each time some are done.

    Raises:
        DataError: an image cannot be read; an evaluation never leaves images out.
    """
    try:
        predictions = predict_files(scorer, table.paths, batch_size=batch_size, advance=advance)
    except ImageError as error:
        raise DataError(str(error)) from error
    by_dataset = figures_by_dataset(
        predictions,
        table,
        variance_scale=scorer.info.variance_scale,
        constant_std=scorer.info.constant_std,
        reliability=scorer.reliability,
    )
    return Judgement(by_dataset, mean_figures(by_dataset))
