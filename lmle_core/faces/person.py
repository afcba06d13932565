"""One person in one image: the attributes as amounts, the looks as numbers, the colours of skin and hair.

An attribute that is present has an amount between its floor and 1, one that is absent an amount between 0 and its
ceiling. Where ceiling and floor are close, as for an oval face, the classes nearly touch; where the amount is drawn as
a thing that is there or not (a hat), only the floor matters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lmle_core.celeba.facts import ATTRIBUTES
from lmle_core.faces.population import LOOKS, Population

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 255."""

_USUAL_RANGE = (0.15, 0.5)
_RANGE = {
    "Arched_Eyebrows": (0.35, 0.45),
    "Attractive": (0.45, 0.55),
    "Bags_Under_Eyes": (0.3, 0.45),
    "Big_Lips": (0.35, 0.5),
    "Big_Nose": (0.3, 0.5),
    "Blurry": (0.0, 0.3),
    "Bushy_Eyebrows": (0.3, 0.5),
    "Chubby": (0.3, 0.5),
    "High_Cheekbones": (0.3, 0.45),
    "Narrow_Eyes": (0.25, 0.6),
    "Oval_Face": (0.4, 0.5),
    "Pale_Skin": (0.2, 0.7),
    "Pointy_Nose": (0.35, 0.5),
    "Receding_Hairline": (0.25, 0.45),
    "Rosy_Cheeks": (0.15, 0.5),
    "Smiling": (0.2, 0.55),
    "Young": (0.25, 0.55),
}
"""Ceiling of an absent attribute's amount, floor of a present one's."""

_SKIN: tuple[Colour, ...] = ((236, 190, 165), (225, 172, 142), (205, 150, 118), (172, 116, 84), (128, 82, 58))
_PALE: Colour = (248, 228, 220)
_HAIR: dict[str, tuple[Colour, Colour]] = {
    "Black_Hair": ((20, 18, 20), (42, 36, 36)),
    "Blond_Hair": ((205, 168, 105), (240, 214, 158)),
    "Brown_Hair": ((72, 44, 26), (118, 76, 46)),
    "Gray_Hair": ((140, 140, 144), (205, 205, 208)),
}
_OTHER_HAIR: tuple[tuple[Colour, Colour], ...] = (
    ((140, 62, 30), (178, 88, 42)),
    ((150, 118, 80), (172, 138, 96)),
    ((50, 36, 30), (66, 48, 40)),
)


@dataclass(frozen=True)
class Person:
    """Everything that drawing asks about one image's person.

    Attributes:
        amounts: amount of each attribute, 0 to 1.
        present: the attributes that the person has.
        looks: the identity's other numbers, 0 to 1.
        pose: the image's pose numbers, 0 to 1.
    """

    amounts: dict[str, float]
    present: frozenset[str]
    looks: dict[str, float]
    pose: NDArray[np.float64]

    def has(self, attribute: str) -> bool:
        """Whether the attribute is present."""
        return attribute in self.present

    def amount(self, attribute: str) -> float:
        """How much of the attribute there is, 0 to 1, for what is a matter of degree."""
        return self.amounts[attribute]

    def strength(self, attribute: str) -> float:
        """The amount where the attribute is present, else 0, for what is there or not."""
        return self.amounts[attribute] if attribute in self.present else 0.0

    def look(self, name: str, low: float = -1.0, high: float = 1.0) -> float:
        """One of the identity's looks, between low and high."""
        return low + (high - low) * self.looks[name]

    def skin(self) -> Colour:
        """The skin's colour in even light."""
        place = self.looks["skin"] ** 1.6 * (len(_SKIN) - 1)
        low = min(int(place), len(_SKIN) - 2)
        tone = mix(_SKIN[low], _SKIN[low + 1], place - low)
        tone = mix(tone, (232, 140, 120), 0.12 * self.looks["redness"])
        tone = mix(tone, (214, 186, 160), 0.18 * (1 - self.amount("Young")))
        tone = mix(tone, (150, 128, 104), 0.3 * max(0.0, 0.6 - self.amount("Attractive")))
        return mix(tone, _PALE, 0.85 * max(0.0, self.amount("Pale_Skin") - 0.2) / 0.8)

    def hair(self) -> Colour:
        """The hair's colour in even light."""
        shades = next((pair for name, pair in _HAIR.items() if self.has(name)), None)
        if shades is None:
            shades = _OTHER_HAIR[int(self.looks["hair_shade"] * 97) % len(_OTHER_HAIR)]
        return mix(*shades, self.looks["hair_shade"])


def person(population: Population, row: int) -> Person:
    """The person in one row of a population."""
    amounts = {}
    present = set()
    for column, name in enumerate(ATTRIBUTES):
        ceiling, floor = _RANGE.get(name, _USUAL_RANGE)
        degree = float(population.degrees[row, column])
        if population.labels[row, column]:
            present.add(name)
            amounts[name] = floor + (1 - floor) * degree
        else:
            amounts[name] = ceiling * degree
    return Person(
        amounts=amounts,
        present=frozenset(present),
        looks=dict(zip(LOOKS, population.looks[row].tolist(), strict=True)),
        pose=population.pose[row],
    )


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """A colour between two: `share` of the second."""
    rest = 1 - share
    return (
        first[0] * rest + second[0] * share,
        first[1] * rest + second[1] * share,
        first[2] * rest + second[2] * share,
    )


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker (under 1) or lighter (over 1)."""
    return (min(255.0, colour[0] * factor), min(255.0, colour[1] * factor), min(255.0, colour[2] * factor))
