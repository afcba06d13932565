"""What torchrun starts: one of the processes that carry out a training together."""

import os
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.elastic.multiprocessing.errors import record

from lmle_core.cores import cores
from lmle_core.device import choose_device, set_threads
from lmle_core.distributed.job import Job
from lmle_core.distributed.messages import end_with_parent, tell
from lmle_core.distributed.ranks import JOB, local_ranks, writes


@record
def main() -> None:
    """Take part in the training that the environment describes, and tell how far it is."""
    end_with_parent()
    gpus = torch.cuda.is_available()
    dist.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo")
    job = announced_job()
    set_threads(job.config.engines.threads or max(1, cores() // local_ranks()))
    progress = (lambda done, total: tell(progress=[done, total])) if writes() else None
    try:
        job.run(device_of_rank(job.config.engines.device), progress)
    except FloatingPointError as error:  # all processes see this loss, and another attempt would see it again
        if writes():
            tell(diverged=str(error))
    dist.destroy_process_group()


def announced_job() -> Job:
    """The training, which only the processes on the node where it was started have the file of."""
    file = os.environ.get(JOB)
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, file and Path(file).read_text())
    return Job.model_validate_json(next(text for text in found if text))


def device_of_rank(name: str) -> torch.device:
    """The device of `choose_device`, on a node with several GPUs the one that is this process's own."""
    device = choose_device(name)
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


if __name__ == "__main__":
    main()
