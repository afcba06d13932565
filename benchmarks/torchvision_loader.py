"""The loader that a user would otherwise pick: torchvision's `CelebA` behind torch's DataLoader."""

from pathlib import Path

from torch import Tensor
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


class _CelebA(datasets.CelebA):  # type: ignore[misc]
    """Reads any folder in CelebA's layout; the published checksums are those of the real files."""

    def _check_integrity(self) -> bool:
        return True


def celeba_loader(
    directory: Path, split: str, height: int, width: int, batch: int, workers: int, *, shuffle: bool
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Batches of uint8 images (b, 3, height, width) and attributes, decoded anew in each pass by worker processes.

    Args:
        directory: a folder named 'celeba' in CelebA's layout.
        split: 'train', 'valid', 'test' or 'all'.
        height: in pixels; images are resized to it after a centre crop of the same aspect ratio.
        width: in pixels.
        batch: images in a batch.
        workers: processes, kept from one pass to the next; 0: none.
        shuffle: a new order for each pass.
    """
    side = min(178, round(218 * width / height)), min(218, round(178 * height / width))
    transform = transforms.Compose(
        [
            transforms.CenterCrop((side[1], side[0])),
            transforms.Resize((height, width), antialias=True),
            transforms.PILToTensor(),
        ]
    )
    data = _CelebA(str(directory.parent), split, target_type="attr", transform=transform, download=False)
    processes = {"persistent_workers": True, "multiprocessing_context": "spawn"} if workers else {}
    return DataLoader(data, batch, shuffle=shuffle, num_workers=workers, **processes)  # type: ignore[arg-type]
