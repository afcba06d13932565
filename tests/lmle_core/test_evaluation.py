"""Thresholds are those of probabilities, and the blocks that features are read in change no answer."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax

from lmle_core import evaluation
from lmle_core.clusters import cluster
from lmle_core.config import Config
from lmle_core.evaluation import Rival, assess, evaluate
from lmle_core.features import Features
from lmle_core.health import spread
from lmle_core.index import CentroidIndex
from lmle_core.kmeans import StoredRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.odds import calibrated_odds, class_shares, log_odds
from lmle_core.predictions import Predictions
from lmle_core.store import TEST, TRAIN, VALID, ImageStore


def test_log_odds_decide_at_the_training_prior() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(200, 4, 2)).astype(np.float32)
    positive = softmax(logits.astype(np.float64), axis=-1)[..., 1]
    shares = np.array([[0.9, 0.1], [0.5, 0.5], [0.02, 0.98], [0.7, 0.3]])
    assert np.array_equal(log_odds(logits, shares).argmax(-1), positive > shares[:, 1])


def test_more_classes_are_weighed_by_their_shares_and_absent_ones_never_chosen() -> None:
    logits = np.log(np.array([[[0.5, 0.3, 0.2]]]))
    assert log_odds(logits, np.array([[0.8, 0.15, 0.05]])).argmax() == 2
    assert log_odds(logits, np.array([[0.8, 0.2, 0.0]])).argmax() == 1


@pytest.mark.parametrize("classes", [2, 3])
def test_shares_count_the_labels(classes: int) -> None:
    labels = np.random.default_rng(1).integers(classes, size=(50, 3))
    shares = class_shares(labels, classes)
    assert shares.sum(1) == pytest.approx([1, 1, 1])
    assert shares[1, 0] == np.mean(labels[:, 1] == 0)


def stored(directory: Path, values: np.ndarray) -> Path:
    directory.mkdir()
    Features.create(directory, len(values), (values.shape[1], values.shape[2]), 64).array[:] = values
    return directory


@pytest.mark.parametrize("block", [1, 7, 4096])
@pytest.mark.parametrize("groups", [1, 3])
def test_blocks_of_any_size_give_the_answers_of_all_rows_at_once(
    faces_store: ImageStore, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, groups: int
) -> None:
    monkeypatch.setattr(evaluation, "BLOCK", block)
    store, rng = faces_store, np.random.default_rng(0)
    values = rng.normal(size=(store.n, groups, 8)).astype(np.float32)
    values[..., 0] += store.labels[:, :groups] * 2
    values /= np.linalg.norm(values, axis=-1, keepdims=True)
    logits = rng.normal(size=(store.n, 3, 2)).astype(np.float32)
    features, bce = stored(tmp_path / "features", values), stored(tmp_path / "bce", logits)
    train, valid, test = store.rows(TRAIN), store.rows(VALID), store.rows(TEST)
    found = cluster(
        TorchBlocks(StoredRows(str(features), store.labels[train], train), "cpu"),
        small.cluster, attributes=store.attributes, n_classes=2, seed=0, round=0,
    )  # fmt: skip
    index = CentroidIndex.of(found, 2)
    index.save(tmp_path / "index")

    evaluate(store, features, index, {"prior": Rival(features, tmp_path / "index"), "bce": Rival(bce)}, small, tmp_path)
    rows = np.sort(np.concatenate([valid, test]))
    labels, margins = index.classify(values[rows])
    kept = Predictions.load(tmp_path / "predictions.parquet")
    assert np.array_equal(kept.predictions, labels)
    np.testing.assert_allclose(kept.margins, margins, atol=1e-6)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["baselines"]["prior"] == scores["test"]
    shares = class_shares(store.labels[train], 2)
    calibrated = calibrated_odds(logits[valid], store.labels[valid], shares)(logits[test]).argmax(-1)
    decided = {
        "bce": logits[test, :, 1] > logits[test, :, 0],
        "bce_prior": softmax(logits[test].astype(np.float64), axis=-1)[..., 1] > shares[:, 1],
        "bce_calibrated": calibrated,
    }  # fmt: skip
    for name, answers in decided.items():
        right = answers == store.labels[test]
        for a, attribute in enumerate(store.attributes):
            accuracy = scores["baselines"][name]["attributes"][attribute]["total_accuracy"]
            assert accuracy == pytest.approx(right[:, a].mean(), abs=1e-6)

    health = assess(store, features, found, None, None, 0, Config())
    spreads = spread([values[valid]])
    assert [health["spreads"][name] for name in store.attributes] == pytest.approx(
        list(np.broadcast_to(spreads, 3)), abs=2e-6
    )
    assert health["validation"]["mean_balanced_accuracy"] == scores["validation"]["mean_balanced_accuracy"]
