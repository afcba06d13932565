"""A function called many times on a Dask cluster, its results taken as they come."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed import Client, as_completed


@contextmanager
def spread[T](
    client: Client, function: Callable[..., T], *columns: Iterable[Any], **options: Any
) -> Iterator[Iterator[T]]:
    """Call a function once for each row of the columns, as `Client.map` does; yields the results as they come.

    The first exception is raised where the results are read. What has not started when the context ends is cancelled.

    Args:
        client: of the cluster.
        function: that workers can import.
        columns: of arguments, all of one length.
        options: of `Client.map`, and further arguments, the same for every call.
    """
    futures = client.map(function, *columns, pure=False, **options)

    def results() -> Iterator[T]:
        for future in as_completed(futures):
            yield future.result()
            future.release()

    try:
        yield results()
    finally:
        client.cancel(futures)
