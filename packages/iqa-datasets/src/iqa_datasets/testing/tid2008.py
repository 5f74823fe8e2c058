"""A made-up TID2008 folder: text files joined by position, names in mixed case."""

from typing import Final

import numpy as np

from iqa_datasets.loaders.tampere import TYPES
from iqa_datasets.loaders.tid2008 import CARD
from iqa_datasets.testing.layouts import FakeImage, Layout
from iqa_datasets.testing.tid2013 import plan_tampere, write_tampere_labels


def _plan(images: int, rng: np.random.Generator) -> list[FakeImage]:
    return plan_tampere(CARD, TYPES[:17], 4, images, rng)


LAYOUT: Final = Layout(_plan, write_tampere_labels)
