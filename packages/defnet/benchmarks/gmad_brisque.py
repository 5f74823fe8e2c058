"""gMAD between a model and BRISQUE on LIVE In the Wild, whose ratings tell which of the two is right.

    python gmad_brisque.py OUT --data-root DATA [--model lite] [--session 1] [--levels 5] [--pairs 2]

BRISQUE is that of PyPI's `brisque` (lower = better; see requirements.txt), with the weights that come with it, which
were trained on the synthetic distortions of LIVE. OUT gets the tables of scores of both, with which a stopped run goes
on, the picture of the pairs, that of all scores, and `gmad.json`; figures of both and the verdicts are printed.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from defnet import DataRoots
from defnet.evaluation.correlations import correlations
from defnet.experiments.gmad import compete
from defnet.experiments.image_scores import ImageSet, images_of_dataset, scores_by_model, scores_in_table
from defnet.finite_json import to_json
from defnet.report.figure_style import write_picture
from defnet.report.gmad_pictures import pairs_picture, scores_picture
from iqa_datasets.images import open_image

DATASET = "live-challenge"


def write_brisque(images: ImageSet, out: Path) -> None:
    """Score the images that the table does not have yet; a row is written as it comes."""
    from brisque import BRISQUE

    done = set()
    if out.exists():
        with out.open(encoding="utf-8", newline="") as stream:
            done = {row["image"] for row in csv.DictReader(stream)}
    judge = BRISQUE()
    with out.open("a", encoding="utf-8", newline="", buffering=1) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if not done:
            writer.writerow(["image", "brisque"])
        for path, name in zip(images.files, images.names, strict=True):
            if name not in done:
                writer.writerow([name, float(judge.score(np.asarray(open_image(path))))])


def main() -> None:
    """Score, compete, draw, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data-root", required=True)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--session", type=int, default=1)
    parser.add_argument("--levels", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=2)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    images = images_of_dataset(DataRoots(given.data_root), DATASET, given.session, "test")
    write_brisque(images, given.out / "brisque.csv")
    scores = {
        Path(given.model).stem: scores_by_model(given.model, images, given.out / "scores-a.csv"),
        "BRISQUE": scores_in_table(given.out / "brisque.csv", images, score_column="brisque", better="lower"),
    }
    for name, values in scores.items():
        found = correlations(values, images.ratings)
        print(f"{name}: {len(values)} images, SRCC {found['srcc']:.3f}, PLCC {found['plcc_logistic']:.3f} (logistic)")
    competition = compete(scores, images.names, images.ratings, levels=given.levels, pairs=given.pairs)
    (given.out / "gmad.json").write_text(to_json(competition.as_dict()) + "\n", encoding="utf-8")
    write_picture(scores_picture(scores, images.names, competition), given.out, "scores")
    write_picture(pairs_picture(competition, dict(zip(images.names, images.files, strict=True))), given.out, "pairs")
    for verdict in competition.verdicts:
        print(verdict)
    print("levels without enough images:", competition.empty or "none")


if __name__ == "__main__":
    main()
