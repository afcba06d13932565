"""PNG files depend on the figure alone, and no figure touches pyplot's global state."""

import subprocess
import sys
from pathlib import Path

from PIL import Image

from lmle_core.figures import save
from lmle_core.figures.style import new_figure, tidy


def test_the_same_figure_gives_the_same_png(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        figure = new_figure(3, 2)
        axes = figure.subplots()
        axes.plot([1, 2], [3, 4])
        tidy(axes, "Title", "x (s)", "y (%)")
        save(figure, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (390, 260)
        assert "Software" not in image.info


def test_figures_do_without_pyplot() -> None:
    code = "import sys, lmle_core.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
