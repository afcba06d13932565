"""What every section of the configuration is: strict, frozen, and with an identity that leaves out where things are."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator
from upath import UPath

from lmle_core.spelling import did_you_mean

APART = ("engines", "promotion")
"""Sections that change nothing of what a run computes: how and where it does, and what becomes of its result."""


class ConfigError(ValueError):
    """A configuration that was refused; the message names each wrong entry and the nearest valid one."""


def _list_names(schema: dict[str, Any]) -> None:
    """Let whoever validates by the JSON schema, as Prefect's server, answer an unknown name with the valid ones."""
    schema["propertyNames"] = {"enum": list(schema.get("properties", {}))}


class Section(BaseModel):
    """Strict and frozen: an unknown name is refused with the nearest valid one."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, json_schema_extra=_list_names
    )

    @model_validator(mode="before")
    @classmethod
    def _known_names(cls, values: Any) -> Any:
        if isinstance(values, dict):
            for name in values:
                if name not in cls.model_fields:
                    raise ValueError(f"unknown name {name!r}{nearest(str(name), list(cls.model_fields))}")
            return {name: None if value == "null" else value for name, value in values.items()}  # TOML has no null
        return values

    def identity(self) -> dict[str, Any]:
        """The values as JSON, without paths and the sections `APART`: a path says where, and not what."""
        values = self.model_dump(mode="json")
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name in APART or _is_place(value):
                del values[name]
            elif isinstance(value, Section):
                values[name] = value.identity()
        return values

    def places(self) -> dict[str, Any]:
        """The paths that `identity` leaves out, as JSON."""
        found: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name not in APART and _is_place(value):
                found[name] = [str(each) for each in value] if isinstance(value, tuple) else str(value)
            elif name not in APART and isinstance(value, Section) and (inner := value.places()):
                found[name] = inner
        return found


def nearest(name: str, valid: list[str]) -> str:
    """The end of a message about an unknown name: the nearest valid one, else all of them."""
    return f"; {did_you_mean(name, valid) or f'valid are {", ".join(valid)}'}"


def _is_place(value: Any) -> bool:
    """Whether a value says where something is: a path, or several."""
    several = value if isinstance(value, tuple) and value else (value,)
    return all(isinstance(each, Path | UPath) for each in several)
