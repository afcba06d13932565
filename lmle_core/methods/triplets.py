"""Triplets over every attribute's embedding, mined semi-hard or batch-hard, after a warm start on cross-entropy."""

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from lmle_core.device import seeded_generator
from lmle_core.methods.cross_entropy import plain
from lmle_core.methods.method import Lesson
from lmle_core.network import Network
from lmle_core.optimise import Objective
from lmle_core.sampling import Sampler, make_sampler

Mining = Literal["semi-hard", "batch-hard"]
MEMBERS = 48
"""Images of a batch that semi-hard mining looks at, of several attributes. It lists every triplet: 40 attributes of 128
images each take a core 1.2 s an iteration, of 64 images 0.2 s; batch-hard takes 0.08 s over all 128."""


@dataclass(frozen=True, eq=False)
class Triplets:
    """The triplet margin loss of each attribute, meaned over the attributes.

    The first iterations train trunk and classifier on cross-entropy: as many as LMLE is pre-trained for unless `warm`
    says otherwise, half of all where it is not. From a fresh network triplets collapse: on digits with 90 % of half the
    classes removed, one seed came to 21 % semi-hard and 26 % batch-hard at an eighth of the learning rate, and to 71 %
    each after a warm start.
    From then on:

    1. each attribute takes a random part of the batch that balances its classes (see `balanced_part`);
    2. its triplets there are mined: semi-hard, every triplet whose impostor is farther than the positive by less than
       the margin; batch-hard, each anchor's farthest positive and nearest impostor;
    3. max(0, D(a, p) − D(a, n) + margin), the mean over the triplets above zero.

    Attributes:
        lesson: what is taught; `training.sampler` says how batches are drawn.
        mining: 'semi-hard' or 'batch-hard'.
        margin: in units of the Euclidean distance on the unit sphere.
        members: images of each attribute's part; None: the whole batch.
        warm: share of the iterations that are on cross-entropy; None: LMLE's.

    Raises:
        ModuleNotFoundError: without pytorch-metric-learning.

    Source: Schroff et al., FaceNet, CVPR 2015, section 3.2; Hermans et al., In Defense of the Triplet Loss for Person
    Re-Identification, 2017, eq. 5.

    Corner cases: an attribute of which the batch holds one class only, or no class twice, costs 0.
    """

    lesson: Lesson
    mining: Mining
    margin: float = 0.2
    members: int | None = None
    warm: float | None = None
    _sampler: Sampler = field(init=False, repr=False)
    _miner: Any = field(init=False, repr=False)
    _loss: Any = field(init=False, repr=False)
    _warming: Objective = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # These two submodules alone: its modules of inference patch faiss, whose searches then refuse parameters.
        from pytorch_metric_learning.losses import TripletMarginLoss
        from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner

        training = self.lesson.config.training
        labels = self.lesson.labels.cpu().numpy()
        sampler = make_sampler(training.sampler, labels, training.batch, training.minority, self.lesson.seed)
        semi_hard = self.mining == "semi-hard"
        miner = TripletMarginMiner(self.margin, type_of_triplets="semihard") if semi_hard else BatchHardMiner()
        object.__setattr__(self, "_sampler", sampler)
        object.__setattr__(self, "_miner", miner)
        object.__setattr__(self, "_loss", TripletMarginLoss(self.margin))
        object.__setattr__(self, "_warming", plain(self.lesson))

    @property
    def _warm(self) -> int:
        if self.warm is not None:
            return round(self.warm * self.lesson.iterations)
        return self.lesson.pretraining or self.lesson.iterations // 2

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of an iteration."""
        if iteration < self._warm:
            return self._warming(network, iteration)
        output, labels = self.lesson.forward(network, self._sampler(iteration), iteration)
        generator = seeded_generator((*self.lesson.seed, iteration, 1), labels.device)
        losses = []
        for embeddings, own in zip(output.embeddings.unbind(1), labels.unbind(1), strict=True):
            part = balanced_part(own, self.lesson.classes, self.members, generator)
            picked, classes = embeddings[part], own[part]
            losses.append(self._loss(picked, classes, self._miner(picked, classes)))
        loss = torch.stack(losses).mean()
        return loss, {"loss_triplet": loss.detach()}


def semi_hard(lesson: Lesson, *, margin: float = 0.2, warm: float | None = None) -> Triplets:
    """Triplets mined semi-hard: of one attribute over the whole batch, of several over a part of it."""
    return Triplets(lesson, "semi-hard", margin, MEMBERS if lesson.labels.shape[1] > 1 else None, warm)


def batch_hard(lesson: Lesson, *, margin: float = 0.2) -> Triplets:
    """Triplets mined batch-hard, over the whole batch."""
    return Triplets(lesson, "batch-hard", margin)


def balanced_part(labels: Tensor, classes: int, members: int | None, generator: torch.Generator) -> Tensor:
    """Random positions in a batch, shape (at most members,), the classes as equal as their members allow.

    1. the batch is put into a random order;
    2. the first image of each class there comes first, then the second of each, and so on: `members` are taken.

    Args:
        labels: shape (B,), of one attribute.
        classes: C.
        members: how many; None: all, in their order.
        generator: draws the order, on the labels' device.
    """
    if members is None or members >= len(labels):
        return torch.arange(len(labels), device=labels.device)
    order = torch.randperm(len(labels), generator=generator, device=labels.device)
    turn = torch.nn.functional.one_hot(labels[order], classes).cumsum(0).gather(1, labels[order, None])[:, 0]
    return order[turn.argsort(stable=True)[:members]]
