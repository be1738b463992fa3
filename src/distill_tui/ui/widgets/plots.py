"""Pictures of numbers for people who decide: who is how good in each segment, quality against cost, and payback.

Pure: values in, lines of at most `width` cells out. Every mark has a letter or a sign of its own, so that nothing is
lost without colour; ASCII has its own signs. An axis is labelled at both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10

from rich.cells import cell_len
from textual.content import Content

from distill_tui.review.rates import SegmentRates
from distill_tui.ui.widgets import chart, page, show
from distill_tui.ui.widgets.page import Lines

LABEL = 16  # cells of a segment's name


def segments(rates: Sequence[SegmentRates], width: int) -> Lines:
    """Draw each segment on one axis of accuracy: the student with its interval, the teacher and the baseline."""
    shown = [rate for rate in rates if rate.student is not None]
    room = width - LABEL - 3
    if len(shown) < 2 or room < 24:
        return []
    marks = [r.share for rate in shown for r in (rate.teacher, rate.baseline) if r is not None]
    ends = [end for rate in shown if rate.student is not None for end in (rate.student.lower, rate.student.upper)]
    low, high = floor(min(marks + ends) * 20) / 20, min(1.0, floor(max(marks + ends) * 20 + 1) / 20)
    lines = [_heading("ACCURACY BY SEGMENT", _legend(), width)]
    for rate in shown:
        name = show.fit(rate.scope.removeprefix("segment: "), LABEL)
        lines.append(Content.assemble(" ", name, " ", (_interval(rate, low, high, room), "$tone-run")))
    left, right = f"{low:.2f}", f"{high:.2f}"
    axis = f"{left}{right.rjust(room - len(left))}"
    lines.append(page.muted(f"{' ' * LABEL} {axis}"))
    return lines


def _heading(title: str, note: str, width: int) -> Content:
    return page.heading(title, show.clip(note, width - cell_len(title) - 3))


def _legend() -> str:
    student, left, _, line = _signs()
    return f"{left}{line}{student}{line} student and its 95% interval, T teacher, B baseline"


def _signs() -> tuple[str, str, str, str]:
    return ("o", "|", "|", "-") if show.ascii_only() else ("●", "├", "┤", "─")


def _interval(rate: SegmentRates, low: float, high: float, room: int) -> str:
    assert rate.student is not None
    student, left, right, line = _signs()

    def at(share: float) -> int:
        return round((share - low) / (high - low) * (room - 1))

    cells = [" "] * room
    first, last = at(rate.student.lower), at(rate.student.upper)
    cells[first : last + 1] = [line] * (last + 1 - first)
    cells[first], cells[last] = left, right
    for sign, mark in (("B", rate.baseline), ("T", rate.teacher), (student, rate.student)):
        if mark is not None:
            cells[at(mark.share)] = sign
    return "".join(cells).rstrip()


@dataclass(frozen=True)
class Rung:
    """One student of the ladder: what it is called, what it costs (in any one unit, above 0), how good it is."""

    name: str
    cost: float
    quality: float  # more is better
    shown: str = ""  # its score as words, where that is not its share


def ladder(rungs: Sequence[Rung], unit: str, width: int, height: int) -> Lines:
    """Draw students as letters, the dearer to the right on a logarithmic axis, the better higher; name them below."""
    rungs = [rung for rung in rungs if rung.cost > 0][:26]
    if len(rungs) < 2 or width < 40 or height < 4:
        return []
    costs, qualities = [rung.cost for rung in rungs], [rung.quality for rung in rungs]
    labels = [f"{max(qualities):.3f}", f"{min(qualities):.3f}"]
    room = width - len(labels[0]) - 4
    cells = [[" "] * room for _ in range(height)]
    for letter, rung in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rungs, strict=False):
        across = _place(log10(rung.cost), log10(min(costs)), log10(max(costs)), room)
        down = height - 1 - _place(rung.quality, min(qualities), max(qualities), height)
        free = next((x for x in range(across, room) if cells[down][x] == " "), across)  # next to one that is as good
        cells[down][free] = letter
    bar, corner, rule = ("|", "+", "-") if show.ascii_only() else ("│", "└", "─")
    margin = len(labels[0])
    lines = [_heading("QUALITY AGAINST COST", f"validation score up, {unit} to the right (logarithmic)", width)]
    for number, row in enumerate(cells):
        label = {0: labels[0], height - 1: labels[1]}.get(number, "")
        lines.append(Content.assemble(f" {label:>{margin}} {bar}", ("".join(row).rstrip(), "bold $tone-run")))
    ends = f"{min(costs):,.3g}", f"{max(costs):,.3g} {unit}"
    lines.append(page.muted(f"{' ' * margin} {corner}{rule * room}"))
    lines.append(page.muted(f"{' ' * margin}  {ends[0]}{ends[1].rjust(room - cell_len(ends[0]))}"))
    for letter, rung in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rungs, strict=False):
        text = f"{letter}  {rung.shown or show.percent(rung.quality):>6}  {rung.cost:>8,.3g} {unit}  {rung.name}"
        lines.append(Content(f" {show.clip(text, width - 1)}"))
    return lines


def _place(value: float, low: float, high: float, cells: int) -> int:
    return (cells - 1) // 2 if high <= low else round((value - low) / (high - low) * (cells - 1))


def payback(build: float, saves: float, currency: str, width: int, height: int) -> Lines:
    """Draw what a student has earned month by month: it begins at minus its build cost, and pays back at 0."""
    if saves <= 0 or build <= 0 or width < 30 or height < 5:
        return []
    after = build / saves
    months = max(3.0, min(60.0, 2 * after))
    points = [(months * step / 60, saves * months * step / 60 - build) for step in range(61)]
    when = f"0 is reached after {after:.1f} months" if after <= months else f"not within {months:.0f} months"
    drawn = chart.curve(points, width - 2, height, level=0.0, unit=" months")
    heading = _heading("EARNED SO FAR", f"{currency}, {when}", width)
    return [heading, *(Content.assemble((f" {line}", "$tone-run")) for line in drawn)]
