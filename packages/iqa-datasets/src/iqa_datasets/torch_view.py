"""A data set as PyTorch wants it. Needs torch, which this package does not install unless asked for (extra `torch`)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from iqa_datasets.images import open_image
from iqa_datasets.records import IQADataset
from iqa_datasets.vocabulary import SCENES

try:
    import torch
    from torch.utils.data import Dataset
except ImportError as error:
    raise ImportError(
        'iqa_datasets.torch_view needs torch, which cannot be imported: pip install "iqa-datasets[torch]"'
    ) from error


class TorchView(Dataset[dict[str, Any]]):
    """A map-style `torch.utils.data.Dataset` over the images of a data set.

    An item is a dictionary:

    - ``image``: what ``transform`` makes of the PIL image (RGB, upright); without one a uint8 tensor (3, H, W).
    - ``quality``: float32, on [1, 5], higher = better; NaN where there is no score.
    - ``distortion``: int64, position in `DISTORTIONS`; −1 where not known.
    - ``scenes``: float32 of shape (9,), 1 for each of `SCENES` that the image shows.
    - ``row``: int, row in ``dataset.records``.

    It can be sent to the workers of a `torch.utils.data.DataLoader` whatever their start method.

    Args:
        dataset: what `load` gives, or a selection from it.
        transform: from a PIL image to what a batch is made of, such as torchvision's. The sizes of images differ in
            most data sets, so that a batch needs one that crops or resizes.

    Raises:
        DatasetError: an image is damaged (when its item is asked for).

    Example:
        >>> import tempfile
        >>> from iqa_datasets import load
        >>> from iqa_datasets.testing import make_fake
        >>> fake = make_fake("live-challenge", tempfile.mkdtemp())
        >>> item = TorchView(load("live-challenge", fake.root, labels=fake.labels))[0]
        >>> item["image"].shape, item["image"].dtype, item["scenes"].sum()
        (torch.Size([3, 256, 256]), torch.uint8, tensor(1.))
    """

    def __init__(self, dataset: IQADataset, transform: Callable[[Image.Image], Any] | None = None) -> None:
        self.dataset = dataset
        self.transform = transform
        records = dataset.records
        self._paths = np.array(records["image_path"].tolist(), dtype=np.str_)
        self._quality = torch.tensor(records["quality"].to_numpy(dtype=np.float32))
        self._distortion = torch.tensor(records["distortion"].cat.codes.to_numpy(dtype=np.int64))
        self._scenes = torch.zeros(len(records), len(SCENES))
        for row, scenes in enumerate(records["scenes"]):
            for scene in scenes:
                self._scenes[row, SCENES.index(scene)] = 1

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, row: int) -> dict[str, Any]:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} lies outside 0 to {len(self) - 1}")
        image = open_image(str(self._paths[row]))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous() if self.transform is None else None
        return {
            "image": pixels if self.transform is None else self.transform(image),
            "quality": self._quality[row],
            "distortion": self._distortion[row],
            "scenes": self._scenes[row],
            "row": row % len(self),
        }
