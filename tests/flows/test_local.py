"""`lmle run` as a process: interrupted it ends with 3 and continues later, a missed quality gate ends it with 5."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.commands import TINY


def _run(workspace: Path, *settings: str) -> subprocess.Popen[str]:
    options = [text for setting in (*TINY, "engines.dask_workers=1", *settings) for text in ("--set", setting)]
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run", "--workspace", str(workspace), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_interrupted_refused_and_done(prefect_server: str, tmp_path: Path, number: signal.Signals) -> None:
    run = _run(tmp_path)
    assert run.stderr is not None
    before = []
    for line in run.stderr:
        before.append(line)
        if line.startswith("prior") and "begins" in line:
            break
    assert f"prefect      at {prefect_server}\n" in before
    run.send_signal(number)
    out, err = run.communicate()
    assert run.returncode == 3, [*before, err]
    assert err.splitlines()[-1] == "lmle: interrupted; the same command continues where this one stopped"
    assert err.count("lmle: stopping") == 1
    assert "Traceback" not in err

    run = _run(tmp_path, "evaluation.least_balanced_accuracy=1")
    out, err = run.communicate()
    assert run.returncode == 5, err
    assert "evaluation.least_balanced_accuracy asks for 1.0000" in err.splitlines()[-1]
    assert "synth        found done" in err  # before the interrupt
    assert "Traceback" not in err

    run = _run(tmp_path)
    out, err = run.communicate()
    assert run.returncode == 0, err
    assert "train        found done" in err  # a gate is no reason to train again
    assert "Smiling" in out
    assert f"MLflow  sqlite:///{tmp_path / 'mlflow.db'}" in out
    assert len(list(tmp_path.glob("runs/*/report.html"))) == 2
