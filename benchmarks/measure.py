"""A measurement: contenders called in turn, their seconds kept raw, their outcomes compared."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.record import Json

OURS, LIMIT = "ours", "limit"


@dataclass(frozen=True)
class Side:
    """One contender.

    Attributes:
        call: does the work once and returns its outcome.
        amount: units that one call handles.
    """

    call: Callable[[], Any]
    amount: int


@dataclass(frozen=True)
class Bench:
    """A stage, ready to be timed.

    Attributes:
        stage: its name.
        unit: what is counted, in the plural.
        ours: lmle's own way.
        limit: what no implementation can beat on this machine, in words, and the same amount of work.
        peers: what a user would pick instead, by name. Where a whole one is slow it handles a smaller amount.
        compare: given the last outcome of 'ours' and of each peer, raises AssertionError where they are not equally
            good, and returns figures for the record.
        note: what a reader must know to judge the figures.
    """

    stage: str
    unit: str
    ours: Side
    limit: tuple[str, Side] | None = None
    peers: Mapping[str, Side] = field(default_factory=dict)
    compare: Callable[[Mapping[str, Any]], Mapping[str, float]] = lambda _: {}
    note: str = ""


def measure(bench: Bench, repetitions: int, device: torch.device) -> Json:
    """Time all contenders alternately, after a call of each that is not timed.

    Args:
        bench: the stage.
        repetitions: timed calls of each contender.
        device: is waited for before a clock is read.

    Returns:
        As JSON: `unit`, `note`, `limit` and `peers` (names), `sides` with `amount` and `seconds` of each, `compared`.
    """
    sides = {OURS: bench.ours, **({LIMIT: bench.limit[1]} if bench.limit else {}), **bench.peers}
    outcomes = {name: side.call() for name, side in sides.items()}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repetitions):
        for name, side in sides.items():
            with stopwatch(seconds[name], device):
                outcomes[name] = side.call()
    return {
        "unit": bench.unit,
        "note": bench.note,
        "limit": bench.limit[0] if bench.limit else None,
        "peers": list(bench.peers),
        "sides": {name: {"amount": side.amount, "seconds": seconds[name]} for name, side in sides.items()},
        "compared": dict(bench.compare({name: outcomes[name] for name in (OURS, *bench.peers)})),
    }


def measure_sizes(prepare: Callable[[int], Bench], sizes: tuple[int, ...], device: torch.device) -> Json:
    """Time our side alone at several rising sizes, once each, after a call at the first that is not timed.

    Returns:
        As JSON: `sizes` (images), `seconds`, and the `exponent` e of the fit seconds = c · size^e.
    """
    seconds: list[float] = []
    prepare(sizes[0]).ours.call()
    for size in sizes:
        side = prepare(size).ours
        with stopwatch(seconds, device):
            side.call()
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    return {"sizes": list(sizes), "seconds": seconds, "exponent": round(float(exponent), 3)}


def ratios(record: Json, faster: str, slower: str) -> list[float]:
    """How many times the rate of one contender is the other's, repetition by repetition."""
    rates = [
        [record["sides"][name]["amount"] / second for second in record["sides"][name]["seconds"]]
        for name in (faster, slower)
    ]
    return [fast / slow for fast, slow in zip(*rates, strict=True)]


def best_peer(record: Json) -> str | None:
    """The peer with the highest median rate."""
    return max(record["peers"], key=lambda name: median(ratios(record, name, OURS)), default=None)


@contextmanager
def stopwatch(seconds: list[float], device: torch.device) -> Iterator[None]:
    """Append the seconds of a block; work that the device has yet to do counts."""
    _wait(device)
    begun = time.perf_counter()
    yield
    _wait(device)
    seconds.append(time.perf_counter() - begun)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
