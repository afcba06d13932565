"""Faces drawn by workers are those of one process, and none is drawn twice."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from lmle_core.artefact import Reference
from lmle_core.celeba.annotations import read_celeba
from lmle_core.config import Data, Engines
from lmle_core.faces import write_faces
from lmle_core.store import ImageStore
from tasks import synth as module
from tasks.ingest import ingest
from tasks.synth import draw_faces, draw_span, synth
from tasks.workers import Workers


def test_faces_drawn_by_workers_are_those_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPAN", 20)
    told: list[int] = []
    (tmp_path / "told").mkdir()
    with Workers(Engines(dask_workers=2, dask_memory="3GiB")) as workers:

        def drawn() -> Reference:
            return synth.fn(50, 0.1, Data().held_out, 3, workspace=tmp_path, workers=workers)

        reference = drawn()
        draw_faces(workers.client(), tmp_path / "told", 50, 3, lambda done, images: told.append(done))
        path = Path(reference.path)
        data = Data(height=32, width=32, shard=16)
        store = ImageStore.open(ingest(path, data, tmp_path, workers.client).path)
        assert drawn() == reference
    assert sorted(told) == told
    assert (told[-1], len(told)) == (50, 3)
    plain = tmp_path / "plain"
    write_faces(plain, 50, 3, 0.1)
    expected = {file.relative_to(plain): file for file in plain.rglob("*") if file.is_file()}
    found = {file.relative_to(path): file for file in path.rglob("*") if file.is_file()}
    assert set(found) == {*expected, Path("COMMITTED.json")}
    assert all(found[name].read_bytes() == file.read_bytes() for name, file in expected.items())

    assert (store.n, len(store.attributes)) == (50, 40)
    assert store.identity is not None
    assert store.landmarks is not None
    assert store.clean_labels is not None
    assert (store.labels != store.clean_labels).any()
    assert np.array_equal(store.labels, read_celeba(path).labels)


def test_faces_that_are_drawn_are_not_drawn_again(tmp_path: Path) -> None:
    (tmp_path / ".drawn").mkdir()
    assert draw_span(tmp_path, 4, 6, 0) == 2
    folder = tmp_path / "img_align_celeba"
    assert sorted(file.name for file in folder.iterdir()) == ["000005.jpg", "000006.jpg"]
    shutil.rmtree(folder)
    assert draw_span(tmp_path, 4, 6, 0) == 2
    assert not folder.exists()
