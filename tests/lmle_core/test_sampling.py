import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmle_core.sampling import ClassEqual, Minority, Uniform, make_sampler


def imbalanced(seed: int, images: int = 300, attributes: int = 6) -> np.ndarray:
    rates = np.linspace(0.03, 0.5, attributes)
    return (np.random.default_rng(seed).random((images, attributes)) < rates).astype(np.int8)


@given(images=st.integers(2, 200), batch=st.integers(1, 64), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_a_uniform_epoch_shows_no_image_twice_and_leaves_out_less_than_a_batch(
    images: int, batch: int, seed: int
) -> None:
    sampler = Uniform(images, batch, (seed,))
    size = min(batch, images)
    epoch = np.concatenate([sampler(iteration) for iteration in range(images // size)])
    assert len(np.unique(epoch)) == len(epoch) > images - size


@given(counts=st.lists(st.integers(1, 60), min_size=2, max_size=5), batch=st.integers(8, 64), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
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
@settings(max_examples=50, deadline=None)
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
