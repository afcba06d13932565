"""What tests share: an environment without the user's own services, and one Prefect API for the whole session."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis

# Before anything imports Prefect, which reads its settings then.
_HOME = tempfile.TemporaryDirectory(prefix="lmle-tests-", ignore_cleanup_errors=True)
for _name in [name for name in os.environ if name.startswith(("PREFECT_", "LMLE_", "MLFLOW_"))]:
    del os.environ[_name]
os.environ["PREFECT_HOME"] = _HOME.name
os.environ["PREFECT_LOCAL_STORAGE_PATH"] = f"{_HOME.name}/results"
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"

from infra import settings  # noqa: E402
from infra.prefect_server import prefect_api  # noqa: E402
from lmle_core.cores import cores  # noqa: E402
from tests.object_store import ObjectStore, serve  # noqa: E402

os.environ.update(settings.QUIET)
hypothesis.register_profile("busy", deadline=None)  # a machine may do other work
hypothesis.load_profile("busy")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: the tests of services wait for much of their time."""
    return cores() + 1


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Prefect API that this process, and every child of it, uses for the rest of the session."""
    with prefect_api(tmp_path_factory.mktemp("prefect")) as api:
        from prefect.context import refresh_global_settings_context

        api.wait()
        refresh_global_settings_context()  # other tests have imported Prefect before
        yield api.url


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One S3 server for the session."""
    with serve(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def s3(s3_server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """An S3 server whose owner this process is, and every child of it."""
    s3_server.become("owner", monkeypatch)
    return s3_server


@pytest.fixture
def lmle(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ended]:
    """The `lmle` command in this process, with tmp_path/workspace for its workspace: `lmle("show", "latest")`."""
    from flows.cli import main

    monkeypatch.setenv("LMLE_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("COLUMNS", "120")

    def call(*arguments: object) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else 0, said.out, said.err)

    return call


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and say what would un-skip it."""
    import torch

    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device: run `pytest -m gpu` on a machine that has one"))
