"""The training step in 'batch' mode: read, augment, forward, loss of 40 attributes, backward, update."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import Bench, Side
from benchmarks.sample import Sample
from lmle_core.device import DeviceImages
from lmle_core.margins import margin_table
from lmle_core.network import Network
from lmle_core.optimise import make_optimiser
from lmle_core.prior import augmented
from lmle_core.sampling import make_sampler
from lmle_core.store import TRAIN
from lmle_core.training import batch_objective
from lmle_core.training.context import Round

PEER_STEPS = 2


def prepare(sample: Sample, images: int) -> Bench:
    """One epoch, against forward and backward on random tensors, and against pytorch-metric-learning's triplets."""
    device, batch = sample.device, sample.config.training.batch
    store = sample.store(sample.scale.faces)
    config = sample.config
    rows = np.resize(store.rows(TRAIN), images)
    clusters = sample.clusters(images)
    labels = torch.from_numpy(store.labels[rows].astype(np.int64)).to(device)
    attributes, classes = labels.shape[1], 2
    round_ = Round(
        images=DeviceImages(store, rows, device),
        labels=labels,
        assignment=torch.from_numpy(clusters.assignment.astype(np.int64)).to(device),
        cluster_class=torch.from_numpy(clusters.centroid_class.astype(np.int64)).to(device),
        shares=torch.full((attributes, classes), 0.5, device=device),
        costs=torch.ones(attributes, classes, device=device),
        margins=torch.from_numpy(margin_table(store.labels[rows], clusters, classes, config.loss)).to(device),
        config=config,
        seed=(config.seed, 5, 1),
    )
    sampler = make_sampler("auto", store.labels[rows], batch, config.training.minority, round_.seed)
    objective = batch_objective(round_, sampler)
    network, optimiser = _trainee(sample)
    steps = max(1, images // batch)

    def ours() -> None:
        for iteration in range(steps):
            loss, _ = objective(network, iteration)
            _step(loss, optimiser)

    random = torch.randint(256, (batch, *store.shape), dtype=torch.uint8, device=device)
    bare, _ = _trainee(sample)

    def forward_and_backward() -> None:
        for _ in range(steps):
            output = bare(random)
            bare.zero_grad(set_to_none=True)
            (output.embeddings.sum() + output.logits.sum()).backward()

    return Bench(
        "training",
        "images",
        Side(ours, steps * batch),
        limit=("forward and backward on random tensors", Side(forward_and_backward, steps * batch)),
        peers={"pytorch-metric-learning": _metric_learning(sample, round_)},
        note="The peer draws batches with MPerClassSampler on the rarest attribute, mines semi-hard triplets and takes "
        "the triplet margin loss for each head, with BCE beside it. Reading and augmentation are ours in both.",
    )


def _metric_learning(sample: Sample, round_: Round) -> Side:
    """Made at the first call: the cost against the size needs no peer."""

    @cache
    def made() -> tuple[Network, torch.optim.Optimizer, Callable[[Tensor, Tensor], Tensor], list[np.ndarray]]:
        from pytorch_metric_learning.losses import TripletMarginLoss
        from pytorch_metric_learning.miners import TripletMarginMiner
        from pytorch_metric_learning.samplers import MPerClassSampler

        miner, loss = TripletMarginMiner(margin=0.2, type_of_triplets="semihard"), TripletMarginLoss(margin=0.2)
        rarest = int(round_.labels.float().mean(0).argmin())
        drawn = np.array(
            list(
                MPerClassSampler(
                    round_.labels[:, rarest].cpu(), m=batch // 2, batch_size=batch,
                    length_before_new_iter=len(round_.labels),
                )
            )
        )  # fmt: skip
        batches = [drawn[low : low + batch] for low in range(0, len(drawn) - batch + 1, batch)]
        return *_trainee(sample), lambda vectors, labels: loss(vectors, labels, miner(vectors, labels)), batches

    batch = sample.config.training.batch
    entropy = nn.CrossEntropyLoss()

    def peer() -> None:
        network, optimiser, triplets, batches = made()
        for iteration in range(PEER_STEPS):
            picks = batches[iteration % len(batches)]
            output = network(augmented(round_.images, picks, sample.config, (1, iteration)))
            labels = round_.labels[torch.from_numpy(picks).to(sample.device)]
            heads = [triplets(output.embeddings[:, a], labels[:, a]) for a in range(labels.shape[1])]
            _step(torch.stack(heads).mean() + entropy(output.logits.flatten(0, 1), labels.flatten()), optimiser)

    return Side(peer, PEER_STEPS * batch)


def _trainee(sample: Sample) -> tuple[Network, torch.optim.Optimizer]:
    network = sample.network().train()
    optimiser = make_optimiser(network, sample.config.training.weight_decay)
    for group in optimiser.param_groups:
        group["lr"] = 1e-4
    return network, optimiser


def _step(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
