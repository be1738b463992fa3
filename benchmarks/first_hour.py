"""Seconds of the first hour: from the command to the board, and to each verdict, as a newcomer waits for them.

    python benchmarks/first_hour.py [demo | make-demo]...

Each opens the app on a terminal of its own, as the command does, and the project file is asked meanwhile for
evaluations. `make-demo` is the script that `make demo` runs once the environment is installed; its texts come from a
package index or pip's cache. `tests/test_first_hour.py` counts the commands.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import shared

from support.terminal import Terminal

LONGEST = 900  # seconds
SAMPLE = shared.ROOT / "sample_projects" / "feedback_sentiment" / "make_project.py"


@dataclass(frozen=True)
class Start:
    """A command that opens a project in which the work happens, and by when."""

    name: str
    program: Sequence[str]
    file: str
    shows: bytes  # what the board shows first
    board: float  # seconds: goals
    first: float
    every: float
    plays: int


STARTS = {
    "demo": Start("distill-tui demo", ("-m", "distill_tui", "demo"), "demo.distill", b"ticket-routing", 5, 60, 60, 1),
    "make-demo": Start("make demo", (str(SAMPLE),), "feedback.distill", b"sentiment", 15, 150, 240, 2),
}


def main() -> int:
    parser = shared.parser(__doc__)
    parser.add_argument("starts", nargs="*", metavar="demo | make-demo", default=list(STARTS))
    met = [measured(STARTS[name]) for name in parser.parse_args().starts]
    return 0 if all(met) else 1


def measured(start: Start) -> bool:
    """Open it, wait for the verdicts, print the seconds; return whether they meet the goals."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "demo"
        began = time.monotonic()
        terminal = Terminal(*start.program, str(folder), program=True, XDG_STATE_HOME=scratch)
        try:
            terminal.until(lambda: start.shows in terminal.written, LONGEST)
            board, seen = time.monotonic() - began, list[float]()
            while len(seen) < start.plays and time.monotonic() - began < LONGEST:
                terminal.read(0.1)
                seen += [time.monotonic() - began] * (evaluations(folder / start.file) - len(seen))
            terminal.press(b"\x11")
            terminal.process.wait(20)
        finally:
            terminal.process.kill()
    reached = len(seen) == start.plays and board <= start.board
    reached = reached and seen[0] <= start.first and seen[-1] <= start.every
    verdicts = ", ".join(f"{each:.0f} s" for each in seen) or "none"
    load = os.getloadavg()[0]
    print(
        f"{start.name}: board {board:.1f} s (goal {start.board:g}), verdicts after {verdicts} "
        f"(goals {start.first:g} and {start.every:g}); load {load:.1f}",
        flush=True,
    )
    return reached


def evaluations(path: Path) -> int:
    """Count the evaluations that a project has; 0 while there is no project yet."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        return int(connection.execute("SELECT count(*) FROM evaluation").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
