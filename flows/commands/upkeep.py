"""Commands around the work: settings, procedural faces, whether a machine is fit, disk space, benchmarks."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import DataFolder, Preset, Settings, Workspace, folder
from flows.exits import BeginsAnewError, Exit, UsageError
from infra.settings import workspace_path

STAGES = (
    "ingestion, reading, features, training, k-means, mining, classification, whole-run, memory or serving; none: all "
    "but the last two."
)


def config(
    preset: Preset = None,
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, as a Prefect parameter.")] = False,
    schema: Annotated[bool, typer.Option("--schema", help="The JSON schema of all settings.")] = False,
) -> None:
    """Print the effective configuration, each setting with what it means."""
    from lmle_core.config import Config, load_config

    if schema:
        print(json.dumps(Config.model_json_schema(), indent=1))
        return
    found = load_config(preset, settings)
    if as_json:
        print(found.model_dump_json())
        return
    from flows.toml import to_toml

    print(to_toml(found), end="")


def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write to; new or empty.")],
    images: Annotated[int, typer.Option("--images", "-n", min=1, help="Faces to make.")] = 6000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Face i depends on the seed and i alone.")] = 0,
    label_noise: Annotated[
        float, typer.Option(min=0, max=0.49, help="Share of the rarer class's labels that are wrong.")
    ] = 0.05,
) -> None:
    """Write procedural faces in CelebA's layout: JPEG files and all annotation files."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: expected a new or empty folder")
    from flows.console import progress_shown
    from lmle_core.faces.files import write_faces
    from tasks.progress import Progress

    try:
        with progress_shown():
            progress = Progress("synth", unit="images")
            write_faces(out, images, seed, label_noise, lambda done: progress(done, images))
    except KeyboardInterrupt:
        shutil.rmtree(out, ignore_errors=True)  # it was new or empty; what cannot be removed is its own mount
        raise BeginsAnewError from None
    print(f"{images:,} faces in {out}; train on them with: lmle run --data {out}")


def doctor(data: DataFolder = None, workspace: Workspace = None) -> None:
    """Look whether this machine, a workspace and a data folder are fit for a run."""
    from infra.doctor import examine

    problems = 0
    for finding in examine(workspace_path(workspace), None if data is None else folder(data)):
        mark = "✗" if finding.problem else "✓"
        print(f"{mark} {finding.subject:<14} {finding.found}{f'  → {finding.problem}' if finding.problem else ''}")
        problems += bool(finding.problem)
    if problems:
        raise typer.Exit(Exit.USAGE)


def gc(
    workspace: Workspace = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them; without this, they are only listed.")] = False,
    older: Annotated[float, typer.Option(min=0, help="Only what is unchanged for so many hours.")] = 24,
    keep: Annotated[
        int | None,
        typer.Option(min=0, help="Also runs that MLflow knows, but the newest and those whose model has an alias."),
    ] = None,
) -> None:
    """List, or delete, what interrupted attempts left and what no run refers to."""
    from flows.local import answering_mlflow
    from tasks.housekeeping import old_runs, removable, remove
    from tasks.mlflow_store import shown
    from tasks.models import known_runs, runs_with_alias

    space, retired = workspace_path(workspace), []
    if keep is not None:
        uri = answering_mlflow(space)
        known, named, old = known_runs(uri), runs_with_alias(uri), old_runs(space, keep)
        retired = [run for run in old if run.name in known - named]
        if strangers := sum(run.name not in known for run in old):
            print(f"{strangers} old runs are left: the MLflow at {shown(uri)} does not know them")
    directories = total = 0
    for found in removable(space, older * 3600, retired):
        if delete and not remove(found.path, older * 3600):
            continue  # a process took it up again
        directories, total = directories + 1, total + found.size
        print(f"{found.why:<13} {found.size / 2**20:9.1f} MiB  {found.path.relative_to(space)}")
    verb = "deleted" if delete else "could be deleted with --delete"
    print(f"{total / 2**20:.1f} MiB {verb}" if directories else "nothing to delete")


def bench(
    stages: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help=STAGES)] = None,
    scale: Annotated[str | None, typer.Option(help="small or full; default: full where there is a GPU.")] = None,
    workspace: Workspace = None,
) -> None:
    """Time the stages against their limits and their peers, and write the records and their table."""
    from benchmarks.record import RECORDS
    from benchmarks.scale import SCALES
    from benchmarks.suite import choose_scale, run_suite, unknown_name

    if wrong := unknown_name(stages or []):
        raise UsageError(wrong)
    if scale is not None and scale not in SCALES:
        raise UsageError(f"--scale {scale!r}: expected {' or '.join(SCALES)}")
    chosen = choose_scale(scale)
    folder = workspace_path(workspace) / "bench" / chosen.name
    run_suite(stages or [], chosen, folder, RECORDS, ["lmle", "bench", *(stages or []), "--scale", chosen.name])
