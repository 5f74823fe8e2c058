"""Many quality metrics, no human ratings, one better score per image with its uncertainty.

`ScoreFusion` is a scikit-learn estimator for a table of scores, a row for each image and a column for each metric.
"""

from importlib.metadata import version as _version

import lazy_loader

# The public names stand in __init__.pyi, and are imported when they are first used: pandas, scikit-learn and scipy take
# seconds, which `map-score-fusion --help` need not wait for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = _version("map-score-fusion")
