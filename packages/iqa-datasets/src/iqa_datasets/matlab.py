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


def read_finite(path: Path, variable: str) -> NDArray[np.float64]:
    """Return a vector as `read_vector` does, after a check that every number is finite.

    Raises:
        FileNotFoundError: the file is not there.
        DatasetError: it cannot be read, or holds no such vector of finite real numbers.
    """
    values = read_vector(path, variable)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise DatasetError(f"{path}: entry {wrong[0] + 1} of {variable} must be a number, got {values[wrong[0]]:g}")
    return values


def read_matrix(path: Path, variable: str) -> NDArray[np.float64] | None:
    """Return a numeric matrix of a ``.mat`` file, shape (M, N), float64; None if the file has no such variable.

    Raises:
        FileNotFoundError: the file is not there.
        DatasetError: it cannot be read, or the variable is no matrix of real numbers.
    """
    array = _load(path, variable).get(variable)
    if array is None:
        return None
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise DatasetError(f"{path}: {variable} must be a matrix of real numbers, got {array.dtype}, {array.shape}")
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
    content = _load(path, variable)
    if variable not in content:
        raise DatasetError(f"{path} lacks the variable {variable}; it holds {', '.join(content) or 'nothing'}")
    array = content[variable]
    if array.size != max(array.shape, default=0):
        raise DatasetError(f"{path}: {variable} must be a vector, got shape {array.shape}")
    return array.ravel()


def _load(path: Path, variable: str) -> dict[str, NDArray[Any]]:
    """Return the variable under its name; if there is none, what is there instead, under their names and empty."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; it must hold the variable {variable}")
    try:
        content = scipy.io.loadmat(path, variable_names=[variable], appendmat=False)
        if variable in content:
            return {variable: np.asarray(content[variable])}
        return {name: np.empty(0) for name, _, _ in scipy.io.whosmat(path, appendmat=False)}
    except PermissionError:
        raise
    except Exception as error:  # a damaged file can raise anything: zlib's, struct's, numpy's and scipy's own errors
        raise DatasetError(f"{path} is not a readable MATLAB file (version 4 to 7.2): {error}") from error
