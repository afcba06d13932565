"""Figures of a run; each function returns a matplotlib Figure that shares no global state, and `save` writes it."""

from lmle_core.figures.accuracy import balanced_accuracy_bars, gain_against_imbalance, recalls
from lmle_core.figures.curves import TrainingCurves, training_curves
from lmle_core.figures.embedding import EmbeddingPanel, FaceRow, embedding_map, face_grid
from lmle_core.figures.neighbours import neighbour_grid
from lmle_core.figures.style import png, save

__all__ = [
    "EmbeddingPanel",
    "FaceRow",
    "TrainingCurves",
    "balanced_accuracy_bars",
    "embedding_map",
    "face_grid",
    "gain_against_imbalance",
    "neighbour_grid",
    "png",
    "recalls",
    "save",
    "training_curves",
]
