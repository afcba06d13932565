"""Champions of a model in a real registry: promoted, rolled back, listed, and fetched."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmle_core.artefact import Reference
from lmle_core.config import Engines
from tasks.champions import RESTORED_AT, ROLLED_BACK_AT, Champions, RollbackError
from tasks.mlflow_store import TrackingError
from tasks.promotion import Outcome, record_outcome
from tasks.registry import CHAMPION

NUMBERS = itertools.count(1)


@pytest.fixture
def champions(mlflow_workspace: Path, tmp_path: Path) -> Champions:
    """A model with four versions, of which the first is champion."""
    found = Champions.open(Engines(model=f"champions-{next(NUMBERS)}"), mlflow_workspace)
    assert found.current() is None
    found.client.create_registered_model(found.name)
    run = found.client.create_run("0").info.run_id
    for number in range(1, 5):
        model = tmp_path / str(number) / "artifacts" / "run" / "model"
        model.mkdir(parents=True)
        (model / "model.safetensors").write_bytes(bytes([number]))
        found.client.create_model_version(found.name, (tmp_path / str(number)).as_uri(), run_id=run)
    found.client.set_registered_model_alias(found.name, CHAMPION, "1")
    return found


def current(champions: Champions) -> int:
    version = champions.current()
    assert version is not None
    return version.number


def test_a_rollback_undoes_the_last_promotion_once(champions: Champions) -> None:
    for number in (2, 3, 3):
        champions.promote(number)
    assert current(champions) == 3
    moved = [champions.roll_back() for _ in range(3)]
    assert [(version.number, changed) for version, changed in moved] == [(2, True), (2, False), (2, False)]
    assert current(champions) == 2
    assert ROLLED_BACK_AT in champions.version(3).tags
    champions.promote(4)
    assert champions.roll_back()[0].number == 2
    assert [version.number for version in champions.history()] == [1, 2, 3, 4]


def test_any_former_champion_comes_back_by_number(champions: Champions) -> None:
    champions.promote(2)
    champions.promote(3)
    for to, changed in ((1, True), (1, False), (3, True)):
        version, moved = champions.roll_back(to)
        assert (version.number, moved, current(champions)) == (to, changed, to)
    assert ROLLED_BACK_AT not in champions.version(3).tags
    assert RESTORED_AT not in champions.version(1).tags
    assert champions.roll_back()[0].number == 2  # what the champion of now had replaced
    with pytest.raises(RollbackError, match=r"version 4 .* never was champion; former champions are versions \[1, 3\]"):
        champions.roll_back(4)


@pytest.mark.parametrize("calls", [0, 1])
def test_a_promotion_that_was_cut_off_made_no_former_champion(champions: Champions, calls: int) -> None:
    """Killed before the alias moved, or after it."""
    client = CutOff(champions.client, calls)
    with pytest.raises(KeyboardInterrupt):
        replace(champions, client=client).promote(2)
    assert [version.number for version in champions.history()] == [1, 2][: 1 + calls]
    champions.promote(2)
    champions.promote(3)
    assert champions.roll_back()[0].number == 2
    assert champions.roll_back(1)[0].number == 1
    assert {version.number for version in champions.history()} == {1, 2, 3}


class CutOff:
    """A client whose process is killed when it has moved so many aliases."""

    def __init__(self, client: Any, calls: int) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def set_registered_model_alias(self, *arguments: str) -> None:
        """As MLflow's, or not."""
        if self._calls:
            self._client.set_registered_model_alias(*arguments)
        raise KeyboardInterrupt


def test_a_verdict_on_a_champion_of_the_past_promotes_nothing(champions: Champions) -> None:
    outcome = Outcome("promoted", "it is better", champions.version(2), champions.version(1))
    champions.promote(3)
    before = champions.version(2)
    with pytest.raises(RuntimeError, match=r"version 2 of .* compared with version 1, which is not the champion any"):
        record_outcome(champions, outcome, {"data": "1" * 32}, None)
    assert (current(champions), champions.version(2)) == (3, before)


def test_nothing_to_go_back_to_is_said(champions: Champions, mlflow_workspace: Path) -> None:
    with pytest.raises(RollbackError, match=r"version 1 of .* replaced no other champion.*there is no former champion"):
        champions.roll_back()
    with pytest.raises(RollbackError, match=r"model 'nobody' has no champion in sqlite:.*`lmle retrain` makes the"):
        Champions.open(Engines(model="nobody"), mlflow_workspace).roll_back()
    assert [version.number for version in champions.history()] == [1]  # by its alias alone


def test_a_model_is_fetched_once_and_known_by_its_files(champions: Champions, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    found: list[Reference] = [champions.fetch(champions.version(number), workspace) for number in (1, 2, 1)]
    assert found[0] == found[2] != found[1]
    assert found[0].digest != found[1].digest
    assert (Path(found[1].path) / "model" / "model.safetensors").read_bytes() == b"\2"
    assert {path.name for path in Path(found[1].path).iterdir()} == {"model", "COMMITTED.json"}
    (tmp_path / "3" / "artifacts" / "run" / "model" / "model.safetensors").unlink()
    (tmp_path / "3" / "artifacts" / "run" / "model").rmdir()
    (tmp_path / "3" / "artifacts" / "run").rmdir()
    with pytest.raises(TrackingError, match=r"version 3 of .* is the champion, and its model cannot be read"):
        champions.fetch(champions.version(3), workspace)
