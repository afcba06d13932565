"""Which of the trainings by cross-entropy takes a margin off the label's logit: pre-training by BCE alone."""

import json
from pathlib import Path

import pytest
import torch

from lmle_core.config import Config, parse_config
from lmle_core.prior import make_prior, train_classifier
from lmle_core.store import ImageStore

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
