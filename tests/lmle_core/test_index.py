"""The index: searches of one attribute equal a scan of its centroids, and the rule decides as its definition says."""

import json
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch

from lmle_core import config
from lmle_core.clusters import cluster
from lmle_core.index import CentroidIndex
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from tests.lmle_core.kmeans.random_rows import random_rows
from tests.lmle_core.large_margin import large_margin_rule

NAMES = ("Bald", "Smiling", "Young")


def _index(neighbours: int = 0, squared: bool = False, shared: bool = False) -> tuple[CentroidIndex, ArrayRows]:
    source = random_rows(600, 3, 8, classes=3, shared=shared)
    found = cluster(TorchBlocks(source), config.Cluster(size=40), attributes=NAMES, n_classes=3, seed=0, round=0)
    return CentroidIndex.of(found, 3, neighbours=neighbours, squared=squared), source


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("k", [0, 1, 4, 1000])
def test_a_search_equals_a_scan_of_the_attribute_alone(k: int, squared: bool) -> None:
    index, source = _index(squared=squared)
    for attribute in range(3):
        lo, hi = index.offsets[attribute : attribute + 2]
        queries = source.array[:50, attribute]
        distances, rows = index.search(attribute, queries, k)
        differences = queries[:, None].astype(np.float64) - index.centroids[lo:hi]
        scan = np.sort((differences**2).sum(-1) if squared else np.linalg.norm(differences, axis=-1), axis=1)
        count = min(k or hi - lo, hi - lo)
        assert rows.shape == (50, count)
        assert ((rows >= lo) & (rows < hi)).all()
        np.testing.assert_allclose(distances, scan[:, :count], atol=1e-4)
        alone = faiss.IndexFlatL2(8)
        alone.add(np.ascontiguousarray(index.centroids[lo:hi]))
        _, peer = alone.search(np.ascontiguousarray(queries), int(count))
        np.testing.assert_array_equal(rows - lo, peer)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("neighbours", "squared"), [(0, False), (0, True), (1, False), (4, False), (4, True)])
def test_classification_is_the_rule_over_the_nearest_centroids(neighbours: int, squared: bool, shared: bool) -> None:
    index, source = _index(neighbours, squared, shared)
    _equals_the_rule(index, source.array)


def test_classes_of_any_number_of_centroids_in_any_order() -> None:
    """Attribute 0 lacks class 1, attribute 1 has one class only, attribute 2 fewer centroids than k."""
    generator = np.random.default_rng(0)
    classes = np.array([2, 0, 2, 0, 0, 2, 2, 1, 1, 1, 1, 1, 1, 0, 2], np.int8)
    offsets = np.array([0, 7, 13, 15])
    for neighbours in (0, 1, 3, 6):
        centroids = _unit(generator.normal(size=(15, 8)))
        index = CentroidIndex(NAMES, 3, centroids, classes, offsets, neighbours)
        _equals_the_rule(index, _unit(generator.normal(size=(700, 3, 8))))
    read_only = _unit(generator.normal(size=(5, 1, 8)))
    read_only.flags.writeable = False
    _equals_the_rule(index, read_only)
    assert index.classify(read_only[:0])[0].shape == (0, 3)


def test_no_bit_depends_on_the_threads() -> None:
    index, source = _index(neighbours=4)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(index.classify(source.array))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def _equals_the_rule(index: CentroidIndex, embeddings: np.ndarray) -> None:
    """Labels and margins are those of `large_margin_rule` over all distances in float64, sorted."""
    labels, margins = index.classify(embeddings)
    assert labels.dtype == np.int8
    assert margins.dtype == np.float32
    for attribute in range(3):
        lo, hi = index.offsets[attribute : attribute + 2]
        queries = embeddings[:, attribute if embeddings.shape[1] > 1 else 0].astype(np.float64)
        squares = ((queries[:, None] - index.centroids[lo:hi]) ** 2).sum(-1)
        distances = squares if index.squared else np.sqrt(squares)
        nearest = np.argsort(distances, axis=1)[:, : index.neighbours or None]
        expected, expected_margins, _ = large_margin_rule(
            np.take_along_axis(distances, nearest, 1), index.classes[lo:hi][nearest], 3, squared=index.squared
        )
        np.testing.assert_allclose(margins[:, attribute], expected_margins, atol=1e-5)
        clear = expected_margins > 1e-5
        np.testing.assert_array_equal(labels[clear, attribute], expected[clear])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("neighbours", "squared"), [(0, False), (4, True)])
def test_scores_are_the_rules_and_their_argmax_is_the_label(neighbours: int, squared: bool, shared: bool) -> None:
    index, source = _index(neighbours, squared, shared)
    scores, (labels, margins) = index.scores(source.array), index.classify(source.array)
    assert scores.shape == (600, 3, 3)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores.argmax(-1), labels)
    rising = np.sort(scores, axis=-1)
    np.testing.assert_allclose(rising[..., -1] - rising[..., -2], margins, atol=1e-5)
    for attribute in range(3):
        lo, hi = index.offsets[attribute : attribute + 2]
        queries = source.array[:, attribute if source.array.shape[1] > 1 else 0].astype(np.float64)
        squares = ((queries[:, None] - index.centroids[lo:hi]) ** 2).sum(-1)
        distances = squares if squared else np.sqrt(squares)
        nearest = np.argsort(distances, axis=1)[:, : neighbours or None]
        _, _, expected = large_margin_rule(
            np.take_along_axis(distances, nearest, 1), index.classes[lo:hi][nearest], 3, squared=squared
        )
        np.testing.assert_allclose(scores[:, attribute], expected, atol=1e-5)


def test_scores_that_float32_cannot_tell_apart_still_give_the_label() -> None:
    """Class 0 scores 0.25 − 0.75, class 1 scores 1e-9 − 0.5: more, and the same once it is rounded."""
    index, source = _index()
    nearest, farthest = ([1e-9, 0.25, 1.9], [0.75, 0.5, 1.9])
    extremes = [torch.tensor(each)[None, :, None].expand(3, -1, 5).contiguous() for each in (nearest, farthest)]
    object.__setattr__(index, "_extremes", lambda *_, **__: iter([extremes]))
    labels, _ = index.classify(source.array[:5])
    scores = index.scores(source.array[:5])
    assert (labels == 1).all()
    np.testing.assert_array_equal(scores.argmax(-1), labels)
    np.testing.assert_allclose(scores, np.broadcast_to([-0.5, -0.5, -1.9], scores.shape), atol=1e-6)


def test_one_cluster_a_class_is_the_nearest_class_mean() -> None:
    source = random_rows(400, 3, 8, classes=3)
    settings = config.Cluster(per_class=1)
    found = cluster(TorchBlocks(source), settings, attributes=NAMES, n_classes=3, seed=0, round=0)
    labels, margins = CentroidIndex.of(found, 3).classify(source.array)
    for attribute in range(3):
        means = np.stack(
            [source.array[source.labels[:, attribute] == c, attribute].mean(0, np.float64) for c in range(3)]
        )
        distances = np.linalg.norm(source.array[:, attribute, None] - means, axis=-1)
        clear = margins[:, attribute] > 1e-4
        np.testing.assert_array_equal(labels[clear, attribute], distances.argmin(1)[clear])


def test_what_is_saved_is_loaded_and_is_faiss_own_file(tmp_path: Path) -> None:
    index, source = _index(neighbours=4, squared=True)
    index = replace(index, candidates=({"clusters_per_class": 1, "neighbours": 4, "balanced_accuracy": 0.5},))
    index.save(tmp_path)
    again = CentroidIndex.load(tmp_path)
    assert (again.attributes, again.neighbours, again.squared) == (NAMES, 4, True)
    assert again.candidates == index.candidates
    (labels, margins), (again_labels, again_margins) = index.classify(source.array), again.classify(source.array)
    np.testing.assert_array_equal(labels, again_labels)
    np.testing.assert_array_equal(margins, again_margins)
    assert faiss.read_index(str(tmp_path / "centroids.faiss")).ntotal == len(index.centroids)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    older = {key: value for key, value in manifest.items() if key not in {"rule_weight", "biases"}}
    (tmp_path / "manifest.json").write_text(json.dumps(older))
    np.testing.assert_array_equal(CentroidIndex.load(tmp_path).classify(source.array)[1], margins)
    assert manifest["ranges"][-1][1] == len(index.centroids)
    np.savez(
        tmp_path / "centroids.npz", centroids=index.centroids[::-1], classes=index.classes, attribute=index.classes
    )
    with pytest.raises(ValueError, match="hold different centroids"):
        CentroidIndex.load(tmp_path)


def test_wrong_input_is_refused() -> None:
    index, source = _index()
    with pytest.raises(ValueError, match=r"embeddings: expected \(n, 3 or 1, 8\)"):
        index.classify(source.array[:, :2])
    with pytest.raises(ValueError, match="unit sphere"):
        index.classify(3 * source.array)
    with pytest.raises(ValueError, match="Smiling has no centroid"):
        replace(index, offsets=index.offsets[[0, 1, 1, 3]])
    with pytest.raises(ValueError, match="classes: expected 0 to 1"):
        replace(index, n_classes=2)
