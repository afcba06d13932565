"""An experiment: one method, trained with one choice of settings from one seed, and scored with each of its rules."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lmle_core.artefact import write_atomically
from lmle_core.bootstrap import mean_balanced_accuracy
from lmle_core.comparison.experiment import Experiment, Truth
from lmle_core.comparison.ranking import rank
from lmle_core.config import Config, parse_config
from lmle_core.device import DeviceImages
from lmle_core.features import BATCH
from lmle_core.health import spread
from lmle_core.methods.catalogue import RATE_FACTOR, WEIGHT_FACTOR, Method
from lmle_core.methods.decisions import decide
from lmle_core.methods.method import Lesson
from lmle_core.methods.outputs import Outputs
from lmle_core.metrics import Scores, score
from lmle_core.network import build_network, load_network, save_network
from lmle_core.odds import class_shares
from lmle_core.optimise import CHECKPOINT, optimise
from lmle_core.prior import (
    Progress,
    class_count,
    network_spec,
    pretraining_iterations,
    rates_in_one_piece,
    start_at_class_shares,
)
from lmle_core.store import TEST, TRAIN, VALID, ImageStore
from lmle_core.training import images_seen, train_rounds

NETWORK, SECONDS = "network", "seconds.json"


def run_experiment(
    store: ImageStore,
    method: Method,
    settings: Mapping[str, Any],
    config: Config,
    device: torch.device,
    directory: Path,
    *,
    progress: Progress | None = None,
) -> None:
    """Train a method, decide by each of its rules, and write an `Experiment` for each, and the `Truth`.

    Every method sees the same number of images, `images_seen(config)`, but for `Method.rounds` and `budget`, in batches
    of the same size, with the same augmentation, trunk and learning rates; what its settings change is stated with the
    result.

    Args:
        store: the images.
        method: of the catalogue.
        settings: one of its trials, see `Method.trials`.
        config: trunk, budget and seed.
        device: where to train.
        directory: gets `<rule>.json` and `<rule>.npz` for each rule, `truth.npz`, and meanwhile the training, which an
            interrupted attempt left to be continued.
        progress: called with (iterations done, iterations).
    """
    config, arguments = configured(config, settings)
    seen = images_seen(config, len(store.rows(TRAIN)), rounds=method.rounds)
    begun = time.perf_counter()
    try:
        if method.objective is None:
            network = train_rounds(store, config, device, directory / NETWORK, progress)
        else:
            network = directory / NETWORK
            teach(store, method, arguments, config, seen, device, network, progress)
    finally:
        seconds = _seconds(directory, time.perf_counter() - begun)
    train, valid, test = (outputs_of(network, store, store.rows(split), device) for split in (TRAIN, VALID, TEST))
    classes = class_count(store.labels)
    shares = class_shares(train.labels, classes).astype(np.float32)
    least_spread = float(spread([valid.embeddings]).min()) if method.embeds else None
    rows = store.rows(TEST)
    truth = Truth(
        test.labels,
        None if store.clean_labels is None else store.clean_labels[rows],
        None if store.identity is None else store.identity[rows],
    )
    truth.save(directory)
    for rule in method.rules:
        on_valid, on_test = decide(rule, train, valid, test, shares, config)
        decided = on_test.argmax(-1).astype(np.int8)

        def scored(labels: np.ndarray, decided: np.ndarray = decided) -> Scores:
            return score(labels, decided, store.attributes, classes, bootstrap=0)

        clean = truth.clean_labels
        Experiment(
            method=method.name,
            rule=rule,
            seed=config.seed,
            settings=dict(settings),
            test=scored(truth.labels),
            test_clean=None if clean is None else scored(clean),
            ranking=rank(truth.labels, on_test),
            ranking_clean=None if clean is None else rank(clean, on_test),
            validation=mean_balanced_accuracy(valid.labels, on_valid),
            spread=least_spread,
            seconds=seconds,
            images_seen=seen,
            predictions=decided,
        ).save(directory, rule)


def configured(config: Config, settings: Mapping[str, Any]) -> tuple[Config, dict[str, Any]]:
    """The configuration with the settings of form `section.key` and the factors laid over it, and the others.

    Raises:
        ConfigError: for an unknown section, key or value.
    """
    values = config.model_dump()
    others = {}
    for name, value in settings.items():
        section, dot, key = name.partition(".")
        if name == RATE_FACTOR:
            for phase in ("prior", "training"):
                values[phase]["learning_rate"] *= value
        elif name == WEIGHT_FACTOR:
            values["loss"]["embedding_weight"] *= value
        elif dot:
            known = values.get(section)
            values[section] = {**(known if isinstance(known, dict) else {}), key: value}
        else:
            others[name] = value
    return parse_config(values), others


def teach(
    store: ImageStore,
    method: Method,
    arguments: Mapping[str, Any],
    config: Config,
    seen: int,
    device: torch.device,
    directory: Path,
    progress: Progress | None = None,
) -> None:
    """Train a fresh network on a method's objective for so many images, and write it into a directory.

    Learning rates are LMLE's, see `rates_in_one_piece`; of a method that sees the prior's images alone, one cycle.

    Args:
        store: the images.
        method: one with an objective.
        arguments: of the objective.
        config: trunk, batch, augmentation, learning rate, seed.
        seen: images that training forwards, repeats counted.
        device: where to train.
        directory: gets the network; checkpoints meanwhile.
        progress: called with (iterations done, iterations).
    """
    directory.mkdir(exist_ok=True)
    if (directory / "model.json").exists():
        return
    rows = store.rows(TRAIN)
    labels = store.labels[rows].astype(np.int64)
    spec = network_spec(store, config)
    training = config.training
    iterations = max(1, round(seen / training.batch))
    shares = torch.from_numpy(class_shares(labels, spec.classes)).float().to(device)
    network = build_network(spec, config.seed).to(device)
    if method.prior_bias:
        start_at_class_shares(network, labels)
    pretraining = pretraining_iterations(config, len(rows)) if method.rounds else 0
    assert method.objective is not None
    lesson = Lesson(
        DeviceImages(store, rows, device), torch.from_numpy(labels).to(device), spec.classes, shares, config,
        (config.seed, 2), iterations, pretraining,
    )  # fmt: skip
    optimise(
        network,
        method.objective(lesson, **arguments),
        iterations=iterations,
        schedule=rates_in_one_piece(config, pretraining, iterations),
        weight_decay=training.weight_decay,
        directory=directory,
        checkpoint_every=config.engines.checkpoint,
        progress=progress,
    )
    save_network(network, directory)
    (directory / CHECKPOINT).unlink(missing_ok=True)


@torch.inference_mode()
def outputs_of(network: Path, store: ImageStore, rows: np.ndarray, device: torch.device) -> Outputs:
    """What a stored network makes of rows of a store, in one pass. Raises FloatingPointError where it is not finite."""
    model = load_network(network, device)
    parts = [
        [array.cpu().numpy() for array in model(torch.from_numpy(store.gather(rows[low : low + BATCH])).to(device))]
        for low in range(0, len(rows), BATCH)
    ]
    features, embeddings, logits = (np.concatenate(each) for each in zip(*parts, strict=True))
    if not all(np.isfinite(each).all() for each in (features, embeddings, logits)):
        raise FloatingPointError("the network's outputs are not finite: its training diverged; lower the learning rate")
    features /= np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    return Outputs(logits, embeddings, features, store.labels[rows], device)


def _seconds(directory: Path, taken: float) -> float:
    """Seconds of training, of all attempts that ended by themselves or by an exception."""
    path = directory / SECONDS
    before = json.loads(path.read_text()) if path.exists() else 0.0
    seconds = float(round(before + taken, 3))
    write_atomically(path, json.dumps(seconds))
    return seconds
