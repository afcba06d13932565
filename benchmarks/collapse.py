"""The hinge that collapses, and what keeps it from it: `python -m benchmarks.collapse` draws docs/collapse.png."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from matplotlib.figure import Figure

from benchmarks.environment import environment
from benchmarks.record import Json, today, write_record
from benchmarks.sample import Sample
from benchmarks.scale import Scale
from lmle_core.config import Config
from lmle_core.cores import cores
from lmle_core.device import set_threads
from lmle_core.experiment import configured
from lmle_core.figures.style import GREY, INK, SERIES, legend_below, new_figure, save, tidy
from lmle_core.health import spread
from lmle_core.kmeans.seeding import cluster_counts
from lmle_core.margins import margins_of
from lmle_core.methods.catalogue import METHODS
from lmle_core.store import TRAIN, VALID, ImageStore
from lmle_core.training.rounds import encoded, train_rounds

FIGURE = Path(__file__).parents[1] / "docs" / "collapse.png"
IMAGES, SEEDS, ROUNDS = 6000, (100, 101, 102), 4
"""Faces and seeds that no study draws."""
SCALE = Scale("collapse", IMAGES, {}, 0, (), "study-faces", ("seed=100", f"training.rounds={ROUNDS}"))
LITERAL, REPAIRED = "table mode by the letter", "table mode, repaired"
CANDIDATES = ((2, 1), (2, 3), (6, 6), (6, 54))
RECIPES: Mapping[str, Mapping[str, Any]] = {
    LITERAL: METHODS["table-literal"].trials[0],
    REPAIRED: METHODS["table"].trials[0],
    **{
        f"batch mode, {own} and {other}": {"quintuplets.positives": own, "quintuplets.impostors": other}
        for own, other in CANDIDATES
    },
}
"""Settings by the recipe's name; of batch mode with the candidates for members of the class, and for impostors."""


def measure(name: str, seed: int, store: ImageStore, folder: Path) -> list[Json]:
    """Train a recipe, and look at each of its rounds.

    Args:
        name: of `RECIPES`.
        seed: of the training.
        store: the images.
        folder: gets the networks.

    Returns:
        Of each round the `spreads` of all attributes on the validation split, and the hinge's `loss` at its end, summed
        over the headers, as a share of g1 + g2 + g3, which it is where all distances are equal.
    """
    set_threads(1)
    device = torch.device("cpu")
    config, _ = configured(SCALE.config().model_copy(update={"seed": seed}), RECIPES[name])
    folder = folder / f"{'-'.join(name.replace(',', '').split())}-{seed}"
    train_rounds(store, config, device, folder)
    equal = _loss_of_equal_distances(store, config)
    rounds = []
    for number in range(1, ROUNDS + 1):
        network = folder / f"round-{number}"
        points = json.loads((network / "curves.json").read_text())
        ended = points[-len(points) // 5 :]
        loss = np.mean([sum(point[f"loss_header_{header}"] for header in (1, 2, 3)) for point in ended])
        spreads = spread([encoded(store, store.rows(VALID), network, "embeddings", device)])
        rounds.append({"spreads": [round(float(each), 4) for each in spreads], "loss": round(float(loss / equal), 4)})
    return rounds


def draw(record: Json) -> Figure:
    """The least spread and the loss, round after round: means over seeds, and the range."""
    figure = new_figure(10.5, 4.4)
    left, right = figure.subplots(1, 2)
    rounds = np.arange(1, ROUNDS + 1)
    handles = []
    for color, (name, seeds) in zip(SERIES, record["recipes"].items(), strict=True):
        least = np.array([[min(each["spreads"]) for each in one] for one in seeds.values()])
        loss = np.array([[each["loss"] for each in one] for one in seeds.values()])
        for axes, values in ((left, least), (right, loss)):
            axes.fill_between(rounds, values.min(0), values.max(0), color=color, alpha=0.15, linewidth=0)
            (line,) = axes.plot(rounds, values.mean(0), "-" if name.startswith("batch") else "--o", color=color, ms=4)
        handles.append(line)
    left.axhline(0.1, color=GREY, linewidth=0.9, linestyle=":")
    left.text(ROUNDS, 0.11, "collapsed below", ha="right", va="bottom", fontsize=8.5, color=INK)
    right.axhline(1, color=GREY, linewidth=0.9, linestyle=":")
    right.text(1.02, 1.01, "all distances equal", va="bottom", fontsize=8.5, color=INK)
    tidy(left, "Least spread of 40 attributes", "round")
    tidy(right, "Hinge, as a share of g1 + g2 + g3", "round")
    for axes in (left, right):
        axes.set_xticks(rounds)
        axes.set_ylim(bottom=0)
    legend_below(figure, handles, list(record["recipes"]), columns=3)
    return figure


def _loss_of_equal_distances(store: ImageStore, config: Config) -> float:
    """g1 + g2 + g3, meaned over attributes and classes, which count the same by costs or by how anchors are drawn."""
    labels = store.labels[store.rows(TRAIN)]
    sizes = np.stack([(labels == c).sum(0) for c in (0, 1)], 1)
    margins = margins_of(config.loss, sizes, sizes / cluster_counts(sizes, config.cluster.size, config.cluster.maximum))
    return float(sum(np.mean(each) for each in (margins.g1, margins.g2, margins.g3)))


def main(words: Sequence[str] | None = None) -> None:
    """Measure all recipes, keep the record, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("workspace/bench/collapse"))
    folder = parser.parse_args(words).folder.resolve()
    store = Sample(SCALE, folder).store(IMAGES)
    jobs = [(name, seed) for name in RECIPES for seed in SEEDS]
    found = Parallel(cores())(delayed(measure)(name, seed, store, folder) for name, seed in jobs)
    recipes: dict[str, dict[str, list[Json]]] = {name: {} for name in RECIPES}
    for (name, seed), rounds in zip(jobs, found, strict=True):
        recipes[name][str(seed)] = rounds
    record = {
        "command": "python -m benchmarks.collapse",
        "date": today(),
        "environment": environment(),
        "config": SCALE.config().model_dump(mode="json", exclude={"engines"}),
        "recipes": recipes,
    }
    write_record(record, "collapse", compact=True)
    save(draw(record), FIGURE)


if __name__ == "__main__":
    main()
