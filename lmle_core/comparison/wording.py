"""How estimates and names read in tables and figures."""

from collections.abc import Mapping, Sequence

from lmle_core.comparison.statistics import Estimate


def title(name: str, titles: Mapping[str, str]) -> str:
    """A method's or rule's title; its name as text where it has none."""
    return titles.get(name, name.replace("_", " "))


def markdown_table(rows: Sequence[Sequence[str]], kept: int = 1) -> str:
    """A Markdown table of a heading and rows, without the columns in which only the heading has a text.

    Args:
        rows: the heading, then the rows, all of one length.
        kept: columns, from the left, that stay whatever they hold.
    """
    shown = [column for column in range(len(rows[0])) if column < kept or any(row[column] for row in rows[1:])]
    lines = [f"| {' | '.join(row[column] for column in shown)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(shown), *lines[1:]])


def percent(estimate: Estimate | None, *, interval: bool = True) -> str:
    """'88.2 (87.9 to 88.5)', of an estimate from 0 to 1; '' for None."""
    if estimate is None:
        return ""
    ends = "" if estimate.interval is None or not interval else " ({:.1f} to {:.1f})".format(*_times(estimate, 100))
    return f"{100 * estimate.mean:.1f}{ends}".replace("-", "−")


def signed(estimate: Estimate | None, *, scale: float = 100) -> str:
    """'+0.52 (+0.31 to +0.73)', with − for a minus and no sign of 0; '' for None."""
    if estimate is None:
        return ""
    ends = "" if estimate.interval is None else f" ({signed_interval(estimate, scale=scale)})"
    return _signed(scale * estimate.mean) + ends


def signed_interval(estimate: Estimate | None, *, scale: float = 100) -> str:
    """'+0.31 to +0.73'; '' without an interval."""
    return "" if estimate is None else " to ".join(_signed(end) for end in _times(estimate, scale))


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return "0.00" if text in ("+0.00", "-0.00") else text.replace("-", "−")


def _times(estimate: Estimate, scale: float) -> list[float]:
    return [scale * end for end in estimate.interval or ()]


def seeds_text(seeds: Sequence[int]) -> str:
    """'1 seed', '5 seeds'."""
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"


def images_each(images: Sequence[int]) -> str:
    """'2,000 test images each.'; a range where seeds differ."""
    low, high = min(images), max(images)
    return f"{low:,} test images each." if low == high else f"{low:,} to {high:,} test images each."
