"""What the method is to reach against its rivals, study by study."""

from collections.abc import Mapping

from benchmarks.claims import Ahead, Claim, GrowsWithImbalance, KeepsSpread, LosesLess, Within
from benchmarks.study_records import Measured
from lmle_core.comparison import Key
from lmle_core.methods.catalogue import METHODS, THRESHOLDS
from lmle_core.studies import ALL

_BASELINES = [(METHODS[name], rule) for name in ALL if name != "lmle" for rule in METHODS[name].rules]

CLASSIFIERS: tuple[Key, ...] = tuple(
    (method.name, rule)
    for method, rule in _BASELINES
    if rule in ("prior", "optimum", "calibrated", "adjusted") or (rule == "half" and method.rules[0] == "half")
)
"""Baselines whose classifier decides at a threshold that balance chose: the training prior, the validation optimum,
biases calibrated on validation, the adjusted logits, and ½ for a method whose training balances the classes, so that ½
is its own rule."""

CALIBRATED: tuple[Key, ...] = CLASSIFIERS + tuple(
    (method.name, rule)
    for method, rule in _BASELINES
    if rule in ("calibrated-clusters", "weighed-clusters", "features-calibrated-clusters")
)
"""These, and baselines whose clusters, of an embedding or the trunk, with or without a classifier, decide as LMLE's
do."""

CROSS_ENTROPY: tuple[Key, ...] = tuple(("bce", rule) for rule in THRESHOLDS)
TRIPLET: tuple[Key, ...] = (("triplet", "knn"),)
LATE: tuple[Key, ...] = (("triplet-late", "knn"),)
"""Triplets that fine-tune what cross-entropy has trained for most of the images."""
HALF: tuple[Key, ...] = (("bce", "half"),)
WEIGHTED: tuple[Key, ...] = (("class-weighted", "half"),)


def _faces(study: str, comparison: str) -> tuple[Claim, ...]:
    return (
        Ahead(study, "beats triplet-kNN", comparison, TRIPLET, 0.03),
        Ahead(study, "beats triplet-kNN, triplets late", comparison, LATE, 0.03),
        Ahead(study, "beats BCE at ½", comparison, HALF, 0.06),
        Ahead(study, "beats class-weighted BCE", comparison, WEIGHTED, 0.01),
        Ahead(study, "beats the best calibrated baseline", comparison, CALIBRATED, 0.005),
        GrowsWithImbalance(study, "gain over the triplet grows with imbalance", comparison, TRIPLET[0]),
    )


def _table_mode(study: str, comparison: str) -> tuple[Claim, ...]:
    """With as many images, and with more, which its cost allows."""
    near = "`table` mode, repaired, near `batch` mode"
    return (
        Within(study, f"{near}, with as many images", comparison, "table", 0.03, 10),
        Within(study, f"{near}, with 2⅔ times the images", comparison, "table-longer", 0.03, 10),
    )


CLAIMS: tuple[Claim, ...] = (
    Ahead("digits, 90 % removed", "beats triplet-kNN", "digits-90", TRIPLET, 0.04),
    Ahead("digits, 90 % removed", "beats the best calibrated CE variant", "digits-90", CLASSIFIERS, 0.01),
    Ahead("digits, 40 % removed", "beats triplet-kNN", "digits-40", TRIPLET, 0.015),
    Ahead("digits, 40 % removed", "not below CE", "digits-40", CROSS_ENTROPY, 0.0, clear=False),
    LosesLess("digits, 0 → 90 %", "loses less than the triplet", "digits-0", "digits-90", TRIPLET[0], 0.05),
    *_faces("faces", "faces"),
    KeepsSpread("everywhere", "no collapse in any seed", 0.3),
    *_table_mode("faces", "faces-ablation"),
    *_table_mode("digits, 90 % removed", "digits-ablation"),
)
"""In the order in which they were set; `table` mode with more images and late triplets were added later."""

GPU_CLAIMS = _faces("faces, GPU", "faces-gpu")
"""The same of the larger study, shown where there is a record of it."""


def claims(found: Mapping[str, Measured]) -> tuple[Claim, ...]:
    """Those that are to be shown for comparisons, by name."""
    return (*CLAIMS, *GPU_CLAIMS) if "faces-gpu" in found else CLAIMS
