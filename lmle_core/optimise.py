"""The training loop: one optimiser step an iteration, one learning-rate curve, checkpoints to continue from."""

import logging
import math
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from lmle_core.artefact import fsync
from lmle_core.distributed.batch_norm import normalise_over_ranks
from lmle_core.distributed.ranks import refuse_different, sum_gradients, writes
from lmle_core.network import Network

CHECKPOINT = "checkpoint.pt"
CURVE_EVERY = 10
"""Iterations between two points of the curves; only there does the host wait for the device."""


class Objective(Protocol):
    """What a network is trained on. Depends on the iteration alone, so that an interrupted training can continue."""

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of an iteration, to be minimised, and the figures to log (scalars)."""
        ...


LearningRates = Callable[[int], float]
"""The learning rate of an iteration."""


@dataclass(frozen=True)
class Schedule:
    """One cycle over `total` iterations: linear warm-up over the first tenth, then half a cosine down to zero.

    Attributes:
        peak: the largest learning rate.
        total: iterations of the whole cycle.
        first: where in the cycle this training begins (a round starts where the last one ended).
        decay: False: stay at the peak after the warm-up.
    """

    peak: float
    total: int
    first: int = 0
    decay: bool = True

    def __call__(self, iteration: int) -> float:
        """The learning rate of an iteration."""
        warm = max(1, self.total // 10)
        step = self.first + iteration
        if step < warm:
            return self.peak * (step + 1) / warm
        if not self.decay:
            return self.peak
        return self.peak * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, self.total - warm))))


Curves = list[dict[str, float]]
"""One entry every CURVE_EVERY iterations: `iteration`, `learning_rate` and the objective's figures."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves beside the network's weights.

    Attributes:
        curves: over all iterations.
        optimiser: its state, for the next round.
        iterations: of this process; a continued training has done others before.
        seconds: spent in this process.
    """

    curves: Curves
    optimiser: dict[str, Any]
    iterations: int
    seconds: float


def optimise(
    network: Network,
    objective: Objective,
    *,
    iterations: int,
    schedule: LearningRates,
    weight_decay: float,
    directory: Path,
    checkpoint_every: int,
    optimiser_state: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train a network in place, with AdamW; several processes train it together (see `lmle_core.distributed.ranks`).

    Args:
        network: on its device.
        objective: loss of each iteration.
        iterations: how many to run.
        schedule: learning rate of each iteration.
        weight_decay: decoupled, on weight matrices and kernels only.
        directory: where checkpoints go; one found there is continued.
        checkpoint_every: iterations between checkpoints.
        optimiser_state: of the previous round, to go on with.
        progress: called with (iterations done, iterations) at each point of the curves.

    Raises:
        FloatingPointError: when the loss is not finite, with the iteration and the figures.
        RuntimeError: when processes that train together begin with different networks.
    """
    normalise_over_ranks(network)
    optimiser = make_optimiser(network, weight_decay)
    if optimiser_state is not None:
        optimiser.load_state_dict(optimiser_state)
    first, curves = _restore(directory, network, optimiser)
    refuse_different(network, first)
    network.train()
    begun = time.perf_counter()
    done = first
    for iteration in range(first, iterations):
        rate = schedule(iteration)
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss, figures = objective(network, iteration)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        sum_gradients(network.parameters())
        optimiser.step()
        done = iteration + 1
        shown = iteration % CURVE_EVERY == 0 or done == iterations
        saved = done % checkpoint_every == 0 and done < iterations
        if shown or saved:
            values = {name: float(value) for name, value in {"loss": loss.detach(), **figures}.items()}
            if not math.isfinite(values["loss"]):
                raise FloatingPointError(
                    f"the loss is {values['loss']} at iteration {iteration}: {values}; lower the learning rate"
                )
        if shown:
            curves.append({"iteration": iteration, "learning_rate": rate, **values})
            if progress is not None:
                progress(done, iterations)
        if saved and writes():
            _save(directory, network, optimiser, done, curves)
    network.eval()
    return Trained(curves, optimiser.state_dict(), done - first, time.perf_counter() - begun)


def make_optimiser(network: Network, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over what is trained of a network; the decay is for weight matrices and kernels only."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, fused=True)


def _save(directory: Path, network: Network, optimiser: torch.optim.Optimizer, done: int, curves: Curves) -> None:
    state = {
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "iteration": done,
        "curves": curves,
    }
    partial = directory / (CHECKPOINT + ".partial")
    torch.save(state, partial)
    fsync(partial)
    partial.replace(directory / CHECKPOINT)


def _restore(directory: Path, network: Network, optimiser: torch.optim.Optimizer) -> tuple[int, Curves]:
    path = directory / CHECKPOINT
    if not zipfile.is_zipfile(path):
        if path.exists():  # cut off when the machine failed
            logging.getLogger("lmle").warning("%s is damaged: this training begins again", path)
        return 0, []
    state = torch.load(path, map_location=next(network.parameters()).device, weights_only=True)
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["iteration"]), list(state["curves"])
