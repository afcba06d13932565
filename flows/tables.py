"""Tables of results, for the terminal and for other programs."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from flows.console import print_table
from flows.runs import Classified, Run
from tasks.champions import GAIN, REPLACED, RESTORED_AT, ROLLED_BACK_AT, Version
from tasks.registry import PROMOTED_AT
from tasks.tracking import RUN_TAG

RIVALS = {"prior": "prior", "bce": "BCE", "bce_calibrated": "BCE cal."}
FILES_A_TABLE = 5


def print_summary(summary: Mapping[str, Any]) -> None:
    """A run's test scores, attribute by attribute, with the baselines' balanced accuracy beside them."""
    test, baselines = summary["test"], summary.get("baselines") or {}
    rivals = {key: name for key, name in RIVALS.items() if baselines.get(key)}
    binary = "mean_tpr" in test
    columns = ["balanced", "95 % interval", *(["TPR", "TNR"] if binary else []), "total", *rivals.values()]
    table = Table(title=f"Test split, {test['images']:,} images", title_justify="left", box=None, pad_edge=False)
    table.add_column("attribute")
    for column in columns:
        table.add_column(column, justify="right")
    for name, scores in test["attributes"].items():
        rates = [scores["tpr"], scores["tnr"]] if binary else []
        table.add_row(
            name,
            _percent(scores["balanced_accuracy"]),
            _interval(scores["interval"]),
            *map(_percent, [*rates, scores["total_accuracy"]]),
            *(_percent(baselines[key]["attributes"][name]["balanced_accuracy"]) for key in rivals),
        )
    rates = [test["mean_tpr"], test["mean_tnr"]] if binary else []
    table.add_section()
    table.add_row(
        "mean",
        _percent(test["mean_balanced_accuracy"]),
        _interval(test["interval"]),
        *map(_percent, [*rates, test["mean_total_accuracy"]]),
        *(_percent(baselines[key]["mean_balanced_accuracy"]) for key in rivals),
        style="bold",
    )
    print_table(table)


def print_comparison(name: str, comparison: Mapping[str, Any]) -> None:
    """A line for each method and rule of a comparison, the best first, with the reference's gain over it."""
    reference = " by ".join(comparison["reference"])
    table = Table(title=f"{name}: {len(comparison['seeds'])} seeds", title_justify="left", box=None, pad_edge=False)
    for column in ("method", "rule"):
        table.add_column(column)
    clean = any(each["scores_clean"] for each in comparison["standings"])
    for column in ("balanced", "95 % interval", *(["on clean labels"] if clean else []), f"{reference} gains", "95 %"):
        table.add_column(column, justify="right")
    for each in comparison["standings"]:
        own, gained = each["scores"]["balanced_accuracy"], (each["difference"] or {}).get("over_seeds")
        table.add_row(
            each["method"],
            each["rule"],
            _percent(own["mean"]),
            _interval(_ends(own)),
            *([_percent((each["scores_clean"] or {}).get("balanced_accuracy", {}).get("mean"))] if clean else []),
            "" if gained is None else f"{100 * gained['mean']:+.2f}",
            "" if gained is None or gained["low"] is None else _interval(_ends(gained)),
            style="bold" if [each["method"], each["rule"]] == comparison["reference"] else "",
        )
    print_table(table)


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A plain table."""
    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    print_table(table)


def print_runs(known: Sequence[Run]) -> None:
    """A line for each run."""
    if not known:
        print("no runs yet: `lmle run` makes one")
        return
    rows = []
    for run in known:
        test, data, config = (run.summary[part] for part in ("test", "data", "config"))
        rows.append(
            (
                run.name,
                _percent(test["mean_balanced_accuracy"]),
                _percent(test["mean_total_accuracy"]),
                f"{data['images']:,}",
                str(len(data["attributes"])),
                str(config["training"]["rounds"]),
                str(config["seed"]),
            )
        )
    print_rows(("run", "balanced", "total", "images", "attributes", "rounds", "seed"), rows)


def print_champions(name: str, history: Sequence[Version], champion: Version | None) -> None:
    """A line for each version of a model that is or was champion."""
    if not history:
        print(f"model {name!r} has no champion yet: `lmle retrain` makes one; another model is asked for by --model")
        return
    rows = []
    for each in history:
        tags = each.tags
        current = champion is not None and each.number == champion.number
        state = f"rolled back {tags[ROLLED_BACK_AT]}" if ROLLED_BACK_AT in tags else "champion" if current else ""
        if current and RESTORED_AT in tags:
            state += f", brought back {tags[RESTORED_AT]}"
        promoted, replaced = tags.get(PROMOTED_AT, "by hand"), tags.get(REPLACED, "–")
        rows.append((str(each.number), tags.get(RUN_TAG, "–"), promoted, replaced, tags.get(GAIN) or "–", state))
    print_rows(("version", "run", "promoted", "replaced", "gain, points (95 %)", ""), rows)


def write_predictions(found: Sequence[Classified], output: str) -> None:
    """Write labels and margins: a table with a column a file, JSON, or CSV with a row a file."""
    attributes = list(found[0].labels) if found else []
    if output == "json":
        rows = [
            {
                "file": str(each.file),
                "attributes": {name: {"label": each.labels[name], "margin": each.margins[name]} for name in attributes},
            }
            for each in found
        ]
        print(json.dumps(rows, indent=1))
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["file", *(column for name in attributes for column in (name, f"{name}_margin"))])
        for each in found:
            values = (value for name in attributes for value in (each.labels[name], each.margins[name]))
            writer.writerow([each.file, *values])
    else:
        alike = len({each.file.name for each in found}) < len(found)
        for start in range(0, len(found), FILES_A_TABLE):
            block = found[start : start + FILES_A_TABLE]
            print_rows(
                ("attribute", *(str(each.file) if alike else each.file.name for each in block)),
                [(name, *(f"{each.labels[name]}  {each.margins[name]:6.3f}" for each in block)) for name in attributes],
            )


def _ends(estimate: Mapping[str, Any]) -> Sequence[float] | None:
    return None if estimate["low"] is None else (estimate["low"], estimate["high"])


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _interval(interval: Sequence[float] | None) -> str:
    return "–" if interval is None else f"{100 * interval[0]:.1f} – {100 * interval[1]:.1f}"
