"""Progress of work on rows."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # the phase, rows done, rows in all


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore progress, outside a worker."""
