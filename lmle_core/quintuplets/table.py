"""The table of mined quintuplets, and its file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_ROLES = ("anchor", "farthest_own", "nearest_outside", "farthest_outside", "impostor")


@dataclass(frozen=True, eq=False)
class Quintuplets:
    """A table of quintuplets; members are row indices as given to `mine`, -1 where the set is empty.

    Attributes:
        attribute: int16 (Q,).
        anchor: int64 (Q,), x.
        farthest_own: int64 (Q,), p+, the most distant member of the anchor's cluster.
        nearest_outside: int64 (Q,), p-, the nearest member of the class outside the cluster.
        farthest_outside: int64 (Q,), p--, the most distant member of the class outside the cluster.
        impostor: int64 (Q,), n, the nearest sample of another class.

    Raises:
        ValueError: where lengths or types do not fit each other.
    """

    attribute: NDArray[np.int16]
    anchor: NDArray[np.int64]
    farthest_own: NDArray[np.int64]
    nearest_outside: NDArray[np.int64]
    farthest_outside: NDArray[np.int64]
    impostor: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.attribute.dtype != np.int16 or self.attribute.ndim != 1:
            raise ValueError(f"attribute: expected int16 (Q,), found {self.attribute.dtype} {self.attribute.shape}")
        for name in _ROLES:
            array = getattr(self, name)
            if array.dtype != np.int64 or array.shape != self.attribute.shape:
                raise ValueError(f"{name}: expected int64 {self.attribute.shape}, found {array.dtype} {array.shape}")
        if (self.anchor < 0).any():
            raise ValueError(f"anchor: expected row indices, found {self.anchor.min()}")

    def __len__(self) -> int:
        return len(self.attribute)

    def members(self, picks: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows x, p+, p-, p--, n of the quintuplets at `picks` (q,), shape (q, 5)."""
        return np.stack([getattr(self, role)[picks] for role in _ROLES], axis=1)

    def save(self, directory: Path) -> None:
        """Write quintuplets.npz."""
        directory.mkdir(parents=True, exist_ok=True)
        np.savez(directory / "quintuplets.npz", **{name: getattr(self, name) for name in ("attribute", *_ROLES)})

    @classmethod
    def load(cls, directory: Path) -> "Quintuplets":
        """Read what `save` wrote."""
        with np.load(directory / "quintuplets.npz") as arrays:
            return cls(**{name: arrays[name] for name in ("attribute", *_ROLES)})
