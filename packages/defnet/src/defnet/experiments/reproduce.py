"""The sets of runs behind the paper's tables and figures: made once for all that need them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from defnet.config.data import Session
from defnet.config.liqe import as_liqe
from defnet.config.training import TrainConfig
from defnet.data.roots import DataRoots
from defnet.errors import DataError, DEFNetError
from defnet.experiments.ablation import ablation_configs, row_of
from defnet.experiments.claims import LIQE
from defnet.experiments.cross import find_shared
from defnet.experiments.items import ABLATION, FIGURES, GROUPS, RIVAL, SWEEP, TABLES, WHOLE, Outcome
from defnet.experiments.paper import ZERO_SHOT
from defnet.experiments.preparation import check_labels, missing_datasets, missing_sources
from defnet.experiments.protocol import Run, all_runs, run_all
from defnet.experiments.sweep import GRID, sweep_configs
from defnet.experiments.table import Occasion
from defnet.training.reporter import Reporter, Silent


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
    config = options.config
    for group in needed:
        _configs(group, options)  # a wrong configuration is refused before any data is looked at
    zero_shot = list(options.zero_shot) if "table2" in items else []
    trained = {source.name for source in config.data}
    if trained & set(zero_shot):
        raise DataError(f"{', '.join(sorted(trained & set(zero_shot)))}: is trained on, so it is not one never seen")
    missing = missing_sources(config.data, options.sessions, options.roots)
    unseen = missing_datasets(zero_shot, options.roots)
    if (not whole and missing | unseen) or len(missing) == len(config.data):
        raise DataError("\n".join((missing | (unseen if not whole else {})).values()))
    config = config.model_copy(update={"data": tuple(of for of in config.data if of.name not in missing)})
    options = replace(options, config=config, zero_shot=[name for name in zero_shot if name not in unseen])
    problems = [Outcome(name, problem=reason) for name, reason in (missing | unseen).items()]
    check_labels(config, options.roots)
    for group in needed:
        try:
            _make(group, options)
        except DEFNetError as error:
            if not whole:
                raise
            problems.append(Outcome(group, problem=str(error)))
    return options, problems


def _configs(group: str, options: Options) -> dict[str, TrainConfig]:
    """The configurations of a set of runs by their names."""
    config = options.config
    if group == ABLATION:
        return ablation_configs(config)
    if group == SWEEP:
        return sweep_configs(config, options.grid)
    return {LIQE: as_liqe(config)} if group == RIVAL else {row_of(config).name: config}


def _make(group: str, options: Options) -> None:
    zero_shot = options.zero_shot if group == WHOLE else ()
    options.make(_configs(group, options), zero_shot, keep_models=group in (WHOLE, RIVAL))
    if zero_shot:
        find_shared(options.config, zero_shot, options.roots, options.folder, note=options.reporter.note)
