"""What no comparison can be made of is refused before anything is done."""

from pathlib import Path
from typing import Any

import pytest

from flows.compare import compare
from flows.exits import UsageError
from lmle_core.config import ConfigError, parse_config


def compared(
    workspace: Path, methods: tuple[str, ...] = ("lmle",), seeds: int = 1, name: str = "tiny", **sections: Any
) -> None:
    compare.fn(parse_config({**sections, "engines": {"workspace": str(workspace)}}), methods, seeds, name)


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        ({"methods": ()}, UsageError, "at least one method and one seed, found 0 and 1"),
        ({"seeds": 0}, UsageError, "at least one method and one seed, found 1 and 0"),
        ({"methods": ("lmle", "focl")}, ConfigError, "unknown method 'focl'; did you mean 'focal'?"),
        ({"name": ".."}, UsageError, "expected letters, digits"),
        ({"name": "../runs"}, UsageError, "expected letters, digits"),
        ({"name": ""}, UsageError, "expected letters, digits"),
        ({"name": "faces.partial"}, UsageError, "another end than .partial"),
        ({"prior": {"kind": "identity"}}, UsageError, "compare with 'bce'"),
        (
            {"methods": ("lmle", "lmle-cold")},
            UsageError,
            "lmle-cold would train for 24.0 epochs, the others for 10.0: it fits the presets of the studies",
        ),
        (
            {"methods": ("bce", "lmle-softmax-ratio"), "quintuplets": {"mode": "table"}},
            ConfigError,
            "'table' trains on loss.kind 'hinge'",
        ),
    ],
)
def test_refused_before_anything_is_done(
    request_: dict[str, Any], error: type[Exception], message: str, tmp_path: Path
) -> None:
    (tmp_path / "runs").mkdir()
    with pytest.raises(error) as refused:
        compared(tmp_path, **request_)
    assert message in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
