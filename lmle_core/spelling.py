"""What a person meant who wrote a name that there is not."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, valid: Iterable[str]) -> str | None:
    """The question that names the nearest valid name; None where none is near."""
    near = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else None
