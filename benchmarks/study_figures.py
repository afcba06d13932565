"""Figures of docs/results.md: what a record of a study is drawn as."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from matplotlib.figure import Figure

from benchmarks.study_records import Measured, StudyRecord
from benchmarks.study_tables import own_rules
from lmle_core.comparison import Comparison
from lmle_core.figures.comparison import PANELS, accuracy_against_removed, differences, gains_against_imbalance
from lmle_core.methods.titles import TITLES

REMOVED = "data.removed"
"""The setting that tells the comparisons of the digits study apart."""


@dataclass(frozen=True)
class Drawing:
    """A figure of the page.

    Attributes:
        file: its name.
        text: what it shows, for who cannot see it.
        draw: makes it.
    """

    file: str
    text: str
    draw: Callable[[], Figure]

    def markdown(self, folder: str) -> str:
        """The image, beside the page."""
        return f"![{self.text}]({folder}/{self.file})"


def drawings(record: StudyRecord) -> list[Drawing]:
    """All figures of a study."""
    each = [(*comparison_drawings(one), *part_drawings(one)) for one in record.comparisons.values()]
    return [*study_drawings(record), *chain.from_iterable(each)]


def study_drawings(record: StudyRecord) -> list[Drawing]:
    """Figures over several comparisons: accuracy against the share of images removed, where the study removes any."""
    shares = {removed(each): by_own_rules(each) for each in record.comparisons.values()}
    if len(shares) < 2:
        return []
    text = "Balanced accuracy of each method by its own rule, against the share of images removed"
    return [Drawing(f"{record.name}-removed.png", text, lambda: accuracy_against_removed(shares, TITLES))]


def comparison_drawings(measured: Measured) -> list[Drawing]:
    """Figures of one comparison: differences, and gains against imbalance where there are attributes to show it."""
    own = by_own_rules(measured)
    if len(own.standings) < 2:
        return []
    text = f"What the reference is ahead of each method by its own rule, {measured.name}"
    made = [Drawing(f"{measured.name}-differences.png", text, lambda: differences(own, TITLES))]
    rivals = [each.difference for each in own.standings if each.difference]
    if any(each.against_imbalance for each in rivals):
        for page in range(-(-len(rivals) // PANELS)):
            text = f"Gain on each attribute against its imbalance, over each rival, {measured.name}, page {page + 1}"
            made.append(Drawing(f"{measured.name}-gains-{page + 1}.png", text, partial(_gains, own, page)))
    return made


def _gains(comparison: Comparison, page: int) -> Figure:
    return gains_against_imbalance(comparison, TITLES)[page]


def part_drawings(measured: Measured) -> list[Drawing]:
    """What each part of the reference is worth, where a comparison has ablations."""
    own = by_own_rules(measured, ablations=True)
    if len(own.standings) < 2:
        return []
    text = f"What the reference is ahead of itself with one part changed, {measured.name}"
    return [Drawing(f"{measured.name}-parts.png", text, lambda: differences(own, TITLES))]


def removed(measured: Measured) -> float:
    """The share of images that half of the classes lost in a comparison, 0 to 1."""
    return float(measured.settings.get(REMOVED, 0.0))


def by_own_rules(measured: Measured, *, ablations: bool = False) -> Comparison:
    """The comparison of the reference with its rivals, or its ablations, by their own rules alone."""
    return replace(measured.comparison, standings=tuple(own_rules(measured, ablations=ablations)))
