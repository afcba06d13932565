"""Tables as a user reads them."""

from pathlib import Path

import pytest

from flows.runs import Classified
from flows.tables import print_champions, write_predictions
from tasks.champions import REPLACED, RESTORED_AT, ROLLED_BACK_AT, Version
from tasks.registry import PROMOTED_AT

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = (f"2026-11-{day}T14:56:29+00:00" for day in range(23, 27))


def test_what_became_of_each_champion(capsys: pytest.CaptureFixture[str]) -> None:
    """Version 1 gave way to 2 and was brought back; 3 followed it."""
    first = Version(1, "a", "s3://1", {PROMOTED_AT: MONDAY, RESTORED_AT: WEDNESDAY})
    second = Version(2, "b", "s3://2", {PROMOTED_AT: TUESDAY, REPLACED: "1", ROLLED_BACK_AT: WEDNESDAY})
    third = Version(3, "c", "s3://3", {PROMOTED_AT: THURSDAY, REPLACED: "1"})

    def states(history: list[Version], champion: Version) -> list[str]:
        print_champions("lmle", history, champion)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 1 + len(history)
        return [line.rstrip().split("  ")[-1].strip() for line in lines[1:]]

    assert states([first, second], first) == [f"champion, brought back {WEDNESDAY}", f"rolled back {WEDNESDAY}"]
    assert states([first, second, third], third) == ["–", f"rolled back {WEDNESDAY}", "champion"]


def test_names_are_shown_as_they_are_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["cat[copy].jpg", ":cat:.jpg", "[b].jpg", f"{'long' * 50}.jpg"]
    write_predictions([Classified(Path(name), {"[/Bald]": 1}, {"[/Bald]": 0.5}) for name in names], "table")
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["attribute", *names]
    assert row.split() == ["[/Bald]", *["1", "0.500"] * 4]
