"""Two processes for test_deployment.py: python data_parallel_workers.py FOLDER

Each reads batch.pt from the folder and takes its half of the batch; the first writes the gradients that both agree on
to gradients.pt. A script of its own, because torch has computed in the tests' process, and what has cannot be forked;
here the second is forked from the first before anything is computed, so that torch is imported once.
"""

import os
import sys

import torch
import torch._dynamo  # which DistributedDataParallel imports: once before the fork and not in each process
from torch import distributed, nn

from evidential_nig import NIGHead, evidential_loss


def work(rank, folder):
    batch = torch.load(f"{folder}/batch.pt", weights_only=True)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    half = slice(4 * rank, 4 * rank + 4)
    gradients = {}
    for static_graph in (False, True):
        head = NIGHead(8, 3)
        head.load_state_dict(batch["state"])
        model = nn.parallel.DistributedDataParallel(head, static_graph=static_graph)
        evidential_loss(model(batch["features"][half]), batch["target"][half]).backward()
        gradients[str(static_graph)] = [parameter.grad for parameter in head.parameters()]
    if rank == 0:
        torch.save(gradients, f"{folder}/gradients.pt")
    distributed.destroy_process_group()


def main(folder):
    second = os.fork()
    if second == 0:
        work(1, folder)
        return
    work(0, folder)
    _, status = os.waitpid(second, 0)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":  # pytest imports every file here to look for doctests
    main(sys.argv[1])
