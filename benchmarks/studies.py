"""Records of finished studies: `python -m benchmarks.studies --workspace W faces digits`.

A record keeps what `lmle study NAME` left: of each comparison its estimates, what was tried on the validation split,
and the scores of every seed. `benchmarks.results` writes docs/results.md from the newest records alone.
"""

import argparse
import json
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import environment
from benchmarks.record import RECORDS, Json, today, write_record
from lmle_core.config import Config, ConfigError, load_config
from lmle_core.methods.catalogue import METHODS
from lmle_core.network import has_bfloat16
from lmle_core.studies import STUDIES, Study, find_study

PARTS = ("comparison", "trials", "samples")
"""Files of a comparison that a record keeps."""
RECIPE = ("trunk", "prior", "cluster", "quintuplets", "loss", "training", "index")
"""Sections of the configuration that comparisons of one record have in common."""
DIGITS = 5
"""Decimals kept: 0.001 of a point of accuracy."""


def main() -> None:
    """Keep the named studies, or all that the workspace has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True, help="of the studies")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as given to lmle study")
    parser.add_argument("--note", default="", help="what a reader has to know, such as that the machine was busy")
    parser.add_argument("--drop", action="store_true", help="comparisons that the newest record alone has")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(STUDIES)}; without one, all that are finished")
    arguments = parser.parse_args()
    names = arguments.names or [name for name, study in STUDIES.items() if finished(study, arguments.workspace)]
    if not names:
        parser.error(f"{arguments.workspace}: found no finished study; run lmle study NAME --workspace DIR first")
    try:
        for name in names:
            study = find_study(name)
            print(keep(study, arguments.workspace, arguments.settings, note=arguments.note, drop=arguments.drop))
    except (ConfigError, FileNotFoundError, ValueError) as error:
        parser.error(str(error))


def finished(study: Study, workspace: Path) -> bool:
    """Whether the workspace has every comparison of a study."""
    return all((_folder(workspace, name) / "comparison.json").exists() for name in study.variants)


def keep(
    study: Study,
    workspace: Path,
    settings: list[str] | None = None,
    records: Path = RECORDS,
    note: str = "",
    drop: bool = False,
) -> Path:
    """Write the record of a study; one of that day is replaced.

    Of a study of several comparisons, those that the workspace lacks are taken over from the newest record, with its
    date and revision, where that was asked for as many seeds, has the same settings and defaults, and no method or rule
    that this one lacks.

    Args:
        study: of `lmle_core.studies`.
        workspace: where it ran.
        settings: what `lmle study` was given with `--set`.
        records: gets `<date>-study-<name>/record.json`.
        note: what a reader of the page has to know of it.
        drop: let the comparisons go that are neither here nor taken over.

    Raises:
        FileNotFoundError: where there is no comparison of the study, or a file of one is missing.
        ValueError: for comparisons that are not of one command, with these settings, at one revision, or whose methods
            decide by other rules than the catalogue has by now; and where the newest record has some that are neither
            here nor of the same recipe, and would be lost.
    """
    record = {**record_of(study, workspace, settings), "note": note}
    found = sorted(records.glob(f"*-study-{study.name}/record.json"))
    if found:
        older = json.loads(found[-1].read_text())
        _take_over(record, older, study)
        lost = [name for name in study.variants if name in older["comparisons"].keys() - record["comparisons"].keys()]
        if lost and not drop:
            raise ValueError(
                f"{found[-1].parent.name} has {', '.join(lost)}, measured with another recipe, other trials, methods "
                "or numbers of seeds: run `lmle study` of these too, or --drop them from the page"
            )
    return write_record(rounded(record), f"study-{study.name}", records, compact=True)


def record_of(study: Study, workspace: Path, settings: list[str] | None = None) -> Json:
    """The record itself, not rounded yet; see `keep`."""
    there = [name for name in study.variants if _folder(workspace, name).is_dir()] or list(study.variants)
    parts = {name: _parts(_folder(workspace, name)) for name in there}
    runs = {name: _methods(each, study) for name, each in parts.items()}
    methods = next(iter(runs.values()))
    seeds = {name: tuple(each["comparison"]["seeds"]) for name, each in parts.items()}
    fewest = min(seeds.values(), key=len)
    own = all(len(each) == study.seeds_of(name) for name, each in seeds.items())
    if len(set(runs.values())) > 1 or not (own or len(set(seeds.values())) == 1):
        raise ValueError(
            f"study {study.name}: expected its comparisons to have the same methods, and the study's own numbers of "
            f"seeds or one for all, got {runs}, {seeds}"
        )
    revisions, rules = ({name: each["made"][key] for name, each in parts.items()} for key in ("revision", "rules"))
    folder = any(each["made"].get("folder") for each in parts.values())
    tried = max(trial_seeds(each["trials"]) for each in parts.values())
    known = {method: METHODS[method].rules[0] for method in methods}
    if len(set(revisions.values())) > 1 or any(each != known for each in rules.values()):
        raise ValueError(
            f"study {study.name}: expected its comparisons to be of one revision, and methods to decide by the rules "
            f"of the catalogue, found {revisions}, {rules}: run the study again; what has not changed is found done"
        )
    configs = study.configs(settings)
    for name, each in parts.items():
        if each["made"]["config"] != configs[name].identity():
            raise ValueError(f"{name}: it was made with other settings: name those of `lmle study` with --set")
    preset = load_config(study.preset, settings)
    return {
        "command": _command(study, methods, None if own else len(fewest), tried, settings, folder),
        "date": today(),
        "environment": {**environment(), "revision": next(iter(revisions.values())), "device": _device()},
        "study": {
            "name": study.name,
            "preset": study.preset,
            "settings": changed(preset, Config()),
            "recipe": {section: preset.identity()[section] for section in RECIPE},
            "methods": methods,
            "rules": known,
            "seeds": fewest,
        },
        "comparisons": {
            name: {"settings": changed(configs[name], preset), **{part: each[part] for part in PARTS}}
            for name, each in parts.items()
        },
    }


def _take_over(record: Json, older: Json, study: Study) -> None:
    """Add an older record's comparisons to those of a new one; they come in the study's order."""
    ours, theirs = rounded(record["study"]), older["study"]
    apart = {"methods", "rules", "seeds"}
    same = all(ours[key] == theirs.get(key) for key in ours.keys() - apart)
    tried = [_tried(each) for each in (record, older)]
    asked = [re.findall(r"--seeds \d+", each["command"]) for each in (record, older)]  # none: the study's own numbers
    if (
        not same
        or any(settings != tried[0][method] for method, settings in tried[1].items() if method in tried[0])
        or asked[0] != asked[1]
        or ours["seeds"][0] != theirs["seeds"][0]
        or not theirs["rules"].items() <= ours["rules"].items()
    ):
        return
    there = ("revision", "processor", "device")
    of = {"date": older["date"], "note": older["note"], **{name: older["environment"][name] for name in there}}
    both = {name: {"taken_over": of, **each} for name, each in older["comparisons"].items()} | record["comparisons"]
    record["comparisons"] = {name: both[name] for name in study.variants if name in both}
    record["study"]["seeds"] = min(ours["seeds"], theirs["seeds"], key=len)


def _tried(record: Json) -> dict[str, list[Json]]:
    """The settings that were tried of each method, which are those of all its comparisons."""
    trials = (rounded(each["trials"]) for each in record["comparisons"].values())
    return {method: [one["settings"] for one in tried] for each in trials for method, tried in each.items()}


def changed(config: Config, base: Config) -> Json:
    """The settings `section.key` of a configuration that another has not; where it ran and the seed do not count."""
    ours, theirs = config.identity(), base.identity()
    return {
        f"{section}.{key}": value
        for section, values in ours.items()
        if isinstance(values, dict)
        for key, value in values.items()
        if value != theirs[section][key]
    }


def trial_seeds(trials: Mapping[str, Sequence[Mapping[str, Any]]]) -> int:
    """From how many seeds each trial was trained, by what was tried of each method."""
    return max(len(each.get("experiments", (None,))) for tried in trials.values() for each in tried)


def rounded(value: Any) -> Any:
    """The same with every fraction rounded to five decimals, to keep records small; seconds and spreads as well."""
    if isinstance(value, float):
        return round(value, DIGITS) + 0.0
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value


def _folder(workspace: Path, comparison: str) -> Path:
    return workspace / "comparisons" / comparison


def _parts(folder: Path) -> Json:
    parts = (*PARTS, "made")
    missing = [part for part in parts if not (folder / f"{part}.json").exists()]
    if missing:
        raise FileNotFoundError(f"{folder}: expected {', '.join(f'{part}.json' for part in missing)}; finish the study")
    return {part: json.loads((folder / f"{part}.json").read_text()) for part in parts}


def _methods(parts: Json, study: Study) -> tuple[str, ...]:
    """Those that were run, the reference first, the others as the study has them."""
    reference = parts["comparison"]["reference"][0]
    order = [*study.methods, *parts["trials"]]
    return tuple(sorted(parts["trials"], key=lambda method: (method != reference, order.index(method))))


def _command(
    study: Study, methods: tuple[str, ...], seeds: int | None, tried: int, settings: list[str] | None, folder: bool
) -> str:
    """What repeats the study; no path of the machine.

    Args:
        study: which one.
        methods: that were run.
        seeds: the number that was given, if one was.
        tried: by how many of them settings were chosen.
        settings: as given with `--set`.
        folder: whether its images are a folder's.
    """
    words = ["lmle", "study", study.name]
    if folder:
        words += ["--data", "DIR"]
    if methods != study.methods:
        words += ["--methods", ",".join(methods)]
    if seeds is not None:
        words += ["--seeds", str(seeds)]
    if tried != min(study.trial_seeds, seeds or study.seeds):
        words += ["--trial-seeds", str(tried)]
    for setting in settings or []:
        words += ["--set", setting]
    return " ".join(words)


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"cpu ({platform.machine()}, {'with' if has_bfloat16(torch.device('cpu')) else 'without'} bfloat16)"


if __name__ == "__main__":
    main()
