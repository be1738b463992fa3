"""Which of the processes started by `accelerate launch` this is, known before torch is imported."""

from __future__ import annotations

import os

LAUNCHED = "ACCELERATE_MIXED_PRECISION"  # `accelerate launch` sets it for each process that it starts


def rank() -> int:
    """Return this process's number among those launched together, from 0."""
    return int(os.environ.get("RANK", "0")) if LAUNCHED in os.environ else 0


def count() -> int:
    """Return how many processes were launched together."""
    return int(os.environ.get("WORLD_SIZE", "1")) if LAUNCHED in os.environ else 1
