"""Work in several threads on a CPU, each with a single torch thread."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import torch


def in_threads[Item, Result](
    one: Callable[[Item], Result],
    items: Iterable[Item],
    device: torch.device,
    *,
    threads: int | None = None,
    initialise: Callable[[], None] | None = None,
) -> Iterator[Result]:
    """one(item) of each item, in order, computed a few ahead.

    On a CPU several at a time, each item in one thread: no bit depends on how many there are. Elsewhere one after
    another: the device is parallel itself.

    Args:
        one: computes a result.
        items: what of.
        device: where `one` computes.
        threads: at a time; None: torch's thread count.
        initialise: called in each thread first, to keep the libraries to that thread; None: torch alone.
    """
    before = torch.get_num_threads()
    if device.type != "cpu" or (threads is None and before == 1):
        yield from map(one, items)
        return
    threads = threads or before
    ahead: deque[Future[Result]] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=initialise or partial(torch.set_num_threads, 1)) as pool:
            for item in items:
                ahead.append(pool.submit(one, item))
                if len(ahead) > threads:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
    finally:
        torch.set_num_threads(before)
