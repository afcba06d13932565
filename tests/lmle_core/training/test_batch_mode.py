"""The losses of 'batch' and 'table' mode, with costs, cross-entropy and its margin, against loops in float64."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from lmle_core.config import Config, parse_config
from lmle_core.network import Network, Output, build_network
from lmle_core.prior import augmented, network_spec
from lmle_core.sampling import Uniform
from lmle_core.store import ImageStore
from lmle_core.training.batch_mode import BatchObjective
from lmle_core.training.context import Round
from lmle_core.training.table_mode import TableObjective, mine_quintuplets
from tests.lmle_core.test_batch_quintuplets import quintuplet_loop
from tests.lmle_core.test_losses import hinge_loop, one_quintuplet
from tests.lmle_core.training.test_centroid_mode import CLASSES, CPU, entropy_loop, round_of

MARGINS = (0.1, 0.2, 0.5)
COSTS = torch.tensor([[0.5, 1.5], [1.2, 0.8], [0.3, 1.7]])


def config_of(**quintuplets: object) -> Config:
    return parse_config(
        {
            "trunk": {"width": 4},
            "loss": {"embedding_weight": 0.6, "bce_weight": 0.5, "bce_margin": 0.8},
            "quintuplets": quintuplets,
            "training": {"batch": 24, "dimensions": 8},
        }
    )


def hinge_round(store: ImageStore, config: Config) -> Round:
    margins = torch.tensor(MARGINS)[:, None, None].expand(3, 3, 2)
    return replace(round_of(store, config), costs=COSTS, margins=margins)


def network_of(store: ImageStore, config: Config) -> tuple[Network, Network]:
    network = build_network(network_spec(store, config), 2).train()
    return network, deepcopy(network)


def test_the_loss_over_batch_members_is_its_equation(faces_store: ImageStore) -> None:
    config = config_of(positives=None, impostors=None)
    round_ = hinge_round(faces_store, config)
    network, twin = network_of(faces_store, config)
    objective = BatchObjective(round_, Uniform(len(round_.images), config.training.batch, round_.seed))
    value, figures = objective(network, 0)

    positions = objective.sampler(0)
    output: Output = twin(augmented(round_.images, positions, config, (*round_.seed, 0)))
    clusters, labels = round_.assignment[positions], round_.labels[positions]
    quintuplets = quintuplet_loop(output.embeddings.detach().double(), clusters, CLASSES)
    hinge = 0.0
    for index, found in enumerate(quintuplets):  # by attribute, then image
        a, image = divmod(index, len(positions))
        (parts,) = hinge_loop(one_quintuplet(*found), list(MARGINS))
        hinge += COSTS[a, labels[image, a]].item() * sum(parts) / len(quintuplets)
    entropy = entropy_loop(output.logits, labels, 0.8)
    assert value.item() == pytest.approx(0.6 * hinge + 0.5 * entropy, rel=1e-4)
    assert figures["loss_bce"].item() == pytest.approx(entropy, rel=1e-4)


def test_the_loss_of_mined_quintuplets_is_its_equation(faces_store: ImageStore) -> None:
    config = config_of(mode="table", subset=1.0)
    round_ = hinge_round(faces_store, config)
    network, twin = network_of(faces_store, config)
    subset = np.arange(len(round_.images))
    features = np.random.default_rng(1).normal(size=(len(subset), 1, 6)).astype(np.float32)
    features /= np.linalg.norm(features, axis=-1, keepdims=True)
    labels, assignment = round_.labels.numpy(), round_.assignment.numpy()
    table = mine_quintuplets(features, labels, assignment, subset, config, (1,), CPU)
    objective = TableObjective(round_, table, subset)
    value, figures = objective(network, 0)

    picks = objective._draw(0)
    members = table.members(picks)
    images = np.unique(members[members >= 0])
    output: Output = twin(augmented(round_.images, images, config, (*round_.seed, 0)))
    vectors = dict(zip(images.tolist(), output.embeddings.detach().double(), strict=True))
    hinge = 0.0
    for a, row in zip(table.attribute[picks], members.tolist(), strict=True):
        found = [None if i < 0 else (vectors[row[0]][a] - vectors[i][a]).norm().item() for i in row[1:]]
        (parts,) = hinge_loop(one_quintuplet(*found), list(MARGINS))
        hinge += sum(parts) / len(picks)
    entropy = entropy_loop(output.logits, round_.labels[torch.from_numpy(images)], 0.8)
    assert value.item() == pytest.approx(0.6 * hinge + 0.5 * entropy, rel=1e-4)
    assert figures["loss_bce"].item() == pytest.approx(entropy, rel=1e-4)
