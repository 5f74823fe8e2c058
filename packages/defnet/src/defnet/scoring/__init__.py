"""Scoring images: finding them, the scorer, its scores and the tables they are written to."""
