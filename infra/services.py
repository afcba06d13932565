"""The services of a workspace, started, watched and ended together; `services.json` remembers them."""

import json
import os
import shlex
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from filelock import FileLock

from infra import catalogue, processes, settings, work_pool
from infra.catalogue import Addresses, Ports, Service
from infra.postgres import Postgres
from infra.prefect_server import ServerError, keep_template, prepare_database, tail
from infra.processes import Detached
from infra.service import REACHED_AT, answers
from lmle_core.artefact import write_atomically
from lmle_core.cores import cores

DEADLINE = 600.0
"""Seconds within which every service must answer: about 30 on two idle cores, twice as many where databases are new,
and many times as many on a busy machine. One that ends is not waited for."""

PATIENCE = 30.0
"""Seconds for which a live service that does not answer is asked again: it may be slow, and at work."""

Say = Callable[[str], None]


class PortInUseError(ServerError):
    """Something else listens on a port that a service needs."""


@dataclass(frozen=True)
class Health:
    """A line of `lmle status`; `state` is 'up', or says what is wrong."""

    name: str
    url: str
    state: str
    log: Path


@dataclass
class State:
    """What `services.json` holds.

    Attributes:
        token: marks the environment of every process of these services.
        ports: that they listen on.
        dask_workers: how many.
        postgres: address of the server with the databases, without its password; empty: SQLite in the workspace.
        started: process of each service by its name.
        boot: start of the machine in which they were started.
    """

    token: str
    ports: Ports
    dask_workers: int
    postgres: str = ""
    started: dict[str, Detached] = field(default_factory=dict)
    boot: str = field(default_factory=processes.boot)

    @classmethod
    def load(cls, workspace: Path) -> "State | None":
        """The workspace's state, or None where no services were started."""
        path = workspace / "services.json"
        try:
            record = json.loads(path.read_text())
            same_boot = record.get("boot", processes.boot()) == processes.boot()
            started = {name: Detached(**process) for name, process in record["started"].items() if same_boot}
            return cls(record["token"], Ports(**record["ports"]), record["dask_workers"], record["postgres"], started)
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ServerError(f"{path} is damaged ({error!r}): end its services by hand and remove it") from None

    def save(self, workspace: Path) -> None:
        """Write it, whole or not at all."""
        write_atomically(workspace / "services.json", json.dumps(asdict(self), indent=1))

    def services(self, workspace: Path, postgres: str = "") -> tuple[Service, ...]:
        """The services, in starting order; `postgres` is the address with its password, needed to start them."""
        return catalogue.services(workspace, self.ports, self.dask_workers, postgres or self.postgres)

    def options(self) -> str:
        """What they were started with, as options of `lmle up`."""
        postgres = f" --postgres {self.postgres}" if self.postgres else ""
        return f"{self.ports} --dask-workers {self.dask_workers}{postgres}"


def up(
    workspace: Path, ports: Ports, dask_workers: int = 0, postgres: Postgres | None = None, say: Say = print
) -> Addresses:
    """Start the services that are not up, and wait until all of them answer.

    A service that lives and does not answer for `PATIENCE` is ended and started anew.

    Args:
        workspace: absolute; whose databases and artifacts they serve.
        ports: to listen on.
        dask_workers: processes of one thread; 0: as many as before, else one a core.
        postgres: the server with Prefect's and MLflow's databases, made where they are missing; None: SQLite files.
        say: told what happens.

    Raises:
        PostgresError: for a PostgreSQL server that cannot be used; nothing was started.
        ServerError: for a port in use, for services that are up on other ports or databases, for SQLite where the
            records are on PostgreSQL, and for a service that does not start, with the end of its log. What this call
            started is ended again.
    """
    if postgres is not None:
        postgres.prepare()
    workspace.mkdir(parents=True, exist_ok=True)
    with FileLock(workspace / "services.lock"):
        old = State.load(workspace)
        kept = str(postgres) if postgres else ""
        workers = dask_workers or (old.dask_workers if old else cores())
        state = State(old.token if old else uuid.uuid4().hex, ports, workers, kept)
        if old:
            same = old.options() == state.options()
            if not same and any(process.find() for process in old.started.values()):
                raise ServerError(f"the services of {workspace} are up with {old.options()}: `lmle down` first")
            if old.postgres and not kept:
                raise ServerError(
                    f"the services of {workspace} keep their records in {old.postgres}: give it, with the password, as "
                    "--postgres or LMLE_POSTGRES; or `lmle down` first, to begin with SQLite files"
                )
            state.started = dict(old.started)
        *servers, worker = state.services(workspace, postgres.address if postgres else "")
        missing = [service for service in servers if not _works(service, state)]
        began = time.monotonic()
        try:
            _end(missing[::-1], workspace, state)
            _end_orphans(missing, state)
            _refuse_ports_in_use(missing)
            new_database = None if postgres else prepare_database(workspace)
            for service in missing:
                _start(service, workspace, state)
            for service in missing:
                _await(service, workspace, state, began, say)
            if new_database is not None:
                keep_template(new_database)
            # A live worker whose server was gone has not answered, and may be at work: it finds the new one by itself.
            reconnecting = any(each.name == "prefect" for each in missing) and _process(worker, state) is not None
            if not reconnecting and not _works(worker, state):
                missing.append(worker)
                _end([worker], workspace, state)
                for run in _close_runs(state):
                    say(f"run {run} had been left unfinished by a worker that ended: set to Crashed")
                work_pool.forget_worker(Addresses.of(ports).api)
                _start(worker, workspace, state)
                _await(worker, workspace, state, began, say)
        except BaseException:
            _end(missing[::-1], workspace, state)
            _leave_records(old, state, workspace)
            raise
    return Addresses.of(ports)


def down(workspace: Path, say: Say = print) -> int:
    """End the services in reverse order, and every process that they left behind; returns how many services ran."""
    if not (workspace / "services.json").exists():
        return 0
    with FileLock(workspace / "services.lock"):
        state = State.load(workspace)
        if state is None:
            return 0
        running = [service for service in state.services(workspace)[::-1] if _process(service, state)]
        for user in processes.users(vars(state.ports).values(), state.token):
            with suppress(psutil.Error):
                words = user.cmdline()
                if any(Path(word).name in ("lmle", "flows.cli") for word in words):
                    say(f"process {user.pid} uses them, and fails now; started again, it goes on: {shlex.join(words)}")
        for service in running:  # nothing is written meanwhile, so that a full disk stops nothing
            processes.stop(state.started[service.name], service.grace)
            say(f"{service.name:<13} ended")
            if service.name == "worker":
                with suppress(OSError):  # no server: the next `up` does it
                    _close_runs(state)
        processes.stop_all(processes.marked(state.token), grace=5.0)
        (workspace / "services.json").unlink()
    return len(running)


def status(workspace: Path) -> list[Health]:
    """How each service is; empty where none was started."""
    state = State.load(workspace)
    if state is None:
        return []
    lines = []
    if state.postgres:
        answer = "up" if Postgres.parse(state.postgres).answers() else "does not answer"
        lines.append(Health("postgresql", state.postgres, answer, settings.logs(workspace) / "prefect.log"))
    for service in state.services(workspace):
        answer = "up" if service.answers() else "does not answer"
        words = answer if _process(service, state) else "ended"
        lines.append(Health(service.name, service.url, words, _log(service, workspace)))
    return lines


def elsewhere(workspace: Path) -> list[Health]:
    """How each service is that the environment names, as in a container: nobody started them in this workspace."""
    lines = []
    for name, variable in REACHED_AT.items():
        if (url := os.environ.get(variable, "")).startswith("http"):
            words = "up" if answers(name, os.environ) else "does not answer"
            lines.append(Health(name, url, words, settings.logs(workspace)))
    return lines


def running(workspace: Path) -> dict[str, str]:
    """Variables by which a run in this process uses the services that are up; one that is slow is asked again."""
    state = State.load(workspace)
    if state is None:
        return {}
    *servers, _ = state.services(workspace)
    return Addresses.of(state.ports).environment([each.name for each in servers if _works(each, state)])


def postgres_of(workspace: Path) -> str:
    """PostgreSQL server that has the records of the workspace's services, without its password; empty: none has."""
    state = State.load(workspace)
    return state.postgres if state else ""


def _start(service: Service, workspace: Path, state: State) -> None:
    environment = {**os.environ, **service.environment, processes.TOKEN: state.token}
    state.started[service.name] = processes.start(
        [sys.executable, *service.command], environment, _log(service, workspace)
    )
    state.save(workspace)


def _await(service: Service, workspace: Path, state: State, began: float, say: Say) -> None:
    while not service.answers():
        problem = None
        if _process(service, state) is None:
            problem = "ended while it was starting"
        elif time.monotonic() - began > DEADLINE:
            problem = f"does not answer after {DEADLINE:.0f} s"
        if problem:
            raise ServerError(f"{service.name} {problem}\n{tail(_log(service, workspace))}")
        time.sleep(0.2)
    say(f"{service.name:<13} up after {time.monotonic() - began:4.1f} s  {service.url}")


def _leave_records(old: State | None, state: State, workspace: Path) -> None:
    """Where nothing was started, the records are where they were, and not in the database that was asked for."""
    if state.started or state.postgres == (old.postgres if old else ""):
        return
    if old is None:
        (workspace / "services.json").unlink()
    else:
        old.save(workspace)


def _end(services: list[Service], workspace: Path, state: State) -> None:
    for service in services:
        if process := state.started.pop(service.name, None):
            processes.stop(process, service.grace)
    state.save(workspace)


def _end_orphans(services: list[Service], state: State) -> None:
    """End what one that was killed has left on the ports of the services: its children."""
    ports = {port for service in services for _, port in service.ports}
    left = processes.orphans(state.token, state.started.values()) if ports else []
    processes.stop_all([each for each in left if processes.listens(each) & ports], grace=5.0)


def _close_runs(state: State) -> list[str]:
    """End what a worker that ended left behind, and tell the server; returns the runs. Raises OSError without it."""
    processes.stop_all(processes.orphans(state.token, state.started.values()), grace=5.0)
    return work_pool.close_dead_runs(Addresses.of(state.ports).api)


def _refuse_ports_in_use(services: list[Service]) -> None:
    for service in services:
        for option, port in service.ports:
            if not processes.port_free(settings.LOOPBACK, port):
                raise PortInUseError(
                    f"port {port}, which {service.name} should listen on, is in use; "
                    f"end what uses it, or choose another port with {option}"
                )


def _process(service: Service, state: State) -> psutil.Process | None:
    process = state.started.get(service.name)
    return process.find() if process else None


def _works(service: Service, state: State) -> bool:
    began = time.monotonic()
    while _process(service, state) is not None:
        if service.answers():
            return True
        if time.monotonic() - began > PATIENCE:
            return False
        time.sleep(0.5)
    return False


def _log(service: Service, workspace: Path) -> Path:
    return settings.logs(workspace) / f"{service.name}.log"
