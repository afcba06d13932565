"""The studies: what they compare exists, and every method of a study sees the same number of images."""

import pytest

from lmle_core.config import ConfigError, presets
from lmle_core.experiment import configured
from lmle_core.methods.catalogue import METHODS
from lmle_core.studies import REMOVED, STUDIES, Study, find_study
from lmle_core.training import images_seen

each_study = pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)


@each_study
def test_its_preset_and_methods_exist_and_lmle_is_compared_with_the_others(study: Study) -> None:
    assert study.preset in presets()
    assert study.methods[0] in ("lmle", "shipped") and len(set(study.methods)) == len(study.methods) >= 2
    assert set(study.methods) <= set(METHODS)
    assert study.seeds >= 3  # for an interval


def test_no_two_comparisons_have_a_name_in_common() -> None:
    names = [name for study in STUDIES.values() for name in study.variants]
    assert len(set(names)) == len(names)
    assert all(name == study.name for name, study in STUDIES.items())


@each_study
def test_every_method_sees_as_many_images_whatever_its_settings(study: Study) -> None:
    for config in study.configs().values():
        seen: dict[bool, set[float]] = {True: set(), False: set()}  # by all rounds, or by the prior alone
        for method in (METHODS[name] for name in study.methods):
            for settings in method.trials:
                own = configured(config, settings)[0]
                seen[method.rounds].add(images_seen(own, 12_000, rounds=method.rounds) / method.budget)
        assert max(seen[True]) - min(seen[True]) <= 5 * config.training.batch  # whole batches in a round
        assert max(seen[False], default=0) < min(seen[True])


def test_the_digits_differ_in_the_share_removed_alone() -> None:
    configs = find_study("digits").configs()
    assert list(configs) == ["digits-0", "digits-20", "digits-40", "digits-90"]
    assert tuple(config.data.removed for config in configs.values()) == REMOVED
    plain = [
        config.model_copy(update={"data": config.data.model_copy(update={"removed": 0.0})})
        for config in configs.values()
    ]
    assert len({config.digest() for config in plain}) == 1
    assert all(config.data.source == "digits" for config in plain)


@each_study
def test_further_settings_are_laid_over_every_comparison(study: Study) -> None:
    for config in study.configs(["training.batch=32", "data.height=40"]).values():
        assert (config.training.batch, config.data.height) == (32, 40)
    with pytest.raises(ConfigError, match="did you mean 'training'"):
        study.configs(["trainin.batch=32"])


def test_one_comparison_of_a_study_is_had_by_its_name() -> None:
    whole, one = find_study("digits"), find_study("digits-40")
    assert list(one.variants) == ["digits-40"]
    assert one.configs()["digits-40"] == whole.configs()["digits-40"]
    assert (one.name, one.methods, one.seeds) == (whole.name, whole.methods, whole.seeds)


def test_the_comparison_whose_differences_are_least_sure_has_more_seeds() -> None:
    digits = find_study("digits")
    assert set(digits.more_seeds) <= set(digits.variants)
    assert [digits.seeds_of(name) for name in digits.variants] == [5, 5, 5, 20]


def test_an_unknown_study_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="unknown study 'digit': expected faces, "):
        find_study("digit")
