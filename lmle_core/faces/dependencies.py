"""How the forty attributes depend on one another: a Bayesian network of logistic nodes.

Each attribute is drawn after its parents, with log-odds `bias + Σ effect of the parents that are present`. The biases
are not written down: they are solved for, so that every attribute keeps CelebA's rate whatever the effects are.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

NEVER = -30.0
"""Log-odds of what does not happen: no beard on a woman, no fringe on a bald head."""

ONLY = -NEVER
"""Log-odds of what happens with the parent only: a necktie on men."""


@dataclass(frozen=True)
class Node:
    """One attribute of the network.

    Attributes:
        name: the attribute.
        identity: share of the latent variance that all images of an identity have in common; 1: constant.
        effects: log-odds that each earlier attribute adds where it is present.
    """

    name: str
    identity: float
    effects: Mapping[str, float] = field(default_factory=dict)


NETWORK: tuple[Node, ...] = (
    Node("Male", 1.0),
    Node("Young", 0.97, {"Male": -1.3}),
    # Hair: at most one colour, and none of it on a bald head.
    Node("Bald", 0.98, {"Male": ONLY, "Young": -1.8}),
    Node("Gray_Hair", 0.96, {"Bald": NEVER, "Male": 1.2, "Young": -4.0}),
    Node("Black_Hair", 0.94, {"Bald": NEVER, "Gray_Hair": NEVER, "Male": 0.3, "Young": 0.4}),
    Node("Blond_Hair", 0.94, {"Bald": NEVER, "Gray_Hair": NEVER, "Black_Hair": NEVER, "Male": -2.4}),
    Node(
        "Brown_Hair",
        0.94,
        {"Bald": NEVER, "Gray_Hair": NEVER, "Black_Hair": NEVER, "Blond_Hair": NEVER, "Male": -0.5},
    ),
    Node("Wavy_Hair", 0.75, {"Bald": NEVER, "Male": -1.7, "Young": 0.4}),
    Node("Straight_Hair", 0.75, {"Bald": NEVER, "Wavy_Hair": NEVER, "Male": -0.2}),
    Node("Wearing_Hat", 0.15, {"Male": 1.2, "Young": 0.3}),
    Node("Receding_Hairline", 0.93, {"Bald": NEVER, "Wearing_Hat": NEVER, "Male": 1.3, "Young": -1.9}),
    Node("Bangs", 0.75, {"Bald": NEVER, "Receding_Hairline": NEVER, "Wearing_Hat": -1.5, "Male": -1.4, "Young": 0.4}),
    # Beards: kinds only where there is one; one without any of the four kinds is a full beard.
    Node("No_Beard", 0.85, {"Male": NEVER, "Young": 0.3}),
    Node("5_o_Clock_Shadow", 0.6, {"No_Beard": NEVER, "Young": 0.5}),
    Node("Goatee", 0.75, {"No_Beard": NEVER, "5_o_Clock_Shadow": -0.3}),
    Node("Mustache", 0.75, {"No_Beard": NEVER, "5_o_Clock_Shadow": -0.3, "Goatee": 1.0, "Young": -0.6}),
    Node("Sideburns", 0.75, {"No_Beard": NEVER, "Bald": NEVER, "Goatee": 0.5}),
    # The face.
    Node("Chubby", 0.95, {"Male": 1.3, "Young": -1.6}),
    Node("Double_Chin", 0.9, {"Chubby": 2.8, "Male": 0.7, "Young": -1.6}),
    Node("Oval_Face", 0.85, {"Chubby": -1.5, "Male": -0.7, "Young": 0.3}),
    Node("Big_Nose", 0.93, {"Male": 1.5, "Young": -0.9, "Chubby": 0.8}),
    Node("Pointy_Nose", 0.9, {"Big_Nose": -0.8, "Male": -0.8, "Young": 0.3}),
    Node("Big_Lips", 0.85, {"Male": -0.7}),
    Node("Bushy_Eyebrows", 0.9, {"Male": 1.7, "Young": 0.2}),
    Node("Pale_Skin", 0.9, {"Male": -0.7, "Black_Hair": -0.3}),
    # Made up and dressed.
    Node("Heavy_Makeup", 0.5, {"Male": NEVER, "Young": 1.2}),
    Node("Wearing_Lipstick", 0.5, {"Male": NEVER, "Heavy_Makeup": 3.2}),
    Node("Arched_Eyebrows", 0.85, {"Male": -2.2, "Heavy_Makeup": 0.7, "Bushy_Eyebrows": -0.8}),
    Node("Rosy_Cheeks", 0.6, {"Male": -3.0, "Heavy_Makeup": 1.4}),
    Node("Wearing_Earrings", 0.3, {"Male": -2.8, "Heavy_Makeup": 0.6}),
    Node("Wearing_Necklace", 0.2, {"Male": -2.8, "Wearing_Earrings": 0.5}),
    Node("Wearing_Necktie", 0.2, {"Male": ONLY, "Young": -0.8, "Wearing_Necklace": NEVER, "Wearing_Hat": -1.0}),
    Node("Eyeglasses", 0.5, {"Male": 1.1, "Young": -1.3, "Heavy_Makeup": -0.8}),
    # The moment.
    Node("Smiling", 0.1, {"Male": -0.5}),
    Node("Mouth_Slightly_Open", 0.05, {"Smiling": 2.2}),
    Node("High_Cheekbones", 0.3, {"Smiling": 3.0, "Male": -0.5, "Chubby": -0.5}),
    Node("Narrow_Eyes", 0.6, {"Smiling": 0.5}),
    Node("Bags_Under_Eyes", 0.7, {"Male": 1.0, "Young": -1.1, "Heavy_Makeup": -0.6}),
    Node(
        "Attractive",
        0.85,
        {
            "Young": 2.2,
            "Male": -0.8,
            "Heavy_Makeup": 0.9,
            "Chubby": -2.0,
            "Big_Nose": -0.9,
            "Double_Chin": -1.0,
            "Eyeglasses": -1.0,
            "Bald": -0.8,
            "Oval_Face": 0.5,
            "Bags_Under_Eyes": -0.4,
        },
    ),
    Node("Blurry", 0.0, {"Attractive": -0.6}),
)
"""Every attribute, after its parents."""
