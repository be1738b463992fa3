"""The gate of a play: criteria, problems, what its rows can prove; after the lock its digest. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui import tasks
from distill_tui.gates.compare import compare
from distill_tui.gates.gate import Criterion, Gate, baseline_name
from distill_tui.gates.power import PowerNote, power
from distill_tui.review import deferral
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.gate import can_validate, locked_facts, priced, provable, warnings
from distill_tui.rules.measurable import held_out_rows, lockable
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
        power_notes(gate, width, view.dossier),
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
    lines += page.fact(
        "rounds", f"{gate.rounds}, one look at the held-out split each; baseline {baseline_name(gate)}", width
    )
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
    for objection in (
        *can_validate(view.dossier),
        *lockable(view.dossier),
        *provable(view.dossier),
        *priced(view.dossier),
    ):
        lines += page.sentence(objection.sentence, width, word="misses")
    for sentence in warnings(view.dossier):
        lines += page.sentence(sentence, width, word="misses")
    if view.repeats is not None:
        lines += page.sentence(f"{view.repeats.sentence} The gate editor proposes it.", width, word="look")
    validator = view.dossier.roles.get(Role.VALIDATOR)
    if validator is None:
        lines += page.sentence("No validator is assigned. A assigns one.", width, word="waiting")
    elif not any(can_validate(view.dossier)):
        lines += page.sentence(f"{validator} can validate: never a builder here, and can sign.", width, word="holds")
    return [page.heading("BEFORE THE LOCK"), *lines]


def _locked_shares(dossier: PlayDossier) -> dict[str, float] | None:
    """Return the segments' shares as the lock recorded them."""
    facts = locked_facts(dossier)
    return {name: float(share) for name, share in facts.segments.items()} if facts and facts.segments else None


def _locked_facts(view: View, width: int) -> Lines:
    facts = locked_facts(view.dossier)
    if facts is None:
        return []
    lines, teacher = [page.heading("FIXED BY THE LOCK")], facts.teacher
    chosen = "not chosen at the lock" if teacher is None else f"{teacher.name} {page.short(teacher.digest)}"
    lines += page.fact("teacher", chosen, width)
    lines += page.fact("segments", ", ".join(facts.segments) or "unknown at the lock", width)
    for metric, method in facts.methods.items():
        lines += page.fact(metric, method, width, 16)
    columns = (Column("NUMBER", 24), Column("VALUE", 11, right=True), Column("FILLED IN", 16, 1), Column("FROM", 0, 2))
    rows = [(name, value, page.when(at) if at else "", source) for name, (value, source, at) in facts.numbers.items()]
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


def power_notes(gate: Gate, width: int, dossier: PlayDossier) -> Lines:
    """Show what the rows can prove: of a draft and of a built data set by the rows there are, else as at the lock."""
    built = dossier.data_set is not None
    there = held_out_rows(dossier) if built or not dossier.locked else ()
    known = (
        "with the held-out rows there are" if built else "as known at the lock" if dossier.locked else "before the lock"
    )
    lines = [page.heading("WHAT THE ROWS CAN PROVE", known)]
    for note in power(gate, held_out=there) if there else power(gate, segment_shares=_locked_shares(dossier)):
        lines += page.sentence(note.sentence, width, word=power_word(note))
    return lines


def power_word(note: PowerNote) -> str:
    if not note.possible:
        return "misses"
    return "holds" if note.enough else "look" if note.enough is False else "todo"
