"""The frozen test split: the names of the images that every champion and challenger are compared on."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from lmle_core.artefact import digest_of
from lmle_core.celeba.layout import DataError, enumerate_names
from lmle_core.store import QUARANTINED, TEST, ImageStore

FILE = "test_images.txt"


@dataclass(frozen=True)
class FrozenTest:
    """Names of test images, sorted; what is known of them is read from the store of the day."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """Any names, in any order."""
        return cls(tuple(sorted(names)))

    @property
    def digest(self) -> str:
        """Identifies the names."""
        return digest_of(list(self.names))

    def rows(self, store: ImageStore, missing: float) -> np.ndarray:
        """The images' rows in a store, ascending.

        Args:
            store: the images of the day.
            missing: share of the names that the store may lack, or hold as undecodable.

        Raises:
            DataError: where it lacks more, or has some of them in another split.
        """
        known = {name: row for row, name in enumerate(store.filenames) if store.split[row] != QUARANTINED}
        absent = [name for name in self.names if name not in known]
        if len(absent) > missing * len(self.names) or len(absent) == len(self.names):
            raise DataError(
                f"{store.path}: of the {len(self.names)} frozen test images, {enumerate_names(absent)} are not "
                "there, and "
                f"data.quarantine allows {missing:.1%} to be missing; put them back, or let "
                "engines.model name another model, whose first champion freezes a test split of its own"
            )
        rows = np.sort(np.array([known[name] for name in self.names if name in known], dtype=np.int64))
        moved = [store.filenames[row] for row in rows[store.split[rows] != TEST]]
        if moved:
            raise DataError(
                f"{store.path}: of the {len(self.names)} frozen test images, {enumerate_names(moved)} are no test "
                "images any more; give them 2 (test) in list_eval_partition, or the challenger is judged on what it "
                "was trained on"
            )
        return rows

    def save(self, directory: Path) -> None:
        """Write `test_images.txt`, a name a line."""
        (directory / FILE).write_text("".join(f"{name}\n" for name in self.names), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, directory: Path) -> Self:
        """What `save` wrote."""
        with (directory / FILE).open(encoding="utf-8", newline="\n") as file:
            return cls.of(line.removesuffix("\n") for line in file)
