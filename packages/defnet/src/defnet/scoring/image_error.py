"""The error for an image that cannot be scored."""

import iqa_datasets.errors
from defnet.errors import DEFNetError


class ImageError(DEFNetError, iqa_datasets.errors.ImageError):
    """An image that cannot be scored, and why: a `DEFNetError`, and an `iqa_datasets.ImageError`, so a `ValueError`.

    Attributes:
        path: the file, or a word for an image that has none.
        reason: what is wrong with it, as a clause without a full stop.
    """
