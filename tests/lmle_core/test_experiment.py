"""An experiment: its scores are those of its predictions, its seed decides everything, and an interrupt nothing."""

import json
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from lmle_core.comparison.experiment import Experiment, Truth
from lmle_core.config import Config, ConfigError, parse_config
from lmle_core.experiment import configured, outputs_of, run_experiment, teach
from lmle_core.methods.catalogue import METHODS, Method
from lmle_core.network import Network, Output, load_network
from lmle_core.prior import Progress
from lmle_core.store import TEST, TRAIN, VALID, ImageStore

CPU = torch.device("cpu")
BCE = replace(METHODS["bce"], rules=("half", "prior", "optimum"))
WEIGHTED = replace(METHODS["class-weighted"], rules=("half",))
LMLE = replace(METHODS["lmle"], rules=("clusters", "prior"))
SETTINGS: dict[str, dict[str, Any]] = {
    "bce": {"prior.learning_rate": 0.003, "training.learning_rate": 0.003},
    "class-weighted": {"exponent": 0.5},
    "lmle": {"loss.temperature": 0.2, "quintuplets.redraw": 4},
}


class InterruptedRunError(Exception):
    pass


def tiny(seed: int = 0) -> Config:
    return parse_config(
        {
            "seed": seed,
            "trunk": {"width": 4},
            "prior": {"epochs": 4},
            "training": {"rounds": 2, "iterations": 11, "batch": 32, "dimensions": 8},
            "cluster": {"size": 20},
            "index": {"clusters_per_class": (1, 2), "neighbours": (0,)},
            "engines": {"checkpoint": 2},
        }
    )


def run(
    method: Method, store: ImageStore, directory: Path, seed: int = 0, progress: Progress | None = None
) -> dict[str, Experiment]:
    directory.mkdir(exist_ok=True)
    settings = SETTINGS[method.name]
    run_experiment(store, method, settings, tiny(seed), CPU, directory, progress=progress)
    return {rule: Experiment.load(directory, rule) for rule in method.rules}


def network_of(directory: Path) -> Path:
    last = directory / "network" / "round-2"
    return last if last.exists() else directory / "network"


@pytest.fixture(scope="module", params=[BCE, LMLE], ids=["bce", "lmle"])
def method(request: pytest.FixtureRequest) -> Method:
    return request.param


@pytest.fixture(scope="module")
def directory(method: Method, faces_store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an experiment from seed 0."""
    directory = tmp_path_factory.mktemp("experiments") / method.name
    run(method, faces_store, directory)
    return directory


def recall(labels: np.ndarray, decided: np.ndarray, c: int) -> float:
    of_class = [d == c for y, d in zip(labels.tolist(), decided.tolist(), strict=True) if y == c]
    return sum(of_class) / len(of_class)


def balanced(labels: np.ndarray, decided: np.ndarray) -> float:
    """Mean over the attributes with two classes of the mean recall of both."""
    columns = [(y, d) for y, d in zip(labels.T, decided.T, strict=True) if len(set(y.tolist())) == 2]
    return sum((recall(y, d, 0) + recall(y, d, 1)) / 2 for y, d in columns) / len(columns)


def test_scores_are_those_of_the_predictions_on_both_kinds_of_labels(
    method: Method, directory: Path, faces_store: ImageStore
) -> None:
    truth, rows = Truth.load(directory), faces_store.rows(TEST)
    assert faces_store.clean_labels is not None and truth.clean_labels is not None
    assert np.array_equal(truth.labels, faces_store.labels[rows])
    assert np.array_equal(truth.clean_labels, faces_store.clean_labels[rows])
    assert faces_store.identity is not None and truth.groups is not None
    assert np.array_equal(truth.groups, faces_store.identity[rows])
    for rule in method.rules:
        found = Experiment.load(directory, rule)
        assert (found.method, found.rule, found.seed) == (method.name, rule, 0)
        assert found.settings == SETTINGS[method.name]
        assert found.test_clean is not None
        for labels, scores in ((truth.labels, found.test), (truth.clean_labels, found.test_clean)):
            expected = balanced(labels, found.predictions)
            assert scores.mean_balanced_accuracy == pytest.approx(expected, abs=1e-6)
            for a, row in enumerate(scores.attributes):
                hits = (labels[:, a] == found.predictions[:, a]).mean()
                assert row.total_accuracy == pytest.approx(hits, abs=1e-6)


def test_the_spread_is_the_least_of_the_attributes(method: Method, directory: Path, faces_store: ImageStore) -> None:
    found = Experiment.load(directory, method.rules[0]).spread
    vectors = outputs_of(network_of(directory), faces_store, faces_store.rows(VALID), CPU).embeddings
    each = [np.sqrt(vectors[:, a].astype(np.float64).var(0).sum()) for a in range(vectors.shape[1])]
    assert found == (pytest.approx(min(each), abs=1e-6) if method.embeds else None)
    assert max(each) > min(each) + 1e-4


def test_predictions_are_the_rules_over_the_stored_network(
    method: Method, directory: Path, faces_store: ImageStore
) -> None:
    labels = faces_store.labels[faces_store.rows(TRAIN)]
    shares = np.stack([1 - labels.mean(0), labels.mean(0)], 1)
    logits = {}
    for split in (VALID, TEST):
        with torch.inference_mode():
            images = torch.from_numpy(faces_store.gather(faces_store.rows(split)))
            logits[split] = load_network(network_of(directory))(images).logits.double().numpy()
    corrections: dict[str, np.ndarray] = {"half": np.zeros((3, 2)), "prior": np.log(shares)}
    compared = [rule for rule in method.rules if rule in corrections]
    for rule in compared:
        found = Experiment.load(directory, rule)
        assert np.array_equal(found.predictions, (logits[TEST] - corrections[rule]).argmax(-1))
        on_valid = (logits[VALID] - corrections[rule]).argmax(-1)
        expected = balanced(faces_store.labels[faces_store.rows(VALID)], on_valid)
        assert found.validation == pytest.approx(expected, abs=1e-6)
    assert compared


def test_outputs_are_of_unit_length_and_do_not_depend_on_who_is_beside_whom(
    directory: Path, faces_store: ImageStore
) -> None:
    rows = faces_store.rows(VALID)
    together = outputs_of(network_of(directory), faces_store, rows, CPU)
    alone = outputs_of(network_of(directory), faces_store, rows[3:4], CPU)
    np.testing.assert_allclose(np.linalg.norm(together.features, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together.embeddings, axis=2), 1, atol=1e-5)
    for name in ("logits", "embeddings", "features"):
        np.testing.assert_allclose(getattr(together, name)[3:4], getattr(alone, name), atol=1e-4)


def test_the_seed_decides_everything(method: Method, directory: Path, faces_store: ImageStore, tmp_path: Path) -> None:
    again = run(method, faces_store, tmp_path / "again")
    for rule, found in again.items():
        first = Experiment.load(directory, rule)
        assert np.array_equal(found.predictions, first.predictions)
        assert replace(found, seconds=0.0, predictions=first.predictions)._to_json() == (
            replace(first, seconds=0.0)._to_json()
        )
    weights = [(network_of(each) / "model.safetensors").read_bytes() for each in (directory, tmp_path / "again")]
    assert weights[0] == weights[1]
    run(method, faces_store, tmp_path / "other", seed=1)
    assert (network_of(tmp_path / "other") / "model.safetensors").read_bytes() != weights[0]


@pytest.mark.parametrize("stop_at", [2, 5])
def test_an_interrupted_experiment_ends_as_an_undisturbed_one(
    stop_at: int, method: Method, directory: Path, faces_store: ImageStore, tmp_path: Path
) -> None:
    calls: list[int] = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == stop_at:
            raise InterruptedRunError

    run_again = tmp_path / "experiment"
    with pytest.raises(InterruptedRunError):
        run(method, faces_store, run_again, progress=progress)
    assert not list(run_again.glob("*.npz"))
    spent = json.loads((run_again / "seconds.json").read_text())
    assert spent > 0
    for rule, found in run(method, faces_store, run_again).items():
        assert np.array_equal(found.predictions, Experiment.load(directory, rule).predictions)
        assert found.seconds > spent  # both attempts
    weights = [(network_of(each) / "model.safetensors").read_bytes() for each in (directory, run_again)]
    assert weights[0] == weights[1]
    assert not list(run_again.rglob("checkpoint.pt"))


@pytest.mark.parametrize("room", [0, 500, 20_000])
def test_an_experiment_that_a_full_disk_ended_goes_on(
    room: int, method: Method, directory: Path, faces_store: ImageStore, tmp_path: Path
) -> None:
    """A disk that is full is one on which no file becomes larger than so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises((OSError, RuntimeError, SafetensorError)):
            run(method, faces_store, tmp_path / "experiment")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for rule, found in run(method, faces_store, tmp_path / "experiment").items():
        assert np.array_equal(found.predictions, Experiment.load(directory, rule).predictions)


def test_every_method_forwards_the_same_number_of_images(
    faces_store: ImageStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, forwarded = Network.forward, [0]

    def counted(self: Network, images: torch.Tensor) -> Output:
        forwarded[0] += len(images) * self.training
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", counted)
    for method in (LMLE, BCE, WEIGHTED):
        forwarded[0] = 0
        found = run(method, faces_store, tmp_path / method.name)[method.rules[0]]
        assert found.images_seen == 4 * len(faces_store.rows(TRAIN)) + 2 * 11 * 32
        assert forwarded[0] == pytest.approx(found.images_seen, abs=16)  # half a batch


@pytest.mark.parametrize("name", ["bce", "class-weighted"])
def test_a_classifier_starts_at_the_log_shares_or_unbiased(name: str, faces_store: ImageStore, tmp_path: Path) -> None:
    config, arguments = configured(tiny(), {"prior.learning_rate": 1e-12, "training.learning_rate": 1e-12})
    teach(faces_store, METHODS[name], arguments, config, 64, CPU, tmp_path / name)
    bias = load_network(tmp_path / name).classifier.bias.view(3, 2).detach().numpy()
    positive = faces_store.labels[faces_store.rows(TRAIN)].mean(0)
    log_shares = np.log(np.stack([1 - positive, positive], 1))
    assert np.allclose(bias, log_shares, atol=1e-6) == (name == "bce")


def test_settings_of_the_configuration_are_laid_over_it_and_the_others_are_the_objectives() -> None:
    config = tiny()
    found, arguments = configured(config, {"loss.angles": (0.2, 0.1), "training.rounds": 3, "margin": 0.4})
    assert (found.loss.angles, found.training.rounds, arguments) == ((0.2, 0.1), 3, {"margin": 0.4})
    assert configured(found, {"loss.angles": config.loss.angles, "training.rounds": 2})[0] == config
    assert configured(config, {}) == (config, {})
    found, arguments = configured(config, {"rate_factor": 2.0, "margin": 0.4})
    for doubled, phase in ((found.prior, config.prior), (found.training, config.training)):
        assert doubled.learning_rate == 2 * phase.learning_rate
    assert arguments == {"margin": 0.4}
    found, arguments = configured(config, {"weight_factor": 0.5})
    assert (found.loss.embedding_weight, arguments) == (config.loss.embedding_weight / 2, {})


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"loss.temprature": 0.1}, "loss: unknown name 'temprature'; did you mean 'temperature'?"),
        ({"los.temperature": 0.1}, "unknown name 'los'; did you mean 'loss'?"),
        ({"seed.first": 1}, "seed: Input should be a valid integer"),
        ({"training.rounds": 0}, "training.rounds: Input should be greater than or equal to 1"),
        ({"quintuplets.mode": "table", "loss.kind": "softmax-ratio"}, "trains on loss.kind 'hinge'"),
    ],
)
def test_a_setting_that_the_configuration_does_not_have_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(tiny(), setting)
    assert message in str(refused.value)
