"""A made-up CID:IQ folder with the scores from 100 cm."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from iqa_datasets.testing.cidiq_50cm import plan
from iqa_datasets.testing.layouts import FakeImage, Layout, write_mat


def _write_labels(root: Path, images: Sequence[FakeImage]) -> None:
    write_mat(root / "MOS100.mat", MOS100=[image.score for image in images])


LAYOUT: Final = Layout(plan, _write_labels)
