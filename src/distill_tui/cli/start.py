"""Where the program begins: straight at the screens where they are all that is asked for, else at the command line.

The table of commands and its parser take a tenth of the time to the first frame, so the screens wait for neither.
Standard library only, until it is clear which of the two it is.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main() -> int:
    """Run the words that the process was given; gives the exit code."""
    words = sys.argv[1:]
    path = _to_show(words)
    if path is None:
        from distill_tui.cli import table

        return table.main(words)
    try:
        return screens(path)
    except KeyboardInterrupt:
        from distill_tui.cli import table

        return table.INTERRUPTED
    except Exception as error:
        from distill_tui.cli import call, table

        explained = call.explain(error, call.Call(table.parse(words)))
        if explained is None:
            raise
        return explained


def screens(path: Path, *, key: Path | None = None, play: int | None = None) -> int:
    """Show a project file until the person leaves; gives the exit code."""
    gc.disable()  # until the project is open: what is made up to then stays, and searching it costs a tenth of it
    from distill_tui.ui import app

    return app.run(path, key=key, play=play)


def _to_show(words: Sequence[str]) -> Path | None:
    """Give the project file where its screens are all that is asked for; None where the command line has to say."""
    files = words[1:]
    if words[:1] not in ([], ["open"]) or len(files) > 1 or any(file.startswith("-") for file in files):
        return None
    found = candidates(files[0] if files else None) if drawable() else []
    return found[0] if len(found) == 1 else None


def candidates(given: str | None) -> list[Path]:
    """Give the project files that may be meant: the one given, else that of DISTILL_PROJECT, else all that are here."""
    named = given or os.environ.get("DISTILL_PROJECT")
    return [Path(named)] if named else sorted(Path().glob("*.distill"))


def drawable() -> bool:
    """Whether screens can be drawn: on a terminal that understands more than text. Textual draws on standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and os.environ.get("TERM", "dumb") != "dumb"
