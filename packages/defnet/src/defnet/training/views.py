"""The views that a run trains and validates on: cut afresh or from pools, pixels or a frozen trunk's features."""

import copy
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from clip_iqa_backbone import CropPlan, LiteImageTower, image_tower_fingerprint
from defnet.config.training import TrainConfig
from defnet.data.batches import ImageBatches, PoolBatches
from defnet.data.sampling import BatchPlan
from defnet.data.table import ImageTable
from defnet.data.view_pool import ViewPool, build_pool
from defnet.data.views import cut_plan_views, cut_pool_views
from defnet.model.network import DEFNet
from defnet.training.processes import Processes
from defnet.training.reporter import Reporter


class RunViews:
    """Views of a run's images.

    Args:
        config: the whole configuration.
        model: the network as it starts.
        cache: folder for pools of views.
        reporter: hears how building goes on.
        processes: who else has a share of the work; nobody by default.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: DEFNet,
        cache: Path,
        reporter: Reporter,
        processes: Processes | None = None,
    ) -> None:
        self.config, self.model, self.cache, self.reporter = config, model, cache, reporter
        self.processes = processes or Processes(next(model.parameters()).device)
        self._device = next(model.parameters()).device

    @property
    def are_features(self) -> bool:
        """Whether batches hold the frozen trunk's features instead of pixels."""
        return self.config.crops.train_source == "pool" and self.config.backbone.freeze_trunk

    def _encoder(self) -> Callable[[Tensor], Tensor]:
        """What turns views into the trunk's features, without gradients."""
        backbone = self.model.backbone
        if self.config.backbone.freeze_trunk and isinstance(backbone.image, LiteImageTower):
            # Twice as fast on a CPU, and what scoring does; the model itself keeps the weights' usual names.
            backbone = copy.deepcopy(backbone).eval()
            cast("LiteImageTower", backbone.image).fuse_for_inference()

        @torch.inference_mode()
        def encode(views: Tensor) -> Tensor:
            return backbone.image_features(views.to(self._device))

        return encode

    def _pool_key(self) -> dict[str, Any]:
        """What a pool of features depends on beside the images and their crops."""
        image = self.model.backbone.image
        return {
            "trunk": image_tower_fingerprint(image, trunk_only=True),
            "precision": self.model.backbone.precision,
            "size": image.input_size,
            "versions": {name: version(name) for name in ("clip-iqa-backbone", "torch")},
            "machine": platform.machine(),
        }

    def _build_pool(self, name: str, table: ImageTable, cut: Any, key: dict[str, Any]) -> ViewPool:
        features = self.config.backbone.freeze_trunk
        key = key | (self._pool_key() if features else {"size": self.model.backbone.image.input_size})
        encode = self._encoder() if features else None
        was_training = self.model.training
        self.model.eval()
        share = table.paths[self.processes.rows(len(table))]
        self.reporter.begin(f"{name} views", len(share))
        with self.processes.agreed():
            if share:
                pool = build_pool(self.cache / name, share, cut, key, encode=encode, advance=self.reporter.advance)
        if self.processes.count > 1:
            # What the others have made; or what is missing, where machines do not share a folder.
            with self.processes.agreed():
                pool = build_pool(self.cache / name, table.paths, cut, key, encode=encode)
        self.model.train(was_training)
        return pool

    def scoring_pool(self, table: ImageTable) -> ViewPool:
        """Views (or the frozen trunk's features of them) of images under the crop plan that scoring uses."""
        crops, size = self.config.crops, self.model.backbone.image.input_size
        plan = CropPlan(kind=crops.test_plan, count=crops.test_count, size=size, seed=self.config.seed)
        key = {"plan": [plan.kind, plan.count, plan.size, plan.seed], "short_side": crops.short_side}
        return self._build_pool("validation", table, lambda path: cut_plan_views(path, plan, crops.short_side), key)

    def training_batches(self, table: ImageTable, *, standardize: bool) -> ImageBatches | PoolBatches:
        """The training batches of the whole run, by step.

        Args:
            table: the training images.
            standardize: tell a compact tower the mean and deviation of its features, which a run that goes on has
                in its state.
        """
        config, crops, size = self.config, self.config.crops, self.model.backbone.image.input_size
        plan = BatchPlan(
            table.dataset,
            [source.batch_size for source in config.data],
            config.seed,
            table.content,
            [source.per_content for source in config.data],
        )
        count = config.model.train_crops
        standardize = standardize and config.start is None  # a trained projection knows its own
        if crops.train_source == "images":
            if standardize:
                self._standardize(
                    lambda row: cut_pool_views(
                        table.paths[row], count, size, crops.flip, config.seed, crops.short_side, crops.scales
                    )[0],
                    len(table),
                )
            return ImageBatches(table, plan, crops, count, size, config.seed)

        pool = self._training_pool(table)
        if standardize:
            self._standardize(pool.local, len(table))
        return PoolBatches(table, plan, pool, count, config.seed)

    def _training_pool(self, table: ImageTable) -> ViewPool:
        """The random crops of every training image, or the frozen trunk's features of them."""
        config, crops, size = self.config, self.config.crops, self.model.backbone.image.input_size
        sizes = np.array([config.pool_size(source) for source in config.data])[table.dataset]
        files: list[Path] = [Path()] * len(table)
        for count in np.unique(sizes):
            key: dict[str, Any] = {
                "count": int(count),
                "flip": crops.flip,
                "seed": config.seed,
                "short_side": crops.short_side,
            }
            if crops.scales is not None:  # without, the key of pools that were made before there were scales
                key["scales"] = list(crops.scales)

            def cut(path: Path, count: int = int(count)) -> tuple[Tensor, Tensor]:
                return cut_pool_views(path, count, size, crops.flip, config.seed, crops.short_side, crops.scales)

            rows = np.flatnonzero(sizes == count)
            pool = self._build_pool("training", table.select(rows), cut, key)
            for row, file in zip(rows, pool.files, strict=True):
                files[row] = file
        return ViewPool(files)

    def _standardize(self, views: Callable[[int], Tensor], images: int) -> None:
        """Tell the compact tower the mean and deviation of its pooled features; other towers have none."""
        image = self.model.backbone.image
        if not isinstance(image, LiteImageTower):
            return
        count = 0
        total = torch.zeros(image.feature_dim, dtype=torch.float64)
        squares = torch.zeros_like(total)
        encode = None if self.are_features else self._encoder()
        share = range(images)[self.processes.rows(images)]
        self.reporter.begin("feature statistics", len(share))
        with self.processes.agreed():
            for row in share:
                values = views(row)
                features = (values if encode is None else encode(values).cpu()).double()
                count += len(features)
                total += features.sum(0)
                squares += features.square().sum(0)
                self.reporter.advance(1)
        sums = torch.cat([torch.tensor([float(count)], dtype=torch.float64), total, squares])
        sums = self.processes.sum(sums.to(self._device)).cpu()
        count_of_all, total, squares = torch.split(sums, [1, len(total), len(total)])
        count = int(count_of_all)
        mean = total / count
        std = (squares / count - mean.square()).clamp_min(0).sqrt()
        for tower in self.model.image_towers():
            if isinstance(tower, LiteImageTower):
                tower.set_feature_statistics(mean.float().to(self._device), std.float().to(self._device))
