"""How work on rows tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # what is done now, rows done, rows in all


def unheard(what: str, done: int, total: int) -> None:
    """Ignore progress, outside a worker."""
