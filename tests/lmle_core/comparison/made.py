"""Experiments of made-up classifiers that are right as often as one says."""

from collections.abc import Mapping, Sequence

import numpy as np

from lmle_core.comparison import Experiment, Key, Truth, rank
from lmle_core.metrics import score

NAMES = ("Bald", "Male", "Oval_Face", "Smiling", "Eyeglasses", "Mustache")


def names(count: int) -> list[str]:
    return [*NAMES, *(f"attribute {a}" for a in range(len(NAMES), count))][:count]


def truth(seed: int, n: int = 200, attributes: int = 6, classes: int = 2, clean: bool = True) -> Truth:
    """Labels of which column a is the rarer the higher a; a tenth of the annotated ones is drawn anew."""
    rng = np.random.default_rng([1, seed])
    shares = np.linspace(1 / classes, 0.08, attributes)
    true = np.where(rng.random((n, attributes)) < shares, 1, classes - 2 and rng.integers(2, classes, (n, attributes)))
    true[:classes] = np.arange(classes)[:, None]  # every class occurs
    labels = np.where(rng.random(true.shape) < 0.1, rng.integers(classes, size=true.shape), true)
    labels[:classes] = true[:classes]
    return Truth(labels.astype(np.int8), true.astype(np.int8) if clean else None, np.arange(n, dtype=np.int32) // 4)


def experiment(key: Key, seed: int, right: float | np.ndarray, labels: Truth, classes: int = 2) -> Experiment:
    """A classifier that recognises a share `right` of the images of each class (of each attribute)."""
    rng = np.random.default_rng([2, seed, *map(ord, "".join(key))])
    true = labels.labels if labels.clean_labels is None else labels.clean_labels
    wrong = (true + rng.integers(1, classes, true.shape)) % classes
    decided = np.where(rng.random(true.shape) < right, true, wrong)
    scores = rng.random((*true.shape, classes)) + 0.7 * (decided[..., None] == np.arange(classes))
    predictions = scores.argmax(-1).astype(np.int8)
    columns = names(true.shape[1])
    clean = labels.clean_labels
    return Experiment(
        method=key[0],
        rule=key[1],
        seed=seed,
        settings={"rate": 0.001},
        test=score(labels.labels, predictions, columns, classes, bootstrap=0),
        test_clean=None if clean is None else score(clean, predictions, columns, classes, bootstrap=0),
        ranking=rank(labels.labels, scores),
        ranking_clean=None if clean is None else rank(clean, scores),
        validation=0.5 + seed / 100,
        spread=None if key[0] == "ce" else 0.9,
        seconds=10.0 + seed,
        images_seen=1000,
        predictions=predictions,
    )


def study(
    right: Mapping[Key, float | np.ndarray],
    seeds: Sequence[int] = (0, 1, 2),
    n: int = 200,
    attributes: int = 6,
    classes: int = 2,
    clean: bool = True,
) -> tuple[list[Experiment], dict[int, Truth]]:
    """An experiment of each method and seed, with the truths of the seeds."""
    truths = {seed: truth(seed, n, attributes, classes, clean) for seed in seeds}
    return [
        experiment(key, seed, value, truths[seed], classes) for seed in seeds for key, value in right.items()
    ], truths
