"""The overview of a play: what it is, roles, trigger, numbers, checks, last events. Pure: a `View` in, lines out."""

from __future__ import annotations

from collections.abc import Iterator

from textual.content import Content

from distill_tui.gates import alternatives, economics, wording
from distill_tui.gates.record import SUBJECTS
from distill_tui.review import headline
from distill_tui.rules.decide import counting_sign_off, maintained
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import trigger, worksheet_numbers
from distill_tui.rules.labels import scale_text
from distill_tui.rules.training import trained
from distill_tui.terms import PlayKind, Role, Stage
from distill_tui.ui.play.log_tab import action_words, detail
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page, plots, show
from distill_tui.ui.widgets.page import WIDE, Column, Lines
from distill_tui.ui.widgets.show import share_of

READING = "The evaluation is being read."


def overview(view: View, width: int) -> Lines:
    if width < WIDE:
        worth = headline.of(view.dossier).lines(view.play.kind) if not view.partial else [READING]
        return page.stacked(
            [*what(view, width), *(page.muted(line) for line in worth)],
            people(view, width),
            worksheet(view, width),
            checks(view, width),
            earned(view, width),
        )
    left = width * 6 // 11
    right = width - left - page.GAP
    return page.side_by_side(
        page.stacked(what(view, left), people(view, left), worksheet(view, left)),
        page.stacked(numbers(view, right), checks(view, right), last_events(view, right), earned(view, right)),
        width,
        left,
    )


def what(view: View, width: int) -> Lines:
    play = view.play
    task = f"{play.task.value} {scale_text(play)}".strip()
    lines = [page.heading(f"{play.kind.value} play", f"{task}, round {play.round}")]
    lines += page.sentence(play.summary or "No summary was written.", width)
    traffic = sum(t.rows for t in view.dossier.traffic)
    teacher = f"{play.teacher_name} ({play.teacher_source})" if play.teacher_source else "not chosen"
    lines += page.fact("teacher", teacher, width)
    files = len(view.dossier.traffic)
    rows = f"{traffic:,} rows in {files} file{'s' * (files != 1)}" if files else "not imported"
    lines += page.fact("traffic", rows, width)
    if view.predecessor:
        lines += page.fact("follows", view.predecessor, width)
    if view.dossier.live is not None:
        lines += page.fact("live", _live(view), width)
    if play.stage is Stage.KILLED:
        lines += page.sentence(f"killed: {play.outcome}", width, word="killed")
    return lines


def _live(view: View) -> str:
    bundle, seen = view.dossier.live, view.life
    assert bundle is not None
    rate = seen.rate if seen is not None else None
    agrees = "" if rate is None else f", {show.percent(1 - rate)} agree with the teacher"
    return f"bundle {bundle.id} of round {bundle.round}: {view.dossier.standing.value}{agrees}; 7 shows its life"


def people(view: View, width: int) -> Lines:
    lines = [page.heading("ROLES", "A assigns them")]
    for role in Role:
        person = view.dossier.roles.get(role)
        you = " (you)" if person is not None and person == view.actor.person else ""
        builds = f" {show.glyph('dot')} builder" if person in view.dossier.builders else ""
        text = f"{role.value:<10} {person or 'not assigned'}{you}{builds}"
        lines += page.sentence(text, width, word="done" if person else "waiting")
    others = sorted(set(view.dossier.builders) - set(view.dossier.roles.values()))
    if others:
        lines += page.sentence(f"also built: {', '.join(others)}", width, label="  ")
    return lines


def worksheet(view: View, width: int) -> Lines:
    kind, rows, currency = view.play.kind, view.dossier.worksheet, view.dossier.project.currency
    reasons = [o.sentence for o in trigger(view.dossier)]
    note = "locked with the gate" if view.dossier.locked else "e fills it in"
    lines = [page.heading("TRIGGER", note)]
    columns = (Column("NUMBER", 22), Column("VALUE", 11, right=True), Column("UNIT", 6, 1), Column("FROM", 0, 2))
    cells = []
    optional = [question for question in economics.BESIDES[kind] if question.name in rows]
    for question in (*economics.WORKSHEET[kind], *optional):
        row = rows.get(question.name)
        value = row.value if row else show.glyph("dash")
        cells.append((question.name, value, question.unit_in(currency), (row.source if row else "", "$tone-muted")))
    lines += page.table(columns, cells, width)
    if not reasons:
        lines += page.sentence("The trigger holds.", width, word="holds")
    for reason in reasons[:3]:
        lines += page.sentence(reason, width, word="look")
    if len(reasons) > 3:
        lines.append(page.muted(f"  and {len(reasons) - 3} more"))
    for sentence in alternatives.sentences(worksheet_numbers(view.dossier), view.dossier.project.currency):
        lines += page.sentence(sentence, width, word="look")
    return lines


def numbers(view: View, width: int) -> Lines:
    if view.partial:
        return [page.heading("NUMBERS"), *page.sentence(READING, width, word="waiting")]
    found = headline.of(view.dossier)
    columns = [Column("NUMBERS", 0), *(Column(name, 8, right=True) for name in SUBJECTS)]
    rows = [
        (
            f"held-out {found.measure}" if found.held_out else found.measure,
            *map(found.worded, (found.student, found.teacher, found.baseline)),
        )
    ]
    if view.review is not None:
        sides = {each.name: each for each in view.review.costs}
        three = [sides.get(name) for name in SUBJECTS]
        rows.append(("p95, median run", *(wording.milliseconds(each.p95_ms if each else None) for each in three)))
        rows.append(("size", *(wording.megabytes(each.bytes if each else None) for each in three)))
    lines = page.table(columns, rows, width)
    if view.play.kind is PlayKind.COST:
        lines += page.sentence(found.savings, width, label="")
    return lines


def earned(view: View, width: int) -> Lines:
    """Draw when a cost play pays back. Its student must have been evaluated: only then is its cost measured."""
    found, build = headline.of(view.dossier), worksheet_numbers(view.dossier).get("build_cost")
    if (
        view.partial
        or view.play.kind is not PlayKind.COST
        or not found.measured
        or found.saves is None
        or build is None
    ):
        return []
    return plots.payback(float(build), float(found.saves), found.currency, min(width, 76), 8)


def checks(view: View, width: int) -> Lines:
    lines = [page.heading("CHECKS")]
    for word, text in _checks(view.dossier):
        lines += page.sentence(text, width, word=word)
    return lines


def _checks(dossier: PlayDossier) -> Iterator[tuple[str, str]]:
    row, data, play = dossier.gate_row, dossier.data_set, dossier.play
    holds = not any(trigger(dossier))
    yield ("holds" if holds else "waiting"), ("the trigger holds" if holds else "the trigger does not hold")
    if row is not None and row.locked_at:
        yield "done", f"gate locked {row.locked_at[:10]} by {row.locked_by}, {page.short(row.digest)}"
    else:
        yield "waiting", "the gate is a draft"
    if data is not None and data.frozen_at:
        yield "done", f"data frozen {data.frozen_at[:10]}, {page.short(data.digest)}"
    else:
        yield "waiting", "the data set is not frozen" if data is not None else "no data set"
    active = next((r for r in dossier.runs if r.status.active), None)
    students = len(trained(dossier))
    if active is not None:
        yield "running", f"run {active.id} ({active.kind.value}) {share_of(active.step, active.total)}"
    yield ("done" if students else "waiting"), f"{students} trained student{'s' * (students != 1)} in this round"
    if dossier.evaluation is None:
        yield "waiting", "not evaluated on the held-out split"
    else:
        yield ("holds" if dossier.passed else "misses"), f"gate {'held' if dossier.passed else 'not held'}"
    signed = counting_sign_off(dossier)
    yield (("approved", f"signed off by {signed.row.person_id}") if signed else ("waiting", "no valid sign-off"))
    kept = not any(maintained(dossier))
    yield ("done" if kept else "waiting"), ("maintenance loop set" if kept else "maintenance loop not set")
    if play.stage is Stage.LIVE:
        yield "live", f"live since {play.stage_since[:10]}"


def last_events(view: View, width: int) -> Lines:
    lines = [page.heading("LAST EVENTS", "8 shows all")]
    for entry in view.entries[:5]:
        text = f"{entry.at[5:16].replace('T', ' ')} {entry.person_id or ''} {action_words(entry.action)}"
        lines.append(Content.assemble(" ", show.clip(f"{text}  {detail(entry.detail)}".rstrip(), width - 2)))
    return lines
