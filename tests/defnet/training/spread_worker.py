"""One of several processes that train one model in double precision; `test_processes.py` starts them.

`own-pairs` averages over processes a loss that each computes of its own images, as wrappers for data parallelism do.
"""

import os
from dataclasses import fields
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from defnet import DataError, DataRoots, DEFNetError, TrainConfig
from defnet.data.batches import Batches
from defnet.data.targets import Targets
from defnet.training import loop, step
from defnet.training.loop import Training
from defnet.training.processes import is_told


def own_pairs(count: int) -> None:
    whole = step.overall_loss

    def averaged(prediction: Any, targets: Targets, *rest: Any) -> Any:
        parts = []
        for index in range(count):
            rows = slice(index, None, count)
            values = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
            own = tree_map_only(torch.Tensor, lambda tensor, rows=rows: tensor[rows], values)
            columns = (getattr(targets, f.name) for f in fields(targets))
            truth = Targets(*(None if column is None else column[rows] for column in columns))
            parts.append(whole(type(prediction)(**own), truth, *rest))
        terms = {name: sum(part[1][name] for part in parts) / count for name in parts[0][1]}
        return sum(part[0] for part in parts) / count, terms

    step.overall_loss = averaged


def fail(at: int) -> None:
    """The second process cannot read its images of a step."""
    read = Batches.__getitem__

    def failing(self: Batches, number: int) -> Any:
        if number == at and os.environ["RANK"] == "1":
            raise DataError("photos/7.png: is damaged")
        return read(self, number)

    Batches.__getitem__ = failing  # type: ignore[method-assign]


def work(count: int, index: int, port: int, out: Any, config: str, root: str, folder: str, change: str) -> None:
    """Train; tell `out` this process's number and figure, or its error."""
    for name in ("RANK", "LOCAL_RANK"):
        os.environ[name] = str(index)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        os.environ[name] = str(count)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    build = loop.build_model
    loop.build_model = lambda *arguments: build(*arguments).double()
    if change == "own-pairs":
        own_pairs(count)
    elif change == "fail":
        fail(3)
    training = Training(TrainConfig.model_validate_json(config), DataRoots(root), folder, device="cpu")
    try:
        result = training.run()
        assert result is not None
        out.put((training.processes.index, result.validation["rmse"]))
    except DEFNetError as error:
        out.put((training.processes.index, f"{error} ({'told' if is_told(error) else 'not told'})"))
