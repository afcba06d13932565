"""Tasks: judge a challenger against the champion, and let it take its place, or not, with the reason on record."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from lmle_core.artefact import MARKER, Reference, settle
from lmle_core.classifier import Classifier
from lmle_core.comparison.statistics import Estimate
from lmle_core.comparison.wording import signed
from lmle_core.config import Config, Promotion
from lmle_core.device import choose_device, set_threads
from lmle_core.frozen_test import FrozenTest
from lmle_core.promotion import judge
from lmle_core.store import ImageStore
from tasks.champions import (
    DECISION,
    GAIN,
    JUDGED_AGAINST,
    REASON,
    REPLACED,
    ROLLED_BACK_AT,
    Champions,
    Version,
    rollback_command,
)
from tasks.registry import PROMOTED_AT
from tasks.stage import stage

VIEW = ("seed", "evaluation.bootstrap", "data.quarantine")
BLOCK = 1024
PROMOTION, TEXT = "promotion.json", "promotion.md"
Decision = Literal["first", "promoted", "refused", "unchanged"]


@stage("promotion", "lmle_core.promotion")
def verdict(
    directory: Path,
    store: Reference,
    test: Reference,
    challenger: Reference,
    champion: Reference,
    rule: Promotion,
    config: Config,
    workspace: Path,
) -> None:
    """Classify the frozen test images by both, and judge; writes promotion.json and promotion.md."""
    set_threads(config.engines.threads)
    images = ImageStore.open(store.path)
    rows = FrozenTest.load(Path(test.path)).rows(images, config.data.quarantine)
    device = str(choose_device(config.engines.device))
    ours, theirs = (Classifier.load(Path(each.path), device) for each in (challenger, champion))
    found = judge(
        images.labels[rows], _classified(ours, images, rows), _classified(theirs, images, rows), images.attributes,
        rule, ours.index.n_classes, bootstrap=config.evaluation.bootstrap, seed=config.seed,
        groups=images.identity[rows] if images.identity is not None else None,
    )  # fmt: skip
    (directory / PROMOTION).write_text(json.dumps({**found.to_json(), "test_images": test.digest}, indent=1))
    (directory / TEXT).write_text(found.markdown() + "\n")


def _classified(classifier: Classifier, images: ImageStore, rows: np.ndarray) -> np.ndarray:
    """(n, A) decided classes."""
    parts = (rows[low : low + BLOCK] for low in range(0, len(rows), BLOCK))
    return np.concatenate([classifier.classify_pixels(images.gather(part)).labels for part in parts])


@dataclass(frozen=True)
class Outcome:
    """What became of a retraining's model.

    Attributes:
        decision: 'first' champion of all, 'promoted', 'refused', or 'unchanged', where it is the champion already.
        reason: why.
        challenger: the retraining's model.
        champion: that it was compared with; the challenger itself where it is champion already.
        gain: as text, in points; '' where nothing was compared.
    """

    decision: Decision
    reason: str
    challenger: Version
    champion: Version
    gain: str = ""

    def said(self) -> str:
        """In a line."""
        words = {
            "first": "is the first champion",
            "promoted": "is the champion now",
            "refused": "is not promoted",
            "unchanged": "is the champion already",
        }
        return f"version {self.challenger.number} {words[self.decision]}: {self.reason}"

    def markdown(self, judged: Reference | None) -> str:
        """What an operator reads, with the verdict's table where there is one."""
        table = f"\n\n{(Path(judged.path) / TEXT).read_text()}" if judged else ""
        return f"**{self.said()[0].upper()}{self.said()[1:]}**{table}"


def decide(name: str, champion: Version, challenger: Version, judged: Reference | None) -> Outcome:
    """The outcome for a challenger.

    Args:
        name: of the registered model.
        champion: the current one.
        challenger: the retraining's.
        judged: the verdict; None where the challenger is the champion.
    """
    if judged is None:
        if PROMOTED_AT in challenger.tags and not challenger.tags.keys() & {REPLACED, DECISION}:
            return Outcome("first", "there is none to compare it with", challenger, champion)
        reason = "data, configuration and code are those it was made of"
        return Outcome("unchanged", reason, challenger, champion)
    found = json.loads((Path(judged.path) / PROMOTION).read_text())
    gain = signed(Estimate(**found["gain"]))
    if not found["promoted"]:
        return Outcome("refused", found["reason"], challenger, champion, gain)
    if ROLLED_BACK_AT in challenger.tags:
        at, again = challenger.tags[ROLLED_BACK_AT], rollback_command(name, challenger.number)
        return Outcome("refused", f"it was rolled back at {at}; `{again}` brings it back", challenger, champion, gain)
    return Outcome("promoted", f"against version {champion.number} it {found['reason']}", challenger, champion, gain)


def record_outcome(champions: Champions, outcome: Outcome, evidence: Mapping[str, str], files: Path | None) -> None:
    """Note the outcome in tags of the challenger's version and of its run, keep the files there, and promote.

    Args:
        champions: of the model.
        outcome: to note; one that is 'unchanged' was noted before.
        evidence: what the decision was made on, for tags; empty texts are left out.
        files: folder for the run's artifacts.

    Raises:
        RuntimeError: where another version became champion meanwhile; nothing is noted then.
    """
    if outcome.decision == "unchanged":
        return
    champion = champions.current()
    if outcome.decision == "promoted" and (champion is None or champion.number != outcome.champion.number):
        raise RuntimeError(
            f"version {outcome.challenger.number} of {champions.name!r} was compared with version "
            f"{outcome.champion.number}, which is not the champion any more: the same retraining, started again, "
            "compares it with the new one"
        )
    client, challenger = champions.client, outcome.challenger
    tags = {REASON: outcome.reason[:5000], GAIN: outcome.gain}
    tags |= {f"lmle.{name}": value for name, value in evidence.items()}
    if outcome.champion.number != challenger.number:
        tags[JUDGED_AGAINST] = str(outcome.champion.number)
    tags[DECISION] = outcome.decision  # last: by it a first champion's outcome is known to be on record
    if files is not None:
        client.log_artifacts(challenger.run_id, str(files), files.name)
    for key, value in tags.items():
        if value:
            client.set_tag(challenger.run_id, key, value)
            client.set_model_version_tag(champions.name, str(challenger.number), key, value)
    if outcome.decision == "promoted":
        champions.promote(challenger.number)


def keep_files(run: Path, parts: list[Reference]) -> Path:
    """Copy the files of a decision into `retraining/` of the run's directory, in place of an earlier one's."""
    folder = run / "retraining"
    partial = run / "retraining.partial"
    shutil.rmtree(partial, ignore_errors=True)
    for part in parts:
        shutil.copytree(part.path, partial, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MARKER))
    settle(partial, folder)
    return folder
