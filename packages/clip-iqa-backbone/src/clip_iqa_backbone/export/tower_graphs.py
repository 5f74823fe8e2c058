"""An image tower's trunk as it is exported: from the bytes of views to features."""

from __future__ import annotations

from torch import Tensor, nn

from clip_iqa_backbone.towers.base import ImageTower
from clip_iqa_backbone.towers.lite import LiteImageTower


class TrunkOfViews(nn.Module):
    """The trunk of an image tower, from uint8 views (N, 3, S, S) to features (N, F) in double precision.

    What the trunk computes is single. ``lite`` pools in double: other runtimes sum a plane of activations one by one,
    which in single precision costs digits, and it is a thousandth of the work.

    Args:
        tower: The tower, in evaluation mode, in single precision; it is used as it is.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower
        # Copies, as one buffer under two names would be traced as two.
        self.register_buffer("pixel_mean", tower.mean.clone())
        self.register_buffer("pixel_std", tower.std.clone())

    def forward(self, views: Tensor) -> Tensor:
        """Features (N, F), ``float64``, of views (N, 3, S, S), ``uint8``."""
        pixels = (views.float() / 255.0 - self.pixel_mean) / self.pixel_std
        if isinstance(self.tower, LiteImageTower):
            return self.tower.pooled(activations.double() for activations in self.tower.backbone(pixels))
        return self.tower.trunk(pixels).double()


class TrunkOfView(TrunkOfViews):
    """The same for one view, (3, S, S) to (F,): what an image's views go through one after the other."""

    def forward(self, views: Tensor) -> Tensor:
        """Features (F,), ``float64``, of one view (3, S, S), ``uint8``."""
        return super().forward(views[None])[0]
