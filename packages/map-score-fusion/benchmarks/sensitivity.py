"""What the constants of the method `robust` matter: each one halved and doubled, on the real tables.

    IQA_DATA_ROOT=... python packages/map-score-fusion/benchmarks/sensitivity.py [--quick]

Prints the size-weighted SRCC on the test tables of the settings of real_tables.py, and the largest change from the
constants as they are. Ratings are used for the figures only.
"""

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from map_score_fusion import metric_errors, metric_weights
from map_score_fusion.methods import robust

CONSTANTS = (
    (metric_errors, "PRIOR_WEIGHT"),
    (metric_errors, "NOISE_FLOOR"),
    (metric_errors, "LIKENESS_POWER"),
    (metric_errors, "VOICE_POWER"),
    (metric_weights, "DOUBT"),
    (metric_weights, "AGREEMENT_POWER"),
    (metric_weights, "KINSHIP_POWER"),
    (robust, "DEGREES_OF_FREEDOM"),
)


def load_real_tables():
    """The script beside this one, as a module."""
    specification = importlib.util.spec_from_file_location("real_tables", Path(__file__).with_name("real_tables.py"))
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="settings (a) and (b) alone")
    settings = ("a", "b") if parser.parse_args().quick else ("a", "a+", "b", "c", "d", "f")
    if "IQA_DATA_ROOT" not in os.environ:
        print("skipped: IQA_DATA_ROOT does not name the folder that holds scores/", file=sys.stderr)
        return 0
    real_tables = load_real_tables()

    def figures() -> list[float]:
        runs = (real_tables.run(setting, "robust", 0) for setting in settings)
        return [real_tables.weighted(real_tables.as_frame(results), "srcc") for results in runs]

    def row(label: str, values: list[float]) -> None:
        print(f"{label:28s}" + "".join(f"{value:9.4f}" for value in values))

    print(f"{'':28s}" + "".join(f"{f'({setting})':>9s}" for setting in settings))
    usual = figures()
    row("as it is", usual)
    largest = 0.0
    for module, name in CONSTANTS:
        value = getattr(module, name)
        for factor in (0.5, 2.0):
            setattr(module, name, value * factor)
            found = figures()
            row(f"{name} = {value * factor:g}", found)
            largest = max(largest, *(abs(one - other) for one, other in zip(found, usual, strict=True)))
        setattr(module, name, value)
    print(f"largest change: {largest:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
