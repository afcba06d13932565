"""The `lmle` command. Heavy libraries are imported inside the commands that need them."""

import json
import os
import select
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.exits import Exit, UsageError, explain
from infra.settings import workspace_path

if TYPE_CHECKING:
    from lmle_core.location import Location
    from tasks.champions import Champions

app = typer.Typer(
    name="lmle",
    help="Large Margin Local Embedding: classification of imbalanced image labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 2 wrong usage or input, 3 interrupted and resumable, 4 a stage failed, "
    "5 a quality gate refused.",
)


STDOUT = 1
SIGINT_CODE = 130
"""What the command line's parser makes of a KeyboardInterrupt."""


class Format(StrEnum):
    """How `predict` writes."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


Preset = Annotated[
    str | None, typer.Option("--preset", "-p", help="Values to start from: demo, celeba, paper, or a TOML file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="SECTION.KEY=VALUE", help="Lay a value over the preset's; may be repeated."),
]
Workspace = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", help="Where artefacts go; default LMLE_WORKSPACE, else ./workspace."),
]
DataFolder = Annotated[
    str | None,
    typer.Option(
        "--data", "-d", metavar="FOLDER",
        help="Folder in CelebA's layout, or its URL (s3://…); without one, procedural faces are made.",
    ),
]  # fmt: skip
Model = Annotated[str, typer.Option("--model", help="Name in MLflow's model registry.")]
Seed = Annotated[int | None, typer.Option("--seed", help="The one seed of everything random.")]


@app.command()
def run(
    preset: Preset = None,
    data: DataFolder = None,
    settings: Settings = None,
    workspace: Workspace = None,
    seed: Seed = None,
) -> None:
    """Run the whole flow in this process; started again, it continues where it was."""
    from flows.local import run_here
    from lmle_core.config import load_config

    run_here(load_config(preset, _laid_over(settings, data, workspace, seed)))


@app.command()
def retrain(
    preset: Preset = None,
    data: DataFolder = None,
    settings: Settings = None,
    workspace: Workspace = None,
    seed: Seed = None,
) -> None:
    """Train a challenger on the data of today, and make it champion where it is better on the frozen test images."""
    from flows.local import retrain_here
    from lmle_core.config import load_config

    retrain_here(load_config(preset, _laid_over(settings, data, workspace, seed)))


@app.command()
def champions(model: Model = "lmle", workspace: Workspace = None) -> None:
    """List the versions that are or were champion, in the order in which they became so."""
    from flows.tables import print_champions

    found = _champions(model, workspace_path(workspace))
    print_champions(found.history(), found.current())


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(min=1, help="Version; default: the one the champion replaced.")] = None,
    model: Model = "lmle",
    workspace: Workspace = None,
) -> None:
    """Make the previous champion the champion again; called twice, it goes back once."""
    from tasks.champions import deciding

    space = workspace_path(workspace)
    found = _champions(model, space)
    with deciding(space, wait=False):
        version, moved = found.roll_back(to)
    print(f"models:/{model}@champion {'is version' if moved else 'was brought back before: version'} {version.number}")


@app.command()
def compare(
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods", "-m", help="Of the catalogue, the first is compared with the others; may be repeated."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each method, each from a seed of its own.")] = 3,
    name: Annotated[str, typer.Option(help="Of the comparison.")] = "comparison",
    preset: Preset = None,
    data: DataFolder = None,
    settings: Settings = None,
    workspace: Workspace = None,
) -> None:
    """Train methods on the same data, seed by seed, and compare the first with the others."""
    from flows.local import compare_here
    from lmle_core.config import load_config
    from lmle_core.methods.catalogue import DEFAULT_METHODS

    chosen = _names(methods or DEFAULT_METHODS)
    compare_here({name: load_config(preset, _laid_over(settings, data, workspace))}, chosen, seeds)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="faces, digits, digits-90, faces-ablation, …")],
    seeds: Annotated[int | None, typer.Option(min=1, help="Instead of the study's own number.")] = None,
    methods: Annotated[list[str] | None, typer.Option("--methods", "-m", help="Instead of the study's own.")] = None,
    data: DataFolder = None,
    settings: Settings = None,
    workspace: Workspace = None,
) -> None:
    """Run one of the studies behind docs/results.md; started again, it continues where it was."""
    from flows.local import compare_here
    from lmle_core.studies import find_study

    found = find_study(name)
    if found.name == "celeba" and data is None:
        raise UsageError("the study of CelebA needs the data: lmle study celeba --data DIR")
    chosen = _names(methods or found.methods)
    compare_here(found.configs(_laid_over(settings, data, workspace)), chosen, seeds or found.seeds)


@app.command()
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


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write to; new or empty.")],
    images: Annotated[int, typer.Option("--images", "-n", min=1, help="Faces to make.")] = 6000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Face i depends on the seed and i alone.")] = 0,
    label_noise: Annotated[float, typer.Option(min=0, max=0.49, help="Share of wrong labels.")] = 0.05,
) -> None:
    """Write procedural faces in CelebA's layout: JPEG files and all annotation files."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: expected a new or empty folder")
    from flows.console import progress_shown
    from lmle_core.faces.files import write_faces
    from tasks.progress import Progress

    with progress_shown():
        progress = Progress("synth", unit="images")
        write_faces(out, images, seed, label_noise, lambda done: progress(done, images))
    print(f"{images:,} faces in {out}; train on them with: lmle run --data {out}")


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="RUN_OR_MODEL", help="Run, its path, or models:/lmle@champion.")],
    files: Annotated[list[Path], typer.Argument(help="Image files, or folders of them.")],
    output: Annotated[Format, typer.Option("--format", "-f", help="How to write it.")] = Format.TABLE,
    out: Annotated[
        Path | None, typer.Option(help="Classify one folder, of any size, on Dask, into a Parquet dataset here.")
    ] = None,
    part: Annotated[int, typer.Option(min=1, help="With --out: images in a file of the dataset.")] = 4096,
    quarantine: Annotated[float, typer.Option(min=0, max=1, help="With --out: share of bad images allowed.")] = 0.01,
    workspace: Workspace = None,
) -> None:
    """Classify image files: a label and a margin (confidence) for each attribute."""
    from flows.runs import classify_files, image_files, model_directory

    space = workspace_path(workspace)
    if out is not None:
        if len(files) > 1 or not files[0].is_dir():
            raise UsageError("--out takes one folder: of images, in CelebA's layout, or an image store")
        from flows.local import predict_here

        predict_here(space, model, files[0], out, part, quarantine)
        return
    paths = image_files(files)
    from flows.tables import write_predictions
    from lmle_core.classifier import Classifier

    write_predictions(classify_files(Classifier.load(model_directory(space, model)), paths), output.value)


@app.command()
def neighbours(
    model: Annotated[str, typer.Argument(metavar="RUN_OR_MODEL", help="Run, its path, or models:/lmle@champion.")],
    image: Annotated[Path, typer.Argument(help="An image file.")],
    attribute: Annotated[
        str | None, typer.Option("--attribute", "-a", help="In whose embedding; default: the model's first.")
    ] = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, help="How many.")] = 12,
    out: Annotated[Path | None, typer.Option(help="PNG file: the image, and its neighbours framed by label.")] = None,
    workspace: Workspace = None,
) -> None:
    """Show the training images nearest to an image in an attribute's embedding."""
    if not image.is_file():
        raise UsageError(f"{image}: no such file")
    from flows.neighbours import show_neighbours

    show_neighbours(workspace_path(workspace), model, image, attribute, k, out)


@app.command()
def runs(workspace: Workspace = None) -> None:
    """List the workspace's runs, the newest last."""
    from flows.runs import runs as known
    from flows.tables import print_runs

    print_runs(known(workspace_path(workspace)))


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="Run, the beginning of its name, its path, or latest.")] = "latest",
    as_json: Annotated[bool, typer.Option("--json", help="summary.json as it is.")] = False,
    workspace: Workspace = None,
) -> None:
    """Show a run's result, attribute by attribute."""
    from flows.runs import find_run
    from flows.tables import print_summary

    found = find_run(workspace_path(workspace), run)
    if as_json:
        print((found.path / "summary.json").read_text(), end="")
    else:
        print_summary(found.summary)


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="Run, the beginning of its name, its path, or latest.")] = "latest",
    browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    workspace: Workspace = None,
) -> None:
    """Print where a run's report is, or open it."""
    from flows.runs import find_run

    path = (find_run(workspace_path(workspace), run).path / "report.html").resolve()
    if not path.is_file():
        raise UsageError(f"{path}: this run has no report")
    print(path)
    if browser:
        typer.launch(str(path))


@app.command()
def up(
    workspace: Workspace = None,
    prefect_port: Annotated[int, typer.Option(min=1, max=65535, help="Prefect's server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65535, help="MLflow's server.")] = 5000,
    dask_port: Annotated[int, typer.Option(min=1, max=65535, help="Dask's scheduler.")] = 8786,
    dashboard_port: Annotated[int, typer.Option(min=1, max=65535, help="Dask's dashboard.")] = 8787,
    dask_workers: Annotated[int, typer.Option(min=0, help="Processes of one thread; 0: one a core.")] = 0,
    postgres: Annotated[
        str | None,
        typer.Option(
            envvar="LMLE_POSTGRES",
            metavar="URL",
            help="postgresql://USER:PASSWORD@HOST/NAME: Prefect and MLflow keep their records in its databases "
            "NAME_prefect and NAME_mlflow, made where missing, instead of in SQLite files.",
        ),
    ] = None,
) -> None:
    """Start Prefect (server and worker), MLflow and Dask on loopback; they outlive this command."""
    from infra import services
    from infra.catalogue import Ports
    from infra.postgres import Postgres

    ports = Ports(prefect_port, mlflow_port, dask_port, dashboard_port)
    databases = Postgres.parse(postgres) if postgres else None
    at = services.up(workspace_path(workspace), ports, dask_workers, databases)
    if ports.prefect != Ports().prefect:
        print(f"\nfor the `prefect` command: export PREFECT_API_URL={at.api}")
    print("\nnext: prefect deploy --all\n      prefect deployment run lmle/demo --watch\n      lmle down")


@app.command()
def down(workspace: Workspace = None) -> None:
    """End the services that `lmle up` started."""
    from infra import services

    if not services.down(workspace_path(workspace)):
        print("no services were up")


@app.command()
def status(workspace: Workspace = None) -> None:
    """Show each service with its address and health; ends with 1 where one is down."""
    from flows.tables import print_rows
    from infra import services

    health = services.status(workspace_path(workspace))
    print_rows(("service", "state", "address"), [(line.name, line.state, line.url) for line in health])
    if not health:
        print(f"no services are up for {workspace_path(workspace)}: `lmle up` starts them")
    if not health or any(line.state != "up" for line in health):
        raise typer.Exit(1)


@app.command("join")
def join_training(
    rendezvous: Annotated[str, typer.Argument(metavar="HOST:PORT", help="`engines.rendezvous` of the run.")],
    nodes: Annotated[int, typer.Option(min=2, help="`engines.nodes` of the run.")] = 2,
    processes: Annotated[int, typer.Option(min=1, help="Of training on this machine: one a GPU.")] = 1,
) -> None:
    """Lend this machine to the trainings of a run on another one, until interrupted."""
    if not rendezvous.rpartition(":")[2].isdigit():
        raise UsageError(f"{rendezvous}: expected HOST:PORT, as engines.rendezvous of the run")
    from flows.interrupts import interruptible
    from lmle_core.distributed.launch import join

    with interruptible():
        join(rendezvous, nodes, processes, print)


@app.command()
def doctor(data: DataFolder = None, workspace: Workspace = None) -> None:
    """Look whether this machine, a workspace and a data folder are fit for a run."""
    from infra.doctor import examine

    problems = 0
    for finding in examine(workspace_path(workspace), None if data is None else _folder(data)):
        mark = "✗" if finding.problem else "✓"
        print(f"{mark} {finding.subject:<14} {finding.found}{f'  → {finding.problem}' if finding.problem else ''}")
        problems += bool(finding.problem)
    if problems:
        raise typer.Exit(Exit.USAGE)


@app.command()
def gc(
    workspace: Workspace = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them; without this, they are only listed.")] = False,
    older: Annotated[float, typer.Option(min=0, help="Only what is unchanged for so many hours.")] = 24,
    keep: Annotated[
        int | None,
        typer.Option(min=0, help="Also finished runs, but the newest so many and those whose model has an alias."),
    ] = None,
) -> None:
    """List, or delete, what interrupted attempts left and what no run refers to."""
    from filelock import Timeout

    from tasks.housekeeping import dispensable_runs, removable, remove

    space, total = workspace_path(workspace), 0
    retired = set() if keep is None else dispensable_runs(space, keep, _runs_with_alias(space))
    for found in removable(space, older * 3600, retired):
        try:
            if delete:
                remove(found.path)
        except Timeout:
            continue  # a process took it up again
        total += found.size
        print(f"{found.why:<13} {found.size / 2**20:9.1f} MiB  {found.path.relative_to(space)}")
    verb = "deleted" if delete else "could be deleted with --delete"
    print(f"{total / 2**20:.1f} MiB {verb}" if total else "nothing to delete")


@app.command()
def bench(
    stages: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Stages; none: all of them.")] = None,
    scale: Annotated[str | None, typer.Option(help="small or full; default: full where there is a GPU.")] = None,
    workspace: Workspace = None,
) -> None:
    """Time the stages against their limits and their peers, and write the records and their table."""
    from benchmarks.scale import SCALES
    from benchmarks.suite import choose_scale, run_suite, unknown_name
    from benchmarks.tables import RECORDS

    if wrong := unknown_name(stages or []):
        raise UsageError(wrong)
    if scale is not None and scale not in SCALES:
        raise UsageError(f"--scale {scale!r}: expected {' or '.join(SCALES)}")
    chosen = choose_scale(scale)
    folder = workspace_path(workspace) / "bench" / chosen.name
    run_suite(stages or [], chosen, folder, RECORDS, ["lmle", "bench", *(stages or []), "--scale", chosen.name])


def _names(entries: Iterable[str]) -> tuple[str, ...]:
    """Names of an option that may be repeated, each a name or several with commas between."""
    return tuple(name for entry in entries for name in entry.split(","))


def _runs_with_alias(workspace: Path) -> set[str]:
    """Runs whose model has an alias in the workspace's MLflow. Raises TrackingError where that does not answer."""
    from flows.local import use_services
    from lmle_core.config import Engines
    from tasks.mlflow_store import answering_uri
    from tasks.models import runs_with_alias

    use_services(workspace)
    return runs_with_alias(answering_uri(Engines(), workspace))


def _champions(model: str, workspace: Path) -> "Champions":
    """The champions of a model in the workspace's store of MLflow. Raises TrackingError where that does not answer."""
    from flows.local import use_services
    from lmle_core.config import Engines
    from tasks.champions import Champions

    use_services(workspace)
    return Champions.open(Engines(model=model), workspace)


def _laid_over(
    settings: list[str] | None, data: str | None, workspace: Path | None, seed: int | None = None
) -> list[str]:
    """The settings with those of the options `--data`, `--workspace` and `--seed`."""
    given = list(settings or [])
    if data is not None:
        given.append(f"data.directory={json.dumps(str(_folder(data)))}")
    if workspace is not None:
        given.append(f"engines.workspace={json.dumps(str(workspace))}")
    if seed is not None:
        given.append(f"seed={seed}")
    return given


def _folder(place: str) -> "Location":
    """The folder or URL that `--data` names; a folder is made absolute. Raises UsageError where it is not there."""
    from lmle_core.location import locate

    try:
        folder = locate(place)
    except ValueError as error:
        raise UsageError(f"--data {place}: {error}") from None
    if isinstance(folder, Path) and not folder.is_dir():
        raise UsageError(f"--data {place}: no such folder")
    return folder.resolve() if isinstance(folder, Path) else folder


def main(arguments: list[str] | None = None) -> None:
    """Run the command, and end with one message and an exit code (see `Exit`).

    Args:
        arguments: of the command line; None: the process's own.
    """
    try:
        code = app(arguments, standalone_mode=False)
        print(end="", flush=True)
        if code == SIGINT_CODE:
            raise KeyboardInterrupt
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        cause = error.__context__ if isinstance(error, SystemExit) else error  # the parser exits at a broken pipe
        if cause is None:
            raise
        if isinstance(cause, BrokenPipeError) and _unread():  # as in `lmle show | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for what is still buffered
            sys.exit(Exit.DONE)
        code, message = explain(cause)
        print(f"lmle: {message}", file=sys.stderr, flush=True)
    sys.exit(code if isinstance(code, int) else Exit.DONE)


def _unread() -> bool:
    """Whether stdout is a pipe that nobody reads any more."""
    stdout = select.poll()
    stdout.register(STDOUT, 0)
    return any(event & select.POLLERR for _, event in stdout.poll(0))


if __name__ == "__main__":
    main()
