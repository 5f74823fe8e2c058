"""What is looked at before anything is trained: which data sets are there, and whether they have the tasks' labels."""

from collections.abc import Sequence

from defnet.config.data import Session
from defnet.config.training import TrainConfig
from defnet.data.roots import DataRoots
from defnet.errors import ConfigError, DataError

_LABELS = {"scene": "scenes", "distortion": "distortion"}


def without_missing(
    config: TrainConfig, sessions: Sequence[Session], roots: DataRoots
) -> tuple[TrainConfig, dict[str, str]]:
    """The same training without the data sets that are not there.

    Args:
        config: the whole mixture.
        sessions: those that are trained on.
        roots: where data lies.

    Returns:
        The configuration, and by data set why it is left out.

    Raises:
        DataError: none is there; the message has a line for each.
    """
    missing: dict[str, str] = {}
    for source in config.data:
        try:
            for session in sessions:
                roots.load_source(source.model_copy(update={"session": session}))
        except DataError as error:
            missing[source.name] = str(error)
    there = tuple(source for source in config.data if source.name not in missing)
    if not there:
        raise DataError("\n".join(missing.values()))
    return config.model_copy(update={"data": there}), missing


def there(names: Sequence[str], roots: DataRoots) -> tuple[list[str], dict[str, str]]:
    """Which data sets can be read, and by name why others cannot."""
    missing: dict[str, str] = {}
    for name in names:
        try:
            roots.load(name)
        except DataError as error:
            missing[name] = str(error)
    return [name for name in names if name not in missing], missing


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
