"""Batch normalisation by the statistics of a whole batch of which each process has a share."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lmle_core.distributed.ranks import ranks, summed


def normalise_over_ranks(network: nn.Module) -> None:
    """Let a network's batch normalisation take its statistics over the shares of all processes, in place.

    On GPUs it becomes torch's SyncBatchNorm, which there is for no other device.
    """
    if ranks() == 1:
        return
    if next(network.parameters()).device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(normalised, module)  # type: ignore[method-assign]


def normalised(module: _BatchNorm, values: Tensor) -> Tensor:
    """What a module makes of this process's share, shape (b, C, …), of a batch; running statistics follow as torch's.

    Variances are means of squared differences from the mean of all: no cancellation, for one more message.
    """
    if not module.training:
        return type(module).forward(module, values)
    rows = values.float()
    dimensions = [dimension for dimension in range(rows.dim()) if dimension != 1]
    shape = (1, -1, *[1] * (rows.dim() - 2))
    counted = torch.cat([rows.sum(dimensions), rows.new_full((1,), rows.numel() // rows.shape[1])])
    sums, number = torch.split(summed(counted), [rows.shape[1], 1])
    mean = sums / number
    centred = rows - mean.view(shape)
    variance = summed(centred.square().sum(dimensions)) / number
    _follow(module, mean, variance * number / (number - 1))
    result = centred * (variance + module.eps).rsqrt().view(shape)
    if module.affine:
        result = result * module.weight.view(shape) + module.bias.view(shape)
    return result.to(values.dtype)


@torch.no_grad()
def _follow(module: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    if module.running_mean is None or module.running_var is None or module.num_batches_tracked is None:
        return
    module.num_batches_tracked.add_(1)
    factor = 1 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    module.running_mean.lerp_(mean, factor)
    module.running_var.lerp_(variance, factor)
