"""The training loop: steps, the end of each epoch, and the model that is kept."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from clip_iqa_backbone import FrozenTextFeatures
from defnet.config.training import TrainConfig
from defnet.data.roots import DataRoots, training_part
from defnet.data.seeding import step_seed
from defnet.data.table import ImageTable
from defnet.data.targets import Targets
from defnet.data.view_pool import ViewPool
from defnet.devices import choose_device
from defnet.errors import ConfigError, DataError
from defnet.evaluation.calibration import fit_variance_scale
from defnet.evaluation.correlations import correlations
from defnet.evaluation.figures import evaluation_figures
from defnet.evaluation.predictions import predict_pool
from defnet.files import replace_when_done
from defnet.losses.overall import overall_loss
from defnet.losses.weighting import DynamicWeightAverage
from defnet.model.half_precision import round_to_half
from defnet.model.initial_model import build_model
from defnet.model.model_file import ModelInfo, save_model
from defnet.model.names import MODEL_FILE
from defnet.training.log import LOG_FILE, Log
from defnet.training.optimizer import freeze, learning_rate_factor, parameter_groups
from defnet.training.reporter import Reporter, Silent
from defnet.training.selection import selection_figure
from defnet.training.state import STATE_FILE, TrainingState
from defnet.training.views import RunViews

CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Attributes:
        model: the file with the chosen weights.
        epoch: the epoch, counted from 1, that they are of.
        validation: its figures on the validation part.
    """

    model: Path
    epoch: int
    validation: dict[str, float]


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
        roots: DataRoots,
        folder: Path,
        *,
        cache: Path | None = None,
        device: str | None = None,
        workers: int = 0,
        reporter: Reporter | None = None,
    ) -> None:
        self.config, self.roots, self.folder = config, roots, folder
        self.cache = cache or folder / "pools"
        self.workers = workers
        self.reporter: Reporter = reporter or Silent()
        self.device = choose_device(device)

    def run(self, *, stop_after_steps: int | None = None) -> TrainResult | None:
        """Train to the end, from where the folder's state says.

        Args:
            stop_after_steps: stop after that many steps of this call, without having finished; for tests of resuming.

        Returns:
            The result, or None where `stop_after_steps` came first.
        """
        self._claim_folder()
        with torch.random.fork_rng(devices=[]):
            return self._run(stop_after_steps)

    def _claim_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for unfinished in self.folder.glob(".*.part"):  # what a killed run was writing
            unfinished.unlink()
        path = self.folder / CONFIG_FILE
        text = self.config.model_dump_json(indent=2) + "\n"
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise ConfigError(f"{self.folder}: holds a run with another configuration; give another folder")
        else:
            with replace_when_done(path) as part:
                part.write_text(text, encoding="utf-8")

    def _tables(self) -> tuple[ImageTable, ImageTable]:
        """The training images and the validation images."""
        datasets = [self.roots.load(source.name, source.session) for source in self.config.data]
        train_parts = [training_part(d, source.exclude) for d, source in zip(datasets, self.config.data, strict=True)]
        train_table = ImageTable.from_datasets(train_parts)
        validation_table = ImageTable.from_datasets([d.part("val") for d in datasets])
        if len(validation_table) < 2:
            raise DataError(f"validation and calibration need at least two images, got {len(validation_table)}")
        return train_table, validation_table

    def _run(self, stop_after_steps: int | None) -> TrainResult | None:
        config = self.config
        train_table, validation_table = self._tables()
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
            torch.optim.AdamW(parameter_groups(model, config), betas=config.optimizer.betas, eps=config.optimizer.eps),
            DynamicWeightAverage(config.model.tasks, config.objective.weighting_temperature),
        )
        if state_file.exists():
            state.restore(state_file)
        progress = state.progress
        total = config.epochs * config.steps_per_epoch
        stop = total if stop_after_steps is None else min(total, progress.step + stop_after_steps)
        log = Log(self.folder / LOG_FILE, progress.step)
        self.reporter.begin("training", total)
        self.reporter.advance(progress.step)
        model.train()
        with log:
            for step, (local, global_view, targets) in self._loader(batches, progress.step, stop):
                row = self._step(state, step, total, local, global_view, targets)
                log.write({"step": step, "epoch": step // config.steps_per_epoch + 1, **row})
                for name, value in row.items():
                    progress.sums[name] = progress.sums.get(name, 0.0) + value
                progress.step = step + 1
                self.reporter.advance(1)
                epoch, within = divmod(progress.step, config.steps_per_epoch)
                if within == 0:
                    self._end_epoch(state, validation, validation_table, log, epoch)
                if within == 0 or progress.step % config.checkpoint_every == 0:
                    log.sync()
                    state.save(state_file)
        if progress.step < total:
            state.save(state_file)
            return None
        return self._finish(state, validation, validation_table)

    def _loader(self, batches: Any, start: int, stop: int) -> Iterator[tuple[int, tuple[Tensor, Tensor, Targets]]]:
        loader: DataLoader[Any] = DataLoader(
            batches,
            batch_size=None,
            sampler=range(start, stop),
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
        )
        return zip(range(start, stop), loader, strict=True)

    def _step(
        self, state: TrainingState, step: int, total: int, local: Tensor, global_view: Tensor, targets: Targets
    ) -> dict[str, float]:
        model, optimizer, weighting = state.model, state.optimizer, state.weighting
        options = self.config.optimizer
        torch.manual_seed(step_seed(self.config.seed, step))
        factor = learning_rate_factor(step, total, options.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        local, global_view = local.to(self.device, non_blocking=True), global_view.to(self.device, non_blocking=True)
        pixels = local.dtype == torch.uint8
        prediction = model(local, global_view) if pixels else model.predict_from_features(local, global_view)
        weights = weighting.weights
        if self.config.objective.weighting == "equal":
            weights = dict.fromkeys(weights, 1.0)
        loss, terms = overall_loss(prediction, targets.to(self.device), self.config.objective, weights)
        if not torch.isfinite(loss):
            values = {name: term.item() for name, term in terms.items()}
            raise DataError(f"the loss of step {step} is not finite: {values}")
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(
            [p for p in model.parameters() if p.grad is not None], options.max_grad_norm or float("inf")
        )
        optimizer.step()
        model.backbone.clamp_logit_scale()
        row = {name: term.item() for name, term in terms.items()}
        row |= {f"lambda_{task}": weights[task] for task in weighting.tasks}
        return row | {"learning_rate_factor": factor, "gradient_norm": float(norm)}

    def _end_epoch(self, state: TrainingState, validation: ViewPool, table: ImageTable, log: Log, epoch: int) -> None:
        """Set the next weights of the tasks, validate, and keep the weights if they are the best so far."""
        progress = state.progress
        means = {name: value / self.config.steps_per_epoch for name, value in progress.sums.items()}
        progress.sums = {}
        state.weighting.end_epoch({task: means[f"fidelity_{task}"] for task in state.weighting.tasks})
        figures = evaluation_figures(predict_pool(state.model, validation), table)
        figure = selection_figure(figures, self.config.select_by, epoch)
        if figure > progress.best_figure or progress.best_epoch == 0:
            progress.best_figure, progress.best_epoch, progress.best_validation = figure, epoch, figures
            state.best = {name: tensor.detach().cpu().clone() for name, tensor in state.model.state_dict().items()}
        row = {"epoch": epoch, "train": means, "validation": figures, "best_epoch": progress.best_epoch}
        log.write(row)
        self.reporter.epoch(row)
        state.model.train()

    def _finish(self, state: TrainingState, validation: ViewPool, table: ImageTable) -> TrainResult:
        """Calibrate the chosen weights and write the model."""
        model, progress = state.model, state.progress
        model.load_state_dict(state.best)
        model.backbone.text = FrozenTextFeatures.of(model.backbone.text)
        if self.config.weights == "fp16":
            round_to_half(model)
        model.eval()
        predictions = predict_pool(model, validation)
        quality = table.quality.double().numpy()
        scale = fit_variance_scale(predictions.predictive, quality)
        path = self.folder / MODEL_FILE
        model_info = ModelInfo(
            config=self.config,
            variance_scale=scale,
            constant_std=correlations(predictions.predictive.loc, quality)["rmse"],
            epoch=progress.best_epoch,
            validation=progress.best_validation,
            versions={
                n: version(n) for n in ("defnet", "clip-iqa-backbone", "evidential-nig", "iqa-datasets", "torch")
            },
        )
        save_model(path, model, model_info, half=self.config.weights == "fp16")
        return TrainResult(path, progress.best_epoch, progress.best_validation)


def train(config: TrainConfig, roots: DataRoots, folder: str | Path, **options: Any) -> TrainResult:
    """Train a model, or go on with a run that was stopped; see `Training` for the options.

    Example:
        >>> from pathlib import Path
        >>> from defnet import TrainConfig, train, DataRoots
        >>> config = TrainConfig.from_toml("lite.toml")  # doctest: +SKIP
        >>> train(config, DataRoots(Path("data")), "runs/lite").validation["srcc"]  # doctest: +SKIP
        0.84
    """
    result = Training(config, roots, Path(folder), **options).run()
    assert result is not None  # noqa: S101 - only a limited number of steps ends without a result
    return result
