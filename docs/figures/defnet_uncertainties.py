"""The figure of the page "Read the uncertainties", and the numbers that it quotes.

    python docs/figures/defnet_uncertainties.py RUN

RUN is the folder of a finished run (`result.json`, `predictions.parquet`) of the preset `lite`. Needs
defnet[experiments]. Writes defnet-uncertainties.svg beside itself and prints the tables.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch

from defnet.experiments.prediction_table import evidence_of, read_predictions
from defnet.experiments.result import read_result
from defnet.experiments.uncertainty_rows import uncertainty_rows
from defnet.report.figure_style import COLORS, GREY, MARKERS, panels
from evidential_nig.plots import plot_calibration_curve
from evidential_nig.recalibration import VarianceScale

FOLDER = Path(__file__).parent
LEVELS = (50, 80, 95)


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    result, predictions = read_result(run), read_predictions(run)
    rows = uncertainty_rows(predictions, result.config.model)
    test = predictions[predictions["part"] == "test"]
    evidence, target = evidence_of(test), torch.tensor(test["quality"].to_numpy(np.float64))
    scale = VarianceScale((result.variance_scale or 1.0) ** 0.5)

    mpl.rcParams.update({"svg.hashsalt": "defnet", "svg.fonttype": "path", "font.size": 9})
    figure, [[left, middle, right]] = panels(1, 3, width=3.4, height=3.3)
    plot_calibration_curve(evidence.predictive(), target, label="as trained", ax=left)
    recalibrated = f"variance × {scale.factor**2:.2f}"
    plot_calibration_curve(scale.apply(evidence).predictive(), target, label=recalibrated, ax=left)
    left.set(xlabel="expected share of ratings below", ylabel="observed share")
    left.legend(frameon=False, fontsize=7, loc="upper left")

    raw = rows[rows["correction"] == "as trained"].set_index("fusion")
    middle.plot(LEVELS, LEVELS, color=GREY, linestyle="--", linewidth=1, label="as stated")
    for number, fusion in enumerate(raw.index):
        observed = [100 * raw.loc[fusion, f"coverage_{level}"] for level in LEVELS]
        middle.plot(LEVELS, observed, f"{MARKERS[number]}-", color=COLORS[number], linewidth=1, ms=4, label=fusion)
    middle.set(xlabel="stated coverage, %", ylabel="observed coverage as trained, %", xticks=LEVELS, ylim=(0, 100))
    middle.legend(frameon=False, fontsize=7, loc="lower right")

    parts = [part.sqrt().numpy() for part in (evidence.aleatoric, evidence.epistemic)]
    right.scatter(*parts, s=9, color=COLORS[0], alpha=0.6, linewidths=0)
    right.set(xlabel="aleatoric deviation", ylabel="epistemic deviation", xlim=(0, None), ylim=(0, None))
    figure.savefig(FOLDER / "defnet-uncertainties.svg", metadata={"Date": None})

    print(f"{result.name}, session {result.session}: {len(test)} test images, variance × {result.variance_scale:.3f}")
    shown = ["fusion", "correction", *(f"coverage_{level}" for level in LEVELS), "width_95", "nll", "nll_constant"]
    shown += ["crps", "crps_constant", "ause", "error_spearman", "parts_spearman"]
    print(rows[shown].round(3).to_string(index=False))
    print("correlation of the two deviations:", np.corrcoef(*parts)[0, 1].round(4))


if __name__ == "__main__":
    main()
