"""What a model makes of the images of a training mixture: predictions and descriptions, from views that are there."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from defnet.config.training import TrainConfig
from defnet.data.batches import PoolBatches
from defnet.data.table import ImageTable
from defnet.data.view_pool import ViewPool
from defnet.errors import ConfigError
from defnet.model.network import DEFNet
from defnet.model.predictive import quality_evidence, quality_spread
from defnet.out_of_fold.folds import Roles
from defnet.reliability.descriptors import describe
from defnet.training.reporter import Reporter
from defnet.training.views import RunViews
from evidential_nig import NormalInverseGamma, cat

_Rows = NDArray[np.int64]
_BATCH = 16


@dataclass(frozen=True)
class Looked:
    """What a model makes of n images.

    Attributes:
        evidence: its evidence of quality, batch shape (n,), in double precision.
        spread: the spread of its quality levels, (n,); see `defnet.model.predictive.quality_spread`.
        described: descriptions, (n, D); see `defnet.reliability.descriptors`.
    """

    evidence: NormalInverseGamma
    spread: Tensor
    described: Tensor


class MixtureLooks:
    """The views of a mixture's training images that have ratings: of those that people gave, what scoring looks at.

    The others are seen through the crops of the training pool, where there is one: they are many, and looking at them
    anew would take longer than all the rest.

    Args:
        config: the configuration.
        model: its model; of a frozen trunk, that of every fold is the same.
        table: the training images.
        roles: which of them are rated.
        cache: folder for pools of views.
        reporter: hears how looking goes on.
    """

    def __init__(
        self, config: TrainConfig, model: DEFNet, table: ImageTable, roles: Roles, cache: Path, reporter: Reporter
    ) -> None:
        views = RunViews(config, model, cache, reporter)
        pooled = config.crops.train_source == "pool" and len(roles.pseudo) > 0
        scored = roles.rated if pooled else np.sort(np.concatenate([roles.rated, roles.pseudo]))
        self._scored = views.scoring_pool(table.select(scored))
        self._trained: ViewPool | None = None
        if pooled:
            batches = views.training_batches(table, standardize=False)
            assert isinstance(batches, PoolBatches)  # noqa: S101 - what train_source = "pool" gives
            self._trained = batches.pool
        self._dataset = table.dataset.numpy()
        self._place = np.full(len(table), -1)
        self._place[scored] = np.arange(len(scored))
        self.same_features = views.are_features

    def _views(self, row: int) -> tuple[Tensor, Tensor]:
        pool, place = (self._scored, int(self._place[row])) if self._place[row] >= 0 else (self._trained, row)
        assert pool is not None  # noqa: S101 - rows without a place are those of the training pool
        return pool.local(place), pool.global_view(place)[0]

    def look(self, model: DEFNet, rows: _Rows, *, advance: Callable[[int], None] = lambda _: None) -> Looked:
        """Show a model images, at least one, in order.

        Args:
            model: the network; it is left in evaluation mode.
            rows: their rows in the table.
            advance: called with the number of images each time some are done.
        """
        evidence, spread, described = [], [], []
        for local, global_view in self._features(model, rows, advance):
            with torch.inference_mode():
                prediction = model.predict_from_features(local, global_view)
                found = quality_evidence(prediction)
            if found is None:
                raise ConfigError("the model states no uncertainty: its score is the expected quality of Eq. 5")
            evidence.append(found)
            spread.append(quality_spread(prediction))
            described.append(describe(local, global_view))
        return Looked(cat(evidence), torch.cat(spread), torch.cat(described))

    def describe(self, model: DEFNet, rows: _Rows, *, advance: Callable[[int], None] = lambda _: None) -> Tensor:
        """Descriptions of images, at least one, in order, (n, D); as for `look`."""
        return torch.cat([describe(*features) for features in self._features(model, rows, advance)])

    def _features(self, model: DEFNet, rows: _Rows, advance: Callable[[int], None]) -> Iterator[tuple[Tensor, Tensor]]:
        model.eval()
        device = next(model.parameters()).device
        # Data sets may differ in the number of crops, so that images of two make no batch.
        breaks = np.flatnonzero(np.diff(self._dataset[rows])) + 1
        for run in np.split(rows, breaks):
            for start in range(0, len(run), _BATCH):
                views = [self._views(int(row)) for row in run[start : start + _BATCH]]
                local, global_view = (torch.stack(part).to(device) for part in zip(*views, strict=True))
                if local.dtype == torch.uint8:
                    with torch.inference_mode():
                        local, whole = model.features(local, global_view)
                    assert whole is not None  # noqa: S101 - a model with evidence looks at the whole image
                    global_view = whole
                yield local.float(), global_view.float()
                advance(len(views))
