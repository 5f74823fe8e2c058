"""The picture of docs/tutorials/codec-study.md: fused quality over bits, by codec.

    python docs/figures/codec_study.py study.csv

study.csv is what the page's code writes.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

COLORS = {"JPEG": "#c8553d", "JPEG2000": "#2e86ab", "WEBP": "#1f9e89"}
TITLES = {"JPEG": "JPEG", "JPEG2000": "JPEG 2000", "WEBP": "WebP"}


def main() -> None:
    """Write codec-study.svg beside this script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    table = pd.read_csv(parser.parse_args().study)
    mpl.rcParams.update({"svg.hashsalt": "codec-study", "svg.fonttype": "path", "font.size": 9})
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for codec, rows in table.groupby("codec"):
        curves = [one.sort_values("bits") for _, one in rows.groupby("photograph")]
        for curve in curves:
            axes.plot(curve["bits"], curve["quality"], color=COLORS[codec], linewidth=0.7, alpha=0.5)
        mean = [np.stack([curve[name] for curve in curves]).mean(0) for name in ("bits", "quality")]
        axes.plot(*mean, "o-", color=COLORS[codec], linewidth=2, markersize=4, label=TITLES[codec])
    axes.set(xscale="log", xlabel="bits a pixel", ylabel="fused quality", ylim=(0, 1))
    axes.set_xticks([0.1, 0.2, 0.5, 1, 2], ["0.1", "0.2", "0.5", "1", "2"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(Path(__file__).with_name("codec-study.svg"), metadata={"Date": None})


if __name__ == "__main__":
    main()
