"""Reading vectors of numbers and of strings from MATLAB files, with every fault named."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from numpy.typing import NDArray

from iqa_datasets.errors import DatasetError


def read_vector(path: Path, variable: str) -> NDArray[np.float64]:
    """Return a numeric vector (1×N or N×1) of a ``.mat`` file, shape (N,), float64.

    Raises:
        FileNotFoundError: the file is not there.
        DatasetError: it cannot be read, or holds no such vector of real numbers.
    """
    array = _read(path, variable)
    if array.dtype.kind not in "fiu":
        raise DatasetError(f"{path}: {variable} must hold real numbers, got MATLAB data of type {array.dtype}")
    return array.astype(np.float64)


def read_strings(path: Path, variable: str) -> list[str]:
    """Return a cell vector (1×N or N×1) of strings of a ``.mat`` file as a list of length N.

    Raises:
        FileNotFoundError: the file is not there.
        DatasetError: it cannot be read, or holds no such cell vector of strings.
    """
    strings = []
    for row, cell in enumerate(_read(path, variable), start=1):
        if not (isinstance(cell, np.ndarray) and cell.dtype.kind == "U" and cell.size == 1):
            raise DatasetError(f"{path}: entry {row} of {variable} must be a string, got {cell!r}")
        strings.append(str(cell.item()))
    return strings


def _read(path: Path, variable: str) -> NDArray[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it must hold the variable {variable}")
    try:
        content = scipy.io.loadmat(path, variable_names=[variable], appendmat=False)
        others = [] if variable in content else [name for name, _, _ in scipy.io.whosmat(path, appendmat=False)]
    except PermissionError:
        raise
    except Exception as error:  # a damaged file can raise anything: zlib's, struct's, numpy's and scipy's own errors
        raise DatasetError(f"{path} is not a readable MATLAB file (version 4 to 7.2): {error}") from error
    if others or variable not in content:
        raise DatasetError(f"{path} lacks the variable {variable}; it holds {', '.join(others) or 'nothing'}")
    array = np.asarray(content[variable])
    if array.size != max(array.shape, default=0):
        raise DatasetError(f"{path}: {variable} must be a vector, got shape {array.shape}")
    return array.ravel()
