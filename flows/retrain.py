"""The flow: ingest → drift → train a challenger as `lmle` does → judge it against the champion → promote, or not."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.context import FlowRunContext

from flows.lmle import DEFAULTS, Trained, ingested, train
from lmle_core.artefact import Reference
from lmle_core.config import Config
from lmle_core.location import Location
from tasks.champions import Champions, deciding, rollback_command
from tasks.drift import drift_said, drift_text
from tasks.frozen_test import check_frozen_test, frozen_test
from tasks.gates import check_champion
from tasks.overdue import cancel_overdue
from tasks.pipeline import Stages
from tasks.prior import warm_start
from tasks.progress import say
from tasks.promotion import Outcome, decide, keep_files, record_outcome


@flow(name="retrain")
def retrain(config: Config = DEFAULTS, directory: Location | None = None) -> dict[str, str]:
    """Train a challenger on the data of today, and make it champion where it is better on the frozen test images.

    Args:
        config: everything that a run can be told; the section `promotion` holds the rule.
        directory: a folder in CelebA's layout, or its URL; replaces `config.data.directory` where given.

    Returns:
        `run`: the run's directory; `model`: the registered model's URI; `decision`: 'first', 'promoted', 'refused' or
        'unchanged'; `reason`: why; `files`: folder with the verdict and the drift, '' where there was no champion.
    """
    context = FlowRunContext.get()
    for name in cancel_overdue(context.flow_run) if context and context.flow_run else ():
        say(f"{'overdue':<12} run {name} is cancelled: this one does the same")
    with ingested(config, directory) as (stages, store):
        champions = Champions.open(config.engines, stages.workspace)
        prepared = _prepare(stages, store, champions, starts=stages.config.promotion.warm_start)
        trained = train(stages, store)
        with deciding(stages.workspace):
            outcome, files = _decide(stages, store, champions, trained, prepared)
    say(f"{'champion':<12} {outcome.said()}")
    return {
        "run": trained.run.path,
        "model": trained.model.uri,
        "decision": outcome.decision,
        "reason": outcome.reason,
        "files": str(files or ""),
    }


@dataclass(frozen=True)
class Prepared:
    """What a challenger is prepared for.

    Attributes:
        champion: number of the champion's version; None: there is none yet.
        drift: of the data, measured by that champion.
    """

    champion: int | None
    drift: Reference | None


def _prepare(stages: Stages, store: Reference, champions: Champions, *, starts: bool) -> Prepared:
    """All that can be refused or warned of before training, which the champion `starts` or not; the drift beside it."""
    champion = champions.current()
    if champion is None:
        champions.check_first()
        say(f"{'champion':<12} none of model {champions.name!r} yet: this run is to be the first")
        return Prepared(None, None)
    held = champions.fetch(champion, stages.workspace)
    stages.keep(held)
    check_champion(held, store, stages.config, starts=starts)
    check_frozen_test(frozen_test(champions, champion, stages.workspace), store, stages.config)
    if starts:
        stages.start = warm_start(held)
    measured = stages.drift(store, held)
    say(f"{'drift':<12} {drift_said(measured)}")
    create_markdown_artifact(drift_text(measured), key="drift", description=f"against version {champion.number}")
    return Prepared(champion.number, measured)


def _decide(
    stages: Stages, store: Reference, champions: Champions, trained: Trained, prepared: Prepared
) -> tuple[Outcome, Path | None]:
    """What becomes of the challenger, done and on record; and the folder that says why, where there was a verdict.

    Raises:
        RuntimeError: where the challenger started from a champion that is champion no more.
    """
    champion, challenger = champions.current(), champions.version(trained.model.version)
    if champion is None:  # registration makes the first one, and somebody has taken its alias since
        champions.check_first()
        again = rollback_command(champions.name)
        raise RuntimeError(f"the alias of the champion of {champions.name!r} was removed: `{again}` sets it")
    if champion.number not in (prepared.champion, challenger.number):
        if stages.start is not None:
            raise RuntimeError(
                f"version {champion.number} became champion while this challenger was trained from version "
                f"{prepared.champion}: the same command trains one from the champion of now"
            )
        prepared = _prepare(stages, store, champions, starts=False)
    measured = prepared.drift
    test = frozen_test(champions, champion, stages.workspace)
    verdict: Reference | None = None
    files: Path | None = None
    if champion.number != challenger.number:
        held = champions.fetch(champion, stages.workspace)
        verdict = stages.verdict(store, test, trained.run, held)
        files = keep_files(Path(trained.run.path), [verdict, *([measured] if measured else [])])
    outcome = decide(champions.name, champion, challenger, verdict)
    evidence = {
        "data": store.digest,
        "test_images": test.digest,
        "start": stages.start.digest if stages.start else "",
        "drift": drift_said(measured) if measured else "",
    }
    record_outcome(champions, outcome, evidence, files)
    create_markdown_artifact(outcome.markdown(verdict), key="promotion", description=outcome.said())
    return outcome, files
