import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasks.locks import held

HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_who_waits_for_another_process_says_so_and_then_has_the_lock(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "lock"
    with held(path, "waits"):
        assert "waits" not in caplog.text
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        threading.Timer(0.5, other.communicate, ["\n"]).start()
        with held(path, "waits"):
            assert "waits" in caplog.text
            assert other.wait(timeout=10) == 0
