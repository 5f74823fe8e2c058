"""The scale of quality, which is that of ratings."""

LOWEST, HIGHEST = 1.0, 5.0
"""Its ends: bad and perfect."""
