"""Figures of a comparison show its differences, gains and intervals, each method in its place."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lmle_core.comparison import Comparison, Key
from lmle_core.figures.comparison import accuracy_against_removed, differences, gains_against_imbalance
from tests.lmle_core.comparison.made import study

OURS: Key = ("lmle", "clusters")
OTHERS: list[Key] = [(f"method {letter}", "half") for letter in "abcdefgh"]


def made(others: int = 8, right: float = 0.9, seeds: Sequence[int] = (0, 1, 2), clean: bool = True) -> Comparison:
    keys = [OURS, *OTHERS[:others]]
    return Comparison.of(
        *study({key: right - 0.03 * i for i, key in enumerate(keys)}, seeds, clean=clean), OURS, bootstrap=20
    )


def digits(others: int, right: float) -> Comparison:
    keys = [OURS, *OTHERS[:others]]
    values = {key: right - 0.03 * i for i, key in enumerate(keys)}
    return Comparison.of(*study(values, n=60, attributes=1, classes=3, clean=False), OURS, bootstrap=20)


def points(line: Any) -> list[list[float]]:
    return np.asarray(line.get_xydata(), dtype=np.float64).tolist()


@pytest.mark.parametrize("clean", [False, True])
def test_each_method_has_a_panel_of_its_gains_six_a_page_of_one_scale(clean: bool) -> None:
    compared = made()
    pages = gains_against_imbalance(compared, {"half": "at ½"}, clean=clean)
    panels = [axes for page in pages for axes in page.axes if axes.get_visible()]
    assert [sum(axes.get_visible() for axes in page.axes) for page in pages] == [6, 2]
    shown = [each for each in compared.standings if each.difference is not None]
    assert all(len({axes.get_ylim() for axes in page.axes}) == 1 for page in pages)
    for axes, standing in zip(panels, shown, strict=True):
        difference = standing.difference_clean if clean else standing.difference
        assert difference is not None
        assert axes.get_title(loc="left") == f"{standing.key[0]}\n(at ½)"
        collections: Any = axes.collections
        whiskers, marks = collections
        expected = 100 * np.stack([difference.imbalance, difference.mean_gains], axis=1)
        np.testing.assert_allclose(np.asarray(marks.get_offsets()), expected)
        ends = [segment[:, 1] for segment in whiskers.get_segments()]
        np.testing.assert_allclose(ends, 100 * np.stack([difference.gains.min(0), difference.gains.max(0)], axis=1))
        slope = np.polyfit(expected[:, 0], expected[:, 1], 1)[0]
        (left, low), (right, high) = points(axes.lines[1])
        assert (high - low) / (right - left) == pytest.approx(slope)
        assert axes.texts[0].get_text().startswith("ρ = ")


def test_an_attribute_without_a_gain_and_a_single_seed_are_drawn_without_warning() -> None:
    compared = made(2, seeds=(0,))
    for each in compared.standings:
        if each.difference is not None:
            each.difference.gains[:, 2] = np.nan
    (page,) = gains_against_imbalance(compared, {})
    page.canvas.draw()
    assert [len(np.asarray(axes.collections[0].get_offsets())) for axes in page.axes] == [5, 5]


def test_differences_are_sorted_filled_on_noisy_and_hollow_on_clean_labels() -> None:
    compared = made()
    figure = differences(compared, {})
    axes = figure.axes[0]
    by_name = {f"{each.key[0]}\n(half)": each for each in compared.standings}
    named = dict(zip((text.get_text() for text in axes.get_yticklabels()), axes.get_yticks(), strict=True))
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    for hollow in (False, True):
        own = [line for line in marks if (line.get_markerfacecolor() == "white") == hollow]
        assert len(own) == 8
        for line in own:
            [[x, y]] = points(line)
            name = min(named, key=lambda each: abs(named[each] - y))
            difference = by_name[name].difference_clean if hollow else by_name[name].difference
            assert difference is not None
            assert x == pytest.approx(100 * difference.over_seeds.mean)
            whisker = next(o for o in axes.lines if o not in marks and points(o)[0][1] == y and len(points(o)) == 2)
            assert [end[0] for end in points(whisker)] == pytest.approx(
                [100 * end for end in difference.over_seeds.interval or ()]
            )
    filled = sorted((points(line)[0] for line in marks if line.get_markerfacecolor() != "white"), key=lambda p: -p[1])
    assert filled == sorted(filled, key=lambda point: -point[0])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["labels as annotated", "clean labels"]


def test_long_names_leave_room_for_title_and_axis() -> None:
    name, rule = "LMLE, triple-header hinge over batch members, and so on", "clusters, weighed with the log-odds"
    figure = differences(made(), {"half": rule, **{method: name for method, _ in OTHERS}})
    figure.draw_without_rendering()
    (title,) = (text for text in figure.texts if text.get_text().endswith("minus each method"))
    for text in (title, figure.axes[0].xaxis.label):
        found = text.get_window_extent()
        assert figure.bbox.x0 <= found.x0 < found.x1 <= figure.bbox.x1


def test_each_method_has_a_line_over_the_shares_removed() -> None:
    compared = {0.9: digits(2, 0.7), 0.0: digits(2, 0.95), 0.4: digits(1, 0.85)}
    figure = accuracy_against_removed(compared, {})
    axes = figure.axes[0]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    lines = dict(zip(names, [line for line in axes.lines if len(points(line)) == 3], strict=True))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "40", "90"]
    for key in (OURS, *OTHERS[:2]):
        heights = np.array(points(lines[f"{key[0]} ({key[1]})"]))
        np.testing.assert_allclose(heights[:, 0], [0, 40, 90], atol=10)
        for row, share in enumerate((0.0, 0.4, 0.9)):
            found = {each.key: each for each in compared[share].standings}.get(key)
            estimate = None if found is None else found.scores["balanced_accuracy"]
            expected = np.nan if estimate is None else 100 * estimate.mean
            np.testing.assert_allclose(heights[row, 1], expected)
    assert lines["lmle (clusters)"].get_linewidth() > lines["method a (half)"].get_linewidth()


def test_nothing_to_compare_is_an_error() -> None:
    alone = made(0)
    with pytest.raises(ValueError, match="nothing to compare"):
        differences(alone, {})
    with pytest.raises(ValueError, match="on clean labels"):
        gains_against_imbalance(made(1, clean=False), {}, clean=True)
