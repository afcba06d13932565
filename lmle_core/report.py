"""The report of a run: one HTML file, complete in itself, made from its summary.json and its figures."""

import base64
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from lmle_core.artefact import write_atomically
from lmle_core.celeba.facts import ATTRIBUTES, PUBLISHED_MEAN

BASELINES = {
    "majority": ("Majority class", "says the most frequent class of each attribute"),
    "prior": ("Prior features", "round 0, under the same decision rule"),
    "pca": ("PCA of pixels", "principal components, under the same decision rule"),
    "bce": ("BCE at ½", "same trunk, same number of images seen, thresholded at ½"),
    "bce_prior": ("BCE at the training prior", "the same network, thresholded at each attribute's rate in training"),
    "bce_calibrated": (
        "Calibrated BCE",
        "the same network, its log-odds calibrated on validation as LMLE's scores are",
    ),
}
SCHEMA = 1


def write_report(path: Path, summary: Mapping[str, Any], figures: Mapping[str, Path], command: str) -> None:
    """Write report.html.

    Args:
        path: the file.
        summary: summary.json, parsed; its schema is in docs/summary.md.
        figures: title to PNG file, in the order to show.
        command: what repeats the run.

    Raises:
        ValueError: for a summary of another schema.
    """
    import jinja2  # slow to import

    if summary.get("schema") != SCHEMA:
        raise ValueError(
            f"summary: expected schema {SCHEMA}, got {summary.get('schema')!r}; write it with this version"
        )
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": _percent, "points": _points, "figure": _figure, "thousands": _thousands}
    environment.globals |= {"interval": _interval}
    template = environment.from_string((resources.files("lmle_core") / "report.html").read_text(encoding="utf-8"))
    page = template.render(
        summary=summary,
        test=summary["test"],
        comparisons=_comparisons(summary),
        attributes=_attributes(summary),
        images={title: _data_uri(file) for title, file in figures.items()},
        choices=_choices(summary["index"].get("candidates") or []),
        settings=_settings(summary["config"]),
        published=PUBLISHED_MEAN if _is_celeba(summary) else {},
        command=command,
    )
    write_atomically(path, page)


def _comparisons(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Baselines as the report's rows: name, note, scores and the gain over each."""
    ours = summary["test"]["mean_balanced_accuracy"]
    gains = summary.get("gains") or {}
    rows = []
    for key, scores in summary["baselines"].items():
        if scores is None:
            continue
        name, note = BASELINES.get(key, (key, ""))
        gain = gains.get(key) or {"mean": ours - scores["mean_balanced_accuracy"], "interval": None}
        rows.append({"name": name, "note": note, "scores": scores, "gain": gain})
    return sorted(rows, key=lambda row: row["scores"]["mean_balanced_accuracy"])


def _attributes(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Per-attribute rows, the most imbalanced first; a gain over the best baseline by mean, where there is one."""
    comparisons = _comparisons(summary)
    best = comparisons[-1] if comparisons else None
    rows = []
    for name, scores in summary["test"]["attributes"].items():
        support = scores["support"]
        row = {"name": name.replace("_", " "), "scores": scores, "gain": None}
        row["share"] = (support[1] if len(support) == 2 else max(support)) / sum(support)
        row["imbalance"] = max(support) / sum(support) - 1 / len(support)
        if best is not None:
            other = best["scores"]["attributes"][name]["balanced_accuracy"]
            if other is not None and scores["balanced_accuracy"] is not None:
                row["gain"] = scores["balanced_accuracy"] - other
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["imbalance"], row["name"]))


def _choices(candidates: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """What was compared on the validation split, as a table of clusters for each class (rows) by k (columns)."""
    found = {(each["clusters_per_class"], each["neighbours"]): each["balanced_accuracy"] for each in candidates}
    columns = sorted({k for _, k in found})
    rows = [(number, [found.get((number, k)) for k in columns]) for number in sorted({number for number, _ in found})]
    return {"columns": columns, "rows": rows, "best": max(found.values(), default=None)}


def _settings(config: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sections of the configuration, each with its names and values; single values come first, as one section."""
    single = [(name, _plain(value)) for name, value in config.items() if not isinstance(value, Mapping)]
    sections = [
        (section, [(name, _plain(value)) for name, value in values.items()])
        for section, values in config.items()
        if isinstance(values, Mapping)
    ]
    return ([("run", single)] if single else []) + sections


def _is_celeba(summary: Mapping[str, Any]) -> bool:
    return bool(summary["data"]["attributes"]) and set(summary["data"]["attributes"]) <= set(ATTRIBUTES)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _data_uri(file: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode("ascii")


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"


def _points(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def _interval(ends: list[float] | None) -> str:
    return "" if ends is None else " … ".join(f"{100 * end:.1f}" for end in ends)


def _thousands(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
