"""What tests of tracking share: one migrated MLflow store a session, since the migration takes seconds."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def mlflow_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose MLflow store exists; tests tell their records apart by experiment, digest and model name."""
    from tasks.mlflow_store import connect, own_store

    workspace = tmp_path_factory.mktemp("mlflow-workspace")
    client = connect(own_store(workspace))
    client.search_experiments()
    return workspace
