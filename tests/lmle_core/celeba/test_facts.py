import math

from lmle_core.celeba import facts


def test_every_table_covers_the_forty_attributes() -> None:
    assert len(facts.ATTRIBUTES) == len(set(facts.ATTRIBUTES)) == 40
    assert set(facts.POSITIVE_RATE) == set(facts.ATTRIBUTES)
    for scores in facts.PUBLISHED.values():
        assert set(scores) == set(facts.ATTRIBUTES)
    assert set(facts.NEAR_RANDOM) < set(facts.ATTRIBUTES)


def test_published_means_are_the_means_of_the_published_columns() -> None:
    for method, scores in facts.PUBLISHED.items():
        mean = math.fsum(scores.values()) / 40
        assert abs(mean - facts.PUBLISHED_MEAN[method]["balanced_accuracy"]) < 0.005 + 1e-9, method


def test_rates_are_shares_with_the_published_mean() -> None:
    assert all(0 < rate < 1 for rate in facts.POSITIVE_RATE.values())
    assert abs(math.fsum(facts.POSITIVE_RATE.values()) / 40 - 0.226) < 0.001


def test_splits_add_up_to_the_data_set() -> None:
    assert sum(facts.SPLIT.values()) == facts.IMAGES
