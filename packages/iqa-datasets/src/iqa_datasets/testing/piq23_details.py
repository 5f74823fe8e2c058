"""A made-up PIQ23 folder with the scores of details."""

from typing import Final

from iqa_datasets.testing.piq23_overall import layout

LAYOUT: Final = layout("Details")
