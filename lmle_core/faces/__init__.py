"""Procedural faces: a data set in CelebA's layout, at CelebA's attribute rates, made from a seed."""

from lmle_core.faces.files import file_name, partition, render, write_annotations, write_faces, write_images
from lmle_core.faces.population import Population, draw_attributes, draw_population, mislabel

__all__ = [
    "Population",
    "draw_attributes",
    "draw_population",
    "file_name",
    "mislabel",
    "partition",
    "render",
    "write_annotations",
    "write_faces",
    "write_images",
]
