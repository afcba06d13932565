"""The device paths against the CPU's, on a CUDA device."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lmle_core.batch_quintuplets import batch_quintuplet_distances
from lmle_core.clusters import cluster
from lmle_core.comparison import Experiment
from lmle_core.config import Config, parse_config
from lmle_core.device import DeviceImages
from lmle_core.experiment import run_experiment
from lmle_core.features import NetworkEncoder
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.losses import softmax_ratio
from lmle_core.methods.catalogue import METHODS
from lmle_core.network import SIX_LAYER, build_network, load_network
from lmle_core.prior import make_prior, network_spec
from lmle_core.quintuplets import mine
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training import train_round

pytestmark = pytest.mark.gpu
CUDA = torch.device("cuda")


def unit_features(rows: int, groups: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(rows, groups, 16)).astype(np.float32)
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def test_k_means_reaches_the_same_inertia(small: Config) -> None:
    labels = np.random.default_rng(1).integers(2, size=(3000, 3)).astype(np.int8)
    source = ArrayRows(unit_features(3000, 3), labels)
    found = [
        cluster(TorchBlocks(source, device), small.cluster, attributes=("a", "b", "c"), n_classes=2, seed=0, round=1)
        for device in ("cpu", "cuda")
    ]
    np.testing.assert_allclose(found[0].inertia, found[1].inertia, rtol=1e-3)


def test_mining_finds_the_same_quintuplets() -> None:
    generator = np.random.default_rng(2)
    labels = generator.integers(2, size=(800, 3)).astype(np.int8)
    assignment = (labels * 4 + generator.integers(4, size=labels.shape)).astype(np.int32)
    rows = np.arange(800, dtype=np.int64)
    tables = [
        mine(unit_features(800, 3), labels, assignment, rows, None, None, np.random.default_rng(0), device=device)
        for device in ("cpu", "cuda")
    ]
    everyone = np.arange(len(tables[0]))
    same = (tables[0].members(everyone) == tables[1].members(everyone)).mean()
    assert same > 0.999  # near-ties may fall the other way


def test_a_run_trains_and_encodes_on_the_device(faces_store: ImageStore, small: Config, tmp_path: Path) -> None:
    prior, round_ = tmp_path / "prior", tmp_path / "round"
    prior.mkdir()
    round_.mkdir()
    make_prior(faces_store, small, CUDA, prior)
    rows = faces_store.rows(TRAIN)
    encoders = [NetworkEncoder(load_network(prior, device), "trunk") for device in ("cpu", "cuda")]
    on_cpu, on_device = (encoder(faces_store.gather(rows)) for encoder in encoders)
    assert (on_cpu * on_device).sum(-1).min() > 0.98  # bf16 against float32
    found = cluster(
        TorchBlocks(ArrayRows(on_device, faces_store.labels[rows]), CUDA),
        small.cluster, attributes=faces_store.attributes, n_classes=2, seed=0, round=1,
    )  # fmt: skip
    longer = small.model_copy(update={"training": small.training.model_copy(update={"iterations": 100})})
    losses = [point["loss"] for point in train_round(1, faces_store, found, prior, longer, CUDA, round_).curves]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_the_losses_are_those_of_the_cpu() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.nn.functional.normalize(torch.randn(64, 5, 16, generator=generator), dim=-1)
    clusters = torch.randint(6, (64, 5), generator=generator)
    classes = torch.arange(6).repeat(5, 1) // 3
    ratios, distances = [], []
    for device in ("cpu", "cuda"):
        given = (vectors.to(device), clusters.to(device), classes.to(device))
        ratios.append(softmax_ratio(*given, temperature=0.1, margin=0.1, weight=0.3, adjusted=True).parts.cpu())
        everyone = {"positives": 64, "impostors": 64, "generator": torch.Generator(device).manual_seed(0)}
        distances.append([part.cpu() for part in batch_quintuplet_distances(*given, **everyone)])  # type: ignore[arg-type]
    torch.testing.assert_close(ratios[0], ratios[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(distances[0], distances[1], atol=1e-4, rtol=1e-4)


def test_outputs_are_float32_where_the_trunk_is_not(faces_store: ImageStore, small: Config) -> None:
    network = build_network(network_spec(faces_store, small), 0).to(CUDA)
    output = network(torch.from_numpy(faces_store.block(0, 8)).to(CUDA))
    assert {part.dtype for part in output} == {torch.float32}


def test_faiss_and_torch_share_the_process() -> None:
    import faiss

    vectors = torch.nn.functional.normalize(torch.randn(100, 16, device=CUDA), dim=-1).cpu().numpy()
    index = faiss.IndexFlatL2(16)
    index.add(vectors)
    assert (index.search(vectors, 1)[1][:, 0] == np.arange(100)).all()


@pytest.mark.parametrize(
    ("name", "trunk"),
    [
        *((name, SIX_LAYER) for name in (
            "lmle", "lmle-hard", "lmle-softmax-ratio", "lmle-centroids", "table", "crl", "triplet",
            "triplet-batch-hard", "ldam", "focal", "resampled",
        )),
        ("lmle", "resnet18"), ("table", "resnet18"),
    ],
)  # fmt: skip
def test_a_method_trains_on_the_device_goes_on_where_it_was_and_decides(
    name: str, trunk: str, faces_store: ImageStore, tmp_path: Path
) -> None:
    method, asked = METHODS[name], []
    config = parse_config(
        {
            "trunk": {"kind": trunk, "width": 4},
            "prior": {"epochs": 4},
            "training": {"rounds": 2, "iterations": 11, "batch": 32, "dimensions": 8},
            "cluster": {"size": 20},
            "quintuplets": {"redraw": 4},
            "index": {"clusters_per_class": (1, 2), "neighbours": (0,)},
            "engines": {"checkpoint": 2},
        }
    )

    def interrupted(done: int, total: int) -> None:
        asked.append(done)
        if len(asked) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_experiment(faces_store, method, method.trials[0], config, CUDA, tmp_path, progress=interrupted)
    run_experiment(faces_store, method, method.trials[0], config, CUDA, tmp_path)
    for rule in method.rules:
        found = Experiment.load(tmp_path, rule)
        assert 0.2 < found.validation <= 1
        assert found.spread is None or 0 < found.spread <= 1.001


def test_images_that_are_not_resident_are_gathered_onto_the_device(
    faces_store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = faces_store.rows(TRAIN)
    resident = DeviceImages(faces_store, rows, CUDA)
    monkeypatch.setattr("lmle_core.device.free_memory", lambda _: 0)
    gathered = DeviceImages(faces_store, rows, CUDA)
    positions = np.array([5, 0, 5, 3])
    assert resident.resident is not None and gathered.resident is None
    assert torch.equal(resident(positions), gathered(positions))
