"""The configuration: one strict pydantic model with a section for each stage, and presets as TOML."""

from lmle_core.config.configuration import BALANCED_TWICE, Config
from lmle_core.config.loading import load_config, parse_config, presets
from lmle_core.config.section import APART, ConfigError, Section
from lmle_core.config.stages import Cluster, Data, Engines, Index, Loss, Promotion

__all__ = [
    "APART",
    "BALANCED_TWICE",
    "Cluster",
    "Config",
    "ConfigError",
    "Data",
    "Engines",
    "Index",
    "Loss",
    "Promotion",
    "Section",
    "load_config",
    "parse_config",
    "presets",
]
