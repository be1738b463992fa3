"""The tab of a live student: how it stands, what diverges and where, its life as a curve, its bundles. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from textual.content import Content

from distill_tui.gates.wording import money
from distill_tui.monitor import plan
from distill_tui.review import headline
from distill_tui.rules.next_step import answer_to_alarm
from distill_tui.terms import Action, PlayKind, Remedy, Role, RunKind, Standing
from distill_tui.ui.play import gateway
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import chart, page, show
from distill_tui.ui.widgets.page import WIDE, Column, Lines

if TYPE_CHECKING:
    from distill_tui.monitor.history import LiveView
    from distill_tui.rules import entities

WINDOWS = (0, 7, 30, 90)  # days; 0: since the watch began
BY_DAY = 30  # days in a window up to which the curve is drawn by day
MONTH = Decimal("30.4")  # days


def live(view: View, width: int) -> Lines:
    if view.partial:
        return page.sentence("What was observed is being read.", width, word="waiting")
    seen = view.life
    if seen is None:
        nothing = page.sentence("Nothing has shipped. H ships, on tab 6 Decide.", width, word="waiting")
        return page.stacked(nothing, *_gateway(view, width), maintenance(view, width))
    if width < WIDE:
        return page.stacked(
            standing(view, seen, width),
            *_gateway(view, width),
            segments(view, seen, width),
            curve(view, seen, width, 9),
            worst(seen, width),
            worth(view, seen, width),
            maintenance(view, width),
            bundles(view, width),
            noticing(view, seen, width),
        )
    left = width * 6 // 11
    right = width - left - page.GAP
    return page.side_by_side(
        page.stacked(
            standing(view, seen, left),
            *_gateway(view, left),
            segments(view, seen, left),
            worst(seen, left),
            noticing(view, seen, left),
        ),
        page.stacked(
            curve(view, seen, right, 11), worth(view, seen, right), maintenance(view, right), bundles(view, right)
        ),
        width,
        left,
    )


def _gateway(view: View, width: int) -> tuple[Lines, ...]:
    parts = (gateway.served, gateway.by_threshold, gateway.unsure, gateway.disagreements)
    return tuple(part(view, width) for part in parts)


def standing(view: View, seen: LiveView, width: int) -> Lines:
    dossier, bundle = view.dossier, view.dossier.live
    assert bundle is not None
    word, state = {
        Standing.UNLABELLED: ("look", "UNLABELLED"),
        Standing.STEADY: ("live", "STEADY"),
        Standing.LOOK: ("look", "LOOK"),
        Standing.ALARM: ("drift", "DRIFT"),
    }[dossier.standing]
    rate = f", {show.percent(seen.rate)} disagree" if seen.rate is not None else ""
    text = f"{state}: bundle {bundle.id}, {seen.labelled:,} labelled of {seen.rows:,} observed rows{rate}"
    lines = page.sentence(text, width, word=word, style="bold")
    note = plan.alone(dossier.gate)
    if note:
        lines += page.sentence(note, width, word="information")
    for finding in seen.findings:
        lines += page.sentence(finding.sentence, width, word="drift" if finding.red else "look")
    for sentence in seen.drift.sentences if seen.drift else ():
        lines += page.sentence(sentence, width, label="  ", style="$tone-muted")
    if seen.people_line:
        lines += page.sentence(seen.people_line, width, label="  ", style="$tone-muted")
    if dossier.interim_line:
        lines += page.sentence(dossier.interim_line, width, word="look")
    if dossier.suspended is not None:
        who = (
            f"suspended by {dossier.suspended.person_id}: “{dossier.suspended.reason}”. `resume` switches it on again."
        )
        lines += page.sentence(who, width, word="look")
    if dossier.standing is Standing.ALARM:
        lines += page.sentence(answer_to_alarm(dossier)[1], width, label="  ")
    if dossier.standing in (Standing.LOOK, Standing.ALARM):
        keys = "W acknowledges, S suspends, N opens a refresh, O rolls back."
        lines += page.sentence(keys, width, label="  ")
    if dossier.refreshing:
        text = (
            f"A refresh is under way (round {view.play.round}, {view.play.stage.value}); bundle {bundle.id} stays live."
        )
        lines += page.sentence(text, width, word="running")
    elif dossier.refresh_due:
        word = "look" if dossier.overdue else "todo"
        since = "due since" if dossier.overdue else "due on"
        lines += page.sentence(f"refresh {since} {dossier.refresh_due}", width, word=word)
    run = next((r for r in reversed(dossier.runs) if r.kind is RunKind.OBSERVE), None)
    if run is not None and run.status.active:
        lines += page.sentence(f"run {run.id} observes: {run.message}", width, word="running")
    elif run is not None and run.error:
        lines += page.sentence(f"run {run.id} {run.status.value}: {run.error}", width, word=run.status.value)
    bad = dossier.feeds[-1] if dossier.feeds else None
    if bad is not None and bad.rejects:
        text = f"{bad.name}: {bad.rejects:,} of {bad.rows + bad.rejects:,} rows could not be used"
        lines += page.sentence(text, width, word="look")
    if not dossier.feeds:
        lines += page.sentence(
            f"Nothing was observed. {Action.OBSERVE.key} reads a sample of production.", width, word="waiting"
        )
    return lines


SHIPPED = "S"  # the marks below the curve
SIGNS = {Remedy.REFRESH: "N", Remedy.ROLL_BACK: "b", Remedy.ACKNOWLEDGE: "a", Remedy.SUSPEND: "x", Remedy.RESUME: "o"}


def next_window(window: int) -> int:
    return WINDOWS[(WINDOWS.index(window) + 1) % len(WINDOWS)]


def segments(view: View, seen: LiveView, width: int) -> Lines:
    if not seen.labelled:
        return []
    columns = (
        Column("SEGMENT", 0),
        Column("ROWS", 6, right=True),
        Column("DISAGREES", 9, right=True),
        Column("AT GATE", 7, 1, right=True),
        Column("CEILING", 7, right=True),
    )
    rows = []
    within = seen.within(view.window)
    alone = {each.name for each in within} <= {"", "all"}  # rows without a segment are all rows
    for each in within:
        if alone and each.name:
            continue
        rate = each.differ / each.rows if each.rows else None
        above = rate is not None and each.ceiling is not None and rate > each.ceiling
        style = "$tone-warn" if above else ""
        shown = [show.percent(share) for share in (rate, each.at_gate, each.ceiling)]
        rows.append((each.name or "all", f"{each.rows:,}", (shown[0], style), shown[1], shown[2]))
    return [
        page.heading("DISAGREEMENT", f"{_period(view, seen)}; w: 7, 30, 90 days"),
        *page.table(columns, rows, width),
    ]


def _period(view: View, seen: LiveView) -> str:
    return f"{view.window} days, from {seen.since(view.window)}" if view.window else "since the watch began"


def worst(seen: LiveView, width: int) -> Lines:
    if not seen.worst:
        return []
    lines = [page.heading("WORST OPEN ROWS", "the other half of the rows stays sealed")]
    for each in seen.worst:
        arrow = show.glyph("arrow")
        student = f"student {each.answer} ({show.percent(each.sure, 0)})"
        head = f"{each.segment}, {each.day}: {student} {arrow} teacher {each.teacher}"
        lines += page.sentence(head, width, word="misses")
        lines += page.sentence(f"“{each.text}”", width, label="  ", style="$tone-muted")
    return lines


def curve(view: View, seen: LiveView, width: int, height: int) -> Lines:
    """Draw the disagreement with the line of the ceiling of each time; ships, refreshes and rollbacks marked below."""
    lives, since = _points(view, seen), seen.since(view.window)
    what = "DAY" if 0 < view.window <= BY_DAY else "WEEK"
    lines = [page.heading(f"DISAGREEMENT BY {what}", "%, dotted: its ceiling")]
    if not lives:
        return [*lines, *page.sentence(f"no labelled {what.lower()} yet", width, word="waiting")]
    marks = [(b.shipped_at, SHIPPED) for b in view.dossier.bundles]
    marks += [(r.at, SIGNS[r.kind]) for r in view.dossier.remedies]
    levels = [
        (points[0][0], points[-1][0] + (6 if what == "WEEK" else 0), 100 * seen.ceilings[bundle])
        for bundle, points in lives.items()
        if bundle in seen.ceilings
    ]
    drawn = chart.levelled(
        list(lives.values()),
        width - 2,
        height,
        levels=levels,
        marks=[(_day(at), sign) for at, sign in marks if at[:10] >= since],
    )
    lines += [Content.assemble((f" {line}", "$tone-run")) for line in drawn]
    there = {sign for _, sign in marks}
    named = [(SHIPPED, "ship"), *((sign, kind.value.replace("_", " ")) for kind, sign in SIGNS.items())]
    return [
        *lines,
        *page.sentence(
            "  ".join(f"{sign} {word}" for sign, word in named if sign in there), width, style="$tone-muted"
        ),
    ]


def _points(view: View, seen: LiveView) -> dict[int, list[chart.Point]]:
    """Return each bundle's line by week; in a short window the live one's by day."""
    since = seen.since(view.window)
    lives: dict[int, list[chart.Point]] = {}
    if 0 < view.window <= BY_DAY:
        live = view.dossier.live
        for day in sorted({each.day for each in seen.days if each.day >= since}):
            rows, differ = (
                sum(getattr(each, of) for each in seen.days if each.day == day) for of in ("rows", "differ")
            )
            lives.setdefault(live.id or 0 if live else 0, []).append((_day(day), 100 * differ / rows))
        return lives
    for week in seen.weeks:
        if not since or _day(week.monday) + 6 >= _day(since):
            lives.setdefault(week.bundle_id, []).append((_day(week.monday), 100 * week.rate))
    return lives


def _day(at: str) -> float:
    return float(date.fromisoformat(at[:10]).toordinal())


def worth(view: View, seen: LiveView, width: int) -> Lines:
    """Show quality and, for a cost play, savings since launch; never one without the other."""
    at_gate = seen.within(0)[0].at_gate
    if at_gate is None and seen.plan is not None and "" in seen.plan.rates:
        hits, rows = seen.plan.rates[""]
        at_gate = hits / rows
    agrees = show.percent(None if seen.rate is None else 1 - seen.rate)
    before = show.percent(None if at_gate is None else 1 - at_gate)
    lines = [page.heading("SINCE LAUNCH", "quality and savings")]
    lines += page.fact("agreement", f"{agrees} with the teacher on the sample; {before} at the gate", width)
    if view.play.kind is PlayKind.COST:
        lines += page.fact("saved", saved(view), width)
    return lines


def saved(view: View) -> str:
    dossier, live = view.dossier, view.dossier.live
    if live is not None and live.round != view.play.round:  # another round is open: its record is not what is live
        dossier = replace(dossier, looked=dossier.of_live)
    found, first = headline.of(dossier), view.dossier.bundles[0]
    if found.saves is None:
        return "unknown: the worksheet has no prices"
    now = view.dossier.project.now or first.shipped_at
    days = Decimal((datetime.fromisoformat(now) - datetime.fromisoformat(first.shipped_at)).days)
    most = "" if found.measured else "at most "
    month, whole = (money(each, found.currency) for each in (found.saves, found.saves * days / MONTH))
    return f"{most}{month} a month; at that, {whole} in {days:f} days since the first launch"


def maintenance(view: View, width: int) -> Lines:
    play, seen = view.play, view.life
    operator = view.dossier.roles.get(Role.OPERATOR)
    asked = f", {seen.asked_this_month:,} asked this month" if seen is not None else ""
    sampled = f"{play.sampling_per_month:,} calls a month{asked}" if play.sampling_per_month else "not set. M sets it"
    refresh = f"every {play.refresh_days} days" if play.refresh_days else "not set. M sets it"
    return [
        page.heading("MAINTENANCE LOOP"),
        *page.sentence(operator or "not assigned. A assigns one", width, label="operator   "),
        *page.sentence(sampled, width, label="sampled    "),
        *page.sentence(refresh, width, label="refreshed  "),
    ]


def bundles(view: View, width: int) -> Lines:
    now = view.dossier.live
    lines = [page.heading("BUNDLES", "`distill-tui verify BUNDLE` checks one")]
    for bundle in reversed(view.dossier.bundles):
        is_live = now is not None and bundle.id == now.id
        text = f"{bundle.id}: round {bundle.round}, shipped {page.when(bundle.shipped_at)} by {bundle.shipped_by}"
        lines += page.sentence(text, width, word="live" if is_live else "todo")
        for line in _about(view, bundle):
            lines += page.sentence(line, width, label="    ", style="$tone-muted")
    for remedy in reversed(view.dossier.remedies):
        text = f"{page.when(remedy.at)} {remedy.person_id}: {remedy.kind.value.replace('_', ' ')}, “{remedy.reason}”"
        lines += page.sentence(text, width, word="todo")
    return lines


def _about(view: View, bundle: entities.Bundle) -> Iterator[str]:
    dossier = view.dossier
    signed = next((s for s in dossier.sign_offs if s.row.id == bundle.sign_off_id), None)
    if signed is not None:
        comment = f": “{signed.row.comment}”" if signed.row.comment else ""
        yield f"signed by {signed.row.person_id} ({signed.row.assurance.value}){comment}"
    judged = dossier.evaluation_of(bundle)
    opened = next((r for r in dossier.remedies if r.kind is Remedy.REFRESH and r.round <= bundle.round), None)
    why = f"refresh: {opened.reason}" if opened is not None and bundle.round >= opened.round else "first launch"
    yield f"gate {'held' if judged is not None and judged.passed else 'not known'}; {why}"
    yield f"live {lifetime(view, bundle)}; {page.short(bundle.digest)}"


def lifetime(view: View, bundle: entities.Bundle) -> str:
    turns = [(b.shipped_at, b.id) for b in view.dossier.bundles]
    turns += [(r.at, r.bundle_id) for r in view.dossier.remedies if r.kind is Remedy.ROLL_BACK]
    turns.sort(key=lambda turn: turn[0])
    ends = [at for at, _ in turns[1:]] + [view.dossier.project.now or turns[-1][0]]
    days = sum(
        max(0, (datetime.fromisoformat(end) - datetime.fromisoformat(at)).days)
        for (at, which), end in zip(turns, ends, strict=True)
        if which == bundle.id
    )
    return f"{days} day{'s' * (days != 1)}"


def noticing(view: View, seen: LiveView, width: int) -> Lines:
    sample = view.play.sampling_per_month
    if not seen.noticing or not sample:
        return []
    lines = [page.heading("WHAT THE SAMPLE DETECTS", f"{sample:,} a month")]
    for line in seen.noticing:
        lines += page.sentence(plan.noticing_sentence(*line, sample), width, word="todo")
    return lines
