"""faiss as a peer, set to be as fast as it can."""

import faiss

BLAS_FROM = 20
"""Work from which faiss multiplies matrices; with its own 128,000, small searches take several times as long."""


def at_its_best(threads: int) -> None:
    """Let faiss use all threads, and matrix products for small searches too."""
    faiss.omp_set_num_threads(threads)
    faiss.cvar.distance_compute_blas_threshold = BLAS_FROM
