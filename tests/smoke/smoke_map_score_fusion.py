"""Smoke test of the installed map-score-fusion wheel: python smoke_map_score_fusion.py REPOSITORY."""

from installed import check_installed

check_installed("map-score-fusion")

import map_score_fusion  # noqa: E402

print(f"map-score-fusion {map_score_fusion.__version__}: reserved, importable")
