"""The loss of a step's whole batch, however its images are spread over processes and parts.

The pairs of Eq. 7, the means over labelled images and so λ are those of the whole batch, though no process, and no
moment, need hold the towers' activations of all of it. That is exact and not an estimate, since the loss sees images
only through what the network says of each:

1. Each process sends its images through the network, part by part.
2. All processes learn the predictions of the whole batch, a few hundred numbers an image, and compute the loss from
   them and its gradient with respect to them.
3. Each process carries the gradients of its own images' predictions back through the network; where there are several
   parts, it computes each part's activations a second time for that. The sum over the processes is the gradient.

Steps 2 and 3 over parts are the gradient cache of Gao et al., "Scaling Deep Contrastive Learning Batch Size under
Memory Limited Setup", 2021.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from defnet.model.evidence import Prediction
from defnet.training.processes import Processes

Predict = Callable[[Tensor, Tensor], Prediction]


def _flat(prediction: Prediction) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Prediction]]:
    """All tensors of a prediction, each with a row an image, and what makes a prediction of others in their place."""
    leaves, structure = tree_flatten({field.name: getattr(prediction, field.name) for field in fields(prediction)})
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def put_together(tensors: Sequence[Tensor]) -> Prediction:
        filled = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        return Prediction(**tree_unflatten(filled, structure))

    return [leaves[place] for place in places], put_together


class WholeBatch:
    """A step's batch: the predictions of all its images, and the gradient of a loss of them.

    Args:
        predict: the network, from sub-images and global views (or their features) to a prediction.
        local: sub-images of this process's images, (n, N, ...).
        global_view: their global views, (n, ...).
        total: images of the whole batch, of all processes.
        seed: gives the random seed of a part, by its number within the whole batch.
        parts: how many parts this process sends through the network, one after the other.
        processes: who else has a share of the batch.
    """

    def __init__(
        self,
        predict: Predict,
        local: Tensor,
        global_view: Tensor,
        total: int,
        seed: Callable[[int], int],
        *,
        parts: int,
        processes: Processes,
    ) -> None:
        self._predict, self._local, self._global_view, self._seed = predict, local, global_view, seed
        self._total, self._parts, self._processes = total, parts, processes
        self._alone = parts == 1 and processes.count == 1
        self._kept: list[Tensor] = []
        self._leaves: list[Tensor] = []

    def _part(self, number: int) -> Prediction:
        """What the network says of a part, under random numbers of its own."""
        torch.manual_seed(self._seed(self._processes.index * self._parts + number))
        return self._predict(self._local[number :: self._parts], self._global_view[number :: self._parts])

    def prediction(self) -> Prediction:
        """What the network says of every image of the batch, on every process."""
        if self._alone:
            return self._part(0)
        outputs = []
        for number in range(self._parts):
            with torch.set_grad_enabled(self._parts == 1):
                tensors, put_together = _flat(self._part(number))
            outputs.append(tensors)
        if self._parts == 1:
            self._kept = outputs[0]
        own = [self._interleaved([tensor.detach() for tensor in tensors]) for tensors in zip(*outputs, strict=True)]
        dtype = max((tensor.dtype for tensor in own), key=lambda kind: torch.finfo(kind).bits)
        rows = [tensor.reshape(len(tensor), -1).to(dtype) for tensor in own]
        whole = self._processes.whole_batch(torch.cat(rows, 1), self._total)
        self._leaves = [
            column.reshape(self._total, *tensor.shape[1:]).to(tensor.dtype).requires_grad_()
            for column, tensor in zip(torch.split(whole, [part.shape[1] for part in rows], 1), own, strict=True)
        ]
        return put_together(self._leaves)

    def _interleaved(self, tensors: Sequence[Tensor]) -> Tensor:
        """The rows of all parts of this process, in order."""
        whole = tensors[0].new_empty(len(self._local), *tensors[0].shape[1:])
        for number, tensor in enumerate(tensors):
            whole[number :: self._parts] = tensor
        return whole

    def backward(self, loss: Tensor) -> None:
        """Add this process's part of the gradient of a loss of `prediction()` to the weights' gradients."""
        if self._alone:
            torch.autograd.backward(loss)
            return
        gradients = torch.autograd.grad(loss, self._leaves, allow_unused=True)
        own = [None if whole is None else whole[self._processes.rows(self._total)] for whole in gradients]
        for number in range(self._parts):
            tensors = self._kept or _flat(self._part(number))[0]
            pairs = [
                (tensor, gradient[number :: self._parts])
                for tensor, gradient in zip(tensors, own, strict=True)
                if gradient is not None and tensor.requires_grad
            ]
            torch.autograd.backward([tensor for tensor, _ in pairs], [gradient for _, gradient in pairs])
        self._kept = []
