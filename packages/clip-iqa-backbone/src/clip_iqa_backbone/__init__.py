"""From images to crops to the image-text joint probability over quality, scene and distortion."""

from clip_iqa_backbone.crops import CropPlan
from clip_iqa_backbone.factory import create_backbone
from clip_iqa_backbone.images import ImageError, open_image
from clip_iqa_backbone.joint import JointProbability
from clip_iqa_backbone.lite import LiteConfig, LiteImageTower, LiteTextTower
from clip_iqa_backbone.marginals import distortion_marginal, expected_quality, quality_marginal, scene_marginal
from clip_iqa_backbone.prompts import DISTORTIONS, QUALITIES, SCENES, Vocabulary
from clip_iqa_backbone.towers import FrozenTextFeatures, ImageTower, TextTower
from clip_iqa_backbone.views import Views, make_views

__all__ = [
    "DISTORTIONS",
    "QUALITIES",
    "SCENES",
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
    "make_views",
    "open_image",
    "quality_marginal",
    "scene_marginal",
]
