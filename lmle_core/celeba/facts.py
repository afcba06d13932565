"""What is known about CelebA: its attributes and their rates, its checksums, and the published results.

Everything is read from `facts.json` beside this module, whose notes say where each table comes from.
"""

import json
from importlib import resources
from typing import Any, Final

_FACTS: Final[dict[str, Any]] = json.loads((resources.files("lmle_core.celeba") / "facts.json").read_text())

IMAGES: Final[int] = _FACTS["images"]
"""Images in the whole data set."""

SPLIT: Final[dict[str, int]] = _FACTS["split"]
"""Images in each published split: train, valid, test."""

ALIGNED_SIZE: Final[tuple[int, int]] = (_FACTS["aligned_size_hw"][0], _FACTS["aligned_size_hw"][1])
"""Height and width of the aligned and cropped images, in pixels."""

ATTRIBUTES: Final[tuple[str, ...]] = tuple(_FACTS["attributes"])
"""The 40 attributes, in the order of `list_attr_celeba.txt`."""

POSITIVE_RATE: Final[dict[str, float]] = {
    name: percent / 100 for name, percent in _FACTS["positive_rate_percent"].items()
}
"""Share of images that carry each attribute, 0 to 1."""

MD5: Final[dict[str, str]] = _FACTS["md5"]
"""MD5 of each published file."""

PUBLISHED: Final[dict[str, dict[str, float]]] = {
    method: {name: percent / 100 for name, percent in scores.items()}
    for method, scores in _FACTS["published_balanced_accuracy_percent"].items()
}
"""Balanced accuracy, 0 to 1, of each method on each attribute."""

PUBLISHED_MEAN: Final[dict[str, dict[str, float]]] = {
    method: {metric: percent / 100 for metric, percent in scores.items()}
    for method, scores in _FACTS["published_mean_percent"].items()
}
"""Mean over the attributes, 0 to 1, for each method: `balanced_accuracy` and `total_accuracy`."""

NEAR_RANDOM: Final[tuple[str, ...]] = ("High_Cheekbones", "Pointy_Nose", "Oval_Face")
"""Attributes whose labels are close to arbitrary; means are given with and without them."""
