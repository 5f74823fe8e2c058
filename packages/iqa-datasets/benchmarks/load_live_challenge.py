"""How long `load("live-challenge", ...)` takes, against the least that reading the same files takes.

    python load_live_challenge.py [--quick]

The limit is scipy.io.loadmat for the three .mat files, os.scandir for the images' names and pandas.read_csv for the
label files, with nothing checked or joined. The data are those of IQA_DATA_ROOT (ChallengeDB_release/ and
liqe-labels/), or a made-up data set of 24 images where it is unset or with --quick.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import scipy.io

from iqa_datasets import load
from iqa_datasets.testing import make_fake


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """Shortest time of a call, after one that warms the file cache; what else the machine does only adds to it."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def read_only(root: Path, labels: Path, sessions: list[int]) -> None:
    """Read the files that `load` reads, and do no more."""
    for stem in ("AllImages_release", "AllMOS_release", "AllStdDev_release"):
        scipy.io.loadmat(root / "Data" / f"{stem}.mat")
    with os.scandir(root / "Images") as entries:
        [entry.name for entry in entries if entry.is_file()]
    for session in sessions:
        for part in ("train", "val", "test"):
            folder = labels / "IQA_Database" / "ChallengeDB_release" / "splits2" / str(session)
            pd.read_csv(folder / f"clive_{part}_clip.txt", sep="\t", header=None)


def main() -> None:
    """Print one line for each way of loading."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few repeats on a made-up data set")
    quick = parser.parse_args().quick
    repeats = 5 if quick else 31
    with tempfile.TemporaryDirectory() as folder:
        if quick or not os.environ.get("IQA_DATA_ROOT"):
            fake = make_fake("live-challenge", folder)
            root, labels = fake.root, fake.labels
        else:
            root = Path(os.environ["IQA_DATA_ROOT"]) / "ChallengeDB_release"
            labels = Path(os.environ["IQA_DATA_ROOT"]) / "liqe-labels"
        print(f"live-challenge, {len(load('live-challenge', root))} images, best of {repeats}")
        print(f"{'':24}{'load':>10}{'limit':>10}{'ratio':>8}")
        for title, given, session, sessions in (
            ("scores only", None, None, []),
            ("one session", labels, 1, [1]),
            ("all ten sessions", labels, None, list(range(1, 11))),
        ):
            loaded = partial(load, "live-challenge", root, labels=given, session=session)
            ours = milliseconds(loaded, repeats)
            limit = milliseconds(partial(read_only, root, labels, sessions), repeats)
            print(f"{title:24}{ours:7.1f} ms{limit:7.1f} ms{ours / limit:8.2f}")


if __name__ == "__main__":
    main()
