"""What balances the classes of a training: batches, loss or class costs."""

from lmle_core.config import Config


def has_costs(config: Config, attributes: int) -> bool:
    """Whether anchors have class costs: 'auto' has them where neither batches nor loss balance the classes."""
    costs = config.training.costs
    return costs == "inverse" or (costs == "auto" and not _balanced(config, attributes))


def check_balance(config: Config, attributes: int) -> None:
    """Raise ValueError where class costs would balance classes that batches or loss balance already."""
    if config.training.costs == "inverse" and _balanced(config, attributes):
        raise ValueError(
            "training.costs 'inverse' would balance the classes twice: the batches, the table or the loss do it "
            "already; use 'auto'"
        )


def _balanced(config: Config, attributes: int) -> bool:
    loss, sampler = config.loss, config.training.sampler
    batches = sampler in {"class-equal", "minority"} or (sampler == "auto" and attributes == 1)
    by_loss = loss.kind == "centroid-margin" or (loss.kind == "softmax-ratio" and loss.adjusted)
    return batches or by_loss or config.quintuplets.mode == "table"
