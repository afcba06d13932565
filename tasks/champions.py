"""The champions of a registered model: which version is it, which were, and how one follows another or comes back.

The alias `champion` says which version it is; tags of the versions keep the history.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from lmle_core.artefact import Reference
from lmle_core.config import Engines
from tasks.locks import held
from tasks.mlflow_store import MissingError, answering_uri, connect, shown
from tasks.models import fetch_logged
from tasks.registry import CHAMPION, PROMOTED_AT, now

REPLACED, ROLLED_BACK_AT, RESTORED_AT = "lmle.replaced", "lmle.rolled_back_at", "lmle.restored_at"
"""Tags of a version: the champion that it replaced, when it gave way to another one again, when the last promotion was
undone in its favour."""
DECISION, REASON, GAIN = "lmle.promotion", "lmle.promotion_reason", "lmle.gain"
JUDGED_AGAINST = "lmle.judged_against"
"""Tags of a challenger's version and run: what became of it, why, its gain in points, and the champion's version."""


class RollbackError(ValueError):
    """No champion can be gone back to; the message says which there are, or why not now."""


@contextmanager
def deciding(workspace: Path, *, wait: bool = True) -> Iterator[None]:
    """Within it this process alone, of those that use the workspace, decides which version is champion.

    Args:
        workspace: of all of them.
        wait: for another one; else that is an error.

    Raises:
        RollbackError: where another one decides and is not waited for.
    """
    workspace.mkdir(parents=True, exist_ok=True)
    path = workspace / "promotion.lock"
    lock: AbstractContextManager[Any]
    if wait:
        lock = held(path, f"{'champion':<12} waits for another run that decides")
    else:
        try:
            lock = FileLock(path).acquire(timeout=0)
        except Timeout:
            raise RollbackError(
                "a retraining is comparing its model with the champion: try again when it has ended, after a look at "
                "`lmle champions`"
            ) from None
    with lock:
        yield


def rollback_command(name: str, version: int | str = "VERSION") -> str:
    """What makes a former champion of a model the champion again."""
    return f"lmle rollback --model {name} --to {version}"


@dataclass(frozen=True)
class Version:
    """A version of the registered model.

    Attributes:
        number: counted from 1.
        run_id: MLflow's identity of the run that made it.
        source: address of its logged model.
        tags: of the version.
    """

    number: int
    run_id: str
    source: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Champions:
    """The versions of one registered model that are, or were, champions.

    Attributes:
        client: MLflow's.
        uri: of its store.
        name: of the registered model; it need not exist yet.
    """

    client: Any
    uri: str
    name: str

    @classmethod
    def open(cls, engines: Engines, workspace: Path) -> Self:
        """Those of the configured model, in the configured store. Raises TrackingError where that does not answer."""
        uri = answering_uri(engines, workspace)
        return cls(connect(uri), uri, engines.model)

    def current(self) -> Version | None:
        """The champion; None where there is none yet."""
        try:
            found = self.client.get_registered_model(self.name)
        except import_module("mlflow.exceptions").MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        number = dict(found.aliases).get(CHAMPION)
        return None if number is None else self.version(int(number))

    def version(self, number: int) -> Version:
        """A version by its number."""
        found = self.client.get_model_version(self.name, str(number))
        return Version(int(found.version), found.run_id, found.source, dict(found.tags))

    def history(self) -> list[Version]:
        """Every version that is or was champion, in the order in which they became so."""
        found = [
            Version(int(each.version), each.run_id, each.source, dict(each.tags))
            for each in self.client.search_model_versions(f"name = '{self.name}'")
        ]
        by_hand = {
            int(each.tags[REPLACED]) for each in found if REPLACED in each.tags
        }  # the alias is all that they had
        if (champion := self.current()) is not None:
            by_hand.add(champion.number)
        known = [each for each in found if each.tags.keys() & {PROMOTED_AT, ROLLED_BACK_AT} or each.number in by_hand]
        return sorted(known, key=lambda each: (each.tags.get(PROMOTED_AT, ""), each.number))

    def check_first(self) -> None:
        """Raise RollbackError where there were champions, so that another version must not become the first one."""
        if former := [each.number for each in self.history()]:
            raise RollbackError(
                f"no version of {self.name!r} has the alias {CHAMPION!r}, and versions {former} were champion: "
                f"`{rollback_command(self.name)}` brings one back"
            )

    def fetch(self, version: Version, workspace: Path) -> Reference:
        """A version's `model/` and `index/`, from MLflow into the workspace, once; the digest is that of the files."""
        try:
            return fetch_logged(version.source, self.uri, workspace)
        except MissingError as error:
            raise MissingError(
                f"version {version.number} of {self.name!r} is the champion, and its model cannot be read from "
                f"{version.source} ({error}): restore it, or move the alias with `{rollback_command(self.name)}`"
            ) from None

    def promote(self, number: int) -> None:
        """Make a version the champion, and note which one it replaces. Called again, it changes nothing."""
        champion = self.current()
        if champion is not None and champion.number == number:
            return
        self._tag(
            number, {REPLACED: str(champion.number) if champion else None, ROLLED_BACK_AT: None, RESTORED_AT: None}
        )
        self.client.set_registered_model_alias(self.name, CHAMPION, str(number))
        self._tag(number, {PROMOTED_AT: now()})  # last: it says that a version was champion, and must not lie

    def roll_back(self, to: int | None = None) -> tuple[Version, bool]:
        """Make the previous champion the champion again.

        Args:
            to: a version that was champion; None: the one that the champion replaced.

        Returns:
            The champion now, and whether that is a change: without `to` the last promotion is undone once, however
            often this is called.

        Raises:
            RollbackError: without a champion to go back from or to, or where `to` never was one.
        """
        named, champion = to is not None, self.current()
        former = {each.number for each in self.history()} - ({champion.number} if champion else set())
        if champion is None and to not in former:
            self.check_first()
            raise RollbackError(
                f"model {self.name!r} has no champion in {shown(self.uri)}: `lmle retrain` makes the first"
            )
        there_are = f"former champions are versions {sorted(former)}" if former else "there is no former champion"
        if champion is not None and to is None:
            if RESTORED_AT in champion.tags:
                return champion, False
            if REPLACED not in champion.tags:
                raise RollbackError(
                    f"version {champion.number} of {self.name!r} replaced no other champion, so there is nothing to go "
                    f"back to; {there_are}" + (": name one with --to" if former else "")
                )
            to = int(champion.tags[REPLACED])
        if champion is not None and to == champion.number:
            return champion, False
        if to is None or to not in former:
            raise RollbackError(f"version {to} of {self.name!r} never was champion; {there_are}")
        at = now()
        if champion is not None:
            self._tag(champion.number, {ROLLED_BACK_AT: at, RESTORED_AT: None})
        self._tag(to, {RESTORED_AT: None if named else at, ROLLED_BACK_AT: None})
        self.client.set_registered_model_alias(self.name, CHAMPION, str(to))
        return self.version(to), True

    def _tag(self, number: int, tags: Mapping[str, str | None]) -> None:
        known = self.version(number).tags
        for key, value in tags.items():
            if value is not None:
                self.client.set_model_version_tag(self.name, str(number), key, value)
            elif key in known:
                self.client.delete_model_version_tag(self.name, str(number), key)
