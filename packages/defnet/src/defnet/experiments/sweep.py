"""The grid of the weights λ₁ and λ₂ of Eq. 28 (Table 5)."""

from collections.abc import Collection, Iterable, Sequence

from defnet.config.training import TrainConfig
from defnet.errors import ConfigError
from defnet.experiments.ablation import figure_of_runs, row_of, whole_model
from defnet.experiments.found_runs import FoundRun, not_there
from defnet.experiments.paper import TABLE_5
from defnet.experiments.table import SPREAD_NOTE, Cell, Occasion, Table

GRID = tuple(TABLE_5)
"""The paper's pairs of λ₁ and λ₂."""

MEAN = "mean"
"""What stands for a data set's name in the row of means."""


PREFIX = "lambda-"
"""What the names of runs of other pairs than the configuration's own begin with."""


def cell_name(lambda1: float, lambda2: float) -> str:
    """What the runs of a pair are called, such as `lambda-0.1-0.2`."""
    return f"{PREFIX}{lambda1:g}-{lambda2:g}"


def sweep_configs(config: TrainConfig, grid: Iterable[tuple[float, float]] = GRID) -> dict[str, TrainConfig]:
    """The pairs' configurations by their names; the configuration's own pair goes by its name in the ablation.

    Args:
        config: all but λ₁ and λ₂ stays.
        grid: the pairs.

    Raises:
        ConfigError: the configuration has not both losses, or a weight is not positive.
    """
    if not (config.model.evidence and config.objective.cross and config.objective.fusion):
        raise ConfigError("a sweep of λ₁ and λ₂ needs a model with heads of evidence and both losses, U and F")
    own = (config.objective.lambda1, config.objective.lambda2)
    configs: dict[str, TrainConfig] = {}
    for lambda1, lambda2 in grid:
        if not (lambda1 > 0 and lambda2 > 0):
            raise ConfigError(f"λ₁ and λ₂ of a sweep must be positive, got ({lambda1:g}, {lambda2:g})")
        if (lambda1, lambda2) == own:
            configs[row_of(config).name] = config
        else:
            weights = {"lambda1": lambda1, "lambda2": lambda2}
            objective = config.objective.model_copy(update=weights)
            configs[cell_name(lambda1, lambda2)] = config.model_copy(update={"objective": objective})
    return configs


def sweep_table(runs: Sequence[FoundRun], wanted: Collection[Occasion] | None = None) -> Table:
    """Table 5, from the runs that there are: the paper's pairs and whatever others there are.

    Args:
        runs: runs by the names of `sweep_configs`; others are passed over.
        wanted: sessions and seeds that each pair should have.
    """
    pairs: dict[tuple[float, float], list[FoundRun]] = {pair: [] for pair in GRID}
    for run in [*whole_model(runs), *(run for run in runs if run.result.name.startswith(PREFIX))]:
        objective = run.result.config.objective
        pairs.setdefault((objective.lambda1, objective.lambda2), []).append(run)
    datasets = list(
        dict.fromkeys(name for found in pairs.values() for run in found for name in run.result.figures["test"])
    )
    rows: list[tuple[Cell, ...]] = []
    for (lambda1, lambda2), found in sorted(pairs.items()):
        printed = TABLE_5.get((lambda1, lambda2), {})
        for dataset in [*datasets, *([MEAN] if len(datasets) != 1 else [])]:
            chosen = None if dataset == MEAN else dataset
            cells: list[Cell] = [lambda1, lambda2, dataset]
            for figure in ("srcc", "plcc"):
                cells += [
                    figure_of_runs(found, figure, chosen),
                    _printed(printed, figure, chosen),
                    figure_of_runs(found, f"{figure}_expected", chosen),
                ]
            rows.append((*cells, len(found)))
    columns = (
        *("lambda1", "lambda2", "data set", "SRCC", "paper SRCC", "expected SRCC"),
        *("PLCC", "paper PLCC", "expected PLCC", "runs"),
    )
    names = {pair: found[0].result.name if found else cell_name(*pair) for pair, found in pairs.items()}
    return Table(
        "table5",
        "Weights of the evidential losses (Table 5)",
        columns,
        tuple(rows),
        (SPREAD_NOTE,),
        not_there([run for found in pairs.values() for run in found], list(names.values()), wanted),
    )


def _printed(printed: dict[str, dict[str, float]], figure: str, dataset: str | None) -> float | None:
    if dataset is not None:
        return printed.get(dataset, {}).get(figure)
    values = [figures[figure] for figures in printed.values()]
    return sum(values) / len(values) if values else None
