"""Decision rules over a space: nearest class mean, nearest neighbours, nearest clusters, and a linear SVM."""

import numpy as np
import torch
from numpy.typing import NDArray

from lmle_core.bootstrap import class_members, mean_balanced_accuracy
from lmle_core.config import Config
from lmle_core.index_choice import build_index
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.methods.outputs import Outputs, Rule, Scorer
from lmle_core.odds import without_absent
from lmle_core.threads import in_threads

NEIGHBOURS = (5, 20, 50, 200)
PENALTIES = (0.01, 0.1, 1.0)
"""C of the support vector machine."""
SVM_ITERATIONS = 2000
SVM_IMAGES = 12_000
"""Training images at most, evenly spaced, that it is fitted to: a fit of each attribute and penalty takes seconds."""
QUERIES = 4096
"""Whose neighbours are looked for at a time on a GPU."""


def nearest_mean(space: str) -> Rule:
    """The class whose mean is nearest by angle: the cosine to each class's mean, scaled to unit length."""

    def fit(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
        points = train.points(space)
        members = class_members(train.labels, shares.shape[1])  # (n, C, A)
        sums = np.stack(
            [
                members[:, :, a].T.astype(np.float32) @ points[:, a if points.shape[1] > 1 else 0]
                for a in range(len(shares))
            ]
        )  # (A, C, d)
        means = sums / np.maximum(np.linalg.norm(sums, axis=-1, keepdims=True), 1e-12)

        def over(outputs: Outputs) -> NDArray[np.float32]:
            queries = np.broadcast_to(outputs.points(space), (len(outputs.labels), len(means), means.shape[2]))
            cosines = np.matmul(queries.transpose(1, 0, 2), means.transpose(0, 2, 1))  # (A, n, C)
            return without_absent(np.ascontiguousarray(cosines.transpose(1, 0, 2)), shares)

        return over

    return fit


def nearest_neighbours(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
    """Exact k nearest training images by angle; k and the vote are those best on validation, for all attributes alike.

    The majority vote scores a class by its share among the neighbours, the corrected one by that over its share in
    training.

    Corner cases: k is at most the training images. Equal accuracies go to the smaller k, then to the majority.
    """
    sizes = sorted({min(k, len(train.labels)) for k in NEIGHBOURS})
    found = _neighbour_labels(train, valid, sizes[-1])
    best, chosen = -np.inf, (sizes[0], False)
    for k in sizes:
        for corrected in (False, True):
            accuracy = mean_balanced_accuracy(valid.labels, vote(found[..., :k], shares, corrected=corrected))
            if accuracy > best:
                best, chosen = accuracy, (k, corrected)
    k, corrected = chosen
    return lambda outputs: vote(_neighbour_labels(train, outputs, k), shares, corrected=corrected)


def vote(neighbours: NDArray[np.int8], shares: NDArray[np.float32], *, corrected: bool) -> NDArray[np.float32]:
    """Scores (n, A, C): each class's share among the neighbours' labels (n, A, k), over its training share or not."""
    classes = shares.shape[1]
    counts = np.stack([(neighbours == c).sum(-1) for c in range(classes)], -1)
    scores = (counts / neighbours.shape[-1]).astype(np.float32)
    return scores / np.where(shares > 0, shares, np.float32(1)) if corrected else scores


def nearest_clusters(space: str, *, calibrated: bool = False, weighed: bool = False) -> Rule:
    """The cluster-wise large-margin rule: scores of the index that `lmle_core.index_choice.build_index` chooses.

    Args:
        space: 'embeddings' or 'features'.
        calibrated: its scores are, on validation.
        weighed: with the classifier's log-odds beside the rule.
    """

    def fit(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
        rows = [ArrayRows(np.ascontiguousarray(each.points(space)), each.labels) for each in (train, valid)]
        index = build_index(
            TorchBlocks(rows[0], train.device),
            rows[1],
            config.index.model_copy(update={"calibrate": calibrated}),
            config.cluster,
            attributes=[str(a) for a in range(len(shares))],
            n_classes=shares.shape[1],
            seed=config.seed,
            squared=config.loss.squared,
            logits=valid.logits if weighed else None,
        )
        return lambda outputs: index.scores(outputs.points(space), outputs.logits)

    return fit


def support_vectors(train: Outputs, valid: Outputs, shares: NDArray[np.float32], config: Config) -> Scorer:
    """A linear support vector machine of each attribute over trunk features, one class against the rest for C > 2.

    Features are scaled back to a mean square of 1 a dimension. The penalty is the one best on validation, the same for
    all attributes. Classes are not weighted, as in the model that it stands for. Of more than `SVM_IMAGES` training
    images so many are taken.

    Source: Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015: features of ANet, an SVM each.

    Corner cases: an attribute of which training has one class only is always of that class.
    """
    best, chosen = -np.inf, None
    for penalty in PENALTIES:
        scorer = _machines(train, shares, penalty, config.seed)
        accuracy = mean_balanced_accuracy(valid.labels, scorer(valid))
        if chosen is None or accuracy > best:
            best, chosen = accuracy, scorer
    assert chosen is not None
    return chosen


def _machines(train: Outputs, shares: NDArray[np.float32], penalty: float, seed: int) -> Scorer:
    from sklearn.svm import LinearSVC

    chosen = np.linspace(0, len(train.labels) - 1, min(SVM_IMAGES, len(train.labels))).round().astype(np.int64)
    features, truth = train.features[chosen], train.labels[chosen]
    scale = np.float32(np.sqrt(features.shape[1]))
    weights = np.zeros((*shares.shape, features.shape[1]), np.float32)
    biases = np.zeros(shares.shape, np.float32)

    def fit(a: int) -> None:
        present = np.unique(truth[:, a])
        if len(present) < 2:
            return
        machine = LinearSVC(C=penalty, dual="auto", max_iter=SVM_ITERATIONS, random_state=seed)
        machine.fit(features * scale, truth[:, a])
        rows = present if len(present) > 2 else present[1:]  # of two classes, scikit-learn gives the second one's plane
        weights[a, rows], biases[a, rows] = machine.coef_ * scale, machine.intercept_

    for _ in in_threads(fit, range(truth.shape[1]), torch.device("cpu")):
        pass

    def over(outputs: Outputs) -> NDArray[np.float32]:
        flat = outputs.features @ weights.reshape(-1, weights.shape[2]).T
        return without_absent(flat.reshape(-1, *shares.shape) + biases, shares)

    return over


def _neighbour_labels(train: Outputs, queries: Outputs, k: int) -> NDArray[np.int8]:
    """Labels int8 (n, A, k) of the nearest training images, the nearest first."""
    groups = []
    for a in range(train.labels.shape[1]):
        base, wanted = (np.ascontiguousarray(each.embeddings[:, a]) for each in (train, queries))
        groups.append(train.labels[_nearest(base, wanted, k, train.device), a])
    return np.stack(groups, 1)


def _nearest(base: NDArray[np.float32], wanted: NDArray[np.float32], k: int, device: torch.device) -> NDArray[np.int64]:
    """Rows (n, k) of `base` (m, d) with the largest inner products, for each of `wanted` (n, d)."""
    if device.type == "cpu":
        import faiss

        return np.asarray(faiss.knn(wanted, base, k, metric=faiss.METRIC_INNER_PRODUCT)[1])
    columns = torch.from_numpy(base).to(device).T
    blocks = (torch.from_numpy(wanted[low : low + QUERIES]).to(device) for low in range(0, len(wanted), QUERIES))
    return torch.cat([(block @ columns).topk(k).indices.cpu() for block in blocks]).numpy()
