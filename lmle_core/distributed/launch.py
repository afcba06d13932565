"""Carry out a training: in this process, or in several that torch's elastic agent starts, on one machine or on more."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from lmle_core.device import choose_device, set_threads
from lmle_core.distributed.job import Job
from lmle_core.distributed.messages import PARENT, told
from lmle_core.distributed.ranks import JOB
from lmle_core.prior import Progress

RESTARTS = 3
"""Times that a training goes on from its checkpoint after one of its processes has died."""
RENDEZVOUS = "lmle"
GRACE = 20.0
QUIET = {"TORCH_CPP_LOG_LEVEL": "ERROR", "LOGLEVEL": "ERROR"}
"""Of torch and its agent, for whom it is a warning with a C++ stack that a node left at the end of a training."""
Child = subprocess.Popen[str]


def carry_out(job: Job, progress: Progress | None = None) -> None:
    """Carry out a training as its configuration says: in this process, or in several on one or more nodes.

    Raises:
        FloatingPointError: when the loss is not finite.
        RuntimeError: when processes die more often than they are started anew, with the reason of the last time.
    """
    engines = job.config.engines
    if job.ranks == 1:
        set_threads(engines.threads)
        job.run(choose_device(engines.device), progress)
        return
    torch.cuda.empty_cache()  # the first process computes on the same GPU
    with agent(engines.nodes, engines.processes, engines.rendezvous, job) as child:
        messages = _messages(child, progress)
    if "diverged" in messages:
        raise FloatingPointError(messages["diverged"])
    if child.returncode:
        reason = messages.get("failed", f"their agent ended with {child.returncode}")
        raise RuntimeError(f"training in {job.ranks} processes failed: {reason}")


def join(rendezvous: str, nodes: int, processes: int, say: Callable[[str], None]) -> None:
    """Take part in the trainings of a run on another node, one after another, until interrupted.

    Args:
        rendezvous: host and port, as the run's `engines.rendezvous`.
        nodes: that take part, that of the run counted.
        processes: on this node.
        say: told what happens.
    """
    host, _, port = rendezvous.rpartition(":")
    while True:
        say(f"waiting for a training at {rendezvous}")
        while not _listens(host, int(port)):
            time.sleep(1)
        with agent(nodes, processes, rendezvous) as child:
            messages = _messages(child)
        say(messages.get("failed", "a training is done"))


@contextmanager
def agent(
    nodes: int, processes: int, rendezvous: str | None, job: Job | None = None
) -> Iterator[subprocess.Popen[str]]:
    """An agent on this machine as a child, which ends with the context; only that of the run's machine has the job."""
    with TemporaryDirectory(prefix="lmle-training-") as scratch:
        environment = {"OMP_NUM_THREADS": "1", **QUIET, **os.environ, PARENT: str(os.getpid())}
        # Else processes that are started anew meet in the store of those that died, and wait at their old addresses.
        environment["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"
        if job is not None:
            file = Path(scratch) / "job.json"
            file.write_text(job.model_dump_json())
            environment[JOB] = str(file)
        meeting = ["--standalone"]
        if nodes > 1:
            meeting = [f"--nnodes={nodes}", "--rdzv-backend=c10d", f"--rdzv-endpoint={rendezvous}"]
            meeting += [f"--rdzv-id={RENDEZVOUS}"]
        words = [*meeting, f"--nproc-per-node={processes}", f"--max-restarts={RESTARTS}", f"--log-dir={scratch}"]
        child = subprocess.Popen(
            [sys.executable, "-m", "lmle_core.distributed.agent", *words, "-m", "lmle_core.distributed.worker"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which ends the agent
        )
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                child.kill()  # its processes end with it
                child.wait()


def _messages(child: Child, progress: Progress | None = None) -> dict[str, str]:
    """What an agent and its processes tell until they end; how far they are goes to `progress`."""
    assert child.stdout is not None
    messages: dict[str, str] = {}
    for line in child.stdout:
        message = told(line)
        if message is None:
            sys.stdout.write(line)
        elif "progress" not in message:
            messages |= message
        elif progress is not None:
            progress(*message["progress"])
    child.wait()
    return messages


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
