"""Who else may write the project file or replace it: its own mode, and those of the folders that it lies in."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path

ROOT = 0


def trouble(path: Path, *, alone: bool = False) -> str:
    """Return a sentence where every account of this machine may write a project, or put another file in its place.

    Where this account must write `alone`, its group may not either, and file and folder are its own.
    """
    for place, inside in _places(path.absolute()):
        try:
            status = place.stat()
        except OSError:
            continue
        others = status.st_mode & (stat.S_IWOTH | (stat.S_IWGRP if alone else 0))
        kept = not inside and status.st_mode & stat.S_ISVTX  # there only its owner may rename a folder
        if others and not kept:
            who = "Other accounts" if alone else "Every account of this machine"
            cure = f"chmod {'go-w' if alone else 'o-w'} {place}"
            return f"{who} may write {place}, so {path.name} could be replaced: run `{cure}`."
        if alone and inside and status.st_uid not in (os.getuid(), ROOT):
            return f"{place} belongs to another account (uid {status.st_uid}), who could replace {path.name}."
    return ""


@lru_cache(maxsize=64)
def _places(path: Path) -> tuple[tuple[Path, bool], ...]:
    """Return the file, its artifacts and its folders upwards; and whether each is its own, or a folder above."""
    file = path.resolve()
    own = (file, file.with_name(f"{file.name}.artifacts"), file.parent)
    return (*((place, True) for place in own), *((place, False) for place in file.parent.parents))
