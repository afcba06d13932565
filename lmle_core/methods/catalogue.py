"""The methods that are compared: what each is trained on, the settings that are tried, and how it may decide."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lmle_core.config import ConfigError
from lmle_core.methods import cross_entropy, triplets
from lmle_core.methods.rectification import Rectification
from lmle_core.optimise import Objective
from lmle_core.spelling import did_you_mean

Settings = Mapping[str, Any]
NO_SETTINGS: Settings = MappingProxyType({})
RATE_FACTOR, WEIGHT_FACTOR = "rate_factor", "weight_factor"


@dataclass(frozen=True)
class Method:
    """A way to classify.

    Attributes:
        name: in commands and records.
        title: in tables.
        source: where it was published.
        rules: decision rules, names of `lmle_core.methods.decisions.RULES`; the first is the method's own, by which the
            validation split chooses among the trials.
        trials: settings that are tried: `section.key` is the configuration's, `RATE_FACTOR` what both peaks of its
            learning rates are multiplied by, `WEIGHT_FACTOR` what its weight of the embedding's loss is; any other name
            is an argument of the objective.
        objective: makes the objective from a lesson and the settings; None: the rounds of LMLE.
        rounds: whether it sees as many images as all rounds, or as the prior alone.
        budget: how many times as many images as the others it sees.
        embeds: whether its embedding heads are trained.
        prior_bias: whether its classifier starts at the log shares of the classes, or unbiased.
    """

    name: str
    title: str
    source: str
    rules: tuple[str, ...]
    trials: tuple[Settings, ...]
    objective: Callable[..., Objective] | None
    rounds: bool = True
    budget: float = 1.0
    embeds: bool = False
    prior_bias: bool = True


RATES: tuple[Settings, ...] = tuple({RATE_FACTOR: factor} for factor in (0.5, 1.0, 2.0))
"""Tried for a loss that has no setting of its own."""


def _tried(name: str, first: Any, second: Any) -> tuple[Settings, ...]:
    """Two values of a setting, and the first of them at twice the learning rates: as many trials as `RATES`."""
    return tuple({name: value, RATE_FACTOR: factor} for value, factor in ((first, 1.0), (second, 1.0), (first, 2.0)))


THRESHOLDS = ("prior", "optimum", "calibrated", "half")
FEATURES = ("features-clusters", "features-calibrated-clusters")
"""Rules over the trunk of a method that trains no embedding."""
BALANCED = ("half", "optimum", "calibrated", *FEATURES)
"""Rules of a method whose training balances the classes."""
CLUSTERS = ("calibrated-clusters", "clusters", "nearest-mean")
"""Rules of an embedding without a classifier."""
LMLE_RULES = ("weighed-clusters", *CLUSTERS, "knn", "prior", "calibrated")


def _lmle(
    name: str, title: str, *trials: Settings, rules: tuple[str, ...] = LMLE_RULES, budget: float = 1.0,
    source: str = "Huang et al., CVPR 2016",
) -> Method:  # fmt: skip
    """LMLE, or LMLE with a part of it changed; an ablation has one trial, since nothing else may differ."""
    return Method(
        name, title, source, rules, trials or (NO_SETTINGS,), objective=None, budget=budget, embeds=True,
    )  # fmt: skip


_TABLE = {"quintuplets.mode": "table"}
_REPAIRED = {**_TABLE, "quintuplets.subset": 1.0, "quintuplets.redraw": 100}
_CENTROIDS = {"loss.kind": "centroid-margin"}
_ALL = (
    _lmle("lmle", "LMLE", *_tried(WEIGHT_FACTOR, 1.0, 0.3)),
    Method(
        "bce", "BCE", "Liu et al., ICCV 2015 (ANet), its stand-in",
        (*THRESHOLDS, *FEATURES, "features-nearest-mean", "svm"), RATES, cross_entropy.plain,
    ),
    Method(
        "class-weighted", "class-weighted BCE", "King and Zeng, Political Analysis 2001",
        BALANCED, _tried("exponent", 0.5, 1.0), cross_entropy.class_weighted,
        prior_bias=False,
    ),
    Method(
        "resampled", "re-sampled BCE", "He and Garcia, TKDE 2009", BALANCED, RATES,
        cross_entropy.resampled, prior_bias=False,
    ),
    Method(
        "focal", "focal loss", "Lin et al., ICCV 2017", ("optimum", "calibrated", "half", *FEATURES),
        _tried("gamma", 1.0, 2.0), cross_entropy.focal,
    ),
    Method(
        "ldam", "LDAM, deferred re-weighting", "Cao et al., NeurIPS 2019", BALANCED,
        _tried("margin", 0.25, 0.5), cross_entropy.label_margin,
    ),
    Method(
        "additive-margin", "additive margin", "Wang et al., IEEE SPL 2018; LMLE's classifier alone",
        ("calibrated", "optimum", "prior", "half", *FEATURES), _tried("margin", 1.0, 2.0),
        cross_entropy.additive_margin,
    ),
    Method(
        "deferred-resampled", "additive margin, deferred re-sampling",
        "Cao et al., NeurIPS 2019; LMLE's classifier and batches alone",
        ("calibrated", "optimum", "prior", "half", *FEATURES), _tried("margin", 1.0, 2.0),
        cross_entropy.deferred_resampled,
    ),
    Method(
        "logit-adjusted", "logit adjustment", "Menon et al., ICLR 2021; Ren et al., NeurIPS 2020",
        ("adjusted", "optimum", "calibrated", *FEATURES), RATES, cross_entropy.logit_adjusted,
        prior_bias=False,
    ),
    Method(
        "triplet", "triplet, semi-hard", "Schroff et al., CVPR 2015", ("knn", *CLUSTERS),
        _tried("margin", 0.2, 0.4), triplets.semi_hard,
        embeds=True,
    ),
    Method(
        "triplet-late", "triplet, semi-hard, late", "Schroff et al., CVPR 2015; after BCE", ("knn", *CLUSTERS),
        _tried("warm", 0.75, 0.9), triplets.semi_hard,
        embeds=True,
    ),
    Method(
        "triplet-batch-hard", "triplet, batch-hard", "Hermans et al., 2017", ("knn", *CLUSTERS),
        _tried("margin", 0.2, 0.4), triplets.batch_hard, embeds=True,
    ),
    Method(
        "crl", "class rectification", "Dong et al., ICCV 2017",
        (*THRESHOLDS, "clusters", "calibrated-clusters", "weighed-clusters"),
        _tried("strength", 0.1, 0.5), Rectification, embeds=True,
    ),
    _lmle(
        "clmle", "centroid margins, after CLMLE",
        *({**_CENTROIDS, "loss.bce_weight": 0.0, "loss.bce_margin": 0.0, **tried}
          for tried in _tried("loss.angles", (0.05, 0.02), (0.2, 0.1))),
        rules=CLUSTERS, source="after Huang et al., TPAMI 2019",
    ),
    Method(
        "prior-features", "prior features", "Huang et al., CVPR 2016 (round 0)",
        (*FEATURES, "features-nearest-mean"), RATES, cross_entropy.plain, rounds=False,
    ),
    _lmle("shipped", "LMLE as the study sets it"),
    _lmle("lmle-one-cluster", "LMLE, one cluster a class", {"cluster.per_class": 1}),
    _lmle("lmle-without-margins", "LMLE, hinge without margins", {"loss.margins": (0.0, 0.0, 0.0)}),
    _lmle("lmle-without-bce", "LMLE without BCE in the rounds", {"loss.bce_weight": 0.0},
          rules=CLUSTERS),
    _lmle("lmle-without-embedding", "LMLE without the embedding's loss", {"loss.embedding_weight": 0.0},
          rules=("calibrated", "prior")),
    _lmle("lmle-without-bce-margin", "LMLE, BCE without a margin", {"loss.bce_margin": 0.0}),
    _lmle("lmle-easy", "LMLE, extremes over 2 and 1 candidates",
          {"quintuplets.positives": 2, "quintuplets.impostors": 1}),
    _lmle("lmle-hard", "LMLE, extremes over 6 and 54 candidates",
          {"quintuplets.positives": 6, "quintuplets.impostors": 54}),
    _lmle("lmle-all-candidates", "LMLE, extremes over all of a batch",
          {"quintuplets.positives": None, "quintuplets.impostors": None}),
    _lmle("lmle-centroids", "LMLE, angular margins to centroids", _CENTROIDS),
    _lmle("lmle-softmax-ratio", "LMLE, softmax ratio over batch members", {"loss.kind": "softmax-ratio"}),
    _lmle("lmle-minority", "LMLE, minority batches", {"training.sampler": "minority"}),
    _lmle("lmle-unbalanced", "LMLE, neither class-equal batches nor costs",
          {"training.sampler": "uniform", "training.costs": "none"}),
    _lmle("lmle-one-round", "LMLE, one round", {"training.rounds": 1, "training.epochs": 10}),
    _lmle("lmle-cold", "LMLE, nearly cold start", {"prior.epochs": 2, "training.epochs": 11}),
    _lmle("table", "table mode, repaired", _REPAIRED),
    _lmle("table-longer", "table mode, repaired, 2⅔ times the images", {**_REPAIRED, "training.epochs": 25},
          budget=64 / 24),
    _lmle("table-literal", "table mode by the letter, its rule calibrated",
          {**_TABLE, "quintuplets.positives": None, "quintuplets.impostors": None, "loss.squared": True,
           "loss.margins": None, "loss.embedding_weight": 1.0, "loss.bce_weight": 0.0, "loss.bce_margin": 0.0},
          rules=CLUSTERS),
)  # fmt: skip

METHODS: Mapping[str, Method] = MappingProxyType({method.name: method for method in _ALL})
"""By name, the shipped recipe first."""

DEFAULT_METHODS = (
    "lmle", "bce", "class-weighted", "resampled", "focal", "ldam", "additive-margin", "logit-adjusted", "triplet",
    "crl", "clmle", "prior-features",
)  # fmt: skip


def find_method(name: str) -> Method:
    """A method by its name.

    Raises:
        ConfigError: for an unknown one, with the nearest known.
    """
    if name in METHODS:
        return METHODS[name]
    hint = did_you_mean(name, METHODS) or f"there are {', '.join(METHODS)}"
    raise ConfigError(f"unknown method {name!r}; {hint}")
