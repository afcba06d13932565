"""`docs/scaling.md`, what more images and GPUs cost, by a model over records: `python -m benchmarks.scaling_model`."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from benchmarks.measure import OURS
from benchmarks.record import RECORDS, Json
from benchmarks.scaling_text import ASSUMED, CHECKED, DIVIDED, INTRODUCTION, LIMITS, SPREAD, TIMES, UNMEASURED
from benchmarks.tables import newest, significant, with_range
from lmle_core.comparison.wording import markdown_table
from lmle_core.config import Config
from lmle_core.kmeans.ordered import SPANS
from lmle_core.kmeans.source import BLOCK

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
IMAGES = (2_000_000, 20_000_000, 200_000_000)
GPUS = (1, 8, 64)
GB = 1e9
CONFIG = Config()
ATTRIBUTES = 40
PIXELS = 3 * CONFIG.data.height * CONFIG.data.width
"""Bytes of an image in the store."""
EMBEDDING = 4 * ATTRIBUTES * CONFIG.training.dimensions
"""Bytes of an image's embeddings under all attributes."""
PARTS = ("kernels", "workers", "processes")
TASK = 1e-3
"""Seconds of the scheduler for a task, where no record has them."""
GROWTH = {"mining": 2, "exact mining": 2, "k-means start": 0}
"""Power of the images that seconds grow with, where it is not 1; the start of k-means has a sample of bounded size."""
RECORDED = ("ingestion", "features", "training")
"""Stages whose costs are those of their own records."""
TRAINING = "training, one GPU"
ASIDE = "*aside:* "
"""Begins the name of what is not part of a run in `batch` mode."""


@dataclass(frozen=True)
class Machine:
    """What a GPU and its share of a machine are taken to do; assumed, until a record says otherwise.

    Attributes:
        operations: float32 operations a second that a GPU sustains.
        cores: CPU cores beside a GPU.
        storage: bytes a second from and to shared storage, for each GPU.
        bus: bytes a second from memory to a GPU.
        driver: bytes of memory of the machine that the run itself is on.
        device: bytes of memory of a GPU.
        maps: files that a process can map, Linux's default.
    """

    operations: float = 20e12
    cores: int = 16
    storage: float = 2 * GB
    bus: float = 25 * GB
    driver: float = 128 * GB
    device: float = 80 * GB
    maps: int = 65_530


@dataclass(frozen=True)
class Costs:
    """Processor seconds of one core, as recorded.

    Attributes:
        stages: of an image, by the stage; of exact mining, of a distance; of pooled mining, of an image and attribute;
            of the start of k-means, as a whole.
        task: of the scheduler, for a task.
        operations: float32 operations of a core in a second.
        passes: of k-means over all rows.
        on_gpu: images a second of a GPU, of the stages that have such a record.
    """

    stages: Mapping[str, float]
    task: float
    operations: float
    passes: float
    on_gpu: Mapping[str, float]

    @classmethod
    def of(cls, kernels: Json, workers: Json | None, records: Mapping[str, Mapping[str, Json]]) -> Self:
        """From the records of `benchmarks.scaling`, and the newest of the stages: scale → stage → record.

        Args:
            kernels: entry of its record.
            workers: likewise; None: there is none, and a task costs the scheduler `TASK`.
            records: of the stages.
        """
        size, small, full = max(kernels["sizes"]), records["small"], records.get("full", {})
        of_size = {name: median(taken[str(size)]) for name, taken in kernels["seconds"].items()}
        stages = {name: small[name]["environment"]["cores"] / _rate(small[name]) for name in RECORDED}
        stages["k-means start"] = of_size["k-means start"]
        stages["k-means passes"] = of_size["k-means passes"] / size / kernels["passes"]
        stages["pooled mining"] = of_size["pooled mining"] / size / kernels["mined"]
        stages["exact mining"] = of_size["exact mining"] / (kernels["mined"] * size**2 / 2)
        return cls(
            stages=stages,
            task=median(workers["1"]["empty tasks"]["scheduler"]) / workers["tasks"] if workers else TASK,
            operations=median(kernels["core_operations"]),
            passes=small["k-means"]["compared"]["passes over all rows"],
            on_gpu={name: _rate(full[name]) for name in ("features", "training") if name in full},
        )


def seconds(costs: Costs, machine: Machine, images: int, gpus: int) -> dict[str, float]:
    """Seconds of each part of a run with the default settings: what bounds it is the slowest of its resources.

    Args:
        costs: of a core.
        machine: for each GPU.
        images: of the data set; all of them are taken as training images.
        gpus: in all.
    """
    rounds, fits = CONFIG.training.rounds, CONFIG.training.rounds + 2 * len(CONFIG.index.clusters_per_class)
    epochs = CONFIG.prior.epochs + rounds * CONFIG.training.epochs
    core_of_gpu = costs.operations / machine.operations

    def on_gpus(stage: str, amount: float) -> float:
        if stage in costs.on_gpu:
            return amount / costs.on_gpu[stage] / gpus
        return amount * costs.stages[stage] * core_of_gpu / gpus

    def stored(size: float) -> float:
        return size / machine.storage / gpus

    embedded = images * EMBEDDING
    passes = fits * costs.passes
    scheduling = passes * tasks_of_a_pass(images) * costs.task
    subset = CONFIG.quintuplets.subset * images
    columns = ATTRIBUTES * stored(subset * EMBEDDING)  # a worker reads all chunks for an attribute's part
    return {
        "ingestion": max(
            images * costs.stages["ingestion"] / machine.cores / gpus, stored(images * PIXELS)
        ),
        TRAINING: on_gpus("training", epochs * images) * gpus,
        f"{ASIDE}training, spread evenly": on_gpus("training", epochs * images),
        "features": (rounds + 1) * max(on_gpus("features", images), stored(images * PIXELS + embedded)),
        "k-means, start (one process)": fits * (costs.stages["k-means start"] + embedded / machine.storage),
        "k-means, passes": passes * (on_gpus("k-means passes", images) + embedded / machine.bus / gpus)
        + fits * stored(embedded) + scheduling,
        f"{ASIDE}mining from pools, a round": columns + on_gpus("pooled mining", ATTRIBUTES * subset),
        f"{ASIDE}mining, exact, a round": columns + on_gpus("exact mining", ATTRIBUTES * subset**2 / 2),
    }  # fmt: skip


def tasks_of_a_pass(images: int) -> int:
    """Tasks of a pass of k-means: one a block, and one a span."""
    blocks = -(-images // BLOCK)
    return blocks + min(blocks, SPANS)


@dataclass(frozen=True)
class Limit:
    """Something that grows with the images until it does not fit.

    Attributes:
        what: it is.
        each: bytes, or files, of an image; 0: it does not grow.
        fixed: what is there besides.
        room: what there is; None: no limit is taken.
        where: the room is.
        answer: what the design does about it.
    """

    what: str
    each: float
    fixed: float
    room: float | None
    where: str
    answer: str

    @property
    def most(self) -> float | None:
        """Images at which it is full."""
        return (self.room - self.fixed) / self.each if self.room and self.each else None


def limits(machine: Machine) -> list[Limit]:
    """Everything that grows, the first to break first, and what does not grow last."""
    a, k, d = ATTRIBUTES, 2 * CONFIG.cluster.maximum, CONFIG.training.dimensions
    half = CONFIG.quintuplets.subset
    sums = SPANS * a * k * d * 8
    sizes: dict[str, tuple[float, float, float | None, str]] = {
        "labels and clusters in training, int64": (16 * a, 0, machine.device, "GPU"),
        "clusters of a round, int32, and their copies": (2 * 4 * a, 0, machine.driver, "driver"),
        "labels, int8": (a, 0, machine.driver, "driver"),
        "quintuplets of `table` mode": (half * a * 42, 0, machine.driver, "driver"),
        "mapped chunks of the image store": (1 / CONFIG.data.shard, 0, machine.maps, "process"),
        "calibration of the rule, on a tenth for validation": (672, 0, machine.driver, "driver"),
        "resamples of a tenth for test, a rival": (160, 0, machine.driver, "driver"),
        "file names": (67, 0, machine.driver, "driver"),
        "one attribute's embeddings in exact mining": (half * 4 * d, 0, machine.device, "GPU"),
        "images on disk": (PIXELS, 0, None, "shared storage"),
        "embeddings on disk, float32": (EMBEDDING, 0, None, "shared storage"),
        "sums of a k-means pass, through the scheduler": (0, sums, machine.driver, "driver"),
        "centroids of the index, exact": (0, 4 * a * k * d, machine.driver, "driver"),
    }
    found = [Limit(what, *size, LIMITS[what]) for what, size in sizes.items()]
    return sorted(found, key=lambda limit: (limit.most is None, limit.most or 0))


def page(found: Mapping[str, tuple[Json, str]], records: Mapping[str, Mapping[str, Json]]) -> str:
    """The whole page.

    Args:
        found: the newest record of each part of `benchmarks.scaling`, and its directory's name; 'kernels' at least.
        records: the newest of the stages: scale → stage → record.
    """
    kernels: Json = found["kernels"][0]["kernels"]
    workers: Json | None = found["workers"][0]["workers"] if "workers" in found else None
    costs, machine = Costs.of(kernels, workers, records), Machine()
    parts = [INTRODUCTION, *(_source(*found[part]) for part in PARTS if part in found)]
    parts += ["## What was measured", CHECKED, _checks(kernels, records["small"])]
    parts += [SPREAD, _workers(workers)] if workers else [UNMEASURED]
    if "processes" in found:
        parts += [DIVIDED, _processes(found["processes"][0]["processes"])]
    parts += ["## What is assumed", ASSUMED, _assumed(costs, machine, measured=workers is not None)]
    parts += ["## How long", TIMES, *(_times(costs, machine, images) for images in IMAGES)]
    parts += ["## Where it breaks", _limits(machine)]
    return "\n\n".join(parts) + "\n"


def _source(record: Json, name: str) -> str:
    environment = record["environment"]
    return (
        f"Record: `benchmarks/records/{name}/record.json`, {record['date']}, a core of {environment['processor']}, "
        f"torch {environment['versions']['torch']}; command `{record['command']}`."
    )


def _checks(kernels: Json, small: Mapping[str, Json]) -> str:
    """The seconds of each stage at a larger size against what the smaller one predicts."""
    rows = [["stage", "images", "seconds", "images", "predicted", "seconds", "off by", "n"]]

    def add(name: str, where: str, sizes: list[int], taken: list[list[float]]) -> None:
        predicted = median(taken[0]) * (sizes[1] / sizes[0]) ** GROWTH.get(name, 1)
        off = f"{100 * (median(taken[1]) / predicted - 1):+.0f} %"
        cells = [
            f"{sizes[0]:,}",
            with_range(taken[0]),
            f"{sizes[1]:,}",
            significant(predicted),
            with_range(taken[1]),
            off,
        ]
        rows.append([f"{name}, {where}", *cells, str(len(taken[1]))])

    for name in (*RECORDED, "k-means", "mining"):
        cost, cores = small[name]["cost"], small[name]["environment"]["cores"]
        add(name, f"{cores} cores", cost["sizes"][1::2], [[each] for each in cost["seconds"][1::2]])
    for name, taken in kernels["seconds"].items():
        add(name, "one thread", kernels["sizes"], [taken[str(size)] for size in kernels["sizes"]])
    return markdown_table(rows)


def _workers(workers: Json) -> str:
    rows = [["work", "workers", "processor seconds of the workers", "of the scheduler", "elapsed", "n"]]
    labels = {
        "features": f"features, {workers['images']:,} images",
        "k-means passes": f"k-means passes, {workers['rows']:,} images",
        "empty tasks": f"{workers['tasks']:,} empty tasks",
    }
    for name, label in labels.items():
        for number in ("1", "2"):
            taken = workers[number][name]
            cells = [with_range(taken[column]) for column in ("workers", "scheduler", "elapsed")]
            rows.append([label, number, *cells, str(len(taken["elapsed"]))])
    return markdown_table(rows)


def _processes(processes: Json) -> str:
    rows = [["training", "images a second", "times one process of one thread", "n"]]
    (_, alone), *_ = rates = list(processes["images_per_second"].items())
    for name, taken in rates:
        ratios = [rate / base for rate, base in zip(taken, alone, strict=True)]
        rows.append(
            [f"{name}, batches of {processes['batch']}", with_range(taken), with_range(ratios), str(len(taken))]
        )
    return markdown_table(rows)


def _assumed(costs: Costs, machine: Machine, *, measured: bool) -> str:
    recorded = [f"{name} {rate:,.0f} images/s" for name, rate in costs.on_gpu.items()]
    ratio = machine.operations / costs.operations
    rows = [
        ["what", "value"],
        ["float32 operations of a core", f"{significant(costs.operations / GB)} billion a second, measured"],
        ["of a GPU", f"{machine.operations / 1e12:g} · 10¹² a second, assumed: a GPU is {significant(ratio)} cores"],
        ["GPU records", "; ".join(recorded) or "none, of any stage"],
        ["cores beside a GPU", f"{machine.cores}, assumed"],
        ["shared storage, for each GPU", f"{machine.storage / GB:g} GB/s, assumed"],
        ["memory to GPU", f"{machine.bus / GB:g} GB/s, assumed"],
        ["the scheduler, a task", f"{1e3 * costs.task:.2g} ms, {'measured' if measured else 'assumed'}"],
    ]
    return markdown_table(rows)


def _times(costs: Costs, machine: Machine, images: int) -> str:
    columns = {gpus: seconds(costs, machine, images, gpus) for gpus in GPUS}
    heading = [f"{images / 1e6:,.0f} M images", *(f"{gpus} GPU{'s' if gpus > 1 else ''}" for gpus in GPUS)]
    rows = [[name, *(_clock(columns[gpus][name]) for gpus in GPUS)] for name in columns[1]]
    whole = {
        gpus: sum(taken for name, taken in column.items() if not name.startswith(ASIDE))
        for gpus, column in columns.items()
    }
    return markdown_table([heading, *rows, ["**a run in `batch` mode**", *(_clock(whole[gpus]) for gpus in GPUS)]])


def _limits(machine: Machine) -> str:
    rows = [
        ["what grows", *(f"{images / 1e6:,.0f} M" for images in IMAGES), "room", "full at", "what is done about it"]
    ]
    for limit in limits(machine):
        show: Callable[[float], str] = _files if "mapped" in limit.what else _size
        most = f"{limit.most / 1e6:,.0f} M images" if limit.most is not None else "–"
        sizes = [show(limit.fixed + limit.each * images) for images in IMAGES]
        room = f"{show(limit.room)}, {limit.where}" if limit.room is not None else limit.where
        rows.append([limit.what, *sizes, room, most, limit.answer])
    return markdown_table(rows)


def _rate(record: Json) -> float:
    """Units a second of our side: median over the repetitions."""
    ours = record["sides"][OURS]
    return median(ours["amount"] / second for second in ours["seconds"])


def _clock(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{float(f'{seconds / size:.2g}'):,g} {unit}"
    return f"{float(f'{seconds:.2g}'):,g} s"


def _size(size: float) -> str:
    return f"{float(f'{size / GB:.2g}'):,g} GB"


def _files(number: float) -> str:
    return f"{number:,.0f} files"


def newest_parts(records: Path = RECORDS) -> dict[str, tuple[Json, str]]:
    """The newest record of each part of `benchmarks.scaling`, and its directory's name."""
    found: dict[str, tuple[Json, str]] = {}
    for path in sorted(records.glob("*-scaling-*/record.json")):
        record: dict[str, Any] = json.loads(path.read_text())
        found |= {part: (record, path.parent.name) for part in PARTS if part in record}
    return found


def main() -> None:
    """Write the page."""
    found = newest_parts()
    if "kernels" not in found:
        raise SystemExit("no record of what scaling rests on: run `python -m benchmarks.scaling kernels` first")
    PAGE.write_text(page(found, newest()))


if __name__ == "__main__":
    main()
