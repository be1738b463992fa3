"""A play's gateway on the tab Live: how it stands, routes by threshold, where the student is unsure. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui.gates.wording import money
from distill_tui.monitor import routes
from distill_tui.rules.gate import worksheet_numbers
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.page import Column, Lines

if TYPE_CHECKING:
    from distill_tui.monitor.routes import RoutePoint


def served(view: View, width: int) -> Lines:
    """Return how the play's gateway stands, where one serves or served it."""
    now, mode = view.gateway, view.dossier.serving
    if mode is None:
        return []
    lines: Lines = [page.heading("GATEWAY", f"{mode.words} since {page.when(mode.at)} by {mode.person}; V sets it")]
    if mode.fell_back or (now is not None and now.wrong):
        for wrong in dict.fromkeys([*([mode.reason] if mode.fell_back else []), *(now.wrong if now else ())]):
            lines += page.sentence(wrong, width, word="drift")
    if now is None:
        start = f"distill-tui serve {view.play.code}"
        return [*lines, *page.sentence(f"No gateway has served it yet: {start}.", width, word="waiting")]
    if not now.running:
        lines += page.sentence("The gateway is not running; these are its last figures.", width, word="look")
    whole = sum(count for _, count in now.routes) or 1
    shares = ", ".join(f"{name} {show.percent(count / whole)}" for name, count in now.routes)
    lines += page.fact("requests", f"{now.per_minute:,} per minute, p95 {_ms(now.p95_ms)}", width)
    lines += page.fact("answered", f"by {shares}" if shares else show.glyph("dash"), width)
    currency = view.dossier.project.currency
    if now.saved is None or now.cost_today is None:
        lines += page.fact("cost", "not known: the worksheet has no teacher_cost_per_1k", width)
    else:
        lines += page.fact("teacher", f"{money(now.cost_today, currency)} today", width)
        lines += page.fact("saved", f"{money(now.saved, currency)} since {page.when(now.since)}", width)
    if now.unlogged:
        lines += page.sentence(f"{now.unlogged:,} requests could not be recorded.", width, word="look")
    return lines


def _ms(value: float | None) -> str:
    return show.glyph("dash") if value is None else f"{value:,.1f} ms"


def by_threshold(view: View, width: int) -> Lines:
    """Return what each threshold would do; the one in force is marked."""
    counted = view.gateway.routing if view.gateway is not None else None
    if counted is None or not sum(counted.computed):
        return []
    columns = (
        Column("SURE AT LEAST", 13),
        Column("STUDENT", 7, right=True),
        Column("AGREES (95% CI)", 17, 1, right=True),
        Column("TOGETHER", 8, right=True),
        Column("COST/1k", 7, 2, right=True),
    )
    price = worksheet_numbers(view.dossier).get("teacher_cost_per_1k")
    rows = [_row(each) for each in routes.points(counted, price)]
    asked, pairs = f"{sum(counted.computed):,} requests", f"{sum(counted.pairs):,} pairs no routing chose"
    lines = [page.heading("ROUTES BY THRESHOLD", f"{asked}, {pairs}"), *page.table(columns, rows, width)]
    if counted.threshold and not any(counted.pairs[: counted.edges.index(counted.threshold)]):
        text = "Below the threshold in force no agreement is known: what went back is not a fair sample."
        lines += page.sentence(text, width, label="  ", style="$tone-muted")
    return lines


def _row(point: RoutePoint) -> tuple[str | tuple[str, str], ...]:
    dash = show.glyph("dash")
    agrees = dash
    if point.agrees is not None:
        lower, upper = (show.percent(each).removesuffix("%") for each in (point.lower, point.upper))
        agrees = f"{show.percent(point.agrees)} ({lower}–{upper.replace('100.0', '100')})"  # as wide as its column
    name = f"{point.threshold:.2f}{' in force' if point.served else ''}" if point.threshold else "all"
    if point.served and not point.threshold:
        name = "all, in force"
    return (
        (name, "bold" if point.served else ""),
        show.percent(point.by_student),
        agrees,
        show.percent(point.together),
        dash if point.cost_per_1k is None else f"{point.cost_per_1k:,.2f}",
    )


def unsure(view: View, width: int) -> Lines:
    """Return the segments and answers of which the student is unsure most often."""
    counted = view.gateway.routing if view.gateway is not None else None
    found = routes.unsure(counted) if counted is not None else []
    if counted is None or not found:
        return []
    columns = (
        Column("SEGMENT", 14, 1),
        Column("STUDENT SAYS", 0),
        Column("REQUESTS", 8, right=True),
        Column("UNSURE", 7, right=True),
    )
    rows = [
        (each.segment or "all", each.answer or "(any)", f"{each.requests:,}", show.percent(each.unsure / each.requests))
        for each in found
    ]
    note = f"confidence below {counted.line:.2f}, the most requests first"
    return [page.heading("WHERE THE STUDENT IS UNSURE", note), *page.table(columns, rows, width)]


def disagreements(view: View, width: int) -> Lines:
    """Return the open rows of the audit channel on which a sure student and the teacher differ."""
    counted = view.gateway.routing if view.gateway is not None else None
    if counted is None or not counted.worst:
        return []
    lines = [page.heading("WORST DISAGREEMENTS AT THE GATEWAY", "the other half of the rows stays sealed")]
    for each in reversed(counted.worst):
        arrow, where = show.glyph("arrow"), f"{each.segment}, " if each.segment else ""
        head = f"{where}{each.day}: student {each.answer} ({show.percent(each.sure, 0)}) {arrow} teacher {each.teacher}"
        lines += page.sentence(head, width, word="misses")
        lines += page.sentence(f"“{each.text}”", width, label="  ", style="$tone-muted")
    return lines
