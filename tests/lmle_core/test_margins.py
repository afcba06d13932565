"""Margins: hand values, the geometry's chords, and the angles that are clamped."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmle_core.config import Loss
from lmle_core.margins import Margins, geometric_margins, margins_of


def test_chords_of_one_attribute() -> None:
    margins = geometric_margins([800, 200], 50, 0.5)
    np.testing.assert_allclose(margins.g1, 2 * math.sin(math.pi * 0.5 * 50 / 1000), rtol=1e-6)
    expected = [2 * math.sin(math.pi * 0.5 * 750 / 1000), 2 * math.sin(math.pi * 0.5 * 150 / 1000)]
    np.testing.assert_allclose(margins.g2, expected, rtol=1e-6)
    assert margins.g3 == pytest.approx(2 * math.sin(math.pi * 0.5 / 2))
    squared = geometric_margins([800, 200], 50, 0.5, squared=True)
    for one, other in ((squared.g1, margins.g1), (squared.g2, margins.g2), (squared.g3, margins.g3)):
        np.testing.assert_allclose(one, np.square(other), rtol=1e-6)


def test_angles_are_clamped_where_the_chord_is_a_diameter() -> None:
    margins = geometric_margins([990, 10], 5, 1.0)
    np.testing.assert_allclose(margins.g2, [2, 2 * math.sin(math.pi * 5 / 1000)], rtol=1e-6)
    assert geometric_margins([5], 5, 1.0).g3 == pytest.approx(2)  # one class: pi, clamped


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=5).filter(any), st.integers(1, 500), st.floats(0.01, 1))
def test_a_larger_class_never_gets_a_smaller_g2(sizes: list[int], length: int, share: float) -> None:
    margins = geometric_margins(sizes, length, share)
    ordered = np.asarray(margins.g2)[np.argsort(sizes)]
    assert (np.diff(ordered) >= 0).all()
    for margin in (margins.g1, margins.g2, margins.g3):
        assert (np.asarray(margin) >= 0).all()
        assert (np.asarray(margin) <= 2).all()


def test_every_attribute_and_class_has_its_own() -> None:
    sizes, lengths = np.array([[900, 100], [600, 400]]), np.array([[90, 20], [60, 50]])
    together = geometric_margins(sizes, lengths, 0.5)
    for attribute in range(2):
        alone = geometric_margins(sizes[attribute], lengths[attribute], 0.5)
        np.testing.assert_array_equal(np.asarray(together.g1)[attribute], alone.g1)
        np.testing.assert_array_equal(np.asarray(together.g2)[attribute], alone.g2)


def test_the_configuration_chooses() -> None:
    by_hand = margins_of(Loss(margins=(0.1, 0.2, 0.5)), [3, 4], 2)
    assert (by_hand.g1, by_hand.g2, by_hand.g3) == (0.1, 0.2, 0.5)
    geometric = margins_of(Loss(margins=None, sphere_share=0.7, squared=True), [30, 40], 2)
    np.testing.assert_array_equal(geometric.g2, geometric_margins([30, 40], 2, 0.7, squared=True).g2)


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ValueError, match="g2: expected finite margins of at least 0"):
        Margins(0.1, np.array([0.2, -0.1], np.float32), 0.5)
    with pytest.raises(ValueError, match="g3"):
        Margins(0.1, 0.2, math.nan)
    with pytest.raises(ValueError, match="class sizes"):
        geometric_margins([0, 0], 5, 0.5)
    with pytest.raises(ValueError, match="share of the sphere"):
        geometric_margins([1, 2], 5, 1.5)
