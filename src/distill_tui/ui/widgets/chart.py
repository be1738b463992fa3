"""A curve on a terminal: braille dots, or stars where the terminal has ASCII only. Pure; no axis is ever invented."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from math import isfinite

from distill_tui.ui.widgets import show

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column
Point = tuple[float, float]


def smoothed(points: Sequence[Point], over: int) -> list[Point]:
    """Return the running mean over at most `over` points: a loss jumps from batch to batch."""
    found, total = [], 0.0
    for number, (x, y) in enumerate(points):
        total += y - (points[number - over][1] if number >= over else 0.0)
        found.append((x, total / min(number + 1, over)))
    return found


def curve(
    points: Sequence[Point],
    width: int,
    height: int,
    *,
    until: float | None = None,
    level: float | None = None,
    unit: str = "",
) -> list[str]:
    """Draw points as a line with axes, in exactly `height` lines of at most `width` cells.

    Values that are not finite are skipped. `until` is the end of the horizontal axis of an unfinished curve, `level` a
    dotted line, `unit` the unit of the horizontal axis.
    """
    points = [(x, y) for x, y in points if isfinite(x) and isfinite(y)]
    if not points or width < 16 or height < 3:
        return [show.fit(" no points yet", width)] + [""] * (height - 1)
    low, high = min(y for _, y in points), max(y for _, y in points)
    first, last = points[0][0], max(points[-1][0], until or 0)
    rows = height - 2
    labels = {0: _short(high), rows - 1: _short(low)}
    at_level = (
        None if level is None or not low <= level <= high else round((1 - _share(level, (low, high))) * (rows - 1))
    )
    if level is not None and at_level is not None:
        labels.setdefault(at_level, _short(level))
    margin = max(map(len, labels.values())) + 1
    grid = _Grid(width - margin - 1, rows)
    grid.draw(points, (first, last), (low, high))
    drawn = list(grid.lines())
    if at_level is not None:
        drawn[at_level] = drawn[at_level].replace(" ", "." if show.ascii_only() else "┄")
    return _framed(drawn, labels, margin, f"{first:,.0f}", f"{last:,.0f}{unit}")


def _framed(
    drawn: Sequence[str], labels: Mapping[int, str], margin: int, left: str, right: str, below: str = ""
) -> list[str]:
    """Put axes around rows: labels at the left, `below` and the ends of the horizontal axis under it."""
    tick, bar, corner, rule = ("+", "|", "+", "-") if show.ascii_only() else ("┤", "│", "└", "─")
    columns, indent = len(drawn[0]), " " * (margin + 1)
    return [
        *(f"{labels.get(n, ''):>{margin}}{tick if n in labels else bar}{row}" for n, row in enumerate(drawn)),
        " " * margin + corner + rule * columns,
        *([indent + below] if below else []),
        indent + left + right.rjust(max(0, columns - len(left))),
    ]


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def levelled(
    series: Sequence[Sequence[Point]],
    width: int,
    height: int,
    *,
    levels: Sequence[tuple[float, float, float]] = (),
    marks: Sequence[tuple[float, str]] = (),
) -> list[str]:
    """Draw lines by day (ordinals of a date) from 0 up, and marks of one cell below.

    Each of `levels`, (from day, to day, value), is a dotted line; the value of the last stands on the axis.
    """
    points = [point for each in series for point in each]
    if not points or width < 16 or height < 4:
        return [show.fit(" no points yet", width)] + [""] * (height - 1)
    last = max(x for x, _ in points)
    span = min([x for x, _ in points] + [day for day, _ in marks if day <= last]), last
    levels = [each for each in levels if each[1] >= span[0]]
    high = 1.1 * max(max(y for _, y in points), *(value for *_, value in levels), 0) or 1.0
    labels = {0: f"{high:.3g}"}
    margin = max(len(labels[0]), 4) + 1
    rows, columns = height - 3, width - margin - 1
    grid = _Grid(columns, rows)
    for first, last, level in levels:
        grid.dash(level, (0.0, high), (_share(max(first, span[0]), span), _share(min(last, span[1]), span)))
    if levels:
        labels[round((1 - levels[-1][2] / high) * (rows - 1))] = f"{levels[-1][2]:.3g}"
    labels[rows - 1] = "0"
    for each in series:
        grid.draw(each, span, (0.0, high))
    below = [" "] * columns
    for day, sign in marks:
        below[round(min(1.0, _share(day, span)) * (columns - 1))] = sign  # what came after the last point: at the end
    left, right = (date.fromordinal(int(day)).isoformat() for day in span)
    return _framed(list(grid.lines()), labels, margin, left, right, "".join(below))


class _Grid:
    """Dots, two by four to a cell of braille, or one to a cell of ASCII."""

    def __init__(self, columns: int, rows: int) -> None:
        self.plain = show.ascii_only()
        self.columns, self.rows = columns, rows
        self.wide, self.high = (columns, rows) if self.plain else (columns * 2, rows * 4)
        self.cells = [[0] * columns for _ in range(rows)]

    def draw(self, points: Sequence[Point], xs: Point, ys: Point) -> None:
        before = None
        for x, y in points:
            across = round(_share(x, xs) * (self.wide - 1))
            down = round((1 - _share(y, ys)) * (self.high - 1))
            for dot in _line(before or (across, down), (across, down)):
                self._dot(*dot)
            before = (across, down)

    def dash(self, value: float, ys: Point, part: Point) -> None:
        """Draw a broken line across a part of the width, from a share of it to a share of it."""
        down = round((1 - _share(value, ys)) * (self.high - 1))
        first, last = (round(share * (self.wide - 1)) for share in part)
        for across in range(first, last + 1, 3):
            self._dot(across, down)

    def _dot(self, across: int, down: int) -> None:
        if self.plain:
            self.cells[down][across] = 1
        else:
            self.cells[down // 4][across // 2] |= _DOTS[down % 4][across % 2]

    def lines(self) -> Iterator[str]:
        for row in self.cells:
            yield "".join((" *"[bool(cell)] if self.plain else chr(0x2800 + cell) if cell else " ") for cell in row)


def _share(value: float, span: Point) -> float:
    low, high = span
    return 0.5 if high <= low else (value - low) / (high - low)


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    (x0, y0), (x1, y1) = start, end
    steps = max(abs(x1 - x0), abs(y1 - y0))
    if not steps:
        yield end
    for step in range(steps + 1 if steps else 0):
        yield round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)
