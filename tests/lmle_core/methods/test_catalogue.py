"""The catalogue holds together: rules that exist, settings that are accepted, and as many trials as are stated."""

import inspect
from typing import get_type_hints

import pytest

from lmle_core.config import Config, ConfigError
from lmle_core.experiment import configured
from lmle_core.methods.catalogue import DEFAULT_METHODS, METHODS, RATE_FACTOR, RATES, Method, find_method
from lmle_core.methods.decisions import RULES
from lmle_core.methods.method import Lesson
from lmle_core.methods.titles import RULE_TITLES, TITLES
from lmle_core.studies import STUDIES

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
OVER_EMBEDDINGS = {"clusters", "calibrated-clusters", "weighed-clusters", "nearest-mean", "knn"}


def is_ablation(method: Method) -> bool:
    return method.name.startswith(("lmle-", "table"))


def test_names_and_titles_are_of_one_method_each() -> None:
    assert all(name == method.name for name, method in METHODS.items())
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    assert next(iter(METHODS)) == DEFAULT_METHODS[0] == "lmle"
    assert set(DEFAULT_METHODS) <= set(METHODS)
    assert not any(is_ablation(METHODS[name]) for name in DEFAULT_METHODS)
    assert set(RULE_TITLES) == set(RULES)
    assert len(set(TITLES.values())) == len(TITLES) == len(METHODS) + len(RULES)


@each_method
def test_rules_exist_once_and_need_nothing_that_the_method_does_not_train(method: Method) -> None:
    assert method.rules and set(method.rules) <= set(RULES)
    assert len(set(method.rules)) == len(method.rules)
    assert method.embeds or not OVER_EMBEDDINGS & set(method.rules)


@each_method
def test_every_trial_is_accepted_by_configuration_and_objective(method: Method) -> None:
    for settings in method.trials:
        _, arguments = configured(Config(), settings)
        if method.objective is None:
            assert not arguments  # nobody would read them
            continue
        parameters = inspect.signature(method.objective).parameters
        assert get_type_hints(method.objective)[next(iter(parameters))] is Lesson
        assert set(arguments) <= set(list(parameters)[1:])


def test_methods_with_a_choice_have_as_many_trials_as_lmle_twice_the_rates_among_them_and_ablations_have_none() -> None:
    numbers = {name: len(method.trials) for name, method in METHODS.items()}
    whole_or_part = {"shipped", *(name for name, method in METHODS.items() if is_ablation(method))}
    assert {numbers[name] for name in whole_or_part} == {1}
    assert {numbers[name] for name in METHODS.keys() - whole_or_part} == {3} == {len(RATES)}
    for name in METHODS.keys() - whole_or_part:
        assert 2.0 in [settings[RATE_FACTOR] for settings in METHODS[name].trials]
    for method in METHODS.values():
        trials = [sorted(settings.items()) for settings in method.trials]
        assert all(trials.count(each) == 1 for each in trials)


def test_what_is_tried_is_of_the_same_settings_for_each_trial() -> None:
    for method in METHODS.values():
        assert len({tuple(sorted(settings)) for settings in method.trials}) == 1


@pytest.mark.parametrize("study", STUDIES)
def test_ablations_change_something_and_are_compared_with_what_they_change(study: str) -> None:
    assert not METHODS["shipped"].trials[0]
    for config in STUDIES[study].configs().values():
        for name in STUDIES[study].methods:
            if is_ablation(METHODS[name]):
                assert STUDIES[study].methods[0] == "shipped"
                own, whole = configured(config, METHODS[name].trials[0])[0], config
                assert own.digest() != whole.digest()


def test_an_unknown_method_is_answered_with_the_nearest() -> None:
    assert find_method("triplet").title == "triplet, semi-hard"
    with pytest.raises(ConfigError, match=r"unknown method 'tripplet'; did you mean 'triplet'\?"):
        find_method("tripplet")
    with pytest.raises(ConfigError, match="unknown method 'ÿ'; there are lmle, bce, "):
        find_method("ÿ")
