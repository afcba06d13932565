"""`benchmarks/README.md`, written from the newest record of each stage and scale: `python -m benchmarks.tables`."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks import serving
from benchmarks.measure import LIMIT, OURS, best_peer, ratios
from benchmarks.record import RECORDS, Json

README = Path(__file__).parent / "README.md"
GOALS: dict[str, tuple[float | None, float | None, str]] = {
    "ingestion": (0.8, 2, "both"),
    "reading": (None, 20, "CPU"),
    "features": (0.9, None, "both"),
    "training": (0.85, 5, "both"),
    "k-means": (0.4, 3, "share on a GPU"),
    "mining": (0.4, 5, "share on a GPU"),
    "classification": (None, 100, "both"),
}
"""Least share of the limit, least ratio to the best peer, and where they are to be reached."""
TITLES = {
    "ingestion": "ingestion, JPEG files to a committed zarr store",
    "reading": "reading an epoch of training images",
    "features": "feature extraction",
    "training": "training step, `batch` mode, 40 attributes",
    "k-means": "k-means of each class, 40 attributes",
    "mining": "exact quintuplet mining, 40 attributes, all classes",
    "classification": "cluster-wise large-margin rule, 40 attributes",
}
SCALES = {"small": "On a CPU", "full": "On a GPU, at CelebA's size"}
INTRODUCTION = """# Benchmarks

<!-- generated from the records by `python -m benchmarks.tables` -->

Every stage against what no implementation can beat on the machine (the limit) and against what one would use instead
(the peer), called in turn in one process, after a warm-up. Ratios are medians over the n repetitions, with the lowest
and the highest; compare those, not the rates: machines differ. The goal is the least share of the limit and the least
ratio to the peer that were to be reached. Raw seconds, versions and commands are in `records/`.

```sh
make bench                        # all stages: ten minutes on two cores, or at CelebA's size where there is a GPU
lmle bench k-means mining         # some of them
lmle bench memory                 # peak memory of every stage at 200,000 images
lmle bench serving                # the model behind MLflow's server, under load
python -m benchmarks              # the same as `lmle bench`, without Prefect, MLflow and Dask
```
"""


def newest(records: Path = RECORDS) -> dict[str, dict[str, Json]]:
    """The newest record of each stage: scale → stage → record."""
    found: dict[str, dict[str, Json]] = {}
    for path in sorted(records.glob("*/record.json")):
        record = json.loads(path.read_text())
        if "scale" in record:
            found.setdefault(record["scale"], {})[record["stage"]] = record
    return found


def write(records: Path = RECORDS) -> None:
    """Write the page beside the records."""
    (records.parent / README.name).write_text(page(records))


def page(records: Path = RECORDS) -> str:
    """The whole page."""
    found = newest(records)
    parts = [INTRODUCTION]
    for scale, title in SCALES.items():
        if scale not in found:
            parts.append(f"## {title}\n\nNot measured yet: `python -m benchmarks --scale {scale}`.\n")
            continue
        measured = found[scale]
        stages = [record for name, record in measured.items() if name in TITLES]
        stages.sort(key=lambda record: list(TITLES).index(record["stage"]))
        parts += [f"## {title}\n", *_machines(measured), ""]
        if stages:
            parts += [*_stages(stages), "", "### Cost against size\n", *_costs(stages), ""]
        for name, heading in (("whole-run", "A whole run"), ("memory", "Memory at 200,000 images")):
            if name in measured:
                parts += [f"### {heading}\n", *_whole(measured[name], stages), ""]
        if "serving" in measured:
            parts += ["### Serving\n", *serving.serving_table(measured["serving"]), ""]
        if stages:
            parts += ["### Notes\n", *(note for record in stages for note in _notes(record)), ""]
    return "\n".join(parts).rstrip() + "\n"


def summary(record: Json) -> list[str]:
    """A record in a few lines, for the terminal."""
    if "loads" in record:
        return serving.serving_table(record)
    if "sides" not in record:
        return [f"{record['seconds']:.0f} s for {record['images']:,} images"]
    header, _, row = _stages([record])
    cells = zip(header.strip("| ").split(" | ")[1:], row.strip("| ").split(" | ")[1:], strict=True)
    return [*(f"{name}: {cell}" for name, cell in cells if cell != "–"), f"cost: size^{record['cost']['exponent']:.2f}"]


def _machines(records: Mapping[str, Json]) -> list[str]:
    """A line for each machine and its versions, with the stages that were measured there."""
    stages: dict[str, list[str]] = {}
    for name, record in records.items():
        stages.setdefault(_hardware(record), []).append(name)
    return [f"- {', '.join(names)}: {hardware}" for hardware, names in stages.items()]


def _hardware(record: Json) -> str:
    environment, versions = record["environment"], record["environment"]["versions"]
    packages = ", ".join(
        f"{name} {versions[name]}" for name in ("torch", "faiss-gpu", "scikit-learn") if name in versions
    )
    cores = f"{environment['cores']} core{'s' if environment['cores'] > 1 else ''}"
    return f"{cores} of {environment['processor']}, device {environment['device']}; {packages}."


def _stages(records: list[Json]) -> list[str]:
    lines = [
        "| stage | ours, per second | best peer | times the peer | limit | share of the limit | goal | n | date |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        ours, peer = record["sides"][OURS], best_peer(record)
        rate = median(ours["amount"] / second for second in ours["seconds"])
        cells = [
            TITLES[record["stage"]],
            f"{significant(rate)} {record['unit']}",
            peer or "–",
            with_range(ratios(record, OURS, peer), "×") if peer else "–",
            record["limit"] or "–",
            with_range(ratios(record, OURS, LIMIT)) if record["limit"] else "–",
            _goal(record),
            str(len(ours["seconds"])),
            record["date"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _goal(record: Json) -> str:
    """What was to be reached, and by how much it was missed, if it was."""
    share, times, where = GOALS[record["stage"]]
    on_gpu = record["scale"] == "full"
    parts = []
    peer = best_peer(record)
    if share is not None and (on_gpu or where == "both"):
        parts.append(_reached(f"share {share:g}", median(ratios(record, OURS, LIMIT)), share))
    if times is not None and peer and (not on_gpu or where != "CPU"):
        parts.append(_reached(f"{times:g}×", median(ratios(record, OURS, peer)), times))
    return ", ".join(parts) or "–"


def _reached(name: str, value: float, goal: float) -> str:
    return name if value >= goal else f"**{name} missed by {100 * (1 - value / goal):.0f} %**"


def _costs(records: list[Json]) -> list[str]:
    sizes = records[0]["cost"]["sizes"]
    images = " | ".join(f"{size:,}" for size in sizes)
    lines = [
        f"Seconds, once each. The exponent e is that of the fit c · imagesᵉ.\n\n| stage | {images} | e |",
        "|---|" + "---|" * (len(sizes) + 1),
    ]
    for record in records:
        seconds = " | ".join(significant(second) for second in record["cost"]["seconds"])
        lines.append(f"| {record['stage']} | {seconds} | {record['cost']['exponent']:.2f} |")
    return lines


def _whole(record: Json, stages: list[Json]) -> list[str]:
    shares = {stage["stage"]: median(ratios(stage, OURS, LIMIT)) for stage in stages if stage["limit"]}
    total, least = record["seconds"], 0.0
    lines = ["| stage | seconds | share | peak host memory | peak device memory |", "|---|---|---|---|---|"]
    for name, taken in record["stages"].items():
        least += taken["seconds"] * _limit_share(name, shares)
        device = f"{taken['device'] / 1e9:.2f} GB" if taken["device"] else "–"
        lines.append(
            f"| {name} | {significant(taken['seconds'])} | {100 * taken['seconds'] / total:.0f} % | "
            f"{taken['host'] / 1e9:.2f} GB | {device} |"
        )
    intro = f"{record['images']:,} images in {total:.0f} s, from image files to scores, on {record['date']}."
    if record["stage"] == "memory":
        intro += f" Training is cut short: {record['config']['training']['iterations']} iterations a round."
    elif shares:
        intro += f" The stages' limits, as measured above, sum up to {least:.0f} s: {100 * least / total:.0f} %."
    return [intro, "", *lines, "", "Host memory is that of all processes, libraries included, mapped files not."]


def _limit_share(name: str, shares: dict[str, float]) -> float:
    """The share of the limit that a stage of a whole run works at; what has no limit counts as avoidable."""
    kinds = {"prior": "training", "index": "k-means"}
    first = name.split(maxsplit=1)[0]
    return min(1.0, shares.get(kinds.get(first, first), 0.0))


def _notes(record: Json) -> list[str]:
    figures = "; ".join(f"{name} {value:.4g}" for name, value in record["compared"].items())
    others = [
        f"{peer} {with_range(ratios(record, OURS, peer), '×')}" for peer in record["peers"] if peer != best_peer(record)
    ]
    parts = [record["note"], f"Other peers: {', '.join(others)}." if others else "", f"{figures}." if figures else ""]
    text = " ".join(part for part in parts if part)
    return [f"- **{record['stage']}**, {record['images']:,} images. {text}".rstrip()]


def with_range(values: list[float], sign: str = "") -> str:
    """The median, the least and the most: '1.23 (1.2 to 1.3)'."""
    return f"{significant(median(values))}{sign} ({significant(min(values))} to {significant(max(values))})"


def significant(value: float) -> str:
    """Three digits: 0.0123, 1.23, 123, 12,300."""
    return f"{float(f'{value:.3g}'):,.10g}"


if __name__ == "__main__":
    write()
