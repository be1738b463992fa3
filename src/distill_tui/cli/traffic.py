"""The options for traffic: which columns a file has, over how many days it is measured, and at what prices."""

from __future__ import annotations

from dataclasses import asdict
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

import click

from distill_tui.cli.call import Call, UsageError
from distill_tui.cli.options import stacked
from distill_tui.dataset import readers, records
from distill_tui.dataset import window as windows
from distill_tui.rounds import play_traffic

if TYPE_CHECKING:
    from distill_tui.dataset.readers import ColumnMapping
    from distill_tui.dataset.window import Measured, TokenPrices

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
columns = stacked(
    *(
        click.option(
            f"--{name}",
            metavar="COLUMN",
            help=f"the column of the {name.replace('-', ' ')}; empty for none (default: found by its usual names)",
        )
        for name in _NAMES
    )
)


def mapping(path: Path, named: dict[str, str | None]) -> ColumnMapping:
    """Return the columns to read from a file: those named, over those found by their usual names.

    Raises UsageError, BadInput.
    """
    given = {name: column for name, column in named.items() if column is not None}
    if not given:
        return readers.guess_mapping(path)
    try:
        found: dict[str, str | None] = asdict(readers.guess_mapping(path))
    except records.BadInput:
        if not given.get("input"):
            raise
        found = {}
    used = {name: column or None for name, column in (found | given).items()}
    column = used.pop("input", None)
    if not column:
        raise UsageError("The input's column cannot be empty; name it with --input COLUMN.")
    return readers.ColumnMapping(input=column, **used)


measures = stacked(
    click.option("--days", metavar="N", type=click.IntRange(1, 366), default=90, help="the last N days of the traffic"),
    click.option("--price-in", metavar="MONEY", help="the price of a million input tokens, for calls without a cost"),
    click.option("--price-out", metavar="MONEY", help="the price of a million output tokens"),
    click.option("--price-source", metavar="TEXT", help="where the prices are published, and their date"),
)


def window(call: Call, days: int, **prices: str | None) -> tuple[Measured, dict[str, str]]:
    """Measure the traffic; return the measures and the worksheet's numbers."""
    return play_traffic.window(call.project, call.play_id, days=days, prices=_prices(**prices))


def _prices(price_in: str | None, price_out: str | None, price_source: str | None) -> TokenPrices | None:
    if not any((price_in, price_out, price_source)):
        return None
    if not (price_in and price_out and price_source):
        raise UsageError("Set the prices together: --price-in, --price-out and --price-source.")
    try:
        per_in, per_out = Decimal(price_in), Decimal(price_out)
    except InvalidOperation:
        raise UsageError("A price is a number like 0.15, for a million tokens.") from None
    if not (per_in.is_finite() and per_out.is_finite() and per_in >= 0 and per_out >= 0):
        raise UsageError("A price is a number of 0 or more, like 0.15.")
    return windows.TokenPrices(per_in, per_out, price_source)
