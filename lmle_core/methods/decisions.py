"""The decision rules by name: how the outputs of a network become scores of the classes."""

import numpy as np
from numpy.typing import NDArray

from lmle_core.config import Config
from lmle_core.methods import logit_rules, space_rules
from lmle_core.methods.outputs import Outputs, Rule, Scorer

__all__ = ["RULES", "Outputs", "Rule", "Scorer", "decide"]

RULES: dict[str, Rule] = {
    "half": logit_rules.half,
    "prior": logit_rules.prior,
    "adjusted": logit_rules.adjusted,
    "optimum": logit_rules.optimum,
    "calibrated": logit_rules.calibrated,
    "nearest-mean": space_rules.nearest_mean("embeddings"),
    "features-nearest-mean": space_rules.nearest_mean("features"),
    "knn": space_rules.nearest_neighbours,
    "clusters": space_rules.nearest_clusters("embeddings"),
    "calibrated-clusters": space_rules.nearest_clusters("embeddings", calibrated=True),
    "weighed-clusters": space_rules.nearest_clusters("embeddings", calibrated=True, weighed=True),
    "features-clusters": space_rules.nearest_clusters("features"),
    "features-calibrated-clusters": space_rules.nearest_clusters("features", calibrated=True),
    "svm": space_rules.support_vectors,
}


def decide(
    name: str, train: Outputs, valid: Outputs, test: Outputs, shares: NDArray[np.float32], config: Config
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scores of the validation and of the test split by a rule that is fitted to training and validation alone.

    The class decided is the argmax, of equal scores the lowest. For two classes the difference of the scores ranks the
    images.

    Args:
        name: of the rule, one of `RULES`.
        train: outputs of the training split; some rules take none of them.
        valid: of the validation split.
        test: of the test split; its labels are not looked at.
        shares: float32 (A, C), share of each class in training.
        config: candidates of the index, k-means, and the seed.

    Returns:
        Scores float32 (n, A, C) of each split; −inf where a class is ruled out.

    Raises:
        ValueError: for a name that is none of the rules.
    """
    if name not in RULES:
        raise ValueError(f"no decision rule {name!r}: expected one of {', '.join(RULES)}")
    scorer = RULES[name](train, valid, shares, config)
    return scorer(valid), scorer(test)
