"""The choice of an index: the best candidate on validation, equals, classes that are missing, and the calibration."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmle_core import config
from lmle_core.calibration import calibrate
from lmle_core.index import CentroidIndex
from lmle_core.index_choice import build_index
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from tests.lmle_core.kmeans.random_rows import random_rows

NAMES = ("Bald", "Smiling", "Young")


def _build(train: ArrayRows, valid: ArrayRows, logits: np.ndarray | None = None, **settings: Any) -> CentroidIndex:
    return build_index(
        TorchBlocks(train),
        valid,
        config.Index(**{"calibrate": False, **settings}),
        config.Cluster(),
        attributes=NAMES[: train.labels.shape[1]],
        n_classes=3,
        seed=0,
        logits=logits,
    )


def test_the_odds_stand_beside_the_rule_calibrated_on_validation(tmp_path: Path) -> None:
    everything = random_rows(900, 3, 8, classes=3)
    train = ArrayRows(everything.array[:600], everything.labels[:600])
    valid = ArrayRows(everything.array[600:], everything.labels[600:])
    rng = np.random.default_rng(1)
    truth = np.eye(3, dtype=np.float32)[valid.labels]
    logits = (truth + rng.normal(size=truth.shape)).astype(np.float32)
    index = _build(train, valid, logits, clusters_per_class=(1,), neighbours=(0,), calibrate=True)
    shares = np.stack([(train.labels == c).mean(0) for c in range(3)], axis=1)
    alone = _build(train, valid, clusters_per_class=(1,), neighbours=(0,))
    assert (alone.rule_weight, alone.odds_weight, alone.biases) == (1, 0, None)
    without = _build(train, valid, clusters_per_class=(1,), neighbours=(0,), calibrate=True)
    by_itself = calibrate([alone.scores(valid.array)], valid.labels)
    np.testing.assert_allclose(
        without.scores(valid.array), by_itself.weights[0] * alone.scores(valid.array) + by_itself.biases, atol=1e-4
    )
    assert alone.candidates == index.candidates
    exact = logits.astype(np.float64)
    odds = exact - np.log(np.exp(exact).sum(-1, keepdims=True)) - np.log(shares)
    fitted = calibrate([alone.scores(valid.array), odds], valid.labels)
    assert (index.rule_weight, index.odds_weight) == pytest.approx(tuple(fitted.weights), rel=1e-4)
    assert min(index.rule_weight, index.odds_weight) > 0.1  # either knows something
    assert index.biases is not None
    weighed = index.rule_weight * alone.scores(valid.array) + index.odds_weight * odds + index.biases
    np.testing.assert_allclose(index.scores(valid.array, logits), weighed, atol=1e-5)
    labels, margins = index.classify(valid.array, logits)
    ordered = np.sort(weighed, axis=-1)
    np.testing.assert_array_equal(labels, weighed.argmax(-1))
    np.testing.assert_allclose(margins, ordered[..., -1] - ordered[..., -2], atol=1e-5)
    index.save(tmp_path)
    np.testing.assert_array_equal(CentroidIndex.load(tmp_path).classify(valid.array, logits)[1], margins)
    with pytest.raises(ValueError, match=r"needs its logits \(300, 3, 3\), found None"):
        index.classify(valid.array)
    with pytest.raises(ValueError, match=r"biases: expected \(3, 3\), found \(3,\)"):
        replace(index, biases=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match=r"shares: expected \(3, 3\), found None"):
        replace(index, shares=None)


def test_the_best_candidate_on_the_validation_split_is_taken() -> None:
    everything = random_rows(900, 3, 8, classes=3)
    train = ArrayRows(everything.array[:600], everything.labels[:600])
    valid = ArrayRows(everything.array[600:], everything.labels[600:])
    index = _build(train, valid, clusters_per_class=(4, 1, 2), neighbours=(3, 0, 5, 100))
    tried = [(int(c["clusters_per_class"]), int(c["neighbours"])) for c in index.candidates]
    assert tried == [(1, 0), (2, 0), (2, 3), (2, 5), (4, 0), (4, 3), (4, 5)]  # 3 centroids: k = 3 is all of them
    scores = [c["balanced_accuracy"] for c in index.candidates]
    best = index.candidates[int(np.argmax(scores))]
    assert (index.neighbours, (np.diff(index.offsets) == 3 * best["clusters_per_class"]).all()) == (
        best["neighbours"],
        True,
    )
    labels, _ = index.classify(valid.array)
    recalls = [(labels[:, a] == c)[valid.labels[:, a] == c].mean() for a in range(3) for c in range(3)]
    assert best["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert best["balanced_accuracy"] > 0.6


def test_equal_scores_go_to_fewer_clusters_and_all_neighbours() -> None:
    apart = np.eye(3, 4, dtype=np.float32)  # every candidate is right
    labels = (np.arange(60) % 3).astype(np.int8)[:, None]
    rows = ArrayRows(apart[labels[:, 0]][:, None], labels)
    index = _build(rows, rows, clusters_per_class=(2, 1), neighbours=(2, 0))
    assert all(c["balanced_accuracy"] == 1 for c in index.candidates)
    assert (len(index.centroids), index.neighbours) == (3, 0)


def test_a_class_or_an_attribute_that_the_validation_split_lacks_does_not_count() -> None:
    train = random_rows(300, 2, 8, classes=3)
    valid = ArrayRows(train.array[:50], np.minimum(train.labels[:50], 1))
    index = _build(train, valid, clusters_per_class=(1,), neighbours=(0,))
    assert 0 < index.candidates[0]["balanced_accuracy"] <= 1
    one = valid.labels.copy()
    one[:, 1] = 0
    decided = index.classify(valid.array)[0][:, 0]
    recalls = [(decided == c)[valid.labels[:, 0] == c].mean() for c in range(2)]
    alone = _build(train, ArrayRows(valid.array, one), clusters_per_class=(1,), neighbours=(0,))
    assert alone.candidates[0]["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    none = _build(train, ArrayRows(valid.array, one * 0), clusters_per_class=(1, 2), neighbours=(0,))
    assert [each["balanced_accuracy"] for each in none.candidates] == [0, 0]
    with pytest.raises(ValueError, match="no validation rows"):
        _build(train, ArrayRows(train.array[:0], train.labels[:0]))
