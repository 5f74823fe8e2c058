"""Smoke test of the installed iqa-datasets wheel: python smoke_iqa_datasets.py REPOSITORY."""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from installed import check_installed, expect

import iqa_datasets
from iqa_datasets.testing import make_fake


def main() -> None:
    """Use what the wheel has, as a script that starts processes."""
    check_installed("iqa-datasets")
    expect(importlib.util.find_spec("torch") is None, "iqa-datasets must not bring torch with it")
    with tempfile.TemporaryDirectory() as folder:
        fake = make_fake("live-challenge", folder, images=20)
        whole = iqa_datasets.load("live-challenge", fake.root, labels=fake.labels)
        parts = {
            part: iqa_datasets.load("live-challenge", fake.root, labels=fake.labels, session=1, part=part)
            for part in iqa_datasets.PARTS
        }
        try:
            iqa_datasets.TorchView(whole)
        except ImportError as error:
            expect('pip install "iqa-datasets[torch]"' in str(error), f"TorchView should say what to install: {error}")
        else:
            expect(False, "a TorchView was made without torch")
        sizes = {part: len(dataset) for part, dataset in parts.items()}
        expect(len(whole) == 20, f"read {len(whole)} of 20 images")
        expect(sum(sizes.values()) == 20, f"the parts of session 1 hold {sizes}, which is not 20 images")
        expect(list(whole.records.columns) == list(iqa_datasets.SCHEMA), f"columns are {list(whole.records.columns)}")
        expect(bool(whole.records["quality"].between(1, 5).all()), "a quality lies outside [1, 5]")
        for name in iqa_datasets.available():
            made = make_fake(name, f"{folder}/{name}", images=10)
            found = iqa_datasets.verify(name, made.root)
            expect(found.ok, f"verify finds faults in the fake of {name}: {found.faults}")
        kadid = iqa_datasets.load("kadid-10k", f"{folder}/kadid-10k/kadid10k", session="seeded-1")
        expect(not iqa_datasets.crossings(kadid), "a split of our own has pictures on both sides")
        shared = iqa_datasets.overlap(kadid, kadid, crops=False).shared
        expect(len(shared) >= kadid.records["content"].nunique(), f"overlap of a data set with itself is {shared}")
        photographs = f"{folder}/koniq-10k/koniq-10k/1024x768"
        synthesis = iqa_datasets.synthesize(photographs, f"{folder}/made", types=["jpeg"], levels=[5], workers=2)
        expect(synthesis.made == 10, f"synthesize made {synthesis.made} of 10 images, {synthesis.failures}")
        expect(len(iqa_datasets.load("folder", synthesis.folder)) == 10, "what synthesize made does not load")
        program = Path(sys.executable).with_name("iqa-datasets")
        table = f"{folder}/table.csv"
        subprocess.run([program, "table", "live-challenge", fake.root, "--out", table], capture_output=True, check=True)
        expect(len(Path(table).read_text(encoding="utf-8").splitlines()) == 21, "the command writes another table")
    program = Path(sys.executable).with_name("iqa-datasets")
    listed = subprocess.run([program, "list", "--format", "csv"], capture_output=True, text=True, check=True).stdout
    expect(len(listed.splitlines()) == 1 + len(iqa_datasets.available()), f"the command lists {listed}")
    print(f"iqa-datasets: {len(iqa_datasets.available())} data sets; 20 images, session 1 as {sizes}")


if __name__ == "__main__":
    main()
