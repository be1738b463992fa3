"""The program that a model card prints, run as a reader of the card would: in this process, on a model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run(program: str, folder: Path) -> dict[str, Any]:
    """Run a card's program on a folder; return what it defines: `predict`, and others by its task."""
    names: dict[str, Any] = {}
    exec(program.replace('"model"', repr(str(folder))), names)
    return names
