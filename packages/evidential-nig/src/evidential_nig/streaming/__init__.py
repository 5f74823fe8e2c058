"""The figures of `evidential_nig.calibration` over batches and processes: update, compute, merge, reset.

For data that do not fit into memory at once or are spread over processes. Each class gives what its function gives for
all data at once, whatever the batches were and in whatever order they were merged; in double precision they agree to
about 1e-15. The conventions are torchmetrics', which is not needed: `metric(predictive, target)` updates and returns
the figure of that batch alone, `merge_state` takes another metric or its `state_dict`, `compute` can be called at any
time.

`Coverage`, `QuantileCalibrationError` and `MiscalibrationArea` hold counts, `NegativeLogLikelihood`,
`ContinuousRankedProbabilityScore` and `Sharpness` sums. Those that rank (`AUSE`, `ENCE`,
`ErrorUncertaintyCorrelation`, and `Summary`, which holds them) must keep two numbers a target, 16 bytes.
"""

from evidential_nig.streaming.metric import StreamingMetric
from evidential_nig.streaming.probabilities import Coverage, MiscalibrationArea, QuantileCalibrationError
from evidential_nig.streaming.ranking import AUSE, ENCE, ErrorUncertaintyCorrelation
from evidential_nig.streaming.scores import ContinuousRankedProbabilityScore, NegativeLogLikelihood, Sharpness
from evidential_nig.streaming.summary import Summary

__all__ = [
    "AUSE",
    "ENCE",
    "ContinuousRankedProbabilityScore",
    "Coverage",
    "ErrorUncertaintyCorrelation",
    "MiscalibrationArea",
    "NegativeLogLikelihood",
    "QuantileCalibrationError",
    "Sharpness",
    "StreamingMetric",
    "Summary",
]
