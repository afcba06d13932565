"""Deployments: prefect.yaml says what the presets say, and wrong parameters are refused."""

from typing import Any

import pytest
import yaml

from lmle_core.config import Config, load_config
from tests.flows.commands import ROOT


def _deployments() -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]}


@pytest.mark.parametrize(
    ("deployment", "preset"), [("demo", "demo"), ("full", "celeba"), ("weekly", "celeba"), ("baselines", "demo")]
)
def test_a_deployment_holds_its_preset(deployment: str, preset: str) -> None:
    assert Config.model_validate(_deployments()[deployment]["parameters"]["config"]) == load_config(preset)


def test_nothing_is_tied_to_a_machine() -> None:
    full = _deployments()["full"]
    assert full["parameters"]["directory"] == "{{ $LMLE_DATA }}"
    assert full["parameters"] == _deployments()["weekly"]["parameters"]
    assert all(each["work_pool"] == {"name": "lmle"} for each in _deployments().values())
    assert not [word for word in (ROOT / "prefect.yaml").read_text().split() if word.startswith("/")]


def test_retraining_is_scheduled_in_a_time_zone_and_one_at_a_time() -> None:
    """As Prefect reads it: a schedule and a limit of the deployment's own."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.client.schemas.schedules import CronSchedule

    weekly = _deployments()["weekly"]
    ((slug, schedule),) = ((each.pop("slug"), CronSchedule(**each)) for each in weekly["schedules"])
    assert (slug, schedule.cron, schedule.timezone) == ("weekly", "0 3 * * 0", "UTC")
    limit = ConcurrencyLimitConfig(**weekly["concurrency_limit"])
    assert (limit.limit, limit.collision_strategy.value) == (1, "CANCEL_NEW")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"config": {"trainin": {}}}, r"'trainin' is not one of \['seed', 'data', .*'training'"),
        ({"config": {"training": {"rouns": 2}}}, r"'config.training'.*'rouns' is not one of \['rounds'"),
        ({"config": {"prior": {"kind": "bcee"}}}, r"'config.prior.kind'.*'bcee' is not one of \['bce'"),
        ({"config": {"seed": -1}}, r"'config.seed'.*-1 is less than the minimum of 0"),
        ({"directory": 3}, r"'directory'.*3 is not valid"),
    ],
)
def test_wrong_parameters_are_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    """By the schema alone, as Prefect's server does it before it makes a run."""
    from prefect.utilities.schema_tools.validation import ValidationError, validate

    from flows.lmle import lmle

    with pytest.raises(ValidationError, match=message):
        validate(parameters, lmle.parameters.model_dump(), raise_on_error=True, ignore_required=True)


def test_a_run_that_was_told_no_folder_is_refused() -> None:
    """As where LMLE_DATA was not set when it was deployed: never procedural faces in the folder's place."""
    from prefect.exceptions import ParameterTypeError

    from flows.retrain import retrain

    with pytest.raises(ParameterTypeError, match=r"directory.*expected a path or a URL, found ''"):
        retrain.validate_parameters({"directory": ""})
