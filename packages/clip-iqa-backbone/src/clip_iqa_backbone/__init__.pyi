from .export.files import Exported, export_model, read_exported
from .fingerprints import image_tower_fingerprint
from .images.crops import CropPlan
from .images.open import ImageError, ImageSource, OpenedImage, open_image, open_image_with_warnings
from .images.view_arrays import MAX_UPSCALED_ASPECT, ViewArrays, cut_views
from .images.views import Views, make_views
from .joint import JointProbability
from .marginals import average_over_views, distortion_marginal, expected_quality, quality_marginal, scene_marginal
from .sources.factory import create_backbone, list_backbones, rebuild_image_tower
from .sources.state_dictionaries import weights_file
from .text.features import freeze_text_features, text_digest
from .text.vocabulary import DISTORTIONS, QUALITIES, SCENES, Vocabulary
from .towers.base import FrozenTextFeatures, ImageTower, TextTower
from .towers.clip import CLIPImageTower, CLIPTextTower
from .towers.lite import LiteConfig, LiteImageTower, LiteTextTower

__version__: str

__all__ = [
    "DISTORTIONS",
    "MAX_UPSCALED_ASPECT",
    "QUALITIES",
    "SCENES",
    "CLIPImageTower",
    "CLIPTextTower",
    "CropPlan",
    "Exported",
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
    "ViewArrays",
    "Views",
    "Vocabulary",
    "average_over_views",
    "create_backbone",
    "cut_views",
    "distortion_marginal",
    "expected_quality",
    "export_model",
    "freeze_text_features",
    "image_tower_fingerprint",
    "list_backbones",
    "make_views",
    "open_image",
    "open_image_with_warnings",
    "quality_marginal",
    "read_exported",
    "rebuild_image_tower",
    "scene_marginal",
    "text_digest",
    "weights_file",
]
