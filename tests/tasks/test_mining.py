"""When mining leaves the process: where workers save more than they cost."""

import pytest
import torch

from lmle_core.config import Engines
from lmle_core.quintuplets.pools import Pools
from tasks.dask_cluster import ADDRESS_VARIABLE
from tasks.mining import pays, seconds_saved
from tasks.workers import Workers

EXACT, POOLED, EASY = Pools(None, None), Pools(6, 54), Pools(2, 1)


def test_what_is_saved_is_the_computation_less_the_reading() -> None:
    computed = 40 * 100_000**2 / 2 * 7e-9
    read = 40 * 100_000 * 10_240 / 1e9
    assert seconds_saved(100_000, 40, 10_240, EXACT, 2, 8) == pytest.approx(computed / 2 - computed / 8 - read - 5)


@pytest.mark.parametrize(
    ("pools", "here", "there", "images"),
    [
        (EXACT, 2, 8, 15_000),
        (EXACT, 16, 32, 110_000),
        (POOLED, 2, 32, 10_000),
        (POOLED, 16, 64, None),
        (EASY, 2, 1000, None),
    ],
)
def test_where_it_pays(pools: Pools, here: int, there: int, images: int | None) -> None:
    """With 40 attributes of 64 dimensions; None: nowhere, since reading takes longer."""
    if images is None:
        assert seconds_saved(10**7, 40, 10_240, pools, here, there) < 0
        return
    assert seconds_saved(images, 40, 10_240, pools, here, there) > 0
    assert seconds_saved(images // 2, 40, 10_240, pools, here, there) < 0


def test_nobody_is_asked_where_nothing_can_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    cpu = torch.device("cpu")
    with Workers(Engines()) as own, Workers(Engines(dask_address="tcp://127.0.0.1:1")) as nowhere:
        assert not pays(10**6, 40, 10_240, EXACT, cpu, own)  # a cluster of this machine's own cores
        assert not pays(100, 40, 10_240, EXACT, cpu, nowhere)  # would fail to connect
