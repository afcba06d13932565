"""The storage behind workspaces: committed artefacts at a URL, where other machines find done what one has made.

An artefact is known by its place in the workspace, such as `stages/train/<key>`. Below that name the storage has its
files, in a folder that is named by their digests, and `COMMITTED.json`, which lists them. That is written last, and
replaces an older one whole: who reads it finds every file that it lists, whoever else uploads the same artefact.
"""

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from lmle_core.artefact import MARKER, committed, digest_of, file_digest, lock, settle
from lmle_core.celeba.layout import enumerate_names
from lmle_core.location import LocationError, locate, reaching

LABEL = "lmle-storage.json"
FORMAT = "lmle-storage/1"


class StorageError(RuntimeError):
    """An artefact in a storage that is not what its marker says."""


@dataclass(frozen=True)
class Inventory:
    """What the storage's marker of an artefact says.

    Attributes:
        content: digest of the files' digests; the name of the folder that holds them.
        files: size in bytes, SHA-256 (32 digits) and time of change (ns since 1970) of each file, the artefact's own
            marker among them. Images of an artefact are known by that time, so a fetched file gets it again.
    """

    content: str
    files: dict[str, tuple[int, str, int]]

    @classmethod
    def of(cls, directory: Path) -> "Inventory":
        """That of a committed directory."""
        files = {
            path.relative_to(directory).as_posix(): (path.stat().st_size, file_digest(path), path.stat().st_mtime_ns)
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }
        return cls(digest_of({name: digest for name, (_, digest, _) in files.items()}), files)

    @classmethod
    def parse(cls, text: str) -> "Inventory":
        """Raises ValueError, KeyError or TypeError where it is damaged."""
        record: dict[str, Any] = json.loads(text)
        files = {
            str(name): (int(size), str(digest), int(changed))
            for name, (size, digest, changed) in record["files"].items()
        }
        return cls(str(record["content"]), files)


@dataclass(frozen=True)
class Storage:
    """A storage behind a workspace.

    Attributes:
        workspace: absolute.
        url: a URL that fsspec has a driver for, or the path of a folder that several machines see.
    """

    workspace: Path
    url: str

    def check(self) -> None:
        """Refuse a storage that cannot be written to. Raises LocationError."""
        try:
            root = locate(self.url)
            if isinstance(root, Path) and not root.is_dir():
                raise LocationError(f"{root}: no such folder; make it, or mount what holds it")
            with tempfile.TemporaryDirectory() as folder, reaching(root):
                label = Path(folder) / LABEL
                label.write_text(json.dumps({"format": FORMAT}))
                _upload([(label, root / LABEL)])
        except (OSError, ValueError) as error:
            raise LocationError(f"engines.storage: {error}") from error

    def holds(self, directory: Path) -> bool:
        """Whether an artefact is committed there."""
        marker = self._place(directory) / MARKER
        with reaching(marker):
            return marker.exists()

    def upload(self, directory: Path) -> bool:
        """Upload a committed artefact; returns False where it is there already.

        Raises:
            LocationError: if the storage cannot be written to; nothing is committed there then.
        """
        if self.holds(directory):
            return False
        place, found = self._place(directory), Inventory.of(directory)
        with tempfile.TemporaryDirectory() as folder, reaching(place):
            marker = Path(folder) / MARKER
            marker.write_text(json.dumps(asdict(found), sort_keys=True, indent=1))
            _upload([(directory / name, place / found.content / name) for name in found.files])
            _upload([(marker, place / MARKER)])
        return True

    def fetch(self, directory: Path) -> bool:
        """Bring an artefact that is not in the workspace; returns False where it is, or where nobody uploaded it.

        Raises:
            StorageError: naming the files that are missing or damaged; the workspace is as before then.
            LocationError: if the storage cannot be read.
        """
        if committed(directory) is not None:
            return False
        place = self._place(directory)
        found = _read_marker(place / MARKER)
        if found is None:
            return False
        with lock(directory):
            if committed(directory) is not None:
                return False
            partial = directory.with_name(f"{directory.name}.fetched.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _download(place / found.content, found, partial)
            settle(partial, directory)
        return True

    def _place(self, directory: Path) -> Path | UPath:
        return locate(self.url) / directory.absolute().relative_to(self.workspace).as_posix()


def _read_marker(marker: Path | UPath) -> Inventory | None:
    with reaching(marker):
        try:
            text = marker.read_text()
        except FileNotFoundError:
            return None
    try:
        return Inventory.parse(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{marker} is damaged ({error!r}): remove it, and it is made anew") from None


def _upload(pairs: Sequence[tuple[Path, Path | UPath]]) -> None:
    """Copy files to one storage, each of which appears whole, as objects do anyway."""
    objects: dict[str, UPath] = {}
    for file, place in pairs:
        if isinstance(place, UPath):
            objects[str(file)] = place
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = place.with_name(f"{place.name}.{uuid.uuid4().hex}.partial")
        shutil.copyfile(file, partial)
        partial.replace(place)
    if objects:
        places = list(objects.values())
        places[0].fs.put(list(objects), [place.path for place in places])


def _download(place: Path | UPath, inventory: Inventory, partial: Path) -> None:
    """Copy an artefact's files into a new directory. Raises StorageError where one is not as the marker says."""
    fs, root = UPath(place).fs, UPath(place).path.rstrip("/") + "/"
    with reaching(place):
        there = {name.removeprefix(root): info["size"] for name, info in fs.find(root, detail=True).items()}
        wrong = [name for name, (size, _, _) in inventory.files.items() if there.get(name) != size]
        if not wrong:
            names = list(inventory.files)
            partial.mkdir(parents=True)
            for folder in {(partial / name).parent for name in names}:
                folder.mkdir(parents=True, exist_ok=True)
            fs.get([root + name for name in names], [str(partial / name) for name in names])
            wrong = [name for name in names if file_digest(partial / name) != inventory.files[name][1]]
            for name, (_, _, changed) in inventory.files.items():
                os.utime(partial / name, ns=(changed, changed))
    if wrong:
        shutil.rmtree(partial, ignore_errors=True)
        raise StorageError(
            f"{place.parent} is committed, but files are missing or damaged in {place}: {enumerate_names(wrong)}; "
            f"remove {place.parent / MARKER} and run again: the artefact is made, or uploaded, anew"
        )
