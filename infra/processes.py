"""Processes that outlive the command that starts them: detached, found again safely, ended with all they started."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

TOKEN = "LMLE_SERVICES"
"""Environment variable that every process of a workspace's services inherits; it finds orphans again."""


@dataclass(frozen=True)
class Detached:
    """A process by number and start time, so that a recycled number is never taken for it.

    Attributes:
        pid: its number.
        started: when it was created, in seconds since the machine started: a clock that is set moves no process.
    """

    pid: int
    started: float

    def find(self) -> psutil.Process | None:
        """The process, or None where it is gone, a zombie, or its number belongs to another one now."""
        try:
            process = psutil.Process(self.pid)
            same = abs(_since_boot(process.create_time()) - self.started) < 2
            zombie = process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if same and not zombie else None


def start(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Detached:
    """Start a command in a session of its own; what it prints is appended to the log.

    Corner cases: a shell without job control starts background jobs with SIGINT ignored, and that would be
    inherited; the default is restored first.
    """
    ignored = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is signal.SIG_IGN]
    log.parent.mkdir(parents=True, exist_ok=True)
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    with log.open("a") as file:
        child = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            start_new_session=True,
        )
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    try:
        return Detached(child.pid, _since_boot(psutil.Process(child.pid).create_time()))
    except psutil.Error:  # ended already; the caller's health check says so
        return Detached(child.pid, _since_boot(time.time()))


def stop(process: Detached, grace: float) -> None:
    """End a process and all it started: SIGTERM to it, after `grace` seconds SIGKILL to what is left of them."""
    found = process.find()
    if found is None:
        return
    family = [found, *_children(found)]
    _signal([found], signal.SIGTERM)
    _, left = psutil.wait_procs(family[:1], grace)
    family += [child for member in left for child in _children(member)]
    stop_all(family, grace=2.0)


def stop_all(processes: Iterable[psutil.Process], grace: float) -> None:
    """SIGTERM to each that still runs, and SIGKILL after `grace` seconds."""
    alive = [process for process in processes if process.is_running()]
    _signal(alive, signal.SIGTERM)
    _, left = psutil.wait_procs(alive, grace)
    _signal(left, signal.SIGKILL)
    psutil.wait_procs(left, 5)


def marked(token: str) -> list[psutil.Process]:
    """Every process that carries the token in its environment, whoever its parent is now."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(TOKEN) == token:
                found.append(process)
        except psutil.Error:
            continue
    return found


def orphans(token: str, living: Iterable[Detached]) -> list[psutil.Process]:
    """Those that carry the token and belong to none of these processes: what one that ended has left behind."""
    found = marked(token)  # first, so that the children of today are looked up after them
    roots = [root for each in living if (root := each.find())]
    families = {member for root in roots for member in (root, *_children(root))}
    return [process for process in found if process not in families]


def listens(process: psutil.Process) -> set[int]:
    """Ports that a process listens on."""
    try:
        found = process.net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}


def boot() -> str:
    """Identifies this start of the machine, where the system tells it: no process is older."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def users(ports: Collection[int], token: str) -> list[psutil.Process]:
    """Processes of this user's that are connected to ports of this machine, less those that carry the token."""
    ours = {process.pid for process in marked(token)} | {os.getpid()}
    connected = {
        each.pid
        for each in psutil.net_connections(kind="tcp4")
        if each.raddr and each.raddr.port in ports and each.status == psutil.CONN_ESTABLISHED
    }
    found = []
    for pid in connected - ours - {None}:
        with suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def port_free(host: str, port: int) -> bool:
    """Whether a server could listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_ports(host: str, count: int) -> list[int]:
    """Ports that are free now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((host, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def _since_boot(time_: float) -> float:
    return time_ - psutil.boot_time()


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.Error:
            continue
