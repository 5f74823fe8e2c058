"""What the calibrated deviations came to on tables with human ratings, for every place that shows them."""

from typing import Final

COVERAGE: Final = (0.53, 0.88)
"""Lowest and highest share of the fused ranks' errors within two deviations; see `REAL_TABLES`."""

CORRELATION: Final = (-0.03, 0.32)
"""Lowest and highest Spearman's correlation between deviation and error; see `REAL_TABLES`."""

REAL_TABLES: Final = (
    f"On tables with ratings two deviations held {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%} of the ranks' errors, in place "
    f"of 95%, since errors that all metrics share do not show, and deviations ranked errors weakly (Spearman's "
    f"correlation {CORRELATION[0]:.2f} to {CORRELATION[1]:.2f})."
)
"""The default method fitted to KADID-10k, on it and on TID2013, CSIQ, LIVE, IVC and JPEG XR, in the settings (a), (a+),
(b) and (c) of the documentation."""
