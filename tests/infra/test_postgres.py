"""Addresses of PostgreSQL, and what a real server allows: refused before anything starts, with what to do."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra import processes, services, settings
from infra.catalogue import Ports
from infra.postgres import Postgres, PostgresError
from infra.services import State
from tasks.mlflow_store import own_artifacts, own_store, shown
from tests.conftest import Ended
from tests.infra.postgres_server import admin, own_databases


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    yield from own_databases()


def test_each_driver_has_its_own_spelling() -> None:
    found = Postgres.parse("postgresql://ann:s%40cret@db.example:6432/team?sslmode=require")
    assert found.prefect == "postgresql+asyncpg://ann:s%40cret@db.example:6432/team_prefect?ssl=require"
    assert found.mlflow == "postgresql+psycopg://ann:s%40cret@db.example:6432/team_mlflow?sslmode=require"
    assert str(found) == "postgresql://ann@db.example:6432/team?sslmode=require"
    assert Postgres.parse(found.address) == found
    assert Postgres.parse("postgres://127.0.0.1").mlflow == "postgresql+psycopg://127.0.0.1/lmle_mlflow"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("mysql://ann:secret@db/lmle", r"mysql://ann:\*\*\*@db/lmle: expected postgresql://USER:PASSWORD@HOST"),
        ("postgresql+asyncpg://ann:secret@db/lmle", r"expected postgresql://USER"),
        ("db.example/secret", r"expected postgresql://USER:PASSWORD@HOST.*%40"),
        ("postgresql://ann:secret@db:port/lmle", r"expected postgresql://USER"),
        ("postgresql://ann:secret@db/lmle?sslrootcert=ca.pem", r"'sslrootcert' is none of host, .*PGSSLROOTCERT"),
    ],
)  # fmt: skip
def test_another_address_is_refused_without_showing_its_password(address: str, words: str) -> None:
    with pytest.raises(PostgresError, match=words) as error:
        Postgres.parse(address)
    assert "secret" not in str(error.value)


def test_a_server_that_does_not_answer_is_refused_and_nothing_starts(
    lmle: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: nobody else takes it
        address = f"postgresql://ann:secret@127.0.0.1:{unused.getsockname()[1]}/lmle"
        assert not Postgres.parse(address).answers()
        ended = lmle("up", "--postgres", address)
        assert (ended.code, list(tmp_path.glob("workspace/*"))) == (2, [])
        assert "refused" in ended.err
        assert "--postgres or LMLE_POSTGRES" in ended.err
        assert "secret" not in ended.err
        monkeypatch.setenv("LMLE_POSTGRES", address)
        monkeypatch.delenv("PREFECT_API_URL", raising=False)  # that of the session would be used, and ours not started
        assert lmle("run", "--preset", "demo").code == 2


def test_records_go_to_the_server_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMLE_POSTGRES", "postgresql://ann:secret@db/team")
    assert own_store(tmp_path) == "postgresql+psycopg://ann:secret@db/team_mlflow"
    assert shown(own_store(tmp_path)) == "postgresql+psycopg://ann:***@db/team_mlflow"
    assert own_artifacts(own_store(tmp_path), tmp_path) == tmp_path.resolve() / "mlartifacts"
    variables = settings.server_environment(tmp_path)
    assert variables["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == "postgresql+asyncpg://ann:secret@db/team_prefect"


@pytest.mark.postgres
def test_missing_databases_are_made_once(postgres: Postgres) -> None:
    assert postgres.answers()
    for _ in range(2):
        postgres.prepare()
    with admin(postgres) as connection:
        names = connection.execute(
            "select datname from pg_database where datname like %s", [f"{postgres.url.database}%"]
        )
        assert sorted(names) == [(f"{postgres.url.database}_mlflow",), (f"{postgres.url.database}_prefect",)]


@pytest.mark.postgres
def test_missing_rights_are_refused_with_the_statement_that_grants_them(postgres: Postgres) -> None:
    role, base = f"{postgres.url.database}_role", postgres.url.database
    ours = Postgres(postgres.url.set(username=role, password="secret"))
    with admin(postgres) as connection:
        connection.execute(f"create role \"{role}\" login password 'secret'")
        try:
            with pytest.raises(
                PostgresError, match=rf'is missing, .*: create database "{base}_prefect" owner "{role}"'
            ):
                ours.prepare()
            postgres.prepare()
            with pytest.raises(
                PostgresError, match=rf'may not make tables .*: alter database "{base}_prefect" owner to'
            ):
                ours.prepare()
            for part in ("prefect", "mlflow"):
                connection.execute(f'alter database "{base}_{part}" owner to "{role}"')
            ours.prepare()
        finally:
            for part in ("prefect", "mlflow"):
                connection.execute(f'drop database if exists "{base}_{part}" with (force)')
            connection.execute(f'drop role "{role}"')


@pytest.mark.postgres
def test_a_database_of_another_encoding_is_refused_with_what_makes_it_anew(postgres: Postgres) -> None:
    name = f"{postgres.url.database}_prefect"
    with admin(postgres) as connection:
        connection.execute(f"create database \"{name}\" encoding 'SQL_ASCII' locale 'C' template template0")
        again = rf"{name} is not in UTF-8, .*: (drop database \"{name}\"); (create database .* template template0)$"
        with pytest.raises(PostgresError, match=again) as error:
            postgres.prepare()
        found = re.search(again, str(error.value))
        assert found is not None
        for statement in found.groups():
            connection.execute(statement)
    postgres.prepare()


@pytest.mark.postgres
def test_a_port_in_use_is_still_refused_before_anything_starts(postgres: Postgres, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], *processes.free_ports("127.0.0.1", 3)]
        with pytest.raises(services.PortInUseError):
            services.up(tmp_path, Ports(*ports), postgres=postgres)
        assert not (tmp_path / "logs").exists()
        assert services.postgres_of(tmp_path) == ""  # the records are where they were
        State("token", Ports(*ports), 2).save(tmp_path)
        with pytest.raises(services.PortInUseError):
            services.up(tmp_path, Ports(*ports), postgres=postgres)
    assert State.load(tmp_path) == State("token", Ports(*ports), 2)
