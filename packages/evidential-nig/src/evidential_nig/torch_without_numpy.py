"""The first import of torch, without its complaint where NumPy is not installed: this package needs torch alone."""

import sys
import warnings
from importlib.util import find_spec

if "torch" not in sys.modules and find_spec("numpy") is None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Failed to initialize NumPy", category=UserWarning)
        import torch  # noqa: F401
