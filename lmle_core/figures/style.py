"""How every figure looks: colour-blind safe colours, quiet axes, and PNG files without times or versions."""

import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design, 2008.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#8C8C8C"
SERIES = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
INK, PALE, GRID = "#262626", "#C9CED6", "#E6E8EB"
DPI = 130


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches, drawn by Agg, outside pyplot's global state."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Any, title: str = "", x: str = "", y: str = "", grid: str | None = "y") -> None:
    """Title at the left, axis labels, no box, and a grid behind the data along `grid` ('x', 'y', 'both' or None)."""
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    axes.set_xlabel(x, fontsize=9.5, color=INK)
    axes.set_ylabel(y, fontsize=9.5, color=INK)
    axes.tick_params(labelsize=8.5, colors=INK, length=3, color=PALE)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALE)
    axes.set_axisbelow(True)
    if grid is not None:
        axes.grid(axis=grid, color=GRID, linewidth=0.8)


def title_over(figure: Figure, text: str) -> None:
    """A title at the left of the whole figure, for one whose labels leave the axes too narrow for it."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")


def legend_below(figure: Figure, handles: list[Any], labels: list[str], columns: int | None = None) -> None:
    """A legend under the axes, never over the data."""
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns or len(labels),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def readable(attribute: str) -> str:
    """An attribute's name as text: underscores as spaces."""
    return attribute.replace("_", " ")


def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG; the same figure gives the same bytes."""
    path.write_bytes(png(figure))
