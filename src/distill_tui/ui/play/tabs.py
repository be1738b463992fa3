"""The tabs of a play that tell and do not judge: overview, gate, data, live, log. Pure: a `View` in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from textual.content import Content

from distill_tui import gates
from distill_tui.gates import economics, wording
from distill_tui.review import deferral, headline
from distill_tui.rules.decide import counting_sign_off, maintained
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import (
    can_validate,
    locked_facts,
    priced,
    provable,
    segment_shares,
    trigger,
    worksheet_numbers,
)
from distill_tui.rules.training import trained
from distill_tui.terms import Action, PlayKind, Reference, Role, Stage, Task
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page, plots, show
from distill_tui.ui.widgets.page import Column, Lines

if TYPE_CHECKING:
    from distill_tui.rules import entities

WIDE = 100  # cells from which two pages stand side by side
MOST_CELLS = 200  # rows of the coverage table that are shown


# --- 1 overview --------------------------------------------------------------------------------------------------


def overview(view: View, width: int) -> Lines:
    """What the play is, who answers for it, its trigger's worksheet, its numbers and what was done last."""
    if width < WIDE:
        worth = headline.of(view.dossier).lines(view.play.kind)
        return page.stacked(
            [*what(view, width), *(page.muted(line) for line in worth)],
            people(view, width),
            worksheet(view, width),
            checks(view, width),
            earned(view, width),
        )
    left = width * 6 // 11
    right = width - left - page.GAP
    return page.beside(
        page.stacked(what(view, left), people(view, left), worksheet(view, left)),
        page.stacked(numbers(view, right), checks(view, right), last_events(view, right), earned(view, right)),
        width,
        left,
    )


def what(view: View, width: int) -> Lines:
    """Say what the play is about."""
    play = view.play
    lines = [page.heading(f"{play.kind.value} play", f"{play.task.value}, round {play.round}")]
    lines += page.sentence(play.summary or "No summary was written.", width)
    traffic = sum(t.rows for t in view.dossier.traffic)
    teacher = f"{play.teacher_name} ({play.teacher_source})" if play.teacher_source else "none chosen yet"
    lines += page.fact("teacher", teacher, width)
    files = len(view.dossier.traffic)
    told = f"{traffic:,} rows in {files} file{'s' * (files != 1)}" if files else "none imported yet"
    lines += page.fact("traffic", told, width)
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
    """Say who holds which role, and who built."""
    lines = [page.heading("ROLES", "A assigns them")]
    for role in Role:
        person = view.dossier.roles.get(role)
        you = " (you)" if person is not None and person == view.actor.person else ""
        builds = f" {show.glyph('dot')} builder" if person in view.dossier.builders else ""
        text = f"{role.value:<10} {person or 'nobody yet'}{you}{builds}"
        lines += page.sentence(text, width, word="done" if person else "waiting")
    others = sorted(set(view.dossier.builders) - set(view.dossier.roles.values()))
    if others:
        lines += page.sentence(f"also built: {', '.join(others)}", width, label="  ")
    return lines


def worksheet(view: View, width: int) -> Lines:
    """Show the trigger's numbers, where they come from, and whether the trigger holds."""
    kind, rows = view.play.kind, view.dossier.worksheet
    reasons = [o.sentence for o in trigger(view.dossier)]
    note = "locked with the gate" if view.dossier.locked else "e fills it in"
    lines = [page.heading("TRIGGER", note)]
    columns = (Column("NUMBER", 24), Column("VALUE", 11, right=True), Column("UNIT", 8, 1), Column("FROM", 0, 2))
    cells = []
    besides = [question for question in economics.BESIDES[kind] if question.name in rows]
    for question in (*economics.WORKSHEET[kind], *besides):
        row = rows.get(question.name)
        value = row.value if row else show.glyph("dash")
        cells.append((question.name, value, question.unit, (row.source if row else "", "$tone-muted")))
    lines += page.table(columns, cells, width)
    if not reasons:
        lines += page.sentence("The trigger holds.", width, word="holds")
    for reason in reasons[:3]:
        lines += page.sentence(reason, width, word="look")
    if len(reasons) > 3:
        lines.append(page.muted(f"  and {len(reasons) - 3} more"))
    return lines


def numbers(view: View, width: int) -> Lines:
    """Put student, teacher and baseline side by side; for a cost play the savings beside the quality."""
    found = headline.of(view.dossier)
    columns = [Column("NUMBERS", 0), *(Column(name, 9, right=True) for name in gates.SUBJECTS)]
    rows = [(found.measure, *map(show.percent, (found.student, found.teacher, found.baseline)))]
    if view.review is not None:
        sides = {each.name: each for each in view.review.costs}
        three = [sides.get(name) for name in gates.SUBJECTS]
        rows.append(("p95 latency", *(wording.milliseconds(each.p95_ms if each else None) for each in three)))
        rows.append(("size", *(wording.megabytes(each.bytes if each else None) for each in three)))
    lines = page.table(columns, rows, width)
    if view.play.kind is PlayKind.COST:
        lines += page.sentence(found.savings, width, label="")
    return lines


def earned(view: View, width: int) -> Lines:
    """Draw when a cost play pays back: by the student's measured cost, so only once it was evaluated."""
    found, build = headline.of(view.dossier), worksheet_numbers(view.dossier).get("build_cost")
    if view.play.kind is not PlayKind.COST or not found.measured or found.saves is None or build is None:
        return []
    return plots.payback(float(build), float(found.saves), min(width, 76), 8)


def number(value: float | None) -> str:
    """Write a measured number, or a dash."""
    return show.glyph("dash") if value is None else f"{value:,.1f}" if value >= 1 else f"{value:.3f}"


def megabytes(size: int | None) -> str:
    """Write a size in units of 1,000,000 bytes, or a dash."""
    return show.glyph("dash") if size is None else f"{size / 1e6:,.1f}"


def checks(view: View, width: int) -> Lines:
    """List what a play owes, and what of it is there."""
    lines = [page.heading("CHECKS")]
    for word, text in _checks(view.dossier):
        lines += page.sentence(text, width, word=word)
    return lines


def _checks(dossier: PlayDossier) -> Iterator[tuple[str, str]]:
    row, data, play = dossier.gate_row, dossier.data_set, dossier.play
    holds = not any(trigger(dossier))
    yield ("holds" if holds else "waiting"), ("the trigger holds" if holds else "the trigger does not hold yet")
    if row is not None and row.locked_at:
        yield "done", f"gate locked {row.locked_at[:10]} by {row.locked_by}, {page.short(row.digest)}"
    else:
        yield "waiting", "the gate is a draft"
    if data is not None and data.frozen_at:
        yield "done", f"data frozen {data.frozen_at[:10]}, {page.short(data.digest)}"
    else:
        yield "waiting", "the data set is not frozen" if data is not None else "no data set yet"
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
    yield (
        ("approved", f"signed off by {signed.row.person_id}") if signed else ("waiting", "no sign-off that counts now")
    )
    kept = not any(maintained(dossier))
    yield ("done" if kept else "waiting"), ("maintenance loop set" if kept else "maintenance loop not set")
    if play.stage is Stage.LIVE:
        yield "live", f"live since {play.stage_since[:10]}"


def share_of(step: int, total: int) -> str:
    """Write how far a run is."""
    return f"{100 * step / total:.0f} %" if total else "queued"


def last_events(view: View, width: int, most: int = 5) -> Lines:
    """Show the newest entries of the log."""
    lines = [page.heading("LAST EVENTS", "8 shows all")]
    for entry in view.entries[:most]:
        text = f"{entry.at[5:16].replace('T', ' ')} {entry.person_id or ''} {action_words(entry.action)}"
        told = detail(entry.detail)
        lines.append(Content.assemble(" ", show.clip(f"{text}  {told}" if told else text, width - 2)))
    return lines


# --- 2 gate ------------------------------------------------------------------------------------------------------


def gate(view: View, width: int) -> Lines:
    """Show what success means: criteria, held-out rows, power, who can validate; after the lock its digest."""
    gate, row = view.dossier.gate, view.dossier.gate_row
    if gate is None:
        return page.sentence(view.dossier.gate_trouble or "There is no gate yet; E writes one.", width, word="look")
    return page.stacked(
        _gate_head(view, row, width),
        criteria(gate, width),
        page.sentence(gates.EXACT_MATCH, width) if view.play.task is Task.GENERATION else [],
        _gate_facts(gate, width, len(view.dossier.burnt)),
        [] if view.dossier.locked else _gate_problems(view, gate, width),
        _locked_facts(view, width),
        goalposts(view, gate, width),
        power_notes(gate, width, locked=view.dossier.locked, shares=_shares(view.dossier)),
    )


def _gate_head(view: View, row: entities.GateRow | None, width: int) -> Lines:
    lines: Lines = []
    if row is not None and row.locked_at:
        text = f"Locked {page.when(row.locked_at)} UTC by {row.locked_by}; it never changes. {row.digest}"
        lines += page.sentence(text, width, word="done")
    else:
        lines += page.sentence("Draft: E edits it, L locks it for good.", width, word="waiting")
    if view.dossier.gate_trouble:
        lines += page.sentence(view.dossier.gate_trouble, width, word="error")
    statement = view.dossier.gate.statement if view.dossier.gate else ""
    if statement:
        lines += page.fact("statement", f"“{statement}”", width)
    return lines


def criteria(gate: gates.Gate, width: int) -> Lines:
    """Show the criteria as a table."""
    columns = (
        Column("CRITERION", 14),
        Column("AGAINST", 8),
        Column("SCOPE", 0),
        Column("BAR", 21),
        Column("CONFIDENCE", 10, 1, right=True),
        Column("COUNTS", 7),
    )
    rows = []
    for each in gate.criteria:
        counts = ("binding", "bold") if each.binding else "watched" if each.watch_only else "yes"
        against = show.glyph("dash") if each.reference is Reference.NONE else each.reference.value
        confidence = f"{gate.confidence * 100:f}".rstrip("0").rstrip(".")
        rows.append((each.metric.value, against, each.scope, bar(each), f"{confidence} %", counts))
    return page.table(columns, rows, width)


def bar(criterion: gates.Criterion) -> str:
    """Say in a few words what a criterion asks."""
    margin, threshold = criterion.margin, criterion.threshold
    if margin == 0:
        return "a lead"
    if margin is not None:
        percent = f"{abs(margin) * 100:f}".rstrip("0").rstrip(".")
        return f"at most {percent} pts below" if margin > 0 else f"at least {percent} pts above"
    if threshold is None:
        return "no bar yet"
    return f"{'at least' if criterion.at_least else 'at most'} {threshold:f}"


def _gate_facts(gate: gates.Gate, width: int, burnt: int) -> Lines:
    window = f"{gate.window_from or 'the first row'} to {gate.window_to or 'the last'}"
    lines = page.fact("held-out", f"{gate.held_out_rows:,} rows, sealed; drawn by seed {gate.seed}", width)
    share = f"{gate.validation_share * 100:f}".rstrip("0").rstrip(".")
    lines += page.fact("splits", f"validation {share} % of the rest; traffic from {window}", width)
    if burnt:
        text = f"{burnt:,} held-out row{'s' * (burnt > 1)} opened by builders count no longer"
        lines += page.sentence(text, width, word="look")
    if gate.by_time:
        lines += page.fact("time", "the latest rows are held out, and training ends before them", width)
    lines += page.fact("rounds", f"{gate.rounds}, one look at the held-out split each; baseline {gate.baseline}", width)
    lines += page.fact("sign-off", f"{gate.minimum_assurance.value} or stronger", width)
    if gate.teacher_agreement is not None:
        lines += page.fact("teacher", f"agrees with itself on {show.percent(float(gate.teacher_agreement))}", width)
    if gate.deferral is not None:
        lines += page.fact("sent back", deferral.asked(gate), width)
    for each in gate.ranges:
        lines += page.fact(each.name, f"{each.low:f} to {each.high:f}: {each.source}, {each.dated}", width)
    if gate.predecessor:
        lines += page.fact("follows", f"{gate.predecessor}, which was killed", width)
    return lines


def _gate_problems(view: View, gate: gates.Gate, width: int) -> Lines:
    lines: Lines = []
    for problem in gates.problems(gate, view.play.kind, view.play.task):
        lines += page.sentence(problem, width, word="misses")
    for objection in (*can_validate(view.dossier), *provable(view.dossier), *priced(view.dossier)):
        lines += page.sentence(objection.sentence, width, word="misses")
    if view.repeats is not None:
        lines += page.sentence(f"{view.repeats.sentence} The sheet of the gate proposes it.", width, word="look")
    validator = view.dossier.roles.get(Role.VALIDATOR)
    if validator is None:
        lines += page.sentence("Nobody is the validator yet; A names one.", width, word="waiting")
    elif not any(can_validate(view.dossier)):
        lines += page.sentence(f"{validator} can validate: never built here, and can sign.", width, word="holds")
    return [page.heading("BEFORE THE LOCK"), *lines]


def _shares(dossier: PlayDossier) -> dict[str, float] | None:
    """Give the segments' shares as the lock saw them; of a draft, as the traffic has them now."""
    if not dossier.locked:
        return segment_shares(dossier)
    fixed = locked_facts(dossier).get("segments")
    return {name: float(share) for name, share in fixed.items()} if isinstance(fixed, dict) and fixed else None


def _locked_facts(view: View, width: int) -> Lines:
    """Show what the lock fixed besides the gate: teacher, segments, methods, and the prices with source and date."""
    facts = locked_facts(view.dossier)
    if not facts:
        return []
    lines = [page.heading("FIXED BY THE LOCK")]
    teacher = facts.get("teacher") or {}
    lines += page.fact(
        "teacher",
        f"{teacher.get('name')} {page.short(teacher.get('digest'))}" if teacher else "none was chosen yet",
        width,
    )
    lines += page.fact("segments", ", ".join(facts.get("segments") or {}) or "none were known yet", width)
    for metric, method in (facts.get("methods") or {}).items():
        lines += page.fact(metric, method, width, 16)
    columns = (Column("NUMBER", 24), Column("VALUE", 11, right=True), Column("FILLED IN", 16, 1), Column("FROM", 0, 2))
    rows = [
        (name, value, page.when(at) if at else "", source) for name, (value, source, at) in facts["numbers"].items()
    ]
    return [*lines, *page.table(columns, rows, width)] if rows else lines


def goalposts(view: View, gate: gates.Gate, width: int) -> Lines:
    """Put this gate beside that of the killed play that it follows."""
    if view.predecessor_gate is None:
        return []
    columns = (Column("", 5), Column("", 0), Column("BEFORE", 26), Column("NOW", 26))
    rows = []
    for line in gates.compare(view.predecessor_gate, gate):
        moved = ("moved", "$tone-warn") if line.moved else ""
        rows.append((moved, line.what, line.before or show.glyph("dash"), line.now or show.glyph("dash")))
    return [page.heading("GOALPOSTS", f"beside {view.predecessor}"), *page.table(columns, rows, width)]


def power_notes(
    gate: gates.Gate, width: int, *, locked: bool = False, shares: Mapping[str, float] | None = None
) -> Lines:
    """Say what the held-out rows can and cannot prove."""
    lines = [
        page.heading("WHAT THE ROWS CAN PROVE", "as it was known before the lock" if locked else "before the lock")
    ]
    for note in gates.power(gate, segment_shares=shares):
        lines += page.sentence(note.sentence, width, word=power_word(note))
    return lines


def power_word(note: gates.PowerNote) -> str:
    """Give the state's word of a note: enough rows, too few, or it depends."""
    if not note.possible:
        return "misses"
    return "holds" if note.enough else "look" if note.enough is False else "todo"


# --- 8 log --------------------------------------------------------------------------------------------------------


def log(view: View, width: int) -> Lines:
    """Show the audit entries of this play, newest first."""
    if not view.entries:
        return page.sentence("The log has no entry for this play.", width, word="waiting")
    columns = (
        Column("NO", 5, right=True),
        Column("WHEN (UTC)", 16),
        Column("WHO", 12 if width >= WIDE else 8),
        Column("WHAT", 17 if width >= WIDE else 11),
        Column("DETAIL", 0, 1),
    )
    rows = [
        (f"{e.seq}", page.when(e.at), e.person_id or "", action_words(e.action), (detail(e.detail), "$tone-muted"))
        for e in view.entries
    ]
    return page.table(columns, rows, width)


def action_words(action: Action) -> str:
    """Name an action as its command does."""
    return action.command or action.value.replace("_", " ")


def detail(text: str) -> str:
    """Write the detail of an audit entry in one line."""
    nothing: tuple[object, ...] = ("", "{}", None, {}, [])
    return "  ".join(f"{name}: {_told(name, value)}" for name, value in show.read(text).items() if value not in nothing)


_CHANGES = {"stage", "assurance"} | {  # what the log has as before and after; any other list is a list
    each.name
    for asked in (economics.WORKSHEET, economics.BESIDES)
    for questions in asked.values()
    for each in questions
}


def _told(name: str, value: object) -> str:
    if name in _CHANGES and isinstance(value, list) and len(value) == 2:
        before, after = map(_plain, value)
        return f"{before} {show.glyph('arrow')} {after}" if before else after
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(_plain, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    text = str(value)
    return page.short(text) if text.startswith("sha256:") else text
