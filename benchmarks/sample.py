"""What the stages are measured on, made once in a folder: files, store, a briefly trained network, embeddings."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from benchmarks.scale import Scale
from lmle_core.celeba.annotations import read_celeba
from lmle_core.celeba.images import FOLDER
from lmle_core.clusters import Clusters, cluster
from lmle_core.config import Config
from lmle_core.cores import cores
from lmle_core.device import DeviceImages, augment, choose_device, seeded_generator
from lmle_core.faces import file_name, write_all_images, write_annotations
from lmle_core.features import BATCH
from lmle_core.ingest import ingest_over
from lmle_core.kmeans import ArrayRows
from lmle_core.kmeans.torch_blocks import TorchBlocks
from lmle_core.network import Network, load_network
from lmle_core.prior import class_count, make_prior
from lmle_core.store import TEST, TRAIN, VALID, ImageStore
from lmle_core.training import train_round

SHIFT = 0.06


@dataclass(frozen=True)
class Embeddings:
    """Embeddings on disk, and their labels.

    Attributes:
        path: an .npy file, float32 (n, A, d), unit length.
        labels: int8 (n, A).
        attributes: A names.
    """

    path: Path
    labels: np.ndarray
    attributes: tuple[str, ...]

    def array(self) -> np.ndarray:
        """The embeddings, mapped."""
        return np.load(self.path, mmap_mode="r")


class Sample:
    """The material of a suite.

    Args:
        scale: how much.
        folder: where it is made and kept.
    """

    def __init__(self, scale: Scale, folder: Path) -> None:
        self.scale, self.folder = scale, folder
        self.config = scale.config()
        self.device = choose_device(self.config.engines.device)
        self.threads = cores()
        folder.mkdir(parents=True, exist_ok=True)

    def faces(self, images: int) -> Path:
        """A folder in CelebA's layout with so many files; beyond the scale's faces they are links to the first ones."""
        directory = self.folder / f"faces-{images}" / "celeba"  # the name that torchvision looks for
        if (directory / "list_attr_celeba.txt").exists():
            return directory
        drawn = self._drawn
        (directory / FOLDER).mkdir(parents=True, exist_ok=True)
        for i in range(images):
            link = directory / FOLDER / file_name(i)
            if not link.exists():
                os.link(drawn / FOLDER / file_name(i % self.scale.faces), link)
        write_annotations(directory, images, self.config.seed, self.config.data.label_noise)
        return directory

    def store(self, images: int) -> ImageStore:
        """The image store of `faces(images)`."""
        directory = self.folder / f"store-{images}.zarr"
        if not (directory / "quarantine.json").exists():
            directory.mkdir(exist_ok=True)
            with ThreadPoolExecutor(self.threads) as pool:
                ingest_over(pool, directory, read_celeba(self.faces(images)), self.config.data)
        return ImageStore.open(directory)

    @cached_property
    def directory_of_network(self) -> Path:
        """A prior and one round, trained on the scale's faces for an epoch or two."""
        after = self.folder / "network"
        if (after / "model.json").exists():
            return after
        store = self.store(self.scale.faces)
        config = self.config.model_copy(
            update={"prior": self.config.prior.model_copy(update={"epochs": 3.0, "decay": True})}
        )
        config = config.model_copy(update={"training": config.training.model_copy(update={"epochs": 1.0, "rounds": 1})})
        prior = self._folder("prior")
        make_prior(store, config, self.device, prior)
        partial = self._folder("network.partial")
        train_round(1, store, self._round_clusters(store, prior, config), prior, config, self.device, partial)
        return partial.rename(after)

    def network(self) -> Network:
        """The trained network, on the device, in evaluation mode."""
        return load_network(self.directory_of_network, self.device)

    def embeddings(self, images: int) -> "Embeddings":
        """Embeddings of training images, all distinct: beyond the scale's faces, of shifted and mirrored views."""
        return self._embed(TRAIN, images)

    @property
    def validation(self) -> "Embeddings":
        """Embeddings of the validation split."""
        return self._embed(VALID)

    @property
    def test(self) -> "Embeddings":
        """Embeddings of the test split."""
        return self._embed(TEST)

    def clusters(self, images: int) -> Clusters:
        """The clusters of `embeddings(images)`, as a round has them."""
        directory = self.folder / f"clusters-{images}"
        if not (directory / "clusters.json").exists():
            found = self.embeddings(images)
            source = ArrayRows(found.array(), found.labels)
            cluster(
                TorchBlocks(source, self.device), self.config.cluster, attributes=found.attributes, n_classes=2,
                seed=self.config.seed, round=1,
            ).save(directory)  # fmt: skip
        return Clusters.load(directory)

    @cached_property
    def _drawn(self) -> Path:
        """The faces themselves, drawn over all cores."""
        directory = self.folder / "drawn"
        whole = directory / "whole"
        if not whole.exists():
            write_all_images(directory, self.scale.faces, self.config.seed)
            whole.touch()
        return directory

    def _round_clusters(self, store: ImageStore, prior: Path, config: Config) -> Clusters:
        rows = store.rows(TRAIN)
        network = load_network(prior, self.device)
        with torch.inference_mode():
            parts = [
                torch.nn.functional.normalize(network.features(torch.from_numpy(block).to(self.device)), dim=-1)
                for block in (store.gather(rows[low : low + BATCH]) for low in range(0, len(rows), BATCH))
            ]
        source = ArrayRows(torch.cat(parts)[:, None].cpu().numpy(), store.labels[rows], None)
        return cluster(
            TorchBlocks(source, self.device), config.cluster, attributes=store.attributes,
            n_classes=class_count(store.labels), seed=config.seed, round=1,
        )  # fmt: skip

    def _embed(self, split: int, images: int | None = None) -> Embeddings:
        store = self.store(self.scale.faces)
        rows = store.rows(split)
        images = len(rows) if images is None else images
        rows = np.resize(rows, images)
        path = self.folder / f"embeddings-{split}-{images}.npy"
        if not path.exists():
            self._write_embeddings(path, store, rows, self.network())  # which trains, where it is not there yet
        return Embeddings(path, store.labels[rows], store.attributes)

    @torch.inference_mode()
    def _write_embeddings(self, path: Path, store: ImageStore, rows: np.ndarray, network: Network) -> None:
        images = DeviceImages(store, rows, self.device)
        distinct = len(np.unique(rows))
        partial = path.with_suffix(".partial")
        shape = (len(rows), network.spec.attributes, network.spec.dimensions)
        array = np.lib.format.open_memmap(partial, "w+", np.float32, shape)
        for number, low in enumerate(range(0, len(rows), BATCH)):
            positions = np.arange(low, min(low + BATCH, len(rows)))
            batch = images(positions)
            if low >= distinct:
                generator = seeded_generator((9, number), self.device)
                draws = torch.rand(3, len(batch), 1, generator=generator, device=self.device)
                batch = augment(batch, draws, flip=True, shift=SHIFT)
            array[positions] = network(batch).embeddings.cpu().numpy()
        array.flush()
        partial.rename(path)

    def _folder(self, name: str) -> Path:
        directory = self.folder / name
        directory.mkdir(exist_ok=True)
        return directory
