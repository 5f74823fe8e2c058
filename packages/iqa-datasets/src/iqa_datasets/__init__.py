"""Image quality data sets in their official layouts as one table: scores, scenes, distortions, sessions.

``load`` reads the folder that a data set's authors distribute and returns an `IQADataset`, whose ``records`` is one
pandas table with the same columns (`SCHEMA`) for every data set. Nothing is downloaded, decoded or written, and torch
is not needed. `iqa_datasets.testing.make_fake` writes a tiny data set in the official layout, for tests.
"""

from iqa_datasets.cards import DatasetCard, QualityScale
from iqa_datasets.errors import DatasetError
from iqa_datasets.images import read_image
from iqa_datasets.liqe import LiqeLabel, read_liqe_labels
from iqa_datasets.records import SCHEMA, IQADataset, Record
from iqa_datasets.registry import available, info, load
from iqa_datasets.sessions import SeededSession
from iqa_datasets.vocabulary import DISTORTIONS, PARTS, SCENES, distortion_class

__all__ = [
    "DISTORTIONS",
    "PARTS",
    "SCENES",
    "SCHEMA",
    "DatasetCard",
    "DatasetError",
    "IQADataset",
    "LiqeLabel",
    "QualityScale",
    "Record",
    "SeededSession",
    "available",
    "distortion_class",
    "info",
    "load",
    "read_image",
    "read_liqe_labels",
]
