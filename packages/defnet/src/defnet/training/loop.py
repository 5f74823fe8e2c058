"""The training loop: steps, the end of each epoch, and going on after a stop."""

import time
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from defnet.config.training import TrainConfig
from defnet.data.batches import Batches
from defnet.data.mixture import load_mixture, missing_labels
from defnet.data.roots import DataRoots
from defnet.data.seeding import step_seed
from defnet.data.table import ImageTable, images_by_part
from defnet.data.targets import Targets
from defnet.data.view_pool import ViewPool
from defnet.errors import DataError
from defnet.evaluation.figures import Figures, figures_by_dataset, mean_figures
from defnet.losses.weighting import DynamicWeightAverage
from defnet.model.half_precision import round_to_half
from defnet.model.initial_model import build_model
from defnet.model.names import MODEL_FILE
from defnet.model.start import resolve_start
from defnet.training.folder import claim, read_config
from defnet.training.log import Log
from defnet.training.optimizer import freeze, make_optimizer
from defnet.training.precision import resolve_precision
from defnet.training.processes import Processes
from defnet.training.reporter import Reporter, Silent
from defnet.training.result import TrainResult, write_result
from defnet.training.selection import selection_figure
from defnet.training.spread import average_statistics, check_spread, check_statistics, learnt_statistics
from defnet.training.state import STATE_FILE, TrainingState
from defnet.training.step import train_step
from defnet.training.validation import predict_together
from defnet.training.views import RunViews
from iqa_datasets import DatasetError

_Batch = tuple[Tensor, Tensor, Targets]


class Training:
    """One training run in one folder, which it can go on with after being stopped at any moment.

    Of several processes (see `defnet.training.processes`) each makes a `Training` with the same arguments. Their
    machines must share the run's folder; a cache or data may be each machine's own.

    Args:
        config: the whole configuration.
        roots: where the data lies.
        folder: where everything goes: `config.json`, `log.jsonl`, `steps.csv`, `epochs.csv`, `state.safetensors`,
            `model.safetensors`, and the pool of pre-cut views unless `cache` says otherwise.
        cache: folder for pools of views; a pool there is used again by other runs.
        device: where to compute; by default CUDA where there is one, else the CPU.
        workers: loader processes; they do not change what is drawn.
        reporter: hears how the run goes on; of several processes, that of the main one.
        tensorboard: write events for TensorBoard into the folder, too.

    Raises:
        ConfigError: the folder holds a run of another configuration, or the images of a step cannot be spread over the
            processes.
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
        tensorboard: bool = False,
    ) -> None:
        self.roots = roots if isinstance(roots, DataRoots) else DataRoots(roots)
        self.folder = Path(folder)
        self.cache = self.folder / "pools" if cache is None else Path(cache)
        self.workers = workers
        self.tensorboard = tensorboard
        self.processes = Processes.started(device)
        self.device = self.processes.device
        self.reporter: Reporter = reporter if reporter is not None and self.processes.main else Silent()
        check_spread(config, self.processes)
        with self.processes.agreed():
            found = read_config(self.folder) if self.processes.main else None
        found = self.processes.from_main(found)
        with self.processes.agreed():
            self.config = resolve_start(resolve_precision(config, self.device, found))

    def run(self, *, stop_after_steps: int | None = None) -> TrainResult | None:
        """Train to the end, from where the folder's state says.

        Args:
            stop_after_steps: stop after that many steps of this call, without having finished; for tests of resuming.

        Returns:
            The result, or None where `stop_after_steps` came first.
        """
        with self.processes.agreed():
            if self.processes.main:
                claim(self.folder, self.config)
        with torch.random.fork_rng(devices=[]):
            try:
                return self._run(stop_after_steps)
            except DatasetError as error:  # an image among them
                plain = DataError(str(error))
                for note in getattr(error, "__notes__", ()):
                    plain.add_note(note)
                raise plain from error

    def _run(self, stop_after_steps: int | None) -> TrainResult | None:
        config, processes = self.config, self.processes
        with processes.agreed():
            train_table, validation_table = load_mixture(config, self.roots)
        for note in missing_labels(train_table, config):
            self.reporter.note(note)
        torch.manual_seed(step_seed(config.seed, -1 % 2**32))
        with processes.agreed():
            model = build_model(config, self.device)
            freeze(model, config)
            check_statistics(model, config, processes, self.reporter)
            if config.weights == "fp16" and config.backbone.freeze_trunk:
                round_to_half(model.backbone.image)
        processes.align(model)
        state_file = self.folder / STATE_FILE
        resumed = processes.from_main(state_file.exists())
        views = RunViews(config, model, self.cache, self.reporter, processes)
        validation = views.scoring_pool(validation_table) if len(validation_table) else None
        batches = views.training_batches(train_table, standardize=not resumed)
        batches.share = processes.rows(batches.size)
        state = TrainingState(
            model,
            make_optimizer(model, config),
            DynamicWeightAverage(config.model.tasks, config.objective.weighting_temperature),
        )
        if resumed:
            with processes.agreed():
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
            processes=processes,
        )

    def _train(
        self,
        state: TrainingState,
        batches: Batches,
        validation: ViewPool | None,
        table: ImageTable,
        stop_after_steps: int | None,
    ) -> bool:
        """Go on to the end, or so many steps; return whether the end was reached."""
        config, progress, processes = self.config, state.progress, self.processes
        total = config.epochs * config.steps_per_epoch
        stop = total if stop_after_steps is None else min(total, progress.step + stop_after_steps)
        layers = learnt_statistics(state.model)
        self._show_training(progress.step)
        state.model.train()
        with self._log(progress.step) as log:
            loader = iter(self._loader(batches, progress.step, stop))
            began = time.perf_counter()
            for step in range(progress.step, stop):
                with processes.agreed():
                    batch = next(loader)
                row = train_step(state, config, step, batch, batches.paths(step), processes)
                average_statistics(layers, processes)
                log.step({"step": step, "epoch": step // config.steps_per_epoch + 1, **row})
                progress.add(row)
                progress.step = step + 1
                self.reporter.advance(1)
                log.speed(batches.size / (time.perf_counter() - began), step)
                epoch, within = divmod(progress.step, config.steps_per_epoch)
                if within == 0:
                    self._end_epoch(state, validation, table, log, epoch)
                if within == 0 or progress.step % config.checkpoint_every == 0:
                    self._save(state, log)
                began = time.perf_counter()
            if progress.step < total:
                self._save(state, log)
        return progress.step == total

    def _log(self, step: int) -> Log:
        with self.processes.agreed():
            return Log(self.folder if self.processes.main else None, step, tensorboard=self.tensorboard)

    def _save(self, state: TrainingState, log: Log) -> None:
        with self.processes.agreed():
            if self.processes.main:
                log.sync()
                state.save(self.folder / STATE_FILE, self.config.checkpoints_kept)

    def _show_training(self, done: int) -> None:
        self.reporter.begin("training", self.config.epochs * self.config.steps_per_epoch)
        self.reporter.advance(done)

    def _loader(self, batches: Batches, start: int, stop: int) -> "DataLoader[_Batch]":
        return DataLoader(
            batches,
            batch_size=None,
            sampler=range(start, stop),
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )

    def _end_epoch(
        self, state: TrainingState, validation: ViewPool | None, table: ImageTable, log: Log, epoch: int
    ) -> None:
        """Set the next weights of the tasks, validate, and keep the weights if they are the best so far."""
        progress, processes = state.progress, self.processes
        # The main process's, so that the weights are the same where machines are not: the last bit may differ then.
        means = processes.from_main(progress.take_means())
        # A task that no image had a label for counts as one whose loss has reached zero.
        state.weighting.end_epoch({task: means.get(f"fidelity_{task}", 0.0) for task in state.weighting.tasks})
        self.reporter.begin(f"validating epoch {epoch}", len(range(len(table))[processes.rows(len(table))]))
        by_dataset: dict[str, Figures] = {}
        if validation is not None:
            predictions = predict_together(state.model, validation, processes, advance=self.reporter.advance)
            with processes.agreed():
                by_dataset = figures_by_dataset(predictions, table)
            by_dataset = processes.from_main(by_dataset)
        figures = mean_figures(by_dataset) if by_dataset else {}
        figure = selection_figure(figures, self.config.select_by, epoch)
        if figure > progress.best_figure or progress.best_epoch == 0:
            progress.best_figure, progress.best_epoch = figure, epoch
            progress.best_validation, progress.best_by_dataset = figures, by_dataset
            if processes.main:
                state.best = {name: tensor.detach().cpu().clone() for name, tensor in state.model.state_dict().items()}
        row = {
            "epoch": epoch,
            "train": means,
            "validation": figures,
            "by_dataset": by_dataset,
            "best_epoch": progress.best_epoch,
        }
        log.epoch(row, progress.step)
        self.reporter.epoch(row)
        self._show_training(progress.step)
        state.model.train()


def train(
    config: TrainConfig,
    roots: DataRoots | str | PathLike[str],
    folder: str | PathLike[str],
    *,
    cache: str | PathLike[str] | None = None,
    device: str | None = None,
    workers: int = 0,
    reporter: Reporter | None = None,
    tensorboard: bool = False,
) -> TrainResult:
    """Train a model, or go on with a run that was stopped at any moment.

    Args:
        config: the whole configuration.
        roots: where the data lies; a path is the folder of all data sets.
        folder: where everything goes: `config.json`, `log.jsonl`, `steps.csv`, `epochs.csv`, `state.safetensors`,
            `model.safetensors`, and the pool of pre-cut views unless `cache` says otherwise.
        cache: folder for pools of views; a pool there is used again by other runs.
        device: where to compute; by default CUDA where there is one, else the CPU.
        workers: loader processes; they do not change what is drawn.
        reporter: hears how the run goes on.
        tensorboard: write events for TensorBoard into the folder, too; needs the extra `tensorboard`.

    Several processes train together where `torchrun` or `accelerate launch` started them; each calls this.

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
    training = Training(
        config,
        roots,
        folder,
        cache=cache,
        device=device,
        workers=workers,
        reporter=reporter,
        tensorboard=tensorboard,
    )
    result = training.run()
    assert result is not None  # noqa: S101 - only a limited number of steps ends without a result
    return result
