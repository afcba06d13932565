"""Processes that train one network together: each forwards its share of a batch, and all of them have the whole.

Every process runs the same program on the same draws. Only the forward and the backward pass are divided: outputs are
gathered before the loss, which all compute alike over the whole batch, and gradients are summed before the step. Where
torch.distributed is not initialised there is one process, and nothing here changes what it does.
"""

import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

JOB = "LMLE_JOB"
"""Environment variable of the processes on the node where a training was started: the file that describes it."""


def ranks() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def local_ranks() -> int:
    """How many of them are on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if ranks() > 1 else 1


def writes() -> bool:
    """Whether this process writes what all of them have: the first one on the node where the training was started."""
    return ranks() == 1 or (JOB in os.environ and os.environ["LOCAL_RANK"] == "0")


def share(number: int) -> slice:
    """This process's part of so many rows; the parts of all processes follow one another."""
    rank = dist.get_rank() if ranks() > 1 else 0
    return slice(number * rank // ranks(), number * (rank + 1) // ranks())


def gathered(own: Tensor, number: int) -> Tensor:
    """All of `number` rows, shape (number, …), of which each process has its share.

    Each process gets the gradient of its own rows as it is, since all of them compute the same loss of the whole.
    """
    return own if ranks() == 1 else _Gather.apply(own, number)


def summed(own: Tensor) -> Tensor:
    """The sum of a tensor over the processes. Its gradient is summed too, as each process uses the sum for its rows."""
    return own if ranks() == 1 else _Sum.apply(own)


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its sum over the processes, all in one message."""
    if ranks() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view(gradient.shape))


def of_first(tensor: Tensor) -> Tensor:
    """A tensor that all processes have computed, with the bits that it has in the first of them."""
    if ranks() > 1:
        dist.broadcast(tensor, 0)
    return tensor


def from_first[Value](make: Callable[[], Value]) -> Value:
    """A value that the first process makes and all get."""
    if ranks() == 1:
        return make()
    values: list[Any] = [make() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(values)
    return values[0]


def refuse_different(network: nn.Module, iteration: int) -> None:
    """Raise RuntimeError, in all processes, unless they begin with the same network at the same iteration."""
    if ranks() == 1:
        return
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    found: list[Any] = [None] * ranks()
    dist.all_gather_object(found, (iteration, digest.hexdigest()[:12]))
    if len(set(found)) > 1:
        raise RuntimeError(
            f"processes that train together begin at different points (iteration, network): {found}; every node needs "
            "the same workspace under the same path, and the same version of lmle and torch"
        )


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, number: int) -> Tensor:
        ctx.place = share(number)
        whole = own.new_zeros((number, *own.shape[1:]))
        whole[ctx.place] = own
        dist.all_reduce(whole)  # zeros are added, which is exact; shares may differ by a row
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0][ctx.place], None


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])
