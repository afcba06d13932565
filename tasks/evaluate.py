"""Tasks: the health of a round, and the evaluation of a run."""

import json
from pathlib import Path

from lmle_core.artefact import Reference
from lmle_core.clusters import Clusters
from lmle_core.config import Config
from lmle_core.evaluation import Rival, assess, evaluate
from lmle_core.index import CentroidIndex
from lmle_core.store import ImageStore
from tasks.stage import stage

VIEW = ("seed", "evaluation.bootstrap")
PRIOR_HEALTH_VIEW = ("loss.squared",)
HEALTH_VIEW = (
    *PRIOR_HEALTH_VIEW, "loss.kind", "loss.margins", "loss.sphere_share", "quintuplets.mode", "training.sampler",
)  # fmt: skip


@stage("health", "lmle_core.evaluation")
def health(
    directory: Path,
    store: Reference,
    features: Reference,
    clusters: Reference,
    previous: Reference | None,
    network: Reference | None,
    number: int,
    config: Config,
    workspace: Path,
) -> None:
    """How well the features after a round serve; round 0 has no `network`."""
    curves = json.loads((Path(network.path) / "curves.json").read_text()) if network else None
    before = Clusters.load(Path(previous.path)) if previous else None
    found = assess(
        ImageStore.open(store.path), Path(features.path), Clusters.load(Path(clusters.path)), before, curves, number,
        config,
    )  # fmt: skip
    (directory / "health.json").write_text(json.dumps(found, indent=1))


@stage("evaluation", "lmle_core.evaluation")
def evaluation(
    directory: Path,
    store: Reference,
    features: Reference,
    index: Reference,
    rivals: dict[str, tuple[Reference, Reference | None]],
    logits: Reference | None,
    config: Config,
    workspace: Path,
) -> None:
    """Test scores beside the rivals' (features, and index or None for logits)."""
    evaluate(
        ImageStore.open(store.path),
        Path(features.path),
        CentroidIndex.load(Path(index.path)),
        {
            name: Rival(Path(values.path), Path(centroids.path) if centroids else None)
            for name, (values, centroids) in rivals.items()
        },
        config,
        directory,
        Path(logits.path) if logits else None,
    )
