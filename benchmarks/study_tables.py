"""Tables of studies, as Markdown: claims, scores, differences, rules, parts, and what was tried."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.claims import Ahead, Claim, Finding, strongest, verdict
from benchmarks.goals import claims
from benchmarks.study_records import Measured
from lmle_core.comparison import Difference, Estimate, Key, Standing, paired
from lmle_core.comparison.tables import COLUMNS, clean_accuracy, difference_cells, wins_text
from lmle_core.comparison.wording import markdown_table, percent, seeds_text, signed, title
from lmle_core.methods.catalogue import METHODS
from lmle_core.methods.titles import RULE_TITLES, TITLES
from lmle_core.studies import ABLATIONS

WITHOUT_EMBEDDING = "lmle-without-embedding"
SPACES = {
    "their clusters' large margin": ("clusters", "features-clusters"),
    "calibrated clusters": ("calibrated-clusters", "features-calibrated-clusters"),
    "k nearest neighbours, trunks not being measured so": ("knn",),
}
"""Rules that decide alike without a classifier: the first is an embedding's, and so LMLE's, the last one a trunk's
where there is one. Without a rival that was measured by the last, the hardest ones are missing."""
ALIKE = "calibrated"
"""A rule that needs no embedding, so that training alone differs."""

_MEASURES = {name: heading for name, heading in COLUMNS.items() if name != "worst_five"}


def claims_table(found: Mapping[str, Measured], *, brief: bool = False) -> str:
    """Every claim with its threshold, what was measured, and whether it is reached.

    Args:
        found: comparisons by name.
        brief: without the interval over images.
    """
    rows = [["study", "claim", "to reach", "measured, 95 % over seeds", "over images", ""]]
    for claim in claims(found):
        finding = claim.measured(found)
        rows.append(
            [
                claim.study,
                _claimed(claim, finding),
                claim.threshold,
                "–" if finding is None else finding.shown,
                "" if brief or finding is None else finding.over_images,
                verdict(finding),
            ]
        )
    return markdown_table(rows)


def embedding_text(found: Mapping[str, Measured]) -> str:
    """How far the same training without the embedding's loss is behind, by comparison; '' where it was not run.

    Args:
        found: comparisons by name.
    """
    own, alike = [], []
    for name, measured in found.items():
        if by_own_rules := _ahead(measured, (WITHOUT_EMBEDDING, METHODS[WITHOUT_EMBEDDING].rules[0])):
            methods = (measured.comparison.reference[0], WITHOUT_EMBEDDING)
            ours, theirs = (measured.per_seed((method, ALIKE)) for method in methods)
            own.append(f"{by_own_rules} in {name}")
            alike.append(signed(paired(ours, theirs)))
    return _paragraph(
        "What the embedding itself is worth: LMLE is ahead of the same training without its loss, rates and margin of "
        f"the classifier included, by {', '.join(own)}; where both decide by the calibrated classifier, so that "
        f"training alone differs, by {', '.join(alike)}."
        if own
        else ""
    )


def triplets_text(found: Mapping[str, Measured]) -> str:
    """How far triplets are behind that decide as LMLE does, by comparison; '' where there are none.

    Args:
        found: comparisons by name.
    """
    texts = [
        f"{ahead}{late} in {name}"
        for name, measured in found.items()
        for method, late in (("triplet", ""), ("triplet-late", ", late ones,"))
        if (ahead := _ahead(measured, (method, "calibrated-clusters")))
    ]
    return _paragraph(
        "Triplets are claimed against as published, by k nearest neighbours. Where they decide by calibrated clusters, "
        f"as LMLE does, it is ahead of them by {'; '.join(texts)}."
        if texts
        else ""
    )


def spaces_text(found: Mapping[str, Measured]) -> str:
    """How far LMLE's embedding alone is ahead of the best other space that decides alike; '' where there is no other.

    Args:
        found: comparisons by name.
    """
    parts = []
    for words, alike in SPACES.items():
        texts = []
        for label, measured in found.items():
            ours = (measured.comparison.reference[0], alike[0])
            own = {ours[0], "shipped", *ABLATIONS}
            keys = tuple(key for key in measured.samples if key[1] in alike and key[0] not in own)
            hardest = strongest(measured, keys)
            if hardest is not None and ours in measured.samples and any(key[1] == alike[-1] for key in keys):
                theirs = hardest[0].key
                ahead = paired(measured.per_seed(ours), measured.per_seed(theirs))
                texts.append(f"{signed(ahead)} in {label}, of {name(theirs)}")
        if texts:
            parts.append(_paragraph(f"- {words}: {'; '.join(texts)}"))
    if not parts:
        return ""
    lead = (
        "As an embedding alone, without its classifier, LMLE is ahead of the best other embedding or trunk that decides"
    )
    return "\n".join([_paragraph(f"{lead} alike, whichever that is, by"), "", *parts])


def _ahead(measured: Measured, key: Key) -> str:
    """How far the reference is ahead of a method and a rule; '' where they were not run."""
    standing = measured.find(key)
    return signed(standing.difference.over_seeds) if standing is not None and standing.difference is not None else ""


def _paragraph(text: str) -> str:
    indent = "  " * text.startswith("- ")
    return textwrap.fill(text, 120, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _claimed(claim: Claim, finding: Finding | None) -> str:
    """The claim; with the rival's name, where it was the hardest of several."""
    several = isinstance(claim, Ahead) and len(claim.rivals) > 1
    return f"{claim.text}: {name(finding.rival)}" if several and finding and finding.rival else claim.text


def name(key: Key) -> str:
    """'BCE (training prior)'."""
    method, rule = (title(each, TITLES) for each in key)
    return f"{method} ({rule})"


def own_rules(measured: Measured, *, ablations: bool = False) -> list[Standing]:
    """The reference and its rivals, or its ablations, each by its own rule, the highest balanced accuracy first."""
    kept = [method for method in measured.rules if (method in ABLATIONS) == ablations]
    own = {measured.comparison.reference, *((method, measured.rules[method]) for method in kept)}
    return [each for each in measured.comparison.standings if each.key in own]


def own_or_best(measured: Measured) -> list[Standing]:
    """Likewise, and beside it the rule that decides best on the test images, where that is another one."""
    own = {each.key for each in own_rules(measured)}
    methods = {method for method, _ in own}
    best = {each.key[0]: each.key for each in reversed(measured.comparison.standings)}  # the first of each stays
    shown = own | {best[method] for method in methods}
    return [each for each in measured.comparison.standings if each.key in shown]


def scores_table(measured: Measured) -> str:
    """One line a method, by its own rule."""
    rows = [["method", "decided by", "balanced accuracy", "on clean labels", *_MEASURES.values(), "training"]]
    for each in own_rules(measured):
        rows.append(
            [
                _emphasised(each.key, measured),
                title(each.key[1], TITLES),
                percent(each.scores["balanced_accuracy"]),
                percent(clean_accuracy(each)),
                *(percent(each.scores[measure], interval=False) for measure in _MEASURES),
                f"{each.seconds.mean:,.0f} s",
            ]
        )
    return markdown_table(rows)


def rules_table(measured: Measured) -> str:
    """Balanced accuracy of every method by every rule; the own rule's in bold."""
    standings = measured.comparison.standings
    own = {each.key: None for each in own_rules(measured)}
    methods = dict.fromkeys(method for method, _ in own)
    known = {each.key[1] for each in standings if each.key[0] in methods}
    rules = [*(rule for rule in RULE_TITLES if rule in known), *sorted(known - set(RULE_TITLES))]
    means = {each.key: percent(each.scores["balanced_accuracy"], interval=False) for each in standings}
    rows = [["method", *(title(rule, TITLES) for rule in rules)]]
    for method in methods:
        cells = [(means.get((method, rule), ""), (method, rule) in own) for rule in rules]
        rows.append([title(method, TITLES), *(f"**{text}**" if bold and text else text for text, bold in cells)])
    return markdown_table(rows)


def differences_table(measured: Measured) -> str:
    """The reference minus each method, by its own rule and by its best one."""
    columns = ("over seeds", "over images", "on clean labels, over seeds", "attributes won / lost / even")
    rows = [["method", "decided by", *columns, "gain against imbalance"]]
    several = len(measured.comparison.attributes) > 1
    for each in own_or_best(measured):
        if each.difference is None or each.key[0] == measured.comparison.reference[0]:
            continue
        rows.append(
            [
                title(each.key[0], TITLES),
                title(each.key[1], TITLES),
                *difference_cells(each.difference),
                signed(_over_seeds(each.difference_clean)),
                wins_text(each.difference.wins) if several else "",
                signed(each.difference.against_imbalance, scale=1),
            ]
        )
    return markdown_table(rows)


def parts_table(measured: Measured) -> str:
    """What the reference is ahead of itself without a part, and of its own embedding by other rules."""
    rows = [["recipe", "balanced accuracy", "worth, over seeds", "over images", "clean labels", "spread"]]
    rows[0].append("training")
    reference = measured.comparison.reference[0]
    own = {each.key for each in own_rules(measured, ablations=True)}
    shown = [each for each in measured.comparison.standings if each.key in own or each.key[0] == reference]
    for each in sorted(shown, key=lambda each: -_worth(each)):
        name = title(each.key[0], TITLES)
        if each.key == measured.comparison.reference:
            name = f"**{name}**"
        elif each.key[0] == reference:
            name = f"{name}, decided by {title(each.key[1], TITLES)}"
        rows.append(
            [
                name,
                percent(each.scores["balanced_accuracy"]),
                *difference_cells(each.difference),
                signed(_over_seeds(each.difference_clean)),
                "" if each.spread is None else f"{each.spread.mean:.2f}",
                f"{each.seconds.mean:,.0f} s",
            ]
        )
    return markdown_table(rows)


def trials_table(measured: Iterable[Measured]) -> str:
    """What was tried for each method, and how it did on validation in each comparison; the choice in bold."""
    each = list(measured)
    rows = [["method", "tried", *(f"{one.name}, {seeds_text(range(one.trial_seeds))}" for one in each)]]
    for method in dict.fromkeys(method for one in each for method in one.trials):
        tried = next(one.trials[method] for one in each if method in one.trials)
        settings = [_settings(trial["settings"]) for trial in tried]
        rows.append(
            [
                title(method, TITLES),
                "; ".join(text for text in settings if text) or "–",
                *(_validations(one.trials.get(method, ())) for one in each),
            ]
        )
    return markdown_table(rows)


def _validations(trials: Sequence[Mapping[str, Any]]) -> str:
    values = [trial["validation"] for trial in trials]
    texts = ["diverged" if value is None else f"{100 * value:.1f}" for value in values]
    if len(texts) > 1:
        best = max(range(len(values)), key=lambda number: values[number] or 0.0)
        texts[best] = f"**{texts[best]}**"
    return "; ".join(texts)


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key.rpartition('.')[2]} {setting_text(value)}" for key, value in settings.items())


def setting_text(value: Any) -> str:
    """A setting's value; of a list, its members."""
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


def _emphasised(key: Key, measured: Measured) -> str:
    text = title(key[0], TITLES)
    return f"**{text}**" if key == measured.comparison.reference else text


def _over_seeds(difference: Difference | None) -> Estimate | None:
    return None if difference is None else difference.over_seeds


def _worth(standing: Standing) -> float:
    """Of the difference; infinite for the reference, which is shown first."""
    return float("inf") if standing.difference is None else standing.difference.over_seeds.mean
