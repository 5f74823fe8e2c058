"""One of two processes of test_deployment.py: python data_parallel_worker.py RANK FOLDER

Reads batch.pt from the folder, takes its half of the batch, and, as the first process, writes the gradients that both
agree on to gradients.pt. A script of its own, because a spawned process could not import a test module.
"""

import sys

import torch
from torch import distributed, nn

from evidential_nig import NIGHead, evidential_loss


def main(rank, folder):
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


if __name__ == "__main__":  # pytest imports every file here to look for doctests
    main(int(sys.argv[1]), sys.argv[2])
