"""Recalibration of predictive distributions: fit on validation data, apply to test data.

`VarianceScale` widens or narrows every prediction by one factor and keeps its kind; `IsotonicQuantiles` bends the
predicted probabilities to those observed, whatever shape that gives. Fit either on data that the network was not
trained on, and judge it on data that it was not fitted on.

Both work on `NormalInverseGamma`, on its predictive `StudentT` and on `torch.distributions.Normal`; a state is a
dictionary of numbers or tensors that `torch.load(..., weights_only=True)` reads.
"""

from evidential_nig.recalibration.isotonic_quantiles import IsotonicQuantiles
from evidential_nig.recalibration.recalibrated import RecalibratedDistribution
from evidential_nig.recalibration.variance_scale import VarianceScale

__all__ = ["IsotonicQuantiles", "RecalibratedDistribution", "VarianceScale"]
