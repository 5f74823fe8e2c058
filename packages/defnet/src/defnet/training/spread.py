"""What can be spread over processes and parts, and what cannot."""

from collections.abc import Sequence

from torch.nn.modules.batchnorm import _BatchNorm

from defnet.config.training import TrainConfig
from defnet.errors import ConfigError
from defnet.model.network import DEFNet
from defnet.training.processes import Processes
from defnet.training.reporter import Reporter


def check_spread(config: TrainConfig, processes: Processes) -> None:
    """Refuse more shares of a step's batch than it has images.

    Raises:
        ConfigError: some process, or some part of one, would have no image.
    """
    if config.batch_size // processes.count < config.accumulate:
        parts = f", each taking them in {config.accumulate} parts (accumulate)" if config.accumulate > 1 else ""
        raise ConfigError(
            f"the {config.batch_size} images of a step cannot be shared by {processes.count} processes{parts}: some "
            "would have none"
        )


def check_statistics(model: DEFNet, config: TrainConfig, processes: Processes, reporter: Reporter) -> None:
    """Refuse parts, and say what shares come to, where a batch's images depend on each other in the network.

    Raises:
        ConfigError: the trunk learns with batch normalisation, and a batch shall go through it in parts.
    """
    if not learnt_statistics(model):
        return
    if config.accumulate > 1:
        raise ConfigError(
            f"accumulate = {config.accumulate}: the trunk learns with batch normalisation, by the statistics of all "
            "images that go through it at once, so parts of a batch are not the batch; freeze it "
            "(backbone.freeze_trunk)"
        )
    if processes.count > 1:
        reporter.note(
            "the trunk learns with batch normalisation: each process normalises by the statistics of its own share of "
            "a step's images"
        )


def average_statistics(layers: Sequence[_BatchNorm], processes: Processes) -> None:
    """Give every process the mean of all processes' running statistics."""
    buffers = [b for layer in layers for b in (layer.running_mean, layer.running_var) if b is not None]
    processes.sum_all(buffers)
    if processes.count > 1:
        for buffer in buffers:
            buffer.div_(processes.count)


def learnt_statistics(model: DEFNet) -> list[_BatchNorm]:
    """The layers of batch normalisation that learn."""
    layers = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [layer for layer in layers if any(weight.requires_grad for weight in layer.parameters())]
