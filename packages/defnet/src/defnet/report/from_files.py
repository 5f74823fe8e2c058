"""The paper's tables and figures, from the files of runs alone."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from defnet.config.liqe import as_liqe
from defnet.config.training import TrainConfig
from defnet.errors import DataError, DEFNetError
from defnet.experiments.ablation import ROWS, ablation_table, whole_model
from defnet.experiments.claims import LIQE, claims_table
from defnet.experiments.complexity import complexity_table, measure, model_of
from defnet.experiments.cross import cross_table, read_shared
from defnet.experiments.found_runs import FoundRun, found_runs, named
from defnet.experiments.items import ABLATION, FIGURES, RIVAL, Outcome
from defnet.experiments.paper import ZERO_SHOT
from defnet.experiments.sweep import PREFIX, sweep_table
from defnet.experiments.table import Occasion, Table
from defnet.experiments.uncertainty_table import uncertainty_table
from defnet.experiments.whole_model import FOLDER_TYPES, by_dataset_table, by_distortion_table, interval_table


def make(
    items: Iterable[str],
    folder: Path,
    *,
    wanted: Collection[Occasion] | None = None,
    config: TrainConfig | None = None,
    zero_shot: Sequence[str] = ZERO_SHOT,
    figures: Path | None = None,
) -> Iterator[Outcome]:
    """Make tables and figures from the files of runs alone.

    Args:
        items: some of `ITEMS`.
        folder: where the runs lie.
        wanted: sessions and seeds that tables are made of; by default all that there are.
        config: the model of Table 8; by default that of the whole model's runs.
        zero_shot: the data sets of Table 2, beside those that the runs were judged on.
        figures: folder for pictures.

    Yields:
        What came of each item; an item of several tables gives several.
    """
    runs = found_runs(folder) if folder.is_dir() else []
    if wanted is not None:
        runs = [run for run in runs if run.occasion in wanted]
    for item in items:
        try:
            if item in FIGURES:
                yield Outcome(item, files=_figure(item, runs, folder, figures or folder / "figures"))
                continue
            for table in _tables(item, runs, folder, wanted, config, zero_shot):
                yield Outcome(item, table, problem=" ".join(table.lacking) or None)
        except DEFNetError as error:
            yield Outcome(item, problem=str(error))


def _tables(
    item: str,
    runs: Sequence[FoundRun],
    folder: Path,
    wanted: Collection[Occasion] | None,
    config: TrainConfig | None,
    zero_shot: Sequence[str],
) -> list[Table]:
    whole, rival = whole_model(runs), named(runs, LIQE)
    if item == "table8":
        config = config or (whole[0].result.config if whole else None)
        if config is None:
            raise DataError(f"no run of the whole model, whose size it would be, is in {folder}")
        liqe = as_liqe(config)
        return [
            complexity_table([("defnet", measure(model_of(config), config)), ("liqe", measure(model_of(liqe), liqe))])
        ]
    if item in ("table4", "claims"):
        if not any(named(runs, row.name) for row in ROWS):
            raise DataError(f"no run of the ablation is in {folder}")
        return [ablation_table(runs, wanted) if item == "table4" else claims_table(runs)]
    if item == "table5":
        if not any(run.result.name.startswith(PREFIX) for run in runs):
            raise DataError(f"no run of the sweep is in {folder}")
        return [sweep_table(runs, wanted)]
    if not whole:
        raise DataError(f"no run of the whole model is in {folder}")
    if item == "table1":
        return [by_dataset_table(whole, wanted)]
    if item == "table2":
        if not any(run.result.zero_shot for run in whole):
            raise DataError(f"no run in {folder} was judged on a data set that it was not trained on")
        return [cross_table(whole, read_shared(folder), wanted, zero_shot)]
    if item == "table6":
        return [interval_table(whole, rival, wanted)]
    if item == "uncertainty":
        return [uncertainty_table(whole)]
    trained_on = dict.fromkeys(name for run in whole for name in run.result.figures["test"])
    by_folder = {name: dataset for dataset, (name, _) in FOLDER_TYPES.items()}
    if item in by_folder and by_folder[item] not in trained_on:
        raise DataError(f"no run in {folder} was trained on {by_folder[item]}")
    datasets = [by_folder[item]] if item in by_folder else [name for name in trained_on if name not in FOLDER_TYPES]
    if not datasets:
        raise DataError(f"no run in {folder} was trained on another data set than {' and '.join(FOLDER_TYPES)}")
    return [by_distortion_table(whole, dataset, wanted) for dataset in datasets]


def _figure(item: str, runs: Sequence[FoundRun], folder: Path, pictures: Path) -> tuple[Path, ...]:
    """Draw a figure of the runs that it is of."""
    whole, rival = whole_model(runs), named(runs, LIQE)
    number = item.removeprefix("figure")
    if item in ("figure4", "figure7"):
        raise DataError("needs image files and two models, trained or as scores: defnet gmad draws it")
    if find_spec("matplotlib") is None:
        raise DataError("figures are drawn by matplotlib; pip install 'defnet[experiments]'")
    from defnet.report.figure_makers import FIGURES as MAKERS
    from defnet.report.figure_makers import write_figure

    if number not in MAKERS:
        raise DataError("nothing here draws it")
    if ABLATION in FIGURES[item]:
        chosen = [run for run in runs if run.result.name in {row.name for row in ROWS}]
    else:
        chosen = [*whole, *(rival if RIVAL in FIGURES[item] else ())]
    if not chosen:
        raise DataError(f"no run that it is of is in {folder}")
    tables = [run.predictions for run in chosen]
    return tuple(write_figure(number, [run.result for run in chosen], tables, pictures))
