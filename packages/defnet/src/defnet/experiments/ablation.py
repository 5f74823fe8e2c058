"""The ablation (Table 4): which tasks, and which of the losses U (Eq. 22) and F (Eq. 27) beside M (Eq. 13)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from defnet.config.fields import Task
from defnet.config.training import TrainConfig
from defnet.errors import ConfigError
from defnet.evaluation.figures import mean_figures
from defnet.experiments.found_runs import FoundRun, named, not_there
from defnet.experiments.paper import TABLE_4
from defnet.experiments.result import FiguresByDataset
from defnet.experiments.table import SPREAD_NOTE, Cell, Measured, Occasion, Table, measured

TASK_SETS: Final[tuple[tuple[Task, ...], ...]] = (
    ("quality",),
    ("quality", "scene"),
    ("quality", "distortion"),
    ("quality", "scene", "distortion"),
)

LOSSES: Final[Mapping[str, tuple[bool, bool]]] = {
    "M": (False, False),
    "M+U": (True, False),
    "M+F": (False, True),
    "M+U+F": (True, True),
}
"""By name, whether the cross sub-region loss and the local-global loss stand beside the multitask loss."""


@dataclass(frozen=True)
class Row:
    """A row of the ablation.

    Attributes:
        tasks: the tasks learnt.
        losses: one of `LOSSES`.
    """

    tasks: tuple[Task, ...]
    losses: str

    @property
    def task_letters(self) -> str:
        """The tasks as the paper writes them, such as `q+s`."""
        return "+".join(task[0] for task in self.tasks)

    @property
    def name(self) -> str:
        """What its runs are called, such as `q+s-M+U`."""
        return f"{self.task_letters}-{self.losses}"


ROWS: Final = tuple(Row(tasks, losses) for tasks in TASK_SETS for losses in LOSSES)
"""The sixteen rows, in the paper's order."""


def row_of(config: TrainConfig) -> Row:
    """The row that a configuration is by itself. Its runs go by that name in every experiment."""
    teaches = (config.objective.teaches_cross, config.objective.teaches_fusion)
    tasks = next(tasks for tasks in TASK_SETS if set(tasks) == set(config.model.tasks))
    return Row(tasks, next(name for name, switches in LOSSES.items() if switches == teaches))


def ablation_configs(config: TrainConfig) -> dict[str, TrainConfig]:
    """The rows' configurations by their names: those whose tasks are among the configuration's own.

    Args:
        config: the whole model; all but its tasks, its losses and the choice of its score stays.

    Raises:
        ConfigError: it has no heads of evidence, or a loss that rows should differ in weighs nothing.
    """
    if not config.model.evidence:
        raise ConfigError("an ablation needs a model with heads of evidence: model.evidence is false")
    for name in ("lambda1", "lambda2"):
        if getattr(config.objective, name) == 0:
            raise ConfigError(f"objective.{name} is 0, so that rows with its loss would be the same as those without")
    return {row.name: _config(config, row) for row in ROWS if set(row.tasks) <= set(config.model.tasks)}


def _config(config: TrainConfig, row: Row) -> TrainConfig:
    if row == row_of(config) and config.model.score is None:
        return config
    cross, fusion = LOSSES[row.losses]
    changes = {
        "model": config.model.model_dump() | {"tasks": row.tasks, "score": None},
        "objective": config.objective.model_dump() | {"cross": cross, "fusion": fusion},
    }
    try:
        return TrainConfig.model_validate(config.model_dump() | changes)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigError(f"row {row.name} of the ablation cannot be: {message}") from error


def whole_model(runs: Sequence[FoundRun]) -> list[FoundRun]:
    """The runs of the whole model among others: of the row with both losses that has the most tasks."""
    rows = [row for row in reversed(ROWS) if row.losses == "M+U+F"]
    return next((found for row in rows if (found := named(runs, row.name))), [])


def figure_of_runs(runs: Sequence[FoundRun], name: str, dataset: str | None = None) -> Measured | None:
    """A figure of the test parts over the sessions of some runs.

    Args:
        runs: the runs of one row.
        name: one of `evaluation_figures`.
        dataset: the data set, or None for the mean over all.

    Returns:
        None where no run has it.
    """
    return measured((run.occasion, part_figure(run.result.figures["test"], name, dataset)) for run in runs)


def part_figure(figures: FiguresByDataset, name: str, dataset: str | None = None) -> float | None:
    """A figure of one data set, or its mean over all of them; None where there is none."""
    return (mean_figures(figures) if dataset is None else figures.get(dataset, {})).get(name)


def ablation_table(runs: Sequence[FoundRun], wanted: Collection[Occasion] | None = None) -> Table:
    """Table 4, from the runs that there are.

    Args:
        runs: runs by the names of `ROWS`; others are passed over.
        wanted: sessions and seeds that each row should have.
    """
    rows: list[tuple[Cell, ...]] = []
    for row in ROWS:
        found, printed = named(runs, row.name), TABLE_4[row.name]
        cells: list[Cell] = [row.task_letters, row.losses]
        cells += [figure_of_runs(found, "srcc"), printed["srcc"], figure_of_runs(found, "srcc_expected")]
        cells += [figure_of_runs(found, figure) for figure in ("plcc", "plcc_logistic")]
        cells += [printed["plcc"], figure_of_runs(found, "plcc_expected")]
        for figure in ("scene_accuracy", "distortion_accuracy"):
            cells += [figure_of_runs(found, figure), printed.get(figure)]
        rows.append((*cells, len(found)))
    columns = [
        *("tasks", "losses", "SRCC", "paper SRCC", "expected SRCC"),
        *("PLCC", "PLCC logistic", "paper PLCC", "expected PLCC"),
        *("ACC s", "paper ACC s", "ACC d", "paper ACC d", "runs"),
    ]
    return Table(
        "table4",
        "Ablation of tasks and losses, means over the data sets (Table 4)",
        tuple(columns),
        tuple(rows),
        (SPREAD_NOTE, *_NOTES, *_majority(runs)),
        not_there(runs, [row.name for row in ROWS], wanted),
    )


_NOTES = (
    (
        "SRCC and PLCC (as predicted, and after the logistic) are those of the score: of the expected quality (Eq. 5) "
        "in rows M, which teach no evidence, else of the mean of the evidence. Columns `expected` are of the expected "
        "quality in every row. The paper's figures are means over six data sets."
    ),
    "A scene is right where the top one is among the labelled ones, as LIQE has it.",
)


def _majority(runs: Sequence[FoundRun]) -> tuple[str, ...]:
    told = []
    rows = {row.name for row in ROWS}
    for letter, task in (("s", "scene"), ("d", "distortion")):
        found = figure_of_runs([run for run in runs if run.result.name in rows], f"{task}_majority")
        if found is not None and found.median == found.median:
            told.append(f"ACC {letter} {found.median:.3f}")
    return (f"The best constant answer has {' and '.join(told)}.",) if told else ()
