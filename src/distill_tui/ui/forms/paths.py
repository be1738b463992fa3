"""Paths on this machine while they are typed: completed, and what lies there listed with its size."""

from __future__ import annotations

from collections.abc import Iterable
from glob import has_magic
from itertools import islice
from pathlib import Path

from textual.suggester import Suggester

from distill_tui.ui.forms.sheet import Body

SHOWN, MOST = 6, 2_000  # entries that are listed, and that are looked at
UNITS = ("B", "KB", "MB", "GB", "TB")


class PathSuggester(Suggester):
    """Completes the path of a file or folder."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        found = next(iter(_beginning(value)), None) if value else None
        if found is None:
            return None
        folder, slash, _ = value.rpartition("/")
        return f"{folder}{slash}{found.name}{'/' if found.is_dir() else ''}"


def listing(typed: str) -> Body:
    """List what a typed path names: a file, the files of a pattern, a folder's, or what begins like it."""
    path = Path(typed or ".").expanduser()
    try:
        if has_magic(typed):
            root = Path(path.anchor)
            files = islice(root.glob(str(path.relative_to(path.anchor)) if path.anchor else typed), MOST)
            found = [each for each in files if each.is_file()]
            total = sum(each.stat().st_size for each in found)
            return (
                [f"{len(found):,} files match, {size(total)}.", *_lines(found)]
                if found
                else [("look", "No file matches.")]
            )
        if path.is_file():
            return [f"{path.name}: {size(path.stat().st_size)}."]
        if path.is_dir():
            inside = sorted(_entries(path))
            return [f"{len(inside):,} in {path.name or path.absolute()}:", *_lines(inside)]
        begun = _beginning(typed)
        return _lines(begun) if begun else [("look", "Nothing here begins like this.")]
    except (OSError, ValueError) as error:
        return [("look", f"{typed} cannot be read: {getattr(error, 'strerror', None) or error}.")]


def size(count: int) -> str:
    """Write a number of bytes: 12.4 MB."""
    value, unit = float(count), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{count} B" if not unit else f"{value:.1f} {UNITS[unit]}"


def _entries(folder: Path) -> list[Path]:
    return [each for each in islice(folder.iterdir(), MOST) if not each.name.startswith(".")]


def _beginning(typed: str) -> list[Path]:
    """Return what begins like the last part of a typed path, sorted."""
    folder, slash, name = typed.rpartition("/")
    where = Path(f"{folder}{slash}" or ".").expanduser()
    try:
        return sorted(each for each in _entries(where) if each.name.startswith(name) and each.name != name)
    except OSError:
        return []


def _lines(paths: Iterable[Path]) -> list[str]:
    found = list(paths)
    lines = [
        f"{each.name}/" if each.is_dir() else f"{each.name}  {size(each.stat().st_size)}" for each in found[:SHOWN]
    ]
    return [*lines, f"and {len(found) - SHOWN:,} more"] if len(found) > SHOWN else lines
