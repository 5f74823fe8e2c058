"""The picture of the home page and of docs/defnet/start.md: the samples with their scores and intervals.

    python docs/figures/scores.py

Scores samples/ with the model that scores by default. Ink and paper suit a light page and a dark one.
"""

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from PIL import Image, ImageOps

import defnet

FOLDER = Path(__file__).parent
SAMPLES = FOLDER.parents[1] / "samples"
# Each photograph and, under it, a copy that was degraded on purpose.
PAIRS = (
    ("astronaut", "astronaut_underexposed"),
    ("camera", "camera_blur"),
    ("chelsea", "chelsea_jpeg8"),
    ("coffee", "coffee_noise"),
    ("rocket", "rocket_noise"),
)
INK, BAR = "#7f7f7f", "#1f9e89"


def main() -> None:
    """Write scores.webp beside this script."""
    mpl.rcParams.update({"font.size": 9, "text.color": INK, "axes.edgecolor": INK, "xtick.color": INK})
    figure, axes = plt.subplots(
        4, len(PAIRS), figsize=(10, 4.5), gridspec_kw={"height_ratios": [6, 1, 6, 1], "hspace": 0.12, "wspace": 0.06}
    )
    scorer = defnet.load_scorer(device="cpu")
    for column, pair in enumerate(PAIRS):
        for row, name in enumerate(pair):
            picture, scale = axes[2 * row][column], axes[2 * row + 1][column]
            path = SAMPLES / f"{name}.jpg"
            picture.imshow(ImageOps.fit(Image.open(path).convert("RGB"), (360, 270), Image.Resampling.LANCZOS))
            picture.axis("off")
            picture.set_anchor("S")
            [score] = scorer.score([path])
            scale.plot((score.lower, score.upper), (0, 0), color=BAR, linewidth=5, alpha=0.45, solid_capstyle="butt")
            scale.plot(score.quality, 0, "o", color=BAR, markersize=6)
            scale.set(xlim=(0.8, 5.2), ylim=(-1, 1.6), yticks=[], xticks=[1, 2, 3, 4, 5])
            scale.text(score.quality, 0.55, f"{score.quality:.2f}", ha="center", weight="bold")
            scale.tick_params(length=2, labelsize=7, pad=1)
            for side in ("left", "right", "top"):
                scale.spines[side].set_visible(False)
            print(f"{name}: {score.quality:.2f} ({score.lower:.2f} to {score.upper:.2f}), {score.distortion}")
    figure.savefig(
        FOLDER / "scores.webp",
        dpi=110,
        transparent=True,
        bbox_inches="tight",
        pad_inches=0.02,
        pil_kwargs={"quality": 82, "method": 6},
    )


if __name__ == "__main__":
    main()
