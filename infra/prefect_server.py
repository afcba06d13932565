"""A Prefect API for one process: a child server that starts before Prefect is imported, and never outlives its parent.

    with prefect_api(workspace) as api:
        from flows.lmle import lmle     # seconds of imports, while the server starts
        api.wait()
        lmle(config)

Run as a module, this file is that child.
"""

import contextlib
import importlib.metadata
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from infra import settings
from infra.automations import HEARTBEAT

PATIENCE = 10.0
"""Seconds for which an API that is not ours is asked again: it may be busy, or just starting anew."""


class ServerError(RuntimeError):
    """A server that did not start; the message ends with what its log says."""


@dataclass
class Api:
    """A Prefect API: its address, and the child that serves it, where it is ours.

    Attributes:
        url: ends in `/api`.
        log: the child's log.
        child: None where the API was there already.
        database: the child's SQLite file, where it is new and may become the template.
    """

    url: str
    log: Path
    child: subprocess.Popen[str] | None = None
    database: Path | None = None
    _started: float = field(default_factory=time.monotonic)

    def wait(self, deadline: float = 180.0) -> float:
        """Wait until the API answers; returns the seconds since it was started.

        Raises:
            ServerError: when the child ends or the deadline passes, with the end of its log; for an API that was there
                already, when `PATIENCE` passes.
        """
        began = time.monotonic()
        while not healthy(f"{self.url}/health"):
            if self.child is None:
                if time.monotonic() - began > PATIENCE:
                    raise ServerError(
                        f"no Prefect API answers at {self.url}: start it, or unset PREFECT_API_URL to run without one"
                    )
            elif self.child.poll() is not None:
                raise ServerError(f"Prefect's server ended with code {self.child.returncode}\n{tail(self.log)}")
            elif time.monotonic() - self._started > deadline:
                raise ServerError(f"Prefect's server did not answer within {deadline:.0f} s\n{tail(self.log)}")
            time.sleep(0.05)
        if self.database is not None:
            keep_template(self.database)
        return time.monotonic() - self._started

    def stop(self) -> None:
        """Send what Prefect's log and event workers still hold, then end the child."""
        if self.child is None:
            return
        _drain()
        self.child.terminate()
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def prefect_api(workspace: Path) -> Iterator[Api]:
    """An API for the flows that this process runs; to be entered before `prefect` is imported.

    Sets the environment of a run (see `run_environment`) where a variable is not set already, and takes back what it
    set.

    Args:
        workspace: whose database the child uses.

    Corner cases: a PREFECT_API_URL in the environment wins. The child listens to a pipe that closes with this process,
    however it ends.
    """
    url = os.environ.get("PREFECT_API_URL")
    api = Api(url, settings.logs(workspace)) if url else start_api(workspace)
    wanted = {**run_environment(workspace), "PREFECT_API_URL": api.url}
    if url:  # an API that outlives this process learns from heartbeats where it was killed
        wanted |= HEARTBEAT
    ours = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield api
    finally:
        api.stop()
        for name in ours:
            os.environ.pop(name, None)


def run_environment(workspace: Path) -> dict[str, str]:
    """Variables for flows in this process: Prefect keeps quiet on the terminal, where lmle itself reports."""
    level = "INFO" if os.environ.get("LMLE_DEBUG") else "CRITICAL"
    quiet = dict.fromkeys(("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "PREFECT_LOGGING_INTERNAL_LEVEL"), level)
    return {**settings.run_environment(workspace), **quiet}


def start_api(workspace: Path) -> Api:
    """Start the child; it answers some seconds later (see `Api.wait`). Raises PostgresError for an unfit server."""
    postgres = settings.postgres()
    if postgres is not None:
        postgres.prepare()
    database = None if postgres else prepare_database(workspace)
    log = settings.logs(workspace) / "prefect-in-process.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "infra.prefect_server"],
            env={**os.environ, **settings.server_environment(workspace)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which drains its workers first
        )
    assert child.stdout is not None
    port = child.stdout.readline().strip()
    if not port:
        raise ServerError(f"Prefect's server ended with code {child.wait()}\n{tail(log)}")
    return Api(f"http://{settings.LOOPBACK}:{port}/api", log, child, database)


def prepare_database(workspace: Path) -> Path | None:
    """Make a workspace's database from the template, where it has none and there is one.

    Returns:
        Where the server will make a new database, for `keep_template`; None where there is one now, which may hold
        records.
    """
    database, template = settings.prefect_database(workspace), template_path()
    if database.exists():
        return None
    database.parent.mkdir(parents=True, exist_ok=True)
    if not template.exists():
        return database
    partial = database.with_suffix(f".{os.getpid()}")
    try:
        shutil.copyfile(template, partial)
        try:
            database.hardlink_to(partial)
        except FileExistsError:  # another process was first, and its server may have opened it
            return None
        except OSError:  # a file system without hard links
            return database
    finally:
        partial.unlink(missing_ok=True)
    return None


def template_path() -> Path:
    """A migrated, empty database in the Python environment; spares a new workspace ten seconds of migrations."""
    return Path(sys.prefix) / "share" / "lmle" / f"prefect-{importlib.metadata.version('prefect')}.db"


def keep_template(database: Path) -> None:
    """Keep a copy of a new database just migrated, where there is none and the environment may be written to."""
    template = template_path()
    if template.exists():
        return
    partial = template.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError, sqlite3.Error):
        template.parent.mkdir(parents=True, exist_ok=True)
        with (
            contextlib.closing(sqlite3.connect(database)) as source,
            contextlib.closing(sqlite3.connect(partial)) as copy,
        ):
            source.backup(copy)
        partial.rename(template)


def healthy(url: str, timeout: float = 2.0) -> bool:
    """Whether an HTTP address answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:
            return bool(response.status == 200)
    except (OSError, HTTPException):  # nothing there, or something else
        return False


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log, with its path."""
    try:
        text = log.read_text(errors="replace").rstrip()
    except OSError:
        return f"(no log at {log})"
    return f"--- {log}\n" + "\n".join(text.splitlines()[-lines:])


def _drain() -> None:
    if "prefect" not in sys.modules:
        return
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    with contextlib.suppress(Exception):  # best effort: the run itself is over
        APILogWorker.drain_all(timeout=5)
        EventsWorker.drain_all(timeout=5)


def _end_with_parent() -> None:
    sys.stdin.read()  # returns when the parent's end of the pipe closes
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)
    os._exit(1)


def _serve() -> None:
    listener = socket.socket()
    listener.bind((settings.LOOPBACK, 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(PREFECT__SERVER_EPHEMERAL="1", PREFECT__SERVER_FINAL="1", PREFECT_UI_ENABLED="0")
    import uvicorn

    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, log_level="error", lifespan="on",
        timeout_graceful_shutdown=3,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    _serve()
