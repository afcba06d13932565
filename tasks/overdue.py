"""Scheduled runs that had to wait: the one that begins at last does for all, for it reads the data of now."""

from datetime import UTC, datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterNextScheduledStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelled


def cancel_overdue(run: FlowRun) -> list[str]:
    """Cancel the runs of a run's deployment that are due already and have its parameters; returns their names.

    What falls due while a run has the only slot of its deployment, Prefect cancels itself (strategy CANCEL_NEW). What
    fell due before, while no worker was there or another deployment had the pool's slot, it would hand out in turn.

    Args:
        run: that has begun; without a deployment it has no others beside it.
    """
    if run.deployment_id is None:
        return []
    due = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[run.deployment_id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        next_scheduled_start_time=FlowRunFilterNextScheduledStartTime(before_=datetime.now(UTC)),
    )
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(flow_run_filter=due)
        overdue = [each for each in found if each.id != run.id and each.parameters == run.parameters]
        for each in overdue:
            client.set_flow_run_state(
                each.id, Cancelled(message=f"Overdue when {run.name} began, which does the same.")
            )
    return [each.name for each in overdue]
