"""Many quality metrics, no human ratings, one better score per image with its uncertainty."""

from importlib.metadata import version as _version

__all__ = ["__version__"]

__version__ = _version("map-score-fusion")
