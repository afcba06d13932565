"""How a data set changed between two stores of it: what is new, gone, replaced, relabelled or moved between splits."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from lmle_core.artefact import write_atomically
from lmle_core.store import QUARANTINED, ImageStore

FILE = "changes.json"
MOST_NAMES = 20


@dataclass(frozen=True)
class Images:
    """Some images of a data set.

    Attributes:
        count: how many they are.
        names: file names of the first of them, at most `MOST_NAMES`.
    """

    count: int
    names: tuple[str, ...]

    @classmethod
    def of(cls, filenames: Sequence[str], rows: np.ndarray) -> Self:
        """Those of some rows, ascending."""
        return cls(len(rows), tuple(filenames[row] for row in rows[:MOST_NAMES].tolist()))


@dataclass(frozen=True)
class DataChanges:
    """What became of a data set since a store was made of it. Images are known by their file names.

    Attributes:
        previous: digest of the earlier store.
        new: images that it does not have.
        removed: images that only it has.
        replaced: images whose file has other bytes.
        relabelled: images of another class in an attribute that both stores have.
        moved: images in another split; one that is quarantined in either store is not counted.
        labels: for each attribute that both stores have, how many images changed their class.
    """

    previous: str
    new: Images
    removed: Images
    replaced: Images
    relabelled: Images
    moved: Images
    labels: dict[str, int]

    @classmethod
    def between(cls, before: ImageStore, after: ImageStore) -> Self:
        """Compare two stores. Both must know their files (`ImageStore.folders`)."""
        rows = {name: row for row, name in enumerate(before.filenames)}
        old = np.array([rows.get(name, -1) for name in after.filenames], np.int64)
        both = np.flatnonzero(old >= 0)
        old_both = old[both]
        removed = np.setdiff1d(np.arange(before.n), old_both)
        replaced = (before.source_digests()[old_both] != after.source_digests()[both]).any(axis=1)
        common = [name for name in after.attributes if name in before.attributes]
        earlier = before.labels[:, [before.attributes.index(name) for name in common]][old_both]
        relabelled = earlier != after.labels[:, [after.attributes.index(name) for name in common]][both]
        splits = before.split[old_both], after.split[both]
        moved = (splits[0] != splits[1]) & (splits[0] != QUARANTINED) & (splits[1] != QUARANTINED)
        return cls(
            previous=before.digest,
            new=Images.of(after.filenames, np.flatnonzero(old < 0)),
            removed=Images.of(before.filenames, removed),
            replaced=Images.of(after.filenames, both[replaced]),
            relabelled=Images.of(after.filenames, both[relabelled.any(axis=1)]),
            moved=Images.of(after.filenames, both[moved]),
            labels=dict(zip(common, relabelled.sum(axis=0).tolist(), strict=True)),
        )

    @classmethod
    def load(cls, store: Path) -> Self | None:
        """What a store's directory says of it; None for the first store of a data set."""
        try:
            values = json.loads((store / FILE).read_text())
        except FileNotFoundError:
            return None
        images: dict[str, Any] = {
            name: Images(entry["count"], tuple(entry["names"])) for name, entry in values["images"].items()
        }
        return cls(previous=values["previous"], labels=values["labels"], **images)

    def save(self, store: Path) -> None:
        """Write it into a store's directory."""
        images = {name: asdict(images) for name, images in self.images().items()}
        values = {"previous": self.previous, "images": images, "labels": self.labels}
        write_atomically(store / FILE, json.dumps(values, indent=1))

    def images(self) -> dict[str, Images]:
        """The five kinds of change by name."""
        return {name: getattr(self, name) for name in ("new", "removed", "replaced", "relabelled", "moved")}

    def words(self) -> str:
        """A line: `1,000 new, 3 relabelled`, or `unchanged`."""
        return ", ".join(f"{each.count:,} {name}" for name, each in self.images().items() if each.count) or "unchanged"
