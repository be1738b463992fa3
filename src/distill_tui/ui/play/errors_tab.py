"""A review as lines of a terminal: its sections, each a heading with sentences and a table. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from rich.cells import cell_len

from distill_tui.review.sections import Line, Section
from distill_tui.ui.widgets import page
from distill_tui.ui.widgets.page import Column, Lines

BAR = 20  # cells of a full bar
MOST = 24  # cells of the first column of a table


def section(found: Section, width: int, *, every: bool = True) -> Lines:
    """Draw a section; of a long table the first rows, unless `every` is wanted."""
    if not found.lines and not found.rows:
        return []
    return [page.heading(found.title.upper(), found.note), *sentences(found.lines, width), *_table(found, width, every)]


def sentences(lines: Iterable[Line], width: int) -> Lines:
    drawn: Lines = []
    for line in lines:
        drawn += page.sentence(line.text, width, word=line.word, style="$tone-muted" if line.muted else "")
    return drawn


def _table(found: Section, width: int, every: bool) -> Lines:
    if not found.rows:
        return []
    columns = []
    for place, column in enumerate(found.columns):
        longest = max(cell_len(row[place]) for row in found.rows)
        wide = max(min(longest, MOST), cell_len(column.title))
        columns.append(Column(column.title.upper(), wide, column.drop, right=place > 0))
    rows: list[tuple[str, ...]] = list(found.shown(every=every))
    left = len(found.rows) - len(rows)
    if found.bars:
        columns.append(Column("", BAR, max(column.drop for column in found.columns) + 1))
        bars = (page.progress(round(bar * 100), 100, BAR) for bar in found.bars)
        rows = [(*row, bar) for row, bar in zip(rows, bars, strict=False)]
    more = [page.muted(f"and {left:,} more; z shows all")] if left else []
    if every and found.at_first and len(found.rows) > found.at_first:
        more = [page.muted("z shows the first again")]
    return [*page.table(columns, rows, width), *more]
