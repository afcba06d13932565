"""The pictures of the data in docs/: `python -m benchmarks.sheets`."""

from pathlib import Path

from PIL import Image

from lmle_core.digits import digit_sheet, draw_digits
from lmle_core.faces.sheet import attribute_sheet

DOCS = Path(__file__).parents[1] / "docs"


def main() -> None:
    """Write the digits of each class, and each attribute without and with it, in 256 colours."""
    Image.fromarray(digit_sheet(draw_digits(0, 0.0))).save(DOCS / "digits.png", optimize=True)
    Image.fromarray(attribute_sheet(0, scale=0.6)).quantize(256).save(DOCS / "faces.png", optimize=True)


if __name__ == "__main__":
    main()
