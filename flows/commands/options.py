"""Options that several commands share, and what is made of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.exits import UsageError

if TYPE_CHECKING:
    from lmle_core.location import Location

Preset = Annotated[
    str | None, typer.Option("--preset", "-p", help="Values to start from: demo, celeba, paper, or a TOML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="SECTION.KEY=VALUE", help="Lay a value over the preset's; may be repeated."),
]
chosen: list[Path] = []
"""The command's `--workspace`, where it has one."""


def _chosen(workspace: Path | None) -> Path | None:
    chosen[:] = [workspace] if workspace is not None else []
    return workspace


Workspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace", "-w", callback=_chosen, help="Where artefacts go; default LMLE_WORKSPACE, else ./workspace."
    ),
]
DataFolder = Annotated[
    str | None,
    typer.Option(
        "--data", "-d", metavar="FOLDER",
        help="Folder in CelebA's layout, or its URL (s3://…); without one, a run makes the images of its preset.",
    ),
]  # fmt: skip
Model = Annotated[str, typer.Option("--model", help="Name in MLflow's model registry.")]
Seed = Annotated[int | None, typer.Option("--seed", help="The one seed of everything random.")]


def laid_over(
    settings: list[str] | None, data: str | None, workspace: Path | None, seed: int | None = None
) -> list[str]:
    """The settings with those of the options `--data`, `--workspace` and `--seed`."""
    given = list(settings or [])
    if data is not None:
        given.append(f"data.directory={_toml(str(folder(data)))}")
    if workspace is not None:
        given.append(f"engines.workspace={_toml(str(workspace))}")
    if seed is not None:
        given.append(f"seed={seed}")
    return given


def _toml(text: str) -> str:
    """A string of TOML, which has no surrogates for what is beyond 16 bits."""
    return json.dumps(text, ensure_ascii=False)


def folder(place: str, option: str = "--data") -> "Location":
    """The folder or URL that an option names; a folder is made absolute. Raises UsageError where it is not there."""
    from lmle_core.location import locate

    try:
        folder = locate(place)
    except ValueError as error:
        raise UsageError(f"{option} {place}: {error}") from None
    if isinstance(folder, Path) and not folder.is_dir():
        raise UsageError(f"{option} {place}: no such folder")
    return folder.resolve() if isinstance(folder, Path) else folder


def names(entries: Iterable[str]) -> tuple[str, ...]:
    """Names of an option that may be repeated, each a name or several with commas between."""
    return tuple(name for entry in entries for name in entry.split(","))
