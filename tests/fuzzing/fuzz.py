"""Damage files at random and give them to what reads them: no crash, no hang, every refusal with a reason.

    python tests/fuzzing/fuzz.py images [--cases 10000] [--first 0] [--keep DIR]
    python tests/fuzzing/fuzz.py tables [--cases 1000]

A case is known by its number alone: `--first 4711 --cases 1` does it again. It prints what came of the cases, and each
fault with its number, and ends with 1 where there is one; `--keep` writes the files of the faults.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzzing import images, tables
from fuzzing.watched import run_cases

KINDS = {"images": (images, 10_000), "tables": (tables, 1_000)}


def main() -> None:
    """Run the cases and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--cases", type=int, default=None, help="10,000 images or 1,000 tables")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--keep", type=Path, default=None, help="folder for the files of faults")
    arguments = parser.parse_args()
    module, usual = KINDS[arguments.kind]
    count = usual if arguments.cases is None else arguments.cases
    module.whole_files()  # before processes are forked, once for all
    began = time.monotonic()
    outcomes = run_cases(module.judge, range(arguments.first, arguments.first + count))
    for case, fault in outcomes.faults:
        what, content = module.content_of(case)
        print(f"case {case} ({what}): {fault}")
        if arguments.keep is not None:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{arguments.kind}-{case}").write_bytes(content)
    said = ", ".join(f"{number:,} {name}" for name, number in outcomes.counts.most_common())
    print(f"{count:,} {arguments.kind} in {time.monotonic() - began:.0f} s: {said}; {len(outcomes.faults)} faults")
    raise SystemExit(bool(outcomes.faults))


if __name__ == "__main__":
    main()
