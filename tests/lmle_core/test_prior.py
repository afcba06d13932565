"""Which of the trainings by cross-entropy takes a margin off the label's logit: pre-training by BCE alone."""

import json
from pathlib import Path

import pytest
import torch

from lmle_core.config import Config, parse_config
from lmle_core.prior import make_prior, pretraining_iterations, rates_in_one_piece, train_classifier
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training import images_seen, train_rounds

CPU = torch.device("cpu")


def first_loss(store: ImageStore, directory: Path, kind: str, margin: float) -> float:
    """At the first iteration, of one network and batch whatever the margin."""
    values = {
        "trunk": {"width": 4},
        "prior": {"kind": "identity" if kind == "identity" else "bce", "epochs": 1},
        "loss": {"bce_margin": margin},
        "training": {"batch": 32},
    }
    config: Config = parse_config(values)
    directory.mkdir()
    if kind == "baseline":
        train_classifier(store, config, CPU, directory, 1, None)
    else:
        make_prior(store, config, CPU, directory)
    (first, *_) = json.loads((directory / "curves.json").read_text())
    return float(first["loss_bce"])


@pytest.mark.parametrize(("kind", "takes_it"), [("bce", True), ("identity", False), ("baseline", False)])
def test_pre_training_by_bce_alone_takes_the_margin(
    kind: str, takes_it: bool, faces_store: ImageStore, tmp_path: Path
) -> None:
    plain, with_margin = (first_loss(faces_store, tmp_path / f"{kind}-{margin}", kind, margin) for margin in (0.0, 0.7))
    assert with_margin == plain or takes_it
    assert not takes_it or plain + 0.1 < with_margin < plain + 0.7  # log(1 + e^(m - z)) rises by at most m


@pytest.mark.parametrize("decay", [False, True])
def test_the_baseline_has_the_learning_rates_of_prior_and_rounds(
    decay: bool, faces_store: ImageStore, tmp_path: Path
) -> None:
    config = parse_config(
        {
            "trunk": {"width": 4},
            "prior": {"epochs": 2, "decay": decay, "learning_rate": 0.002},
            "training": {"batch": 32, "iterations": 30, "dimensions": 8},
        }
    )
    images = len(faces_store.rows(TRAIN))
    last = train_rounds(faces_store, config, CPU, tmp_path / "lmle")
    trained = [rates_of(last.parent / name) for name in ("prior", "round-1", "round-2")]
    pretraining, iterations = pretraining_iterations(config, images), round(images_seen(config, images) / 32)
    rates = rates_in_one_piece(config, pretraining, iterations)
    for begin, curve in zip((0, pretraining, pretraining + 30), trained, strict=True):
        assert curve == {iteration: pytest.approx(rates(begin + iteration)) for iteration in curve}


def rates_of(directory: Path) -> dict[int, float]:
    """The learning rates of a training's curves, by iteration; the last iteration is always among them."""
    curves = json.loads((directory / "curves.json").read_text())
    return {int(point["iteration"]): float(point["learning_rate"]) for point in curves}
