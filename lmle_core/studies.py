"""The studies: data, budget, methods and seeds; a study has a comparison for each of its variants."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lmle_core.config import Config, ConfigError, load_config
from lmle_core.methods.catalogue import METHODS


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes:
        name: of the study.
        preset: of `lmle_core/presets`.
        methods: names of the catalogue; the first is the reference.
        seeds: how many.
        variants: settings that are laid over the preset, by the name of the comparison that they make.
        more_seeds: how many a comparison has instead, by its name.
        trial_seeds: from how many of them each trial is trained: one small validation split does not tell near settings
            apart.
    """

    name: str
    preset: str
    methods: tuple[str, ...]
    seeds: int
    variants: Mapping[str, tuple[str, ...]]
    more_seeds: Mapping[str, int] = MappingProxyType({})
    trial_seeds: int = 3

    def seeds_of(self, comparison: str) -> int:
        """How many seeds a comparison has."""
        return self.more_seeds.get(comparison, self.seeds)

    def configs(self, settings: list[str] | None = None) -> dict[str, Config]:
        """The configuration of each comparison, with further settings laid over it. Raises ConfigError."""
        return {name: load_config(self.preset, [*own, *(settings or [])]) for name, own in self.variants.items()}


QUICK = ("lmle", "bce", "class-weighted", "logit-adjusted", "ldam", "additive-margin", "triplet")
MATTER = (*QUICK, "triplet-late", "crl", "clmle")
ALL = (*MATTER, "deferred-resampled", "resampled", "focal", "triplet-batch-hard", "prior-features")
ABLATIONS = tuple(name for name in METHODS if name.startswith(("lmle-", "table")))
"""LMLE with a part of it changed."""


def _parts(*without: str) -> tuple[str, ...]:
    """What is shipped and its ablations, but for those that change nothing of a study."""
    return ("shipped", *(name for name in ABLATIONS if name not in without))


REMOVED = (0.0, 0.2, 0.4, 0.9)

STUDIES: Mapping[str, Study] = MappingProxyType(
    {
        study.name: study
        for study in (
            Study("faces", "study-faces", MATTER, 3, {"faces": ()}),
            Study("faces-ablation", "study-faces", _parts("lmle-easy"), 3, {"faces-ablation": ()}),
            Study("faces-gpu", "study-faces-gpu", ALL, 5, {"faces-gpu": ()}, trial_seeds=1),
            Study("digits", "study-digits", (*QUICK, "deferred-resampled"), 5,
                  {f"digits-{100 * share:.0f}": (f"data.removed={share}",) for share in REMOVED},
                  {"digits-90": 20}),
            Study("digits-ablation", "study-digits", _parts("lmle-hard"), 5,
                  {"digits-ablation": (f"data.removed={max(REMOVED)}",)}),
            Study("celeba", "study-celeba", ALL, 5, {"celeba": ()}, trial_seeds=1),
        )
    }
)  # fmt: skip


def find_study(name: str) -> Study:
    """A study by its name, or by that of one of its comparisons, then with this one alone.

    Raises:
        ConfigError: for an unknown name.
    """
    if name in STUDIES:
        return STUDIES[name]
    for study in STUDIES.values():
        if name in study.variants:
            return replace(study, variants={name: study.variants[name]})
    names = dict.fromkeys(name for study in STUDIES.values() for name in (study.name, *study.variants))
    raise ConfigError(f"unknown study {name!r}: expected {', '.join(names)}")
