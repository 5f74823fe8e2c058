"""The figure of the page "Which loss", from the measured figures of the UCI benchmark.

    python docs/figures/which_loss.py

Needs matplotlib and pandas. Reads packages/evidential-nig/benchmarks/uci_results.csv and writes which-loss.svg beside
itself.
"""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parents[1] / "packages" / "evidential-nig" / "benchmarks" / "uci_results.csv"
REFERENCE = "evidential"
LEVELS = (0.5, 0.8, 0.95)


def main() -> None:
    """Draw both panels: likelihood and coverage, each set counting alike."""
    mpl.rcParams.update({"svg.hashsalt": "evidential-nig", "svg.fonttype": "path", "font.size": 9})
    table = pd.read_csv(RESULTS).set_index(["set", "repetition", "method"])
    nll = table["nll"].unstack("method")
    plain = [name for name in nll.columns if not name.endswith(", rescaled")]
    differences = nll.sub(nll[REFERENCE], axis=0).groupby("set")
    mean = differences.mean().mean()
    error = np.sqrt(differences.sem().pow(2).sum()) / differences.ngroups
    miss = 100 * sum(
        (table[f"coverage_{level:g}"].unstack("method").groupby("set").mean() - level).abs().mean() for level in LEVELS
    )
    miss /= len(LEVELS)

    order = sorted(plain, key=lambda name: -mean[name])
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.6, 3.8), sharey=True, layout="constrained")
    for offset, suffix, color, label in (
        (0.14, "", "#0072B2", "as trained"),
        (-0.14, ", rescaled", "#D55E00", "with VarianceScale"),
    ):
        names = [(place, name + suffix) for place, name in enumerate(order) if name + suffix in mean]
        places = [place + offset for place, _ in names]
        methods = [name for _, name in names]
        left.errorbar(
            mean[methods], places, xerr=error[methods], fmt="o", ms=4, lw=1.2, capsize=2, color=color, label=label
        )
        right.plot(miss[methods], places, "o", ms=5, color=color)
    left.axvline(0, color="grey", lw=1, ls=":")
    left.set(
        yticks=range(len(order)), yticklabels=order, xlabel=f"NLL less that of “{REFERENCE}”, nats (lower is better)"
    )
    right.set(xlabel="coverage off its level, percentage points", xlim=(0, None))
    left.legend(frameon=False, fontsize=8)
    for ax in (left, right):
        ax.grid(visible=True, color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
    figure.savefig(FOLDER / "which-loss.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
