"""MLflow's records move from SQLite to a real PostgreSQL server, and go on there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.migration import MigrationError, main, move_records, upgrade_schema
from infra.postgres import Postgres
from lmle_core.config import Config
from tasks.tracking import Tracker
from tests.infra.postgres_server import own_databases
from tests.tasks.tiny_run import ATTRIBUTES, DATA, jpeg, make_run


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    yield from own_databases()


def _record(uri: str, folder: Path, digest: str) -> Tracker:
    """A run with a round, curves, scores and a registered model, as the flow records it."""
    config = Config()
    tracker = Tracker(uri, "lmle", digest, "demo", folder / "mlartifacts")
    tracker.start(config, DATA, code="c" * 32)
    tracker.round(1, {"spread": 0.5}, {"loss_class": [(step, 0.5 + step) for step in range(10)]})
    tracker.register(make_run(folder / digest), "faces", ATTRIBUTES, jpeg(0))
    tracker.finish({"mean_balanced_accuracy": 0.75, "attributes": {"Bald": {"tpr": 0.5, "tnr": 1.0}}})
    return tracker


def _content(uri: str) -> dict[str, Any]:
    """Everything that a person sees of the records."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiments = client.search_experiments()
    runs = client.search_runs([each.experiment_id for each in experiments], order_by=["start_time", "run_id"])
    return {
        "experiments": sorted((each.experiment_id, each.name, each.artifact_location) for each in experiments),
        "runs": [run.to_dictionary() for run in runs],
        "curves": [
            [(point.step, point.value, point.timestamp) for point in client.get_metric_history(run.info.run_id, key)]
            for run in runs
            for key in sorted(run.data.metrics)
        ],
        "models": [
            (each.name, each.version, each.run_id, each.aliases, each.tags) for each in client.search_model_versions()
        ],
        "logged": [each.model_id for each in client.search_logged_models([each.experiment_id for each in experiments])],
    }


@pytest.mark.slow
@pytest.mark.postgres
def test_records_move_and_go_on(
    postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"sqlite:///{tmp_path / 'mlflow.db'}"
    _record(source, tmp_path, "1" * 32)
    with pytest.raises(SystemExit):
        main([source])
    assert "LMLE_POSTGRES is not set" in capsys.readouterr().err
    monkeypatch.setenv("LMLE_POSTGRES", postgres.address)
    main([])
    main([source])
    said = capsys.readouterr().out
    assert "metrics" in said
    assert f"rows moved to database {postgres.url.database}_mlflow" in said
    assert _content(postgres.mlflow) == _content(source)

    with pytest.raises(MigrationError, match="has 2 runs already: expected an empty database"):
        move_records(source, postgres.mlflow, print)
    _record(postgres.mlflow, tmp_path, "2" * 32)  # counters go on after what was moved
    found = _content(postgres.mlflow)
    assert len(found["runs"]) == 4
    assert sorted(int(version) for _, version, *_ in found["models"]) == [1, 2]


@pytest.mark.postgres
def test_a_database_that_is_not_mlflows_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    postgres.prepare()
    upgrade_schema(postgres.mlflow)
    with pytest.raises(MigrationError, match="the source has no MLflow records"):
        move_records(f"sqlite:///{tmp_path / 'empty.db'}", postgres.mlflow, print)
