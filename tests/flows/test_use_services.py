"""Which services and which store of MLflow a command uses."""

from pathlib import Path

import pytest

from flows.local import answering_mlflow, use_services
from infra.catalogue import Ports
from infra.prefect_server import ServerError
from infra.services import State
from lmle_core.config import Engines


def test_where_records_are_on_postgresql_no_other_store_takes_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "LMLE_POSTGRES"):
        monkeypatch.delenv(name, raising=False)
    State("token", Ports(), 2, "postgresql://ann@db/lmle").save(tmp_path)
    with pytest.raises(ServerError, match=r"are in postgresql://ann@db/lmle, and MLflow's server is not up: `lmle up`"):
        answering_mlflow(tmp_path)
    use_services(tmp_path, Engines(tracking_uri=f"sqlite:///{tmp_path}/own.db"))
    monkeypatch.setenv("LMLE_POSTGRES", "postgresql://ann:secret@db/lmle")
    use_services(tmp_path, Engines())
