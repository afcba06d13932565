import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from lmle_core.device import DeviceImages, Places, augment, choose_device, seeded_generator, set_threads
from lmle_core.store import ImageStore


def slow_augment(images: np.ndarray, draws: np.ndarray, *, flip: bool, shift: float) -> np.ndarray:
    """One pixel at a time."""
    number, channels, height, width = images.shape
    result = np.empty_like(images)
    for i in range(number):
        down, right = (
            min(int(draw * (2 * int(shift * side) + 1)), 2 * int(shift * side)) - int(shift * side)
            for draw, side in ((draws[0, i], height), (draws[1, i], width))
        )
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    column = min(max(x + right, 0), width - 1)
                    if flip and draws[2, i] < 0.5:
                        column = width - 1 - column
                    result[i, c, y, x] = images[i, c, min(max(y + down, 0), height - 1), column]
    return result


@pytest.mark.parametrize("flip", [True, False])
def test_augmentation_shifts_and_mirrors_as_its_draws_say(flip: bool) -> None:
    images = torch.randint(256, (6, 3, 7, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    draws = torch.rand(3, 6, 1, generator=seeded_generator((4, 2)))
    found = augment(images, draws, flip=flip, shift=0.3)
    assert np.array_equal(found.numpy(), slow_augment(images.numpy(), draws.numpy()[..., 0], flip=flip, shift=0.3))


def test_resident_and_gathered_images_are_the_same(faces_store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = faces_store.rows(0)[::2]
    positions = np.array([5, 0, 5, len(rows) - 1])
    resident = DeviceImages(faces_store, rows, torch.device("cpu"))
    monkeypatch.setattr("lmle_core.device.CPU_BUDGET", 0)
    gathered = DeviceImages(faces_store, rows, torch.device("cpu"))
    assert resident.resident is not None and gathered.resident is None
    assert torch.equal(resident(positions), gathered(positions))
    assert np.array_equal(gathered(positions).numpy(), faces_store.gather(rows[positions]))


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"engines.device 'gpu': expected 'auto'"):
        choose_device("gpu")
    with pytest.raises(ValueError, match=r"torch can use \d+ CUDA devices"):
        choose_device("cuda:99")


@pytest.mark.parametrize(
    ("cores", "gpus", "asked", "expected"),
    [
        (8, 0, ("auto", 0), Places(("cpu",) * 8, 1)),
        (8, 0, ("auto", 3), Places(("cpu",) * 3, 2)),
        (2, 0, ("cpu", 5), Places(("cpu",) * 5, 1)),
        (8, 3, ("cpu", 2), Places(("cpu",) * 2, 4)),
        (16, 2, ("auto", 0), Places(("cuda:0", "cuda:1"), 8)),
        (16, 2, ("cuda", 3), Places(("cuda:0", "cuda:1", "cuda:0"), 5)),
        (16, 2, ("cuda:1", 0), Places(("cuda:1",), 16)),
        (16, 2, ("cuda:1", 2), Places(("cuda:1", "cuda:1"), 8)),
        (2, 4, ("auto", 0), Places(tuple(f"cuda:{gpu}" for gpu in range(4)), 1)),
    ],
)
def test_places_are_a_core_or_a_gpu_each_or_as_many_as_asked_for(
    cores: int, gpus: int, asked: tuple[str, int], expected: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmle_core.device.cores", lambda: cores)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert Places.of(*asked) == expected


def test_places_on_a_device_that_is_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    for usable in (True, False):  # False: by a driver that is too old
        monkeypatch.setattr(torch.cuda, "is_available", lambda usable=usable: usable)
        with pytest.raises(ValueError, match=f"torch can use {int(usable)} CUDA devices"):
            Places.of("cuda:1", 2)


def test_threads_are_those_of_every_library() -> None:
    before = torch.get_num_threads()
    try:
        set_threads(1)
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    finally:
        set_threads(before)


@pytest.mark.parametrize("name", ["mps", "meta", "gpu", "cpu:x"])
def test_a_device_that_is_neither_cpu_nor_cuda_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"engines.device '{name}': expected 'auto', 'cpu', 'cuda' or 'cuda:N'"):
        choose_device(name)
