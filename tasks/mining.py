"""Mining over Dask: a worker reads an attribute's rows by path, mines a share of its anchors, writes what it found."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, reduce
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from distributed import Client

from lmle_core.clusters import Clusters
from lmle_core.cores import cores
from lmle_core.device import choose_device
from lmle_core.features import Features
from lmle_core.quintuplets import Quintuplets
from lmle_core.quintuplets.best import Best, Share
from lmle_core.quintuplets.mining import mine_attribute
from lmle_core.quintuplets.ordered import Ordered, in_order, named
from lmle_core.quintuplets.pools import Pools
from lmle_core.store import TRAIN, ImageStore
from tasks.spread import spread
from tasks.workers import Workers

SHARES = 4
"""For each worker, at least: the last ones to end leave little idle."""
DISTANCE, DRAW = 7e-9, 9e-7
"""Seconds of a core, for a distance of exact mining and for a candidate of a pool (see docs/scaling.md)."""
GPU = 200
"""Cores that a GPU is taken to be worth."""
STORAGE = 1e9
"""Bytes a second that all workers together are taken to read, at least."""
BEGIN = 5.0
"""Seconds that workers take to begin."""


@dataclass(frozen=True)
class Mining:
    """A subset to mine, by paths that every worker can read.

    Attributes:
        store: the image store, for the labels.
        features: an artefact of features.
        clusters: those of the round.
        subset: an .npy file, positions among the training images.
        pools: candidates of each search.
        seed: the pools are drawn from.
    """

    store: str
    features: str
    clusters: str
    subset: str
    pools: Pools
    seed: tuple[int, ...]

    def read(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of the subset: positions and rows in the store, int64 (M,), labels int8 and clusters int32 (M, A)."""
        subset, store = np.load(self.subset), ImageStore.open(self.store)
        rows = store.rows(TRAIN)[subset]
        return subset, rows, store.labels[rows], Clusters.load(Path(self.clusters)).assignment[subset]


def seconds_saved(
    images: int, attributes: int, embedding: int, pools: Pools, here: float, there: float = np.inf
) -> float:
    """How much sooner mining is done over workers than in this process; they read all chunks for each attribute.

    Args:
        images: of the subset.
        attributes: A.
        embedding: bytes of an image's features, of all attributes.
        pools: candidates of each search.
        here: cores that this process computes on.
        there: cores that the workers do.
    """
    every = images**2 / 2 if pools.positives is None or pools.impostors is None else 0
    cost = attributes * (every * DISTANCE + images * pools.draws * DRAW)
    return cost / here - cost / there - attributes * images * embedding / STORAGE - BEGIN


def pays(images: int, attributes: int, embedding: int, pools: Pools, device: torch.device, workers: Workers) -> bool:
    """Whether the workers of a cluster at an address are done sooner than this process on its device."""
    here = GPU if device.type == "cuda" else cores()
    size = (images, attributes, embedding, pools, here)
    if not workers.at_address() or seconds_saved(*size) <= 0:
        return False
    return seconds_saved(*size, workers.number() * (GPU if workers.kind() == "cuda" else 1)) > 0


def mine_over(
    client: Client,
    kind: str,
    mining: Mining,
    directory: Path,
    *,
    shares: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Quintuplets:
    """The quintuplets of a subset, mined on Dask workers: bit by bit those of `lmle_core.quintuplets.mine`.

    Args:
        client: of the cluster.
        kind: where the workers compute, 'cpu' or 'cuda'.
        mining: what to mine.
        directory: gets what the workers find, while they work; readable and writable by all of them.
        shares: of each attribute; None: enough to keep the workers busy. No result depends on it.
        progress: called with (shares done, shares).
    """
    subset, _, labels, assignment = mining.read()
    images, attributes = labels.shape
    if shares is None:
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        shares = -(-SHARES * workers // attributes)
    found = directory / "found"
    found.mkdir(exist_ok=True)
    each = [(attribute, Share(number, shares)) for attribute in range(attributes) for number in range(shares)]
    columns = zip(*each, strict=True)
    with spread(client, _mine, *columns, mining=mining, directory=str(found), kind=kind, retries=2) as mined:
        for done, _ in enumerate(mined, 1):
            if progress is not None:
                progress(done, len(each))
    members = np.empty((4, attributes * images), np.int64)
    for attribute in range(attributes):
        best = reduce(Best.merge, (_read(found, attribute, number) for number in range(shares)))
        positions = in_order(labels[:, attribute], assignment[:, attribute])
        members[:, attribute * images : (attribute + 1) * images] = named(best.place, subset[positions])
    shutil.rmtree(found)
    return Quintuplets(np.repeat(np.arange(attributes, dtype=np.int16), images), np.tile(subset, attributes), *members)


def _mine(attribute: int, share: Share, mining: Mining, directory: str, kind: str) -> None:
    """Mine a share of an attribute's anchors, and put what was found in place as a whole: two may be at it."""
    torch.set_num_threads(1)
    ordered = _ordered(mining, attribute, kind)
    generator = np.random.default_rng(mining.seed)
    mining.pools.skip(generator, attribute * len(ordered.positions))
    best = mine_attribute(ordered, mining.pools, generator, share=share)
    path = Path(directory) / _name(attribute, share.number)
    partial = path.with_suffix(f".{uuid4().hex}.npz")
    np.savez(partial, value=best.value.cpu().numpy(), place=best.place.cpu().numpy())
    partial.replace(path)


@lru_cache(maxsize=1)
def _ordered(mining: Mining, attribute: int, kind: str) -> Ordered:
    """An attribute's rows; those of the last one are kept for its other shares."""
    _, rows, labels, assignment = _read_once(mining)
    return Ordered.of(
        Features.open(Path(mining.features)).of_attribute(rows, attribute),
        labels[:, attribute],
        assignment[:, attribute],
        choose_device(kind),
    )


@lru_cache(maxsize=1)
def _read_once(mining: Mining) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    return mining.read()


def _name(attribute: int, number: int) -> str:
    return f"{attribute:05}-{number:05}.npz"


def _read(found: Path, attribute: int, number: int) -> Best:
    with np.load(found / _name(attribute, number)) as arrays:
        return Best(torch.from_numpy(arrays["value"]), torch.from_numpy(arrays["place"]))
