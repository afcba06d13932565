"""The page on scaling is that of the records, and its model is what a hand would calculate."""

import pytest

from benchmarks import scaling_model
from benchmarks.scaling_model import ASIDE, PAGE, TRAINING, Costs, Machine, limits, newest_parts, page, seconds
from benchmarks.tables import newest

COSTS = Costs(
    stages={
        "ingestion": 1e-3, "features": 1e-3, "training": 1e-3, "k-means start": 1e-4, "k-means passes": 1e-4,
        "exact mining": 1e-9, "pooled mining": 1e-5,
    },
    task=1e-3, operations=1e11, passes=2.0, on_gpu={},
)  # fmt: skip
MACHINE = Machine()


def test_the_page_is_that_of_the_records() -> None:
    assert PAGE.read_text() == page(newest_parts(), newest())


def test_training_and_the_start_of_k_means_do_not_gain_from_gpus() -> None:
    one, eight = (seconds(COSTS, MACHINE, 2_000_000, gpus) for gpus in (1, 8))
    for name in one:
        if name in {TRAINING, "k-means, start (one process)"}:
            assert eight[name] == one[name]
        elif name != "k-means, passes":  # the scheduler's part does not shrink
            assert eight[name] == pytest.approx(one[name] / 8)
    assert one["k-means, passes"] / 8 < eight["k-means, passes"] < one["k-means, passes"]


def test_a_gpu_is_as_many_cores_as_its_operations_until_there_is_a_record() -> None:
    taken = seconds(COSTS, MACHINE, 1_000_000, 1)
    assert taken[TRAINING] == pytest.approx((6 + 2 * 2) * 1e6 * 1e-3 * 1e11 / 20e12)
    assert taken["ingestion"] == pytest.approx(1e6 * 1e-3 / 16)
    recorded = Costs(COSTS.stages, COSTS.task, COSTS.operations, COSTS.passes, {"training": 50_000.0})
    assert seconds(recorded, MACHINE, 1_000_000, 1)[TRAINING] == pytest.approx((6 + 2 * 2) * 1e6 / 50_000)


def test_exact_mining_is_quadratic_beyond_what_is_read() -> None:
    name = f"{ASIDE}mining, exact, a round"
    fast = Machine(storage=1e18)
    small, large = (seconds(COSTS, fast, images, 1)[name] for images in (1_000_000, 4_000_000))
    assert large == pytest.approx(16 * small, rel=1e-3)


def test_a_pass_of_k_means_has_a_task_a_block_and_at_most_256_sums() -> None:
    assert scaling_model.tasks_of_a_pass(4096) == 2
    assert scaling_model.tasks_of_a_pass(4096 * 1000) == 1256


def test_what_breaks_first_comes_first() -> None:
    found = limits(MACHINE)
    full = [limit.most for limit in found if limit.most is not None]
    assert full == sorted(full)
    by_name = {limit.what: limit for limit in found}
    assert by_name["mapped chunks of the image store"].most == 65_530 * 1024
    assert by_name["labels and clusters in training, int64"].most == 80e9 / (16 * 40)
    assert by_name["centroids of the index, exact"].most is None
