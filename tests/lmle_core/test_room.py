from pathlib import Path

import pytest

from lmle_core import room
from lmle_core.features import Features
from lmle_core.room import SPARE, NoRoomError, check_room, is_full

PIB = 1 << 50


def test_what_fits_may_be_written_and_what_does_not_is_refused_with_both_sizes(tmp_path: Path) -> None:
    check_room(tmp_path, 1, "a byte")
    with pytest.raises(
        NoRoomError, match=rf"the pixels take {(PIB + SPARE) / 2**30:.2f} GiB, and the disk of {tmp_path}"
    ):
        check_room(tmp_path, PIB, "the pixels")


def test_features_without_room_are_not_begun(tmp_path: Path) -> None:
    with pytest.raises(NoRoomError, match=r"the features of 70,368,744,177,664 images take"):
        Features.create(tmp_path, PIB // 16, (2, 2), 1000)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_is_full_where_next_to_nothing_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = tmp_path / "workspace" / "to be made"
    assert not is_full(absent)
    monkeypatch.setattr(room, "FULL", PIB)
    assert is_full(absent)
