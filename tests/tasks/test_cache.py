"""A stage is done for Prefect while code and inputs are the same and its artefact is still there."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmle_core.artefact import Reference, make_once, read_module
from lmle_core.config import Cluster, Config, Engines, load_config
from tasks.cache import StagePolicy

POLICY = StagePolicy(stage="squares", code="lmle_core.config")
INPUTS = {"features": Reference("features", "/somewhere", "d1"), "cluster": Cluster(), "seed": 3, "previous": None}


def test_key_depends_on_content_alone() -> None:
    key = POLICY.key(INPUTS)
    moved = {**INPUTS, "features": Reference("features", "/elsewhere", "d1")}
    elsewhere = {**INPUTS, "workspace": Path("/x"), "engines": Engines(device="cuda"), "folder": Path("/y")}
    assert POLICY.key(moved) == POLICY.key(elsewhere) == key
    others = [
        {**INPUTS, "features": Reference("features", "/somewhere", "d2")},
        {**INPUTS, "cluster": Cluster(size=7)},
        {**INPUTS, "seed": 4},
        {**INPUTS, "previous": Reference("clusters", "/somewhere", "d1")},
    ]
    keys = {POLICY.key(each) for each in others}
    keys.add(StagePolicy(stage="cubes", code="lmle_core.config").key(INPUTS))
    keys.add(StagePolicy(stage="squares", code="lmle_core.artefact").key(INPUTS))
    assert len(keys | {key}) == len(others) + 3


def test_engines_inside_a_configuration_do_not_count() -> None:
    here, there = load_config(), load_config(settings=["engines.device=cuda", "engines.threads=3"])
    assert POLICY.key({"config": here}) == POLICY.key({"config": there})
    assert POLICY.key({"config": here}) != POLICY.key({"config": Config(seed=1)})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_has_a_stable_key(value: object) -> None:
    again = json.loads(json.dumps(value), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert POLICY.key({"value": value}) == POLICY.key({"value": again})


def test_code_that_is_edited_after_it_was_imported_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    read_module.cache_clear()
    policy = StagePolicy(stage="clusters", code="lmle_core.clusters")
    key = policy.key({})
    original = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda *args, **options: original(*args, **options) + "# edited")
    assert policy.key({}) == key
    read_module.cache_clear()
    assert policy.key({}) != key  # of a process that starts now
    read_module.cache_clear()


def test_an_input_that_is_no_data_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"'client' is a object.*`ignore`"):
        POLICY.key({"client": object()})
    assert StagePolicy(stage="s", code="lmle_core.config", ignore=("client",)).key({"client": object()})


def test_story_with_a_real_server(prefect_server: str, tmp_path: Path) -> None:
    """A second run is Cached; a lost artefact, another input or a moved workspace makes the stage run again."""
    from prefect import flow, task

    executed: list[int] = []

    @task(name="squares", cache_policy=POLICY, persist_result=True, cache_result_in_memory=False)
    def squares(number: int, workspace: Path) -> Reference:
        executed.append(number)
        directory = workspace / "stages" / "squares" / POLICY.key({"number": number})
        return make_once(directory, "squares", {}, lambda partial, _: write_square(partial, number))[0]

    def write_square(partial: Path, number: int) -> None:
        (partial / "square").write_text(str(number**2))

    @flow(name="cache-story")
    def run(numbers: list[int], workspace: Path) -> list[tuple[str | None, str]]:
        states = [squares(number, workspace, return_state=True) for number in numbers]
        return [(state.name, (Path(state.result().path) / "square").read_text()) for state in states]

    here, there = tmp_path / "here", tmp_path / "there"
    assert run([2, 3], here) == [("Completed", "4"), ("Completed", "9")]
    assert run([2, 3, 2], here) == [("Cached", "4"), ("Cached", "9"), ("Cached", "4")]
    assert executed == [2, 3]

    shutil.rmtree(here / "stages" / "squares" / POLICY.key({"number": 2}))
    assert run([2, 3, 5, 2], here) == [("Completed", "4"), ("Cached", "9"), ("Completed", "25"), ("Cached", "4")]
    assert executed == [2, 3, 2, 5]

    # A file that shrank is no longer what was committed.
    (here / "stages" / "squares" / POLICY.key({"number": 3}) / "square").write_text("")
    assert run([3], here) == [("Completed", "9")]

    here.rename(there)
    assert run([2, 3], there) == [("Completed", "4"), ("Completed", "9")]
    assert run([2, 3], there) == [("Cached", "4"), ("Cached", "9")]
