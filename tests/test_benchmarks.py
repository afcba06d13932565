import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import collapse, readme, tables
from benchmarks.measure import Bench, Side, best_peer, measure, measure_sizes, ratios
from benchmarks.memory import watched
from benchmarks.record import RECORDS
from benchmarks.sample import Sample
from benchmarks.scale import Scale
from benchmarks.study_records import newest_studies
from benchmarks.suite import STAGES, measure_stage, run_suite, unknown_name
from benchmarks.whole_run import Stages, whole_run
from lmle_core.config import parse_config

CPU = torch.device("cpu")
TINY = Scale(
    name="small",
    faces=600,
    images=dict.fromkeys(STAGES, 600) | {"classification": 2000},
    repetitions=1,
    sizes=(200, 400),
    preset=None,
    settings=(
        "engines.device=cpu", "engines.threads=1", "data.height=16", "data.width=16", "data.shard=128", "trunk.width=4",
        "training.batch=32", "training.dimensions=8", "training.rounds=1", "cluster.size=100",
        "index.clusters_per_class=[1]", "evaluation.bootstrap=100",
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # many small steps: threads would wait for each other
    yield Sample(TINY, tmp_path_factory.mktemp("bench"))
    torch.set_num_threads(threads)


def test_the_readme_shows_the_newest_record() -> None:
    records = newest_studies()
    if not records:
        pytest.skip(
            "no record of a study yet: run `lmle study NAME`, then `python -m benchmarks.studies --workspace W`"
        )
    text = (readme.ROOT / "README.md").read_text()
    assert readme.rendered(text, records) == text


def test_the_table_of_benchmarks_is_that_of_the_records() -> None:
    assert tables.README.read_text() == tables.page()


def test_contenders_take_turns_and_their_outcomes_are_compared() -> None:
    calls: list[str] = []

    def called(name: str) -> Side:
        def call() -> str:
            calls.append(name)
            return name

        return Side(call, 10)

    bench = Bench(
        "k-means", "rows", called("ours"), ("the limit", called("limit")), {"a peer": called("a peer")},
        lambda outcomes: {f"{name} answered": float(answer == name) for name, answer in outcomes.items()},
    )  # fmt: skip
    record = measure(bench, 2, CPU)
    assert calls == ["ours", "limit", "a peer"] * 3  # the first of them is not timed
    assert [len(side["seconds"]) for side in record["sides"].values()] == [2, 2, 2]
    assert record["compared"] == {"ours answered": 1, "a peer answered": 1}


def test_rates_are_compared_and_the_fastest_peer_counts() -> None:
    sides = {
        "ours": {"amount": 100, "seconds": [1.0, 2.0]},
        "slow": {"amount": 10, "seconds": [1.0, 1.0]},
        "fast": {"amount": 100, "seconds": [2.0, 8.0]},
    }
    record = {"sides": sides, "peers": ["slow", "fast"]}
    assert ratios(record, "ours", "slow") == [10, 5]
    assert best_peer(record) == "fast"


def test_the_exponent_is_that_of_the_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("benchmarks.measure.time.perf_counter", lambda: clock[0])

    def prepare(size: int) -> Bench:
        def call() -> None:
            clock[0] += 3e-6 * size**1.5

        return Bench("mining", "rows", Side(call, size))

    assert measure_sizes(prepare, (100, 200, 400, 800), CPU)["exponent"] == 1.5


def test_the_peak_is_that_of_memory_which_is_gone_again() -> None:
    with watched(CPU) as before:
        pass
    with watched(CPU) as peak:
        np.ones(40_000_000).sum()  # 0.32 GB
    assert 0.25e9 < peak.host - before.host < 0.6e9
    assert peak.device == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STAGES if name != "training"])
def test_a_stage_is_measured(sample: Sample, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.stages.kmeans.WITHIN", 1.2)  # a few rows a cluster: chance decides
    record = measure_stage(name, sample)
    assert all(second > 0 for side in record["sides"].values() for second in side["seconds"])
    assert len(record["cost"]["seconds"]) == 2


@pytest.mark.slow
def test_a_suite_leaves_records_and_their_page(sample: Sample, tmp_path: Path) -> None:
    records = tmp_path / "records"
    run_suite(["training"], TINY, sample.folder, records, ["lmle", "bench", "training"])
    (path,) = records.glob("*-training-small/record.json")
    record = json.loads(path.read_text())
    assert record["command"] == "lmle bench training"
    assert record["environment"]["cores"] >= 1
    page = (tmp_path / "README.md").read_text()
    assert "| training step" in page
    assert "Not measured yet" in page  # on a GPU
    assert unknown_name(["training", "trainin"]) is not None


@pytest.mark.slow
def test_a_whole_run_is_timed_and_watched(sample: Sample, tmp_path: Path) -> None:
    stages = Stages(CPU)
    config = parse_config(
        {
            **sample.config.model_dump(),
            "prior": {"epochs": 2},
            "training": {**sample.config.training.model_dump(), "epochs": 2},
        }
    )
    scores = whole_run(sample.faces(600), tmp_path / "run", config, stages)
    assert set(stages.taken) >= {
        "ingestion",
        "prior",
        "health 0",
        "k-means 1",
        "training 1",
        "features logits",
        "index",
        "evaluation",
    }
    assert all(taken["host"] > 1e8 for taken in stages.taken.values())
    assert 0.4 < scores["test"]["mean_balanced_accuracy"] < 1


def test_a_record_of_serving_is_a_row_for_each_load() -> None:
    loads = [
        {"clients": 1, "images": 1, "wall": [1.0, 2.0, 4.0], "seconds": [[0.1, 0.1], [0.1, 0.3], [0.1, 0.1]]},
        {"clients": 4, "images": 16, "wall": [1.0], "seconds": [[0.5, 0.5]]},
    ]
    record = {
        "loads": loads, "in_process": {"1": [0.5, 0.5], "16": [0.25]}, "load_average": (3.2, 2, 1), "note": "Noted."
    }  # fmt: skip
    lines = tables.summary(record)
    assert lines[2] == "| 1 | 1 | 1 (0.5 to 2) | 100 ms | 250 ms | 290 ms | 2 | 0.5 | 6 |"
    assert lines[3] == "| 4 | 16 | 32 (32 to 32) | 500 ms | 500 ms | 500 ms | 64 | 0.5 | 2 |"
    assert lines[-1] == "Noted. The machine's load average was 3, this and all other work included."


def test_a_recipe_is_looked_at_round_by_round(sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collapse, "SCALE", TINY)
    monkeypatch.setattr(collapse, "ROUNDS", 1)
    (found,) = collapse.measure("batch mode, 2 and 1", 0, sample.store(600), tmp_path)
    assert len(found["spreads"]) == 40
    assert all(0 < each <= 1 for each in found["spreads"])
    assert 0 < found["loss"] < 2


def test_the_record_shows_what_collapses_and_what_does_not() -> None:
    (*_, newest) = sorted(RECORDS.glob("*-collapse/record.json"))
    recipes = json.loads(newest.read_text())["recipes"]
    assert list(recipes) == list(collapse.RECIPES)
    last = {name: [rounds[-1] for rounds in seeds.values()] for name, seeds in recipes.items()}
    assert max(min(each["spreads"]) for each in last["batch mode, 6 and 54"]) < 0.1
    assert min(min(each["spreads"]) for name in (collapse.REPAIRED, "batch mode, 2 and 1") for each in last[name]) > 0.3
    assert min(each["loss"] for each in last[collapse.LITERAL]) > 0.9  # nothing is learnt
    assert collapse.FIGURE.exists()
