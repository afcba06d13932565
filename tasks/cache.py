"""When a stage counts as done for Prefect: same code, same inputs, and the artefact still there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext

from lmle_core.artefact import Reference, code_version, committed, stage_key
from lmle_core.config import Engines, Section
from tasks.storage import storage_behind


@dataclass(kw_only=True)
class StagePolicy(CachePolicy):
    """The key of a stage's task run, which is also the key of its artefact.

    What counts: the stage's name, the source of its `lmle_core` module (and of the modules that this imports), and the
    task's inputs: a `Reference` by its digest, a configuration section by its values, JSON values as they are.
    What does not: `None`, paths, the section `engines` (inside a `Config` also `promotion`) and the parameters named in
    `ignore`.
    A path says where something lies and not what it is: pass a digest or fingerprint beside it.

    A hit is believed only where every reference in the stored result still leads to a committed artefact with that
    digest, inside the run's workspace (the task's `workspace` parameter, where it has one) and the storage behind it.
    Otherwise the stored record is made void, and Prefect runs the task.

    Attributes:
        stage: name of the stage.
        code: its module in `lmle_core`, dotted.
        engines: modules one of which the task chooses by itself.
        ignore: parameters that do not change the result: clients, callbacks, progress.

    Corner cases: an input of another kind is an error that names the parameter, so that nothing is left out of the
    key by accident; Prefect logs it and runs the task without a record.
    """

    stage: str
    code: str
    engines: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ("workspace",)

    def __post_init__(self) -> None:
        """Read the code now, when it is imported: who edits it during a run does not change what the run computes."""
        code_version(self.code, *self.engines)

    def key(self, inputs: Mapping[str, Any]) -> str:
        """The artefact's key for these task inputs: 32 hexadecimal digits. Raises TypeError, see `identity`."""
        return stage_key(self.stage, code_version(self.code, *self.engines), self.identity(inputs))

    def identity(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """What counts of these task inputs, as JSON.

        Raises:
            TypeError: for an input that is neither data nor ignored.
        """
        return {
            name: _identity(name, value)
            for name, value in inputs.items()
            if name not in self.ignore and not isinstance(value, Path | Engines | None)
        }

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str:
        """Prefect's hook: the key, after a stored record whose artefact is gone was made void."""
        key = f"{self.stage}-{self.key(inputs)}"
        store = task_ctx.result_store
        if store.exists(key) and not _intact(store.read(key).result, inputs.get("workspace")):
            store.write(None, key=key, expiration=datetime.now(UTC))  # type: ignore[arg-type]  # pydantic makes it a DateTime
        return key


def _identity(name: str, value: Any) -> Any:
    """What of an input goes into the key, as JSON."""
    match value:
        case Reference():
            identity: Any = value.digest
        case Section():
            identity = value.identity()
        case list() | tuple():
            identity = [_identity(name, item) for item in value]
        case dict():
            identity = {str(label): _identity(name, item) for label, item in value.items()}
        case str() | int() | float() | None:
            identity = value
        case _:
            raise TypeError(
                f"task input {name!r} is a {type(value).__name__}: expected a Reference, a configuration section or "
                f"JSON; name it in the policy's `ignore` if the result does not depend on it"
            )
    return identity


def _intact(result: Any, workspace: Path | None) -> bool:
    """Whether everything that a stored result refers to is still there, and in the storage too where there is one."""
    storage = storage_behind(workspace) if workspace is not None else None
    for reference in _references(result):
        path = Path(reference.path)
        if workspace is not None and not path.resolve().is_relative_to(workspace.resolve()):
            return False
        found = committed(path)
        if found is None or found.digest != reference.digest:
            return False
        if storage is not None and not storage.holds(path):
            return False
    return True


def _references(result: Any) -> Iterator[Reference]:
    if isinstance(result, Reference):
        yield result
    elif isinstance(result, list | tuple):
        for item in result:
            yield from _references(item)
    elif isinstance(result, dict):
        for item in result.values():
            yield from _references(item)
