"""A configuration from a preset, which is TOML, and settings of the command line; refused with every wrong entry."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lmle_core.config.configuration import Config
from lmle_core.config.section import ConfigError, nearest


def presets() -> list[str]:
    """Names of the presets that come with lmle."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in (resources.files("lmle_core") / "presets").iterdir()
        if entry.name.endswith(".toml")
    )  # fmt: skip


def load_config(preset: str | None = None, settings: list[str] | None = None) -> Config:
    """A preset with settings laid over it.

    Args:
        preset: one of `presets()`, or the path of a TOML file; None: the model's defaults.
        settings: `section.key=value` each, the value in TOML's syntax (a bare word is a string).

    Raises:
        ConfigError: for an unknown preset, name or value; all of them at once, each with the nearest valid one.
    """
    values = _preset_values(preset) if preset else {}
    for setting in settings or []:
        name, separator, text = setting.partition("=")
        if not separator or not name:
            raise ConfigError(f"--set {setting}: expected section.key=value, for example training.rounds=2")
        if meant := _with_section(name.strip()):
            raise ConfigError(f"--set {setting}: did you mean {' or '.join(meant)}?")
        _assign(values, name.strip().split("."), _toml_value(text.strip()))
    return parse_config(values)


def parse_config(values: dict[str, Any]) -> Config:
    """A configuration from nested dictionaries, with every wrong entry named. Raises ConfigError."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def _preset_values(preset: str) -> dict[str, Any]:
    if preset in presets():
        return tomllib.loads((resources.files("lmle_core") / "presets" / f"{preset}.toml").read_text())
    path = Path(preset)
    if path.suffix == ".toml":
        try:
            return tomllib.loads(path.read_text())
        except OSError as error:
            raise ConfigError(f"preset {preset}: {error.strerror}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"preset {preset}: not TOML: {error}") from None
    raise ConfigError(f"unknown preset {preset!r}{nearest(preset, presets())}")


def _with_section(name: str) -> list[str]:
    """What a setting without its section may be; none where it is a name of the configuration itself."""
    if name in Config.model_fields:
        return []
    fields = Config.model_fields.items()
    return [f"{section}.{name}" for section, field in fields if name in getattr(field.annotation, "model_fields", ())]


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        values = values.setdefault(name, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {'.'.join(path)}: {name} is a value, not a section")
    values[path[-1]] = value


def _explain(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(part) for part in problem["loc"]) or "configuration"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "literal_error" and isinstance(problem["input"], str):
            valid = [part.strip(" '") for part in problem["ctx"]["expected"].replace(" or ", ",").split(",")]
            message = f"{problem['input']!r} is not one of {', '.join(valid)}{nearest(problem['input'], valid)}"
        elif problem["type"] == "tuple_type":
            message = f'expected a list, such as ["a", "b"] or [1, 2] (got {problem["input"]!r})'
        elif problem["type"] == "string_pattern_mismatch":
            message = f"{problem['input']!r} is no name that can be had (pattern {problem['ctx']['pattern']})"
        elif problem["type"] == "model_type":
            message = f"a section, whose settings are {where}.KEY=VALUE (got {problem['input']!r})"
        elif not message.startswith("unknown name") and not isinstance(problem["input"], dict):
            message += f" (got {problem['input']!r})"
        lines.append(f"{where}: {message}")
    return "\n".join(lines)
