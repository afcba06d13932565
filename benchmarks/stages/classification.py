"""Cluster-wise kNN: 20,000 queries under all attributes, by the index that is built on the training images."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import faiss
import numpy as np

from benchmarks.faiss_peer import at_its_best
from benchmarks.measure import Bench, Side
from benchmarks.sample import Embeddings, Sample
from lmle_core.comparison.over_images import Pair, paired_over_images
from lmle_core.index import CentroidIndex
from lmle_core.index_choice import build_index
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.metrics import score

QUERIES = 20_000
PEER_QUERIES, PEER_ATTRIBUTES, PEER_NEIGHBOURS = 2048, 2, 10
NEIGHBOURS = (10, 20, 50, 100, 200)
VOTES = ("majority", "prior")
MOST = 2048
"""Images of a split, at most, whose accuracy is compared."""
NOISE = 0.05
"""Norm of what is added to copies of embeddings, where the training images are more than the faces."""


def prepare(sample: Sample, images: int) -> Bench:
    """Against a copy of the queries, and against exact kNN over all training images."""
    train = sample.embeddings(min(images, sample.scale.faces))
    valid, test = sample.validation, sample.test
    index = _index(sample, train, valid)
    tested = test.array()
    queries = np.resize(tested, (QUERIES, *tested.shape[1:]))
    target = np.empty_like(queries)
    attributes = len(train.attributes)
    crowd = [_crowd(train.array()[:, a], images, a) for a in range(PEER_ATTRIBUTES)]

    def ours() -> np.ndarray:
        return index.classify(queries)[0]

    def copy() -> None:
        np.copyto(target, queries)

    def exact() -> list[np.ndarray]:
        at_its_best(sample.threads)
        found = [crowd[a].search(queries[:PEER_QUERIES, a], PEER_NEIGHBOURS)[1] for a in range(PEER_ATTRIBUTES)]
        return [np.resize(train.labels[:, a], images)[rows].mean(1) > 0.5 for a, rows in enumerate(found)]

    def compare(outcomes: Mapping[str, Any]) -> dict[str, float]:
        def accuracy(truth: Embeddings, answers: np.ndarray) -> float:
            return score(truth.labels, answers, truth.attributes, 2, bootstrap=0).mean_balanced_accuracy

        few_valid, asked = (replace(each, labels=each.labels[:MOST]) for each in (valid, test))
        cluster_wise = outcomes["ours"][: len(asked.labels)]
        validated, answered = _votes(train, few_valid), _votes(train, asked)
        figures = {"balanced accuracy": accuracy(asked, cluster_wise)}
        for vote in VOTES:
            best = max(NEIGHBOURS, key=lambda k: accuracy(few_valid, validated[vote, k]))
            margin = paired_over_images([Pair(asked.labels, cluster_wise, answered[vote, best])], shared=True)
            figures[f"balanced accuracy of kNN by {vote}"] = accuracy(asked, answered[vote, best])
            figures[f"gain over kNN by {vote}"] = margin.mean
            assert margin.interval is not None
            figures[f"gain over kNN by {vote}, low"], figures[f"gain over kNN by {vote}, high"] = margin.interval
        return figures

    return Bench(
        "classification",
        "queries × attributes",
        Side(ours, QUERIES * attributes),
        limit=("a copy of the queries", Side(copy, QUERIES * attributes)),
        peers={"faiss IndexFlatL2 over all samples": Side(exact, PEER_QUERIES * PEER_ATTRIBUTES)},
        compare=compare,
        note=f"The peer finds {PEER_NEIGHBOURS} neighbours of {PEER_QUERIES} queries for {PEER_ATTRIBUTES} attributes "
        f"among {images} rows, of which those beyond {len(train.labels)} are copies with noise. Accuracies are of all "
        f"attributes among the {len(train.labels)} rows, k of each vote chosen on the validation split; a vote by the "
        "prior compares a class's share among the neighbours with that in training.",
    )


def _index(sample: Sample, train: Embeddings, valid: Embeddings) -> CentroidIndex:
    directory = sample.folder / f"index-{len(train.labels)}"
    if not (directory / "manifest.json").exists():
        build_index(
            TorchBlocks(ArrayRows(train.array(), train.labels), sample.device),
            ArrayRows(valid.array(), valid.labels),
            sample.config.index.model_copy(update={"calibrate": False}), sample.config.cluster,
            attributes=train.attributes, n_classes=2, seed=sample.config.seed,
        ).save(directory)  # fmt: skip
    return CentroidIndex.load(directory)


def _crowd(vectors: np.ndarray, images: int, seed: int) -> faiss.IndexFlatL2:
    """An exact index of so many rows, unit length."""
    rows = np.resize(vectors, (images, vectors.shape[1]))
    noise = np.random.default_rng(seed).standard_normal((max(0, images - len(vectors)), rows.shape[1]), np.float32)
    rows[len(vectors) :] += noise * np.float32(NOISE / np.sqrt(rows.shape[1]))
    index = faiss.IndexFlatL2(rows.shape[1])
    index.add(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return index


def _votes(train: Embeddings, asked: Embeddings) -> dict[tuple[str, int], np.ndarray]:
    """What each vote among each number of nearest training images answers, int8 (n, A).

    'prior' has a class win that is more frequent among the neighbours than in training.
    """
    rows, queries = train.array(), asked.array()[: len(asked.labels)]
    answers = {(vote, k): np.empty(asked.labels.shape, np.int8) for vote in VOTES for k in NEIGHBOURS}
    for a in range(len(train.attributes)):
        index = faiss.IndexFlatL2(rows.shape[2])
        index.add(np.ascontiguousarray(rows[:, a]))
        neighbours = train.labels[index.search(np.ascontiguousarray(queries[:, a]), NEIGHBOURS[-1])[1], a]
        for k in NEIGHBOURS:
            share = neighbours[:, :k].mean(1)
            answers["majority", k][:, a] = share > 0.5
            answers["prior", k][:, a] = share > train.labels[:, a].mean()
    return answers
