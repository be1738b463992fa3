"""What opens without the command line: which project file is meant, and its screens (standard library only)."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path


def candidates(given: str | None) -> list[Path]:
    """Return the possible project files: the one given, else that of DISTILL_PROJECT, else all in this folder."""
    named = given or os.environ.get("DISTILL_PROJECT")
    return [Path(named)] if named else sorted(Path().glob("*.distill"))


def drawable() -> bool:
    """Check that this is a terminal with cursor control. Textual draws on standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    in_browser = "TEXTUAL_DRIVER" in os.environ  # textual-serve
    return in_browser or (all(stream.isatty() for stream in streams) and os.environ.get("TERM", "dumb") != "dumb")


def screens(
    path: Path, commands: Callable[[], Iterable[tuple[str, str]]], *, key: Path | None = None, play: int | None = None
) -> int:
    """Show a project file until the person leaves; return the exit code. `commands` are those that can be typed."""
    gc.disable()  # until the project is open: what is made up to then stays, and searching it costs a tenth of it
    from distill_tui.ui import app

    return app.run(path, key=key, play=play, commands=commands)
