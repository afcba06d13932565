"""Drift: how far new images are from those that a model was trained on, in labels, embeddings and clusters."""

import csv
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lmle_core.comparison.wording import markdown_table
from lmle_core.metrics import rounded
from lmle_core.training_profile import TrainingProfile

CHANCE = 0.999
"""What chance alone gives in fewer than one of 1,000 tables is no chance: some 80 are looked at each time."""


@dataclass(frozen=True)
class AttributeDrift:
    """One attribute's drift.

    Attributes:
        attribute: its name.
        known_rate: share of its last class (the positives of a binary attribute) in training.
        new_rate: likewise among the new images.
        z: of the difference of the two shares; at most about 0 ± 1 without drift.
        label_psi: population stability index of the classes.
        cluster_psi: likewise of the shares of images nearest to each centroid.
        mean_shift: distance of the mean embeddings, 0 to 2.
        known_spread: of the embeddings in training; 1 is uniform on the sphere.
        new_spread: likewise of the new images.
        warnings: 'labels', 'clusters': whose index is over the threshold, and not by chance.
    """

    attribute: str
    known_rate: float
    new_rate: float
    z: float
    label_psi: float
    cluster_psi: float
    mean_shift: float
    known_spread: float
    new_spread: float
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """How far new images are from the training images.

    Attributes:
        known: number of training images.
        new: number of new images.
        threshold: of both indices.
        attributes: each one's drift.
    """

    known: int
    new: int
    threshold: float
    attributes: tuple[AttributeDrift, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """'labels of Bald (0.31)', the largest first."""
        found = [
            (each.label_psi if what == "labels" else each.cluster_psi, f"{what} of {each.attribute}")
            for each in self.attributes
            for what in each.warnings
        ]
        return tuple(f"{what} ({value:.2f})" for value, what in sorted(found, key=lambda pair: -pair[0]))

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""
        return {
            "known": self.known,
            "new": self.new,
            "threshold": self.threshold,
            "warnings": list(self.warnings),
            "attributes": {each.attribute: _row(each) for each in self.attributes},
        }

    def write_csv(self, path: Path) -> None:
        """A row an attribute."""
        rows = [{"attribute": each.attribute, **_row(each)} for each in self.attributes]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({**row, "warnings": " ".join(row["warnings"])} for row in rows)

    def markdown(self) -> str:
        """What an operator reads, the strongest drift first."""
        heading = ("attribute", "trained on", "new", "z", "PSI labels", "PSI clusters", "mean moved", "spread", "")
        rows = [
            (
                each.attribute, f"{100 * each.known_rate:.1f} %", f"{100 * each.new_rate:.1f} %", f"{each.z:+.1f}",
                f"{each.label_psi:.3f}", f"{each.cluster_psi:.3f}", f"{each.mean_shift:.3f}",
                f"{each.known_spread:.2f} → {each.new_spread:.2f}", ", ".join(each.warnings),
            )
            for each in sorted(self.attributes, key=lambda each: -max(each.label_psi, each.cluster_psi))
        ]  # fmt: skip
        said = f"Over {self.threshold:g}: {'; '.join(self.warnings) or 'nothing'}."
        return f"{self.new:,} new images against {self.known:,} training images. {said}\n\n" + markdown_table(
            [heading, *rows]
        )


def compare(known: TrainingProfile, new: TrainingProfile, threshold: float) -> Drift:
    """The drift from one profile to another.

    Args:
        known: of the images that the model was trained on.
        new: of new ones, by the same model.
        threshold: an index above it is a warning, unless chance alone gives as much among so few images.

    Raises:
        ValueError: for profiles of different models, or without images.
    """
    if known.attributes != new.attributes or not np.array_equal(known.offsets, new.offsets):
        raise ValueError("profiles: expected two by the same model, found other attributes or other centroids")
    if not len(known) or not len(new):
        raise ValueError(f"profiles: expected images in both, found {len(known)} and {len(new)}")
    shifts = np.linalg.norm(known.means - new.means, axis=1)
    found = []
    for a, attribute in enumerate(known.attributes):
        cells = slice(*known.offsets[a : a + 2])
        tables = {
            "labels": (known.class_counts[a], new.class_counts[a]),
            "clusters": (known.occupancy[cells], new.occupancy[cells]),
        }
        indices = {name: stability_index(*counts) for name, counts in tables.items()}
        before, after = (counts[-1] / counts.sum() for counts in tables["labels"])
        found.append(
            AttributeDrift(
                attribute=attribute,
                known_rate=float(before),
                new_rate=float(after),
                z=z_of_shares(float(before), float(after), known.people, new.people),
                label_psi=indices["labels"],
                cluster_psi=indices["clusters"],
                mean_shift=float(shifts[a]),
                known_spread=float(known.spreads[a]),
                new_spread=float(new.spreads[a]),
                warnings=tuple(
                    name
                    for name, counts in tables.items()
                    if indices[name] > max(threshold, by_chance(len(counts[0]), known.people, new.people))
                ),
            )
        )
    return Drift(len(known), len(new), threshold, tuple(found))


def stability_index(known: NDArray[np.int64], new: NDArray[np.int64]) -> float:
    """Population stability index of two tables of counts: PSI = Σ_k (q_k − p_k) ln(q_k / p_k).

    Args:
        known: (K,) counts, whose shares are p.
        new: (K,), whose shares are q.

    Returns:
        At least 0; under 0.1 reads as none, over 0.25 as large drift.

    Source: Siddiqi, Credit Risk Scorecards, 2006.

    Corner cases: half a count is added to each cell, so that an empty one gives no infinity.
    """
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (known, new))
    return float(((q - p) * np.log(q / p)).sum())


def by_chance(cells: int, known: int, new: int) -> float:
    """The index that two samples of one population exceed once in 1,000 times: (1/n + 1/m) χ²(K − 1).

    Args:
        cells: K, of the two tables.
        known: n, how many are independent: people, whose images are not.
        new: m, likewise.

    Source: Yurdakul, Statistical properties of population stability index, Western Michigan University, 2018.

    Corner cases: with a single cell it is 0.
    """
    from scipy.stats import chi2  # slow to import

    return float((1 / known + 1 / new) * chi2.ppf(CHANCE, cells - 1)) if cells > 1 else 0.0


def z_of_shares(before: float, after: float, known: int, new: int) -> float:
    """Difference of two shares, in units of its pooled deviation among so many people; 0 where both are 0 or 1."""
    pooled = (known * before + new * after) / (known + new)
    variance = pooled * (1 - pooled) * (1 / known + 1 / new)
    return (after - before) / math.sqrt(variance) if variance > 0 else 0.0


def _row(drift: AttributeDrift) -> dict[str, Any]:
    values = asdict(drift)
    del values["attribute"]
    return {name: rounded(value) if isinstance(value, float) else list(value) for name, value in values.items()}
