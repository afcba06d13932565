"""Published checksums are compared and reported."""

import hashlib
from pathlib import Path

from lmle_core.celeba.checksums import check_sums
from lmle_core.celeba.facts import MD5


def test_each_published_file_is_reported_present_or_not(tmp_path: Path) -> None:
    (tmp_path / "Anno").mkdir()
    (tmp_path / "Anno" / "list_attr_celeba.txt").write_bytes(b"home-made")
    found = {checksum.file: checksum for checksum in check_sums(tmp_path)}
    assert set(found) == set(MD5)
    home_made = found["list_attr_celeba.txt"]
    assert home_made.found == hashlib.md5(b"home-made", usedforsecurity=False).hexdigest()
    assert home_made.expected == MD5["list_attr_celeba.txt"]
    assert not home_made.ok
    assert found["img_align_celeba.zip"].found is None
    assert not any(checksum.ok for checksum in found.values())
