"""Copy a shipped bundle into a folder with a name that people read."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from distill_tui.digests import folder_digest


def name_of(play: str, round: int) -> str:
    """Return a folder's name for the bundle of a play's round, like `mail-topic-round-2`."""
    plain = re.sub(r"[^\w.-]+", "-", play).strip("-.").lower() or "play"
    return f"{plain}-round-{round}"


def export(bundle: Path, into: Path, name: str) -> Path:
    """Copy a bundle as `into/name`, files of its own; the same bundle there already is left as it is.

    Raises ValueError with one sentence where something else has the name, or the copy is not the bundle.
    """
    target = into / name
    if target.exists():
        if target.is_dir() and not target.is_symlink() and folder_digest(target) == folder_digest(bundle):
            return target
        raise ValueError(f"{target} exists and is not this bundle; remove it, or name another folder.")
    into.mkdir(parents=True, exist_ok=True)
    making = into / f".{name}.making"
    shutil.rmtree(making, ignore_errors=True)  # left by a process that was killed here
    shutil.copytree(bundle, making)
    if folder_digest(making) != folder_digest(bundle):
        shutil.rmtree(making)
        raise ValueError(f"The copy in {into} is not the bundle; check that disk.")
    making.rename(target)
    return target
