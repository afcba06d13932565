"""The device a run computes on, and the training images that live there."""

from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from lmle_core.cores import cores
from lmle_core.distributed.ranks import local_ranks
from lmle_core.store import ImageStore

CPU_BUDGET = 4 << 30
"""Bytes of images that a training copies into memory on a CPU; above it they are gathered from the memory maps."""


def gpus() -> int:
    """How many GPUs torch can use; the driver counts those too for which it is too old."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def choose_device(name: str) -> torch.device:
    """The torch device of 'auto' (the GPU where there is one), 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        ValueError: if the device is not to be had here.
    """
    if name == "auto":
        return torch.device("cuda" if gpus() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"engines.device {name!r}: expected 'auto', 'cpu', 'cuda' or 'cuda:N'")
    if device.type == "cuda" and (device.index or 0) >= gpus():
        raise ValueError(f"engines.device {name!r}: torch can use {gpus()} CUDA devices of this machine")
    return device


def set_threads(threads: int) -> None:
    """Use that many CPU threads, in torch, BLAS and OpenMP alike; 0: as many as this process may run on."""
    torch.set_num_threads(threads or cores())
    threadpool_limits(threads or cores())


@dataclass(frozen=True)
class Places:
    """Where trainings that run at the same time compute.

    Attributes:
        devices: name of the device of each place.
        threads: CPU threads of each.
    """

    devices: tuple[str, ...]
    threads: int

    @classmethod
    def of(cls, device: str, number: int = 0) -> "Places":
        """Places on a device of `choose_device`; with 'auto' or 'cuda', over all GPUs.

        Args:
            device: 'auto', 'cpu', 'cuda' or 'cuda:N'.
            number: of places; 0: one a GPU, or one a core where there is none.
        """
        processors = cores()
        if choose_device(device).type == "cpu":
            devices = ["cpu"] * (number or processors)
        else:
            known = [device] if ":" in device else [f"cuda:{gpu}" for gpu in range(gpus())]
            devices = [known[place % len(known)] for place in range(number or len(known))]
        return cls(tuple(devices), max(1, processors // len(devices)))


def free_memory(device: torch.device) -> int:
    """Bytes of a GPU that nothing holds; what torch keeps of tensors that are gone is given back first."""
    torch.cuda.empty_cache()
    return torch.cuda.mem_get_info(device)[0]


class DeviceImages:
    """Images of chosen rows by position: resident on the device as uint8 where they fit, else gathered from the store.

    Args:
        store: the image store.
        rows: row of each position, shape (M,).
        device: where batches are wanted.
    """

    def __init__(self, store: ImageStore, rows: np.ndarray, device: torch.device) -> None:
        self.store, self.rows, self.device = store, rows, device
        needed = len(rows) * int(np.prod(store.shape))
        budget = int(0.6 * free_memory(device)) if device.type == "cuda" else CPU_BUDGET // local_ranks()
        self.resident: Tensor | None = None
        if needed <= budget:
            self.resident = torch.empty((len(rows), *store.shape), dtype=torch.uint8, device=device)
            for low in range(0, len(rows), store.shard):
                part = torch.from_numpy(store.gather(rows[low : low + store.shard]))
                self.resident[low : low + len(part)] = part.to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, positions: np.ndarray) -> Tensor:
        """Images at the positions, uint8, shape (len(positions), 3, H, W), on the device."""
        if self.resident is not None:
            return self.resident.index_select(0, on_device(positions, self.device))
        return on_device(self.store.gather(self.rows[positions]), self.device)


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array on a device; a GPU copies it from pinned memory, so that the host goes on meanwhile."""
    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def seeded_generator(seed: tuple[int, ...], device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose draws follow from a tuple of integers."""
    return torch.Generator(device).manual_seed(entropy(seed))


def entropy(seed: tuple[int, ...]) -> int:
    """32 bits that follow from a tuple of integers."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0])


def augment(images: Tensor, draws: Tensor, *, flip: bool, shift: float) -> Tensor:
    """Mirror half of the images and shift each by up to a share of its side, in one gather; edges are repeated.

    Args:
        images: uint8, shape (B, 3, H, W).
        draws: uniform in [0, 1), shape (3, B, 1): of the shift down, the shift to the right, and the mirroring.
        flip: whether to mirror.
        shift: largest shift, as a share of the side.

    Returns:
        A new tensor of the same shape.
    """
    _, channels, height, width = images.shape
    device = images.device
    rows = torch.arange(height, device=device) + _offset(draws[0], shift, height)
    columns = torch.arange(width, device=device) + _offset(draws[1], shift, width)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    if flip:
        columns = torch.where(draws[2] < 0.5, width - 1 - columns, columns)
    pixels = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)  # the same for each channel
    return images.flatten(2).gather(2, pixels[:, None].expand(-1, channels, -1)).view(images.shape)


def _offset(draws: Tensor, shift: float, side: int) -> Tensor:
    reach = int(shift * side)
    return (draws * (2 * reach + 1)).long().clamp(max=2 * reach) - reach
