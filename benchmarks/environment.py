"""What a measurement depends on: hardware, versions, revision."""

import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from lmle_core.cores import cores
from tasks.revision import git_revision

PACKAGES = (
    "torch", "torchvision", "faiss-gpu", "faiss-cpu", "scikit-learn", "pytorch-metric-learning", "simplejpeg", "zarr",
    "dask", "prefect", "mlflow", "numpy",
)  # fmt: skip


def environment() -> dict[str, Any]:
    """What a measurement depends on: hardware, versions, revision."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "versions": versions,
        "revision": git_revision(),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
