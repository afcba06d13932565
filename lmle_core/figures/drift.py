"""The figure of drift: rates, clusters and embeddings of new images beside those of the training images."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lmle_core.drift import Drift
from lmle_core.figures.style import BLUE, GREY, INK, PALE, VERMILION, legend_below, new_figure, readable, tidy


def drift_figure(drift: Drift) -> Figure:
    """Three panels with a row an attribute, the strongest drift on top: rates, stability indices, embeddings.

    Indices that are worth a warning are vermilion.

    Args:
        drift: of at least one attribute.
    """
    found = sorted(drift.attributes, key=lambda each: max(each.label_psi, each.cluster_psi))
    y = np.arange(len(found))
    figure = new_figure(11, 1.8 + 0.27 * len(found))
    panels: Any = figure.subplots(1, 3, sharey=True)
    rates, indices, embeddings = panels

    known, new = (np.array([100 * getattr(each, name) for each in found]) for name in ("known_rate", "new_rate"))
    rates.hlines(y, known, new, color=PALE, linewidth=2, zorder=1)
    before = rates.plot(known, y, "o", ms=5, mfc="white", mec=GREY, mew=1.3, zorder=2)[0]
    after = rates.plot(new, y, "o", ms=5, color=BLUE, zorder=3)[0]
    tidy(rates, "Rate of the attribute", "images (%)", grid="x")

    handles = [before, after]
    for name, value, marker in (("labels", "label_psi", "D"), ("clusters", "cluster_psi", "s")):
        values = np.array([getattr(each, value) for each in found])
        colors = [VERMILION if name in each.warnings else BLUE for each in found]
        handles.append(indices.scatter(values, y, s=22, c=colors, marker=marker, zorder=2, clip_on=False))
    indices.axvline(drift.threshold, color=INK, linewidth=0.9, linestyle=(0, (5, 3)))
    indices.set_xlim(left=0)
    tidy(indices, "Stability index", f"PSI, dashed: warning above {drift.threshold:g}", grid="x")

    embeddings.barh(y, [each.mean_shift for each in found], height=0.6, color=BLUE)
    tidy(embeddings, "Mean embedding", "moved by (unit sphere)", grid="x")

    rates.set_yticks(y, [readable(each.attribute) for each in found])
    rates.set_ylim(-0.7, len(found) - 0.3)
    names = [f"{drift.known:,} training images", f"{drift.new:,} new images", "PSI of labels", "PSI of clusters"]
    legend_below(figure, handles, names)
    return figure
