"""Outputs of a made-up network, and lessons, for the tests of the methods."""

import numpy as np
import torch

from lmle_core.config import Config
from lmle_core.device import DeviceImages
from lmle_core.methods.decisions import Outputs
from lmle_core.methods.method import Lesson
from lmle_core.odds import class_shares
from lmle_core.store import TRAIN, ImageStore


def unit(values: np.ndarray) -> np.ndarray:
    return (values / np.linalg.norm(values, axis=-1, keepdims=True)).astype(np.float32)


def outputs(seed: int, n: int, classes: int, attributes: int = 3, rarest: float = 0.1) -> Outputs:
    """Classes from frequent to rare; noisy logits that favour the frequent, points around the means of the classes."""
    world, draw = np.random.default_rng(7), np.random.default_rng(seed)
    shares = np.geomspace(1, rarest, classes)
    labels = draw.choice(classes, size=(n, attributes), p=shares / shares.sum()).astype(np.int8)
    means = world.normal(size=(attributes, classes, 6))
    mixing = world.normal(size=(attributes * classes, 10))
    hot = np.eye(classes)[labels]  # (n, A, C)
    logits = 1.5 * hot + draw.normal(size=hot.shape) + 0.7 * np.log(shares)
    embeddings = means[np.arange(attributes), labels] + 1.2 * draw.normal(size=(n, attributes, 6))
    features = hot.reshape(n, -1) @ mixing + draw.normal(size=(n, 10))
    return Outputs(logits.astype(np.float32), unit(embeddings), unit(features), labels)


def shares_of(found: Outputs) -> np.ndarray:
    return class_shares(found.labels, found.logits.shape[2]).astype(np.float32)


def lesson_of(store: ImageStore, config: Config, seed: int = 0, iterations: int = 10, pretraining: int = 0) -> Lesson:
    rows, cpu = store.rows(TRAIN), torch.device("cpu")
    labels = store.labels[rows]
    return Lesson(
        DeviceImages(store, rows, cpu),
        torch.from_numpy(labels.astype(np.int64)),
        2,
        torch.from_numpy(class_shares(labels, 2).astype(np.float32)),
        config,
        (seed, 5),
        iterations,
        pretraining,
    )
