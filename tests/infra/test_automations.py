"""The automation against zombies, on a real Prefect API: made once, and its time is what somebody chose."""

from typing import Any

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
