"""The figure of drift shows each attribute's rates, indices and shift, and marks what is worth a warning."""

from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from lmle_core.drift import AttributeDrift, Drift
from lmle_core.figures.drift import drift_figure
from lmle_core.figures.style import VERMILION


def drifted(attributes: int = 40) -> Drift:
    rng = np.random.default_rng(0)
    rows = []
    for a in range(attributes):
        labels, clusters = rng.gamma(1, 0.1, 2)
        warnings = tuple(name for name, value in (("labels", labels), ("clusters", clusters)) if value > 0.2)
        rates, shift = rng.random(2), rng.random()
        rows.append(AttributeDrift(f"Number_{a}", rates[0], rates[1], 1.0, labels, clusters, shift, 0.9, 0.8, warnings))
    return Drift(5000, 700, 0.2, tuple(rows))


@pytest.mark.parametrize("attributes", [1, 40])
def test_each_attribute_has_its_row_the_strongest_drift_on_top(attributes: int) -> None:
    drift = drifted(attributes)
    figure = drift_figure(drift)
    figure.canvas.draw()
    rates, indices, embeddings = figure.axes
    names = [text.get_text() for text in rates.get_yticklabels()]
    by_name = {each.attribute.replace("_", " "): each for each in drift.attributes}
    strongest = [max(by_name[name].label_psi, by_name[name].cluster_psi) for name in names]
    assert strongest == sorted(strongest)
    for line, field in zip(rates.lines, ("known_rate", "new_rate"), strict=True):
        np.testing.assert_allclose(
            np.asarray(line.get_xdata()), [100 * getattr(by_name[name], field) for name in names]
        )
    marks: Any = indices.collections
    for mark, field, what in zip(marks, ("label_psi", "cluster_psi"), ("labels", "clusters"), strict=True):
        expected = [getattr(by_name[name], field) for name in names]
        np.testing.assert_allclose(np.asarray(mark.get_offsets())[:, 0], expected)
        warned = [to_hex(color).upper() == VERMILION for color in mark.get_facecolors()]
        assert warned == [what in by_name[name].warnings for name in names]
    bars: Any = embeddings.patches
    np.testing.assert_allclose([bar.get_width() for bar in bars], [by_name[name].mean_shift for name in names])
    assert "700 new images" in [text.get_text() for text in figure.legends[0].get_texts()]
