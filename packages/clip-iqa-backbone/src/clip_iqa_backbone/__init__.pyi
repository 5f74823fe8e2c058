from .clip import CLIPImageTower, CLIPTextTower
from .crops import CropPlan
from .factory import create_backbone, list_backbones, rebuild_image_tower
from .fingerprints import image_tower_fingerprint
from .joint import JointProbability
from .lite import LiteConfig, LiteImageTower, LiteTextTower
from .marginals import distortion_marginal, expected_quality, quality_marginal, scene_marginal
from .prompts import DISTORTIONS, QUALITIES, SCENES, Vocabulary
from .text_features import freeze_text_features, text_digest
from .towers import FrozenTextFeatures, ImageTower, TextTower
from .views import ImageError, ImageSource, OpenedImage, Views, make_views, open_image, open_image_with_warnings

__version__: str

__all__ = [
    "DISTORTIONS",
    "QUALITIES",
    "SCENES",
    "CLIPImageTower",
    "CLIPTextTower",
    "CropPlan",
    "FrozenTextFeatures",
    "ImageError",
    "ImageSource",
    "ImageTower",
    "JointProbability",
    "LiteConfig",
    "LiteImageTower",
    "LiteTextTower",
    "OpenedImage",
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
    "open_image_with_warnings",
    "quality_marginal",
    "rebuild_image_tower",
    "scene_marginal",
    "text_digest",
]
