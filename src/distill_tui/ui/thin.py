"""Fewer bytes for a slow line: of each frame only the cells that differ from what the terminal shows already.

Textual paints whole widgets, each run of cells with its style in full. A line of 9,600 bit/s carries 960 bytes a
second, and a screen painted like that takes a minute on it. Whatever is not understood here is passed on as it is, and
what it may have changed counts as unknown from then on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rich.cells import cell_len

FRAME = re.compile(r"\x1b\[\d+;\d+H(?:\x1b\[[\d;]*[Hm]|[^\x00-\x09\x0b-\x1f\x7f-\x9f]++)*+")
TOKEN = re.compile(r"\x1b\[([\d;]*)([Hm])|(\n)|([^\x1b\n]+)")
ASIDE = re.compile(r"\x1b\]52;[^\x07]*\x07|\x07|\x1b\[6n")  # leaves what is shown as it is
DRAWN = frozenset({"4", "7", "9", "21", "53"})  # what is seen on a blank: underline, reverse, strike, overline
NOWHERE, LOST = -1, -2  # where the pen is before it wrote, and after characters of a width that is not certain
BRIDGE = 4  # so many cells that are right already cost no more than a move over them


@dataclass(frozen=True)
class Style:
    """How a cell looks: the codes of its attributes, its colour and its ground."""

    flags: tuple[str, ...] = ()
    colour: str = ""
    ground: str = ""


PLAIN = Style()
Cell = tuple[str, Style]


class Shown:
    """What a terminal shows, row by row, as far as it is known."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, Cell]] = {}
        self._cursor: tuple[int, int] | None = None

    def forget(self) -> None:
        """Know nothing any more: the terminal was resized, cleared, or written to by others."""
        self._rows.clear()
        self._cursor = None

    def thin(self, data: str) -> str:
        """Give what has to be written for the terminal to show what `data` would make it show."""
        if not FRAME.fullmatch(data):
            if not ASIDE.fullmatch(data):
                self.forget()
            return data
        pen = Pen()
        for row, column, cells in spans(data):
            if not cells:
                pen.rest(row, column, moved=(row, column) != self._cursor)
                self._cursor = row, column
            elif all(cell_len(text) == 1 for text, _ in cells):
                self._differences(pen, row, column, cells)
            else:
                self._whole(pen, row, column, cells)
        return pen.written()

    def _differences(self, pen: Pen, row: int, column: int, cells: list[Cell]) -> None:
        known = self._rows.setdefault(row, {})
        for at, cell in enumerate(cells, column):
            if known.get(at) != cell:
                if pen.row == row and pen.column < at <= pen.column + BRIDGE:
                    for between in range(max(pen.column, column), at):
                        pen.put(*cells[between - column])
                pen.move(row, at)
                pen.put(*cell)
                known[at] = cell

    def _whole(self, pen: Pen, row: int, column: int, cells: list[Cell]) -> None:
        """Write all of a span that holds wide or joined characters: terminals disagree on how wide they are."""
        pen.move(row, column)
        for cell in cells:
            pen.put(*cell)
        known = self._rows.setdefault(row, {})
        for at in range(column - 1, pen.column + 1):
            known.pop(at, None)
        pen.lose()


class Pen:
    """Writes cells with as few codes as they need; it begins and ends without a style."""

    def __init__(self) -> None:
        self.row = self.column = NOWHERE
        self._style, self._out = PLAIN, [""]

    def move(self, row: int, column: int) -> None:
        """Go to a cell."""
        if (row, column) == (self.row, self.column):
            return
        ahead = column - self.column
        self._out.append(f"\x1b[{ahead}C" if row == self.row and ahead > 0 else f"\x1b[{row + 1};{column + 1}H")
        self.row, self.column = row, column

    def lose(self) -> None:
        """Say that it is not certain where the terminal's cursor is."""
        self.row, self.column = LOST, LOST

    def rest(self, row: int, column: int, *, moved: bool) -> None:
        """Leave the cursor where it belongs; nothing is written where it is there already."""
        if moved or self.row != NOWHERE:
            self.move(row, column)

    def put(self, text: str, style: Style) -> None:
        """Write one cell where the pen is."""
        if text == " " and not DRAWN.intersection((*self._style.flags, *style.flags)):
            style = Style(self._style.flags, self._style.colour, style.ground)  # more is not seen of a blank
        self._out.append(_change(self._style, style) + text)
        self._style = style
        self.column += cell_len(text)

    def written(self) -> str:
        """Give all that was written."""
        return "".join([*self._out, "" if self._style == PLAIN else "\x1b[0m"])


@lru_cache(4096)
def _change(old: Style, new: Style) -> str:
    if old.flags and old.flags != new.flags:
        codes = ["0", *new.flags, *filter(None, (new.colour, new.ground))]
    else:
        codes = list(new.flags) if old.flags != new.flags else []
        codes += [new.colour or "39"] if old.colour != new.colour else []
        codes += [new.ground or "49"] if old.ground != new.ground else []
    return f"\x1b[{';'.join(codes)}m" if codes else ""


def spans(data: str) -> Iterator[tuple[int, int, list[Cell]]]:
    """Take a frame apart: row, column, and the cells from there on; without cells, it is where the cursor is left."""
    row = column = 0
    style, cells = PLAIN, []
    for codes, kind, line_end, text in TOKEN.findall(data):
        if kind == "m":
            style = read(codes)
        elif text:
            cells += [(each, _on_blank(style) if each == " " else style) for each in _joined(text)]
        else:
            if cells:
                yield row, column, cells
                cells = []
            if line_end:
                row, column = row + 1, 0
            else:
                row, column = (int(each or 1) - 1 for each in codes.split(";"))
    yield row, column, cells


def _joined(text: str) -> Iterator[str]:
    """Keep marks that take no room with the character that they belong to."""
    if text.isascii():
        yield from text
        return
    held = ""
    for each in text:
        if held and cell_len(each):
            yield held
            held = ""
        held += each
    if held:
        yield held


@lru_cache(1024)
def _on_blank(style: Style) -> Style:
    """Leave out what is not seen on a blank."""
    return style if DRAWN.intersection(style.flags) else Style((), "", style.ground)


@lru_cache(1024)
def read(codes: str) -> Style:
    """Read the codes of a style that is told in full, as Textual does."""
    flags: list[str] = []
    colour = ground = ""
    parts = iter(codes.split(";"))
    for part in parts:
        if part in ("38", "48"):
            mode = next(parts, "")
            named = ";".join([part, mode, *(next(parts, "") for _ in range(3 if mode == "2" else 1))])
            colour, ground = (named, ground) if part == "38" else (colour, named)
        elif part in ("", "0"):
            flags, colour, ground = [], "", ""
        elif part.isdigit() and (30 <= int(part) < 40 or 90 <= int(part) < 98):
            colour = "" if part == "39" else part
        elif part.isdigit() and (40 <= int(part) < 50 or 100 <= int(part) < 108):
            ground = "" if part == "49" else part
        else:
            flags.append(part)
    return Style(tuple(flags), colour, ground)
