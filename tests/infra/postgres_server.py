"""A real PostgreSQL server for tests, and names of databases that go with the test."""

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from infra.postgres import Postgres, PostgresError

TRIED = (
    "postgresql:///?host=/var/run/postgresql",
    "postgresql://127.0.0.1:5432",
    "postgresql://postgres@127.0.0.1:5432",
)


def find_server() -> str | None:
    """Address, without databases, of a server where we may make some: LMLE_TEST_POSTGRES, else the local one."""
    given = os.environ.get("LMLE_TEST_POSTGRES")
    return next((address for address in ([given] if given else TRIED) if _usable(address)), None)


def own_databases() -> Iterator[Postgres]:
    """Databases with a name of their own, dropped afterwards; skips where there is no server."""
    address = find_server()
    if address is None:
        pytest.skip("no PostgreSQL server: start one, or set LMLE_TEST_POSTGRES=postgresql://USER:PASSWORD@HOST")
    server = Postgres.parse(address)
    postgres = Postgres(server.url.set(database=f"lmle_test_{uuid.uuid4().hex[:12]}"))
    yield postgres
    with admin(postgres) as connection:
        for part in ("prefect", "mlflow"):
            name = sql.Identifier(f"{postgres.url.database}_{part}")
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(name))


def admin(postgres: Postgres) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection that may do everything, to no database of the test's."""
    return postgres._connect("postgres")


def _usable(address: str) -> bool:
    try:
        with admin(Postgres.parse(address)) as connection:
            row = connection.execute("select rolsuper or rolcreatedb from pg_roles where rolname = current_user")
            return row.fetchone() == (True,)
    except (PostgresError, psycopg.OperationalError):
        return False
