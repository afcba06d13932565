"""A model behind `mlflow models serve`, for as long as a context lasts."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.prefect_server import healthy
from infra.processes import free_ports

START_SECONDS = 1800
"""The server imports torch, faiss and MLflow: half a minute, and many times that where others use the cores."""


@contextmanager
def model_server(model: str, log: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve a model on loopback.

    Args:
        model: a folder, or an address such as `models:/lmle@champion`.
        log: gets what the server says.
        environment: variables beside this process's own.

    Yields:
        The server's URL, once it answers.

    Raises:
        RuntimeError: with its log, if it does not start.
    """
    (port,) = free_ports("127.0.0.1", 1)
    url, limit = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    command = ("-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # it calls uvicorn by name
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, *command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=file, stderr=file, env={**os.environ, "PATH": path, **environment},
        )  # fmt: skip
    try:
        while not healthy(f"{url}/ping"):
            if server.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"{model}: its server does not start\n{log.read_text()}")
            time.sleep(0.2)
        yield url
    finally:
        server.terminate()  # uvicorn, its child, is told by the system
        server.wait()
