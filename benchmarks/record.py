"""Where the records of measurements lie, and how one is written."""

import datetime
import json
from pathlib import Path
from typing import Any

RECORDS = Path(__file__).parent / "records"
type Json = dict[str, Any]


def today() -> str:
    """The date of a record that is made now."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write_record(record: Json, name: str, records: Path = RECORDS, *, compact: bool = False) -> Path:
    """Write a record; the same day's of the same name is replaced.

    Args:
        record: with its `date`.
        name: of what was measured.
        records: gets `<date>-<name>/record.json`.
        compact: on one line, for one of many numbers.
    """
    directory = records / f"{record['date']}-{name}"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "record.json"
    layout: Json = {"separators": (",", ":")} if compact else {"indent": 1}
    path.write_text(json.dumps(record, allow_nan=False, **layout) + "\n")
    return path
