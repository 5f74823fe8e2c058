"""Image quality data sets in their official layouts as one table: scores, scenes, distortions, sessions.

``load`` reads the folder that a data set's authors distribute and returns an `IQADataset`, whose ``records`` is one
pandas table with the same columns (`SCHEMA`) for every data set. Nothing is downloaded, decoded or written, and torch
is not needed. `iqa_datasets.testing.make_fake` writes a tiny data set in the official layout, for tests.
"""

from importlib.metadata import version as _version

import lazy_loader

# At once and not when it is first used: the module has the function's name, and would else take its place here as soon
# as anyone imports something from it.
from iqa_datasets.agreement import agreement as agreement

# The other public names stand in __init__.pyi, and are imported when they are first used: pandas and scipy take a
# second and a half, which `iqa-datasets --help` and the processes that only decode images need not wait for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = _version("iqa-datasets")
