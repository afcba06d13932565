"""How one method with one decision rule does over the seeds, and how far the reference is ahead of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lmle_core.bootstrap import mean_over_attributes
from lmle_core.comparison.experiment import Experiment, Truth
from lmle_core.comparison.over_images import Pair, paired_over_images
from lmle_core.comparison.ranking import Ranking
from lmle_core.comparison.statistics import (
    Estimate,
    Wins,
    attributes_won,
    mean_interval,
    paired,
    rank_correlation,
)
from lmle_core.metrics import Scores, rounded

Key = tuple[str, str]
"""A method and a rule."""

MEASURES: Final[Mapping[str, Callable[[Scores, Ranking], float | None]]] = {
    "balanced_accuracy": lambda scores, ranking: scores.mean_balanced_accuracy,
    "total_accuracy": lambda scores, ranking: scores.mean_total_accuracy,
    "tpr": lambda scores, ranking: scores.mean_tpr,
    "tnr": lambda scores, ranking: scores.mean_tnr,
    "average_precision": lambda scores, ranking: ranking.mean_average_precision,
    "roc_auc": lambda scores, ranking: ranking.mean_roc_auc,
    "mcc": lambda scores, ranking: ranking.mean_mcc,
    "without_near_random": lambda scores, ranking: scores.mean_without_near_random,
    "worst_five": lambda scores, ranking: scores.worst_five_balanced_accuracy,
}
"""What is estimated, each a mean over attributes, 0 to 1 (MCC: −1 to 1)."""

_FEWEST = 5  # attributes that a rank correlation is taken over


@dataclass(frozen=True, eq=False)
class Difference:
    """The reference minus another method, on S seeds and A attributes.

    Attributes:
        gains: (S, A), the differences in balanced accuracy; NaN where an attribute has none.
        imbalance: (A,), share of an attribute's largest class beyond an even share, |positive rate − ½| for two
            classes, in the test images of all seeds.
        over_seeds: mean difference in mean balanced accuracy, with the t interval over seeds.
        over_images: the same with the bootstrap interval over test images, or people where known.
        wins: attributes on which the reference is better.
        against_imbalance: rank correlation over attributes of the gain, meaned over seeds, with the imbalance; None
            for fewer than five attributes, or equal gains.
    """

    gains: NDArray[np.float64]
    imbalance: NDArray[np.float64]
    over_seeds: Estimate
    over_images: Estimate
    wins: Wins
    against_imbalance: Estimate | None

    @property
    def mean_gains(self) -> NDArray[np.float64]:
        """(A,), gains meaned over the seeds that have them; NaN without any."""
        return mean_over_attributes(self.gains.T)

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""
        return {
            "over_seeds": self.over_seeds.to_json(),
            "over_images": self.over_images.to_json(),
            "attributes": asdict(self.wins),
            "against_imbalance": None if self.against_imbalance is None else self.against_imbalance.to_json(),
            "mean_gains": [rounded(gain) for gain in self.mean_gains],
            "imbalance": [rounded(value) for value in self.imbalance],
        }


@dataclass(frozen=True, eq=False)
class Standing:
    """One method with one rule, over its seeds.

    Attributes:
        key: method and rule.
        scores: estimate of each of MEASURES on the labels as annotated; None where it does not apply.
        clean: likewise on the clean labels; None where these are not known.
        validation: mean balanced accuracy on the validation split.
        spread: the least of the attributes' embeddings; None without one.
        seconds: of training.
        images_seen: in training, mean over seeds.
        difference: the reference minus this one on the labels as annotated; None for the reference itself.
        difference_clean: on the clean labels.
    """

    key: Key
    scores: Mapping[str, Estimate | None]
    clean: Mapping[str, Estimate | None] | None
    validation: Estimate
    spread: Estimate | None
    seconds: Estimate
    images_seen: float
    difference: Difference | None
    difference_clean: Difference | None

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""

        def plain(part: Estimate | Difference | None) -> dict[str, Any] | None:
            return None if part is None else part.to_json()

        def table(estimates: Mapping[str, Estimate | None]) -> dict[str, Any]:
            return {name: plain(estimate) for name, estimate in estimates.items()}

        return {
            "method": self.key[0],
            "rule": self.key[1],
            "scores": table(self.scores),
            "scores_clean": None if self.clean is None else table(self.clean),
            "validation": plain(self.validation),
            "spread": plain(self.spread),
            "seconds": plain(self.seconds),
            "images_seen": round(self.images_seen),
            "difference": plain(self.difference),
            "difference_clean": plain(self.difference_clean),
        }


def standing(
    own: Sequence[Experiment],
    reference: Sequence[Experiment],
    truths: Mapping[int, Truth],
    *,
    shared: bool,
    bootstrap: int,
    seed: int,
) -> Standing:
    """One method with one rule against the reference.

    Args:
        own: its experiments, one a seed.
        reference: those of the reference, of the same seeds in the same order.
        truths: labels of the test images, by seed.
        shared: every seed has the same test images.
        bootstrap: resamples.
        seed: of the resamples.
    """
    itself = own[0].method == reference[0].method and own[0].rule == reference[0].rule
    has_clean = all(each.test_clean is not None for each in (*own, *reference))

    def difference(clean: bool) -> Difference | None:
        if itself or (clean and not has_clean):
            return None
        return _difference(own, reference, truths, clean=clean, shared=shared, bootstrap=bootstrap, seed=seed)

    return Standing(
        key=(own[0].method, own[0].rule),
        scores=_estimates([(each.test, each.ranking) for each in own]),
        clean=_estimates([_clean(each) for each in own]) if all(each.test_clean is not None for each in own) else None,
        validation=mean_interval([each.validation for each in own]),
        spread=_estimate([each.spread for each in own]),
        seconds=mean_interval([each.seconds for each in own]),
        images_seen=float(np.mean([each.images_seen for each in own])),
        difference=difference(False),
        difference_clean=difference(True),
    )


def imbalance(seeds: Iterable[Scores]) -> NDArray[np.float64]:
    """(A,): share of each attribute's largest class beyond an even share; |positive rate − ½| for two classes."""
    each = np.array([[row.support for row in scores.attributes] for scores in seeds], dtype=np.float64)
    support = each.sum(axis=0)  # of all seeds: the chance of each would make even classes look uneven
    return support.max(axis=1) / support.sum(axis=1) - 1 / support.shape[1]


def _difference(
    own: Sequence[Experiment],
    reference: Sequence[Experiment],
    truths: Mapping[int, Truth],
    *,
    clean: bool,
    shared: bool,
    bootstrap: int,
    seed: int,
) -> Difference:
    ours, theirs = ({each.seed: _clean(each)[0] if clean else each.test for each in side} for side in (reference, own))
    pairs = [
        Pair(_labels(truths[a.seed], clean), a.predictions, b.predictions, truths[a.seed].groups)
        for a, b in zip(reference, own, strict=True)
    ]
    balanced_ours, balanced_theirs = (_balanced(side.values()) for side in (ours, theirs))
    made = Difference(
        gains=balanced_ours - balanced_theirs,
        imbalance=imbalance(ours.values()),
        over_seeds=paired(
            *({s: scores.mean_balanced_accuracy for s, scores in side.items()} for side in (ours, theirs))
        ),
        over_images=paired_over_images(pairs, own[0].classes, shared=shared, bootstrap=bootstrap, seed=seed),
        wins=attributes_won(balanced_ours, balanced_theirs),
        against_imbalance=None,
    )
    known = ~np.isnan(made.mean_gains)
    if known.sum() < _FEWEST:
        return made
    correlation = rank_correlation(made.imbalance[known], made.mean_gains[known], resamples=bootstrap, seed=seed)
    return replace(made, against_imbalance=correlation)


def _balanced(scores: Iterable[Scores]) -> NDArray[np.float64]:
    """(S, A), balanced accuracy of each attribute; NaN where it has none."""
    return np.array([[row.balanced_accuracy for row in each.attributes] for each in scores], dtype=np.float64)


def _labels(truth: Truth, clean: bool) -> NDArray[np.int8]:
    if not clean:
        return truth.labels
    if truth.clean_labels is None:
        raise ValueError("clean_labels: experiments have clean scores, but the truth of their seed has no clean labels")
    return truth.clean_labels


def _clean(experiment: Experiment) -> tuple[Scores, Ranking]:
    assert experiment.test_clean is not None
    assert experiment.ranking_clean is not None
    return experiment.test_clean, experiment.ranking_clean


def _estimates(seeds: Sequence[tuple[Scores, Ranking]]) -> dict[str, Estimate | None]:
    return {name: _estimate([measure(*each) for each in seeds]) for name, measure in MEASURES.items()}


def _estimate(values: Sequence[float | None]) -> Estimate | None:
    """None where a seed has no value."""
    found = [value for value in values if value is not None]
    return mean_interval(found) if len(found) == len(values) else None
