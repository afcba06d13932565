"""Round 0: prior features for the first clustering, and the network that training starts from."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lmle_core.config import Config
from lmle_core.device import DeviceImages, augment, entropy, on_device, seeded_generator
from lmle_core.distributed.ranks import gathered, share, writes
from lmle_core.losses import cross_entropy
from lmle_core.network import (
    SIX_LAYER,
    Network,
    NetworkSpec,
    Output,
    build_network,
    load_network,
    load_trunk_weights,
    save_network,
)
from lmle_core.odds import class_shares
from lmle_core.optimise import CHECKPOINT, LearningRates, Schedule, Trained, optimise
from lmle_core.pca import PrincipalComponents
from lmle_core.sampling import Uniform
from lmle_core.store import TRAIN, ImageStore

PCA_IMAGES, PCA_PIXELS = 5000, 1 << 28
"""Images that principal components are fitted to; of large ones, as many as have so many pixels, of 4 bytes each."""
CALIBRATION_BATCHES = 50
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Classification:
    """The objective of pre-training and of the BCE baseline: multi-task cross-entropy over uniform batches.

    Attributes:
        images: the training images.
        labels: shape (M, A), int64, on the images' device.
        margin: taken off the label's logit, as in `cross_entropy`; 0 for plain BCE.
        config: batch size and augmentation.
        seed: what batches and augmentation are drawn from, besides the iteration.
    """

    images: DeviceImages
    labels: Tensor
    margin: float
    config: Config
    seed: tuple[int, ...]

    def __call__(self, network: Network, iteration: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy over the batch and the attributes."""
        training = self.config.training
        positions = Uniform(len(self.images), training.batch, self.seed)(iteration)
        logits = forwarded(network, self.images, positions, self.config, (*self.seed, iteration)).logits
        labels = self.labels[on_device(positions, logits.device)]
        loss = cross_entropy(logits, labels, self.margin).mean()
        return loss, {"loss_bce": loss.detach()}


def forwarded(
    network: Network, images: DeviceImages, positions: np.ndarray, config: Config, seed: tuple[int, ...]
) -> Output:
    """What a network makes of a batch of augmented images; each of several processes forwards its share of them."""
    batch = augmented(images, positions, config, seed)
    if network.spec.trunk == SIX_LAYER:
        output = network(batch)
    else:  # dropout of torchvision's trunks draws from torch's own generators
        with torch.random.fork_rng([images.device] if images.device.type == "cuda" else []):
            torch.manual_seed(entropy((*seed, share(len(positions)).start)))
            output = network(batch)
    return Output(*(gathered(part, len(positions)) for part in output))


def augmented(images: DeviceImages, positions: np.ndarray, config: Config, seed: tuple[int, ...]) -> Tensor:
    """This process's share of the images at the positions, augmented by draws from the seed alone."""
    own, generator = share(len(positions)), seeded_generator(seed, images.device)
    draws = torch.rand(3, len(positions), 1, generator=generator, device=images.device)
    return augment(images(positions[own]), draws[:, own], flip=config.training.flip, shift=config.training.shift)


def network_spec(store: ImageStore, config: Config) -> NetworkSpec:
    """The network of a run: as many heads as attributes, as many classes as the labels have."""
    return NetworkSpec(
        trunk=config.trunk.kind,
        width=config.trunk.width,
        attributes=len(store.attributes),
        classes=class_count(store.labels),
        dimensions=config.training.dimensions,
        precision=config.trunk.precision,
    )


def class_count(labels: np.ndarray) -> int:
    """C: classes are numbered from 0, and there are at least two."""
    return max(2, int(labels.max(initial=0)) + 1)


def train_classifier(
    store: ImageStore, config: Config, device: torch.device, directory: Path, epochs: float, progress: Progress | None
) -> Trained:
    """Train trunk and classifier by multi-task BCE, at LMLE's learning rates, and write the network: the BCE baseline.

    Args:
        store: the images.
        config: seed, trunk, batch, augmentation, learning rate.
        device: where to train.
        directory: gets `model.safetensors`, `model.json`, `curves.json`; checkpoints meanwhile.
        epochs: passes over the training split.
        progress: called with (iterations done, iterations).
    """
    images = len(store.rows(TRAIN))
    iterations = max(1, round(epochs * images / config.training.batch))
    rates = rates_in_one_piece(config, pretraining_iterations(config, images), iterations)
    spec = network_spec(store, config)
    return _train(store, store.labels, spec, config, device, directory, iterations, rates, progress)


def make_prior(
    store: ImageStore, config: Config, device: torch.device, directory: Path, progress: Progress | None = None
) -> None:
    """Write the prior into a directory: principal components, or a network whose trunk gives the features.

    Raises:
        ValueError: where the identities or the weights that the configured kind needs are not there.
    """
    kind = config.prior.kind
    rows = store.rows(TRAIN)
    iterations = pretraining_iterations(config, len(rows))
    rates = Schedule(config.prior.learning_rate, iterations, decay=config.prior.decay)
    if kind == "bce":
        spec, margin = network_spec(store, config), config.loss.bce_margin
        _train(store, store.labels, spec, config, device, directory, iterations, rates, progress, margin)
    elif kind == "identity":
        if store.identity is None:
            raise ValueError("prior.kind 'identity' needs identity_CelebA.txt beside the attributes; use 'bce'")
        numbers = np.unique(store.identity[rows], return_inverse=True)[1]
        labels = np.zeros((store.n, 1), np.int64)
        labels[rows, 0] = numbers
        spec = replace(network_spec(store, config), attributes=1, classes=int(numbers.max()) + 1, dimensions=2)
        _train(store, labels, spec, config, device, directory, iterations, rates, progress)
    elif kind == "torchvision":
        assert config.prior.weights is not None  # the configuration has made sure
        network = build_network(network_spec(store, config), config.seed)
        load_trunk_weights(network, config.prior.weights)
        _calibrate(network.to(device), DeviceImages(store, rows, device), config)
        save_network(network, directory)
    else:
        fit_pca(store, config, directory)


def pretraining_iterations(config: Config, images: int) -> int:
    """Iterations in which the prior is trained on so many images; 0 where it is not trained by gradients."""
    if not config.prior.is_trained:
        return 0
    return max(1, round(config.prior.epochs * images / config.training.batch))


def rates_in_one_piece(config: Config, pretraining: int, iterations: int) -> LearningRates:
    """LMLE's learning rates, for a network that is trained on one objective throughout.

    They stay at their peak for as long as LMLE is pre-trained, then go through the cycle of its rounds. A long phase at
    the peak is worth a point or two of accuracy by itself, so what LMLE is compared with has it too.

    Args:
        config: the peaks are `prior.learning_rate` and `training.learning_rate`.
        pretraining: iterations of the first phase; 0: one cycle.
        iterations: of the whole training.
    """
    before = Schedule(config.prior.learning_rate, pretraining, decay=config.prior.decay)
    after = Schedule(config.training.learning_rate, max(0, iterations - pretraining))
    return lambda iteration: before(iteration) if iteration < pretraining else after(iteration - pretraining)


def fit_pca(store: ImageStore, config: Config, directory: Path) -> None:
    """Principal components of a random sample of the training images."""
    rows = store.rows(TRAIN)
    generator = np.random.default_rng((config.seed, 1))
    number = min(PCA_IMAGES, max(config.prior.components + 1, PCA_PIXELS // int(np.prod(store.shape))), len(rows))
    sample = np.sort(generator.choice(rows, number, replace=False))
    PrincipalComponents.fit(store.gather(sample), config.prior.components, config.seed).save(directory)


def starting_network(prior: Path, spec: NetworkSpec, seed: int) -> Network:
    """The network of the first round: the prior's trunk, its classifier and heads where these fit; the rest is fresh.

    Heads that pre-training has left untrained are the fresh ones; a champion's go on from what they were.
    """
    network = build_network(spec, seed)
    if PrincipalComponents.exists(prior):
        return network
    previous = load_network(prior)
    network.trunk.load_state_dict(previous.trunk.state_dict())
    network.standardise.load_state_dict(previous.standardise.state_dict())
    if (previous.spec.attributes, previous.spec.classes) == (spec.attributes, spec.classes):
        network.classifier.load_state_dict(previous.classifier.state_dict())
    if (previous.spec.attributes, previous.spec.dimensions) == (spec.attributes, spec.dimensions):
        network.heads.load_state_dict(previous.heads.state_dict())
    return network


def _train(
    store: ImageStore,
    labels: np.ndarray,
    spec: NetworkSpec,
    config: Config,
    device: torch.device,
    directory: Path,
    iterations: int,
    rates: LearningRates,
    progress: Progress | None,
    margin: float = 0.0,
) -> Trained:
    rows = store.rows(TRAIN)
    network = build_network(spec, config.seed).to(device)
    network.heads.requires_grad_(requires_grad=False)  # nothing trains them here
    start_at_class_shares(network, labels[rows])
    targets = torch.from_numpy(labels[rows].astype(np.int64)).to(device)
    objective = Classification(DeviceImages(store, rows, device), targets, margin, config, (config.seed, 2))
    trained = optimise(
        network,
        objective,
        iterations=iterations,
        schedule=rates,
        weight_decay=config.training.weight_decay,
        directory=directory,
        checkpoint_every=config.engines.checkpoint,
        progress=progress,
    )
    if writes():
        save_network(network, directory)
        (directory / "curves.json").write_text(json.dumps(trained.curves))
        (directory / CHECKPOINT).unlink(missing_ok=True)
    return trained


@torch.no_grad()
def start_at_class_shares(network: Network, labels: np.ndarray) -> None:
    """Let the classifier begin at log π: rare classes would take most of a short training to get there."""
    shares = class_shares(labels, network.spec.classes)
    network.classifier.bias.copy_(torch.from_numpy(np.log(shares.clip(0.1 / len(labels)))).flatten())


@torch.no_grad()
def _calibrate(network: Network, images: DeviceImages, config: Config) -> None:
    """Set the statistics that standardise the features, from a pass over some batches."""
    network.eval()
    network.standardise.train()
    network.standardise.momentum = None  # a plain average over the batches
    sampler = Uniform(len(images), config.training.batch, (config.seed, 3))
    for iteration in range(min(CALIBRATION_BATCHES, max(1, len(images) // config.training.batch))):
        network.features(images(sampler(iteration)))
    network.eval()
