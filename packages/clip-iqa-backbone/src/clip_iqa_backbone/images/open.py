"""The reader of images, which is that of `iqa-datasets`: one way to open a file for all packages."""

from iqa_datasets.images import ImageError, ImageSource, OpenedImage, open_image, open_image_with_warnings

__all__ = ["ImageError", "ImageSource", "OpenedImage", "open_image", "open_image_with_warnings"]
