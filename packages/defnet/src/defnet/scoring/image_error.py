"""The error for an image that cannot be scored."""

import clip_iqa_backbone
from defnet.errors import DEFNetError


class ImageError(DEFNetError, clip_iqa_backbone.ImageError):
    """An image that cannot be scored, and why: a `DEFNetError` and a `clip_iqa_backbone.ImageError`, so a `ValueError`.

    Attributes:
        path: the file, or a word for an image that has none.
        reason: what is wrong with it, as a clause without a full stop.
    """
