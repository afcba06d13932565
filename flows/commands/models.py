"""Commands over what was trained: runs and their reports, classification, neighbours, champions."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.options import Model, Workspace, folder
from flows.exits import UsageError
from infra.settings import local, workspace_path

if TYPE_CHECKING:
    from tasks.champions import Champions


class Format(StrEnum):
    """How `predict` writes."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def runs(workspace: Workspace = None) -> None:
    """List the workspace's runs, the newest last."""
    from flows.runs import runs as known
    from flows.tables import print_runs

    print_runs(known(workspace_path(workspace)))


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


def predict(
    model: Annotated[str, typer.Argument(metavar="RUN_OR_MODEL", help="Run, its path, or models:/lmle@champion.")],
    files: Annotated[list[str], typer.Argument(metavar="PATH...", help="Image files, or folders of them.")],
    output: Annotated[Format, typer.Option("--format", "-f", help="How to write it.")] = Format.TABLE,
    out: Annotated[
        Path | None, typer.Option(help="Classify one folder or URL, of any size, on Dask, into a Parquet dataset here.")
    ] = None,
    part: Annotated[int, typer.Option(min=1, help="With --out: images in a file of the dataset.")] = 4096,
    quarantine: Annotated[float, typer.Option(min=0, max=1, help="With --out: share of bad images allowed.")] = 0.01,
    workspace: Workspace = None,
) -> None:
    """Classify image files: a label and a margin (confidence) for each attribute."""
    from flows.runs import classify_files, image_files, model_directory

    space = workspace_path(workspace)
    if out is not None:
        if len(files) > 1:
            raise UsageError("--out takes one folder: of images, in CelebA's layout, or an image store")
        from flows.local import predict_here

        predict_here(space, model, folder(files[0], "--out takes one folder:"), local(out, "--out"), part, quarantine)
        return
    paths = image_files([Path(file) for file in files])
    from flows.tables import write_predictions
    from lmle_core.classifier import Classifier

    found, wrong = classify_files(Classifier.load(model_directory(space, model)), paths)
    if found:
        write_predictions(found, output.value)
    if wrong:
        raise UsageError(
            "\n      ".join(wrong if len(paths) == 1 else [f"no answer for {len(wrong)} of {len(paths)} files", *wrong])
        )


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


def champions(model: Model = "lmle", workspace: Workspace = None) -> None:
    """List the versions that are or were champion, in the order in which they became so."""
    from flows.tables import print_champions

    found = _champions(model, workspace_path(workspace))
    print_champions(found.name, found.history(), found.current())


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


def _champions(model: str, workspace: Path) -> "Champions":
    """The champions of a model in the workspace's store of MLflow. Raises TrackingError where that does not answer."""
    from flows.local import use_services
    from lmle_core.config import Engines
    from tasks.champions import Champions

    engines = Engines(model=model)
    use_services(workspace, engines)
    return Champions.open(engines, workspace)
