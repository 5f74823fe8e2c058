from .agreement import Agreement, agreement
from .cards import DatasetCard, QualityScale
from .errors import DatasetError, ImageError, ImageWarning
from .fetching import fetch
from .folders import ResolvedImages, resolve_images
from .image_formats import IMAGE_SUFFIXES
from .image_paths import FoundImages, find_images
from .images import MAX_PIXELS, OpenedImage, open_image, open_image_with_warnings
from .liqe import LiqeLabel, read_liqe_labels
from .loader_registry import register_loader
from .loaders import Loader, Reading
from .loaders.folder import FolderDeclaration
from .records import SCHEMA, IQADataset, Record, make_records
from .registry import available, info, load, load_folder
from .score_plots import plot_scores
from .sessions import Crossing, SeededSession, crossings
from .shared_pictures import Overlap, SharedPicture, overlap
from .synthesis import Synthesis, synthesize
from .torch_view import TorchView
from .verification import Finding, Verification, verify
from .vocabulary import DISTORTIONS, PARTS, SCENES, distortion_class

__version__: str

__all__ = [
    "DISTORTIONS",
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "PARTS",
    "SCENES",
    "SCHEMA",
    "Agreement",
    "Crossing",
    "DatasetCard",
    "DatasetError",
    "Finding",
    "FolderDeclaration",
    "FoundImages",
    "IQADataset",
    "ImageError",
    "ImageWarning",
    "LiqeLabel",
    "Loader",
    "OpenedImage",
    "Overlap",
    "QualityScale",
    "Reading",
    "Record",
    "ResolvedImages",
    "SeededSession",
    "SharedPicture",
    "Synthesis",
    "TorchView",
    "Verification",
    "agreement",
    "available",
    "crossings",
    "distortion_class",
    "fetch",
    "find_images",
    "info",
    "load",
    "load_folder",
    "make_records",
    "open_image",
    "open_image_with_warnings",
    "overlap",
    "plot_scores",
    "read_liqe_labels",
    "register_loader",
    "resolve_images",
    "synthesize",
    "verify",
]
