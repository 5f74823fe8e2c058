"""The trunk of every experiment: train a configuration on a session, judge it once on the test part, write it down."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from os import PathLike
from pathlib import Path

import pandas as pd

from defnet.config.data import Session, check_session
from defnet.config.training import TrainConfig
from defnet.config.versions import differences, without_paths
from defnet.data.mixture import official_path, shared_content
from defnet.data.roots import DataRoots
from defnet.data.table import ImageTable
from defnet.devices import device_name
from defnet.errors import ConfigError, DataError
from defnet.evaluation.figures import figures_by_dataset
from defnet.evaluation.predictions import outputs_of_files, outputs_of_pool
from defnet.experiments.prediction_table import (
    PREDICTIONS_FILE,
    answer_table,
    predictions_of,
    read_predictions,
    truth_of,
    truth_table,
    write_predictions,
)
from defnet.experiments.result import (
    RESULT_FILE,
    DataSummary,
    FiguresByDataset,
    Result,
    read_result,
    write_result,
)
from defnet.model.evidence import Prediction
from defnet.model.model_file import load_model, read_info
from defnet.model.model_info import package_versions
from defnet.model.names import MODEL_FILE
from defnet.scoring.loading import load_scorer
from defnet.training.loop import Training
from defnet.training.reporter import Reporter, Silent
from defnet.training.state import STATE_FILE
from defnet.training.views import RunViews
from iqa_datasets import DatasetError, IQADataset
from iqa_datasets.atomic_files import locked

ALL = "all"
"""The part that the images of a data set are which was not trained on."""


def of_session(config: TrainConfig, session: Session | None, roots: DataRoots) -> tuple[TrainConfig, list[IQADataset]]:
    """The configuration for another session of its data sets, and these.

    Training images whose content stands in another part too are left out: some of LIQE's sessions have such images.

    Args:
        config: what is trained.
        session: the session of every data set, or None to keep each one's own; folders of one's own always do.
        roots: where data lies.

    Raises:
        DataError: a data set is not there, or has no such session.
    """
    sources, datasets = [], []
    for source in config.data:
        follows = session is not None and source.follows_sessions
        chosen = source.model_copy(update={"session": check_session(session)}) if follows else source
        dataset = roots.load_source(chosen)
        shared = () if source.of is not None else shared_content(dataset)
        exclude = dict.fromkeys((*chosen.exclude, *shared))
        sources.append(chosen.model_copy(update={"exclude": tuple(exclude)}))
        datasets.append(dataset)
    return config.model_copy(update={"data": tuple(sources)}), datasets


def run(
    config: TrainConfig,
    session: Session | None,
    roots: DataRoots | str | PathLike[str],
    folder: str | PathLike[str],
    *,
    name: str = "run",
    zero_shot: Sequence[str] = (),
    cache: str | PathLike[str] | None = None,
    device: str | None = None,
    workers: int = 0,
    keep_model: bool = True,
    reporter: Reporter | None = None,
) -> Result:
    """Train a configuration on a session's training parts and judge it on its test parts.

    A run that is there is not made again; one that was stopped goes on. One that is to be judged on further data sets
    is judged again, and trained again only where its model was not kept. Images of the test parts are first opened when
    the weights are chosen, calibrated and written.

    Args:
        config: what is trained; the sessions of its data sets are replaced.
        session: the session of every data set, or None to keep each one's own.
        roots: where data lies; a path is the folder of all data sets.
        folder: where the run goes: `result.json` and `predictions.parquet` beside what training writes.
        name: what the run is in its experiment.
        zero_shot: data sets that are judged whole, without having been trained on.
        cache: folder for pools of views, shared with other runs.
        device: where to compute; by default CUDA where there is one, else the CPU.
        workers: loader processes; they do not change what is drawn.
        keep_model: keep the model file when the run is done; the state to go on from is always removed then.
        reporter: hears how the run goes on.

    Raises:
        ConfigError: the folder holds a run of another configuration.
        DataError: a data set or an image cannot be used, or the folder holds a run on other data.
    """
    roots = roots if isinstance(roots, DataRoots) else DataRoots(roots)
    folder, reporter = Path(folder), reporter or Silent()
    if find_spec("pyarrow") is None:
        raise DataError("experiments keep their predictions as Parquet; pip install 'defnet[experiments]'")
    started = time.monotonic()
    config, trained_on = of_session(config, session, roots)
    others = {other: roots.load(other) for other in zero_shot}
    data = {
        source.name: summarize(dataset, source.exclude) for source, dataset in zip(config.data, trained_on, strict=True)
    } | {other: summarize(dataset) for other, dataset in others.items()}
    if len(data) != len(config.data) + len(zero_shot):
        raise DataError(f"a data set that is trained on cannot be judged without having been: {', '.join(zero_shot)}")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / RESULT_FILE):
        found = _finished(folder, config, data)
        if found is not None and set(data) <= set(found.data):
            return found
        if found is not None:  # to be judged on further data sets: those that it was judged on stay
            others |= {other: roots.load(other) for other in found.zero_shot if other not in others}
            data |= {other: summarize(dataset) for other, dataset in others.items() if other not in data}
        training = Training(
            config,
            roots,
            folder,
            cache=cache,
            device=device,
            workers=workers,
            reporter=reporter,
        )
        if not (folder / MODEL_FILE).exists():
            training.run()
        info = read_info(folder / MODEL_FILE)
        tables = [
            (dataset.part(part), source.name, part)
            for part in ("val", "test")
            for source, dataset in zip(config.data, trained_on, strict=True)
            if source.is_judged
        ] + [(dataset, other, ALL) for other, dataset in others.items()]
        predicted = _predict(training, [entry for entry in tables if len(entry[0])])
        write_predictions(folder / PREDICTIONS_FILE, predicted)
        figures = {
            part: figures_of(
                predicted[predicted["part"] == part],
                variance_scale=info.variance_scale,
                constant_std=info.constant_std,
            )
            for part in ("val", "test", ALL)
        }
        result = Result(
            name=name,
            config=without_paths(training.config),
            session=session,
            seed=config.seed,
            data=data,
            versions=package_versions(),
            device=device_name(training.device),
            seconds=time.monotonic() - started,
            epoch=info.epoch,
            variance_scale=info.variance_scale,
            constant_std=info.constant_std,
            figures={part: figures[part] for part in ("val", "test")},
            zero_shot=figures[ALL],
        )
        write_result(folder, result)
        (folder / STATE_FILE).unlink(missing_ok=True)
        if not keep_model:
            (folder / MODEL_FILE).unlink()
    return result


def figures_of(table: pd.DataFrame, *, variance_scale: float | None, constant_std: float | None) -> FiguresByDataset:
    """Every figure of the rows of a table of predictions, by data set; see `evaluation_figures`."""
    if table.empty:
        return {}
    return figures_by_dataset(
        predictions_of(table), truth_of(table), variance_scale=variance_scale or 1.0, constant_std=constant_std
    )


def summarize(dataset: IQADataset, exclude: Sequence[str] = ()) -> DataSummary:
    """Which images of a data set are used, and a hash of all that is known of them.

    Args:
        dataset: with a session, or without one, where all its images are judged.
        exclude: paths of training images that are left out.
    """
    rows = []
    for record in dataset:
        path, part = official_path(dataset, record.image_path), record.session_part or ALL
        if part != "train" or path not in exclude:
            rows.append([path, part, record.quality, sorted(record.scenes), record.distortion])
    rows.sort(key=lambda row: str(row[0]))
    parts = [row[1] for row in rows]
    return DataSummary(
        images={part: parts.count(part) for part in ("train", "val", "test", ALL) if part in parts},
        sha256=hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode("utf-8", "surrogateescape")).hexdigest(),
    )


def _finished(folder: Path, config: TrainConfig, data: dict[str, DataSummary]) -> Result | None:
    """The run that the folder holds, where it is finished and is this one."""
    if not (folder / RESULT_FILE).exists():
        return None
    found = read_result(folder)
    here = without_paths(config)
    if here.precision == "auto":
        here = here.model_copy(update={"precision": found.config.precision})
    if found.config != here:
        differing = "; ".join(differences(found.config, here))
        raise ConfigError(f"{folder}: holds a run with another configuration: {differing}; give another folder")
    changed = [dataset for dataset in data if found.data.get(dataset, data[dataset]) != data[dataset]]
    if changed:
        raise DataError(
            f"{folder}: holds a run on other data: {', '.join(changed)} differs; give another folder, or remove this "
            "one"
        )
    read_predictions(folder)  # a result without its predictions is not whole; its error says so
    return found


def _predict(training: Training, tables: Sequence[tuple[IQADataset, str, str]]) -> pd.DataFrame:
    """Answers and truth of the images of several parts, by the model that the run has written."""
    outputs = _model_outputs(training)
    frames = []
    for dataset, name, part in tables:
        table = ImageTable.from_datasets([dataset], [name])
        images = [official_path(dataset, path) for path in table.paths]
        truth = truth_table(table, images, part)
        try:
            answers = answer_table(outputs(table))
        except DatasetError as error:
            raise DataError(str(error)) from error
        frames.append(pd.concat([truth, answers], axis=1))
    return pd.concat(frames, ignore_index=True)


def _model_outputs(training: Training) -> Callable[[ImageTable], Iterator[Prediction]]:
    """What gives the written model's output for images: from pools of features where the run has them, else from files.

    A pool of pixels would be as large as the decoded data sets.
    """
    model_file, reporter = training.folder / MODEL_FILE, training.reporter
    model, _ = load_model(model_file, training.device)
    views = RunViews(training.config, model, training.cache, reporter)

    def of_pool(table: ImageTable) -> Iterator[Prediction]:
        pool = views.scoring_pool(table)
        reporter.begin("predicting", len(table))
        return outputs_of_pool(model, pool, advance=reporter.advance)

    if views.are_features:
        return of_pool
    scorer = load_scorer(model_file, device=str(training.device), runtime="torch")

    def of_files(table: ImageTable) -> Iterator[Prediction]:
        reporter.begin("predicting", len(table))
        return outputs_of_files(scorer, table.paths, advance=reporter.advance)

    return of_files
