"""Batches: which training images each iteration sees. Every draw depends on (seed, round, iteration) alone."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np


class Sampler(Protocol):
    """Gives the positions (within the training rows) of one iteration's images, shape (batch,), int64, distinct."""

    def __call__(self, iteration: int) -> np.ndarray:
        """The batch of an iteration."""
        ...


@dataclass(frozen=True)
class Uniform:
    """Each epoch is a permutation of all images.

    Corner cases: an epoch's remainder, smaller than a batch, is left out; where there are fewer images than a batch
    asks for, the batch is all of them.
    """

    images: int
    batch: int
    seed: tuple[int, ...]

    def __call__(self, iteration: int) -> np.ndarray:
        """The batch of an iteration."""
        size = min(self.batch, self.images)
        epoch, number = divmod(iteration, self.images // size)
        order = _permutation(self.images, (*self.seed, epoch))
        return order[number * size : (number + 1) * size]


@dataclass(frozen=True)
class ClassEqual:
    """Every class of one attribute gets the same number of images.

    Raises:
        ValueError: for a batch of fewer images than there are classes, in which the last would never be.

    Corner cases: with fewer members than its share a class gives them all; classes without members are left out; the
    remainder of batch / classes goes to the first classes.
    """

    labels: np.ndarray
    batch: int
    seed: tuple[int, ...]
    members: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        """List the members of each class."""
        members = [np.flatnonzero(self.labels == c) for c in np.unique(self.labels)]
        if self.batch < len(members):
            raise ValueError(f"training.batch {self.batch} is too small for the {len(members)} classes: enlarge it")
        object.__setattr__(self, "members", members)

    def __call__(self, iteration: int) -> np.ndarray:
        """The batch of an iteration."""
        generator = np.random.default_rng((*self.seed, iteration))
        shares = [len(part) for part in np.array_split(np.arange(self.batch), len(self.members))]
        drawn = [
            generator.choice(members, min(share, len(members)), replace=False)
            for members, share in zip(self.members, shares, strict=True)
        ]
        return generator.permutation(np.concatenate(drawn))


@dataclass(frozen=True)
class Minority:
    """Uniform batches in which the rarest class of each attribute has at least `least` members.

    1. attributes are visited from the rarest minority to the most frequent;
    2. each draws, from its minority, as many images as the batch still lacks;
    3. the rest of the batch is uniform over the images not drawn yet.

    Corner cases: a minority with fewer members than `least` gives them all. Too small a batch for the first iteration's
    minima is refused at once; a batch that is too small for those of a later one holds a random part of them.
    """

    labels: np.ndarray
    batch: int
    least: int
    seed: tuple[int, ...]
    minorities: list[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        """List each attribute's minority, rarest first. Raises ValueError if the minima do not fit into a batch."""
        minorities = []
        for column in self.labels.T:
            values, counts = np.unique(column, return_counts=True)
            minorities.append(np.flatnonzero(column == values[counts.argmin()]))
        object.__setattr__(self, "minorities", sorted(minorities, key=len))
        needed = int(self._minima(np.random.default_rng((*self.seed, 0))).sum())
        if needed > self.batch:
            raise ValueError(
                f"training.batch {self.batch} is too small: {self.least} members of each of {len(self.minorities)} "
                f"minorities need {needed} images; enlarge training.batch or lower training.minority"
            )

    def __call__(self, iteration: int) -> np.ndarray:
        """The batch of an iteration."""
        generator = np.random.default_rng((*self.seed, iteration))
        chosen = self._minima(generator)
        drawn = np.flatnonzero(chosen)
        if len(drawn) > self.batch:
            return generator.choice(drawn, self.batch, replace=False)
        others = np.flatnonzero(~chosen)
        rest = generator.choice(others, min(self.batch - len(drawn), len(others)), replace=False)
        return generator.permutation(np.concatenate([drawn, rest]))

    def _minima(self, generator: np.random.Generator) -> np.ndarray:
        """Which images are drawn from the minorities, bool (n,)."""
        chosen = np.zeros(len(self.labels), dtype=bool)
        for members in self.minorities:
            lacking = min(self.least, len(members)) - int(chosen[members].sum())
            if lacking > 0:
                chosen[generator.choice(members[~chosen[members]], lacking, replace=False)] = True
        return chosen


@dataclass(frozen=True)
class Resampled:
    """Batches that balance the classes of several attributes: rare classes are drawn as often as frequent ones.

    1. each slot of the batch draws an attribute, then one of its classes, each uniformly;
    2. in turn, each slot draws one of that class's members uniformly, of those that the batch does not hold yet.

    An image stays in the batch under all its labels, so frequent classes are still more frequent than rare ones.

    Corner cases: a slot whose class has no member left draws from all images that the batch does not hold; with fewer
    images than a batch asks for, the batch is all of them. Classes without members are not drawn.
    """

    labels: np.ndarray
    batch: int
    seed: tuple[int, ...]
    members: list[list[np.ndarray]] = field(init=False)

    def __post_init__(self) -> None:
        """List the members of each class of each attribute."""
        members = [[np.flatnonzero(column == c) for c in np.unique(column)] for column in self.labels.T]
        object.__setattr__(self, "members", members)

    def __call__(self, iteration: int) -> np.ndarray:
        """The batch of an iteration."""
        generator = np.random.default_rng((*self.seed, iteration))
        chosen = np.zeros(len(self.labels), dtype=bool)
        drawn = []
        for attribute in generator.integers(len(self.members), size=min(self.batch, len(self.labels))):
            classes = self.members[attribute]
            position = _not_chosen(classes[generator.integers(len(classes))], chosen, generator)
            chosen[position] = True
            drawn.append(position)
        return np.array(drawn, dtype=np.int64)


def make_sampler(kind: str, labels: np.ndarray, batch: int, least: int, seed: tuple[int, ...]) -> Sampler:
    """The sampler of a configuration ('auto' resolved: class-equal for one attribute, uniform for several).

    Args:
        kind: 'auto', 'uniform', 'class-equal' or 'minority'.
        labels: shape (N, A).
        batch: images in a batch.
        least: for 'minority'.
        seed: what the draws are made from, besides the iteration.

    Raises:
        ValueError: for class-equal batches of several attributes, which cannot be had.
    """
    single = labels.shape[1] == 1
    if kind == "class-equal" and not single:
        raise ValueError(
            f"training.sampler 'class-equal' serves one attribute, and there are {labels.shape[1]}: use 'uniform' with "
            "class costs, or 'minority'"
        )
    if kind == "class-equal" or (kind == "auto" and single):
        return ClassEqual(labels[:, 0], batch, seed)
    if kind == "minority":
        return Minority(labels, batch, least, seed)
    return Uniform(len(labels), batch, seed)


def _not_chosen(members: np.ndarray, chosen: np.ndarray, generator: np.random.Generator) -> int:
    """One of the members that are not chosen, uniformly; of all images, where every member is."""
    for _ in range(8):  # nearly always the first try: listing the rest of a large class takes far longer
        position = members[generator.integers(len(members))]
        if not chosen[position]:
            return int(position)
    rest = members[~chosen[members]]
    return int(generator.choice(rest if len(rest) else np.flatnonzero(~chosen)))


@lru_cache(maxsize=2)
def _permutation(number: int, seed: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).permutation(number)
