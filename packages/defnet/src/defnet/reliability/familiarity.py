"""How familiar an image is: its distance to the rated training images, and how far they lie from each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from torch import Tensor

from defnet.errors import CheckpointError, DataError

NEIGHBOURS: Final = 5
DIMENSIONS: Final = 32
"""Principal components that distances are measured in, at most."""

LARGEST: Final = 2**20
"""Bytes that a model file spends on this, at most."""

_PER_DIMENSION = 10
_MATRIX_BYTES = 400_000
_MOST_REFERENCES = 8192


@dataclass(frozen=True, eq=False)
class Familiarity:
    """Distances to the rated training images, and what distance is usual.

    What people have not rated is no part of it: strongly degraded copies lie near pages of noise, and a model that has
    learnt from the first would call the second familiar.

    An image is described by D numbers (see `defnet.reliability.descriptors`). They are standardised, projected on the
    leading principal components of the training images, and each component is divided by its standard deviation there.
    The distance is the mean Euclidean distance to the `NEIGHBOURS` nearest training images.

    `familiarity` is a conformal p-value: (1 + #{dᵢ ≥ d}) / (n + 1), where the dᵢ are the distances of n training images
    to those of the other folds. If a new image and these n could have come in any order, P(familiarity ≤ u) ≤ u for
    every u: at most one photograph in twenty that is like them gets the warning. That the new image is held against all
    training images, and each of the n against a fold fewer, makes its distance slightly smaller, on average, which errs
    to the same side.

    Attributes:
        mean: mean of each of the D numbers over the training images, (D,). `float32`.
        scale: their standard deviations, (D,), 1 where that is 0. `float32`.
        components: the matrix (D, k) that projects and divides. `float16`.
        references: the training images, (n, k). `float16`.
        distances: usual distances, ascending, (m,); empty until out-of-fold distances are known. `float32`.

    Source: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005, Section 2.2, for the p-value;
    Laxhammar and Falkman, "Conformal prediction for distribution-independent anomaly detection", 2010, for that of
    nearest neighbours; Sun, Ming, Zhu and Li, "Out-of-distribution detection with deep nearest neighbors", 2022.
    """

    mean: Tensor
    scale: Tensor
    components: Tensor
    references: Tensor
    distances: Tensor

    @classmethod
    def fit(cls, described: Tensor, dimensions: int) -> Self:
        """Learn which images are familiar.

        Args:
            described: descriptions of the training images, (n, D), without NaN.
            dimensions: number of principal components, the same for all folds and for all images together, since
                distances grow with it; see `dimensions_of`.

        Returns:
            Distances to them; what distance is usual is not known yet (`with_distances`).

        Raises:
            DataError: there are too few images to measure a distance between them.
        """
        count = len(described)
        if count <= max(NEIGHBOURS, dimensions):
            raise DataError(
                f"familiarity is a distance to the {NEIGHBOURS} nearest rated training images in {dimensions} "
                f"dimensions, and there are {count} of them"
            )
        mean, scale = described.mean(0).float(), described.std(0).float()
        scale = torch.where(scale > 0, scale, torch.ones_like(scale))
        standardised = (described - mean.double()) / scale.double()
        axes, deviations = _leading(standardised.numpy(), dimensions)
        components = (axes / deviations.clamp_min(1e-6)).half()
        if count > _MOST_REFERENCES:
            standardised = standardised[torch.linspace(0, count - 1, _MOST_REFERENCES).long()]
        references = (standardised @ components.double()).half()
        return cls(mean, scale, components, references, torch.empty(0))

    def with_distances(self, distances: Tensor) -> Self:
        """The same with usual distances: those of training images from which they were left out, (m,)."""
        return type(self)(self.mean, self.scale, self.components, self.references, distances.float().sort().values)

    def distance(self, described: Tensor) -> Tensor:
        """Distances of images to the training images, (B,), in double precision.

        Args:
            described: their descriptions, (B, D). What is NaN is taken to be as it is on average.
        """
        standardised = torch.nan_to_num((described - self.mean.double()) / self.scale.double(), nan=0.0)
        places = standardised @ self.components.double()
        apart = torch.cdist(places, self.references.double(), compute_mode="donot_use_mm_for_euclid_dist")
        nearest: Tensor = apart.topk(min(NEIGHBOURS, apart.shape[1]), largest=False).values.mean(1)
        return nearest

    def familiarity(self, distance: Tensor) -> Tensor:
        """Conformal p-values of distances, of their shape, in (0, 1]: 1 / (m + 1) is the smallest."""
        # Usual distances are in single precision; ties count as at least as far.
        below = torch.searchsorted(self.distances, distance.float().contiguous())
        count = len(self.distances)
        return (1.0 + (count - below).double()) / (count + 1.0)

    def tensors(self) -> dict[str, Tensor]:
        """What a model file holds."""
        return {
            "mean": self.mean,
            "scale": self.scale,
            "components": self.components,
            "references": self.references,
            "distances": self.distances,
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """What `tensors` gave.

        Raises:
            CheckpointError: one is missing, or they do not fit each other.
        """
        try:
            found = cls(**{name: tensors[name] for name in ("mean", "scale", "components", "references", "distances")})
        except KeyError as error:
            raise CheckpointError(f"familiarity: there is no tensor {error}") from error
        width = len(found.mean)
        shapes = [tuple(tensor.shape) for tensor in found.tensors().values()]
        dimensions = shapes[2][-1] if found.components.ndim == 2 else 0
        expected = [
            (width,),
            (width,),
            (width, dimensions),
            (len(found.references), dimensions),
            (len(found.distances),),
        ]
        if shapes != expected or not len(found.distances) or not len(found.references) or not dimensions:
            raise CheckpointError(f"familiarity: its tensors do not fit each other: {shapes}")
        if not all(bool(torch.isfinite(tensor).all()) for tensor in found.tensors().values()):
            raise CheckpointError("familiarity: a tensor holds NaN or infinite values")
        return found


def dimensions_of(count: int, width: int) -> int:
    """Number of principal components for distances.

    Args:
        count: images of the smallest fold's training set; there are at least ten for each component.
        width: D; the matrix that projects stays within 400 kB.
    """
    return max(1, min(DIMENSIONS, count // _PER_DIMENSION, _MATRIX_BYTES // (2 * width)))


def _leading(standardised: np.ndarray, wanted: int) -> tuple[Tensor, Tensor]:
    """Leading principal axes (D, k) and the standard deviations along them (k,); the same, whenever they are asked."""
    from scipy.sparse.linalg import svds

    count = len(standardised)
    # A start of our own, since the library's would be another one each time.
    start = np.random.default_rng(0).normal(size=min(standardised.shape))
    _, values, rows = svds(standardised, k=wanted, v0=start, tol=0)
    order = np.argsort(-values, kind="stable")
    rows = rows[order]
    rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])[:, None]
    return torch.from_numpy(rows.T.copy()), torch.from_numpy(values[order].copy()) / np.sqrt(count - 1)
