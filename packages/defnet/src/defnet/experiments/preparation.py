"""What is looked at before anything is trained: which data sets are there, and whether they have the tasks' labels."""

from collections.abc import Iterable, Sequence

from defnet.config.data import DataConfig, Session
from defnet.config.training import TrainConfig
from defnet.data.roots import DataRoots
from defnet.errors import ConfigError, DataError

_LABELS = {"scene": "scenes", "distortion": "distortion"}


def missing_sources(
    sources: Iterable[DataConfig], sessions: Sequence[Session | None], roots: DataRoots
) -> dict[str, str]:
    """By data set of a mixture, why it cannot be trained on: it is not there, or has not these sessions.

    Args:
        sources: the mixture's.
        sessions: those that are trained on; None looks for the data set alone.
        roots: where data lies.
    """
    missing: dict[str, str] = {}
    for source in sources:
        try:
            for session in sessions:
                own = source.follows_sessions or session is None
                roots.load_source(source.model_copy(update={"session": session}) if own else source)
        except DataError as error:
            missing[source.name] = _named(source.name, error)
    return missing


def missing_datasets(names: Sequence[str], roots: DataRoots) -> dict[str, str]:
    """By data set that is judged whole, why it cannot be read."""
    missing: dict[str, str] = {}
    for name in names:
        try:
            roots.load(name)
        except DataError as error:
            missing[name] = _named(name, error)
    return missing


def _named(name: str, error: DataError) -> str:
    message = str(error)
    return message if name in message else f"{name}: {message}"


def check_labels(config: TrainConfig, roots: DataRoots) -> None:
    """Refuse tasks that no image of the mixture has a label of: nothing would be learnt, and rows would be the same.

    Raises:
        ConfigError: there is such a task.
        DataError: a data set is not there.
    """
    datasets = [roots.load(source.name, dataset=source.dataset, path=source.path) for source in config.data]
    names = ", ".join(source.name for source in config.data)
    for task in config.model.tasks:
        if task == "quality":
            continue
        column = [dataset.records[_LABELS[task]] for dataset in datasets]
        known = any(values.map(bool).any() if task == "scene" else values.notna().any() for values in column)
        if not known:
            left = [name for name in config.model.tasks if name != task]
            raise ConfigError(
                f"{names}: no image has a {task}, so that the task {task!r} cannot be learnt; give LIQE's label files "
                f"as --labels, or a configuration with [model] tasks = {left}"
            )
