"""Images as objects of a storage, many of them fetched at a time: each takes a round trip, and together little more."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from upath import UPath

from lmle_core.celeba.layout import DataError
from lmle_core.location import reaching

WINDOW = 256
"""Images that are fetched at a time, and held."""

CHANGES = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "updated", "modified")
"""What drivers call that which changes with an object's content: checksums first, then times."""


@dataclass(frozen=True)
class RemoteImages:
    """Images as objects below a prefix; names may hold sub-folders."""

    path: UPath

    def read(self, filename: str) -> bytes:
        """The bytes of one image file. Raises OSError."""
        return self.content(self.fetch([filename])[filename])

    def entries(self) -> dict[str, tuple[int, int]]:
        """For each object its size, and a number made from its checksum (ETag), or from its time of change."""
        root = self.path.path.rstrip("/") + "/"
        with reaching(self.path):
            found: dict[str, dict[str, Any]] = self.path.fs.find(root, detail=True)
        return {name.removeprefix(root): (int(info["size"]), _stamp(name, info)) for name, info in found.items()}

    def ahead(self, filenames: Sequence[str]) -> "ReadAhead":
        """A reader that fetches a window of these at a time."""
        return ReadAhead(self, {name: position for position, name in enumerate(filenames)}, filenames)

    def content(self, found: bytes | OSError) -> bytes:
        """One of what `fetch` found. Raises LocationError where it is why there is nothing."""
        with reaching(self.path):
            if isinstance(found, OSError):
                raise found
        return found

    def fetch(self, filenames: Sequence[str]) -> dict[str, bytes | OSError]:
        """The bytes of several image files at once, or why one of them cannot be had. Raises LocationError."""
        places = [(self.path / name).path for name in filenames]
        with reaching(self.path):  # ranges without bounds: unlike `cat`, it takes names as they are, and asks once
            contents: list[bytes | Exception] = self.path.fs.cat_ranges(places, None, None, on_error="return")
            found: dict[str, bytes | OSError] = {}
            for name, content in zip(filenames, contents, strict=True):
                if not isinstance(content, bytes | FileNotFoundError | PermissionError):
                    raise content
                found[name] = content
        return found


@dataclass
class ReadAhead:
    """Reads files in about the order in which they were announced."""

    images: RemoteImages
    positions: Mapping[str, int]
    filenames: Sequence[str]
    _held: dict[str, bytes | OSError] = field(default_factory=dict)

    @property
    def path(self) -> UPath:
        """The prefix."""
        return self.images.path

    def read(self, filename: str) -> bytes:
        """The bytes of one image file. Raises OSError."""
        if filename not in self._held:
            start = self.positions[filename]
            self._held = self.images.fetch(self.filenames[start : start + WINDOW])
        return self.images.content(self._held[filename])


def _stamp(name: str, info: Mapping[str, Any]) -> int:
    """63 bits of what changes with an object's content. Raises DataError where the storage tells nothing."""
    change = next((info[key] for key in CHANGES if info.get(key)), None)
    if change is None:
        raise DataError(f"{name}: the storage tells neither a checksum nor a time of change: no URL for data")
    return int.from_bytes(hashlib.sha256(str(change).encode()).digest()[:8]) >> 1
