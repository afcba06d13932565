"""What a measurement depends on: hardware, versions, revision."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

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
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
        "revision": revision.stdout.strip() or None,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
