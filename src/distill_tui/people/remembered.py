"""What this account remembers on this machine: recent projects, the theme, and how each person left the screens.

One small JSON file in the user's state folder (XDG). Nothing depends on it, so a file that is missing, broken or of
another account counts as empty. Standard library only.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

RECENT, VIEWS = 20, 200  # how many of each are kept


@dataclass(frozen=True)
class Left:
    """How a person left the screens of a project."""

    words: str = ""  # of the filter
    order: str = ""  # in which a column's plays stand
    killed: bool = False  # whether killed plays were shown
    play: int = 0  # under the cursor
    opened: bool = False  # whether that play was open
    tab: int = 1


def file() -> Path:
    """Return the file: `$XDG_STATE_HOME/distill-tui/screens.json`."""
    given = os.environ.get("XDG_STATE_HOME", "")  # the specification has relative paths ignored
    folder = Path(given) if given.startswith("/") else Path("~/.local/state").expanduser()
    return folder / "distill-tui" / "screens.json"


def recent() -> list[Path]:
    """Return the projects that were opened last and still exist, newest first."""
    return [Path(path) for path in _list(read(file), "recent") if Path(path).is_file()]


def opened(project: Path) -> None:
    kept = read(file)
    path = str(project.absolute())
    kept["recent"] = [path, *(other for other in _list(kept, "recent") if other != path)][:RECENT]
    write(file, kept)


def left(project: Path, person: str | None) -> Left | None:
    """Return how a person left a project's screens; None where nothing is known."""
    view = _views(read(file)).get(_name(project, person))
    if not isinstance(view, dict):
        return None
    known = {field.name: type(field.default) for field in fields(Left)}
    fits: dict[str, Any] = {name: value for name, value in view.items() if type(value) is known.get(name)}
    return Left(**fits)


def leave(project: Path, person: str | None, view: Left) -> None:
    """Remember how a person leaves a project's screens."""
    kept = read(file)
    views, name = _views(kept), _name(project, person)
    views.pop(name, None)
    views[name] = asdict(view)  # the newest last
    kept["views"] = dict(list(views.items())[-VIEWS:])
    write(file, kept)


def theme() -> str:
    found = read(file).get("theme")
    return found if isinstance(found, str) else ""


def choose_theme(name: str) -> None:
    write(file, read(file) | {"theme": name})


def _name(project: Path, person: str | None) -> str:
    return f"{person or ''} {project.absolute()}"


def _list(kept: dict[str, object], name: str) -> list[str]:
    found = kept.get(name)
    return [word for word in found if isinstance(word, str)] if isinstance(found, list) else []


def _views(kept: dict[str, object]) -> dict[str, object]:
    views = kept.get("views")
    return views if isinstance(views, dict) else {}


def read(where: Callable[[], Path]) -> dict[str, object]:
    """Read a small JSON file of this account; a missing or broken one counts as empty."""
    try:
        kept = json.loads(where().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, RuntimeError):  # RuntimeError: an account without a home
        return {}
    return kept if isinstance(kept, dict) else {}


def write(where: Callable[[], Path], kept: Mapping[str, object]) -> None:
    """Write it whole or not at all; where it cannot be written, nothing is remembered."""
    with suppress(OSError, RuntimeError):
        path = where()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                json.dump(kept, out)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
