"""Plain-text reports of the data stage: values in, lines of text out. Nothing is read, decided or printed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from distill_tui.report import table
from distill_tui.text import visible

if TYPE_CHECKING:
    from distill_tui.dataset.readers import Preview

MOST = 48  # characters of a text that is shown beside others


def clipped(value: object, most: int = MOST) -> str:
    """Cut a value to what one recognises it by, on one line."""
    text = " ".join(str(value).split())
    return text if len(text) <= most else text[: most - 1] + "…"


def import_preview(look: Preview, columns: Mapping[str, str], *, plain: bool = False) -> Iterator[str]:
    """Tell which column is read as what, with sample rows, and what could not be read."""
    shown = look.rows[:3]
    used = [
        (name.replace("_", " "), column, *(clipped(row.get(name, "–"), 30) for row in shown))
        for name, column in columns.items()
    ]
    yield from table(("READ AS", "COLUMN", *(f"SAMPLE {n + 1}" for n in range(len(shown)))), used, plain=plain)
    left = [column for column in look.columns if column not in columns.values()]
    if left:
        yield visible(f"Not read: {', '.join(left[:20])}{' …' if len(left) > 20 else ''}.")
    for reject in look.rejects[:5]:
        yield visible(f"! line {reject.line}: {reject.reason}")
