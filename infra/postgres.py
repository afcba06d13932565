"""One PostgreSQL server with a database for Prefect and one for MLflow, checked and made before anything uses them."""

from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

EXAMPLE = "postgresql://USER:PASSWORD@HOST:5432/lmle"
QUERY = frozenset({"host", "sslmode"})
"""Of libpq's parameters, those that both drivers are given; the others are read from PG… variables by both."""

UNICODE = "encoding 'UTF8' template template0"
"""Of a database, whatever the server's own are; the drivers return bytes from one that knows no encoding."""
_TIMEOUT = 5


class PostgresError(RuntimeError):
    """An address, a server or rights that will not do; the message says what was expected and what to do."""


@dataclass(frozen=True)
class Postgres:
    """A server, and the name that the databases begin with.

    Attributes:
        url: database `lmle` stands for the databases `lmle_prefect` and `lmle_mlflow`.
    """

    url: URL

    @classmethod
    def parse(cls, text: str) -> Self:
        """From an address like `EXAMPLE`; without a database, the name is lmle.

        Raises:
            PostgresError: for another kind of address.
        """
        try:
            url = make_url(text)
            port_valid = url.port is None or 0 < url.port < 65536
        except (ArgumentError, ValueError):
            raise PostgresError(
                f"PostgreSQL address: expected {EXAMPLE}, found something else (not shown here, as it may hold a "
                "password); characters like @ : / in a password are written as %40 %3A %2F"
            ) from None
        shown = url.render_as_string(hide_password=True)
        if url.drivername not in ("postgresql", "postgres") or not port_valid:
            raise PostgresError(f"PostgreSQL address {shown}: expected {EXAMPLE}")
        if unknown := sorted(set(url.query) - QUERY):
            raise PostgresError(
                f"PostgreSQL address {shown}: parameter {unknown[0]!r} is none of {', '.join(sorted(QUERY))}; "
                f"give it as a variable of the environment, such as PGSSLROOTCERT"
            )
        return cls(url.set(drivername="postgresql", database=url.database or "lmle"))

    def __str__(self) -> str:
        """The address without its password."""
        url = self.url
        return str(URL.create(url.drivername, url.username, None, url.host, url.port, url.database, url.query))

    @property
    def address(self) -> str:
        """The whole address, as `parse` takes it."""
        return self.url.render_as_string(hide_password=False)

    @property
    def prefect(self) -> str:
        """Address of Prefect's database, for its driver asyncpg, which calls `sslmode` `ssl`."""
        query = {{"sslmode": "ssl"}.get(name, name): value for name, value in self.url.query.items()}
        return self._database("postgresql+asyncpg", "prefect").set(query=query).render_as_string(hide_password=False)

    @property
    def mlflow(self) -> str:
        """Address of MLflow's database."""
        return self._database("postgresql+psycopg", "mlflow").render_as_string(hide_password=False)

    def answers(self) -> bool:
        """Whether the server takes connections; needs no password."""
        from psycopg.pq import PGconn, Ping

        return PGconn.ping(self._conninfo("postgres").encode()) == Ping.OK

    def prepare(self) -> None:
        """Make the databases that are missing, and check the rights in both.

        Raises:
            PostgresError: for a server that does not answer or let us in, for a database that is missing and may not be
                made, for one in which we may not make tables, and for one of another encoding than UTF-8.
        """
        for part in ("prefect", "mlflow"):
            name = f"{self.url.database}_{part}"
            self._make(name)
            self._check_rights(name)

    def _make(self, name: str) -> None:
        import psycopg
        from psycopg import sql

        try:
            self._connect(name).close()
            return
        except psycopg.OperationalError:
            pass  # missing, most likely; what else it may be is said below
        try:
            connection = self._connect("postgres")
        except psycopg.OperationalError as error:
            raise PostgresError(
                f"PostgreSQL at {self} does not let us in: {_said(error)}\n"
                f"start it, or correct the address given by --postgres or LMLE_POSTGRES: {EXAMPLE}"
            ) from None
        try:
            if not connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                connection.execute(sql.SQL(f"create database {{}} {UNICODE}").format(sql.Identifier(name)))
        except psycopg.errors.InsufficientPrivilege:
            user = connection.info.user
            raise PostgresError(
                f"PostgreSQL at {self}: database {name} is missing, and {user} may not make it; "
                f'as an administrator: create database "{name}" owner "{user}" {UNICODE}'
            ) from None
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            pass  # another service made it meanwhile
        finally:
            connection.close()

    def _check_rights(self, name: str) -> None:
        import psycopg

        try:
            connection = self._connect(name)
        except psycopg.OperationalError as error:
            raise PostgresError(f"PostgreSQL at {self}, database {name}: {_said(error)}") from None
        with connection:
            rights = connection.execute(
                "select has_database_privilege(current_database(), 'create'), has_schema_privilege('public', 'create')"
            ).fetchone()
            if connection.info.parameter_status("server_encoding") != "UTF8":
                raise PostgresError(
                    f"PostgreSQL at {self}: database {name} is not in UTF-8, which MLflow and Prefect write; as an "
                    f'administrator: drop database "{name}"; create database "{name}" owner "{connection.info.user}" '
                    f"{UNICODE}"
                )
            if rights != (True, True):
                raise PostgresError(
                    f"PostgreSQL at {self}: {connection.info.user} may not make tables in database {name}; "
                    f'as an administrator: alter database "{name}" owner to "{connection.info.user}"'
                )

    def _connect(self, database: str) -> Any:
        import psycopg

        return psycopg.connect(self._conninfo(database), autocommit=True)

    def _conninfo(self, database: str) -> str:
        from psycopg.conninfo import make_conninfo

        url = self.url
        given = {"host": url.host, "port": url.port, "user": url.username, "password": url.password, **url.query}
        present: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        return make_conninfo("", dbname=database, connect_timeout=_TIMEOUT, application_name="lmle", **present)

    def _database(self, driver: str, part: str) -> URL:
        return self.url.set(drivername=driver, database=f"{self.url.database}_{part}")


def _said(error: Exception) -> str:
    return " ".join(str(error).split())
