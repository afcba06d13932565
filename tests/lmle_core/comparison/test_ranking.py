"""Ranking metrics against scikit-learn, against loops over pairs of images, and in their corner cases."""

import json
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, matthews_corrcoef, roc_auc_score

from lmle_core.comparison import Ranking, rank


def drawn(seed: int, n: int, classes: int, attributes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which classes 0 and 1 occur, and coarse scores that have ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=(n, attributes))
    labels[:2] = [[0], [1]]
    scores = rng.integers(6, size=(n, attributes, classes)) + 2 * (labels[..., None] == np.arange(classes))
    return labels.astype(np.int8), scores.astype(np.float32)


def slow_auc(positive: np.ndarray, value: np.ndarray) -> float:
    """Share of pairs in which the positive is above the negative; half a pair for a tie."""
    wins = [(p > q) + 0.5 * (p == q) for p in value[positive] for q in value[~positive]]
    return fmean(float(win) for win in wins)


def slow_precision(positive: np.ndarray, value: np.ndarray) -> float:
    """Precision at each distinct value, weighted by the recall that it adds."""
    total, recall = 0.0, 0.0
    for cut in sorted(set(value.tolist()), reverse=True):
        chosen = [bool(p) for p, v in zip(positive, value, strict=True) if v >= cut]
        total += (sum(chosen) / positive.sum() - recall) * sum(chosen) / len(chosen)
        recall = sum(chosen) / positive.sum()
    return total


def slow_margin(scores: np.ndarray, c: int) -> np.ndarray:
    return np.array([row[c] - max(float(s) for k, s in enumerate(row) if k != c) for row in scores.astype(np.float64)])


@given(seed=st.integers(0, 10_000), n=st.integers(5, 40), classes=st.integers(2, 4))
@settings(max_examples=25)
def test_metrics_are_those_of_loops_and_of_scikit_learn(seed: int, n: int, classes: int) -> None:
    labels, scores = drawn(seed, n, classes)
    found = rank(labels, scores)
    for a in range(3):
        truth, own = labels[:, a], scores[:, a]
        positives = [1] if classes == 2 else sorted(set(truth.tolist()))
        sides = [(truth == c, slow_margin(own, c)) for c in positives]
        assert found.roc_auc[a] == pytest.approx(fmean(slow_auc(*side) for side in sides))
        assert found.roc_auc[a] == pytest.approx(fmean(roc_auc_score(*side) for side in sides))
        assert found.average_precision[a] == pytest.approx(fmean(slow_precision(*side) for side in sides))
        assert found.average_precision[a] == pytest.approx(fmean(average_precision_score(*side) for side in sides))
        assert found.mcc[a] == pytest.approx(matthews_corrcoef(truth, [int(np.argmax(row)) for row in own]))
    assert found.mean_roc_auc == pytest.approx(fmean(value or 0 for value in found.roc_auc))


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))
@settings(max_examples=20)
def test_only_the_order_of_the_margins_matters(seed: int, classes: int) -> None:
    labels, scores = drawn(seed, 30, classes)
    assert rank(labels, 4 * scores + 8) == rank(labels, scores)


def test_an_attribute_of_one_class_has_no_metric_and_counts_in_no_mean() -> None:
    labels, scores = drawn(0, 20, 2)
    labels[:, 1] = 0
    found = rank(labels, scores)
    for values, mean in (
        (found.average_precision, found.mean_average_precision),
        (found.roc_auc, found.mean_roc_auc),
        (found.mcc, found.mean_mcc),
    ):
        assert values[1] is None
        assert mean == pytest.approx(((values[0] or 0) + (values[2] or 0)) / 2)
    alone = rank(labels[:, 1:2], scores[:, 1:2])
    assert (alone.mean_average_precision, alone.mean_roc_auc, alone.mean_mcc) == (None, None, None)


def test_a_class_that_is_never_chosen_ties_all_images() -> None:
    labels = np.array([[0], [1], [2], [1]], dtype=np.int8)
    scores = np.array([[[2, 1, 0]], [[0, 1, 0]], [[1, 0, 0]], [[0, 3, 1]]], dtype=np.float32)
    scores[..., 2] = -np.inf
    assert rank(labels, scores).roc_auc == pytest.approx([((1 + 0.5 + 1) / 3 + 1 + 0.5) / 3])


def test_the_same_decision_for_all_correlates_with_nothing() -> None:
    labels, scores = drawn(1, 20, 2)
    scores[..., 0] = 100
    assert rank(labels, scores).mcc == (0, 0, 0)


def test_json_gives_the_ranking_back_rounded() -> None:
    labels, scores = drawn(2, 30, 3)
    labels[:, 1] = 0
    values = json.loads(json.dumps(rank(labels, scores).to_json(), allow_nan=False))
    assert Ranking.from_json(values).to_json() == values
    assert values["mean_mcc"] == round(values["mean_mcc"], 6)


def test_wrong_input_is_refused_by_name() -> None:
    labels, scores = drawn(3, 10, 2)
    with pytest.raises(ValueError, match=r"got \(10, 2\) and \(10, 3, 2\)"):
        rank(labels[:, :2], scores)
    with pytest.raises(ValueError, match=r"classes in 0..1, got 0 to 2"):
        rank(np.where(labels == 1, 2, 0), scores)
    scores[4, 1, 0] = np.nan
    with pytest.raises(ValueError, match=r"scores\[4, 1\]: class 1 cannot be ranked"):
        rank(labels, scores)
