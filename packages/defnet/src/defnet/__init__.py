"""Deep Evidential Fusion Network: how good a photograph looks, how sure that is, and what is wrong with it.

The public names stand in `__init__.pyi`. They are loaded when they are first used, so that `defnet --help` need not
wait for torch.
"""

from importlib.metadata import version as _version

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__all__ += ["__version__"]

__version__ = _version("defnet")
