import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from lmle_core.clusters import Clusters, cluster
from lmle_core.config import Config, parse_config
from lmle_core.device import DeviceImages
from lmle_core.features import Features, extract, load_encoder
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.margins import hinge_of_equal_distances, margin_table
from lmle_core.network import (
    Network,
    NetworkSpec,
    build_network,
    check_trunk,
    load_network,
    load_trunk_weights,
    save_network,
)
from lmle_core.optimise import CHECKPOINT, Schedule, optimise
from lmle_core.prior import forwarded, make_prior, starting_network
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training import (
    iterations_of_a_round,
    mine_quintuplets,
    mining_subset,
    train_round,
)
from lmle_core.training.table_mode import _picked

CPU = torch.device("cpu")


class InterruptedRunError(Exception):
    pass


def encode(store: ImageStore, network: Path, output: str, directory: Path) -> Features:
    directory.mkdir()
    return extract(load_encoder(network, output), store, directory)  # type: ignore[arg-type]


def cluster_on(store: ImageStore, features: Features, config: Config, number: int) -> Clusters:
    rows = store.rows(TRAIN)
    source = ArrayRows(features.rows(rows), store.labels[rows])
    blocks = TorchBlocks(source)
    return cluster(blocks, config.cluster, attributes=store.attributes, n_classes=2, seed=config.seed, round=number)


@pytest.fixture
def prior(faces_store: ImageStore, small: Config, tmp_path: Path) -> Path:
    directory = tmp_path / "prior"
    directory.mkdir()
    make_prior(faces_store, small, CPU, directory)
    return directory


@pytest.fixture
def clusters(faces_store: ImageStore, small: Config, prior: Path, tmp_path: Path) -> Clusters:
    return cluster_on(faces_store, encode(faces_store, prior, "trunk", tmp_path / "features"), small, 1)


def with_loss(config: Config, **sections: dict[str, object]) -> Config:
    values = config.model_dump(mode="json")
    for section, entries in sections.items():
        values[section] |= entries
    return parse_config(values)


def train(
    store: ImageStore, clusters: Clusters, prior: Path, config: Config, directory: Path, stop_at: int | None = None
) -> bytes:
    table = None
    rows = store.rows(TRAIN)
    if config.quintuplets.mode == "table":
        subset = mining_subset(len(rows), config, 1)
        features = Features.open(prior.parent / "features").rows(rows[subset])
        labels, assignment = store.labels[rows[subset]], clusters.assignment[subset]
        table = mine_quintuplets(features, labels, assignment, subset, config, (1,), CPU)

    def progress(done: int, total: int) -> None:
        if stop_at is not None and done >= stop_at:
            raise InterruptedRunError

    directory.mkdir(exist_ok=True)
    train_round(1, store, clusters, prior, config, CPU, directory, table, progress)
    return (directory / "model.safetensors").read_bytes()


RECIPES: dict[str, dict[str, dict[str, object]]] = {
    "softmax-ratio": {"loss": {"kind": "softmax-ratio"}},
    "hinge in batch": {"loss": {"kind": "hinge", "bce_weight": 0.0}},
    "centroid margin": {"loss": {"kind": "centroid-margin"}, "quintuplets": {"redraw": 4}},
    "minority batches": {
        "loss": {"kind": "softmax-ratio"},
        "training": {"sampler": "minority", "minority": 4, "costs": "none"},
    },
    "table": {"quintuplets": {"mode": "table", "redraw": 3}},
    "literal table": {
        "loss": {"squared": True, "margins": None, "bce_weight": 0.0},
        "quintuplets": {"mode": "table", "positives": None, "impostors": None},
    },
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_interrupted_round_ends_with_the_same_bytes(
    recipe: str, faces_store: ImageStore, clusters: Clusters, prior: Path, small: Config, tmp_path: Path
) -> None:
    config = with_loss(with_loss(small, training={"iterations": 13}), **RECIPES[recipe])
    whole = train(faces_store, clusters, prior, config, tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        train(faces_store, clusters, prior, config, tmp_path / "parts", stop_at=11)
    assert (tmp_path / "parts" / "checkpoint.pt").exists()
    assert train(faces_store, clusters, prior, config, tmp_path / "parts") == whole
    curves = json.loads((tmp_path / "parts" / "curves.json").read_text())
    assert curves == json.loads((tmp_path / "whole" / "curves.json").read_text())
    assert [point["iteration"] for point in curves] == [0, 10, 12]
    assert not (tmp_path / "parts" / "checkpoint.pt").exists()


def test_a_checkpoint_that_the_machine_lost_is_done_without(
    faces_store: ImageStore, clusters: Clusters, prior: Path, small: Config, tmp_path: Path
) -> None:
    config = with_loss(small, training={"iterations": 13})
    whole = train(faces_store, clusters, prior, config, tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        train(faces_store, clusters, prior, config, tmp_path / "parts", stop_at=11)
    checkpoint = tmp_path / "parts" / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    assert train(faces_store, clusters, prior, config, tmp_path / "parts") == whole


def test_the_gradient_of_table_mode_does_not_depend_on_the_threads() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(200, 8, 64, generator=generator, requires_grad=True)
    places, attributes = (torch.randint(0, n, (128, m), generator=generator) for n, m in ((200, 5), (8, 1)))
    weights = torch.randn(128, 5, 64, generator=generator)
    threads = torch.get_num_threads()
    gradients: list[torch.Tensor] = []
    for number in (1, *[2] * 20):
        torch.set_num_threads(number)
        picked = _picked(embeddings, places, attributes[:, 0])
        gradients += torch.autograd.grad((picked * weights).sum(), embeddings)
    torch.set_num_threads(threads)
    assert torch.equal(picked, embeddings[places, attributes])
    assert all(torch.equal(each, gradients[0]) for each in gradients)


def test_training_lowers_the_loss_and_pulls_classes_apart(
    faces_store: ImageStore, clusters: Clusters, prior: Path, small: Config, tmp_path: Path
) -> None:
    training: dict[str, object] = {"iterations": 80, "learning_rate": 3e-3, "flip": False, "shift": 0.0}
    config = with_loss(small, loss={"kind": "softmax-ratio", "embedding_weight": 1.0}, training=training)
    train(faces_store, clusters, prior, config, tmp_path / "round")
    curves = json.loads((tmp_path / "round" / "curves.json").read_text())
    assert curves[-1]["loss_class"] < 0.7 * curves[0]["loss_class"]
    rows = faces_store.rows(TRAIN)
    vectors = encode(faces_store, tmp_path / "round", "embeddings", tmp_path / "after").rows(rows)
    labels = faces_store.labels[rows]
    for a in range(len(faces_store.attributes)):
        similarity = vectors[:, a] @ vectors[:, a].T
        same = labels[:, a, None] == labels[None, :, a]
        assert similarity[same].mean() > similarity[~same].mean() + 0.05


def test_a_second_round_goes_on_from_the_first(
    faces_store: ImageStore, clusters: Clusters, prior: Path, small: Config, tmp_path: Path
) -> None:
    config = with_loss(small, training={"iterations": 5})
    train(faces_store, clusters, prior, config, tmp_path / "first")
    second = tmp_path / "second"
    second.mkdir()
    train_round(2, faces_store, clusters, tmp_path / "first", config, CPU, second)
    rates = [point["learning_rate"] for point in json.loads((second / "curves.json").read_text())]
    assert rates[-1] < 0.2 * config.training.learning_rate  # the cycle spans both rounds
    before, after = (load_file(path / "model.safetensors") for path in (tmp_path / "first", second))
    assert any(not np.array_equal(before[name], after[name]) for name in before)


def test_the_starting_network_keeps_the_priors_classifier(
    faces_store: ImageStore, clusters: Clusters, prior: Path, small: Config, tmp_path: Path
) -> None:
    config = with_loss(small, training={"iterations": 1, "learning_rate": 1e-9})
    train(faces_store, clusters, prior, config, tmp_path / "round")
    images = torch.from_numpy(faces_store.block(0, 16))
    with torch.inference_mode():
        before, after = (load_network(path).classifier.weight for path in (prior, tmp_path / "round"))
        assert torch.allclose(before, after, atol=1e-6)
        assert load_network(prior)(images).logits.shape == (16, 3, 2)


def test_the_starting_network_goes_on_with_a_champions_heads_where_they_fit(tmp_path: Path) -> None:
    spec = NetworkSpec("six-layer", 4, 3, 2, 8)
    champion = build_network(spec, seed=5)
    save_network(champion, tmp_path)
    started, known = starting_network(tmp_path, spec, seed=0).state_dict(), champion.state_dict()
    assert all(torch.equal(started[name], value) for name, value in known.items())
    smaller = NetworkSpec("six-layer", 4, 3, 2, 4)
    started, fresh = starting_network(tmp_path, smaller, seed=0).state_dict(), build_network(smaller, 0).state_dict()
    for name, value in started.items():
        assert torch.equal(value, (fresh if name.startswith("heads") else known)[name])


@pytest.mark.parametrize("classes", [2, 3])
def test_margins_of_each_class_by_hand_and_from_geometry(small: Config, clusters: Clusters, classes: int) -> None:
    labels = np.stack([np.arange(90) % classes] * 3, axis=1)
    by_hand = margin_table(labels, clusters, classes, small.loss)
    assert by_hand.shape == (3, 3, classes)
    assert by_hand[:, 0, 0] == pytest.approx([0.1, 0.2, 0.5])
    spherical = with_loss(small, loss={"margins": None, "sphere_share": 1.0}).loss
    geometric = margin_table(labels, clusters, classes, spherical)
    assert geometric[2, 0, 0] == pytest.approx(2 * np.sin(np.pi / classes), rel=1e-5)


@pytest.mark.parametrize("balanced", [False, True])
def test_the_hinge_of_equal_distances_is_the_mean_of_the_anchors_margins(
    small: Config, clusters: Clusters, balanced: bool
) -> None:
    labels = np.stack([np.arange(90) % 5 // 4] * 3, axis=1)  # 1 in 5
    spherical = with_loss(small, loss={"margins": None, "sphere_share": 1.0}).loss
    other = with_loss(small, loss={"kind": "softmax-ratio"}).loss
    by_hand, geometric, none = (
        hinge_of_equal_distances(labels, clusters, 2, loss, balanced=balanced)
        for loss in (small.loss, spherical, other)
    )
    assert by_hand == pytest.approx(0.8)
    assert none is None
    sums = margin_table(labels, clusters, 2, spherical).sum(0)
    anchors = [sums[a, c] for row in labels for a, c in enumerate(row)]
    assert geometric == pytest.approx(sums.mean() if balanced else np.mean(anchors))


def test_iterations_count_the_images_seen(small: Config) -> None:
    assert iterations_of_a_round(1600, small) == 100  # two epochs in batches of 32
    table = with_loss(small, loss={"kind": "hinge"}, quintuplets={"mode": "table"})
    assert iterations_of_a_round(1600, table) == 20  # five images a quintuplet
    assert iterations_of_a_round(1600, with_loss(small, training={"iterations": 7})) == 7


def test_one_attribute_of_many_classes_trains_on_class_equal_batches(
    faces_store: ImageStore, prior: Path, small: Config, tmp_path: Path
) -> None:
    rows = faces_store.rows(TRAIN)
    labels = faces_store.labels.copy()
    labels[:, 0] = np.arange(faces_store.n) % 5
    store = _replaced(faces_store, labels[:, :1], ("Digit",))
    features = encode(faces_store, prior, "trunk", tmp_path / "features").rows(rows)
    found = cluster(
        TorchBlocks(ArrayRows(features, store.labels[rows])),
        small.cluster, attributes=("Digit",), n_classes=5, seed=0, round=1,
    )  # fmt: skip
    directory = tmp_path / "round"
    directory.mkdir()
    train_round(1, store, found, prior, with_loss(small, training={"iterations": 3}), CPU, directory)
    assert load_network(directory).spec.classes == 5


def _replaced(store: ImageStore, labels: np.ndarray, attributes: tuple[str, ...]) -> ImageStore:
    from dataclasses import replace

    changed = replace(store, attributes=attributes)
    vars(changed)["labels"] = labels
    return changed


@pytest.mark.parametrize("kind", ["pca", "identity", "torchvision"])
def test_the_other_priors(kind: str, faces_store: ImageStore, small: Config, tmp_path: Path) -> None:
    sections: dict[str, dict[str, object]] = {"prior": {"kind": kind, "epochs": 1, "components": 16}}
    if kind == "torchvision":
        spec = NetworkSpec("resnet18", 16, 3, 2, 8)
        state = build_network(spec, 5).trunk.state_dict()
        torch.save({**state, "fc.weight": torch.zeros(1000, 512)}, tmp_path / "weights.pt")
        sections["prior"]["weights"] = str(tmp_path / "weights.pt")
        sections["trunk"] = {"kind": "resnet18"}
    config = with_loss(small, **sections)
    (tmp_path / "prior").mkdir()
    make_prior(faces_store, config, CPU, tmp_path / "prior")
    vectors = encode(faces_store, tmp_path / "prior", "trunk", tmp_path / "features").rows(np.arange(faces_store.n))
    assert vectors.shape[1] == 1
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-5)
    found = cluster_on(faces_store, Features.open(tmp_path / "features"), config, 1)
    (tmp_path / "round").mkdir()
    step = with_loss(config, training={"iterations": 1})
    train_round(1, faces_store, found, tmp_path / "prior", step, CPU, tmp_path / "round")
    shutil.rmtree(tmp_path / "features")


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"no weights of the right shape for .* first 'conv1.weight'"):
        load_trunk_weights(build_network(NetworkSpec("resnet18", 16, 1, 2, 8), 0), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match=r"trunk.kind 'resnet1' is not known; did you mean 'resnet18'"):
        build_network(NetworkSpec("resnet1", 16, 1, 2, 8), 0)


@pytest.mark.parametrize("kind", ["convnext_tiny", "googlenet", "squeezenet1_1", "mobilenet_v3_small"])
def test_trunks_of_every_build_take_images_of_any_size(kind: str) -> None:
    check_trunk(kind, 64, 48)


def test_a_trunk_that_does_not_take_the_images_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trunk.kind 'vit_b_16' does not take images of 64 x 64: .*224"):
        check_trunk("vit_b_16", 64, 64)


def test_dropout_follows_from_the_seed_and_leaves_the_random_state_alone(
    faces_store: ImageStore, small: Config
) -> None:
    network = build_network(NetworkSpec("efficientnet_b0", 1, 3, 2, 8), 0)  # drops whole layers of an image
    images = DeviceImages(faces_store, faces_store.rows(TRAIN), CPU)
    before = torch.get_rng_state()
    outputs = [forwarded(network, images, np.arange(8), small, (0, 1, each)).features for each in (0, 0, 1)]
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_that_is_not_finite_leaves_no_checkpoint(tmp_path: Path) -> None:
    network = build_network(NetworkSpec("six-layer", 4, 1, 2, 8), 0)

    def objective(network: Network, iteration: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return network.heads.weight.sum() * (1 if iteration < 5 else torch.nan), {}

    with pytest.raises(FloatingPointError, match="at iteration 5"):
        optimise(
            network, objective, iterations=9, schedule=Schedule(0.1, 9), weight_decay=0, directory=tmp_path,
            checkpoint_every=3,
        )  # fmt: skip
    assert torch.load(tmp_path / CHECKPOINT)["iteration"] == 3


def test_the_schedule_warms_up_and_ends_at_zero() -> None:
    schedule = Schedule(1.0, 100)
    rates = [schedule(iteration) for iteration in range(101)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == 1.0 and rates[-1] == pytest.approx(0)
    assert Schedule(1.0, 100, first=60)(5) == schedule(65)
