"""How hard procedural faces are: a small CNN against principal components with the nearest class mean.

Both learn from the training split's noisy labels and are scored on the test split's clean ones, by balanced accuracy.

    python benchmarks/face_difficulty.py --images 12000 --side 64 --epochs 8 --seeds 2
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lmle_core.celeba.facts import ATTRIBUTES, NEAR_RANDOM
from lmle_core.faces import draw_attributes, mislabel, partition, render

WIDTHS, STRIDES = (16, 32, 48, 64, 96, 128), (2, 2, 1, 2, 1, 2)


def thumbnails(seed: int, indices: range, side: int) -> NDArray[np.uint8]:
    """Centre squares of consecutive images, (n, 3, side, side)."""
    cv2.setNumThreads(1)
    squares = (render(seed, i)[20:198] for i in indices)
    small = [cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA) for square in squares]
    return np.stack(small).transpose(0, 3, 1, 2)


def all_thumbnails(seed: int, images: int, side: int, workers: int) -> NDArray[np.uint8]:
    """The same of a whole data set, by several processes."""
    blocks = [range(k, min(k + 250, images)) for k in range(0, images, 250)]
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        return np.concatenate(list(pool.map(thumbnails, [seed] * len(blocks), blocks, [side] * len(blocks))))


def balanced_accuracy(predicted: NDArray[np.bool_], labels: NDArray[np.int8]) -> NDArray[np.float64]:
    """Of each attribute, (A,); NaN where the labels hold one class only."""
    with np.errstate(invalid="ignore"):
        positive = (predicted & (labels == 1)).sum(0) / (labels == 1).sum(0)
        negative = (~predicted & (labels == 0)).sum(0) / (labels == 0).sum(0)
    return (positive + negative) / 2


def network(attributes: int) -> nn.Sequential:
    """Six convolutions with batch normalisation, an average over positions, one linear output an attribute."""
    layers: list[nn.Module] = []
    before = 3
    for width, stride in zip(WIDTHS, STRIDES, strict=True):
        layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, attributes))


def cnn_scores(
    images: torch.Tensor, labels: torch.Tensor, train: torch.Tensor, test: torch.Tensor, epochs: int, seed: int
) -> NDArray[np.float64]:
    """Log-odds of the test images after training with mirroring and shifts of up to 3 pixels."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = network(labels.shape[1]).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(model.parameters(), 4e-3, weight_decay=0.02)
    batch = 128
    steps = epochs * (len(train) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps, pct_start=0.2)
    for step in range(steps):
        if step % (steps // epochs) == 0:
            order = train[torch.randperm(len(train), generator=generator)]
        index = order[(step % (steps // epochs)) * batch :][:batch]
        flip, dx, dy = (int(torch.randint(n, (1,), generator=generator)) for n in (2, 7, 7))
        batch_images = torch.roll(images[index], (dy - 3, dx - 3), (2, 3))
        x = (batch_images.flip(3) if flip else batch_images).float().sub_(115).div_(65)
        loss = nn.functional.binary_cross_entropy_with_logits(
            model(x.to(memory_format=torch.channels_last)), labels[index].float()
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        return np.concatenate([model(images[k].float().sub_(115).div_(65)).numpy() for k in torch.split(test, 256)])


def pca_distances(
    images: NDArray[np.uint8], labels: NDArray[np.int8], train: NDArray[np.intp], test: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Nearest class mean in 128 principal components of the pixels."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat -= flat[train].mean(0)
    sample = flat[train][:4000]
    _, _, basis = torch.svd_lowrank(torch.from_numpy(sample), 128, niter=4)
    features = flat @ basis.numpy()
    near = np.empty((len(test), labels.shape[1]), np.bool_)
    for column in range(labels.shape[1]):
        means = [features[train][labels[train, column] == value].mean(0) for value in (0, 1)]
        distances = [((features[test] - mean) ** 2).sum(1) for mean in means]
        near[:, column] = distances[1] < distances[0]
    return near


def measure(seed: int, arguments: argparse.Namespace) -> dict[str, object]:
    """One seed's means and its attributes."""
    started = time.perf_counter()
    indices = range(arguments.images)
    images = all_thumbnails(seed, arguments.images, arguments.side, arguments.threads)
    rendered = time.perf_counter()
    clean = draw_attributes(seed, indices)
    noisy = mislabel(clean, seed, indices, arguments.label_noise)
    split = partition(arguments.images)
    train, test = np.flatnonzero(split == 0), np.flatnonzero(split > 0)
    odds = cnn_scores(
        torch.from_numpy(images), torch.from_numpy(noisy), torch.from_numpy(train), torch.from_numpy(test),
        arguments.epochs, seed,
    )  # fmt: skip
    prior = noisy[train].mean(0)
    scores = {
        "cnn_at_half": balanced_accuracy(odds > 0, clean[test]),
        "cnn_at_prior": balanced_accuracy(odds > np.log(prior / (1 - prior)), clean[test]),
        "pca_nearest_mean": balanced_accuracy(pca_distances(images, noisy, train, test), clean[test]),
    }
    usual = [name not in NEAR_RANDOM for name in ATTRIBUTES]
    return {
        "seed": seed,
        "train": len(train),
        "test": len(test),
        **{name: round(float(np.nanmean(score)), 4) for name, score in scores.items()},
        **{f"{name}_without_near_random": round(float(np.nanmean(score[usual])), 4) for name, score in scores.items()},
        "attributes": {
            name: [round(float(score[k]), 3) for score in scores.values()] for k, name in enumerate(ATTRIBUTES)
        },
        "seconds": [round(rendered - started), round(time.perf_counter() - rendered)],
    }


def main() -> None:
    """Measure, and print one JSON object a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=12000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--label-noise", type=float, default=0.05)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for seed in range(arguments.seeds):
        print(json.dumps(measure(seed, arguments)), flush=True)


if __name__ == "__main__":
    main()
