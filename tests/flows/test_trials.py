"""Experiments that end badly: a trial whose training diverges is not chosen, what a killed process had is run again."""

import multiprocessing
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prefect import flow

from flows.experiments import Runs
from lmle_core.artefact import Reference, digest_of
from lmle_core.config import load_config
from lmle_core.methods.catalogue import METHODS
from tasks.compare import validation_of
from tests.flows.commands import TINY
from tests.lmle_core.conftest import make_store

pytestmark = [pytest.mark.slow, pytest.mark.services]


def test_a_trial_that_diverges_is_not_chosen_and_alone_it_is_an_error(prefect_server: str, tmp_path: Path) -> None:
    store = make_store(tmp_path / "data", images=60)
    sane, wild = ({"prior.learning_rate": rate, "training.learning_rate": rate} for rate in (4e-3, 1e30))
    method = replace(METHODS["bce"], trials=(sane, wild), rules=("optimum",))
    config = load_config(None, [*TINY, "engines.parallel=1"])
    data = Reference("ingest", str(store.path), store.digest)
    runs = Runs(config, {0: data, 1: data}, "study", tmp_path / "workspace")

    @flow
    def tried() -> None:
        runs.train([(method, seed, settings) for seed in (0, 1) for settings in method.trials], trials=True)

    @flow
    def wanted() -> None:
        runs.train([(method, 0, wild)])

    tried()
    found = runs.tried(method, (0, 1))
    assert [trial["settings"] for trial in found] == [sane, wild]
    own = [validation_of(runs.made["bce", seed, digest_of(dict(sane))], "optimum") for seed in (0, 1)]
    assert own[0] != own[1]
    assert found[0]["validation"] == sum(own) / 2
    assert (found[1]["validation"], found[1]["experiments"]) == (None, [None, None])
    with pytest.raises(RuntimeError, match=r"1 of 1 experiments failed; .*\n.*bce, seed 0, prior.learning_rate 1e\+30"):
        wanted()


def test_what_a_killed_process_had_and_what_waited_for_it_is_run_by_others(prefect_server: str, tmp_path: Path) -> None:
    store = make_store(tmp_path / "data", images=60)
    config = load_config(None, [*TINY, "engines.parallel=1"])
    runs = Runs(config, {0: Reference("ingest", str(store.path), store.digest)}, "study", tmp_path / "workspace")
    jobs = [(METHODS["bce"], 0, {"rate_factor": factor}) for factor in (1.0, 2.0, 3.0)]

    def kill_after_the_first() -> None:
        while not runs.made and time.monotonic() < late:
            time.sleep(0.05)
        for child in multiprocessing.active_children():
            child.kill()

    @flow
    def trained() -> None:
        runs.train(jobs)

    late = time.monotonic() + 300
    killer = threading.Thread(target=kill_after_the_first, daemon=True)
    killer.start()
    trained()
    killer.join()
    assert len(runs.made) == 3
