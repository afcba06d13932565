"""A run whose networks are trained by two processes, with the real `lmle` command, is that of one process."""

import json
from pathlib import Path

import pytest

from tests.flows.test_lmle import run

pytestmark = [pytest.mark.slow, pytest.mark.services]

FEW = (
    "data.images=400", "prior.epochs=0.3", "training.rounds=1", "training.iterations=2", "evaluation.bce=false",
    "evaluation.pca=false", "evaluation.least_spread=0", "engines.dask_workers=1",
)  # fmt: skip
"""A few iterations, after which rounding has not grown; what their networks decide is compared in
`tests/lmle_core/training/test_distributed.py`."""


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    one, two = (
        json.loads(run(tmp_path / str(processes), *FEW, f"engines.processes={processes}").summary)
        for processes in (1, 2)
    )
    assert one["run"] == two["run"]
    for before, after in zip(one["rounds"], two["rounds"], strict=True):
        assert after["spread"] == pytest.approx(before["spread"], abs=0.005)
        if before["loss"] is not None:
            assert after["loss"] == pytest.approx(before["loss"], rel=0.05)  # near ties of clusters fall otherwise
