"""The torch engine gives the same bits for any thread count and source, the faiss engine the same clusters."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lmle_core.kmeans import Fit, StoredRows, lloyd, ordered
from lmle_core.kmeans.faiss_blocks import FaissBlocks
from lmle_core.kmeans.torch_blocks import TorchBlocks
from tests.lmle_core.kmeans.random_rows import first_centroids, random_centroids, random_rows, slots_by_loop

SOURCE = random_rows(3000, 4, 16, classes=3)
START = first_centroids(SOURCE, 7, 3)


def _same_bits(one: Fit, other: Fit) -> bool:
    return (
        one.centroids.values.tobytes() == other.centroids.values.tobytes()
        and one.slots.tobytes() == other.slots.tobytes()
        and one.inertia.tobytes() == other.inertia.tobytes()
        and one.history == other.history
    )


def test_no_bit_depends_on_threads_or_source(tmp_path: Path) -> None:
    fit = lloyd(TorchBlocks(SOURCE, threads=1, block=256), START, iterations=8, tolerance=0)
    threads = torch.get_num_threads()
    for several in (2, 5):
        again = lloyd(TorchBlocks(SOURCE, threads=several, block=256), START, iterations=8, tolerance=0)
        assert _same_bits(fit, again)
    assert torch.get_num_threads() == threads
    np.save(tmp_path / "features.npy", np.concatenate([SOURCE.array[:5], SOURCE.array]))
    stored = StoredRows(str(tmp_path / "features.npy"), SOURCE.labels, np.arange(5, 3005))
    assert _same_bits(fit, lloyd(TorchBlocks(stored, block=256), START, iterations=8, tolerance=0))
    for hold in (0, 50_000):  # none, and some of them
        assert _same_bits(fit, lloyd(TorchBlocks(stored, block=256, hold=hold), START, iterations=8, tolerance=0))


def test_many_blocks_are_added_up_in_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = lloyd(TorchBlocks(SOURCE, block=64), START, iterations=8, tolerance=0)
    monkeypatch.setattr(ordered, "SPANS", 5)
    spans = [
        lloyd(TorchBlocks(SOURCE, threads=threads, block=64), START, iterations=8, tolerance=0) for threads in (1, 2)
    ]
    assert _same_bits(*spans)
    assert (spans[0].slots == fit.slots).mean() > 0.999
    np.testing.assert_allclose(spans[0].inertia, fit.inertia, rtol=1e-9)


def test_faiss_finds_the_same_clusters() -> None:
    torch_fit = lloyd(TorchBlocks(SOURCE, block=256), START, iterations=8, tolerance=0)
    faiss_fit = lloyd(FaissBlocks(SOURCE, block=256), START, iterations=8, tolerance=0)
    assert (torch_fit.slots == faiss_fit.slots).mean() > 0.999
    np.testing.assert_allclose(torch_fit.inertia, faiss_fit.inertia, rtol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_faiss_assigns_as_the_loop_does(shared: bool) -> None:
    source = random_rows(200, 3, 5, classes=2, shared=shared)
    centroids = random_centroids(source, 3, 2)
    partial, slots = FaissBlocks(source, block=64).assign(centroids)
    expected, distances = slots_by_loop(source, centroids)
    np.testing.assert_array_equal(slots(), expected)
    np.testing.assert_allclose(partial.inertia, distances.sum(0), rtol=1e-5)


@pytest.mark.gpu
def test_the_gpu_repeats_itself_and_agrees_with_the_cpu() -> None:
    cpu = lloyd(TorchBlocks(SOURCE, block=256), START, iterations=8, tolerance=0)
    gpu = lloyd(TorchBlocks(SOURCE, "cuda", block=256), START, iterations=8, tolerance=0)
    streamed = lloyd(TorchBlocks(SOURCE, "cuda", block=256, hold=0), START, iterations=8, tolerance=0)
    assert _same_bits(gpu, streamed)
    assert (cpu.slots == gpu.slots).mean() > 0.999
    np.testing.assert_allclose(cpu.inertia, gpu.inertia, rtol=1e-5)
