"""The flow: seed by seed ingest → each method's trials → the settings that validation chose, every seed → tables."""

import multiprocessing
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from statistics import fmean
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ProcessPoolTaskRunner

from flows.exits import UsageError
from flows.interrupts import end_with_parent
from infra.settings import workspace_path
from lmle_core.artefact import Reference, digest_of
from lmle_core.config import Config
from lmle_core.device import Places
from lmle_core.experiment import configured
from lmle_core.location import Location
from lmle_core.methods.catalogue import DEFAULT_METHODS, Method, find_method
from lmle_core.training import images_seen
from tasks.compare import VIEW, comparison, experiment, publish_comparison, take_place, validation_of
from tasks.gates import check_data, check_settings, check_tracking
from tasks.pipeline import Stages
from tasks.progress import say
from tasks.record_comparison import record_comparison
from tasks.revision import git_revision
from tasks.stage import done
from tasks.storage import sharing
from tasks.unfinished import finish, note
from tasks.workers import Workers

DEFAULTS = Config()
type Job = tuple[Method, int, Mapping[str, Any]]
"""A method, a seed and settings."""
type Key = tuple[str, int, str]
"""Of a job: the method's name, the seed, the digest of the settings."""
KILLED = "a process was killed, perhaps for want of memory: engines.parallel lowers how many run at a time"
SLACK = 0.05
"""Epochs in which methods may differ: batches are whole."""
NAME = re.compile(r"\w[\w.-]*")
"""Of a comparison: a folder has it."""


@flow(name="compare")
def compare(
    config: Config = DEFAULTS,
    methods: tuple[str, ...] = DEFAULT_METHODS,
    seeds: int = 3,
    study: str = "comparison",
    directory: Location | None = None,
    trial_seeds: int = 3,
) -> dict[str, str]:
    """Train every method from every seed on the same data, and compare the first one with all others.

    The settings of a method are chosen once, among its trials, on the validation splits of the first seeds.
    Experiments run in processes of their own, one a core or a GPU.

    Args:
        config: data, trunk and budget; its seed is the first one.
        methods: names of the catalogue; the first is the reference that the others are compared with.
        seeds: how many. Each draws its own procedural faces or digits; a folder's images are the same for all.
        study: name of the comparison.
        directory: a folder in CelebA's layout, or its URL; replaces `config.data.directory` where given.
        trial_seeds: seeds from which each trial is trained, to choose by their mean; all where there are fewer.

    Returns:
        `comparison`: the directory of its tables and figures.
    """
    if directory is not None:
        config = config.model_copy(update={"data": config.data.model_copy(update={"directory": directory})})
    chosen = [find_method(name) for name in dict.fromkeys(methods)]
    _check_request(config, chosen, seeds, trial_seeds, study)
    workspace = workspace_path(config.engines.workspace)
    check_settings(config)
    workspace.mkdir(parents=True, exist_ok=True)
    check_tracking(config, workspace)
    with sharing(config.engines, workspace):
        numbers = range(config.seed, config.seed + seeds)
        stores = _stores(config, numbers, study, workspace)
        runs = Runs(config, stores, study, workspace)
        first = numbers[:trial_seeds]
        tries = [(method, seed, each) for seed in first for method in chosen for each in method.trials]
        runs.train(tries, trials=True)
        trials = {method.name: runs.tried(method, first) for method in chosen}
        best = {
            name: max(tried, key=lambda each: each["validation"] or 0)["settings"] for name, tried in trials.items()
        }
        jobs = [(method, seed, best[method.name]) for seed in numbers for method in chosen]
        runs.train(jobs)
        found = [runs.made[_key(job)] for job in jobs]
        shared = config.data.directory is not None or config.data.source == "digits"
        compared = done(
            comparison, experiments=found, reference=(chosen[0].name, chosen[0].rules[0]), trials=trials,
            shared=shared, study=study, config=config.view("seed", "evaluation.bootstrap"), workspace=workspace,
        )  # fmt: skip
        record_comparison(compared, found, study, config, workspace)
        made = {
            "revision": git_revision(),
            "config": config.identity(),
            "folder": config.data.directory is not None,
            "rules": {method.name: method.rules[0] for method in chosen},
        }
        published = publish_comparison(compared, study, made, workspace)
        finish(workspace, study)
        create_markdown_artifact((published / "comparison.md").read_text(), key="comparison", description=study)
        return {"comparison": str(published)}


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
        wanted = [job for job in jobs if _key(job) not in self.made]
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
                    self.made[_key(job)] = made = future.result()
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
            made = [self.made.get(_key((method, seed, settings))) for seed in seeds]
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
        own = [(job[2], _key(job) in self.made) for job in jobs if job[0] == method]
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


def _stores(config: Config, seeds: Sequence[int], study: str, workspace: Path) -> dict[int, Reference]:
    stores = {}
    with Workers(config.engines) as workers:
        for seed in seeds:
            stages = Stages(config.model_copy(update={"seed": seed}), workspace, workers, purpose=study)
            stores[seed] = stages.store()
            check_data(stores[seed], config)
    return stores


def _check_request(config: Config, methods: Sequence[Method], seeds: int, trial_seeds: int, study: str) -> None:
    """Refuse what no comparison can be made of, before any stage. Raises UsageError or ConfigError."""
    if not methods or seeds < 1:
        raise UsageError(f"expected at least one method and one seed, found {len(methods)} and {seeds}")
    if trial_seeds < 1:
        raise UsageError(f"expected settings to be tried on at least one seed, found trial_seeds {trial_seeds}")
    if not NAME.fullmatch(study):
        raise UsageError(
            f"the comparison's name {study!r} is to name a folder: expected letters, digits, '.', '_', '-'"
        )
    if config.prior.kind != "bce":
        raise UsageError(
            f"prior.kind {config.prior.kind!r} would give LMLE more than images and labels, which are all that other "
            "methods get: compare with 'bce'"
        )
    for method in methods:
        for settings in method.trials:
            own, _ = configured(config, settings)
            found, others = (images_seen(each, 10**6, rounds=method.rounds) / 10**6 for each in (own, config))
            if abs(found - method.budget * others) > SLACK:
                raise UsageError(
                    f"{method.name} would train for {found:.1f} epochs, the others for {others:.1f}: it fits the "
                    "presets of the studies, such as --preset study-digits"
                )


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


def _key(job: Job) -> Key:
    method, seed, settings = job
    return method.name, seed, digest_of(dict(settings))


def _name(job: Job) -> str:
    method, seed, settings = job
    return f"{method.name}, seed {seed}" + "".join(f", {name} {value}" for name, value in settings.items())
