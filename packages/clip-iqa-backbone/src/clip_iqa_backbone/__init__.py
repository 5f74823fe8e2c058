"""From images to crops to the image-text joint probability over quality, scene and distortion."""

from typing import TYPE_CHECKING, Any

from clip_iqa_backbone.crops import CropPlan
from clip_iqa_backbone.factory import create_backbone, list_backbones, rebuild_image_tower
from clip_iqa_backbone.fingerprints import image_tower_fingerprint
from clip_iqa_backbone.images import ImageError, open_image
from clip_iqa_backbone.joint import JointProbability
from clip_iqa_backbone.lite import LiteConfig, LiteImageTower, LiteTextTower
from clip_iqa_backbone.marginals import distortion_marginal, expected_quality, quality_marginal, scene_marginal
from clip_iqa_backbone.prompts import DISTORTIONS, QUALITIES, SCENES, Vocabulary
from clip_iqa_backbone.text_features import freeze_text_features, text_digest
from clip_iqa_backbone.towers import FrozenTextFeatures, ImageTower, TextTower
from clip_iqa_backbone.views import Views, make_views

if TYPE_CHECKING:
    from clip_iqa_backbone.clip import CLIPImageTower, CLIPTextTower

__all__ = [
    "DISTORTIONS",
    "QUALITIES",
    "SCENES",
    "CLIPImageTower",
    "CLIPTextTower",
    "CropPlan",
    "FrozenTextFeatures",
    "ImageError",
    "ImageTower",
    "JointProbability",
    "LiteConfig",
    "LiteImageTower",
    "LiteTextTower",
    "TextTower",
    "Views",
    "Vocabulary",
    "create_backbone",
    "distortion_marginal",
    "expected_quality",
    "freeze_text_features",
    "image_tower_fingerprint",
    "list_backbones",
    "make_views",
    "open_image",
    "quality_marginal",
    "rebuild_image_tower",
    "scene_marginal",
    "text_digest",
]


def __getattr__(name: str) -> Any:
    if name in ("CLIPImageTower", "CLIPTextTower"):
        # open_clip takes seconds to import and 200 MB, and `lite` needs nothing of it.
        from clip_iqa_backbone import clip

        return getattr(clip, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
