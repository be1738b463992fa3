"""What sessions over SSH leave in the log."""

from __future__ import annotations

from pathlib import Path

from support import real_play


def entries(play: real_play.Play) -> int:
    return play.project.project_dossier().audit_size


def sessions(words: str) -> int:
    """Count the sessions that run, by their command lines."""
    found = 0
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:  # it has ended meanwhile
            continue
        found += words in line and line.endswith("ssh session") and "python" in line.split()[0]
    return found
