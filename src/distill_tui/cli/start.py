"""The entry point: opens the screens directly if only they are asked for, else starts the command line.

The command line takes a tenth of the time to the first frame, so the screens do not wait for it. Standard library
only, until it is clear which of the two it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from distill_tui.cli.exits import INTERRUPTED
from distill_tui.cli.terminal import candidates, drawable, screens


def main() -> int:
    """Run the words that the process was given; return the exit code."""
    words = sys.argv[1:]
    path = _to_show(words)
    if path is None:
        from distill_tui.cli import app

        return app.main(words)
    try:
        return screens(path, _commands)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from distill_tui.cli import call

        failed = call.Call()
        failed.project_file = str(path)
        explained = call.explain(error, failed)
        if explained is None:
            raise
        return explained


def _commands() -> Iterable[tuple[str, str]]:
    from distill_tui.cli import app

    return app.COMMANDS.typed()


def _to_show(words: Sequence[str]) -> Path | None:
    """Return the project file if the words ask for its screens and nothing else, else None."""
    files = words[1:]
    if words[:1] not in ([], ["open"]) or len(files) > 1 or any(file.startswith("-") for file in files):
        return None
    found = candidates(files[0] if files else None) if drawable() else []
    return found[0] if len(found) == 1 and not found[0].is_symlink() else None
