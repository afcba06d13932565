import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lmle_core import artefact
from lmle_core.artefact import (
    Reference,
    code_version,
    committed,
    committing,
    digest_of,
    make_once,
    read_commit,
    read_module,
    stage_key,
)


def write_letter(partial: Path, record: dict[str, Any]) -> None:
    (partial / "letter.txt").write_text("dear reader")


def test_a_directory_appears_whole_with_its_marker(tmp_path: Path) -> None:
    directory = tmp_path / "stages" / "key"
    reference, found = make_once(directory, "letters", {"of": "words"}, write_letter)
    assert (reference, found) == (Reference("letters", str(directory), "key"), False)
    assert make_once(directory, "letters", {"of": "words"}, write_letter) == (reference, True)
    record = read_commit(directory)
    assert record is not None
    assert record["inputs"] == {"of": "words"} and record["files"] == {"letter.txt": 11}


def test_a_failed_writer_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    def fail(partial: Path, record: dict[str, Any]) -> None:
        (partial / "half.txt").write_text("dear")
        raise RuntimeError("the pen is empty")

    with pytest.raises(RuntimeError, match="pen"):
        make_once(tmp_path / "key", "letters", {}, fail)
    assert committed(tmp_path / "key") is None and not (tmp_path / "key").exists()
    assert (tmp_path / "key.partial" / "half.txt").exists()


@pytest.mark.parametrize("resume", [True, False])
def test_only_a_resumable_stage_sees_what_an_interrupted_one_left(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "key.partial").mkdir()
    (tmp_path / "key.partial" / "half.txt").write_text("dear")
    with committing(tmp_path / "key", "letters", {}, resume=resume) as (partial, _):
        assert (partial / "half.txt").exists() == resume


@pytest.mark.parametrize("damage", ["truncated file", "missing file", "broken marker", "empty marker"])
def test_damage_is_not_done_and_is_redone(tmp_path: Path, damage: str) -> None:
    directory = tmp_path / "key"
    make_once(directory, "letters", {}, write_letter)
    match damage:
        case "truncated file":
            (directory / "letter.txt").write_text("dear")
        case "missing file":
            (directory / "letter.txt").unlink()
        case "broken marker":
            (directory / artefact.MARKER).write_text('{"stage": ')
        case "empty marker":
            (directory / artefact.MARKER).write_text("{}")
    assert committed(directory) is None
    assert make_once(directory, "letters", {}, write_letter)[1] is False
    assert (directory / "letter.txt").read_text() == "dear reader"


def slow_writer(partial: Path, record: dict[str, Any]) -> None:
    time.sleep(0.3)
    (partial / "one.txt").write_text("1")


def make(directory: Path, answers: Any) -> None:
    answers.put(make_once(directory, "stage", {}, slow_writer)[1])


def test_of_two_writers_one_writes_and_the_other_finds_it_done(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    writers = [context.Process(target=make, args=(tmp_path / "key", answers)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert sorted(answers.get(timeout=5) for _ in writers) == [False, True]


def test_what_is_found_done_is_young_before_anybody_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else `lmle gc` could remove it between the two."""
    make_once(tmp_path / "key", "letters", {}, write_letter)
    os.utime(tmp_path / "key", (0, 0))
    seen = []

    def look(directory: Path) -> Reference | None:
        seen.append(directory.stat().st_mtime)
        return committed(directory)

    monkeypatch.setattr(artefact, "committed", look)
    assert make_once(tmp_path / "key", "letters", {}, write_letter)[1]
    assert seen[0] > time.time() - 60


def put(directory: Path, number: int) -> None:
    """As each of several writers of one name does it."""
    for _ in range(20):
        with artefact.lock(directory):
            partial = directory.with_name("partial")
            partial.mkdir()
            (partial / "writer").write_text(str(number))
            artefact.settle(partial, directory)


def test_a_directory_takes_the_place_of_another_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(put, [tmp_path / "named"] * 2, range(2)))
    assert (tmp_path / "named" / "writer").read_text() in "01"
    assert {path.name for path in tmp_path.iterdir()} <= {"named", ".named.lock"}


def test_the_key_depends_on_each_of_its_parts_and_on_no_order() -> None:
    keys = [
        stage_key("a", "1", {"x": 1, "y": 2}),
        stage_key("b", "1", {"x": 1, "y": 2}),
        stage_key("a", "2", {"x": 1, "y": 2}),
        stage_key("a", "1", {"x": 1, "y": 3}),
    ]
    assert len(set(keys)) == 4
    assert stage_key("a", "1", {"y": 2, "x": 1}) == keys[0]
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of({"loss": float("nan")})


def test_the_code_version_follows_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, figures = code_version("lmle_core.training"), code_version("lmle_core.figures")
    assert loss != figures
    original = Path.read_text

    def edited(path: Path, *args: Any, **kwargs: Any) -> str:
        text = original(path, *args, **kwargs)
        return text + "# edited" if path.name == "losses.py" else text

    monkeypatch.setattr(Path, "read_text", edited)
    read_module.cache_clear()
    assert code_version("lmle_core.training") != loss
    assert code_version("lmle_core.figures") == figures
    read_module.cache_clear()


def test_a_marker_is_readable_json(tmp_path: Path) -> None:
    make_once(tmp_path / "key", "letters", {"seed": 1}, write_letter)
    assert json.loads((tmp_path / "key" / artefact.MARKER).read_text())["stage"] == "letters"
