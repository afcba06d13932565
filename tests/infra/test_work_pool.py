"""The work pool, on a real Prefect API: one slot, which a dead run does not keep."""

from infra.api import call
from infra.work_pool import POOL, WORKER, close_dead_runs, ensure_pool, forget_worker, worker_online


def test_one_slot_over_all_deployments(prefect_server: str) -> None:
    ensure_pool(prefect_server)
    call("PATCH", f"{prefect_server}/work_pools/{POOL}", {"concurrency_limit": 5})
    ensure_pool(prefect_server)
    pool = call("GET", f"{prefect_server}/work_pools/{POOL}")
    assert (pool["type"], pool["concurrency_limit"]) == ("process", 1)
    assert not worker_online(prefect_server)
    assert not worker_online("http://127.0.0.1:9/api")


def test_a_worker_that_ended_does_not_pass_for_the_next_one(prefect_server: str) -> None:
    ensure_pool(prefect_server)
    call("POST", f"{prefect_server}/work_pools/{POOL}/workers/heartbeat", {"name": WORKER})
    assert worker_online(prefect_server)
    for _ in range(2):
        forget_worker(prefect_server)
        assert not worker_online(prefect_server)


def test_a_run_without_a_worker_is_closed_and_others_are_left(prefect_server: str) -> None:
    ensure_pool(prefect_server)
    flow = call("POST", f"{prefect_server}/flows/", {"name": "pool-story"})
    deployment = {"name": "d", "flow_id": flow["id"], "work_pool_name": POOL, "entrypoint": "x.py:x"}
    deployment = call("POST", f"{prefect_server}/deployments/", deployment)
    create = f"{prefect_server}/deployments/{deployment['id']}/create_flow_run"
    runs = {
        state: call("POST", create, {"state": {"type": state}, "name": state.lower()})
        for state in ("SCHEDULED", "RUNNING", "COMPLETED")
    }
    elsewhere = {"flow_id": flow["id"], "state": {"type": "RUNNING"}, "name": "in-process"}
    runs["IN-PROCESS"] = call("POST", f"{prefect_server}/flow_runs/", elsewhere)
    assert close_dead_runs(prefect_server) == ["running"]
    after = {name: call("GET", f"{prefect_server}/flow_runs/{run['id']}")["state_type"] for name, run in runs.items()}
    assert after == {
        "SCHEDULED": "SCHEDULED", "RUNNING": "CRASHED", "COMPLETED": "COMPLETED", "IN-PROCESS": "RUNNING",
    }  # fmt: skip
    assert close_dead_runs(prefect_server) == []
