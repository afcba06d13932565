"""The revision is that of the checkout this code runs from, and of no other."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tasks import revision


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True)


def test_a_checkout_has_a_commit_with_a_mark_when_files_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = tmp_path.resolve()
    module = checkout / "tasks" / "revision.py"
    module.parent.mkdir()
    shutil.copy(revision.__file__, module)
    monkeypatch.setattr(revision, "__file__", str(module))
    assert revision.git_revision() is None  # no checkout
    git(checkout, "init")
    assert revision.git_revision() is None  # no commit
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    clean = revision.git_revision()
    assert clean is not None
    assert len(clean) == 40
    module.write_text("changed")
    assert revision.git_revision() == clean + "+"


def test_an_installation_inside_another_checkout_is_not_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init")
    inner = tmp_path / "site-packages" / "tasks" / "revision.py"
    inner.parent.mkdir(parents=True)
    inner.write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    monkeypatch.setattr(revision, "__file__", str(inner))
    assert revision.git_revision() is None
    monkeypatch.setenv("LMLE_REVISION", "what the image says")
    assert revision.git_revision() == "what the image says"
