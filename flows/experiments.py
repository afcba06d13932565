"""The experiments of a comparison, over processes: one a core or a GPU; what a killed process had goes to another."""

import multiprocessing
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from statistics import fmean
from typing import Any

from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ProcessPoolTaskRunner

from flows.interrupts import end_with_parent
from lmle_core.artefact import Reference, digest_of
from lmle_core.config import Config
from lmle_core.device import Places
from lmle_core.methods.catalogue import Method
from tasks.compare import VIEW, experiment, take_place, validation_of
from tasks.progress import say
from tasks.unfinished import note

type Job = tuple[Method, int, Mapping[str, Any]]
"""A method, a seed and settings."""
type Key = tuple[str, int, str]
"""Of a job: the method's name, the seed, the digest of the settings."""
KILLED = "a process was killed, perhaps for want of memory: engines.parallel lowers how many run at a time"


def key_of(job: Job) -> Key:
    """What tells a job from others."""
    method, seed, settings = job
    return method.name, seed, digest_of(dict(settings))


@dataclass
class Runs:
    """The experiments of a comparison, spread over processes.

    Attributes:
        config: of the comparison.
        stores: of each seed.
        study: name of the comparison.
        workspace: where artefacts go.
        made: experiments that are there.
    """

    config: Config
    stores: Mapping[int, Reference]
    study: str
    workspace: Path
    made: dict[Key, Reference] = field(default_factory=dict)

    def train(self, jobs: Sequence[Job], *, trials: bool = False) -> None:
        """Run what is not made yet; all are tried before a failure is raised.

        Args:
            jobs: what is wanted.
            trials: a loss that is not finite is a trial's result then, and no failure, where another trial of its
                method ended well from every seed.
        """
        wanted = [job for job in jobs if key_of(job) not in self.made]
        failed: list[tuple[Job, Exception]] = []
        waiting = wanted
        while waiting:
            killed = self._train(waiting, failed)
            if len(killed) == len(waiting):
                failed += killed
                break
            if killed:
                say(f"{'experiments':<12} a process was killed: {len(killed)} go on in others")
            waiting = [job for job, _ in killed]
        failures = [
            f"{_name(job)}: {type(error).__name__}: {error}"
            for job, error in failed
            if not (trials and isinstance(error, FloatingPointError) and self._has_trial(job[0], jobs))
        ]
        if failures:
            raise RuntimeError(
                f"{len(failures)} of {len(wanted)} experiments failed; the others are kept, and the same command tries "
                "these again:\n" + "\n".join(failures)
            )

    def _train(self, jobs: Sequence[Job], failed: list[tuple[Job, Exception]]) -> list[tuple[Job, Exception]]:
        """Run jobs in one pool; returns those that it did not come to, or lost, since one of its processes was killed.

        Args:
            jobs: what is wanted.
            failed: gets those that ended in an error of their own.
        """
        places = Places.of(self.config.engines.device, self.config.engines.parallel)
        number = min(len(places.devices), len(jobs))
        killed: list[tuple[Job, Exception]] = []
        say(f"{'experiments':<12} {len(jobs)}, {number} at a time")
        with _pool(places.devices[:number]) as runner, _ended_when_interrupted():
            futures = {self._submit(runner, *job, places.threads): job for job in jobs}
            for ended, future in enumerate(as_completed(list(futures)), 1):
                job = futures[future]
                try:
                    self.made[key_of(job)] = made = future.result()
                    note(self.workspace, self.study, made)
                    say(f"{'experiment':<12} {ended} of {len(jobs)}: {_name(job)}")
                except BrokenProcessPool:
                    killed.append((job, RuntimeError(KILLED)))
                except Exception as error:
                    failed.append((job, error))
                    say(f"{'experiment':<12} {ended} of {len(jobs)} failed: {_name(job)}: {error}")
        return killed

    def tried(self, method: Method, seeds: Sequence[int]) -> list[dict[str, Any]]:
        """What was tried: settings, mean balanced accuracy on validation by the own rule, and each seed's artefact.

        The mean is None for a trial whose loss was not finite from some seed, and so is that seed's artefact.
        """
        tried = []
        for settings in method.trials:
            made = [self.made.get(key_of((method, seed, settings))) for seed in seeds]
            found = [validation_of(reference, method.rules[0]) for reference in made if reference]
            tried.append(
                {
                    "settings": dict(settings),
                    "validation": fmean(found) if len(found) == len(made) else None,
                    "experiments": [reference and reference.digest for reference in made],
                }
            )
        return tried

    def _has_trial(self, method: Method, jobs: Sequence[Job]) -> bool:
        own = [(job[2], key_of(job) in self.made) for job in jobs if job[0] == method]
        return any(all(made for tried, made in own if tried == settings) for settings, _ in own)

    def _submit(
        self, runner: ProcessPoolTaskRunner, method: Method, seed: int, settings: Mapping[str, Any], threads: int
    ) -> PrefectFuture[Reference]:
        engines = self.config.engines.model_copy(update={"threads": threads})
        view = self.config.model_copy(update={"seed": seed}).view(*VIEW).model_copy(update={"engines": engines})
        return runner.submit(
            experiment,
            {
                "store": self.stores[seed], "method": method.name, "settings": dict(settings), "config": view,
                "workspace": self.workspace,
            },
        )  # fmt: skip


def _pool(devices: Sequence[str]) -> ProcessPoolTaskRunner:
    """A process for each device, which is its place for as long as it lives."""
    places: SimpleQueue[str] = multiprocessing.get_context("spawn").SimpleQueue()
    for device in devices:
        places.put(device)
    return ProcessPoolTaskRunner(len(devices), initializer=_begin, initargs=(places,))


def _begin(places: "SimpleQueue[str]") -> None:
    end_with_parent()
    take_place(places)


@contextmanager
def _ended_when_interrupted() -> Iterator[None]:
    """Where its body raises, end the experiments that run: their checkpoints are gone on from, a pool would wait."""
    try:
        yield
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()
        raise


def _name(job: Job) -> str:
    method, seed, settings = job
    return f"{method.name}, seed {seed}" + "".join(f", {name} {value}" for name, value in settings.items())
