"""Exact quintuplet mining: all four searches of every row under every attribute."""

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np
import torch

from benchmarks.faiss_peer import at_its_best
from benchmarks.measure import Bench, Side
from benchmarks.sample import Sample
from lmle_core.quintuplets import Quintuplets, mine

MANY = 12_000
"""Rows above which the peers take one attribute instead of two."""
ANCHORS = 4096
"""Most anchors of NumPy's; its rate does not depend on them."""
BLOCK = {"cpu": 256, "cuda": 8192}
NOBODY = -1


def prepare(sample: Sample, images: int) -> Bench:
    """Against the products of all rows with all rows, faiss's exact searches, and NumPy's masks."""
    found, assignment = sample.embeddings(images), sample.clusters(images).assignment
    features, labels = np.array(found.array()), found.labels
    attributes = labels.shape[1]
    resident = torch.from_numpy(features).to(sample.device)
    rows, few = np.arange(images), 1 if images > MANY else 2
    anchors = min(images, ANCHORS)

    def ours() -> Quintuplets:
        generator = np.random.default_rng(0)  # exact mining draws nothing
        return mine(resident, labels, assignment, rows, None, None, generator, device=sample.device)

    def products() -> None:
        block = BLOCK[sample.device.type]
        for attribute in range(attributes):
            column = resident[:, attribute].contiguous()
            for lo in range(0, images, block):
                part = column[lo : lo + block]
                torch.mm(part, column.T, out=memory[: len(part)])

    memory = torch.empty(BLOCK[sample.device.type], images, device=sample.device)

    def with_faiss() -> np.ndarray:
        at_its_best(sample.threads)
        return np.stack([_faiss(features[:, a], labels[:, a], assignment[:, a]) for a in range(few)])

    def with_numpy() -> np.ndarray:
        return np.stack([_numpy(features[:, a], labels[:, a], assignment[:, a], anchors) for a in range(few)])

    def compare(outcomes: Mapping[str, Any]) -> dict[str, float]:
        mined = outcomes["ours"].members(np.arange(images * few)).reshape(few, images, 5)[..., 1:]
        shares = {}
        for name in ("faiss", "NumPy"):
            theirs = outcomes[name]
            mine_ = mined[:, : theirs.shape[1]]
            shares[f"same members as {name}"] = float((mine_ == theirs).mean())
            for attribute, column, member in np.argwhere(mine_ != theirs):  # rounding decides between equals
                row, other = mine_[attribute, column, member], theirs[attribute, column, member]
                vectors = features[[column, row, other], attribute].astype(np.float64)
                assert min(row, other) >= 0
                distances = ((vectors[0] - vectors[1:]) ** 2).sum(1)
                assert abs(distances[0] - distances[1]) < 1e-5, (name, attribute, column, member)
        return shares

    return Bench(
        "mining",
        "rows × attributes",
        Side(ours, images * attributes),
        limit=("the product of all rows with all rows", Side(products, images * attributes)),
        peers={"faiss": Side(with_faiss, images * few), "NumPy": Side(with_numpy, anchors * few)},
        compare=compare,
        note=f"The peers mine {few} attributes: faiss searches each cluster's and class's rows for k = 1 on the CPU; "
        f"NumPy masks blocks of distances, for {anchors} anchors.",
    )


def _faiss(features: np.ndarray, labels: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """p+, p-, p--, n of each row, (M, 4): rows in the order of class and cluster, an index for each set."""
    order = np.lexsort((clusters, labels))
    rows, label, cluster = np.ascontiguousarray(features[order]), labels[order], clusters[order]
    members = np.full((len(rows), 4), NOBODY)

    def search(kind: type, asked: slice, sets: list[slice], sign: int) -> np.ndarray:
        candidates = np.concatenate([np.arange(one.start, one.stop) for one in sets])
        if len(candidates) == 0:
            return np.full(asked.stop - asked.start, NOBODY)
        index = kind(rows.shape[1])
        index.add(rows[candidates])
        return order[candidates[index.search(sign * rows[asked], 1)[1][:, 0]]]

    nearest, farthest = faiss.IndexFlatL2, faiss.IndexFlatIP  # unit length: the least product is the farthest
    for c in np.unique(label):
        low, high = np.searchsorted(label, [c, c + 1])
        asked = slice(low, high)
        members[order[asked], 3] = search(nearest, asked, [slice(0, low), slice(high, len(rows))], 1)
        for k in np.unique(cluster[asked]):
            lo, hi = low + np.searchsorted(cluster[asked], [k, k + 1])
            own, outside = slice(lo, hi), [slice(low, lo), slice(hi, high)]
            if hi - lo > 1:
                members[order[own], 0] = search(farthest, own, [own], -1)
            members[order[own], 1] = search(nearest, own, outside, 1)
            members[order[own], 2] = search(farthest, own, outside, -1)
    return members


def _numpy(features: np.ndarray, labels: np.ndarray, clusters: np.ndarray, anchors: int) -> np.ndarray:
    """The same of the first rows, with a mask for each set over blocks of distances."""
    rows = np.ascontiguousarray(features)
    half = (rows * rows).sum(1) / 2
    members = np.full((anchors, 4), NOBODY)
    for low in range(0, anchors, 1024):
        block = slice(low, min(low + 1024, anchors))
        scores = half - rows[block] @ rows.T
        own, same = clusters[block, None] == clusters, labels[block, None] == labels
        outside = same & ~own
        own[np.arange(len(scores)), np.arange(block.start, block.stop)] = False
        for column, mask, sign in ((0, own, -1), (1, outside, 1), (2, outside, -1), (3, ~same, 1)):
            chosen = np.where(mask, sign * scores, np.inf).argmin(1)
            members[block, column] = np.where(mask.any(1), chosen, NOBODY)
    return members
