"""The entry point: opens the screens directly if only they are asked for, else starts the command line.

The command line takes a tenth of the time to the first frame, so the screens do not wait for it. Standard library
only, until it is clear which of the two it is.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path


def main() -> int:
    """Run the words that the process was given; return the exit code."""
    words = sys.argv[1:]
    path = _to_show(words)
    if path is None:
        from distill_tui.cli import app

        return app.main(words)
    try:
        return screens(path)
    except KeyboardInterrupt:
        from distill_tui.cli import exits

        return exits.INTERRUPTED
    except Exception as error:
        from distill_tui.cli import call

        failed = call.Call()
        failed.project_file = str(path)
        explained = call.explain(error, failed)
        if explained is None:
            raise
        return explained


def screens(path: Path, *, key: Path | None = None, play: int | None = None) -> int:
    """Show a project file until the person leaves; return the exit code."""
    gc.disable()  # until the project is open: what is made up to then stays, and searching it costs a tenth of it
    from distill_tui.ui import app

    return app.run(path, key=key, play=play, commands=_commands)


def _commands() -> Iterable[tuple[str, str]]:
    from distill_tui.cli import app

    return app.typed()


def _to_show(words: Sequence[str]) -> Path | None:
    """Return the project file if the words ask for its screens and nothing else, else None."""
    files = words[1:]
    if words[:1] not in ([], ["open"]) or len(files) > 1 or any(file.startswith("-") for file in files):
        return None
    found = candidates(files[0] if files else None) if drawable() else []
    return found[0] if len(found) == 1 else None


def candidates(given: str | None) -> list[Path]:
    """Return the possible project files: the one given, else that of DISTILL_PROJECT, else all in this folder."""
    named = given or os.environ.get("DISTILL_PROJECT")
    return [Path(named)] if named else sorted(Path().glob("*.distill"))


def drawable() -> bool:
    """Check that this is a terminal with cursor control. Textual draws on standard error."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and os.environ.get("TERM", "dumb") != "dumb"
