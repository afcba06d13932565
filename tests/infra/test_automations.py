"""The automation against zombies, on a real Prefect API: made once, and its time is what somebody chose."""

import time
from typing import Any

import pytest

from infra.api import call
from infra.automations import NAME, SILENCE, main, prepare_server


def _found(api: str) -> list[Any]:
    return call("POST", f"{api}/automations/filter", {"automations": {"name": {"any_": [NAME]}}})


def test_a_worker_that_starts_keeps_the_time_that_was_chosen(prefect_server: str) -> None:
    for given, expected in (([], SILENCE), (["--after", "600"], 600), ([], 600)):
        main([prefect_server, *given])
        prepare_server(prefect_server)  # as each worker does
        (automation,) = _found(prefect_server)
        assert automation["trigger"]["within"] == expected
    call("PATCH", f"{prefect_server}/automations/{automation['id']}", {"enabled": False})
    main([prefect_server, "--after", "400"])
    (automation,) = _found(prefect_server)
    assert (automation["trigger"]["within"], automation["enabled"]) == (400, False)


def test_an_automation_of_an_earlier_lmle_is_brought_up_to_date(prefect_server: str) -> None:
    prepare_server(prefect_server)
    (automation,) = _found(prefect_server)
    made = automation["id"], set(automation["trigger"]["after"])
    earlier = {**automation["trigger"], "after": ["prefect.flow-run.heartbeat"]}
    kept = {key: automation[key] for key in ("name", "description", "enabled", "actions")}
    call("PUT", f"{prefect_server}/automations/{automation['id']}", {**kept, "trigger": earlier})
    prepare_server(prefect_server)
    (automation,) = _found(prefect_server)
    assert (automation["id"], set(automation["trigger"]["after"])) == made
    assert "prefect.flow-run.Pending" in made[1]


@pytest.mark.timeout(180)
def test_a_run_that_dies_before_it_has_begun_is_crashed_and_one_that_tells_nothing_is_not(prefect_server: str) -> None:
    """Of the first the worker took it and died; the other is a run without heartbeats, of any flow of the server."""
    main([prefect_server, "--after", "10"])
    call("PATCH", f"{prefect_server}/automations/{_found(prefect_server)[0]['id']}", {"enabled": True})
    flow = call("POST", f"{prefect_server}/flows/", {"name": "silent"})["id"]
    runs = [call("POST", f"{prefect_server}/flow_runs/", {"flow_id": flow})["id"] for _ in range(2)]

    def state(run: str, kind: str | None = None) -> str:
        if kind is not None:
            call("POST", f"{prefect_server}/flow_runs/{run}/set_state", {"state": {"type": kind}})
        return str(call("GET", f"{prefect_server}/flow_runs/{run}")["state"]["type"])

    for run in runs:
        state(run, "PENDING")
    state(runs[1], "RUNNING")
    deadline = time.monotonic() + 120
    while state(runs[0]) != "CRASHED" and time.monotonic() < deadline:
        time.sleep(1)
    main([prefect_server, "--after", str(SILENCE)])  # other tests use this server
    assert [state(run) for run in runs] == ["CRASHED", "RUNNING"]
