"""Actions of the stages `qualify` and `gate`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from distill_tui.actions import signed_decisions
from distill_tui.digests import canonical
from distill_tui.gates.gate import Gate
from distill_tui.gates.written import digest, to_json
from distill_tui.rules.actor import Actor
from distill_tui.rules.gate import lock_facts
from distill_tui.rules.requests import FillWorksheet, LockGate
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.terms import Action, StatementKind


def fill_worksheet(project: Project, play_id: int, actor: Actor, values: Mapping[str, str], source: str = "") -> None:
    """Fill in numbers of the trigger, with their source."""
    with project.change(Action.FILL_WORKSHEET, play_id, actor, FillWorksheet(values)) as change:
        for name, value in values.items():
            row = change.session.get(tables.WorksheetValue, (play_id, name))
            change.detail[name] = [row.value if row else "", value]
            row = row or tables.WorksheetValue(play_id=play_id, name=name, value=value, source=source)
            row.value, row.source, row.at = value, source, change.at
            change.session.add(row)


def qualify(project: Project, play_id: int, actor: Actor) -> None:
    with project.change(Action.QUALIFY, play_id, actor) as change:
        change.detail["numbers"] = {name: row.value for name, row in change.dossier.worksheet.items()}


def edit_gate(project: Project, play_id: int, actor: Actor, gate: Gate) -> None:
    with project.change(Action.EDIT_GATE, play_id, actor) as change:
        row = change.session.get(tables.GateRow, play_id)
        assert row is not None
        row.content = to_json(gate)
        change.session.add(row)
        change.detail["gate"] = digest(gate)


def lock_gate(
    project: Project, play_id: int, actor: Actor, expected: str | None = None, *, key: Path | None = None
) -> None:
    """Lock the gate by its digest; with a key, sign the gate and the roster."""
    seen = project.dossier(play_id)
    about = {"gate": digest(seen.gate)} if seen.gate else {}
    signed = signed_decisions.give(seen, actor, StatementKind.GATE, about, key) if seen.gate else None
    shown = (expected or about.get("gate")) if expected or signed else None
    request = LockGate(signed_decisions.proof(actor, signed), shown)
    roster = signed_decisions.roster(seen, actor, key)
    with project.change(Action.LOCK_GATE, play_id, actor, request) as change:
        row, gate = change.session.get(tables.GateRow, play_id), change.dossier.gate
        assert row is not None and gate is not None
        row.content, row.digest = to_json(gate), digest(gate)
        row.locked_by, row.locked_at = change.person, change.at
        facts = lock_facts(change.dossier)
        row.facts = canonical(facts).decode()
        change.session.add(row)
        change.detail |= {"gate": row.digest, **facts}
        signed_decisions.keep(change, signed, roster)
