"""Metrics against scikit-learn, against a loop over resamples, and in their corner cases."""

import json
from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, recall_score

from lmle_core.metrics import Scores, score


def drawn(seed: int, n: int, attributes: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Imbalanced labels, and predictions that are right about three times in four."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(classes, 0.6), size=attributes)
    labels = np.stack([rng.choice(classes, size=n, p=share) for share in shares], axis=1)
    guesses = rng.integers(classes, size=labels.shape)
    return labels.astype(np.int8), np.where(rng.random(labels.shape) < 0.6, labels, guesses).astype(np.int8)


def names(count: int) -> list[str]:
    return [f"attribute {a}" for a in range(count)]


@given(seed=st.integers(0, 10_000), n=st.integers(30, 200), classes=st.integers(2, 4))
@settings(max_examples=40)
def test_scores_are_scikit_learns(seed: int, n: int, classes: int) -> None:
    labels, predictions = drawn(seed, n, 6, classes)
    labels[0], labels[1] = 0, 1  # every attribute has two classes
    scores = score(labels, predictions, names(6), classes, bootstrap=0)
    for a, row in enumerate(scores.attributes):
        truth, found = labels[:, a], predictions[:, a]
        recalls = recall_score(truth, found, labels=range(classes), average=None, zero_division=0)
        for c in range(classes):
            assert row.support[c] == (truth == c).sum()
            assert row.recall[c] == (pytest.approx(recalls[c]) if row.support[c] else None)
        present = np.isin(found, truth)  # scikit-learn warns of predictions of a class that the labels lack
        assert row.total_accuracy == pytest.approx((truth == found).mean())
        if present.all():
            assert row.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, found))
        assert row.balanced_accuracy == pytest.approx(fmean(r for r in row.recall if r is not None))
    balanced = [row.balanced_accuracy for row in scores.attributes if row.balanced_accuracy is not None]
    assert scores.mean_balanced_accuracy == pytest.approx(fmean(balanced))
    assert scores.worst_five_balanced_accuracy == pytest.approx(fmean(sorted(balanced)[:5]))
    assert scores.interval is None


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        labels = (rng.random((400, 3)) < 0.2).astype(np.int8)
        right = np.where(labels == 1, rng.random(labels.shape) < 0.6, rng.random(labels.shape) < 0.8)
        scores = score(labels, np.where(right, labels, 1 - labels), names(3), bootstrap=200)
        assert scores.interval is not None
        covered += scores.interval[0] <= 0.7 <= scores.interval[1]
    assert 88 <= covered <= 99


def test_a_class_without_images_is_left_out_and_no_nan_appears() -> None:
    labels = np.array([[0, 0], [0, 0], [0, 1], [0, 1]], dtype=np.int8)
    predictions = np.array([[0, 0], [1, 0], [0, 1], [0, 0]], dtype=np.int8)
    scores = score(labels, predictions, ["Bald", "Male"], bootstrap=100)
    bald, male = scores.attributes
    assert (bald.recall, bald.tpr, bald.balanced_accuracy, bald.interval) == ((0.75, None), None, None, None)
    assert (male.recall, male.balanced_accuracy) == ((1.0, 0.5), 0.75)
    assert scores.excluded == ("Bald",)
    assert (scores.mean_balanced_accuracy, scores.mean_tpr, scores.mean_tnr) == (0.75, 0.5, 1.0)
    json.dumps(scores.to_json(), allow_nan=False)


def test_a_third_class_without_images_counts_in_no_mean() -> None:
    labels = np.array([[0], [0], [1], [1]], dtype=np.int8)
    scores = score(labels, np.array([[0], [2], [1], [1]], dtype=np.int8), ["Age"], n_classes=3, bootstrap=0)
    assert scores.attributes[0].recall == (0.5, 1.0, None)
    assert scores.mean_balanced_accuracy == 0.75
    assert scores.mean_recall == (0.5, 1.0, None)
    assert scores.mean_tpr is None


def test_near_random_attributes_are_left_out_of_their_own_mean_only() -> None:
    labels, predictions = drawn(0, 100, 3)
    scores = score(labels, predictions, ["Bald", "Oval_Face", "Male"], bootstrap=0)
    assert scores.mean_without_near_random == pytest.approx(
        fmean(row.balanced_accuracy or 0 for row in (scores.attributes[0], scores.attributes[2]))
    )
    assert score(labels, predictions, names(3), bootstrap=0).mean_without_near_random is None
    assert score(labels[:, 1:2], predictions[:, 1:2], ["Oval_Face"], bootstrap=0).mean_without_near_random is None


def test_json_is_plain_rounded_and_the_same_each_time() -> None:
    labels, predictions = drawn(1, 300, 8)
    texts = {json.dumps(score(labels, predictions, names(8), bootstrap=100, seed=2).to_json()) for _ in range(2)}
    assert len(texts) == 1
    values = json.loads(texts.pop())
    assert list(values["attributes"]) == names(8)
    assert values["mean_balanced_accuracy"] == round(values["mean_balanced_accuracy"], 6)
    assert set(values["attributes"]["attribute 0"]) == {
        "support", "recall", "tpr", "tnr", "balanced_accuracy", "total_accuracy", "interval",
    }  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_come_back_from_json(classes: int) -> None:
    labels, predictions = drawn(6, 60, 3, classes)
    labels[:, 0] = 0  # left out
    values = score(labels, predictions, names(3), classes, bootstrap=50).to_json()
    assert Scores.from_json(json.loads(json.dumps(values))).to_json() == values


def test_more_images_give_a_narrower_interval() -> None:
    widths = []
    for n in (200, 2_000, 20_000):
        rng = np.random.default_rng(0)
        labels = (rng.random((n, 4)) < 0.3).astype(np.int8)
        predictions = np.where(rng.random(labels.shape) < 0.8, labels, 1 - labels)
        low, high = score(labels, predictions, names(4), bootstrap=200).interval or (0, 0)
        widths.append(high - low)
    assert all(wide > 2 * narrow for wide, narrow in pairwise(widths))


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        (np.zeros((3, 1)), np.zeros((3, 2)), r"shape \(n, 2\), one column an attribute; got \(3, 1\) and \(3, 2\)"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "at least one image, got none"),
        (np.array([[0, 1], [1, 2]]), np.zeros((2, 2)), r"labels\[1, 1\] \(Male\): expected a class in 0..1, got 2"),
        (np.array([[0, 1], [1, 0]]), np.full((2, 2), -1), r"predictions\[0, 0\] \(Bald\): .* got -1"),
        (np.zeros((4, 2)), np.zeros((4, 2)), "none of the 2 attributes has two classes among the 4 images"),
    ],
)
def test_wrong_input_is_refused_by_name(labels: np.ndarray, predictions: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(labels.astype(np.int8), predictions.astype(np.int8), ["Bald", "Male"])
