"""Commands that train: a run, a retraining, a comparison, a study; and a machine that is lent to them."""

from typing import Annotated

import typer

from flows.commands.options import DataFolder, Preset, Seed, Settings, Workspace, laid_over, names
from flows.exits import UsageError


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

    run_here(load_config(preset, laid_over(settings, data, workspace, seed)))


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

    retrain_here(load_config(preset, laid_over(settings, data, workspace, seed)))


def compare(
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            "-m",
            help="Names with commas between, of those in README.md; the first is compared with the others. "
            "Default: twelve, LMLE first.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each method, each from a seed of its own.")] = 3,
    trial_seeds: Annotated[int, typer.Option(min=1, help="Of them, for the choice of settings.")] = 3,
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

    chosen = names(methods or DEFAULT_METHODS)
    compare_here({name: load_config(preset, laid_over(settings, data, workspace))}, chosen, {name: seeds}, trial_seeds)


def study(
    name: Annotated[str, typer.Argument(help="faces, digits, digits-90, faces-ablation, …")],
    seeds: Annotated[int | None, typer.Option(min=1, help="Instead of the study's own number.")] = None,
    trial_seeds: Annotated[int | None, typer.Option(min=1, help="Likewise, for the choice of settings.")] = None,
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
    chosen = names(methods or found.methods)
    numbers = {comparison: seeds or found.seeds_of(comparison) for comparison in found.variants}
    compare_here(found.configs(laid_over(settings, data, workspace)), chosen, numbers, trial_seeds or found.trial_seeds)


def join(
    rendezvous: Annotated[str, typer.Argument(metavar="HOST:PORT", help="`engines.rendezvous` of the run.")],
    nodes: Annotated[int, typer.Option(min=2, help="`engines.nodes` of the run.")] = 2,
    processes: Annotated[int, typer.Option(min=1, help="Of training on this machine: one a GPU.")] = 1,
) -> None:
    """Lend this machine to the trainings of a run on another one, until interrupted."""
    if not rendezvous.rpartition(":")[2].isdigit():
        raise UsageError(f"{rendezvous}: expected HOST:PORT, as engines.rendezvous of the run")
    from flows.interrupts import interruptible
    from lmle_core.distributed import launch

    with interruptible():
        launch.join(rendezvous, nodes, processes, print)
