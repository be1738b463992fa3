"""Run a command of the command line as a child process: what takes long, and what somebody types, goes this way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a command ended: whether it went well, the last line that it said, and the data that it printed."""

    well: bool
    line: str
    data: tuple[str, ...] = ()


async def run(path: Path, key: Path | None, words: Sequence[str]) -> Ended:
    """Run `distill-tui --project PATH words…` to its end."""
    prove = ("--key", str(key)) if key is not None else ()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "distill_tui", "--project", str(path), *prove, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # nothing that it asks reaches our terminal, and it survives the terminal's end
    )
    output, errors = await child.communicate()
    data, talk = lines(output), lines(errors)
    if child.returncode == 0:  # talk is for people; data are for whoever asked a question
        return Ended(True, [*data, *talk][-1] if data or talk else "", tuple(data))
    return Ended(False, [f"It ended with code {child.returncode}.", *data, *talk][-1], tuple(data))


def lines(output: bytes) -> list[str]:
    """Give the lines that say something."""
    return [line.rstrip() for line in output.decode(errors="replace").splitlines() if line.strip()]
