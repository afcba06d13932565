"""What is made of many experiments: estimates over seeds, paired differences, tables.

An experiment is a method with a decision rule, trained from one seed and scored on one test split.
"""

from lmle_core.comparison.experiment import Experiment, Truth
from lmle_core.comparison.over_images import Pair, paired_by_attribute, paired_over_images
from lmle_core.comparison.ranking import Ranking, rank
from lmle_core.comparison.standing import MEASURES, Difference, Key, Standing
from lmle_core.comparison.statistics import Estimate, Wins, attributes_won, mean_interval, paired, rank_correlation
from lmle_core.comparison.tables import Comparison

__all__ = [
    "MEASURES",
    "Comparison",
    "Difference",
    "Estimate",
    "Experiment",
    "Key",
    "Pair",
    "Ranking",
    "Standing",
    "Truth",
    "Wins",
    "attributes_won",
    "mean_interval",
    "paired",
    "paired_by_attribute",
    "paired_over_images",
    "rank",
    "rank_correlation",
]
