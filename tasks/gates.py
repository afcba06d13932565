"""Checks between the stages of a flow: what stops a run, before expensive work or instead of a bad result."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lmle_core.artefact import Reference
from lmle_core.balance import check_balance
from lmle_core.celeba.folders import read_folders
from lmle_core.celeba.layout import enumerate_names
from lmle_core.classifier import MODEL, Classifier
from lmle_core.config import Config, ConfigError
from lmle_core.device import choose_device
from lmle_core.distributed.job import check_processes
from lmle_core.health import refuse_collapse
from lmle_core.network import SIX_LAYER, check_trunk
from lmle_core.prior import class_count, network_spec
from lmle_core.sampling import make_sampler
from lmle_core.store import TEST, TRAIN, VALID, ImageStore
from lmle_core.training import iterations_of_a_round
from lmle_core.training_profile import TrainingProfile
from tasks.mlflow_store import answering_uri, connect
from tasks.progress import say

FEW = 20
"""Iterations in a round; with fewer, a network hardly moves."""


class UnusableDataError(ValueError):
    """Data that no classifier can be trained or judged on."""


class QualityGateError(RuntimeError):
    """A finished run whose result is not good enough to be used."""


def check_settings(config: Config) -> None:
    """Refuse devices, a trunk, folders or a weights file that are not to be had, before any stage.

    Raises:
        ConfigError: with what to set instead.
    """
    if config.data.more and config.data.directory is None and config.data.source == "digits":
        raise ConfigError("data.more: there is no folder to append to with data.source 'digits'; give data.directory")
    try:
        choose_device(config.engines.device)
        check_processes(config)
        check_trunk(config.trunk.kind, config.data.height, config.data.width)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if config.prior.weights is not None and not config.prior.weights.is_file():
        raise ConfigError(f"prior.weights: {config.prior.weights}: no such file")


def check_tracking(config: Config, workspace: Path) -> None:
    """Refuse a store of MLflow's that cannot be reached, before any stage. Raises TrackingError."""
    connect(answering_uri(config.engines, workspace))


def check_source(config: Config) -> None:
    """Refuse a folder, or folders, that no store can be made of, by what their tables say; see `check_labels`.

    Raises:
        DataError: for a layout, a table or an attribute that is not there.
    """
    if config.data.directory is not None:
        data = read_folders(config.data.directory, config.data.more, config.data.attributes)
        check_labels(data.labels, data.split, data.attributes, str(config.data.directory))


def check_labels(labels: np.ndarray, splits: np.ndarray, attributes: Sequence[str], place: str) -> None:
    """Refuse labels that cannot be trained or judged on.

    That is an empty split, an attribute of which training sees one class only, or a split for validation or test in
    which all attributes are of one class.

    Args:
        labels: (N, A).
        splits: (N,), of `lmle_core.store`.
        attributes: A names.
        place: where they come from.

    Raises:
        UnusableDataError: with what to do.
    """
    for split, name in ((TRAIN, "train"), (VALID, "valid"), (TEST, "test")):
        if not (splits == split).any():
            raise UnusableDataError(
                f"{place}: no image in the split {name!r}; list_eval_partition needs 0 (train), 1 (valid) and 2 (test)"
            )
    training = labels[splits == TRAIN]
    same = (training == training[0]).all(0)
    constant = [name for name, alone in zip(attributes, same, strict=True) if alone]
    if constant:
        raise UnusableDataError(
            f"attributes with a single class among the {len(training)} training images: "
            f"{enumerate_names(constant, 10)}; choose the others with data.attributes, or add images"
        )
    for split, name in ((VALID, "valid"), (TEST, "test")):
        judged = labels[splits == split]
        if (judged == judged[0]).all():
            raise UnusableDataError(
                f"every attribute has a single class among the {len(judged)} images of the split {name!r}, which can "
                "judge nothing: split the images at random"
            )


def check_data(store: Reference, config: Config) -> None:
    """Refuse data that cannot be trained or judged on as configured.

    That are labels as of `check_labels`, identities that are missing, or settings that do not fit the number of
    attributes.
    """
    images = ImageStore.open(store.path)
    check_labels(images.labels, images.split, images.attributes, store.path)
    labels = images.labels[images.rows(TRAIN)]
    if config.prior.kind == "identity" and images.identity is None:
        raise UnusableDataError("prior.kind 'identity' needs identity_CelebA.txt beside the attributes; use 'bce'")
    training = config.training
    try:
        make_sampler(training.sampler, labels, training.batch, training.minority, (config.seed,))(0)
        check_balance(config, labels.shape[1])
    except ValueError as error:
        raise ConfigError(str(error)) from None


def few_iterations(store: Reference, config: Config) -> str:
    """A warning where the training images are few for the configured batches and epochs; '' where they are not."""
    images = len(ImageStore.open(store.path).rows(TRAIN))
    iterations = iterations_of_a_round(images, config)
    if iterations >= FEW:
        return ""
    return (
        f"{images} training images, iterations in a round: {iterations}, too few to learn from; lower training.batch "
        f"({config.training.batch}), and raise prior.epochs ({config.prior.epochs:g}) and training.epochs "
        f"({config.training.epochs:g})"
    )


def check_champion(champion: Reference, store: Reference, config: Config, *, starts: bool) -> None:
    """Refuse to retrain beside a champion that cannot classify the store's images, or start what it is to start.

    Args:
        champion: as `Champions.fetch` has it.
        store: the images.
        config: of the retraining.
        starts: whether training goes on from the champion's network.

    Raises:
        ConfigError: where images, attributes or classes are others than the champion's; and where it is to start the
            training with another trunk, or was trained on images which are now to judge.
    """
    model, images = Classifier.load(Path(champion.path)), ImageStore.open(store.path)
    own, spec = model.encoder.network.spec, network_spec(images, config)
    facts = [
        ("images", f"{model.data.height} x {model.data.width}, crop {model.data.crop!r}",
         f"{images.shape[1]} x {images.shape[2]}, crop {config.data.crop!r}"),
        ("attributes", ", ".join(model.attributes), ", ".join(images.attributes)),
        ("classes", str(model.index.n_classes), str(class_count(images.labels))),
    ]  # fmt: skip
    if starts:
        expected, found = (
            each.trunk + (f" of width {each.width}" if each.trunk == SIX_LAYER else "") for each in (own, spec)
        )
        facts.append(("trunk", expected, found))
    for what, expected, found in facts:
        if expected != found:
            raise ConfigError(
                f"the champion of model {config.engines.model!r} has the {what} {expected}, this retraining {found}: "
                "configure it as the champion was, or let engines.model name another model"
            )
    if starts and (profile := TrainingProfile.load(Path(champion.path) / MODEL)) is not None:
        judging = np.concatenate([images.rows(VALID), images.rows(TEST)])
        names = np.array([images.filenames[row] for row in judging])
        if learnt := list(names[np.isin(names, profile.names)]):
            raise ConfigError(
                "promotion.warm_start: of the images that validate and test today, the champion was trained on "
                f"{enumerate_names(learnt)}; give them 0 (train) in list_eval_partition, or start from nothing"
            )


def check_health(health: Reference, config: Config) -> None:
    """Raise Collapse where an attribute's embedding has collapsed in a round; warn of a hinge that teaches nothing."""
    found = json.loads((Path(health.path) / "health.json").read_text())
    ceiling = found["equal_distances"]
    hinge = None if ceiling is None else sum(v for name, v in found["loss"].items() if name.startswith("header"))
    refuse_collapse(found["spreads"], config.evaluation.least_spread, hinge, ceiling)
    if hinge is not None and hinge >= ceiling:
        say(
            f"{'warning':<12} round {found['round']} ends with the hinge at {hinge:.3f}, and equal distances leave it "
            f"at g1 + g2 + g3 = {ceiling:.3f}: nothing is learnt from it yet; train for longer, or over fewer "
            "candidates (quintuplets.positives, quintuplets.impostors)"
        )


def check_quality(run: Reference, config: Config) -> None:
    """Raise QualityGateError where the run's test score misses the configured gate."""
    summary = json.loads((Path(run.path) / "summary.json").read_text())
    reached, wanted = summary["test"]["mean_balanced_accuracy"], config.evaluation.least_balanced_accuracy
    if reached < wanted:
        raise QualityGateError(
            f"mean balanced accuracy on the test split is {reached:.4f}, and evaluation.least_balanced_accuracy asks "
            f"for {wanted:.4f}; the run is kept in {run.path}"
        )
