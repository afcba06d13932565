"""One of the processes that `test_distributed` starts: carries out the jobs of a file, and notes what it sees.

On GPUs it makes one backward pass: by NCCL with a GPU for each process, by Gloo where all of them share one.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

import lmle_core.network
from lmle_core import optimise
from lmle_core.device import DeviceImages
from lmle_core.distributed.batch_norm import normalise_over_ranks
from lmle_core.distributed.job import Job
from lmle_core.distributed.messages import end_with_parent
from lmle_core.distributed.ranks import gathered, share, sum_gradients
from lmle_core.losses import cross_entropy, softmax_ratio
from lmle_core.network import Network, NetworkSpec, build_network

CPU = torch.device("cpu")


def after_a_backward_pass(device: torch.device = CPU) -> dict[str, Tensor]:
    """Gradients and running statistics of a network after an in-batch loss of 33 images, as this process has them."""
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(256, (33, 3, 24, 24), dtype=torch.uint8, generator=draw).to(device)
    labels = torch.randint(2, (33, 3), generator=draw)
    clusters = (2 * labels + torch.randint(2, (33, 3), generator=draw)).to(device)
    labels = labels.to(device)
    network = build_network(NetworkSpec("six-layer", 4, 3, 2, 8), 0).to(device).train()
    normalise_over_ranks(network)
    output = network(images[share(33)])
    embeddings, logits = gathered(output.embeddings, 33), gathered(output.logits, 33)
    classes = torch.tensor([[0, 0, 1, 1]] * 3, device=device)
    headers = softmax_ratio(embeddings, clusters, classes, temperature=0.1, margin=0.1, weight=0.3)
    (headers.total.mean() + cross_entropy(logits, labels).mean()).backward()  # type: ignore[no-untyped-call]
    sum_gradients(network.parameters())
    gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    return {name: value.cpu() for name, value in {**gradients, **dict(network.named_buffers())}.items()}


def digest(network: Network) -> str:
    values = network.state_dict().values()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in values)).hexdigest()


def on_gpus(directory: Path) -> None:
    lmle_core.network.has_bfloat16 = lambda _: False  # type: ignore[assignment]
    torch.backends.cudnn.allow_tf32 = False
    gpus = torch.cuda.device_count()
    dist.init_process_group("nccl" if gpus > 1 else "gloo")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % gpus)
    torch.cuda.set_device(device)
    torch.save(after_a_backward_pass(device), directory / f"backward-{dist.get_rank()}.pt")
    dist.destroy_process_group()


def main(directory: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    networks: list[Network] = []
    read: list[list[int]] = []
    make_optimiser, images_at = optimise.make_optimiser, DeviceImages.__call__

    def kept(network: Network, weight_decay: float) -> torch.optim.Optimizer:
        networks.append(network)
        return make_optimiser(network, weight_decay)

    def noted(self: DeviceImages, positions: np.ndarray) -> Tensor:
        read.append(positions.tolist())
        return images_at(self, positions)

    optimise.make_optimiser = kept
    DeviceImages.__call__ = noted  # type: ignore[method-assign]
    torch.save(after_a_backward_pass(), directory / f"backward-{dist.get_rank()}.pt")
    seen: dict[str, Any] = {}
    for text in json.loads((directory / "jobs.json").read_text()):
        job = Job.model_validate_json(text)
        read.clear()
        job.run(CPU, None)
        seen[job.directory.name] = {"network": digest(networks[-1]), "read": list(read)}
    (directory / f"rank-{dist.get_rank()}.json").write_text(json.dumps(seen))
    dist.destroy_process_group()


if __name__ == "__main__":
    end_with_parent()
    (on_gpus if sys.argv[2:] == ["cuda"] else main)(Path(sys.argv[1]))
