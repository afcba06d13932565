"""The configuration as TOML that a person reads: each setting with its description, and readable back as a preset."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from upath import UPath

WIDTH = 120


def to_toml(config: BaseModel) -> str:
    """The model as TOML text; what has no value is written as "null", as presets do."""
    lines: list[str] = []
    sections: list[tuple[str, BaseModel]] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            sections.append((name, value))
        else:
            lines += _entry(name, value, field.description)
    for name, section in sections:
        lines += ["", f"# {(type(section).__doc__ or '').strip().splitlines()[0]}", f"[{name}]"]
        for key, field in type(section).model_fields.items():
            lines += _entry(key, getattr(section, key), field.description)
    return "\n".join(lines).lstrip("\n") + "\n"


def _entry(name: str, value: Any, description: str | None) -> list[str]:
    line = f"{name} = {_text(value)}"
    if not description:
        return [line]
    if len(line) + len(description) + 4 <= WIDTH:
        return [f"{line}  # {description}"]
    return [f"# {description}", line]


def _text(value: Any) -> str:
    if value is None:
        return '"null"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(item) for item in value)}]"
    return json.dumps(str(value) if isinstance(value, Path | UPath) else value, ensure_ascii=False)
