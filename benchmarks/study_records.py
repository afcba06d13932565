"""What a record of a study says, as comparisons again: estimates over seeds, trials, and the samples of every seed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import RECORDS
from benchmarks.studies import trial_seeds
from lmle_core.comparison import Comparison, Difference, Estimate, Key, Standing, Wins
from lmle_core.studies import STUDIES

Json = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Measured:
    """One comparison of a study, as its record keeps it.

    Attributes:
        name: of the comparison.
        settings: those in which it differs from the study's preset.
        comparison: estimates of all methods and rules.
        trials: of each method, what was tried: `settings`, mean `validation` of the first seeds, and `experiments`, one
            a seed; records of before 2026-11-30 have one seed.
        rules: the own rule of each method, by which the validation split chose among its trials.
        samples: of each method and rule, by seed: `spread`, `seconds`, and `annotated` and `clean` balanced accuracy.
        taken_over: `date`, `revision`, `processor`, `device` and `note` of the earlier record that it comes from; None:
            it is the record's own.
    """

    name: str
    settings: Json
    comparison: Comparison
    trials: Mapping[str, Sequence[Json]]
    rules: Mapping[str, str]
    samples: Mapping[Key, Mapping[int, Json]]
    taken_over: Json | None = None

    @classmethod
    def of(cls, name: str, values: Json, rules: Mapping[str, str]) -> Self:
        """From an entry of a record's `comparisons`, and the own rule of each method."""
        samples: dict[Key, dict[int, Json]] = {}
        for sample in values["samples"]:
            samples.setdefault((sample["method"], sample["rule"]), {})[sample["seed"]] = sample
        comparison = _comparison(values["comparison"], samples)
        return cls(name, values["settings"], comparison, values["trials"], rules, samples, values.get("taken_over"))

    @property
    def trial_seeds(self) -> int:
        """From how many seeds each trial was trained."""
        return trial_seeds(self.trials)

    def per_seed(self, key: Key, name: str = "annotated") -> dict[int, float]:
        """Mean balanced accuracy, or another figure of the samples, by seed in the comparison's order."""
        values = {seed: self.samples[key][seed][name] for seed in self.comparison.seeds}
        return {seed: float(value["mean"] if isinstance(value, dict) else value) for seed, value in values.items()}

    def find(self, key: Key) -> Standing | None:
        """The standing of a method and a rule; None where it was not run."""
        return next((each for each in self.comparison.standings if each.key == key), None)


@dataclass(frozen=True, eq=False)
class StudyRecord:
    """A record of a study.

    Attributes:
        directory: name of the record's.
        command: what repeats the study.
        date: when the record was made.
        environment: processor, cores, device, versions, revision.
        name: of the study.
        settings: in which its preset differs from the default.
        recipe: the sections of its preset that say what is trained.
        methods: in the order of the command; the first is the reference.
        seeds: of every method.
        comparisons: by name.
        note: what a reader has to know.
    """

    directory: str
    command: str
    date: str
    environment: Json
    name: str
    settings: Json
    recipe: Json
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    comparisons: Mapping[str, Measured]
    note: str

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `benchmarks.studies.keep` wrote."""
        values = json.loads(path.read_text())
        study = values["study"]
        return cls(
            directory=path.parent.name,
            command=values["command"],
            date=values["date"],
            environment=values["environment"],
            name=study["name"],
            settings=study["settings"],
            recipe=study.get("recipe", {}),
            methods=tuple(study["methods"]),
            seeds=tuple(study["seeds"]),
            comparisons={name: Measured.of(name, each, study["rules"]) for name, each in values["comparisons"].items()},
            note=values.get("note", ""),
        )


def newest_studies(records: Path = RECORDS) -> dict[str, StudyRecord]:
    """The newest record of each study, by the study's name, in the order of `STUDIES`."""
    found = {}
    for path in sorted(records.glob("*-study-*/record.json")):
        record = StudyRecord.load(path)
        found[record.name] = record
    return {name: found[name] for name in dict.fromkeys([*STUDIES, *found]) if name in found}


def _comparison(values: Json, samples: Mapping[Key, Mapping[int, Json]]) -> Comparison:
    reference = (values["reference"][0], values["reference"][1])
    seeds = tuple(values["seeds"])
    standings = []
    for each in values["standings"]:
        key = (each["method"], each["rule"])
        gains = {
            name: _balanced(samples[reference], seeds, name) - _balanced(samples[key], seeds, name)
            for name in ("annotated", "clean")
            if all(name in samples[side][seed] for side in (reference, key) for seed in seeds)
        }
        standings.append(_standing(key, each, gains))
    return Comparison(
        study=values["study"],
        reference=reference,
        seeds=seeds,
        attributes=tuple(values["attributes"]),
        classes=values["classes"],
        images=tuple(values["images"]),
        standings=tuple(standings),
    )


def _balanced(samples: Mapping[int, Json], seeds: Sequence[int], labels: str) -> NDArray[np.float64]:
    """(S, A), balanced accuracy of each attribute; a sample has 0 where an attribute has none, which becomes NaN."""
    values = np.array([samples[seed][labels]["attributes"] for seed in seeds], dtype=np.float64)
    return np.where(values > 0, values, np.nan)


def _standing(key: Key, values: Json, gains: Mapping[str, NDArray[np.float64]]) -> Standing:
    def difference(name: str, labels: str) -> Difference | None:
        found = values[name]
        if found is None:
            return None
        return Difference(
            gains=gains[labels],
            imbalance=np.array(found["imbalance"], dtype=np.float64),
            over_seeds=Estimate(**found["over_seeds"]),
            over_images=Estimate(**found["over_images"]),
            wins=Wins(**found["attributes"]),
            against_imbalance=_estimate(found["against_imbalance"]),
        )

    clean = values["scores_clean"]
    return Standing(
        key=key,
        scores={name: _estimate(each) for name, each in values["scores"].items()},
        clean=None if clean is None else {name: _estimate(each) for name, each in clean.items()},
        validation=Estimate(**values["validation"]),
        spread=_estimate(values["spread"]),
        seconds=Estimate(**values["seconds"]),
        images_seen=values["images_seen"],
        difference=difference("difference", "annotated"),
        difference_clean=difference("difference_clean", "clean"),
    )


def _estimate(values: Json | None) -> Estimate | None:
    return None if values is None else Estimate(**values)
