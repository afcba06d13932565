"""All rounds in one process are its stages one by one, and go on after an interrupt with the same bytes."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lmle_core.clusters import Clusters, cluster
from lmle_core.config import Config, parse_config
from lmle_core.features import Features, extract, load_encoder
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.network import Network, Output
from lmle_core.prior import make_prior
from lmle_core.store import TRAIN, ImageStore
from lmle_core.training import images_seen, mine_quintuplets, mining_subset, train_round, train_rounds

CPU = torch.device("cpu")
RECIPES: dict[str, dict[str, dict[str, Any]]] = {
    "batch": {"loss": {"kind": "softmax-ratio"}},
    "centroid-margin": {"loss": {"kind": "centroid-margin"}, "quintuplets": {"redraw": 3}},
    "table": {"quintuplets": {"mode": "table", "redraw": 3}},
}


class InterruptedRunError(Exception):
    pass


def with_sections(config: Config, **sections: dict[str, Any]) -> Config:
    values = config.model_dump(mode="json")
    for section, entries in sections.items():
        values[section] |= entries
    return parse_config(values)


def one_by_one(store: ImageStore, config: Config, directory: Path) -> bytes:
    """As the flow does it: each stage's result is on disk before the next one reads it."""
    rows = store.rows(TRAIN)
    labels = store.labels[rows]
    network, output, found = directory / "prior", "trunk", None
    network.mkdir(parents=True)
    make_prior(store, config, CPU, network)
    for number in range(1, config.training.rounds + 1):
        (directory / f"features-{number}").mkdir()
        extract(load_encoder(network, output), store, directory / f"features-{number}")  # type: ignore[arg-type]
        features = Features.open(directory / f"features-{number}").rows(rows)
        cluster(
            TorchBlocks(ArrayRows(features, labels)), config.cluster, attributes=store.attributes, n_classes=2,
            seed=config.seed, round=number, warm=found,
        ).save(directory / f"clusters-{number}")  # fmt: skip
        found, table = Clusters.load(directory / f"clusters-{number}"), None
        if config.quintuplets.mode == "table":
            subset = mining_subset(len(rows), config, number)
            table = mine_quintuplets(
                features[subset], labels[subset], found.assignment[subset], subset, config, (config.seed, 6, number),
                CPU,
            )  # fmt: skip
        before, network, output = network, directory / f"round-{number}", "embeddings"
        network.mkdir()
        train_round(number, store, found, before, config, CPU, network, table)
    return (network / "model.safetensors").read_bytes()


@pytest.mark.parametrize("recipe", RECIPES)
def test_all_rounds_are_the_stages_one_by_one(
    recipe: str, faces_store: ImageStore, small: Config, tmp_path: Path
) -> None:
    config = with_sections(with_sections(small, training={"iterations": 5}), **RECIPES[recipe])
    network = train_rounds(faces_store, config, CPU, tmp_path / "together")
    assert network == tmp_path / "together" / "round-2"
    assert (network / "model.safetensors").read_bytes() == one_by_one(faces_store, config, tmp_path / "apart")


@pytest.fixture(scope="module")
def whole(faces_store: ImageStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, bytes, list[int]]:
    """A training of two rounds without an interrupt, its network, and how far each training said that it was."""
    config = parse_config(
        {
            "trunk": {"width": 4},
            "prior": {"epochs": 4},
            "training": {"iterations": 13, "rounds": 2, "batch": 32, "dimensions": 8},
            "quintuplets": {"redraw": 4},  # where the centroids move, a training can go on
            "cluster": {"size": 20},
            "engines": {"checkpoint": 2},
        }
    )
    said: list[int] = []
    network = train_rounds(
        faces_store, config, CPU, tmp_path_factory.mktemp("whole"), lambda done, _: said.append(done)
    )
    return config, (network / "model.safetensors").read_bytes(), said


@pytest.mark.parametrize("stop_at", range(9))
def test_an_interrupt_anywhere_is_gone_on_from(
    stop_at: int, whole: tuple[Config, bytes, list[int]], faces_store: ImageStore, tmp_path: Path
) -> None:
    config, expected, said = whole
    assert said == [1, 11, 15, 1, 11, 13, 1, 11, 13]  # of the prior and of two rounds
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        if len(seen) == stop_at:
            raise InterruptedRunError
        seen.append(done)

    with pytest.raises(InterruptedRunError):
        train_rounds(faces_store, config, CPU, tmp_path, progress)
    finished = [name for name, last in (("prior", 3), ("round-1", 6)) if stop_at >= last]
    marks = {name: (tmp_path / name / "COMMITTED.json").stat().st_mtime_ns for name in finished}
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == sorted(
        [*finished, f"{('prior', 'round-1', 'round-2')[stop_at // 3]}.partial"]
    )
    again: list[int] = []
    network = train_rounds(faces_store, config, CPU, tmp_path, lambda done, _: again.append(done))
    assert (network / "model.safetensors").read_bytes() == expected
    assert again == said[stop_at:]  # what is before the checkpoint is not trained again
    assert {name: (tmp_path / name / "COMMITTED.json").stat().st_mtime_ns for name in finished} == marks


def test_images_seen_are_those_that_training_forwards(
    faces_store: ImageStore, small: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, forwarded = Network.forward, []

    def counted(self: Network, images: torch.Tensor) -> Output:
        if self.training:
            forwarded.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", counted)
    train_rounds(faces_store, small, CPU, tmp_path)
    number = len(faces_store.rows(TRAIN))
    assert sum(forwarded) == images_seen(small, number)
    assert sum(forwarded) == pytest.approx(number * (4 + 2 * 2), abs=3 * small.training.batch / 2)  # whole batches
    assert sum(forwarded[: number * 4 // 32]) == images_seen(small, number, rounds=False) == number * 4


def test_images_seen_of_other_priors_and_modes(small: Config) -> None:
    assert images_seen(with_sections(small, prior={"kind": "pca"}), 1600) == 2 * 2 * 1600
    table = with_sections(small, loss={"kind": "hinge"}, quintuplets={"mode": "table"})
    assert images_seen(table, 1600) == images_seen(small, 1600)
    fixed = with_sections(small, training={"iterations": 7})
    assert images_seen(fixed, 1600) == 4 * 1600 + 2 * 7 * 32
