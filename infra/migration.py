"""MLflow's records, moved from one database to another: from a workspace's SQLite file to PostgreSQL, once.

    export LMLE_POSTGRES=postgresql://USER:PASSWORD@HOST/lmle
    python -m infra.migration sqlite:////srv/lmle/mlflow.db
    python -m infra.migration                                   the schema alone, after an upgrade of MLflow

Experiments, runs, metrics, models and their versions keep their identities, so every link to them stays right; the
files of the runs stay where they are. Both databases must have the schema of the same MLflow: `mlflow db upgrade`. The
address is no argument, which every user of the machine could read.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, Integer, MetaData, Table, create_engine, func, insert, select, text

from infra import settings
from infra.postgres import EXAMPLE, PostgresError

_ROWS = 5000
_SCHEMA = "alembic_version"


class MigrationError(RuntimeError):
    """Two databases that do not fit, or one that already has records; nothing was moved."""


def move_records(source: str, target: str, say: Callable[[str], None]) -> int:
    """Copy every table, in one transaction; returns the number of rows.

    Args:
        source: SQLAlchemy's address of a database that nothing writes to meanwhile.
        target: likewise; its schema is there, its records are not.
        say: told each table that had rows.

    Raises:
        MigrationError: where the schemas differ, or the target has runs or models already.
    """
    total = 0
    with create_engine(source).connect() as old, create_engine(target).begin() as new:
        before, after = MetaData(), MetaData()
        before.reflect(old)
        after.reflect(new)
        _check(before, after, old, new)
        tables = [table for table in after.sorted_tables if table.name != _SCHEMA]
        for table in reversed(tables):
            new.execute(table.delete())  # the experiment that MLflow makes of itself
        for table in tables:
            count = _copy(before.tables[table.name], table, old, new)
            if count:
                say(f"{table.name:<28} {count:>9,} rows")
                total += count
        _advance_sequences(tables, new)
    return total


def _check(before: MetaData, after: MetaData, old: Connection, new: Connection) -> None:
    versions = []
    for name, metadata, connection in (("source", before, old), ("target", after, new)):
        if _SCHEMA not in metadata.tables:
            raise MigrationError(f"the {name} has no MLflow records: expected a database of MLflow's")
        versions.append(connection.execute(select(metadata.tables[_SCHEMA])).scalar())
    if versions[0] != versions[1] or before.tables.keys() != after.tables.keys():
        raise MigrationError(
            f"the source has MLflow's schema {versions[0]}, the target {versions[1]}: "
            "bring both to the same with `mlflow db upgrade ADDRESS`"
        )
    for name in ("runs", "registered_models"):
        if found := new.execute(select(func.count()).select_from(after.tables[name])).scalar():
            raise MigrationError(f"the target has {found} {name.replace('_', ' ')} already: expected an empty database")


def _copy(before: Table, after: Table, old: Connection, new: Connection) -> int:
    count = 0
    for rows in old.execute(select(before)).mappings().partitions(_ROWS):
        new.execute(insert(after), [dict(row) for row in rows])
        count += len(rows)
    return count


def _advance_sequences(tables: Sequence[Table], new: Connection) -> None:
    """PostgreSQL's counters do not notice rows that bring their own numbers."""
    if new.dialect.name != "postgresql":
        return
    for table in tables:
        for column in table.primary_key:
            if not isinstance(column.type, Integer):
                continue
            name = {"table": f'"{table.name}"', "column": column.name}
            counter = new.execute(text("select pg_get_serial_sequence(:table, :column)"), name).scalar()
            last = new.execute(select(func.max(column))).scalar()
            if counter and last is not None:
                new.execute(text("select setval(:counter, :last)"), {"counter": counter, "last": last})


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: make the databases and MLflow's schema, or bring it up to date, then move."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.migration", description="Move MLflow's records to PostgreSQL."
    )
    parser.add_argument(
        "source", nargs="?", help="sqlite:///PATH of the workspace's mlflow.db; services and runs are down"
    )
    given = parser.parse_args(arguments)
    try:
        postgres = settings.postgres()
        if postgres is None:
            raise PostgresError(f"LMLE_POSTGRES is not set: expected {EXAMPLE}")
        postgres.prepare()
        upgrade_schema(postgres.mlflow)
        if given.source is None:
            return
        total = move_records(given.source, postgres.mlflow, _say)
    except (PostgresError, MigrationError) as error:
        parser.exit(2, f"{error}\n")
    _say(f"{total:,} rows moved to database {postgres.url.database}_mlflow; keep the old file until you have seen them")


def upgrade_schema(address: str) -> None:
    """What `mlflow db upgrade` does: MLflow's tables as the installed version has them, made where there are none."""
    from mlflow.db import upgrade

    upgrade.callback(address)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
