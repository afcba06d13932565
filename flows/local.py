"""A flow in this process: its Prefect API, its progress on the terminal, and what to do with the result."""

import json
import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flows.console import Tally, progress_shown
from flows.exits import UsageError
from flows.interrupts import interruptible
from infra.prefect_server import ServerError, prefect_api
from infra.services import postgres_of, running
from infra.settings import workspace_path
from lmle_core.config import Config, Engines
from lmle_core.location import Location, reaching


def run_here(config: Config) -> Path:
    """Run the flow, and print its result and where everything is.

    Uses the workspace's services where they are up, and a Prefect API of its own otherwise.

    Returns:
        The run's directory.
    """
    with served(config) as (stages, wait):
        from flows.lmle import lmle  # seconds; the API starts meanwhile

        wait()
        found = lmle(config)
    _print_stages(stages)
    _conclude(config, workspace_path(config.engines.workspace), found)
    return Path(found["run"])


def retrain_here(config: Config) -> None:
    """Run the flow `retrain`, and print the challenger's result and what became of it; servers as in `run_here`."""
    with served(config) as (stages, wait):
        from flows.retrain import retrain

        wait()
        found = retrain(config)
    _print_stages(stages)
    _conclude(config, workspace_path(config.engines.workspace), found)
    print(f"\n{found['decision']}: {found['reason']}")
    if found["files"]:
        print(f"why     {found['files']}")


def compare_here(
    configs: Mapping[str, Config], methods: tuple[str, ...], seeds: Mapping[str, int], trial_seeds: int
) -> None:
    """Run the flow `compare` for each configuration, and print the tables and where they are.

    Args:
        configs: by the name of the comparison.
        methods: of the catalogue; the first is the reference.
        seeds: how many, by the name of the comparison.
        trial_seeds: from how many of them each trial is trained.
    """
    from lmle_core.methods.catalogue import find_method

    for method in methods:
        find_method(method)  # before anything starts
    first = next(iter(configs.values()))
    found = {}
    with served(first) as (stages, wait):
        from flows.compare import compare

        wait()
        for name, config in configs.items():
            found[name] = Path(compare(config, methods, seeds[name], name, None, trial_seeds)["comparison"])
    _print_stages(stages)
    for name, directory in found.items():
        _conclude_comparison(name, directory)
    print(f"\nMLflow  {_tracking_uri(first)}")


def predict_here(workspace: Path, model: str, images: Location, out: Path, part: int, quarantine: float) -> None:
    """Run the flow `predict`, and print where the dataset is. Arguments as of the flow."""
    from flows.runs import model_directory

    config = Config(engines=Engines(workspace=workspace))
    directory = model_directory(workspace, model)  # or it is refused before anything starts
    with served(config) as (_, wait):
        from flows.predict import predict

        wait()
        found = predict(images, out, str(directory), part, quarantine, config.engines)
    print(f"{found['images']:,} images, {found['bad']:,} of them without an answer, for the reason in column error")
    print(f"Parquet {found['predictions']}")


@contextmanager
def served(config: Config) -> Iterator[tuple[Tally, Callable[[], None]]]:
    """A Prefect API for a flow of a configuration, its progress shown; yields the count of stages, and what waits.

    Raises:
        UsageError: where the configured data folder is not there, or the workspace cannot be.
        LocationError: where the storage that holds it cannot be used.
    """
    for name, folder in [("directory", config.data.directory), *(("more", each) for each in config.data.more)]:
        if folder is not None:
            with reaching(folder):
                if not folder.is_dir():
                    raise UsageError(f"data.{name} {folder}: no such folder")
    workspace = workspace_path(config.engines.workspace)
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"workspace {workspace}: {error.strerror}; choose another with --workspace") from None
    use_services(workspace, config.engines)
    with interruptible(), progress_shown() as stages, prefect_api(workspace) as api:

        def wait() -> None:
            from tasks.gates import check_settings, check_source
            from tasks.progress import say

            check_settings(config)
            if isinstance(config.data.directory, Path):  # a storage is slow to list, and is read once
                check_source(config)
            seconds = api.wait()
            say(f"{'prefect':<12} {'at ' + api.url if api.child is None else f'own API, up after {seconds:.1f} s'}")

        yield stages, wait


def use_services(workspace: Path, engines: Engines) -> None:
    """Let this process use those of the workspace's services that are up; a variable that is set wins over theirs.

    Raises:
        ServerError: where the records are on PostgreSQL and MLflow's server is not up: another store has others.
    """
    for name, value in running(workspace).items():
        os.environ.setdefault(name, value)
    told = engines.tracking_uri or any(os.environ.get(name) for name in ("MLFLOW_TRACKING_URI", "LMLE_POSTGRES"))
    if not told and (server := postgres_of(workspace)):
        raise ServerError(
            f"the records of {workspace} are in {server}, and MLflow's server is not up: `lmle up` with LMLE_POSTGRES "
            "brings it back"
        )


def answering_mlflow(workspace: Path, engines: Engines | None = None) -> str:
    """Address of the MLflow of a workspace that a command is to ask.

    Args:
        workspace: whose services are used where they are up.
        engines: which MLflow; None: MLFLOW_TRACKING_URI, else that of the workspace's services or its own.

    Raises:
        TrackingError: where it does not answer.
        ServerError: as of `use_services`.
    """
    from tasks.mlflow_store import answering_uri

    asked = engines or Engines()
    use_services(workspace, asked)
    return answering_uri(asked, workspace)


def _print_stages(stages: Tally) -> None:
    how = f"{stages.found} found done, {stages.anew} done anew" if stages.anew else f"all {stages.found} found done"
    print(f"stages  {how}\n")


def _conclude(config: Config, workspace: Path, found: Mapping[str, str]) -> None:
    from flows.runs import find_run
    from flows.tables import print_summary

    directory = Path(found["run"])
    print_summary(find_run(workspace, str(directory)).summary)
    option = "" if workspace == workspace_path() else f" --workspace {shlex.quote(str(workspace))}"
    servers = f"\n        lmle up{option}   (Prefect's UI is then at http://127.0.0.1:4200, MLflow's at http://127.0.0.1:5000)"
    print(
        f"\nreport  {directory / 'report.html'}"
        f"\nmodel   {directory / 'model'}, registered as {found['model']}"
        f"\nMLflow  {_tracking_uri(config)}"
        f"\n\nnext:   lmle predict {directory.name} IMAGE…{option}"
        f"\n        lmle show {directory.name}{option}{'' if running(workspace) else servers}"
    )


def _conclude_comparison(name: str, directory: Path) -> None:
    from flows.tables import print_comparison

    print_comparison(name, json.loads((directory / "comparison.json").read_text()))
    print(f"tables  {directory / 'comparison.md'}, comparison.csv beside it\nfigures {directory / 'figures'}\n")


def _tracking_uri(config: Config) -> str:
    from tasks.mlflow_store import shown, tracking_uri

    return shown(tracking_uri(config.engines, workspace_path(config.engines.workspace)))
