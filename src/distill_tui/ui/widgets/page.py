"""Layout of a page of text: headings, wrapped sentences, tables that drop columns, two columns. Pure.

Lines are `Content` of at most a given width, so nothing wraps by itself and two pages fit side by side. Text from
outside is made visible before it is measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from textual.content import Content

from distill_tui.ui.widgets import show

Lines = list[Content]
GAP = 3  # cells between two pages side by side
WIDE = 100  # cells from which two pages stand side by side


def heading(title: str, note: str = "") -> Content:
    return Content.assemble(" ", (title, "bold $accent"), ("  " + show.visible(note) if note else "", "$tone-muted"))


def muted(text: str) -> Content:
    return Content.assemble((f" {show.visible(text)}", "$tone-muted"))


def folded(text: str, width: int) -> list[str]:
    """Break text into lines of at most so many cells, at spaces where there are any; blanks within a line stay.

    A number and its unit % stay together.
    """
    lines, line = [], ""
    for number, word in enumerate(re.split(" (?!%)", show.visible(" ".join(text.splitlines())))):
        for part, piece in enumerate(chop_cells(word, max(2, width)) or [""]):
            joined = f"{line}{' ' if number and not part else ''}{piece}"
            if cell_len(joined) <= width:
                line = joined
            else:
                lines.append(line.rstrip())
                line = piece
    return [*lines, line.rstrip()]


def sentence(text: str, width: int, *, word: str = "", label: str = "", style: str = "") -> Lines:
    """Wrap a sentence behind a state's mark or a label, with a hanging indent."""
    sign = f"{show.mark(word)} " if word else label
    indent = 1 + cell_len(sign)
    first, *rest = folded(text, max(8, width - indent))
    tone = f"$tone-{show.tone(word)}" if word else "$tone-muted"
    head = Content.assemble(" ", (sign, tone), (first, style))
    return [head, *(Content.assemble(" " * indent, (line, style)) for line in rest)]


def fact(label: str, value: str, width: int, size: int = 11) -> Lines:
    return sentence(value, width, label=show.fit(label, size))


def progress(done: int, total: int, width: int) -> str:
    full, rest = ("#", ".") if show.ascii_only() else ("█", "░")
    filled = 0 if total <= 0 else min(width, round(width * done / total))
    return full * filled + rest * (width - filled)


@dataclass(frozen=True)
class Column:
    """A column of a table: `width` 0 takes what is left; the column with the highest `drop` goes first."""

    title: str
    width: int
    drop: int = 0
    right: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str | tuple[str, str]]], width: int) -> Lines:
    """Lay out a table. A cell is text, or text with a style. Columns that do not fit are dropped, not wrapped."""
    kept = _kept(columns, width)
    spare = width - 1 - sum(columns[i].width + 2 for i in kept)
    sizes = {i: columns[i].width or max(6, cell_len(columns[i].title), spare) for i in kept}
    lines = [_row([(columns[i].title, "$tone-muted") for i in kept], [columns[i] for i in kept], sizes, kept)]
    for row in rows:
        lines.append(_row([row[i] for i in kept], [columns[i] for i in kept], sizes, kept))
    return lines


_LEAST = 12  # cells of a column that takes what is left


def _kept(columns: Sequence[Column], width: int) -> list[int]:
    kept = list(range(len(columns)))
    while len(kept) > 1 and 1 + sum((columns[i].width or _LEAST) + 2 for i in kept) > width:
        last = max(kept, key=lambda i: (columns[i].drop, i))
        if not columns[last].drop:
            break
        kept.remove(last)
    return kept


def _row(
    cells: Sequence[str | tuple[str, str]], columns: Sequence[Column], sizes: dict[int, int], kept: Sequence[int]
) -> Content:
    parts: list[str | tuple[str, str]] = [" "]
    for cell, column, index in zip(cells, columns, kept, strict=True):
        text, style = cell if isinstance(cell, tuple) else (cell, "")
        text = show.clip(text, sizes[index])
        blank = " " * (sizes[index] - cell_len(text))
        parts += [blank, (text, style)] if column.right else [(text, style), blank]
        parts.append("  ")
    return Content.assemble(*parts)


def side_by_side(left: Lines, right: Lines, width: int, left_width: int) -> Lines:
    bar = Content.assemble((f" {show.glyph('bar')} ", "$tone-muted"))
    room = width - left_width - GAP
    lines = []
    for number in range(max(len(left), len(right))):
        first = left[number] if number < len(left) else Content("")
        second = right[number] if number < len(right) else Content("")
        lines.append(Content.assemble(first.truncate(left_width, pad=True), bar, second.truncate(room)))
    return lines


def stacked(*parts: Lines) -> Lines:
    """Join parts with a blank line between them; skip empty parts."""
    lines: Lines = []
    for part in parts:
        if part:
            lines += [*([Content("")] if lines else []), *part]
    return lines


def fitted(lines: Lines, width: int) -> Lines:
    """Cut what is wider between two words, like a heading with a long note; a word that is wider alone is cut."""
    return [line if line.cell_length <= width else _cut(line, width) for line in lines]


def _cut(line: Content, width: int) -> Content:
    dots = show.glyph("dots")
    kept = line.truncate(max(1, width - len(dots)))
    at = kept.plain.rstrip().rfind(" ")
    whole = line.plain[len(kept.plain) : len(kept.plain) + 1] in ("", " ")
    kept = kept if whole or at < width // 2 else kept[:at]
    return Content.assemble(kept.rstrip(), (dots, "$tone-muted"))


def page(lines: Lines) -> Content:
    return Content("\n").join(lines)


def short(digest: str | None, size: int = 12) -> str:
    """Shorten a digest; the command line prints all of it."""
    return (digest or show.glyph("dash")).removeprefix("sha256:")[:size]


def when(at: str | None) -> str:
    """Format a stored time to the minute, UTC."""
    return at[:16].replace("T", " ") if at else show.glyph("dash")
