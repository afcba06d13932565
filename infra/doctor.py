"""Whether this machine and a workspace are fit for a run: versions, cores, memory, devices, ports, disk, services."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psutil

from infra import processes, services, settings
from infra.catalogue import Ports
from infra.prefect_server import ServerError
from lmle_core.cores import cores
from lmle_core.location import Location, LocationError

PACKAGES = (
    "lmle",
    "torch",
    "torchvision",
    "faiss-gpu",
    "faiss-cpu",
    "prefect",
    "mlflow",
    "distributed",
    "zarr",
    "numpy",
)
NEEDED_MEMORY = 4 << 30
NEEDED_DISK = 2 << 30
UNFINISHED = ("stages/*", "stores", "runs", "runs/*", "comparisons")
"""Places of the workspace where an artefact is `<name>.partial` until it is whole."""


@dataclass(frozen=True)
class Finding:
    """One line of `lmle doctor`.

    Attributes:
        subject: what was looked at.
        found: what it is.
        problem: what is wrong and what to do; empty where all is well.
    """

    subject: str
    found: str
    problem: str = ""


def examine(workspace: Path, data: Location | None = None) -> Iterator[Finding]:
    """Look at everything, the quick things first.

    Args:
        workspace: absolute.
        data: a folder in CelebA's layout, or its URL, whose annotations are read and whose checksums are compared.
    """
    yield Finding("system", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}")
    yield from _packages()
    yield Finding("cores", str(cores()))
    yield _memory()
    yield from _workspace(workspace)
    yield from _storage(workspace)
    yield from _services(workspace)
    yield _devices()
    if data is not None:
        yield from _data(data)


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            if not name.startswith("faiss"):
                yield Finding(name, "not installed", "run `make setup`")


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    found = f"{memory.available / 2**30:.1f} GiB available of {memory.total / 2**30:.1f}"
    low = memory.available < NEEDED_MEMORY
    return Finding("memory", found, "a run and its Dask workers need about 4 GiB" if low else "")


def _workspace(workspace: Path) -> Iterator[Finding]:
    if not workspace.exists():
        above = next(path for path in workspace.parents if path.exists())
        problem = "" if os.access(above, os.W_OK | os.X_OK) else f"{above} is not writable; choose another --workspace"
        yield Finding("workspace", f"{workspace} (made by the first run)", problem)
        return
    problem = ""
    try:
        with tempfile.TemporaryFile(dir=workspace):
            pass
    except OSError as error:
        problem = f"not writable ({error.strerror}); choose another with --workspace"
    partial = sum(len(list(workspace.glob(f"{place}/*.partial"))) for place in UNFINISHED)
    words = f", {partial} unfinished artefacts" if partial else ""
    yield Finding("workspace", f"{workspace}{words}", problem)
    free = shutil.disk_usage(workspace).free
    yield Finding("disk", f"{free / 2**30:.1f} GiB free", "make room: `lmle gc`" if free < NEEDED_DISK else "")


def _storage(workspace: Path) -> Iterator[Finding]:
    if url := os.environ.get("LMLE_STORAGE"):
        from lmle_core.storage import Storage

        try:
            Storage(workspace, url).check()
        except LocationError as error:
            yield Finding("storage", url, str(error))
        else:
            yield Finding("storage", f"{url}, writable")


def _services(workspace: Path) -> Iterator[Finding]:
    try:
        health = services.status(workspace)
    except ServerError as error:
        yield Finding("services", "unknown", str(error))
        return
    for line in health:
        yield Finding(line.name, f"{line.url} {line.state}", "" if line.state == "up" else f"see {line.log}; `lmle up`")
    if not health:
        for name, port in vars(Ports()).items():
            free = processes.port_free(settings.LOOPBACK, port)
            problem = "" if free else f"`lmle up` would need another: --{name}-port"
            yield Finding(f"port {port}", f"{'free' if free else 'in use'}, for {name}", problem)


def _devices() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("devices", "unknown", f"torch does not import: {error}")
    if not torch.cuda.is_available():
        there = torch.cuda.device_count()
        problem = f"torch {torch.__version__} cannot use {there} GPUs: their driver is too old for it" if there else ""
        return Finding("devices", f"CPU only, {torch.get_num_threads()} threads", problem)
    names = (torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count()))
    return Finding("devices", ", ".join(f"{each.name} {each.total_memory / 2**30:.0f} GiB" for each in names))


def _data(directory: Location) -> Iterator[Finding]:
    from lmle_core.celeba.annotations import read_celeba
    from lmle_core.celeba.checksums import check_sums
    from lmle_core.celeba.layout import DataError
    from tasks.gates import UnusableDataError, check_labels

    try:
        data = read_celeba(directory)
    except (DataError, LocationError) as error:
        yield Finding("data", str(directory), str(error))
        return
    try:
        check_labels(data.labels, data.split, data.attributes, str(directory))
        problem = ""
    except UnusableDataError as error:
        problem = str(error)
    yield Finding("data", f"{len(data.filenames):,} images, {len(data.attributes)} attributes in {directory}", problem)
    for file in check_sums(directory):
        # A home-made or subsampled data set differs, and that is no problem.
        state = "as published" if file.ok else "absent" if file.found is None else "differs from the published file"
        yield Finding(file.file, state)
