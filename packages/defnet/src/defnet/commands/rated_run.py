"""A run on one data set that ends with a summary: what `defnet train --ratings` and `defnet fit-heads` share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from defnet.commands.ratings_options import OWN_SPLIT
from defnet.config.data import Session, check_session
from defnet.data.mixture import official_path
from defnet.data.ratings import Ratings, check_enough, content_digest, narrow
from defnet.data.roots import DataRoots
from defnet.data.table import ImageTable
from defnet.errors import ConfigError, DataError
from defnet.evaluation.figures import evaluation_figures
from defnet.evaluation.predictions import Predictions, predict_pool
from defnet.finite_json import to_json
from defnet.model.model_file import load_model
from defnet.report.training_summary import FOLDER, IN_WORDS, JudgedPart, TrainingSummary, write_summary
from defnet.training.views import RunViews
from iqa_datasets import IQADataset, QualityScale
from iqa_datasets.atomic_files import replacing

if TYPE_CHECKING:
    from defnet.config.fields import Task
    from defnet.model.network import DEFNet
    from defnet.training.loop import Training
    from defnet.training.result import TrainResult

DATA_FILE = "data.json"
"""What a run's data were when it began."""

_OTHER_WAY_ROUND = -0.3


@dataclass(frozen=True)
class RatedData:
    """The one data set of a run, split into its parts.

    Attributes:
        dataset: with a session.
        roots: where it lies.
        ratings: the table that it comes from, where it is no data set of its own.
    """

    dataset: IQADataset
    roots: DataRoots
    ratings: Ratings | None = None

    @property
    def parts(self) -> dict[str, IQADataset]:
        """The parts that have images, by name."""
        there = set(self.dataset.records["session_part"].dropna())
        return {part: self.dataset.part(part) for part in ("train", "val", "test") if part in there}

    @property
    def scale(self) -> QualityScale:
        """The ratings' own scale."""
        assert self.dataset.card.scale is not None  # noqa: S101 - `rated_data` asked for ratings
        return self.dataset.card.scale

    def labelled_tasks(self) -> "tuple[Task, ...]":
        """The tasks that a training image has a label for."""
        train = self.dataset.part("train").records
        known: dict[Task, bool] = {
            "quality": True,
            "scene": bool(train["scenes"].map(len).any()),
            "distortion": bool(train["distortion"].notna().any()),
        }
        return tuple(task for task, labelled in known.items() if labelled)

    @property
    def session(self) -> Session:
        """The split into parts."""
        assert self.dataset.session is not None  # noqa: S101 - it was loaded with one
        return self.dataset.session

    def doubts(self) -> list[str]:
        """What looks wrong with the ratings, a sentence each."""
        found = narrow(self.ratings, self.dataset) if self.ratings is not None else None
        return [] if found is None else [found]

    def in_words(self) -> list[str]:
        """What was read and how it is split, a sentence each."""
        records, parts = self.dataset.records, self.parts
        low, high = records["mos"].min(), records["mos"].max()
        first = f"{len(records)} rated photographs, ratings from {low:g} to {high:g} on the scale {self.scale}"
        said = [first]
        if self.ratings is not None:
            columns = ", ".join(f"{key} = {title}" for key, title in self.ratings.columns.items())
            said = [f"{self.ratings.table}: {first}; columns: {columns}"]
            if strays := self.ratings.without_rating(self.dataset):
                named = ", ".join(strays[:3]) + (f" and {len(strays) - 3} more" if len(strays) > 3 else "")
                said.append(f"{len(strays)} photographs in {self.ratings.images} have no rating, and no part: {named}")
        counts = ", ".join(
            f"{len(part)} {'to train on' if name == 'train' else IN_WORDS[name]}" for name, part in parts.items()
        )
        said.append(f"session {self.dataset.session}, disjoint by content: {counts}")
        return said


def check_option(session: str) -> Session:
    """The session that an option names.

    Raises:
        DataError: it is none.
    """
    try:
        return check_session(session)
    except ValueError as error:
        raise DataError(f"--session: {error}") from error


def rated_ratings(ratings: Ratings, session: str | None) -> RatedData:
    """Read a table of ratings with a session: the one named, else the table's own column of parts, else ours.

    Raises:
        DataError: a row is wrong, or no run can be made of them; see `rated_data`.
    """
    chosen = check_option(session or ("official" if ratings.has_parts else OWN_SPLIT))
    return rated_data(ratings.load(chosen), DataRoots(ratings=[ratings]), ratings, ratings.table)


def rated_data(dataset: IQADataset, roots: DataRoots, ratings: Ratings | None, source: str | Path) -> RatedData:
    """Check that a run can be made of a data set.

    Raises:
        DataError: an image has no rating, there are too few, or they are all the same.
    """
    if dataset.card.scale is None or dataset.records["mos"].isna().any():
        raise DataError(f"{source}: has photographs without a rating")
    check_enough(dataset, source)
    return RatedData(dataset, roots, ratings)


def hold_to_data(folder: Path, data: RatedData) -> None:
    """Write what a run's data are into its folder, or refuse others than those that it began with.

    Raises:
        DataError: they are others.
    """
    path = folder / DATA_FILE
    content: dict[str, Any] = {
        "name": data.dataset.name,
        "session": data.dataset.session,
        "images": {name: len(part) for name, part in data.parts.items()},
        "scale": {
            "low": data.scale.low,
            "high": data.scale.high,
            "better": "higher" if data.scale.higher_is_better else "lower",
        },
        "sha256": content_digest(data.dataset),
    }
    if data.ratings is not None:
        content["columns"] = dict(data.ratings.columns)
    if path.is_file():
        import json

        found = json.loads(path.read_text(encoding="utf-8"))
        if found.get("sha256") != content["sha256"] or found.get("scale") != content["scale"]:
            raise DataError(
                f"{folder}: its run began with other ratings, or another scale or session of them "
                f"({_counts(found)}; now {_counts(content)}); give another folder"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(to_json(content) + "\n", encoding="utf-8")


def _counts(content: dict[str, Any]) -> str:
    images, scale = content.get("images", {}), content.get("scale", {})
    return (
        f"{sum(images.values())} photographs on {scale.get('low'):g} to {scale.get('high'):g}, {scale.get('better')} = "
        f"better, session {content.get('session')}"
    )


def run_and_summarize(
    training: "Training", data: RatedData, *, start: str, done: str, say: Callable[[str], None]
) -> "tuple[TrainResult, Path | None]":
    """Train, judge what was not learnt from, and write the summary.

    Args:
        training: the run, before it has begun.
        data: its one data set.
        start: what it starts from, in words.
        done: what was done, a sentence.
        say: hears what whoever started the run should know.

    Returns:
        The result and the summary's page; of several processes, only the main one writes it.
    """
    if training.processes.count > 1:
        raise ConfigError("ratings of one's own are trained on in one process; start it without torchrun or accelerate")
    main = training.processes.main
    if main:
        hold_to_data(training.folder, data)
    judge = _Judge(training, data)
    before = judge.before("val") if main else None
    if before is not None:
        order = evaluation_figures(before, judge.table("val"))["srcc"]
        if order < _OTHER_WAY_ROUND:
            better = "lower" if data.scale.higher_is_better else "higher"
            say(
                f"warning: {start} puts these photographs in the other order (SRCC {order:.2f} on validation); are "
                f"{better} ratings better? Then say --{better}-is-better"
            )
    result = training.run()
    assert result is not None  # noqa: S101 - only a limited number of steps ends without a result
    if not main:
        return result, None
    model, info = load_model(result.model, training.device)
    parts: dict[str, JudgedPart] = {
        name: JudgedPart(judge.table(name), judge.names(name), judge.answers(model, name), judge.before(name))
        for name in ("val", "test")
        if name in data.parts
    }
    counts = {name: len(part) for name, part in data.parts.items()}
    config = training.config
    told = [
        done,
        *(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in data.in_words()),
        f"{counts['train']} photographs were learnt from, in {config.epochs} epochs of {config.steps_per_epoch} steps. "
        f"{counts['val']} others (validation) chose epoch {result.epoch} and set the size of the stated uncertainties."
        + (f" {counts['test']} more were held out, and looked at only now." if "test" in counts else ""),
    ]
    std = data.dataset.records["mos_std"].mean()
    summary = TrainingSummary(
        title=f"{data.dataset.name}: what the training came to",
        done=told,
        parts=parts,
        info=info,
        start=start,
        scale=data.scale,
        rating_std=float(std) if std == std else None,
    )
    return result, write_summary(training.folder / FOLDER, summary)


class _Judge:
    """Answers of models for a part's photographs, from pools of views that the run shares."""

    def __init__(self, training: "Training", data: RatedData) -> None:
        self._training, self._data = training, data
        self._before: dict[str, Predictions | None] = {}
        self._start: DEFNet | None = None

    def table(self, part: str) -> ImageTable:
        return ImageTable.from_datasets([self._data.parts[part]])

    def names(self, part: str) -> list[str]:
        dataset = self._data.parts[part]
        return [official_path(dataset, path) for path in dataset.records["image_path"]]

    def answers(self, model: "DEFNet", part: str) -> Predictions:
        training = self._training
        pool = RunViews(training.config, model, training.cache, training.reporter).scoring_pool(self.table(part))
        return predict_pool(model, pool)

    def before(self, part: str) -> Predictions | None:
        """Those of the model that training starts from; None where it starts anew."""
        if self._training.config.start is None:
            return None
        if part not in self._before:
            if self._start is None:
                self._start, _ = load_model(self._training.config.start.model, self._training.device)
            self._before[part] = self.answers(self._start, part)
        return self._before[part]
