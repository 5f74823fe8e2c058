"""Sets of runs: what is there is kept, and what was stopped goes on."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from os import PathLike
from pathlib import Path

from defnet.config.data import Session
from defnet.config.training import TrainConfig
from defnet.data.roots import DataRoots
from defnet.errors import DataError
from defnet.experiments.preparation import missing_datasets, missing_sources
from defnet.experiments.result import Result
from defnet.experiments.run import run
from defnet.training.reporter import Reporter, Silent


@dataclass(frozen=True)
class Run:
    """One run of an experiment.

    Attributes:
        name: what it is in the experiment, such as the row of a table: a folder's name.
        config: how the model is trained, its seed included.
        session: the session of every data set, or None to keep each one's own.
    """

    name: str
    config: TrainConfig
    session: Session | None

    @property
    def folder(self) -> Path:
        """Where it lies in the experiment's folder: `NAME/session-S/seed-N`."""
        session = "own" if self.session is None else str(self.session).replace("/", "-").replace(":", "-")
        return Path(self.name) / f"session-{session}" / f"seed-{self.config.seed}"


def all_runs(
    configs: Mapping[str, TrainConfig], sessions: Sequence[Session | None], seeds: Sequence[int] = (0,)
) -> list[Run]:
    """Every configuration on every session with every seed.

    Seeds vary slowest, then sessions, so that a set that is stopped early has whole tables of some sessions.
    """
    return [
        Run(name, config.model_copy(update={"seed": seed}), session)
        for seed in seeds
        for session in sessions
        for name, config in configs.items()
    ]


def check_data(runs: Sequence[Run], roots: DataRoots, zero_shot: Sequence[str] = ()) -> None:
    """Say which data sets are missing before anything is trained.

    Raises:
        DataError: some are; the message has a line for each.
    """
    sources = dict.fromkeys(source for run_ in runs for source in run_.config.data)
    missing = missing_sources(sources, [None], roots) | missing_datasets(zero_shot, roots)
    if missing:
        raise DataError("\n".join(missing.values()))


def run_all(
    runs: Sequence[Run],
    roots: DataRoots | str | PathLike[str],
    folder: str | PathLike[str],
    *,
    zero_shot: Sequence[str] = (),
    cache: str | PathLike[str] | None = None,
    device: str | None = None,
    jobs: int = 1,
    keep_models: bool = False,
    reporter: Reporter | None = None,
) -> list[Result]:
    """Make every run of an experiment that is not there yet.

    Args:
        runs: the runs, no two of which have one folder.
        roots: where the data lies; a path is the folder of all data sets.
        folder: the experiment's folder; each run's is `Run.folder` in it.
        zero_shot: data sets that each model is judged on whole, without having been trained on.
        cache: folder for pools of views; by default `pools` in the experiment's folder.
        device: where to compute; by default CUDA where there is one, else the CPU.
        jobs: runs at a time, each in a process of its own on one thread. It does not change what is drawn; sums in
            another order may change the last digits.
        keep_models: keep the model files.
        reporter: hears how the runs go on.

    Returns:
        The results, in order of the runs.

    Raises:
        DataError: a data set is missing, or a run has failed; those that have not are kept.
    """
    roots = roots if isinstance(roots, DataRoots) else DataRoots(roots)
    folder, reporter = Path(folder), reporter or Silent()
    if len({run_.folder for run_ in runs}) != len(runs):
        raise DataError("two runs of an experiment have one name, session and seed")
    check_data(runs, roots, zero_shot)
    options = {
        "zero_shot": tuple(zero_shot),
        "cache": folder / "pools" if cache is None else Path(cache),
        "device": device,
        "keep_model": keep_models,
    }
    reporter.begin("runs", len(runs))
    results: dict[int, Result] = {}
    for number, result in _made(runs, roots, folder, options, jobs):
        results[number] = result
        reporter.advance(1)
    return [results[number] for number in range(len(runs))]


def _made(
    runs: Sequence[Run], roots: DataRoots, folder: Path, options: dict[str, object], jobs: int
) -> Iterator[tuple[int, Result]]:
    if jobs == 1:
        for number, run_ in enumerate(runs):
            yield number, _make(run_, roots, folder, options)
        return
    # Not forked: torch's threads do not survive it.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as processes:
        futures = {processes.submit(_make, run_, roots, folder, options): i for i, run_ in enumerate(runs)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            processes.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _make(run_: Run, roots: DataRoots, folder: Path, options: dict[str, object]) -> Result:
    try:
        return run(run_.config, run_.session, roots, folder / run_.folder, name=run_.name, **options)  # type: ignore[arg-type]
    except DataError as error:
        raise DataError(f"{run_.folder}: {error}") from error
