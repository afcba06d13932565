"""Overdue runs of a deployment, on a real Prefect API: those that the run which begins does for, and no others."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Running, Scheduled

from tasks.overdue import cancel_overdue

HERE, ELSEWHERE = {"directory": "here"}, {"directory": "elsewhere"}


@flow(name="overdue-story")
def story(directory: str = "") -> None:
    """A flow with a parameter."""


def test_of_what_waits_only_what_is_due_and_the_same_is_cancelled(prefect_server: str) -> None:
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow(story)
        weekly, other = (client.create_deployment(flow_id, name, entrypoint="x.py:x") for name in ("weekly", "other"))

        def scheduled(deployment: UUID, hours: float, parameters: dict[str, Any] = HERE) -> FlowRun:
            state: State[Any] = Scheduled(scheduled_time=datetime.now(UTC) + timedelta(hours=hours))
            return client.create_flow_run_from_deployment(deployment, parameters=parameters, state=state)

        run = scheduled(weekly, -500)
        client.set_flow_run_state(run.id, Running(), force=True)
        overdue = [scheduled(weekly, hours) for hours in (-336, -168, -0.001)]
        left = [scheduled(weekly, 1), scheduled(weekly, -1, ELSEWHERE), scheduled(other, -1)]
        assert sorted(cancel_overdue(run)) == sorted(each.name for each in overdue)
        assert cancel_overdue(run) == []
        states = [client.read_flow_run(each.id).state for each in (run, *overdue, *left)]
        assert [state and state.name for state in states] == ["Running", *["Cancelled"] * 3, *["Scheduled"] * 3]
        assert states[1] is not None and run.name in (states[1].message or "")


def test_a_run_without_a_deployment_cancels_nothing(prefect_server: str) -> None:
    with get_client(sync_client=True) as client:
        assert cancel_overdue(client.create_flow_run(story)) == []
