"""Commands for the services: Prefect, MLflow and Dask on this machine."""

from typing import Annotated

import typer

from flows.commands.options import Workspace
from infra.settings import workspace_path


def up(
    workspace: Workspace = None,
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Prefect's server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="MLflow's server.")] = 5000,
    dask_port: Annotated[int, typer.Option(min=1, max=65535, help="Dask's scheduler.")] = 8786,
    dashboard_port: Annotated[int, typer.Option(min=1, max=65535, help="Dask's dashboard.")] = 8787,
    dask_workers: Annotated[
        int, typer.Option(min=0, help="Processes of one thread; 0: as many as before, else one a core.")
    ] = 0,
    postgres: Annotated[
        str | None,
        typer.Option(
            envvar="LMLE_POSTGRES",
            metavar="URL",
            help="postgresql://USER:PASSWORD@HOST/NAME: Prefect and MLflow keep their records in its databases "
            "NAME_prefect and NAME_mlflow, made where missing, instead of in SQLite files.",
        ),
    ] = None,
) -> None:
    """Start Prefect (server and worker), MLflow and Dask on loopback; they outlive this command."""
    from infra import services
    from infra.catalogue import Ports
    from infra.postgres import Postgres

    ports = Ports(prefect_port, mlflow_port, dask_port, dashboard_port)
    databases = Postgres.parse(postgres) if postgres else None
    at = services.up(workspace_path(workspace), ports, dask_workers, databases)
    if ports.prefect != Ports().prefect:
        print(f"\nfor the `prefect` command: export PREFECT_API_URL={at.api}")
    print("\nnext: prefect deploy --all\n      prefect deployment run lmle/demo --watch\n      lmle down")


def status(workspace: Workspace = None) -> None:
    """Show each service with its address and health; ends with 1 where one is down."""
    from flows.tables import print_rows
    from infra import services

    space = workspace_path(workspace)
    health = services.status(space) or services.elsewhere(space)
    print_rows(("service", "state", "address"), [(line.name, line.state, line.url) for line in health])
    if not any(line.state == "up" for line in health):
        print(f"no services are up for {space}: `lmle up` starts them")
    if not health or any(line.state != "up" for line in health):
        raise typer.Exit(1)


def down(workspace: Workspace = None) -> None:
    """End the services that `lmle up` started."""
    from infra import services

    if not services.down(workspace_path(workspace)):
        print("no services were up")
