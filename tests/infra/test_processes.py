"""Detached processes: found again safely, and ended with all that they started."""

import os
import signal
import socket
import sys
import time
import uuid
from pathlib import Path

import psutil

from infra import processes
from infra.processes import Detached

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def _start(code: str, log: Path, token: str = "") -> Detached:
    import os

    return processes.start([sys.executable, "-c", code], {**os.environ, processes.TOKEN: token}, log)


def _first_line(log: Path) -> str:
    late = time.monotonic() + 60
    while not log.read_text().endswith("\n"):
        assert time.monotonic() < late
        time.sleep(0.02)
    return log.read_text().strip()


def test_a_recycled_number_is_another_process(tmp_path: Path) -> None:
    started = _start("import time; time.sleep(600)", tmp_path / "log")
    assert started.find() is not None
    impostor = Detached(started.pid, started.started - 60)
    assert impostor.find() is None
    processes.stop(impostor, grace=1)
    assert started.find() is not None
    processes.stop(started, grace=5)
    assert started.find() is None


def test_the_whole_family_ends_even_if_it_ignores_the_signal(tmp_path: Path) -> None:
    parent = _start(STUBBORN, tmp_path / "log")
    child = psutil.Process(int(_first_line(tmp_path / "log")))
    processes.stop(parent, grace=0.2)
    assert parent.find() is None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_orphans_are_found_by_their_mark(tmp_path: Path) -> None:
    token = uuid.uuid4().hex
    parent = _start(STUBBORN, tmp_path / "log", token)
    orphan = int(_first_line(tmp_path / "log"))
    assert processes.orphans(token, [parent]) == []
    psutil.Process(parent.pid).send_signal(signal.SIGKILL)
    psutil.Process(parent.pid).wait(5)
    assert [process.pid for process in processes.marked(token)] == [orphan]
    assert [process.pid for process in processes.orphans(token, [parent])] == [orphan]
    processes.stop_all(processes.marked(token), grace=2)
    assert processes.marked(token) == []


def test_start_restores_signals_that_a_background_job_inherits_ignored(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        started = _start("import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)", tmp_path / "log")
        psutil.wait_procs([psutil.Process(started.pid)], 10)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert _first_line(tmp_path / "log") == "False"


def test_free_ports_are_free_and_differ() -> None:
    ports = processes.free_ports("127.0.0.1", 5)
    assert len(set(ports)) == 5
    assert all(processes.port_free("127.0.0.1", port) for port in ports)


def test_who_uses_a_port_is_known_and_not_ourselves_or_who_carries_the_token(tmp_path: Path) -> None:
    connect = "import socket, sys, time; s = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        stranger, ours = (
            processes.start(
                [sys.executable, "-c", connect, str(port)], {**os.environ, processes.TOKEN: token}, tmp_path / "log"
            )
            for token in ("", "ours")
        )
        try:
            held = [server.accept() for _ in range(2)]
            assert [each.pid for each in processes.users([port], "ours")] == [stranger.pid]
            for connection, _ in held:
                connection.close()
        finally:
            for each in (stranger, ours):
                processes.stop(each, grace=5)
