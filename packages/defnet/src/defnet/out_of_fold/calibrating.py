"""Telling a trained model its limits: fold models, what they make of what they have not seen, and the fit to that."""

from os import PathLike, fspath
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from defnet.config.training import TrainConfig
from defnet.data.mixture import load_mixture
from defnet.data.roots import DataRoots
from defnet.data.table import ImageTable
from defnet.devices import choose_device
from defnet.errors import CheckpointError, ConfigError, DataError
from defnet.model.model_file import add_reliability, load_model
from defnet.model.model_info import ReliabilityInfo
from defnet.model.names import MODEL_FILE
from defnet.model.network import DEFNet
from defnet.model.start import resolve_start
from defnet.out_of_fold.fitting import Fitted, OutOfFold, fit
from defnet.out_of_fold.folds import LeftOut, Roles, content_folds, family_folds, without
from defnet.out_of_fold.looks import MixtureLooks
from defnet.reliability.familiarity import Familiarity, dimensions_of
from defnet.reliability.reliability import Reliability, own_deviation
from defnet.training.folder import claim
from defnet.training.loop import Training
from defnet.training.reporter import Reporter, Silent
from defnet.training.state import STATE_FILE
from iqa_datasets import DatasetError, IQADataset
from iqa_datasets.atomic_files import locked, replacing

PREDICTIONS_FILE = "out-of-fold.safetensors"
"""In a fold's folder: what its model makes of what was left out."""

_PREDICTED: Final = ("row", "score", "deviation", "spread", "distance")


def calibrate_model(
    model: str | PathLike[str],
    roots: DataRoots | str | PathLike[str],
    out: str | PathLike[str],
    folder: str | PathLike[str],
    *,
    folds: int = 5,
    families: int | None = None,
    seed: int = 0,
    start: str | PathLike[str] | None = None,
    cache: str | PathLike[str] | None = None,
    device: str | None = None,
    workers: int = 0,
    reporter: Reporter | None = None,
) -> ReliabilityInfo:
    """Give a trained model familiarity, and intervals that know it, by images that were left out of training.

    The model's configuration, which its file holds, is trained anew without each fold of contents and without each
    family of distortions, each an ordinary run in a folder of its own, and predicts what was left out. See
    `defnet.reliability.reliability.Reliability` for what follows, and what it promises. Validation images have no part
    in it beyond what training does with them.

    Args:
        model: a shipped model's name, a model file, or the folder of a training run.
        roots: where the data that it was trained on lies; a path is the folder of all data sets.
        out: the model file to write.
        folder: the folds' runs. What is there is kept, and what was stopped goes on.
        folds: number of folds of contents, at least 2.
        families: number of groups that the families of distortions are dealt into; None for each by itself, 0 for none.
        seed: seed of how contents are dealt.
        start: where the model lies that its training started from, if that was a file: a configuration keeps its name
            and its SHA-256.
        cache: folder for pools of views, shared with other runs; by default `pools` in the folder.
        device: where to compute; by default CUDA where there is one, else the CPU.
        workers: loader processes; they do not change what is drawn.
        reporter: hears how it goes on.

    Raises:
        CheckpointError: there is no such model.
        ConfigError: its score has no uncertainty, the model that it started from is not found or is another, or the
            folder holds runs of another configuration.
        DataError: a data set or an image cannot be used, or there are too few rated images or contents.
    """
    if folds < 2:
        raise ConfigError(f"folds must be at least 2, got {folds}")
    if families is not None and families < 0:
        raise ConfigError(f"families must be at least 0, got {families}")
    roots = roots if isinstance(roots, DataRoots) else DataRoots(roots)
    folder, reporter = Path(folder), reporter or Silent()
    cache = folder / "pools" if cache is None else Path(cache)
    network, info = load_model(model, choose_device(device))
    if not info.config.model.evidence or info.config.score_from == "expected":
        raise ConfigError(f"{model}: its score is the expected quality of Eq. 5, which has no uncertainty to calibrate")
    config = _started(info.config, fspath(model), start)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "calibration"):
        try:
            runs = _FoldRuns(config, network, roots, folder, cache, device, workers, reporter)
            left = content_folds(runs.table, runs.roles, folds, seed)
            if families != 0:
                left += family_folds(runs.table, runs.roles, families)
            fitted = runs.fit(left)
            reliability = runs.of_all(fitted)
        except DatasetError as error:  # an image among them
            raise DataError(str(error)) from error
        said = ReliabilityInfo(
            deviation=dict(vars(fitted.deviation)),
            folds=folds,
            families=[list(one.families) for one in left if one.families],
            images=fitted.images,
            figures=fitted.figures,
        )
        add_reliability(model, out, reliability, said)
    return said


def _started(config: TrainConfig, model: str, start: str | PathLike[str] | None) -> TrainConfig:
    """The configuration with what it starts from where that is found."""
    if config.start is None:
        if start is not None:
            raise ConfigError(f"{model} started anew, and not from {fspath(start)}")
        return config
    name = config.start.model
    if start is not None:
        config = config.model_copy(update={"start": config.start.model_copy(update={"model": fspath(start)})})
    try:
        return resolve_start(config)
    except CheckpointError as error:
        if start is not None:
            raise
        raise ConfigError(
            f"{model}: its training started from {name}, which is not found here; say where it lies (--start)"
        ) from error


class _FoldRuns:
    """The runs of all folds in one folder.

    Args:
        config: the configuration of the model of all images.
        model: that model.
        roots: where data lies.
        folder: where the runs go.
        cache: folder for pools of views.
        device: where to compute.
        workers: loader processes.
        reporter: hears how it goes on.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: DEFNet,
        roots: DataRoots,
        folder: Path,
        cache: Path,
        device: str | None,
        workers: int,
        reporter: Reporter,
    ) -> None:
        self.config, self.roots, self.folder, self.cache = config, roots, folder, cache
        self.device, self.workers, self.reporter = device, workers, reporter
        self.table: ImageTable = load_mixture(config, roots)[0]
        self.datasets: list[IQADataset] = [roots.load_source(source) for source in config.data]
        self.roles = Roles.of(config, self.table)
        self._model, self._dimensions = model, 0
        self._looks = MixtureLooks(config, model, self.table, self.roles, cache, reporter)
        self._described: torch.Tensor | None = None

    def _describe_rated(self, model: DEFNet) -> torch.Tensor:
        """Descriptions of the rated images; under a frozen trunk every fold's model has the same."""
        if self._described is None or not self._looks.same_features:
            self.reporter.begin("describing rated images", len(self.roles.rated))
            self._described = self._looks.describe(model, self.roles.rated, advance=self.reporter.advance)
        return self._described

    def fit(self, left: list[LeftOut]) -> Fitted:
        """Train every fold's model, predict what it has not seen, and fit."""
        smallest = min(int((~np.isin(self.roles.rated, one.rows)).sum()) for one in left)
        self._dimensions = dimensions_of(smallest, self._describe_rated(self._model).shape[1])
        found = []
        for number, one in enumerate(left, start=1):
            self.reporter.note(f"{one.name} ({number} of {len(left)}): {len(one.rows)} training images left out")
            found.append(self._out_of_fold(one))
        noise = self.table.quality_std
        assert noise is not None  # noqa: S101 - a table of training images has it
        rated = np.isin(np.arange(len(self.table)), self.roles.rated)
        return fit(
            OutOfFold.join(found),
            self.table.quality.double().numpy(),
            noise.double().numpy(),
            self.table.dataset.numpy(),
            rated,
        )

    def _out_of_fold(self, left: LeftOut) -> OutOfFold:
        folder = self.folder / left.name
        training = Training(
            without(self.config, self.table, self.datasets, left),
            self.roots,
            folder,
            cache=self.cache,
            device=self.device,
            workers=self.workers,
            reporter=self.reporter,
        )
        rows = left.rows[np.isin(left.rows, np.concatenate([self.roles.rated, self.roles.pseudo]))]
        # A run that is whole is only checked to be of this configuration.
        if not (folder / MODEL_FILE).exists():
            training.run()
        else:
            claim(folder, training.config)
        (folder / STATE_FILE).unlink(missing_ok=True)
        found = _read(folder / PREDICTIONS_FILE, rows, self._dimensions)
        if found is None:
            model, _ = load_model(folder / MODEL_FILE, training.device)
            kept = torch.from_numpy(~np.isin(self.roles.rated, left.rows))
            familiarity = Familiarity.fit(self._describe_rated(model)[kept], self._dimensions)
            self.reporter.begin("predicting what was left out", len(rows))
            looked = self._looks.look(model, rows, advance=self.reporter.advance)
            found = {
                "row": torch.from_numpy(rows),
                "score": looked.evidence.loc,
                "deviation": own_deviation(looked.evidence),
                "spread": looked.spread,
                "distance": familiarity.distance(looked.described),
            }
            with replacing(folder / PREDICTIONS_FILE) as part:
                save_file(
                    {name: tensor.contiguous() for name, tensor in found.items()},
                    part,
                    {"dimensions": str(self._dimensions)},
                )
        return OutOfFold(
            row=rows,
            score=found["score"].numpy(),
            deviation=found["deviation"].numpy(),
            spread=found["spread"].numpy(),
            distance=found["distance"].numpy(),
            by_family=np.full(len(rows), left.kind == "families"),
        )

    def of_all(self, fitted: Fitted) -> Reliability:
        """What follows for the model of all images."""
        familiarity = Familiarity.fit(self._describe_rated(self._model), self._dimensions)
        return Reliability(
            familiarity.with_distances(torch.from_numpy(fitted.distances)),
            fitted.deviation,
            torch.from_numpy(fitted.scores),
        )


def _read(path: Path, rows: NDArray[np.int64], dimensions: int) -> dict[str, torch.Tensor] | None:
    """What an earlier start has predicted of these images, with distances in so many dimensions, or None."""
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_tensor(name) for name in _PREDICTED if name in file.keys()}  # noqa: SIM118 - no mapping
            same = file.metadata() == {"dimensions": str(dimensions)}
    except (OSError, SafetensorError):
        return None
    return found if same and len(found) == len(_PREDICTED) and np.array_equal(found["row"].numpy(), rows) else None
