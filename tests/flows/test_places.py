"""Where the experiments of a comparison compute: every process of the pool has a place that no other one has."""

import os
import time
from pathlib import Path

import pytest
from prefect import task

from flows.experiments import _pool
from tasks import compare

PLACES = ("cpu", "cuda:0", "cuda:1")


@task
def job(number: int, met: Path) -> tuple[int, str]:
    """Process and device of a job; the first ones begin together, and the very first ends last."""
    (met / str(number)).touch()
    awaited = {0: range(9), 1: range(3), 2: range(3)}.get(number, ())
    while not all((met / str(other)).exists() for other in awaited):
        time.sleep(0.01)
    (device,) = compare._place
    return os.getpid(), device


@pytest.mark.slow
@pytest.mark.services
def test_no_place_is_taken_twice_whoever_is_free_first(prefect_server: str, tmp_path: Path) -> None:
    with _pool(PLACES) as runner:
        futures = [runner.submit(job, {"number": number, "met": tmp_path}) for number in range(9)]
        found = [future.result() for future in futures]
    assert {device for _, device in found} == set(PLACES)
    assert len(set(found)) == len(PLACES)
    assert found.count(found[0]) == 1  # it was busy all the time
