"""The decision rule equals a loop over its definition, and its closed forms for two classes and for several."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lmle_core.large_margin import large_margin_rule


def _by_loop(
    distances: list[float], classes: list[int], n_classes: int, radius: float
) -> tuple[int, float, list[float]]:
    scores = []
    for label in range(n_classes):
        own = [d for d, c in zip(distances, classes, strict=True) if c == label]
        others = [d for d, c in zip(distances, classes, strict=True) if c not in (label, -1)]
        if not own:
            scores.append(-2 * radius)
        elif not others:
            scores.append(radius)
        else:
            scores.append(min(others) - max(own))
    best = max(range(n_classes), key=lambda label: (scores[label], -label))
    ranked = sorted(scores, reverse=True)
    return best, ranked[0] - ranked[1], scores


@st.composite
def _queries(draw: st.DrawFn, classes: int | None = None) -> tuple[list[float], list[int], int, bool]:
    n_classes = classes or draw(st.integers(2, 5))
    squared = draw(st.booleans())
    k = draw(st.integers(1, 8))
    steps = st.integers(0, 16).map(lambda step: step / 16 * (4 if squared else 2))  # many ties, exact in binary
    distances = draw(st.lists(steps, min_size=k, max_size=k))
    owners = draw(st.lists(st.integers(-1, n_classes - 1), min_size=k, max_size=k).filter(lambda c: max(c) >= 0))
    return distances, owners, n_classes, squared


@given(_queries())
def test_any_query_equals_the_loop(query: tuple[list[float], list[int], int, bool]) -> None:
    distances, classes, n_classes, squared = query
    label, margin, scores = _by_loop(distances, classes, n_classes, 4 if squared else 2)
    found = large_margin_rule(np.array(distances, np.float32), np.array(classes), n_classes, squared=squared)
    assert [part.dtype.name for part in found] == ["int8", "float32", "float64"]
    assert found[0].item() == label
    assert found[1].item() == pytest.approx(margin)
    assert found[2].tolist() == pytest.approx(scores)
    assert math.isfinite(found[1].item())
    assert found[1].item() >= 0


@given(_queries(classes=2))
def test_two_classes_follow_the_closed_form(query: tuple[list[float], list[int], int, bool]) -> None:
    distances, classes, _, squared = query
    zero = [d for d, c in zip(distances, classes, strict=True) if c == 0]
    one = [d for d, c in zip(distances, classes, strict=True) if c == 1]
    expected = min(one) + max(one) < min(zero) + max(zero) if zero and one else bool(one)
    assert large_margin_rule(np.array(distances), np.array(classes), 2, squared=squared)[0] == int(expected)


def test_the_owner_of_the_nearest_centroid_is_judged_by_the_second_nearest_class() -> None:
    #       class 0       class 1        class 2: nearest, but wide
    near = [0.5, 0.75, 0.625, 0.875, 0.25, 1.5]
    _, _, scores = large_margin_rule(np.array(near), np.array([0, 0, 1, 1, 2, 2]), 3)
    assert scores.tolist() == [0.25 - 0.75, 0.25 - 0.875, 0.5 - 1.5]


def test_it_is_no_vote() -> None:
    distances, classes = np.array([0.5, 0.5, 0.5, 0.25, 1.0]), np.array([1, 1, 1, 0, 1])
    assert large_margin_rule(distances, classes, 2)[0] == 0


def test_a_lone_class_wins_by_a_finite_margin() -> None:
    labels, margins, scores = large_margin_rule(np.array([[1.9, 2.0]]), np.array([[1, 1]]), 3)
    assert (labels.tolist(), margins.tolist(), scores.tolist()) == ([1], [6], [[-4, 2, -4]])


def test_leading_dimensions_agree_with_single_queries() -> None:
    generator = np.random.default_rng(0)
    distances = generator.uniform(0, 2, (5, 4, 6)).astype(np.float32)
    classes = generator.integers(3, size=(5, 4, 6)).astype(np.int8)
    together = large_margin_rule(distances, classes, 3)
    for i, j in np.ndindex(5, 4):
        label, margin, scores = _by_loop(distances[i, j].tolist(), classes[i, j].tolist(), 3, 2)
        assert together[0][i, j] == label
        assert together[1][i, j] == pytest.approx(margin, abs=1e-6)
        assert together[2][i, j].tolist() == pytest.approx(scores, abs=1e-6)
    assert large_margin_rule(distances[:0], classes[:0], 3)[2].shape == (0, 4, 3)


@pytest.mark.parametrize(
    ("distances", "classes", "message"),
    [
        ([0.5, 2.5], [0, 1], "expected at most 2, found 2.5"),
        ([0.5, math.nan], [0, 1], "expected at most 2"),
        ([0.5, 0.5], [-1, -1], "no centroid"),
    ],
)
def test_wrong_input_is_refused(distances: list[float], classes: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        large_margin_rule(np.array(distances), np.array(classes), 2)
    if message.startswith("expected at most 2, found 2.5"):
        large_margin_rule(np.array(distances), np.array(classes), 2, squared=True)
