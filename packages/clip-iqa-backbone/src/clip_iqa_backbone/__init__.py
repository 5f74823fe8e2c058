"""From images to crops to the image-text joint probability over quality, scene and distortion."""

from importlib.metadata import version as _version

import lazy_loader

# The public names stand in __init__.pyi, and are imported when they are first used: torch takes seconds.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = _version("clip-iqa-backbone")
