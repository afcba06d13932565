"""A contact sheet: for each attribute, the same person without and with it."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from lmle_core.celeba.facts import ATTRIBUTES
from lmle_core.faces.anatomy import HEIGHT, WIDTH
from lmle_core.faces.painting import paint
from lmle_core.faces.person import person
from lmle_core.faces.population import IMAGES_PER_IDENTITY, Population, draw_population
from lmle_core.faces.streams import painter

_COLUMN = {name: column for column, name in enumerate(ATTRIBUTES)}
_BEARDS = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")
_CAPTION = 14
_GAP = 8
_SEARCH = 2000


def attribute_sheet(
    seed: int = 0, attributes: Sequence[str] = ATTRIBUTES, columns: int = 8, scale: float = 0.5
) -> NDArray[np.uint8]:
    """Pairs without (left) and with (right) each attribute, in rows of `columns` attributes: uint8 (h, w, 3), RGB.

    Args:
        seed: of the data set whose people are shown.
        attributes: which attributes, in this order.
        columns: attributes in a row.
        scale: size of an image, 1: 178×218.

    Corner cases: taking an attribute away takes along what cannot be without it: a woman made of a man has no beard.
    """
    population = draw_population(seed, range(_SEARCH))
    population = replace(population, pose=0.5 + 0.35 * (population.pose - 0.5))
    blocks = [_block(population, seed, name, scale) for name in attributes]
    blocks += [np.full_like(blocks[0], 255)] * (-len(blocks) % columns)
    return np.concatenate(
        [np.concatenate(blocks[k : k + columns], axis=1) for k in range(0, len(blocks), columns)], axis=0
    )


def _block(population: Population, seed: int, name: str, scale: float) -> NDArray[np.uint8]:
    """The caption and the pair of one attribute."""
    width, height = round(WIDTH * scale), round(HEIGHT * scale)
    caption = np.full((_CAPTION, 2 * width + _GAP, 3), 255, np.uint8)
    text = name.replace("_", " ")
    cv2.putText(caption, text, (1, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    row, images = _someone(population, name), []
    for present in (False, True):
        labels = population.labels.copy()
        labels[row] = with_attribute(labels[row], name, present)
        pixels = paint(person(replace(population, labels=labels), row), painter(seed, row), obstacle=False)
        images.append(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    pair = np.concatenate((*images, np.full((height, _GAP, 3), 255, np.uint8)), axis=1)
    return np.concatenate((caption, pair, np.full((_GAP, 2 * width + _GAP, 3), 255, np.uint8)))


def _someone(population: Population, name: str) -> int:
    """The image to show an attribute on: of somebody who has it, with nothing that would hide it."""
    has = population.labels.astype(bool)
    fits = has[:, _COLUMN["Goatee" if name == "No_Beard" else name]]
    for hidden in {"Blurry", "Wearing_Hat", "Eyeglasses"} - {name}:
        fits = fits & ~has[:, _COLUMN[hidden]]
    every = np.flatnonzero(fits)
    _, first = np.unique(every // IMAGES_PER_IDENTITY, return_index=True)
    return int(every[first[_COLUMN[name] % len(first)]])


def with_attribute(labels: NDArray[np.int8], name: str, present: bool) -> NDArray[np.int8]:
    """One person's labels (40,) with an attribute set or removed, and what hangs on it made consistent."""
    changed = labels.copy()
    changed[_COLUMN[name]] = present
    beards = [_COLUMN[beard] for beard in _BEARDS]
    if (name == "No_Beard" and present) or (name == "Male" and not present):
        changed[beards] = 0
        changed[_COLUMN["No_Beard"]] = 1
    if name == "Male" and not present:
        changed[[_COLUMN["Bald"], _COLUMN["Wearing_Necktie"]]] = 0
    if name in _BEARDS:
        changed[_COLUMN["No_Beard"]] = not changed[beards].any()
    return changed
