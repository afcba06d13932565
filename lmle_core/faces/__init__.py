"""Procedural faces: a data set in CelebA's layout, at CelebA's attribute rates, made from a seed.

Forty attributes with CelebA's rates and plausible dependencies (`dependencies`, `population`), twenty images an
identity, drawn as polygons (`painting` and what it calls), with landmarks where the features are (`anatomy`). What
makes it hard: pose, light, background, things in the way, blur and noise (`scene`), attributes that are a matter of
degree (`person`), and label noise (`population.mislabel`). Image i depends on (seed, i) alone.

How hard, measured by `benchmarks/face_difficulty.py --images 10000 --side 64 --epochs 8` for one seed (0), on 8,000
images with `label_noise` 0.05 and 2,000 held-out ones with clean labels: mean balanced accuracy of the 40 attributes,

    six-layer CNN, thresholded at the training rate    82.9 %    (83.6 % without the three near-random attributes)
    the same, thresholded at a half                    69.4 %    (69.6 %)
    128 principal components, nearest class mean       61.0 %    (61.5 %)

One seed says nothing of the spread between seeds. The CNN is far from converged: 500 steps.
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
