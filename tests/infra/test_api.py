"""A call of Prefect's API: a server that is busy is asked again, and not for ever."""

import urllib.error

import pytest

from infra import api
from tests.infra.busy_server import busy_server


def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PAUSES", (0.0, 0.0))
    with busy_server(refusals=2) as port:
        assert api.call("GET", f"http://127.0.0.1:{port}/api") is None
    with busy_server(refusals=3) as port, pytest.raises(urllib.error.HTTPError, match="503"):
        api.call("GET", f"http://127.0.0.1:{port}/api")
