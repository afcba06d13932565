"""One experiment: a method with a decision rule, trained from one seed and scored on one test split, and its files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lmle_core.artefact import write_atomically
from lmle_core.comparison.ranking import Ranking
from lmle_core.metrics import Scores

TRUTH = "truth"
"""Name of the file that holds the labels; no experiment may have it."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The labels of n test images, which all experiments of one study and seed share.

    Attributes:
        labels: (n, A) int8, as annotated.
        clean_labels: (n, A) int8, as they truly are, where that is known.
        groups: (n,) int32, whose image each is, where that is known.
    """

    labels: NDArray[np.int8]
    clean_labels: NDArray[np.int8] | None = None
    groups: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if self.labels.ndim != 2:
            raise ValueError(f"labels: expected (n, A), got {self.labels.shape}")
        if self.clean_labels is not None and self.clean_labels.shape != self.labels.shape:
            raise ValueError(f"clean_labels: expected {self.labels.shape} as labels, got {self.clean_labels.shape}")
        if self.groups is not None and self.groups.shape != self.labels.shape[:1]:
            raise ValueError(f"groups: expected {self.labels.shape[:1]} as labels have, got {self.groups.shape}")

    def save(self, directory: Path) -> None:
        """Write `truth.npz`."""
        arrays = {"labels": self.labels.astype(np.int8)}
        if self.clean_labels is not None:
            arrays["clean_labels"] = self.clean_labels.astype(np.int8)
        if self.groups is not None:
            arrays["groups"] = self.groups.astype(np.int32)
        np.savez_compressed(directory / f"{TRUTH}.npz", allow_pickle=False, **arrays)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """What `save` wrote."""
        with np.load(directory / f"{TRUTH}.npz") as arrays:
            return cls(arrays["labels"], arrays.get("clean_labels"), arrays.get("groups"))


@dataclass(frozen=True, eq=False)
class Experiment:
    """What one method with one decision rule reaches from one seed.

    Attributes:
        method: name of the method.
        rule: name of the decision rule.
        seed: of data, initial weights and batches; experiments of one seed are paired.
        settings: those that the validation split chose, plain JSON values.
        test: scores of the test images on the labels as annotated.
        test_clean: on the clean labels, where these are known.
        ranking: ranking metrics on the labels as annotated.
        ranking_clean: on the clean labels.
        validation: mean balanced accuracy on the validation split, 0 to 1.
        spread: the least of the attributes' embeddings, 1: uniform on the sphere; None for a method without one.
        seconds: of training.
        images_seen: images that training forwarded, repeats counted.
        predictions: (n, A) int8, decided classes of the test images.

    Corner cases: scores and rankings are stored with six decimals, so a loaded experiment differs by at most 5e-7.
    """

    method: str
    rule: str
    seed: int
    settings: Mapping[str, Any]
    test: Scores
    test_clean: Scores | None
    ranking: Ranking
    ranking_clean: Ranking | None
    validation: float
    spread: float | None
    seconds: float
    images_seen: int
    predictions: NDArray[np.int8]

    def __post_init__(self) -> None:
        wanted = (self.test.images, len(self.test.attributes))
        if self.predictions.shape != wanted:
            raise ValueError(
                f"predictions: expected shape {wanted}, as the test scores say, got {self.predictions.shape}"
            )
        if (self.test_clean is None) != (self.ranking_clean is None):
            raise ValueError("test_clean and ranking_clean: expected both or neither")

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the A label columns."""
        return tuple(row.attribute for row in self.test.attributes)

    @property
    def classes(self) -> int:
        """C, classes of each attribute."""
        return len(self.test.mean_recall)

    def save(self, directory: Path, name: str) -> None:
        """Write `<name>.npz` and then `<name>.json`, so that whoever finds the second has both.

        Raises:
            ValueError: for the name of the labels' file, and for settings or figures that JSON has no value for.
        """
        if name == TRUTH:
            raise ValueError(f"name: {TRUTH!r} is the file of the labels, choose another")
        text = json.dumps(self._to_json(), indent=1, allow_nan=False)
        np.savez_compressed(directory / f"{name}.npz", predictions=self.predictions.astype(np.int8))
        write_atomically(directory / f"{name}.json", text)

    @classmethod
    def load(cls, directory: Path, name: str) -> Self:
        """What `save` wrote."""
        values = json.loads((directory / f"{name}.json").read_text())
        clean, ranking_clean = values.pop("test_clean"), values.pop("ranking_clean")
        with np.load(directory / f"{name}.npz") as arrays:
            return cls(
                test=Scores.from_json(values.pop("test")),
                test_clean=None if clean is None else Scores.from_json(clean),
                ranking=Ranking.from_json(values.pop("ranking")),
                ranking_clean=None if ranking_clean is None else Ranking.from_json(ranking_clean),
                predictions=arrays["predictions"],
                **values,
            )

    def _to_json(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "rule": self.rule,
            "seed": self.seed,
            "settings": dict(self.settings),
            "validation": self.validation,
            "spread": self.spread,
            "seconds": self.seconds,
            "images_seen": self.images_seen,
            "test": self.test.to_json(),
            "test_clean": None if self.test_clean is None else self.test_clean.to_json(),
            "ranking": self.ranking.to_json(),
            "ranking_clean": None if self.ranking_clean is None else self.ranking_clean.to_json(),
        }
