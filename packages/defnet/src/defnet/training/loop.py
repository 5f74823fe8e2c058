"""The training loop: steps, the end of each epoch, and going on after a stop."""

from collections.abc import Iterator
from os import PathLike
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from defnet.config.training import TrainConfig
from defnet.data.batches import Batches
from defnet.data.mixture import load_mixture
from defnet.data.roots import DataRoots
from defnet.data.seeding import step_seed
from defnet.data.table import ImageTable, images_by_part
from defnet.data.targets import Targets
from defnet.data.view_pool import ViewPool
from defnet.devices import choose_device
from defnet.errors import DataError
from defnet.evaluation.figures import figures_by_dataset, mean_figures
from defnet.evaluation.predictions import predict_pool
from defnet.losses.weighting import DynamicWeightAverage
from defnet.model.half_precision import round_to_half
from defnet.model.initial_model import build_model
from defnet.model.names import MODEL_FILE
from defnet.model.start import resolve_start
from defnet.training.folder import claim, read_config
from defnet.training.log import LOG_FILE, Log
from defnet.training.optimizer import freeze, make_optimizer
from defnet.training.precision import resolve_precision
from defnet.training.reporter import Reporter, Silent
from defnet.training.result import TrainResult, write_result
from defnet.training.selection import selection_figure
from defnet.training.state import STATE_FILE, TrainingState
from defnet.training.step import train_step
from defnet.training.views import RunViews
from iqa_datasets import DatasetError

_Batch = tuple[Tensor, Tensor, Targets]


class Training:
    """One training run in one folder, which it can go on with after being stopped at any moment.

    Args:
        config: the whole configuration.
        roots: where the data lies.
        folder: where everything goes: `config.json`, `log.jsonl`, `state.safetensors`, `model.safetensors`, and the
            pool of pre-cut views unless `cache` says otherwise.
        cache: folder for pools of views; a pool there is used again by other runs.
        device: where to compute; by default CUDA where there is one, else the CPU.
        workers: loader processes; they do not change what is drawn.
        reporter: hears how the run goes on.

    Raises:
        ConfigError: the folder holds a run of another configuration.
        CheckpointError: its state cannot be read.
    """

    def __init__(
        self,
        config: TrainConfig,
        roots: DataRoots | str | PathLike[str],
        folder: str | PathLike[str],
        *,
        cache: str | PathLike[str] | None = None,
        device: str | None = None,
        workers: int = 0,
        reporter: Reporter | None = None,
    ) -> None:
        self.roots = roots if isinstance(roots, DataRoots) else DataRoots(roots)
        self.folder = Path(folder)
        self.cache = self.folder / "pools" if cache is None else Path(cache)
        self.workers = workers
        self.reporter: Reporter = reporter or Silent()
        self.device = choose_device(device)
        self.config = resolve_start(resolve_precision(config, self.device, read_config(self.folder)))

    def run(self, *, stop_after_steps: int | None = None) -> TrainResult | None:
        """Train to the end, from where the folder's state says.

        Args:
            stop_after_steps: stop after that many steps of this call, without having finished; for tests of resuming.

        Returns:
            The result, or None where `stop_after_steps` came first.
        """
        claim(self.folder, self.config)
        with torch.random.fork_rng(devices=[]):
            try:
                return self._run(stop_after_steps)
            except DatasetError as error:  # an image among them
                raise DataError(str(error)) from error

    def _run(self, stop_after_steps: int | None) -> TrainResult | None:
        config = self.config
        train_table, validation_table = load_mixture(config, self.roots)
        for note in _missing_labels(train_table, config):
            self.reporter.note(note)
        torch.manual_seed(step_seed(config.seed, -1 % 2**32))
        model = build_model(config, self.device)
        freeze(model, config)
        if config.weights == "fp16" and config.backbone.freeze_trunk:
            round_to_half(model.backbone.image)
        state_file = self.folder / STATE_FILE
        views = RunViews(config, model, self.cache, self.reporter)
        validation = views.scoring_pool(validation_table)
        batches = views.training_batches(train_table, standardize=not state_file.exists())
        state = TrainingState(
            model,
            make_optimizer(model, config),
            DynamicWeightAverage(config.model.tasks, config.objective.weighting_temperature),
        )
        if state_file.exists():
            state.restore(state_file)
            state.progress.count_sums(config.steps_per_epoch)
        finished = self._train(state, batches, validation, validation_table, stop_after_steps)
        if not finished:
            return None
        self.reporter.begin("calibrating", len(validation_table))
        return write_result(
            self.folder / MODEL_FILE,
            state,
            config,
            validation,
            validation_table,
            images=images_by_part(train=train_table, val=validation_table),
            advance=self.reporter.advance,
        )

    def _train(
        self,
        state: TrainingState,
        batches: Batches,
        validation: ViewPool,
        table: ImageTable,
        stop_after_steps: int | None,
    ) -> bool:
        """Go on to the end, or so many steps; return whether the end was reached."""
        config, progress, state_file = self.config, state.progress, self.folder / STATE_FILE
        total = config.epochs * config.steps_per_epoch
        stop = total if stop_after_steps is None else min(total, progress.step + stop_after_steps)
        self._show_training(progress.step)
        state.model.train()
        with Log(self.folder / LOG_FILE, progress.step) as log:
            for step, batch in self._loader(batches, progress.step, stop):
                row = train_step(state, config, step, batch, batches.paths(step))
                log.write({"step": step, "epoch": step // config.steps_per_epoch + 1, **row})
                progress.add(row)
                progress.step = step + 1
                self.reporter.advance(1)
                epoch, within = divmod(progress.step, config.steps_per_epoch)
                if within == 0:
                    self._end_epoch(state, validation, table, log, epoch)
                if within == 0 or progress.step % config.checkpoint_every == 0:
                    log.sync()
                    state.save(state_file)
        if progress.step < total:
            state.save(state_file)
        return progress.step == total

    def _show_training(self, done: int) -> None:
        self.reporter.begin("training", self.config.epochs * self.config.steps_per_epoch)
        self.reporter.advance(done)

    def _loader(self, batches: Batches, start: int, stop: int) -> Iterator[tuple[int, _Batch]]:
        loader: DataLoader[_Batch] = DataLoader(
            batches,
            batch_size=None,
            sampler=range(start, stop),
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )
        return zip(range(start, stop), loader, strict=True)

    def _end_epoch(self, state: TrainingState, validation: ViewPool, table: ImageTable, log: Log, epoch: int) -> None:
        """Set the next weights of the tasks, validate, and keep the weights if they are the best so far."""
        progress = state.progress
        means = progress.take_means()
        # A task that no image had a label for counts as one whose loss has reached zero.
        state.weighting.end_epoch({task: means.get(f"fidelity_{task}", 0.0) for task in state.weighting.tasks})
        self.reporter.begin(f"validating epoch {epoch}", len(table))
        by_dataset = figures_by_dataset(predict_pool(state.model, validation, advance=self.reporter.advance), table)
        figures = mean_figures(by_dataset)
        figure = selection_figure(figures, self.config.select_by, epoch)
        if figure > progress.best_figure or progress.best_epoch == 0:
            progress.best_figure, progress.best_epoch = figure, epoch
            progress.best_validation, progress.best_by_dataset = figures, by_dataset
            state.best = {name: tensor.detach().cpu().clone() for name, tensor in state.model.state_dict().items()}
        row = {
            "epoch": epoch,
            "train": means,
            "validation": figures,
            "by_dataset": by_dataset,
            "best_epoch": progress.best_epoch,
        }
        log.write(row)
        self.reporter.epoch(row)
        self._show_training(progress.step)
        state.model.train()


def _missing_labels(table: ImageTable, config: TrainConfig) -> Iterator[str]:
    """Say which tasks have no label to learn from."""
    targets = table.targets(np.arange(len(table)))
    for task in config.model.tasks:
        if not targets.labelled(task) and config.start is not None:
            yield (
                f"no training image has a {task} label, so what the model says of the {task} is what "
                f"{config.start.model} says, as far as learning the rest leaves it so"
            )
        elif not targets.labelled(task):
            yield (
                f"no training image has a {task} label, so what the model will say of the {task} is not learnt; "
                f"give LIQE's label files, or leave {task!r} out of model.tasks"
            )


def train(
    config: TrainConfig,
    roots: DataRoots | str | PathLike[str],
    folder: str | PathLike[str],
    *,
    cache: str | PathLike[str] | None = None,
    device: str | None = None,
    workers: int = 0,
    reporter: Reporter | None = None,
) -> TrainResult:
    """Train a model, or go on with a run that was stopped at any moment.

    Args:
        config: the whole configuration.
        roots: where the data lies; a path is the folder of all data sets.
        folder: where everything goes: `config.json`, `log.jsonl`, `state.safetensors`, `model.safetensors`, and the
            pool of pre-cut views unless `cache` says otherwise.
        cache: folder for pools of views; a pool there is used again by other runs.
        device: where to compute; by default CUDA where there is one, else the CPU.
        workers: loader processes; they do not change what is drawn.
        reporter: hears how the run goes on.

    Raises:
        ConfigError: the folder holds a run of another configuration; the message names what differs.
        CheckpointError: its state cannot be read.
        DataError: a data set or an image cannot be used, or a loss or a gradient is not finite.

    Example:
        >>> from defnet import TrainConfig, train
        >>> config = TrainConfig.from_toml("my.toml")  # doctest: +SKIP
        >>> train(config, "data", "runs/mine").validation["srcc"]  # doctest: +SKIP
        0.84
    """
    result = Training(config, roots, folder, cache=cache, device=device, workers=workers, reporter=reporter).run()
    assert result is not None  # noqa: S101 - only a limited number of steps ends without a result
    return result
