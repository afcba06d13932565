"""What a Prefect server must have before its first worker: the pool with one slot, and an automation against zombies.

A run tells the server every half minute that it lives (`HEARTBEAT`). Where its machine fails, nobody says that it
ended, and it would hold the pool's only slot for ever; the automation sets it to Crashed once it is silent too long.

    python -m infra.automations http://prefect.example:4200/api [--after 600]
"""

import argparse
from collections.abc import Sequence
from typing import Any

from infra.api import call
from infra.work_pool import ensure_pool

NAME = "lmle: crash runs that have gone silent"
SILENCE = 300
"""Seconds; ten heartbeats, so that a busy machine or a server that restarts costs no run."""

HEARTBEAT = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
"""For the environment of every run; 30 seconds is Prefect's least."""

_TAKEN = "prefect.flow-run.Pending"
_ALIVE = "prefect.flow-run.heartbeat"
_BEGUN = tuple(f"prefect.flow-run.{state}" for state in ("Running", "Retrying"))
"""A run that tells nobody that it lives is watched until it has begun."""
_ENDED = tuple(f"prefect.flow-run.{state}" for state in ("Completed", "Failed", "Cancelled", "Crashed"))


def ensure_automation(api: str, silence: float | None = None) -> None:
    """Make the automation, or bring it up to date; one that was switched off stays so.

    Corner cases: when it changes, a run is watched anew from its next heartbeat.

    Args:
        api: of Prefect's server, ends in `/api`.
        silence: seconds without a heartbeat after which a run is dead; Prefect takes 10 or more. None: `SILENCE` for
            a new automation, and an old one keeps its own.

    Raises:
        OSError: where the server does not answer or refuses.
    """
    found = call("POST", f"{api}/automations/filter", {"automations": {"name": {"any_": [NAME]}}})
    if not found:
        call("POST", f"{api}/automations/", _automation(SILENCE if silence is None else silence))
        return
    old = found[0]["trigger"]
    wanted = _automation(old["within"] if silence is None else silence)
    new = wanted["trigger"]
    if old["within"] != new["within"] or any(set(old[key]) != set(new[key]) for key in ("after", "expect")):
        call("PUT", f"{api}/automations/{found[0]['id']}", {**wanted, "enabled": found[0]["enabled"]})


def prepare_server(api: str, silence: float | None = None) -> None:
    """The pool and the automation. Raises OSError, as above."""
    ensure_pool(api)
    ensure_automation(api, silence)


def _automation(silence: float) -> dict[str, Any]:
    message = (
        f"No heartbeat for {silence:.0f} s: its process or machine is gone. `prefect flow-run retry` continues it."
    )
    return {
        "name": NAME,
        "description": "A run whose process was killed frees its slot of the work pool.",
        "enabled": True,
        "trigger": {
            "type": "event",
            "posture": "Proactive",
            "match": {"prefect.resource.id": ["prefect.flow-run.*"]},
            "for_each": ["prefect.resource.id"],
            "after": [_TAKEN, _ALIVE],
            "expect": [_ALIVE, *_BEGUN, *_ENDED],
            "threshold": 1,
            "within": silence,
        },
        "actions": [{"type": "change-flow-run-state", "state": "CRASHED", "name": "Crashed", "message": message}],
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """The command: prepare a server, wherever it runs."""
    parser = argparse.ArgumentParser(prog="python -m infra.automations", description=prepare_server.__doc__)
    parser.add_argument("api", help="address of Prefect's API, such as http://prefect.example:4200/api")
    parser.add_argument("--after", type=float, help=f"seconds of silence; default: as it is, or {SILENCE}")
    given = parser.parse_args(arguments)
    try:
        prepare_server(given.api, given.after)
    except OSError as error:
        parser.exit(1, f"no pool and automation made: Prefect's API at {given.api} said {error}\n")


if __name__ == "__main__":
    main()
