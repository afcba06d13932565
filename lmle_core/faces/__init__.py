"""Procedural faces: a data set in CelebA's layout, at CelebA's attribute rates, made from a seed.

Forty attributes with CelebA's rates and plausible dependencies (`dependencies`, `population`), twenty images an
identity, drawn as polygons (`painting` and what it calls), with landmarks where the features are (`anatomy`). What
makes it hard: pose, light, background, things in the way, blur and noise (`scene`), attributes that are a matter of
degree (`person`), and label noise (`population.mislabel`). Image i depends on (seed, i) alone.
"""

from lmle_core.faces.files import (
    file_name,
    partition,
    render,
    write_all_images,
    write_annotations,
    write_faces,
    write_images,
)
from lmle_core.faces.population import Population, draw_attributes, draw_population, mislabel

__all__ = [
    "Population",
    "draw_attributes",
    "draw_population",
    "file_name",
    "mislabel",
    "partition",
    "render",
    "write_all_images",
    "write_annotations",
    "write_faces",
    "write_images",
]
