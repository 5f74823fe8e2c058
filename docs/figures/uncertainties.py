"""The figures of the pages "Five-minute start" and "What the uncertainties mean and do not mean".

    python docs/figures/uncertainties.py

Needs evidential-nig[plots]; takes about a minute. Writes start.svg and uncertainties.svg beside itself and prints the
numbers that the pages quote.
"""

from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot
from torch import Tensor, nn

from evidential_nig import NIGHead, NormalInverseGamma, evidential_loss
from evidential_nig.plots import plot_regression

FOLDER = Path(__file__).parent
NOISE = 3.0
SEEDS = range(5)
SIZES = (50, 500, 5000)
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"


def sample(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Observations of x³ with normal noise of standard deviation 3, x between −4 and 4."""
    generator = torch.Generator().manual_seed(seed)
    x = 8 * torch.rand(count, 1, generator=generator) - 4
    return x, x**3 + NOISE * torch.randn(count, 1, generator=generator)


def fit(x: Tensor, y: Tensor, seed: int, tau: float = 0.01) -> nn.Module:
    """The page's network, trained on inputs and targets of unit size."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), NIGHead(64, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    scale = y.std()
    for _ in range(1000):
        optimizer.zero_grad()
        evidential_loss(model(x / 4), y / scale, tau).backward()
        optimizer.step()
    return model


def half_width(nig: NormalInverseGamma) -> Tensor:
    """Half of the central 68.27 % interval: for a normal distribution, its standard deviation."""
    lower, upper = nig.predictive().interval(0.6827)
    return (upper - lower) / 2


@torch.no_grad()
def predict(model: nn.Module, x: Tensor, scale: Tensor) -> NormalInverseGamma:
    """Beliefs in the units of y: δ and √β scale with them."""
    nig = model(x / 4)[:, 0]
    return NormalInverseGamma.from_alpha_minus_one(
        scale * nig.loc, nig.nu, nig.alpha_minus_one, scale**2 * nig.beta, validate_args=False
    )


def main() -> None:
    """Train, draw and print."""
    mpl.rcParams.update({"svg.hashsalt": "evidential-nig", "svg.fonttype": "path", "font.size": 9})
    grid = torch.linspace(-7, 7, 281).unsqueeze(-1)
    inside = torch.linspace(-3.5, 3.5, 141).unsqueeze(-1)

    x, y = sample(500, 0)
    figure, ax = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    wide = torch.linspace(-5, 5, 201).unsqueeze(-1)
    plot_regression(wide[:, 0], predict(fit(x, y, 0), wide, y.std()), observations=(x[:, 0], y[:, 0]), ax=ax)
    ax.axvspan(-4, 4, color="black", alpha=0.04, linewidth=0)
    ax.set_ylim(-110, 110)
    figure.savefig(FOLDER / "start.svg", metadata={"Date": None})

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.2, 3.6), layout="constrained")
    members = [predict(fit(x, y, seed), grid, y.std()) for seed in SEEDS]
    for member in members:
        label = member is members[0]
        left.plot(grid, half_width(member), color=GREEN, lw=1, label="half of the 68 % interval" if label else None)
        left.plot(grid, member.epistemic.sqrt(), color=BLUE, lw=1, label="epistemic" if label else None)
        left.plot(grid, member.aleatoric.sqrt(), color=VERMILION, lw=1, label="aleatoric" if label else None)
    spread = torch.stack([member.loc for member in members]).std(0)
    left.plot(grid, spread, color="black", lw=1.5, ls="--", label="spread of the 5 means")
    left.axhline(NOISE, color="grey", lw=1, ls=":", label="true noise")
    left.axvspan(-4, 4, color="black", alpha=0.04, linewidth=0)
    left.set(yscale="log", ylim=(0.05, 60), xlabel="x", ylabel="standard deviation")
    left.set_title("one data set, five starts", fontsize=9)
    left.legend(frameon=False, fontsize=7, ncols=2)

    rows = []
    for size in SIZES:
        x, y = sample(size, 1)
        several = [predict(fit(x, y, seed), inside, y.std()) for seed in SEEDS]
        truth = inside[:, 0] ** 3
        rows.append(
            [
                torch.stack([m.epistemic.sqrt().median() for m in several]).median(),
                torch.stack([m.aleatoric.sqrt().median() for m in several]).median(),
                torch.stack([half_width(m).median() for m in several]).median(),
                torch.stack([(m.loc - truth).square().mean().sqrt() for m in several]).median(),
            ]
        )
    table = torch.tensor(rows)
    styles = (
        ("epistemic", BLUE, "o-"),
        ("aleatoric", VERMILION, "s-"),
        ("half of the 68 % interval", GREEN, "^-"),
        ("true error of the mean", "black", "D--"),
    )
    for column, (name, color, style) in enumerate(styles):
        right.plot(SIZES, table[:, column], style, color=color, lw=1.2, ms=4, label=name)
    right.axhline(NOISE, color="grey", lw=1, ls=":", label="true noise")
    right.set(xscale="log", yscale="log", xlabel="training points", ylabel="standard deviation within the data")
    right.set_title("more data, median of five starts", fontsize=9)
    right.legend(frameon=False, fontsize=7)
    for ax in (left, right):
        ax.grid(visible=True, color="#DDDDDD", linewidth=0.6)
        ax.set_axisbelow(True)
    figure.savefig(FOLDER / "uncertainties.svg", metadata={"Date": None})

    print("points", *(name for name, _, _ in styles), sep=" | ")
    for size, row in zip(SIZES, table.tolist(), strict=True):
        print(size, *(f"{value:.2f}" for value in row), sep=" | ")
    for place in (0.0, 3.0, 7.0, -7.0):
        index = int((grid[:, 0] - place).abs().argmin())
        for name in ("epistemic", "aleatoric"):
            values = [getattr(member, name)[index].sqrt().item() for member in members]
            print(f"x = {place:g}: {name} from {min(values):.2f} to {max(values):.2f}")
        means = [member.loc[index].item() for member in members]
        print(f"x = {place:g}: means from {min(means):.0f} to {max(means):.0f}, spread {spread[index]:.2f}")


if __name__ == "__main__":
    main()
