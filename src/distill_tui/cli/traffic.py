"""The columns of a traffic file: those that were named, over those that are found by their usual names."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill_tui.cli.call import UsageError
from distill_tui.cli.options import stacked
from distill_tui.dataset import readers, records

if TYPE_CHECKING:
    from distill_tui.dataset.readers import ColumnMapping

_NAMES = (
    "input",
    "teacher-output",
    "teacher-probabilities",
    "gold",
    "segment",
    "group",
    "time",
    "cost",
    "latency-ms",
    "tokens-in",
    "tokens-out",
)
options = stacked(
    *(
        click.option(
            f"--{name}",
            metavar="COLUMN",
            help=f"the column of the {name.replace('-', ' ')}; empty for none (default: found by its usual names)",
        )
        for name in _NAMES
    )
)


def mapping(path: Path, columns: dict[str, str | None]) -> ColumnMapping:
    """Return the columns to read from a file. Raises UsageError, BadInput."""
    given = {name: column for name, column in columns.items() if column is not None}
    if not given:
        return readers.guess_mapping(path)
    try:
        found: dict[str, str | None] = asdict(readers.guess_mapping(path))
    except records.BadInput:
        if not given.get("input"):
            raise
        found = {}
    named = {name: column or None for name, column in (found | given).items()}
    column = named.pop("input", None)
    if not column:
        raise UsageError("The input's column cannot be empty; name it with --input COLUMN.")
    return readers.ColumnMapping(input=column, **named)
