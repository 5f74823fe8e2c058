"""A data set as PyTorch wants it. Needs torch, which this package does not install unless asked for (extra `torch`)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from iqa_datasets.errors import DatasetError
from iqa_datasets.images import open_image
from iqa_datasets.records import IQADataset
from iqa_datasets.vocabulary import SCENES

if TYPE_CHECKING:
    from torch.utils.data import Dataset
else:
    try:
        from torch.utils.data import Dataset
    except ImportError:
        # The class can be named, as in `from iqa_datasets import *`, where torch is not there; it cannot be made.
        class Dataset:  # noqa: D101
            def __class_getitem__(cls, _: object) -> type:
                return cls


class TorchView(Dataset[dict[str, Any]]):
    """A map-style `torch.utils.data.Dataset` over the images of a data set.

    An item is a dictionary:

    - ``image``: what ``transform`` makes of the PIL image (RGB, upright); without one a uint8 tensor (3, H, W).
    - ``reference``: with ``references``, the same of its pristine image.
    - ``quality``: float32, on [1, 5], higher = better; NaN where there is no score.
    - ``mos``: float32, the score as published, on the card's scale and with its direction; NaN where there is none.
    - ``distortion``: int64, position in `DISTORTIONS`; −1 where not known.
    - ``scenes``: float32 of shape (9,), 1 for each of `SCENES` that the image shows.
    - ``row``: int, row in ``dataset.records``.

    It can be sent to the workers of a `torch.utils.data.DataLoader` whatever their start method.

    Args:
        dataset: what `load` gives, or a selection from it.
        transform: from a PIL image to what a batch is made of, such as torchvision's. The sizes of images differ in
            most data sets, so that a batch needs one that crops or resizes. With ``references`` it is called with both
            images, ``transform(image, reference)``, and gives both back, so that it can crop them alike, as
            torchvision's ``transforms.v2`` do.
        references: also give each image's pristine image. All rows must have one.
        at_least: decode JPEG files no larger than a model needs: both sides at least so many pixels, where the file has
            them; much faster for large photographs. See `open_image`.

    Raises:
        ImportError: torch is not installed.
        DatasetError: ``references`` is asked for where a row has none, or together with ``at_least``, since the two
            images would be decoded at different sizes; or an image is damaged (when its item is asked for).

    Example:
        >>> import tempfile
        >>> from iqa_datasets import load
        >>> from iqa_datasets.testing import make_fake
        >>> fake = make_fake("live-challenge", tempfile.mkdtemp())
        >>> item = TorchView(load("live-challenge", fake.root, labels=fake.labels))[0]
        >>> item["image"].shape, item["image"].dtype, item["scenes"].sum()
        (torch.Size([3, 256, 256]), torch.uint8, tensor(1.))
    """

    def __init__(
        self,
        dataset: IQADataset,
        transform: Callable[..., Any] | None = None,
        *,
        references: bool = False,
        at_least: int | None = None,
    ) -> None:
        try:
            import torch
        except ImportError as error:
            raise ImportError(
                'TorchView needs torch, which cannot be imported: pip install "iqa-datasets[torch]"'
            ) from error
        records = dataset.records
        if references and at_least is not None:
            raise DatasetError("at_least would decode an image and its reference at different sizes; give one of them")
        if references and (lacking := int(records["reference_path"].isna().sum())):
            raise DatasetError(
                f"{lacking} of the {len(records)} rows of {dataset!r} have no reference; leave them out with "
                'dataset.select(dataset.records["reference_path"].notna())'
            )
        self.dataset = dataset
        self.transform = transform
        self.at_least = at_least
        self._paths = np.array(records["image_path"].tolist(), dtype=np.str_)
        self._references = np.array(records["reference_path"].tolist(), dtype=np.str_) if references else None
        self._quality = torch.tensor(records["quality"].to_numpy(dtype=np.float32))
        self._mos = torch.tensor(records["mos"].to_numpy(dtype=np.float32))
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
        images = [open_image(str(self._paths[row]), at_least=self.at_least)]
        if self._references is not None:
            images.append(open_image(str(self._references[row])))
        if self.transform is None:
            shown = [_pixels(image) for image in images]
        elif len(images) == 1:
            shown = [self.transform(*images)]
        else:
            shown = list(self.transform(*images))
            if len(shown) != len(images):
                raise DatasetError(
                    f"transform(image, reference) must give back two, the image and its reference, got {len(shown)}"
                )
        return {
            **dict(zip(("image", "reference"), shown, strict=False)),
            "quality": self._quality[row],
            "mos": self._mos[row],
            "distortion": self._distortion[row],
            "scenes": self._scenes[row],
            "row": row % len(self),
        }


def _pixels(image: Image.Image) -> Any:
    import torch

    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
