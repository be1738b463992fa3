"""Plots as inline SVG for the report page: no script, no style of their own, text that can be selected. Pure."""

from __future__ import annotations

import html
from collections.abc import Sequence

from distill_tui.gates.gate import SEGMENT
from distill_tui.gates.wording import percent
from distill_tui.review.deferral import Point
from distill_tui.review.rates import Rate, SegmentRates
from distill_tui.text import visible

WIDTH, LEFT, RIGHT, ROW = 720, 170, 60, 34
STUDENT, TEACHER, AXIS = "#0b6e4f", "#7a5195", "#5b6675"
MOST = 20  # segments that are drawn


def segments(found: Sequence[SegmentRates]) -> str:
    """Draw the accuracy of student and teacher in each segment with its 95% interval; empty without any."""
    rows = [each for each in found if each.student is not None][:MOST]
    lows = [rate.lower for each in rows for rate in (each.student, each.teacher) if rate is not None]
    if not lows:
        return ""
    low, height = min(0.9, max(0.0, min(lows) - 0.02)), 40 + ROW * len(rows)
    parts = [*_axis(low, height), _word(LEFT, 14, "● student", STUDENT), _word(LEFT + 90, 14, "● teacher", TEACHER)]
    for number, each in enumerate(rows):
        y = 36 + ROW * number
        name = each.scope.removeprefix(SEGMENT)
        parts.append(_word(LEFT - 10, y + 4, f"{name[:20]} ({each.n:,})", "currentColor", "end"))
        for rate, colour, off in ((each.student, STUDENT, -4), (each.teacher, TEACHER, 6)):
            parts += _interval(rate, low, y + off, colour) if rate is not None else []
    return _drawing(height, "Accuracy by segment, with 95% intervals", parts)


def routing(points: Sequence[Point]) -> str:
    """Draw the accuracy of student and teacher together by the share sent back; empty without two points."""
    if len(points) < 2:
        return ""
    low, height = max(0.0, min(each.lower for each in points) - 0.01), 220

    def at(share: float, accuracy: float) -> tuple[float, float]:
        return LEFT + share * (WIDTH - LEFT - RIGHT), 20 + (1 - accuracy) / max(1e-9, 1 - low) * (height - 60)

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(each.deferred, each.accuracy) for each in points))
    band = [at(each.deferred, each.upper) for each in points] + [at(p.deferred, p.lower) for p in reversed(points)]
    parts = [
        f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in band)}" fill="{STUDENT}" fill-opacity="0.15"/>',
        f'<polyline points="{line}" fill="none" stroke="{STUDENT}" stroke-width="2"/>',
        *(_dot(*at(each.deferred, each.accuracy), STUDENT) for each in points),
        *(
            _word(at(share, low)[0], height - 18, percent(share, 0), AXIS, "middle")
            for share in (0, 0.25, 0.5, 0.75, 1)
        ),
        *(
            _word(LEFT - 10, at(0, accuracy)[1] + 4, percent(accuracy), AXIS, "end")
            for accuracy in (low, (1 + low) / 2, 1)
        ),
        _word(LEFT, height - 2, "of the requests go back to the teacher, the least sure first", AXIS),
    ]
    return _drawing(height, "Accuracy by the share sent back to the teacher", parts)


def _place(share: float, low: float) -> float:
    return LEFT + (share - low) / max(1e-9, 1 - low) * (WIDTH - LEFT - RIGHT)


def _interval(rate: Rate, low: float, y: float, colour: str) -> list[str]:
    left, right = _place(rate.lower, low), _place(rate.upper, low)
    return [
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>',
        _dot(_place(rate.share, low), y, colour),
    ]


def _axis(low: float, height: float) -> list[str]:
    parts = []
    for share in (low, (1 + low) / 2, 1.0):
        x = _place(share, low)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="22" y2="{height - 14}" stroke="{AXIS}" stroke-opacity="0.3"/>'
        )
        parts.append(_word(x, height - 2, percent(share, 0), AXIS, "middle"))
    return parts


def _dot(x: float, y: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'


def _word(x: float, y: float, text: str, colour: str, anchor: str = "start") -> str:
    said = html.escape(visible(text))
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="12">{said}</text>'


def _drawing(height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}" width="100%">'
        f"<title>{html.escape(title)}</title>{''.join(parts)}</svg>"
    )
