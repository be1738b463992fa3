"""The gate of a play: criteria, problems, what its rows can prove; after the lock its digest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from distill_tui import tasks
from distill_tui.gates.compare import compare
from distill_tui.gates.gate import Criterion, Gate
from distill_tui.gates.power import PowerNote, power
from distill_tui.review import deferral
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import (
    can_validate,
    locked_facts,
    priced,
    provable,
    segment_shares,
)
from distill_tui.terms import Reference, Role
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page, show
from distill_tui.ui.widgets.page import Column, Lines

if TYPE_CHECKING:
    from distill_tui.rules import entities


def gate(view: View, width: int) -> Lines:
    gate, row = view.dossier.gate, view.dossier.gate_row
    if gate is None:
        return page.sentence(view.dossier.gate_trouble or "There is no gate. E writes one.", width, word="look")
    return page.stacked(
        _gate_head(view, row, width),
        criteria(gate, width),
        page.sentence(note, width) if (note := tasks.of(view.play.task).metrics_note) else [],
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


def criteria(gate: Gate, width: int) -> Lines:

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
        rows.append((each.metric.value, against, each.scope, bar(each), f"{confidence}%", counts))
    return page.table(columns, rows, width)


def bar(criterion: Criterion) -> str:
    margin, threshold = criterion.margin, criterion.threshold
    if margin == 0:
        return "better"
    if margin is not None:
        percent = f"{abs(margin) * 100:f}".rstrip("0").rstrip(".")
        return f"at most {percent} pts below" if margin > 0 else f"at least {percent} pts above"
    if threshold is None:
        return "no threshold"
    return f"{'at least' if criterion.at_least else 'at most'} {threshold:f}"


def _gate_facts(gate: Gate, width: int, burnt: int) -> Lines:
    window = f"{gate.window_from or 'the first row'} to {gate.window_to or 'the last'}"
    lines = page.fact("held-out", f"{gate.held_out_rows:,} rows, sealed; drawn by seed {gate.seed}", width)
    share = f"{gate.validation_share * 100:f}".rstrip("0").rstrip(".")
    lines += page.fact("splits", f"validation {share}% of the rest; traffic from {window}", width)
    if burnt:
        text = f"{burnt:,} held-out row{'s' * (burnt > 1)} opened by builders no longer count"
        lines += page.sentence(text, width, word="look")
    if gate.by_time:
        lines += page.fact("time", "the latest rows are held out; training rows are older", width)
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


def _gate_problems(view: View, gate: Gate, width: int) -> Lines:
    lines: Lines = []
    for problem in tasks.gate_problems(gate, view.play.kind, view.play.task):
        lines += page.sentence(problem, width, word="misses")
    for objection in (*can_validate(view.dossier), *provable(view.dossier), *priced(view.dossier)):
        lines += page.sentence(objection.sentence, width, word="misses")
    if view.repeats is not None:
        lines += page.sentence(f"{view.repeats.sentence} The gate editor proposes it.", width, word="look")
    validator = view.dossier.roles.get(Role.VALIDATOR)
    if validator is None:
        lines += page.sentence("No validator is assigned. A assigns one.", width, word="waiting")
    elif not any(can_validate(view.dossier)):
        lines += page.sentence(f"{validator} can validate: never a builder here, and can sign.", width, word="holds")
    return [page.heading("BEFORE THE LOCK"), *lines]


def _shares(dossier: PlayDossier) -> dict[str, float] | None:
    """Return the segments' shares: of a draft as the traffic has them now, else as the lock recorded them."""
    if not dossier.locked:
        return segment_shares(dossier)
    fixed = locked_facts(dossier).get("segments")
    return {name: float(share) for name, share in fixed.items()} if isinstance(fixed, dict) and fixed else None


def _locked_facts(view: View, width: int) -> Lines:
    facts = locked_facts(view.dossier)
    if not facts:
        return []
    lines = [page.heading("FIXED BY THE LOCK")]
    teacher = facts.get("teacher") or {}
    lines += page.fact(
        "teacher",
        f"{teacher.get('name')} {page.short(teacher.get('digest'))}" if teacher else "not chosen at the lock",
        width,
    )
    lines += page.fact("segments", ", ".join(facts.get("segments") or {}) or "unknown at the lock", width)
    for metric, method in (facts.get("methods") or {}).items():
        lines += page.fact(metric, method, width, 16)
    columns = (Column("NUMBER", 24), Column("VALUE", 11, right=True), Column("FILLED IN", 16, 1), Column("FROM", 0, 2))
    rows = [
        (name, value, page.when(at) if at else "", source) for name, (value, source, at) in facts["numbers"].items()
    ]
    return [*lines, *page.table(columns, rows, width)] if rows else lines


def goalposts(view: View, gate: Gate, width: int) -> Lines:
    if view.predecessor_gate is None:
        return []
    columns = (Column("", 5), Column("", 0), Column("BEFORE", 26), Column("NOW", 26))
    rows = []
    for line in compare(view.predecessor_gate, gate):
        moved = ("moved", "$tone-warn") if line.moved else ""
        rows.append((moved, line.what, line.before or show.glyph("dash"), line.now or show.glyph("dash")))
    return [page.heading("GOALPOSTS", f"compared with {view.predecessor}"), *page.table(columns, rows, width)]


def power_notes(gate: Gate, width: int, *, locked: bool = False, shares: Mapping[str, float] | None = None) -> Lines:
    lines = [page.heading("WHAT THE ROWS CAN PROVE", "as known at the lock" if locked else "before the lock")]
    for note in power(gate, segment_shares=shares):
        lines += page.sentence(note.sentence, width, word=power_word(note))
    return lines


def power_word(note: PowerNote) -> str:
    if not note.possible:
        return "misses"
    return "holds" if note.enough else "look" if note.enough is False else "todo"
