import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmle_core.sampling import ClassEqual, Minority, Resampled, Uniform, make_sampler


def imbalanced(seed: int, images: int = 300, attributes: int = 6) -> np.ndarray:
    rates = np.linspace(0.03, 0.5, attributes)
    return (np.random.default_rng(seed).random((images, attributes)) < rates).astype(np.int8)


@given(images=st.integers(2, 200), batch=st.integers(1, 64), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_a_uniform_epoch_shows_no_image_twice_and_leaves_out_less_than_a_batch(
    images: int, batch: int, seed: int
) -> None:
    sampler = Uniform(images, batch, (seed,))
    size = min(batch, images)
    epoch = np.concatenate([sampler(iteration) for iteration in range(images // size)])
    assert len(np.unique(epoch)) == len(epoch) > images - size


@given(counts=st.lists(st.integers(1, 60), min_size=2, max_size=5), batch=st.integers(8, 64), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_class_equal_batches_hold_each_class_equally_as_far_as_it_goes(
    counts: list[int], batch: int, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    drawn = ClassEqual(labels, batch, (seed,))(3)
    assert len(np.unique(drawn)) == len(drawn)
    for c, count in enumerate(counts):
        share = batch // len(counts) + (c < batch % len(counts))
        assert (labels[drawn] == c).sum() == min(share, count)


@given(seed=st.integers(0, 200), least=st.integers(1, 6))
@settings(max_examples=50)
def test_minority_batches_hold_the_minimum_of_every_attribute(seed: int, least: int) -> None:
    labels = imbalanced(seed)
    drawn = Minority(labels, 64, least, (seed,))(0)
    assert len(np.unique(drawn)) == len(drawn) == 64
    for column in labels.T:
        values, counts = np.unique(column, return_counts=True)
        assert (column[drawn] == values[counts.argmin()]).sum() >= min(least, counts.min())


def test_minorities_that_do_not_fit_are_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match=r"training\.batch 8 is too small: 4 members of each of 6 minorities need \d+"):
        Minority(imbalanced(0), 8, 4, (0,))(0)


def test_minima_that_fit_into_the_first_batch_and_not_into_a_later_one_fill_it() -> None:
    labels = imbalanced(0)

    def minima(iteration: int) -> np.ndarray:
        return np.flatnonzero(Minority(labels, 64, 4, (0,))._minima(np.random.default_rng((0, iteration))))

    batch = len(minima(0))
    iteration = next(i for i in range(1, 1000) if len(minima(i)) > batch)
    drawn = Minority(labels, batch, 4, (0,))(iteration)
    assert len(np.unique(drawn)) == len(drawn) == batch
    assert set(drawn) < set(minima(iteration))


@given(seed=st.integers(0, 200), images=st.integers(1, 120), batch=st.integers(1, 100))
@settings(max_examples=50)
def test_resampled_batches_hold_distinct_images_and_as_many_as_there_are(seed: int, images: int, batch: int) -> None:
    drawn = Resampled(imbalanced(seed, images), batch, (seed,))(2)
    assert drawn.dtype == np.int64
    assert len(np.unique(drawn)) == len(drawn) == min(batch, images)


def test_a_resampled_slot_is_of_each_attribute_and_class_alike_and_then_of_each_member() -> None:
    labels = imbalanced(3, images=500, attributes=4)
    sampler = Resampled(labels, 1, (0,))  # without the hindrance of what the batch holds already
    counts = np.bincount(np.concatenate([sampler(iteration) for iteration in range(20_000)]), minlength=500)
    chance = np.zeros(500)
    for column in labels.T:
        for c in (0, 1):
            chance[column == c] += 1 / (4 * 2 * (column == c).sum())
    assert chance.sum() == pytest.approx(1)
    expected = 20_000 * chance
    assert np.sqrt(np.mean((counts - expected) ** 2 / expected)) < 1.15  # chi-square over its degrees of freedom


def test_a_class_that_a_resampled_batch_has_drawn_whole_gives_its_slots_to_the_others() -> None:
    labels = np.zeros((40, 2), np.int8)
    labels[7, 0] = labels[9, 1] = 1  # both are drawn long before 39 slots are full
    drawn = Resampled(labels, 39, (1,))(0)
    assert len(np.unique(drawn)) == 39
    assert {7, 9} <= set(drawn.tolist())


def test_resampled_batches_depend_on_seed_and_iteration_alone() -> None:
    labels = imbalanced(1)
    first, second = Resampled(labels, 32, (7, 1)), Resampled(labels, 32, (7, 1))
    first(0), first(1)
    assert np.array_equal(first(5), second(5))
    assert not np.array_equal(first(5), first(6))
    assert not np.array_equal(first(5), Resampled(labels, 32, (7, 2))(5))


@pytest.mark.parametrize("kind", ["uniform", "class-equal", "minority"])
def test_a_batch_depends_on_seed_and_iteration_alone(kind: str) -> None:
    labels = imbalanced(1, attributes=1)
    first, second = (make_sampler(kind, labels, 32, 4, (7, 1)) for _ in range(2))
    first(0), first(1)
    assert np.array_equal(first(5), second(5))
    assert not np.array_equal(first(5), first(6))
    assert not np.array_equal(first(5), make_sampler(kind, labels, 32, 4, (7, 2))(5))


def test_auto_is_class_equal_for_one_attribute_and_uniform_for_several() -> None:
    assert isinstance(make_sampler("auto", imbalanced(0, attributes=1), 32, 4, (0,)), ClassEqual)
    assert isinstance(make_sampler("auto", imbalanced(0), 32, 4, (0,)), Uniform)
    with pytest.raises(ValueError, match="serves one attribute, and there are 6"):
        make_sampler("class-equal", imbalanced(0), 32, 4, (0,))


def test_a_batch_smaller_than_the_classes_is_refused() -> None:
    labels = np.arange(40, dtype=np.int8)[:, None] % 10
    assert len(make_sampler("auto", labels, 10, 1, (0,))(0)) == 10
    with pytest.raises(ValueError, match=r"training.batch 9 is too small for the 10 classes"):
        make_sampler("auto", labels, 9, 1, (0,))
