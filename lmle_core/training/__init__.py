"""Rounds of training, in 'batch' or in 'table' mode."""

from lmle_core.training.round import (
    batch_objective,
    images_of_a_batch,
    images_seen,
    iterations_of_a_round,
    train_round,
)
from lmle_core.training.rounds import train_rounds
from lmle_core.training.table_mode import mine_quintuplets, mining_subset

__all__ = [
    "batch_objective",
    "images_of_a_batch",
    "images_seen",
    "iterations_of_a_round",
    "mine_quintuplets",
    "mining_subset",
    "train_round",
    "train_rounds",
]
