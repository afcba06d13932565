"""K-means of each class of each attribute: first centroids, Lloyd's loop, and the cluster of every row."""

from collections.abc import Callable, Mapping
from typing import Any

import faiss
import numpy as np
import torch
from sklearn.cluster import KMeans

from benchmarks.faiss_peer import at_its_best
from benchmarks.measure import Bench, Side
from benchmarks.sample import Sample
from lmle_core.clusters import Clusters, cluster
from lmle_core.kmeans import BLOCK, ArrayRows
from lmle_core.kmeans.seeding import class_counts, cluster_counts
from lmle_core.kmeans.torch_blocks import TorchBlocks

FAISS_ITERATIONS = 25
"""faiss's own default."""
FEW_ITERATIONS = 14
"""About the fewest with which faiss, on its own sample, comes within a percent of the best inertia."""
WITHIN = 1.01

type Fit = Callable[[np.ndarray, int], float]


def prepare(sample: Sample, images: int) -> Bench:
    """Against the products of all rows with all centroids, once a pass, and against faiss and scikit-learn."""
    embeddings = sample.embeddings(images)
    features, labels = np.array(embeddings.array()), embeddings.labels
    attributes, settings = labels.shape[1], sample.config.cluster
    clusters = cluster_counts(class_counts(labels, 2), settings.size, settings.maximum)
    passes: list[int] = []

    def ours() -> Clusters:
        found = cluster(
            TorchBlocks(ArrayRows(features, labels), sample.device), settings, attributes=embeddings.attributes,
            n_classes=2, seed=sample.config.seed, round=0,
        )  # fmt: skip
        passes[:] = [found.iterations]
        return found

    resident = torch.from_numpy(features).to(sample.device)
    centroids = torch.randn(attributes, features.shape[2], int(clusters.sum(1).max()), device=sample.device)
    scores = torch.empty(attributes, BLOCK, centroids.shape[2], device=sample.device)

    def products() -> None:
        for _ in range(passes[0]):
            for lo in range(0, images, BLOCK):
                rows = resident[lo : lo + BLOCK].transpose(0, 1)
                torch.bmm(rows, centroids, out=scores[:, : rows.shape[1]])

    def each_class(fit: Fit) -> Callable[[], float]:
        def call() -> float:
            """Inertia over all attributes, each class of them on its own."""
            return sum(
                fit(np.ascontiguousarray(features[labels[:, a] == c, a]), int(clusters[a, c]))
                for a in range(attributes)
                for c in range(2)
                if clusters[a, c]
            )

        return call

    def with_faiss(iterations: int, most: int) -> Fit:
        def fit(rows: np.ndarray, number: int) -> float:
            peer = faiss.Kmeans(
                rows.shape[1], number, niter=iterations, seed=sample.config.seed, max_points_per_centroid=most,
                min_points_per_centroid=1,
            )  # fmt: skip
            peer.train(rows)
            distances, _ = peer.assign(rows)
            return float(distances.sum(dtype=np.float64))

        return fit

    def with_scikit_learn(rows: np.ndarray, number: int) -> float:
        return float(KMeans(number, n_init=1, random_state=sample.config.seed).fit(rows).inertia_)

    at_its_best(sample.threads)
    everything = len(features) + 1
    amount = images * attributes
    fits = {
        f"faiss.Kmeans, all points, {FAISS_ITERATIONS} iterations": with_faiss(FAISS_ITERATIONS, everything),
        f"faiss.Kmeans, its own sample, {FAISS_ITERATIONS} iterations": with_faiss(FAISS_ITERATIONS, 256),
        f"faiss.Kmeans, its own sample, {FEW_ITERATIONS} iterations": with_faiss(FEW_ITERATIONS, 256),
        "scikit-learn KMeans": with_scikit_learn,
    }

    def compare(outcomes: Mapping[str, Any]) -> dict[str, float]:
        inertia = float(outcomes["ours"].inertia.sum())
        figures = {f"inertia of {name} / ours": outcomes[name] / inertia for name in fits}
        assert min(figures.values()) >= 1 / WITHIN, figures
        return {"passes over all rows": float(passes[0]), **figures}

    return Bench(
        "k-means",
        "rows × attributes",
        Side(ours, amount),
        limit=("the products of all rows with all centroids, in as many passes", Side(products, amount)),
        peers={name: Side(each_class(fit), amount) for name, fit in fits.items()},
        compare=compare,
        note=f"Embeddings of each attribute, {clusters.min()} to {clusters.max()} clusters a class. Every side counts "
        "its first centroids and the cluster of every row at the end. No peer may have 1 % less inertia than ours. "
        "faiss's own sample, its default, has 256 points a centroid.",
    )
