"""The suite: the named stages, one after the other, and a record of each."""

import importlib
import platform
import shlex
import shutil
from collections.abc import Sequence
from multiprocessing import active_children, get_context
from pathlib import Path

import torch

from benchmarks import tables
from benchmarks.environment import environment
from benchmarks.measure import Bench, measure, measure_sizes
from benchmarks.record import Json, today, write_record
from benchmarks.sample import Sample
from benchmarks.scale import SCALES, Scale
from benchmarks.whole_run import Stages, whole_run
from lmle_core.device import set_threads

STAGES = ("ingestion", "reading", "features", "training", "k-means", "mining", "classification")
WHOLE, MEMORY, SERVING = "whole-run", "memory", "serving"
MEMORY_IMAGES = 200_000
MEMORY_SETTINGS = {"prior": {"epochs": 0.02}, "training": {"rounds": 1, "iterations": 20}}
"""Memory does not grow with the iterations: a few will do."""
EVERYTHING = (*STAGES, WHOLE)
NAMES = (*EVERYTHING, MEMORY, SERVING)


def choose_scale(name: str | None) -> Scale:
    """The scale of a name; None: 'full' where there is a GPU, else 'small'."""
    return SCALES[name or ("full" if torch.cuda.is_available() else "small")]


def unknown_name(names: Sequence[str]) -> str | None:
    """What is wrong with the names of stages, or None."""
    wrong = [name for name in names if name not in NAMES]
    return f"{wrong[0]!r} is not one of {', '.join(NAMES)}" if wrong else None


def run_suite(names: Sequence[str], scale: Scale, folder: Path, records: Path, command: list[str]) -> None:
    """Measure the named stages one after the other, and write a record of each as it ends.

    Args:
        names: of stages; none: all but the memory and serving.
        scale: how much to measure.
        folder: for the material; what is there already is used again.
        records: gets `<date>-<name>-<scale>/record.json`.
        command: goes into the records.

    Raises:
        RuntimeError: naming the stages that failed; the others have their records.
    """
    failed = []
    for name in names or EVERYTHING:
        # A process for each: no stage inherits another's memory, nor what its peers do to the libraries they share.
        process = get_context("spawn").Process(target=_measure, args=(name, scale, folder, records, command))
        process.start()
        process.join()
        failed += [name] if process.exitcode else []
    tables.write(records)
    if failed:
        raise RuntimeError(f"not measured: {', '.join(failed)}; the reasons are above")


def _measure(name: str, scale: Scale, folder: Path, records: Path, command: list[str]) -> None:
    print(name, flush=True)
    sample = Sample(scale, folder)
    set_threads(sample.config.engines.threads)
    taken = _taken(name, sample)
    record = {
        "command": shlex.join(command),
        "stage": name,
        "scale": scale.name,
        "date": today(),
        "environment": {**environment(), "device": _device(sample.device)},
        **taken,
    }
    write_record(record, f"{name}-{scale.name}", records)
    for line in tables.summary(record):
        print("  " + line, flush=True)
    for worker in active_children():  # of pools that live through all calls; they would be waited for
        worker.terminate()


def _taken(name: str, sample: Sample) -> Json:
    if name in STAGES:
        return measure_stage(name, sample)
    if name == SERVING:
        from benchmarks.serving import measure_serving

        return measure_serving(sample.config, sample.folder / name)
    return _whole_run(name, sample)


def measure_stage(name: str, sample: Sample) -> Json:
    """A stage against its limit and its peers, and its cost against the size."""
    prepare = importlib.import_module(f"benchmarks.stages.{name.replace('-', '')}").prepare

    def prepared(images: int) -> Bench:
        return prepare(sample, images)

    images, scale = sample.scale.images[name], sample.scale
    return {
        "images": images,
        **measure(prepared(images), scale.repetitions, sample.device),
        "cost": measure_sizes(prepared, scale.sizes, sample.device),
    }


def _whole_run(name: str, sample: Sample) -> Json:
    config, images = sample.config, sample.scale.faces
    if name == MEMORY:
        images = MEMORY_IMAGES
        config = config.model_copy(
            update={
                section: getattr(config, section).model_copy(update=values)
                for section, values in MEMORY_SETTINGS.items()
            }
        )
    source, folder, stages = sample.faces(images), sample.folder / name, Stages(sample.device)
    shutil.rmtree(folder, ignore_errors=True)
    scores = whole_run(source, folder, config, stages)
    shutil.rmtree(folder)
    return {
        "images": images,
        "config": config.model_dump(mode="json", exclude={"engines"}),
        "stages": stages.taken,
        "seconds": round(sum(taken["seconds"] for taken in stages.taken.values()), 3),
        "mean_balanced_accuracy": scores["test"]["mean_balanced_accuracy"],
    }


def _device(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu ({platform.machine()})"
