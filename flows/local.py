"""A run in this process: its Prefect API, its progress on the terminal, and what to do with the result."""

import os
import shlex
from pathlib import Path

from flows.console import progress_shown
from flows.exits import UsageError
from flows.interrupts import interruptible
from infra.prefect_server import prefect_api
from infra.services import running_addresses
from infra.settings import workspace_path
from lmle_core.config import Config


def run_here(config: Config) -> Path:
    """Run the flow, and print its result and where everything is.

    Uses the workspace's services where they are up, and a Prefect API of its own otherwise.

    Returns:
        The run's directory.
    """
    if config.data.directory is not None and not config.data.directory.is_dir():
        raise UsageError(f"data.directory {config.data.directory}: no such folder")
    workspace = workspace_path(config.engines.workspace)
    addresses = running_addresses(workspace)
    if addresses is not None:
        for name, value in addresses.environment().items():
            os.environ.setdefault(name, value)
    with interruptible(), progress_shown() as stages, prefect_api(workspace) as api:
        from flows.lmle import lmle  # seconds; the API starts meanwhile
        from tasks.progress import say

        seconds = api.wait()
        say(f"{'prefect':<12} {'at ' + api.url if api.child is None else f'own API, up after {seconds:.1f} s'}")
        found = lmle(config)
    directory = Path(found["run"])
    how = f"{stages.found} found done, {stages.anew} done anew" if stages.anew else f"all {stages.found} found done"
    print(f"stages  {how}\n")
    _conclude(config, workspace, directory)
    return directory


def _conclude(config: Config, workspace: Path, directory: Path) -> None:
    from flows.runs import find_run
    from flows.tables import print_summary
    from tasks.mlflow_store import tracking_uri

    print_summary(find_run(workspace, str(directory)).summary)
    option = "" if workspace == workspace_path() else f" --workspace {shlex.quote(str(workspace))}"
    print(
        f"\nreport  {directory / 'report.html'}"
        f"\nmodel   {directory / 'model'}, registered as models:/{config.engines.model}"
        f"\nMLflow  {tracking_uri(config.engines, workspace)}"
        f"\n\nnext:   lmle predict {directory.name} IMAGE…{option}"
        f"\n        lmle show {directory.name}{option}"
        f"\n        lmle up{option}   (then Prefect's UI is at http://127.0.0.1:4200, MLflow's at http://127.0.0.1:5000)"
    )
