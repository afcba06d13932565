"""The painting of one image, layer upon layer from the background to the camera."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lmle_core.faces.accessories import paint_earrings, paint_glasses, paint_hat
from lmle_core.faces.age import paint_age
from lmle_core.faces.anatomy import Anatomy, Pose
from lmle_core.faces.beard import paint_beard
from lmle_core.faces.canvas import Canvas
from lmle_core.faces.clothes import paint_clothes, paint_necklace
from lmle_core.faces.eyes import paint_eyes
from lmle_core.faces.hair import paint_hair, paint_hair_behind
from lmle_core.faces.head import paint_ears, paint_head, paint_neck, paint_nose
from lmle_core.faces.mouth import paint_mouth
from lmle_core.faces.person import Person
from lmle_core.faces.portrait import Portrait
from lmle_core.faces.scene import background, grain, paint_obstacle, photograph

_LAYERS = (
    paint_hair_behind,
    paint_neck,
    paint_clothes,
    paint_necklace,
    paint_ears,
    paint_head,
    paint_age,
    paint_nose,
    paint_mouth,
    paint_beard,
    paint_eyes,
    paint_hair,
    paint_earrings,
    paint_hat,
    paint_glasses,
    paint_obstacle,
)


def paint(person: Person, rng: np.random.Generator, obstacle: bool = True) -> NDArray[np.uint8]:
    """The image of a person: uint8 (218, 178, 3), RGB. The same person and generator state give the same pixels.

    Args:
        person: whom to paint.
        rng: everything that the person does not decide.
        obstacle: whether something may stand before the face.
    """
    camera, *hands = rng.spawn(1 + len(_LAYERS))  # a layer's randomness is its own, whatever the others paint
    portrait = Portrait(
        canvas=Canvas(background(rng)), person=person, anatomy=Anatomy.of(person), pose=Pose.of(person), rng=rng,
        skin=person.skin(), hair=person.hair(), grain=grain(rng),
    )  # fmt: skip
    for layer, hand in zip(_LAYERS, hands, strict=True):
        if obstacle or layer is not paint_obstacle:
            layer(replace(portrait, rng=hand))
    return photograph(portrait.canvas.finished(), person, camera)
