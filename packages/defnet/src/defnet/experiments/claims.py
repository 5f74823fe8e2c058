"""Which of the paper's claims hold in an ablation, by paired tests that allow for sessions with shared images."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from defnet.evaluation.paired_tests import PairedTest, corrected_paired_t, holm
from defnet.experiments.ablation import LOSSES, TASK_SETS, Row, part_figure
from defnet.experiments.found_runs import FoundRun, named
from defnet.experiments.table import Cell, Table, by_session

LIQE = "liqe"
"""The name of LIQE's runs, trained alongside."""

FIGURES = {
    "srcc": ("SRCC", 1),
    "plcc": ("PLCC", 1),
    "band_logistic": ("width of the logistic's band", -1),
    "width_95": ("width of the 95 % interval", -1),
    "crps": ("CRPS", -1),
}
"""By figure: what it is called, and whether more (1) or less (-1) of it is better."""

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Comparison:
    """Two rows of which a claim says that one has the better figure.

    Attributes:
        claim: the claim.
        figure: one of `FIGURES`.
        better: the row that should have it.
        worse: the other row.
    """

    claim: str
    figure: str
    better: str
    worse: str


def comparisons() -> list[Comparison]:
    """Every comparison of every claim, in order."""
    return list(_comparisons())


def _comparisons() -> Iterator[Comparison]:
    quality = TASK_SETS[0]
    for figure in ("srcc", "plcc"):
        for losses in LOSSES:
            for tasks in TASK_SETS[1:]:
                yield Comparison("auxiliary tasks help", figure, Row(tasks, losses).name, Row(quality, losses).name)
    for claim, pairs in (
        ("the loss U helps", (("M+U", "M"), ("M+U+F", "M+F"))),
        ("the loss F helps", (("M+F", "M"), ("M+U+F", "M+U"))),
    ):
        for figure in ("srcc", "plcc"):
            for tasks in TASK_SETS:
                for better, worse in pairs:
                    yield Comparison(claim, figure, Row(tasks, better).name, Row(tasks, worse).name)
    for figure, worse in (("band_logistic", "M"), ("width_95", "M+U"), ("crps", "M+U")):
        for tasks in TASK_SETS:
            yield Comparison("fusion lowers uncertainty", figure, Row(tasks, "M+U+F").name, Row(tasks, worse).name)
    for figure in ("srcc", "plcc", "band_logistic"):
        yield Comparison("DEFNet is better than LIQE", figure, Row(TASK_SETS[-1], "M+U+F").name, LIQE)


def claims_table(runs: Sequence[FoundRun]) -> Table:
    """Each claim's comparisons with their tests, from the runs that there are.

    A difference is that of the means over data sets, of one session the mean over the seeds that both rows have.
    """
    found = [
        (comparison, *_differences(runs, comparison))
        for comparison in comparisons()
        if named(runs, comparison.better) and named(runs, comparison.worse)
    ]
    tests = [_test(values, share) for _, values, share in found]
    adjusted = _adjusted([comparison for comparison, _, _ in found], tests)
    rows: list[tuple[Cell, ...]] = []
    for (comparison, values, _), test, p in zip(found, tests, adjusted, strict=True):
        name, sign = FIGURES[comparison.figure]
        cells: tuple[Cell, ...] = (comparison.claim, name, comparison.better, comparison.worse)
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
        "both have. Its 95 % interval, t and p (two-sided) are those of the resampled t-test with Nadeau and Bengio's "
        "correction for sessions whose training parts share images; Holm's adjustment is within each claim and figure. "
        f"A claim holds where the difference is in its favour and the adjusted p is below {SIGNIFICANT}; `opposite` is "
        "the same against it; `not shown` is neither."
    ),
    "A smaller width is better only where the coverage stays (Table 6); CRPS judges both together.",
)


def _differences(runs: Sequence[FoundRun], comparison: Comparison) -> tuple[NDArray[np.float64], float]:
    """Differences by session, and the number of test images by that of training images."""
    sides = [{run.occasion: run for run in named(runs, name)} for name in (comparison.better, comparison.worse)]
    both = [occasion for occasion in sides[0] if occasion in sides[1]]
    differences = []
    for occasion in both:
        better, worse = (part_figure(side[occasion].result.figures["test"], comparison.figure) for side in sides)
        known = better is not None and worse is not None
        differences.append((occasion, better - worse if known else None))  # type: ignore[operator]
    shares = [_share(sides[0][occasion]) for occasion in both]
    values = np.array(list(by_session(differences).values()), dtype=np.float64)
    return values, float(np.mean(shares)) if shares else math.nan


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
    """Holm's adjustment within each claim and figure; what could not be tested has no part."""
    adjusted = [math.nan] * len(comparisons)
    families: dict[tuple[str, str], list[int]] = {}
    for number, (comparison, test) in enumerate(zip(comparisons, tests, strict=True)):
        if test is not None:
            families.setdefault((comparison.claim, comparison.figure), []).append(number)
    for numbers in families.values():
        p_values = [test.p_value for test in map(tests.__getitem__, numbers) if test is not None]
        for number, p in zip(numbers, holm(p_values), strict=True):
            adjusted[number] = float(p)
    return adjusted


def _verdict(gain: float, p: float) -> str:
    if p >= SIGNIFICANT:
        return "not shown"
    return "yes" if gain > 0 else "opposite"
