"""Many quality metrics, no human ratings, one better score per image.

This release reserves the name and the layout; it holds no fusion method.
"""

from importlib.metadata import version as _version

__all__ = ["__version__"]

__version__ = _version("map-score-fusion")
