"""The environment that processes are given."""

import os

import pytest

from infra.settings import without_proxy


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        ("mlflow.corp, .internal", "", "mlflow.corp,.internal,127.0.0.1,localhost"),
        ("a.corp", "b.corp,localhost", "b.corp,localhost,a.corp,127.0.0.1"),
        ("", "", "127.0.0.1,localhost"),
    ],
)
def test_hosts_that_need_no_proxy_stay_so_by_either_variable(
    upper: str, lower: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", upper)
    monkeypatch.setenv("no_proxy", lower)
    without_proxy()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == expected
