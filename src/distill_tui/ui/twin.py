"""Run a command of the command line as a child process: what takes long, and what somebody types, goes this way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path


async def run(path: Path, key: Path | None, words: Sequence[str]) -> tuple[bool, str]:
    """Run `distill-tui --project PATH words…`; say whether it went well, and the last line that it said."""
    prove = ("--key", str(key)) if key is not None else ()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "distill_tui.cli", "--project", str(path), *prove, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # nothing that it asks reaches our terminal, and it survives the terminal's end
    )
    output, errors = await child.communicate()
    if child.returncode == 0:
        return True, last_line(output) or last_line(errors)
    return False, last_line(errors) or last_line(output) or f"It ended with code {child.returncode}."


def last_line(output: bytes) -> str:
    """Give the last line that says something."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
