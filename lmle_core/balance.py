"""What balances the classes of a training: batches, loss or class costs."""

from lmle_core.config import BALANCED_TWICE, Config


def has_costs(config: Config, attributes: int) -> bool:
    """Whether anchors have class costs: 'auto' has them where neither batches nor loss balance the classes."""
    costs = config.training.costs
    return costs == "inverse" or (costs == "auto" and not balances(config, attributes))


def check_balance(config: Config, attributes: int) -> None:
    """Raise ValueError where class costs would balance classes that the batches of one attribute balance already."""
    if config.training.costs == "inverse" and balances(config, attributes):
        raise ValueError(BALANCED_TWICE)


def balances(config: Config, attributes: int) -> bool:
    """Whether batches, table or loss balance the classes of so many attributes."""
    return config.balanced or (config.training.sampler == "auto" and attributes == 1)
