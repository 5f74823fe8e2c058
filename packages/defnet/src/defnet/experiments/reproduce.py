"""Every table and figure of the paper: which runs each needs, and what could not be made and why."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from defnet.config.data import Session
from defnet.config.liqe import as_liqe
from defnet.config.training import TrainConfig
from defnet.data.roots import DataRoots
from defnet.errors import DataError, DEFNetError
from defnet.experiments.ablation import ROWS, ablation_configs, ablation_table, row_of
from defnet.experiments.claims import LIQE, claims_table
from defnet.experiments.complexity import complexity_table, measure, model_of
from defnet.experiments.cross import cross_table, find_shared, read_shared
from defnet.experiments.found_runs import FoundRun, found_runs, named
from defnet.experiments.paper import ZERO_SHOT
from defnet.experiments.preparation import check_labels, there, without_missing
from defnet.experiments.protocol import Run, all_runs, check_data, run_all
from defnet.experiments.sweep import GRID, sweep_configs, sweep_table
from defnet.experiments.table import Occasion, Table
from defnet.experiments.whole_model import FOLDER_TYPES, by_dataset_table, by_distortion_table, interval_table
from defnet.training.reporter import Reporter, Silent

WHOLE, RIVAL, ABLATION, SWEEP = "the whole model", "LIQE", "the ablation", "the sweep"

GROUPS: Final = (WHOLE, RIVAL, ABLATION, SWEEP)
"""Sets of runs, in the order in which they are made."""

TABLES: Final = {
    "table1": (WHOLE,),
    "table2": (WHOLE,),
    "table3": (WHOLE,),
    "table4": (ABLATION,),
    "table5": (SWEEP,),
    "table6": (WHOLE, RIVAL),
    "table7": (WHOLE,),
    "table8": (),
    "distortions": (WHOLE,),
    "claims": (ABLATION,),
}
"""Tables, and the runs that each needs."""

FIGURES: Final = {
    "figure1": (WHOLE, RIVAL),
    "figure4": (),
    "figure5": (WHOLE,),
    "figure6": (WHOLE,),
    "figure7": (),
    "figure8": (ABLATION,),
    "figure9": (ABLATION,),
    "figure10": (ABLATION,),
    "figure11": (WHOLE, RIVAL),
    "reliability": (WHOLE,),
}
"""Figures with something measured in them, likewise. Figures 2 and 3 are drawings of the method."""

ITEMS: Final = (*TABLES, *FIGURES)


@dataclass(frozen=True)
class Options:
    """How runs are made.

    Attributes:
        config: the whole model's configuration.
        sessions: the sessions that each row is trained on.
        seeds: the seeds, likewise.
        roots: where data lies.
        folder: where runs go.
        cache: folder for pools of views, or None for one in `folder`.
        device: where to compute, or None for CUDA where there is one.
        jobs: runs at a time.
        grid: pairs of λ₁ and λ₂ of the sweep.
        zero_shot: data sets that the whole model is judged on without having been trained on them.
        reporter: hears how it goes on.
    """

    config: TrainConfig
    sessions: Sequence[Session]
    seeds: Sequence[int]
    roots: DataRoots
    folder: Path
    cache: Path | None = None
    device: str | None = None
    jobs: int = 1
    grid: Sequence[tuple[float, float]] = GRID
    zero_shot: Sequence[str] = ZERO_SHOT
    reporter: Reporter = field(default_factory=Silent)

    @property
    def occasions(self) -> list[Occasion]:
        """Every session with every seed."""
        return [(session, seed) for session in self.sessions for seed in self.seeds]

    def runs(self, configs: dict[str, TrainConfig]) -> list[Run]:
        """The runs of rows."""
        return all_runs(configs, self.sessions, self.seeds)

    def make(
        self, configs: dict[str, TrainConfig], zero_shot: Sequence[str] = (), *, keep_models: bool = False
    ) -> None:
        """Make the runs of rows that are not there yet; see `run_all`."""
        run_all(
            self.runs(configs),
            self.roots,
            self.folder,
            zero_shot=zero_shot,
            cache=self.cache,
            device=self.device,
            jobs=self.jobs,
            keep_models=keep_models,
            reporter=self.reporter,
        )


@dataclass(frozen=True)
class Outcome:
    """What came of a table or a figure.

    Attributes:
        item: one of `ITEMS`, a set of runs, or a data set.
        table: the table.
        files: a figure's files.
        problem: why it is not whole, or is not there.
    """

    item: str
    table: Table | None = None
    files: tuple[Path, ...] = ()
    problem: str | None = None


def items_of(word: str) -> tuple[str, ...]:
    """The items that a word means: `all`, or one of them, such as `table4` or `Table 4`.

    Raises:
        DataError: there is none.
    """
    plain = word.lower().replace(" ", "").replace("-", "")
    if plain == "all":
        return ITEMS
    if plain not in ITEMS:
        raise DataError(f"there is no {word!r} to reproduce; there are {', '.join(ITEMS)} and all")
    return (plain,)


def train_for(items: Collection[str], options: Options, *, whole: bool) -> tuple[Options, list[Outcome]]:
    """Make the runs that tables and figures need and that are not there yet.

    Args:
        items: some of `ITEMS`.
        options: how runs are made.
        whole: whether to do what can be done: data sets that are not there are left out of the mixture, and a set of
            runs that fails does not stop the others.

    Returns:
        The options with the configuration that was trained, and what could not be.

    Raises:
        DataError: not `whole`, and a data set is missing (before anything is trained) or a run has failed; or no data
            set of the mixture is there.
    """
    needed = [group for group in GROUPS if any(group in (TABLES | FIGURES)[item] for item in items)]
    if not needed:
        return options, []
    config, lacking = options.config, dict[str, str]()
    zero_shot = list(options.zero_shot) if "table2" in items else []
    if whole:
        config, lacking = without_missing(config, options.sessions, options.roots)
        zero_shot, unseen = there(zero_shot, options.roots)
        lacking |= unseen
    else:
        check_data(options.runs({WHOLE: config}), options.roots, zero_shot)
    options = replace(options, config=config, zero_shot=zero_shot)
    problems = [Outcome(name, problem=reason) for name, reason in lacking.items()]
    check_labels(config, options.roots)
    for group in needed:
        try:
            _make(group, options)
        except DEFNetError as error:
            if not whole:
                raise
            problems.append(Outcome(group, problem=str(error)))
    return options, problems


def _make(group: str, options: Options) -> None:
    config, zero_shot = options.config, options.zero_shot
    if group == WHOLE:
        options.make({row_of(config).name: config}, zero_shot, keep_models=True)
        if zero_shot:
            find_shared(config, zero_shot, options.roots, options.folder, note=options.reporter.note)
    elif group == RIVAL:
        options.make({LIQE: as_liqe(config)}, keep_models=True)
    elif group == ABLATION:
        options.make(ablation_configs(config))
    else:
        options.make(sweep_configs(config, options.grid))


def whole_model(runs: Sequence[FoundRun]) -> list[FoundRun]:
    """The runs of the whole model among others: of the row with both losses that has the most tasks."""
    rows = [row for row in reversed(ROWS) if row.losses == "M+U+F"]
    return next((found for row in rows if (found := named(runs, row.name))), [])


def make(
    items: Iterable[str],
    folder: Path,
    *,
    wanted: Collection[Occasion] | None = None,
    config: TrainConfig | None = None,
    figures: Path | None = None,
) -> Iterator[Outcome]:
    """Make tables and figures from the files of runs alone.

    Args:
        items: some of `ITEMS`.
        folder: where the runs lie.
        wanted: sessions and seeds that tables are made of; by default all that there are.
        config: the model of Table 8; by default that of the whole model's runs.
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
            for table in _tables(item, runs, folder, wanted, config):
                yield Outcome(item, table, problem=" ".join(table.lacking) or None)
        except DEFNetError as error:
            yield Outcome(item, problem=str(error))


def _tables(
    item: str, runs: Sequence[FoundRun], folder: Path, wanted: Collection[Occasion] | None, config: TrainConfig | None
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
        if not any(run.result.name.startswith("lambda-") for run in runs):
            raise DataError(f"no run of the sweep is in {folder}")
        return [sweep_table(runs, wanted)]
    if not whole:
        raise DataError(f"no run of the whole model is in {folder}")
    if item == "table1":
        return [by_dataset_table(whole, wanted)]
    if item == "table2":
        if not any(run.result.zero_shot for run in whole):
            raise DataError(f"no run in {folder} was judged on a data set that it was not trained on")
        return [cross_table(whole, read_shared(folder), wanted)]
    if item == "table6":
        return [interval_table(whole, rival, wanted)]
    trained_on = dict.fromkeys(name for run in whole for name in run.result.figures["test"])
    by_folder = {name: dataset for dataset, (name, _) in FOLDER_TYPES.items()}
    if item in by_folder and by_folder[item] not in trained_on:
        raise DataError(f"no run in {folder} was trained on {by_folder[item]}")
    datasets = [by_folder[item]] if item in by_folder else [name for name in trained_on if name not in FOLDER_TYPES]
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
