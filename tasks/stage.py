"""A stage as a Prefect task: the same inputs lead to the same directory, which is made once and announced."""

import functools
import inspect
import os
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Concatenate

from prefect import Task

from lmle_core.artefact import Reference
from tasks.cache import StagePolicy
from tasks.locks import held
from tasks.progress import say, stage_ended
from tasks.storage import make_shared

OPTIONS: dict[str, Any] = {"persist_result": True, "cache_result_in_memory": False}
"""Of every stage's task: references are small, and a hit must come from the record that the policy checks."""

IGNORED = ("workspace", "workers")


def stage[**P](
    name: str, code: str, *, engines: tuple[str, ...] = (), resume: bool = False, exclusive: bool = False
) -> Callable[[Callable[Concatenate[Path, P], None]], Task[P, Reference]]:
    """Make a task of a function that writes a stage's artefact into the directory that it gets first.

    The task takes the function's other arguments, among them `workspace: Path`, and returns a reference to
    `<workspace>/stages/<name>/<key>/`. The key is that of `StagePolicy`: everything but `workspace` and `workers`.

    Args:
        name: of the stage.
        code: the `lmle_core` module that does the work.
        engines: modules one of which it gets from the task.
        resume: the function continues what an interrupted attempt left in the directory.
        exclusive: one such stage at a time in a workspace, over all processes; others wait.
    """
    policy = StagePolicy(stage=name, code=code, engines=engines, ignore=IGNORED)

    def decorate(make: Callable[Concatenate[Path, P], None]) -> Task[P, Reference]:
        signature = inspect.signature(make)
        parameters = list(signature.parameters.values())[1:]

        @functools.wraps(make)
        def run(*args: P.args, **kwargs: P.kwargs) -> Reference:
            bound = outer.bind(*args, **kwargs)
            bound.apply_defaults()
            inputs: dict[str, Any] = bound.arguments
            begun = time.perf_counter()
            workspace: Path = inputs["workspace"]
            directory = workspace / "stages" / name / policy.key(inputs)

            def write(partial: Path, record: dict[str, Any]) -> None:
                waiting = f"{name:<12} waits for another training in {workspace}"
                with held(workspace / "train.lock", waiting) if exclusive else nullcontext():
                    say(f"{name:<12} begins")
                    make(partial, *args, **kwargs)

            reference, found = make_shared(workspace, directory, name, policy.identity(inputs), write, resume=resume)
            stage_ended(name, found=found, seconds=time.perf_counter() - begun)
            return reference

        outer = signature.replace(parameters=parameters, return_annotation=Reference)
        run.__signature__ = outer  # type: ignore[attr-defined]
        return Task(run, name=name, cache_policy=policy, **OPTIONS)

    return decorate


def done[**P](stage_task: Task[P, Reference], *args: P.args, **kwargs: P.kwargs) -> Reference:
    """Call a stage's task in a flow, and say so where Prefect has its record already."""
    state = stage_task(*args, **kwargs, return_state=True)
    reference: Reference = state.result()
    if state.name == "Cached":
        with suppress(OSError):  # of another user's; `lmle gc` goes by the time of the last use
            os.utime(reference.path)
        stage_ended(stage_task.name, found=True)
    return reference
