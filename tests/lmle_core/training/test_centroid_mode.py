"""Training against centroids: where these are, when they move, and the loss, against loops in float64."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from lmle_core.config import Config, parse_config
from lmle_core.device import DeviceImages
from lmle_core.network import Network, build_network
from lmle_core.prior import augmented, network_spec
from lmle_core.sampling import Uniform
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training import centroid_mode
from lmle_core.training.centroid_mode import CentroidObjective
from lmle_core.training.context import Round
from tests.lmle_core.test_centroid_margin import centroid_loop

CPU = torch.device("cpu")
CLASSES = torch.tensor([[0, 0, 0, 1, 1], [0, 1, 1, -1, -1], [0, 0, 1, 1, 1]])
"""Of three attributes with three, one and two clusters of class 0."""


def centroid_config() -> Config:
    return parse_config(
        {
            "trunk": {"width": 4},
            "loss": {
                "kind": "centroid-margin",
                "angles": (0.3, 0.1),
                "cluster_weight": 0.7,
                "embedding_weight": 0.6,
                "bce_weight": 0.5,
            },
            "quintuplets": {"redraw": 4},
            "training": {"batch": 16, "dimensions": 8},
        }
    )


def round_of(faces_store: ImageStore, config: Config) -> Round:
    """Of three attributes, in clusters drawn at random within each class."""
    rows = faces_store.rows(TRAIN)
    labels = faces_store.labels[rows].astype(np.int64)
    draw = np.random.default_rng(3)
    assignment = np.stack(
        [[draw.choice(np.flatnonzero(CLASSES[a].numpy() == c)) for c in labels[:, a]] for a in range(3)], 1
    )
    shares = np.stack([1 - labels.mean(0), labels.mean(0)], 1)
    return Round(
        images=DeviceImages(faces_store, rows, CPU),
        labels=torch.from_numpy(labels),
        assignment=torch.from_numpy(assignment),
        cluster_class=CLASSES,
        shares=torch.from_numpy(shares).float(),
        costs=torch.ones(3, 2),
        margins=torch.zeros(3, 3, 2),
        config=config,
        seed=(0, 5, 1),
    )


@pytest.fixture
def round_(faces_store: ImageStore) -> Round:
    return round_of(faces_store, centroid_config())


@pytest.fixture
def network(faces_store: ImageStore) -> Network:
    return build_network(network_spec(faces_store, centroid_config()), 2).train()


def objective_of(round_: Round) -> CentroidObjective:
    return CentroidObjective(round_, Uniform(len(round_.images), round_.config.training.batch, round_.seed))


@torch.no_grad()
def means_loop(network: Network, round_: Round, sample: np.ndarray) -> np.ndarray:
    """The mean direction of each cluster's members in a sample; of a cluster without any, that of its class."""
    vectors = deepcopy(network).eval()(round_.images(sample)).embeddings.double().numpy()
    assignment, classes = round_.assignment.numpy()[sample], round_.cluster_class.numpy()
    means = np.zeros((*classes.shape, vectors.shape[2]))
    for a, row in enumerate(classes):
        for k, c in enumerate(row):
            members = [vectors[i, a] for i in range(len(sample)) if assignment[i, a] == k]
            if not members and c >= 0:
                members = [vectors[i, a] for i in range(len(sample)) if row[assignment[i, a]] == c]
            if members:
                total = np.sum(members, axis=0)
                means[a, k] = total / np.sqrt((total**2).sum())
    return means


def entropy_loop(logits: torch.Tensor, labels: torch.Tensor, margin: float) -> float:
    """Mean cross-entropy of logits (B, A, C) with a margin taken off that of the label, (B, A)."""
    total = 0.0
    for row, truth in zip(logits.detach().double(), labels.tolist(), strict=True):
        for a, label in enumerate(truth):
            own = row[a, label].item() - margin
            others = [value.item() for c, value in enumerate(row[a]) if c != label]
            total -= own - np.log(np.exp(own) + np.exp(others).sum())
    return total / labels.numel()


def centroids_of(objective: CentroidObjective) -> np.ndarray:
    assert objective._centroids is not None
    return objective._centroids.numpy()


def used(values: np.ndarray) -> np.ndarray:
    return values[CLASSES.numpy() >= 0]


def test_the_loss_is_its_equation_against_the_means_of_the_clusters(network: Network, round_: Round) -> None:
    objective, twin, loss = objective_of(round_), deepcopy(network), round_.config.loss
    centroids = means_loop(network, round_, np.arange(len(round_.images)))
    value, figures = objective(network, 0)
    np.testing.assert_allclose(used(centroids_of(objective)), used(centroids), atol=1e-5)

    positions = objective.sampler(0)
    output = twin(augmented(round_.images, positions, round_.config, (*round_.seed, 0)))
    parts, _ = centroid_loop(
        output.embeddings.detach().double(), round_.assignment[positions], torch.from_numpy(centroids), CLASSES,
        round_.shares.double(), 1 / loss.temperature, *loss.angles, loss.cluster_weight,
    )  # fmt: skip
    entropy = entropy_loop(output.logits, round_.labels[positions], loss.bce_margin)
    expected = loss.embedding_weight * parts.sum(0).mean() + loss.bce_weight * entropy
    assert value.item() == pytest.approx(expected, rel=1e-4)
    assert figures["loss_bce"].item() == pytest.approx(entropy, rel=1e-4)


def test_centroids_move_with_the_network_when_they_are_drawn_anew_and_only_then(
    network: Network, round_: Round
) -> None:
    objective = objective_of(round_)
    known = []
    for iteration in range(9):
        with torch.no_grad():
            network.heads.weight.mul_(0.8).add_(0.05 * iteration)
        if iteration % 4 == 0:
            expected = used(means_loop(network, round_, np.arange(len(round_.images))))
        objective(network, iteration)
        np.testing.assert_allclose(used(centroids_of(objective)), expected, atol=1e-5)
        known.append(centroids_of(objective).tobytes())
    assert [known.index(each) for each in known] == [0, 0, 0, 0, 4, 4, 4, 4, 8]


def test_moving_them_changes_nothing_of_the_network(network: Network, round_: Round) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    objective_of(round_)._move(network, 0)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_cluster_or_class_that_the_sample_misses(
    network: Network, round_: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centroid_mode, "SAMPLE", 4)
    misses, absent = 0, 0
    for iteration in range(0, 40, 4):
        objective = objective_of(round_)
        objective._move(network, iteration)
        sample = np.sort(np.random.default_rng((*round_.seed, iteration, 2)).choice(len(round_.images), 4, False))
        expected = used(means_loop(network, round_, sample))
        np.testing.assert_allclose(used(centroids_of(objective)), expected, atol=1e-5)
        misses += sum(len(set(CLASSES[a][round_.assignment[sample, a]].tolist())) == 2 for a in range(3))
        absent += int((np.linalg.norm(expected, axis=1) == 0).sum())
        value, _ = objective(network, iteration)
        assert torch.isfinite(value)
    assert misses and absent
