"""The Prefect work pool `lmle`: one run at a time over all deployments, and no slot held by a run that is dead."""

import urllib.error

from infra.api import call

POOL = "lmle"
WORKER = "lmle"
UNFINISHED = ("RUNNING", "PENDING", "CANCELLING")


def ensure_pool(api: str) -> None:
    """Make the process work pool with a concurrency limit of 1, or set the limit where the pool is there already."""
    try:
        call("POST", f"{api}/work_pools/", {"name": POOL, "type": "process", "concurrency_limit": 1})
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
        call("PATCH", f"{api}/work_pools/{POOL}", {"concurrency_limit": 1})


def worker_online(api: str) -> bool:
    """Whether the worker has told the pool that it lives."""
    try:
        workers = call("POST", f"{api}/work_pools/{POOL}/workers/filter", {}, timeout=10.0)
    except OSError:
        return False
    return any(worker["name"] == WORKER and worker["status"] == "ONLINE" for worker in workers)


def forget_worker(api: str) -> None:
    """Remove what the pool knows of a worker that ended: for a minute and a half it would pass for the next one."""
    try:
        call("DELETE", f"{api}/work_pools/{POOL}/workers/{WORKER}")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise


def close_dead_runs(api: str) -> list[str]:
    """Set the pool's unfinished runs to Crashed; to be called while no worker of it lives.

    Returns:
        The runs' names. Without this a run whose worker was killed would hold the only slot for ever.
    """
    query = {
        "work_pools": {"name": {"any_": [POOL]}},
        "flow_runs": {"state": {"type": {"any_": list(UNFINISHED)}}},
    }
    message = "Its worker ended before it did; `prefect flow-run retry` continues after the stages that are done."
    state = {"type": "CRASHED", "name": "Crashed", "message": message}
    closed = []
    for run in call("POST", f"{api}/flow_runs/filter", query):
        call("POST", f"{api}/flow_runs/{run['id']}/set_state", {"state": state, "force": True})
        closed.append(run["name"])
    return closed
