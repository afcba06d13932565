"""Which revision of this code runs, where it runs from a git checkout or an image that says so."""

import os
import subprocess
from pathlib import Path


def git_revision() -> str | None:
    """The commit of the checkout that holds this file, with '+' behind it where tracked files differ.

    Elsewhere what LMLE_REVISION says, as in the image; else None.

    Corner cases: a package installed into an environment that lies in some other checkout is not of that checkout.
    """
    named = os.environ.get("LMLE_REVISION") or None
    root = Path(__file__).resolve().parents[1]
    if _git(root, "rev-parse", "--show-toplevel") != str(root):
        return named
    revision = _git(root, "rev-parse", "HEAD")
    if revision is None:
        return named
    return revision + "+" if _git(root, "status", "--porcelain", "--untracked-files=no") else revision


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], check=False, capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
