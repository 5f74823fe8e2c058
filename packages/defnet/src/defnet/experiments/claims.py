"""Which of the paper's claims hold in an ablation, by paired tests that allow for sessions with shared images."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from defnet.evaluation.paired_tests import PairedTest, corrected_paired_t, holm
from defnet.experiments.ablation import LOSSES, TASK_SETS, Row, part_figure
from defnet.experiments.found_runs import FoundRun, named, occasions
from defnet.experiments.table import Cell, Occasion, Table, by_session

LIQE = "liqe"
"""The name of LIQE's runs, trained alongside."""

FIGURES = {
    "srcc": ("SRCC", 1),
    "plcc": ("PLCC", 1),
    "plcc_logistic": ("PLCC logistic", 1),
    "band_logistic": ("width of the logistic's band", -1),
    "width_95": ("width of the 95 % interval", -1),
    "crps": ("CRPS", -1),
}
"""By figure: what it is called, and whether more (1) or less (-1) of it is better."""

CORRELATIONS = ("srcc", "plcc", "plcc_logistic")

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """Rows of which a claim says that they have a better figure than others.

    Attributes:
        claim: the claim.
        figure: one of `FIGURES`.
        pairs: of each pair the row that should have the better figure, and the row that should not. Of several pairs
            the mean difference is tested.
    """

    claim: str
    figure: str
    pairs: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, str]:
        """What stands for the two sides."""
        return self.pairs[0] if len(self.pairs) == 1 else (f"mean of these {len(self.pairs)}", "")

    @property
    def family(self) -> tuple[str, str]:
        """The comparisons that Holm's adjustment takes together: a claim's pairs, or all claims' means."""
        return (self.claim if len(self.pairs) == 1 else "means", self.figure)


def comparisons() -> Iterator[Comparison]:
    """Every comparison of every claim, in order: the mean over a claim's pairs first, then each pair."""
    for claim, figures, pairs in _claims():
        for figure in figures:
            if len(pairs) > 1:
                yield Comparison(claim, figure, pairs)
            for pair in pairs:
                yield Comparison(claim, figure, (pair,))


def _claims() -> Iterator[tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]]:
    def pairs(*losses: tuple[str, str]) -> tuple[tuple[str, str], ...]:
        return tuple((Row(tasks, one).name, Row(tasks, other).name) for tasks in TASK_SETS for one, other in losses)

    tasks_help = [(Row(tasks, of).name, Row(TASK_SETS[0], of).name) for of in LOSSES for tasks in TASK_SETS[1:]]
    yield "auxiliary tasks help", CORRELATIONS, tuple(tasks_help)
    yield "the loss U helps", CORRELATIONS, pairs(("M+U", "M"), ("M+U+F", "M+F"))
    yield "the loss F helps", CORRELATIONS, pairs(("M+F", "M"), ("M+U+F", "M+U"))
    yield "fusion lowers uncertainty", ("band_logistic",), pairs(("M+U+F", "M"))
    yield "fusion lowers uncertainty", ("width_95", "crps"), pairs(("M+U+F", "M+U"))
    whole = Row(TASK_SETS[-1], "M+U+F").name
    yield "DEFNet is better than LIQE", (*CORRELATIONS, "band_logistic"), ((whole, LIQE),)


def claims_table(runs: Sequence[FoundRun]) -> Table:
    """Each claim's comparisons with their tests, from the runs that there are.

    A difference is that of the means over data sets, of one session the mean over the seeds that both rows have.
    """
    there = {run.result.name for run in runs}
    found = [
        (comparison, *_differences(runs, comparison))
        for comparison in comparisons()
        if all(name in there for pair in comparison.pairs for name in pair)
    ]
    tests = [_test(values, share) for _, values, share in found]
    adjusted = _adjusted([comparison for comparison, _, _ in found], tests)
    rows: list[tuple[Cell, ...]] = []
    for (comparison, values, _), test, p in zip(found, tests, adjusted, strict=True):
        name, sign = FIGURES[comparison.figure]
        cells: tuple[Cell, ...] = (comparison.claim, name, *comparison.names)
        mean = float(np.mean(values)) if len(values) else None
        wins = f"{int(np.sum(sign * values > 0))} of {len(values)}"
        if test is None:
            rows.append((*cells, mean, None, None, wins, None, None, None, None))
        else:
            verdict = _verdict(sign * test.mean, p)
            rows.append((*cells, mean, test.low, test.high, wins, test.statistic, test.p_value, p, verdict))
    return Table(
        "claims",
        "The paper's claims, tested on these runs",
        (
            *("claim", "figure", "with", "without", "difference", "low", "high", "better in"),
            *("t", "p", "p (Holm)", "holds"),
        ),
        tuple(rows),
        _NOTES,
    )


_NOTES = (
    (
        "The difference is `with` less `without`, the mean over sessions; of one session, the mean over the seeds that "
        "both have. Its 95 % interval, t and p (two-sided) are of the resampled t-test with Nadeau and Bengio's "
        "correction for sessions whose training parts share images; Holm's adjustment is over the pairs of one claim "
        "and figure, and over the means of all claims. A claim holds where the difference is in its favour and the "
        f"adjusted p is below {SIGNIFICANT}; `opposite` is the same against it; `not shown` is neither."
    ),
    (
        "PLCC as predicted also judges whether the scores are on the ratings' scale, which nothing teaches the "
        "expected quality (the score of rows M); after the logistic it does not."
    ),
    "A smaller width is better only where the coverage stays (Table 6); CRPS judges both together.",
)


def _differences(runs: Sequence[FoundRun], comparison: Comparison) -> tuple[NDArray[np.float64], float]:
    """Differences by session, and the number of test images by that of training images."""
    by_row = {
        name: {run.occasion: run for run in named(runs, name)}
        for name in itertools.chain.from_iterable(comparison.pairs)
    }
    common = [occasion for occasion in occasions(runs) if all(occasion in of_row for of_row in by_row.values())]
    differences: list[tuple[Occasion, float | None]] = []
    for occasion in common:
        figures = {
            name: part_figure(of_row[occasion].result.figures["test"], comparison.figure)
            for name, of_row in by_row.items()
        }
        gains = [_number(figures[one]) - _number(figures[other]) for one, other in comparison.pairs]
        differences.append((occasion, float(np.mean(gains))))
    first = by_row[comparison.pairs[0][0]]
    shares = [_share(first[occasion]) for occasion in common]
    values = np.array(list(by_session(differences).values()), dtype=np.float64)
    return values, float(np.mean(shares)) if shares else math.nan


def _number(value: float | None) -> float:
    """A figure that a run has not is one that could not be computed."""
    return math.nan if value is None else value


def _share(run: FoundRun) -> float:
    """The number of test images by the number of training images."""
    trained = [summary.images for summary in run.result.data.values() if "train" in summary.images]
    return sum(images.get("test", 0) for images in trained) / sum(images["train"] for images in trained)


def _test(differences: NDArray[np.float64], share: float) -> PairedTest | None:
    """The test, or None where there is none: of one session, or of a figure that could not be computed in one."""
    if len(differences) < 2 or not np.isfinite(differences).all():
        return None
    return corrected_paired_t(differences, test_share=share)


def _adjusted(comparisons: Sequence[Comparison], tests: Sequence[PairedTest | None]) -> list[float]:
    """Holm's adjustment within each family; what could not be tested has no part."""
    adjusted = [math.nan] * len(comparisons)
    families: dict[tuple[str, str], list[int]] = {}
    for number, (comparison, test) in enumerate(zip(comparisons, tests, strict=True)):
        if test is not None:
            families.setdefault(comparison.family, []).append(number)
    for numbers in families.values():
        p_values = [test.p_value for test in map(tests.__getitem__, numbers) if test is not None]
        for number, p in zip(numbers, holm(p_values), strict=True):
            adjusted[number] = float(p)
    return adjusted


def _verdict(gain: float, p: float) -> str:
    if p >= SIGNIFICANT:
        return "not shown"
    return "yes" if gain > 0 else "opposite"
