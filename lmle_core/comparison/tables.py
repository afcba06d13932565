"""The comparison of all methods of a study with the reference, as JSON, as Markdown and as rows of a CSV file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from lmle_core.comparison.experiment import Experiment, Truth
from lmle_core.comparison.standing import MEASURES, Difference, Key, Standing, standing
from lmle_core.comparison.statistics import Estimate, Wins
from lmle_core.comparison.wording import (
    images_each,
    markdown_table,
    percent,
    seeds_text,
    signed,
    signed_interval,
    title,
)
from lmle_core.metrics import rounded

COLUMNS: Mapping[str, str] = {
    "total_accuracy": "total accuracy",
    "tpr": "TPR",
    "tnr": "TNR",
    "average_precision": "average precision",
    "roc_auc": "ROC AUC",
    "mcc": "MCC",
    "without_near_random": "without near-random",
    "worst_five": "worst five",
}
"""Headings of the scores beside balanced accuracy."""

_SCORES_NOTE = "Percent; mean over {}, in brackets its 95 % t interval over seeds. {} The reference, {}, is in bold."
_DIFFERENCES_NOTE = (
    "{} minus each method in mean balanced accuracy, points, paired by seed: in brackets the 95 % t interval over "
    "seeds; over images, or people where known, the 95 % bootstrap interval. Attributes: in brackets those whose own "
    "interval over seeds excludes 0. Gain against imbalance: Spearman's ρ over attributes."
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """All methods of one study beside the reference.

    Attributes:
        study: its name.
        reference: method and rule that the others are compared with.
        seeds: that every method was trained from.
        attributes: names of the A label columns.
        classes: C, of each attribute.
        images: test images of each seed.
        standings: of each method and rule, the highest mean balanced accuracy on the labels as annotated first.
    """

    study: str
    reference: Key
    seeds: tuple[int, ...]
    attributes: tuple[str, ...]
    classes: int
    images: tuple[int, ...]
    standings: tuple[Standing, ...]

    @classmethod
    def of(
        cls,
        experiments: Sequence[Experiment],
        truths: Mapping[int, Truth],
        reference: Key,
        *,
        study: str = "",
        shared: bool = False,
        bootstrap: int = 1000,
        seed: int = 0,
    ) -> Self:
        """Compare all experiments of a study with those of the reference.

        Args:
            experiments: each method and rule with the same seeds; in any order.
            truths: labels of the test images, by seed.
            reference: method and rule.
            study: its name.
            shared: every seed has the same test images in the same order.
            bootstrap: resamples of each bootstrap interval.
            seed: of the resamples.

        Raises:
            ValueError: for a reference that is not there, an experiment that is there twice or whose
                attributes differ, seeds that differ between methods, or a truth that is missing or of another shape.
        """
        by_key: dict[Key, dict[int, Experiment]] = {}
        for each in experiments:
            _check(each, experiments[0], truths)
            if each.seed in by_key.setdefault((each.method, each.rule), {}):
                raise ValueError(f"experiments: {each.method} by {each.rule}, seed {each.seed}, is there twice")
            by_key[each.method, each.rule][each.seed] = each
        if reference not in by_key:
            raise ValueError(f"reference: expected one of {sorted(by_key)}, got {reference}")
        seeds = tuple(sorted(by_key[reference]))
        for key, found in by_key.items():
            if tuple(sorted(found)) != seeds:
                raise ValueError(f"experiments: expected seeds {seeds} as of {reference}, got {sorted(found)} of {key}")
        ordered = {key: [found[each] for each in seeds] for key, found in by_key.items()}
        first = ordered[reference]
        made = [standing(own, first, truths, shared=shared, bootstrap=bootstrap, seed=seed) for own in ordered.values()]
        return cls(
            study=study,
            reference=reference,
            seeds=seeds,
            attributes=first[0].attributes,
            classes=first[0].classes,
            images=tuple(each.test.images for each in first),
            standings=tuple(sorted(made, key=lambda each: (-_value(each.scores["balanced_accuracy"]), each.key))),
        )

    def of_key(self, key: Key) -> Standing:
        """The standing of a method and a rule. Raises KeyError for one that is not there."""
        return {each.key: each for each in self.standings}[key]

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to six decimals."""
        return {
            "study": self.study,
            "reference": list(self.reference),
            "seeds": list(self.seeds),
            "images": list(self.images),
            "attributes": list(self.attributes),
            "classes": self.classes,
            "standings": [each.to_json() for each in self.standings],
        }

    def overview(self, titles: Mapping[str, str], rules: Mapping[str, str]) -> str:
        """One line a method, by its own rule: its accuracy, and how far the reference is ahead of it.

        Args:
            titles: of methods and rules; a name without one stands for itself.
            rules: of each method, its own.
        """
        ahead = "reference − method"
        rows = [["method", "decided by", "balanced accuracy", "on clean labels", ahead, f"{ahead}, clean labels"]]
        for each in self.standings:
            if each.key == self.reference or rules.get(each.key[0]) == each.key[1]:
                rows.append(
                    [
                        *self._names(each, titles),
                        percent(each.scores["balanced_accuracy"]),
                        percent(clean_accuracy(each)),
                        difference_cells(each.difference)[0],
                        difference_cells(each.difference_clean)[0],
                    ]
                )
        note = "Each method by its own rule; percent and points, in brackets the 95 % t interval over {}."
        return "\n\n".join([markdown_table(rows, kept=2), note.format(seeds_text(self.seeds))])

    def markdown(self, titles: Mapping[str, str]) -> str:
        """A table of scores and one of differences, each with what it shows below it.

        Args:
            titles: of methods and rules; a name without one stands for itself.

        Corner cases: a column without a value is left out: TPR and TNR of more than two classes, clean labels that are
        not known, 'worst five' of at most five attributes.
        """
        scores = [["method", "decided by", "balanced accuracy", "on clean labels", *COLUMNS.values()]]
        ahead, ahead_clean = "reference − method, over seeds", "on clean labels, over seeds"
        over, over_clean = "over images", "on clean labels, over images"
        won, rho = "attributes won / lost / even", "gain against imbalance"
        differences = [["method", "decided by", ahead, over, ahead_clean, over_clean, won, rho]]
        for each in self.standings:
            names = self._names(each, titles)
            cells = [percent(each.scores["balanced_accuracy"]), percent(clean_accuracy(each))]
            for name in COLUMNS:
                shown = name != "worst_five" or len(self.attributes) > 5
                cells.append(percent(each.scores[name], interval=False) if shown else "")
            scores.append([*names, *cells])
            if each.difference is not None:
                sides = (difference_cells(each.difference), difference_cells(each.difference_clean))
                text = wins_text(each.difference.wins)
                trend = signed(each.difference.against_imbalance, scale=1)
                differences.append([*names, *sides[0], *sides[1], text if len(self.attributes) > 1 else "", trend])
        reference = " by ".join(title(name, titles) for name in self.reference)
        parts = [
            markdown_table(scores, kept=2),
            _SCORES_NOTE.format(seeds_text(self.seeds), images_each(self.images), reference),
        ]
        if len(differences) > 1:
            parts += [markdown_table(differences, kept=2), _DIFFERENCES_NOTE.format(reference)]
        return "\n\n".join(parts)

    def _names(self, each: Standing, titles: Mapping[str, str]) -> list[str]:
        """Of a method and its rule, the reference's in bold."""
        method, rule = (title(name, titles) for name in each.key)
        return [f"**{method}**" if each.key == self.reference else method, rule]

    def rows(self) -> list[dict[str, str | float | None]]:
        """One row a method and rule, all with the same columns: values from 0 to 1 with their intervals' ends."""
        return [self._row(each) for each in self.standings]

    def _row(self, each: Standing) -> dict[str, str | float | None]:
        row: dict[str, str | float | None] = {
            "study": self.study,
            "method": each.key[0],
            "rule": each.key[1],
            "seeds": len(self.seeds),
        }
        for prefix, scores in (("", each.scores), ("clean_", each.clean or {})):
            for name in MEASURES:
                row |= _ends(prefix + name, scores.get(name))
        for name, estimate in (("validation", each.validation), ("spread", each.spread), ("seconds", each.seconds)):
            row |= _ends(name, estimate)
        row["images_seen"] = round(each.images_seen)
        for prefix, found in (("", each.difference), ("clean_", each.difference_clean)):
            row |= _ends(f"{prefix}difference", found.over_seeds if found else None)
            row |= _ends(f"{prefix}difference_over_images", found.over_images if found else None)
            row |= _ends(f"{prefix}gain_against_imbalance", found.against_imbalance if found else None)
            for field in fields(Wins):
                row[f"{prefix}attributes_{field.name}"] = getattr(found.wins, field.name) if found else None
        return row


def clean_accuracy(each: Standing) -> Estimate | None:
    """Balanced accuracy on clean labels, where they are known."""
    return each.clean["balanced_accuracy"] if each.clean is not None else None


def wins_text(wins: Wins) -> str:
    """Attributes won, in brackets those won clearly, lost likewise, and even."""
    return f"{wins.won} ({wins.clearly_won}) / {wins.lost} ({wins.clearly_lost}) / {wins.even}"


def difference_cells(difference: Difference | None) -> tuple[str, str]:
    """Over seeds and over images, in words."""
    if difference is None:
        return "", ""
    return signed(difference.over_seeds), signed_interval(difference.over_images)


def _ends(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    values = (None, None, None) if estimate is None else (estimate.mean, estimate.low, estimate.high)
    return dict(zip((name, f"{name}_low", f"{name}_high"), map(rounded, values), strict=True))


def _value(estimate: Estimate | None) -> float:
    return float("-inf") if estimate is None else estimate.mean


def _check(each: Experiment, first: Experiment, truths: Mapping[int, Truth]) -> None:
    name = f"{each.method} by {each.rule}, seed {each.seed}"
    if each.attributes != first.attributes or each.classes != first.classes:
        raise ValueError(f"experiments: {name} has other attributes or classes than {first.method} by {first.rule}")
    if each.seed not in truths:
        raise ValueError(f"truths: expected one for each seed, none for {each.seed}")
    if truths[each.seed].labels.shape != each.predictions.shape:
        raise ValueError(
            f"truths[{each.seed}]: expected labels {each.predictions.shape} as of {name}, got "
            f"{truths[each.seed].labels.shape}"
        )
