"""Image quality data sets in their official layouts as one table: scores, scenes, distortions, sessions.

``load`` reads the folder that a data set's authors distribute and returns an `IQADataset`, whose ``records`` is one
pandas table with the same columns (`SCHEMA`) for every data set. Nothing is downloaded, decoded or written, and torch
is not needed. `iqa_datasets.testing.make_fake` writes a tiny data set in the official layout, for tests.
"""

from importlib import import_module
from typing import TYPE_CHECKING

# At once and not when it is first used: the module has the function's name, and would else take its place here as soon
# as anyone imports something from it.
from iqa_datasets.agreement import Agreement, agreement

if TYPE_CHECKING:
    from iqa_datasets.cards import DatasetCard, QualityScale
    from iqa_datasets.errors import DatasetError, ImageError, ImageWarning
    from iqa_datasets.fetching import fetch
    from iqa_datasets.folders import ResolvedImages, resolve_images
    from iqa_datasets.image_formats import IMAGE_SUFFIXES
    from iqa_datasets.image_paths import FoundImages, find_images
    from iqa_datasets.images import MAX_PIXELS, OpenedImage, open_image, open_image_with_warnings
    from iqa_datasets.liqe import LiqeLabel, read_liqe_labels
    from iqa_datasets.loader_registry import register_loader
    from iqa_datasets.loaders import Loader, Reading
    from iqa_datasets.loaders.folder import FolderDeclaration
    from iqa_datasets.records import SCHEMA, IQADataset, Record, make_records
    from iqa_datasets.registry import available, info, load, load_folder
    from iqa_datasets.score_plots import plot_scores
    from iqa_datasets.sessions import Crossing, SeededSession, crossings
    from iqa_datasets.shared_pictures import Overlap, SharedPicture, overlap
    from iqa_datasets.synthesis import Synthesis, synthesize
    from iqa_datasets.torch_view import TorchView
    from iqa_datasets.verification import Finding, Verification, verify
    from iqa_datasets.vocabulary import DISTORTIONS, PARTS, SCENES, distortion_class

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

# Names are imported when they are first used: pandas and scipy take a second and a half, which `iqa-datasets --help`
# and the processes that only decode images need not wait for.
_MODULES = {
    "cards": ("DatasetCard", "QualityScale"),
    "errors": ("DatasetError", "ImageError", "ImageWarning"),
    "fetching": ("fetch",),
    "image_formats": ("IMAGE_SUFFIXES",),
    "image_paths": ("FoundImages", "find_images"),
    "images": ("MAX_PIXELS", "OpenedImage", "open_image", "open_image_with_warnings"),
    "liqe": ("LiqeLabel", "read_liqe_labels"),
    "folders": ("ResolvedImages", "resolve_images"),
    "loader_registry": ("register_loader",),
    "loaders": ("Loader", "Reading"),
    "loaders.folder": ("FolderDeclaration",),
    "shared_pictures": ("Overlap", "SharedPicture", "overlap"),
    "records": ("SCHEMA", "IQADataset", "Record", "make_records"),
    "registry": ("available", "info", "load", "load_folder"),
    "score_plots": ("plot_scores",),
    "sessions": ("Crossing", "SeededSession", "crossings"),
    "synthesis": ("Synthesis", "synthesize"),
    "torch_view": ("TorchView",),
    "verification": ("Finding", "Verification", "verify"),
    "vocabulary": ("DISTORTIONS", "PARTS", "SCENES", "distortion_class"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
