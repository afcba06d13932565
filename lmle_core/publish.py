"""A run's directory: summary.json and everything that a person or a service takes away from a run."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmle_core.artefact import read_commit
from lmle_core.classifier import MODEL, save_classifier
from lmle_core.config import APART, Config
from lmle_core.gallery import draw_gallery
from lmle_core.index import CentroidIndex
from lmle_core.ingest import read_quarantine
from lmle_core.metrics import Scores
from lmle_core.predictions import Predictions, attributes_csv
from lmle_core.report import SCHEMA, write_report
from lmle_core.store import TEST, TRAIN, VALID, ImageStore
from lmle_core.training_profile import TrainingProfile


@dataclass(frozen=True)
class Parts:
    """The directories of the artefacts that make up a run.

    Attributes:
        store: the image store.
        features: of the last round.
        networks: of each round, from 1.
        healths: of each round, from 0.
        index: of the last round's features.
        evaluation: predictions and scores.
        stages: all of the run, for the timings.
    """

    store: Path
    features: Path
    networks: Sequence[Path]
    healths: Sequence[Path]
    index: Path
    evaluation: Path
    stages: Sequence[Path]


def publish(directory: Path, run: str, parts: Parts, config: Config, code: str, command: str) -> None:
    """Write a run's directory.

    Args:
        directory: gets `summary.json`, `timings.json`, `attributes.csv`, `predictions.parquet`, `report.html`,
            `figures/`, `index/` and `model/`.
        run: its name.
        parts: where its artefacts lie.
        config: its configuration.
        code: version of the code.
        command: what repeats it, for the report.
    """
    store = ImageStore.open(parts.store)
    scores = json.loads((parts.evaluation / "scores.json").read_text())
    index = CentroidIndex.load(parts.index)
    summary = {
        "schema": SCHEMA,
        "run": run,
        "data": describe(store),
        "config": config.model_dump(mode="json", exclude=set(APART)),
        "config_digest": config.digest(),
        "code": code,
        "rounds": [json.loads((health / "health.json").read_text()) for health in parts.healths],
        "index": {
            "neighbours": index.neighbours,
            "calibrated": index.biases is not None,
            "rule_weight": index.rule_weight,
            "odds_weight": index.odds_weight,
            "centroids": len(index.centroids),
            "candidates": list(index.candidates),
        },
        **scores,
    }
    test = Scores.from_json(scores["test"])
    baselines = {name: Scores.from_json(values) for name, values in scores["baselines"].items()}
    (directory / "summary.json").write_text(json.dumps(summary, indent=1, sort_keys=True, allow_nan=False))
    (directory / "timings.json").write_text(json.dumps(_timings(parts), indent=1))
    attributes_csv(directory / "attributes.csv", test, baselines)
    shutil.copyfile(parts.evaluation / "predictions.parquet", directory / "predictions.parquet")
    save_classifier(directory, parts.networks[-1], parts.index, store, config.data)
    TrainingProfile.of_features(store, store.rows(TRAIN), parts.features, index).save(directory / MODEL)
    curves = [json.loads((network / "curves.json").read_text()) for network in parts.networks]
    predictions = Predictions.load(parts.evaluation / "predictions.parquet")
    figures = draw_gallery(
        directory / "figures",
        test,
        baselines,
        curves,
        store,
        parts.features,
        index,
        predictions,
        summary["rounds"][-1]["equal_distances"],
    )
    write_report(directory / "report.html", summary, figures, command)


def describe(store: ImageStore) -> dict[str, Any]:
    """What a summary says of the data."""
    return {
        "digest": store.digest,
        "images": store.n,
        "split": {name: len(store.rows(code)) for name, code in (("train", TRAIN), ("valid", VALID), ("test", TEST))},
        "quarantined": len(read_quarantine(store.path)),
        "attributes": list(store.attributes),
    }


def _timings(parts: Parts) -> list[dict[str, Any]]:
    """Seconds that each stage took when it was made."""
    records = [(path, read_commit(path)) for path in parts.stages]
    return [
        {"stage": record["stage"], "key": path.name, "seconds": record["seconds"]} for path, record in records if record
    ]
