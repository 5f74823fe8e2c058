"""Distorting pristine photographs: KADID-10k's 25 types and faults of capture, five levels each."""

from iqa_datasets.synthesis.catalogue import DISTORTION_TYPES, LEVELS, Distortion, chosen_types, distortions_table
from iqa_datasets.synthesis.folder import Failure, Synthesis, synthesize

__all__ = [
    "DISTORTION_TYPES",
    "LEVELS",
    "Distortion",
    "Failure",
    "Synthesis",
    "chosen_types",
    "distortions_table",
    "synthesize",
]
