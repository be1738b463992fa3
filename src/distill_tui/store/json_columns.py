"""JSON columns of the project file, read as the shape that this program writes; anything else is an error."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from distill_tui.rules import entities, results
from distill_tui.store.project_file import ProjectError

T = TypeVar("T")


def read(kind: type[T], column: str, what: str) -> T:
    """Read a typed result of the project file. Raises ProjectError where another program changed it."""
    try:
        return results.decode(kind, column)
    except ValueError as error:
        raise ProjectError(
            f"{what[:1].upper()}{what[1:]} is not what this release writes ({error}); restore a backup."
        ) from None


def result_of(kind: type[T], run: entities.Run) -> T:
    """Read the result of a finished run. Raises ProjectError."""
    return read(kind, run.result, f"the result of run {run.id}")


def stored(column: str, what: str, part: str = "") -> dict[str, Any]:
    """Read a JSON object of the project file, or a part of it; a part that is not there is empty.

    Raises ProjectError where it is something else: only another program can have written that.
    """
    value = _read_json(column)
    if part and isinstance(value, dict):
        value, what = value.get(part, {}), f"“{part}” of {what}"
    if not isinstance(value, dict):
        raise ProjectError(f"{what[:1].upper()}{what[1:]} is not a JSON object in the project file; restore a backup.")
    return value


def stored_list(column: str, what: str, of: type) -> list[Any]:
    """Read a JSON list of the project file, each of whose items is of one type. Raises ProjectError, like `stored`."""
    value = _read_json(column)
    if not isinstance(value, list) or not all(isinstance(item, of) for item in value):
        raise ProjectError(f"{what[:1].upper()}{what[1:]} is not a JSON list in the project file; restore a backup.")
    return value


def _read_json(column: str) -> Any:
    try:
        return json.loads(column)
    except (ValueError, TypeError, RecursionError):
        return None
