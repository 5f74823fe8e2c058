"""How long `load` takes, against the least that reading the same files takes.

    python load.py [--quick]

For each data set, files with its official names are made: label files in their real formats, and empty files for the
pictures, which are not opened. The limit is pandas.read_csv, calamine and scipy.io.loadmat for the label files and
os.scandir for the names of the pictures, with nothing checked or joined. LIVE In the Wild is the real one where
IQA_DATA_ROOT holds it (ChallengeDB_release/ and liqe-labels/), and made up otherwise.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io
from python_calamine import CalamineWorkbook

from iqa_datasets import info, load
from iqa_datasets.registry import loader_of
from iqa_datasets.testing import layout_of, make_fake


def milliseconds(run: Callable[[], object], repeats: int) -> float:
    """Shortest time of a call, after one that warms the file cache; what else the machine does only adds to it."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def write_names(name: str, images: int, folder: Path) -> Path:
    """Write the label files of a made-up data set and empty files for its pictures; return the root."""
    root = folder / info(name).folder
    layout = layout_of(name)
    planned = layout.plan(images, np.random.default_rng(0))
    pictures = {file for image in planned for file in (image.file, image.reference) if file is not None}
    for parent in {(root / picture).parent for picture in pictures}:
        parent.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        (root / picture).touch()
    layout.write_labels(root, planned)
    return root


def read_only(root: Path, labels: list[Path]) -> None:
    """Read the files that `load` reads, and do no more."""
    for folder, inner, files in os.walk(root):
        inner[:] = [name for name in inner if name != "trainingImages"]
        for file in files:
            path = Path(folder) / file if file.endswith((".mat", ".csv", ".txt", ".xlsx")) else None
            if path is None or path.name == "README.txt":
                continue
            if path.suffix == ".mat":
                scipy.io.loadmat(path)
            elif path.suffix == ".xlsx":
                with CalamineWorkbook.from_path(path) as book:
                    book.get_sheet_by_index(0).to_python()
            else:
                pd.read_csv(path, header=None)
    for path in labels:
        pd.read_csv(path, sep="\t", header=None)


def compare(title: str, name: str, root: Path, labels: Path | None, sessions: list[int], repeats: int) -> None:
    """Print one line: the time of a load, of the reading alone, and their ratio."""
    liqe = loader_of(name).liqe
    files = []
    if labels is not None and liqe is not None:
        splits = labels / "IQA_Database" / liqe.folder / "splits2"
        files = [
            splits / str(session) / f"{liqe.prefix}_{part}_clip.txt"
            for session in sessions
            for part in ("train", "val", "test")
        ]
    session = sessions[0] if len(sessions) == 1 else None
    ours = milliseconds(partial(load, name, root, labels=labels, session=session), repeats)
    limit = milliseconds(partial(read_only, root, files), repeats)
    print(f"{title:44}{len(load(name, root)):8,}{ours:9.1f} ms{limit:9.1f} ms{ours / limit:8.2f}")


def main() -> None:
    """Print one line for each way of loading."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few repeats on small made-up data sets")
    quick = parser.parse_args().quick
    repeats = 2 if quick else 15
    print(f"{'best of ' + str(repeats):44}{'images':>8}{'load':>12}{'limit':>12}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(os.environ.get("IQA_DATA_ROOT", ""))
        if quick or not (data / "ChallengeDB_release").is_dir():
            fake = make_fake("live-challenge", folder)
            root, labels = fake.root, fake.labels
        else:
            root, labels = data / "ChallengeDB_release", data / "liqe-labels"
        for title, given, sessions in (
            ("live-challenge, scores only", None, []),
            ("live-challenge, one session", labels, [1]),
            ("live-challenge, all ten sessions", labels, list(range(1, 11))),
        ):
            compare(title, "live-challenge", root, given, sessions, repeats)
        for name, images in (("kadid-10k", 10125), ("koniq-10k", 10073), ("pipal", 25000), ("spaq", 11125)):
            small = min(images, 200) if quick else images
            compare(name, name, write_names(name, small, Path(folder)), None, [], repeats)


if __name__ == "__main__":
    main()
