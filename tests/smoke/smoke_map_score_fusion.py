"""Smoke test of the installed map-score-fusion wheel: python smoke_map_score_fusion.py REPOSITORY."""

from installed import check_installed

import map_score_fusion

check_installed("map-score-fusion")
print(f"map-score-fusion {map_score_fusion.__version__}: reserved, importable")
