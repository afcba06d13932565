"""Work in several threads on a CPU, each with a single torch thread."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch


def in_threads[Item, Result](
    one: Callable[[Item], Result], items: Iterable[Item], device: torch.device
) -> Iterator[Result]:
    """one(item) of each item, in order.

    On a CPU as many at a time as torch has threads, each item in one of them: no bit depends on how many there are.
    Elsewhere one after another: the device is parallel itself.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield from map(one, items)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=partial(torch.set_num_threads, 1)) as pool:
            yield from pool.map(one, items)
    finally:
        torch.set_num_threads(threads)
