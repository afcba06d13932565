"""Task: the run's directory, `<workspace>/runs/<run>/`."""

import time
from pathlib import Path

from prefect import task

from lmle_core.artefact import Reference
from lmle_core.config import Config
from lmle_core.publish import Parts, publish
from tasks.cache import StagePolicy
from tasks.progress import stage_ended
from tasks.stage import IGNORED, OPTIONS
from tasks.storage import make_shared

POLICY = StagePolicy(stage="run", code="lmle_core.publish", ignore=IGNORED)


@task(name="run", cache_policy=POLICY, **OPTIONS)
def publish_run(
    run: str, parts: dict[str, Reference | list[Reference]], config: Config, code: str, command: str, workspace: Path
) -> Reference:
    """Put together what a person or a service takes away from a run. `parts` as in `lmle_core.publish.Parts`."""
    begun = time.perf_counter()
    paths = Parts(
        **{
            name: [Path(each.path) for each in part] if isinstance(part, list) else Path(part.path)
            for name, part in parts.items()
        }  # type: ignore[arg-type]
    )
    inputs = POLICY.identity({"run": run, "parts": parts, "config": config, "code": code})
    reference, found = make_shared(
        workspace,
        workspace / "runs" / run,
        "run",
        inputs,
        lambda partial, record: publish(partial, run, paths, config, code, command),
    )
    stage_ended("run", found=found, seconds=time.perf_counter() - begun)
    return reference
