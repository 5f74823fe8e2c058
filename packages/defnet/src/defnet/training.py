"""Training a network end to end: batches, steps, validation, resumable state, and the model that is kept."""

import copy
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, Self, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from clip_iqa_backbone import CropPlan, FrozenTextFeatures, LiteImageTower
from defnet.batches import BatchPlan, ImageBatches, ImageTable, PoolBatches
from defnet.calibration import fit_variance_scale
from defnet.checkpoint import MODEL_FILE, ModelInfo, build_model, save_model, to_half
from defnet.config import TrainConfig
from defnet.errors import CheckpointError, ConfigError, DataError
from defnet.evaluation import evaluation_figures, predict_pool
from defnet.files import replace_when_done, to_json
from defnet.metrics import correlations
from defnet.model import DEFNet
from defnet.objective import Targets, overall_loss
from defnet.scorer import choose_device
from defnet.seeding import step_seed
from defnet.view_pool import ViewPool, build_pool, cut_plan_views, cut_pool_views, fingerprint
from defnet.weighting import DynamicWeightAverage
from iqa_datasets import IQADataset, info, load

STATE_FILE = "state.safetensors"
LOG_FILE = "log.jsonl"
CONFIG_FILE = "config.json"

_STATE_KEY = "training"


class Reporter(Protocol):
    """Hears how a run goes on; the command line shows it."""

    def begin(self, what: str, total: int) -> None:
        """A piece of work of `total` units begins."""

    def advance(self, units: int) -> None:
        """Some units are done."""

    def epoch(self, row: Mapping[str, Any]) -> None:
        """An epoch has ended with these figures."""


class _Silent:
    def begin(self, what: str, total: int) -> None: ...
    def advance(self, units: int) -> None: ...
    def epoch(self, row: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True)
class DataRoots:
    """Where the data sets lie on this machine; not part of the configuration, so that it travels.

    Attributes:
        root: folder that holds the data sets' official folders under their conventional names.
        labels: folder of LIQE's label files, or None for `root / "liqe-labels"`.
        folders: folders of single data sets that lie elsewhere, by name.
    """

    root: Path
    labels: Path | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)

    def load(self, name: str, session: int) -> IQADataset:
        """Load a data set with a session's parts."""
        folder = self.folders.get(name) or self.root / info(name).folder
        return load(name, folder, session=session, labels=self.labels or self.root / "liqe-labels")


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


@dataclass
class _Progress:
    """Everything about a run that is not a tensor."""

    step: int = 0
    best_epoch: int = 0
    best_figure: float = -float("inf")
    best_validation: dict[str, float] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    weighting: dict[str, Any] = field(default_factory=dict)


def training_part(dataset: IQADataset, exclude: Sequence[str]) -> IQADataset:
    """The training part without the excluded files.

    Raises:
        DataError: an excluded name is not a file of the data set.
    """
    names = [Path(path).name for path in dataset.records["image_path"]]
    unknown = sorted(set(exclude) - set(names))
    if unknown:
        raise DataError(f"{dataset.name}: exclude names {unknown[0]!r}, which is not an image of this data set")
    keep = [name not in exclude for name in names]
    return dataset.select(keep).part("train")


def learning_rate_factor(step: int, total: int, warmup: int) -> float:
    """Factor on the peak learning rate: linear warm-up, then a cosine from 1 to 0 over the rest of the run."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, total - warmup)
    return float(0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress, dtype=torch.float64))))


def _parameter_groups(model: DEFNet, config: TrainConfig) -> list[dict[str, Any]]:
    """Towers and heads, each with its peak learning rate; weight decay on matrices and kernels only."""
    options = config.optimizer
    heads = {id(p) for p in model.evidence_parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            rate = options.learning_rate
            if id(parameter) in heads and options.head_learning_rate is not None:
                rate = options.head_learning_rate
            decay = options.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def _round_to_half(module: nn.Module) -> None:
    """Give every weight the value that it will have when it is read back from half precision."""
    state = module.state_dict()
    module.load_state_dict({name: value.to(state[name].dtype) for name, value in to_half(state).items()})


def _freeze(model: DEFNet, config: TrainConfig) -> None:
    options = config.backbone
    backbone = model.backbone
    if options.freeze_text:
        backbone.text.requires_grad_(False)
    if options.freeze_trunk and not isinstance(backbone.image, LiteImageTower):
        # An open_clip tower has its whole image encoder in the trunk.
        backbone.image.requires_grad_(False)
    backbone.logit_scale.requires_grad_(options.train_logit_scale)


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
        self.reporter: Reporter = reporter or _Silent()
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

    def _run(self, stop_after_steps: int | None) -> TrainResult | None:
        config = self.config
        datasets = [self.roots.load(source.name, source.session) for source in config.data]
        train_parts = [training_part(d, source.exclude) for d, source in zip(datasets, config.data, strict=True)]
        train_table = ImageTable.from_datasets(train_parts)
        validation_table = ImageTable.from_datasets([d.part("val") for d in datasets])
        if len(validation_table) < 2:
            raise DataError(f"validation and calibration need at least two images, got {len(validation_table)}")

        torch.manual_seed(step_seed(config.seed, -1 % 2**32))
        model = build_model(config, self.device)
        _freeze(model, config)
        if config.weights == "fp16" and config.backbone.freeze_trunk:
            _round_to_half(model.backbone.image)
        validation = self.scoring_pool(model, validation_table)
        batches = self._training_batches(model, train_table)
        optimizer = torch.optim.AdamW(
            _parameter_groups(model, config), betas=config.optimizer.betas, eps=config.optimizer.eps
        )
        weighting = DynamicWeightAverage(config.model.tasks, config.objective.weighting_temperature)
        progress, best = self._restore(model, optimizer, weighting)

        total = config.epochs * config.steps_per_epoch
        stop = total if stop_after_steps is None else min(total, progress.step + stop_after_steps)
        log = _Log(self.folder / LOG_FILE, progress.step)
        self.reporter.begin("training", total)
        self.reporter.advance(progress.step)
        model.train()
        with log:
            for step, (local, global_view, targets) in self._loader(batches, progress.step, stop):
                row = self._step(model, optimizer, weighting, step, total, local, global_view, targets)
                log.write({"step": step, "epoch": step // config.steps_per_epoch + 1, **row})
                for name, value in row.items():
                    progress.sums[name] = progress.sums.get(name, 0.0) + value
                progress.step = step + 1
                self.reporter.advance(1)
                epoch, within = divmod(progress.step, config.steps_per_epoch)
                if within == 0:
                    best = self._end_epoch(model, weighting, progress, best, validation, validation_table, log, epoch)
                if within == 0 or progress.step % config.checkpoint_every == 0:
                    log.sync()
                    self._save_state(model, optimizer, weighting, progress, best)
        if progress.step < total:
            self._save_state(model, optimizer, weighting, progress, best)
            return None
        return self._finish(model, best, progress, validation, validation_table)

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
        self,
        model: DEFNet,
        optimizer: torch.optim.Optimizer,
        weighting: DynamicWeightAverage,
        step: int,
        total: int,
        local: Tensor,
        global_view: Tensor,
        targets: Targets,
    ) -> dict[str, float]:
        options = self.config.optimizer
        torch.manual_seed(step_seed(self.config.seed, step))
        factor = learning_rate_factor(step, total, options.warmup_steps)
        for group in optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        local, global_view = local.to(self.device, non_blocking=True), global_view.to(self.device, non_blocking=True)
        prediction = model.predict_from_features(local, global_view) if self._features else model(local, global_view)
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

    @property
    def _features(self) -> bool:
        """Whether batches hold the frozen trunk's features instead of pixels."""
        return self.config.crops.train_source == "pool" and self.config.backbone.freeze_trunk

    def _encoder(self, model: DEFNet) -> Callable[[Tensor], Tensor]:
        """What turns views into the trunk's features, without gradients."""
        backbone = model.backbone
        if self.config.backbone.freeze_trunk and isinstance(backbone.image, LiteImageTower):
            # Twice as fast on a CPU, and what scoring does; the model itself keeps the weights' usual names.
            backbone = copy.deepcopy(backbone).eval()
            cast("LiteImageTower", backbone.image).fuse_for_inference()

        @torch.inference_mode()
        def encode(views: Tensor) -> Tensor:
            return backbone.image_features(views.to(self.device))

        return encode

    def _pool_key(self, model: DEFNet) -> dict[str, Any]:
        """What a pool of features depends on beside the images."""
        image = model.backbone.image
        trunk = {n: t for n, t in image.state_dict().items() if n.startswith("backbone.")} or image.state_dict()
        return {
            "trunk": fingerprint(trunk),
            "backbone": self.config.backbone.name,
            "stages": self.config.backbone.lite.get("stages"),
            "precision": self.config.precision,
            "size": image.input_size,
            "versions": {name: version(name) for name in ("clip-iqa-backbone", "torch")},
            "machine": platform.machine(),
        }

    def _build_pool(self, name: str, model: DEFNet, table: ImageTable, cut: Any, key: dict[str, Any]) -> ViewPool:
        features = self.config.backbone.freeze_trunk
        key = key | (self._pool_key(model) if features else {"size": model.backbone.image.input_size})
        self.reporter.begin(f"{name} views", len(table))
        was_training = model.training
        model.eval()
        pool = build_pool(
            self.cache / name,
            table.paths,
            cut,
            key,
            encode=self._encoder(model) if features else None,
            advance=self.reporter.advance,
        )
        model.train(was_training)
        return pool

    def scoring_pool(self, model: DEFNet, table: ImageTable) -> ViewPool:
        """Views (or the frozen trunk's features of them) of images under the crop plan that scoring uses."""
        crops = self.config.crops
        plan = CropPlan(
            kind=crops.test_plan, count=crops.test_count, size=model.backbone.image.input_size, seed=self.config.seed
        )
        key = {"plan": [plan.kind, plan.count, plan.size, plan.seed]}
        return self._build_pool("validation", model, table, lambda path: cut_plan_views(path, plan), key)

    def _training_batches(self, model: DEFNet, table: ImageTable) -> ImageBatches | PoolBatches:
        config, crops, size = self.config, self.config.crops, model.backbone.image.input_size
        plan = BatchPlan(table.dataset, [source.batch_size for source in config.data], config.seed)
        count = config.model.train_crops
        if crops.train_source == "images":
            self._standardize(
                model,
                lambda row: cut_pool_views(table.paths[row], count, size, crops.flip, config.seed)[0],
                len(table),
            )
            return ImageBatches(table, plan, crops, count, size, config.seed)

        def cut(path: Path) -> tuple[Tensor, Tensor]:
            return cut_pool_views(path, crops.pool_size, size, crops.flip, config.seed)

        key = {"count": crops.pool_size, "flip": crops.flip, "seed": config.seed}
        pool = self._build_pool("training", model, table, cut, key)
        self._standardize(model, pool.local, len(table))
        return PoolBatches(table, plan, pool, count, config.seed)

    def _standardize(self, model: DEFNet, views: Callable[[int], Tensor], images: int) -> None:
        """Tell the compact tower the mean and deviation of its pooled features on training views."""
        image = model.backbone.image
        if not isinstance(image, LiteImageTower) or (self.folder / STATE_FILE).exists():
            return  # a run that goes on has them in its state
        count = 0
        total = torch.zeros(image.feature_dim, dtype=torch.float64)
        squares = torch.zeros_like(total)
        encode = None if self._features else self._encoder(model)
        for row in range(images):
            values = views(row)
            features = (values if encode is None else encode(values).cpu()).double()
            count += len(features)
            total += features.sum(0)
            squares += features.square().sum(0)
        mean = total / count
        std = (squares / count - mean.square()).clamp_min(0).sqrt()
        image.set_feature_statistics(mean.float().to(self.device), std.float().to(self.device))

    def _end_epoch(
        self,
        model: DEFNet,
        weighting: DynamicWeightAverage,
        progress: _Progress,
        best: dict[str, Tensor],
        validation: ViewPool,
        table: ImageTable,
        log: "_Log",
        epoch: int,
    ) -> dict[str, Tensor]:
        """Set the next weights of the tasks, validate, and keep the weights if they are the best so far."""
        steps = self.config.steps_per_epoch
        means = {name: value / steps for name, value in progress.sums.items()}
        progress.sums = {}
        weighting.end_epoch({task: means[f"fidelity_{task}"] for task in weighting.tasks})
        figures = evaluation_figures(predict_pool(model, validation), table)
        figure = _selection_figure(figures, self.config.select_by, epoch)
        if figure > progress.best_figure or progress.best_epoch == 0:
            progress.best_figure, progress.best_epoch, progress.best_validation = figure, epoch, figures
            best = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
        row = {"epoch": epoch, "train": means, "validation": figures, "best_epoch": progress.best_epoch}
        log.write(row)
        self.reporter.epoch(row)
        model.train()
        return best

    def _finish(
        self, model: DEFNet, best: dict[str, Tensor], progress: _Progress, validation: ViewPool, table: ImageTable
    ) -> TrainResult:
        """Calibrate the chosen weights and write the model."""
        model.load_state_dict(best)
        model.backbone.text = FrozenTextFeatures.of(model.backbone.text)
        if self.config.weights == "fp16":
            _round_to_half(model)
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

    def _save_state(
        self,
        model: DEFNet,
        optimizer: torch.optim.Optimizer,
        weighting: DynamicWeightAverage,
        progress: _Progress,
        best: Mapping[str, Tensor],
    ) -> None:
        """Write everything that the next step depends on, in one file, atomically."""
        progress.weighting = weighting.state_dict()
        tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in best.items()}
        for name, parameter in model.named_parameters():
            for key, value in optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = torch.as_tensor(value)
        with replace_when_done(self.folder / STATE_FILE) as part:
            contiguous = {name: value.detach().contiguous() for name, value in tensors.items()}
            save_file(contiguous, part, {_STATE_KEY: json.dumps(vars(progress))})

    def _restore(
        self, model: DEFNet, optimizer: torch.optim.Optimizer, weighting: DynamicWeightAverage
    ) -> tuple[_Progress, dict[str, Tensor]]:
        path = self.folder / STATE_FILE
        if not path.exists():
            return _Progress(), {}
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            progress = _Progress(**json.loads(metadata[_STATE_KEY]))
            groups: dict[str, dict[str, Tensor]] = {}
            for name, tensor in tensors.items():
                kind, _, rest = name.partition("/")
                groups.setdefault(kind, {})[rest] = tensor
            model.load_state_dict(groups["model"])
            states: dict[str, dict[str, Tensor]] = {}
            for name, tensor in groups.get("optimizer", {}).items():
                key, _, parameter = name.partition("/")
                states.setdefault(parameter, {})[key] = tensor
            for name, weight in model.named_parameters():
                if name in states:
                    optimizer.state[weight] = {
                        key: value if key == "step" else value.to(weight.device) for key, value in states[name].items()
                    }
            weighting.load_state_dict(progress.weighting)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"{path}: cannot be resumed from: {error}") from error
        return progress, groups.get("best", {})


def _selection_figure(figures: Mapping[str, float], select_by: str, epoch: int) -> float:
    """The figure by which epochs are compared; larger is better."""
    if select_by == "last":
        return float(epoch)
    value = -figures["nll"] if select_by == "nll" else sum(figures[name] for name in select_by.split("+"))
    return value if value == value else -float("inf")  # NaN, of a constant prediction, loses to any other


class _Log:
    """Lines of JSON, a step or an epoch each; lines from beyond the step that is resumed from are cut off."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        kept = b""
        if path.exists() and step > 0:
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    break
                row = json.loads(line)
                if row.get("step", -1) >= step:
                    break
                kept += line
        with replace_when_done(path) as part:
            part.write_bytes(kept)
        self._file = path.open("a", encoding="utf-8")

    def write(self, row: Mapping[str, Any]) -> None:
        self._file.write(to_json(row) + "\n")

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def train(config: TrainConfig, roots: DataRoots, folder: str | Path, **options: Any) -> TrainResult:
    """Train a model, or go on with a run that was stopped; see `Training` for the options.

    Example:
        >>> from pathlib import Path
        >>> from defnet import TrainConfig, train, DataRoots
        >>> config = TrainConfig.from_toml("configs/lite.toml")  # doctest: +SKIP
        >>> train(config, DataRoots(Path("data")), "runs/lite").validation["srcc"]  # doctest: +SKIP
        0.84
    """
    result = Training(config, roots, Path(folder), **options).run()
    assert result is not None  # noqa: S101 - only a limited number of steps ends without a result
    return result
