"""Actions of the stages `qualify` and `gate`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from distill_tui.actions import signed_decisions
from distill_tui.digests import canonical
from distill_tui.gates.feasible import with_target
from distill_tui.gates.gate import Gate
from distill_tui.gates.written import digest, to_json
from distill_tui.rules import typed
from distill_tui.rules.actor import Actor
from distill_tui.rules.gate import as_decimal, lock_facts, worksheet_numbers
from distill_tui.rules.gate import cannot_pass as failing
from distill_tui.rules.requests import FillWorksheet, LockGate
from distill_tui.rules.results import encode
from distill_tui.store import tables
from distill_tui.store.project import Change, Project
from distill_tui.terms import Action, StatementKind


def fill_worksheet(project: Project, play_id: int, actor: Actor, values: Mapping[str, str], source: str = "") -> None:
    """Fill in numbers of the trigger, with their source."""
    with project.change(Action.FILL_WORKSHEET, play_id, actor, FillWorksheet(values)) as change:
        for name, value in ((name, typed.plain(given)) for name, given in values.items()):
            row = change.session.get(tables.WorksheetValue, (play_id, name))
            change.detail[name] = [row.value if row else "", value]
            row = row or tables.WorksheetValue(play_id=play_id, name=name, value=value, source=source)
            row.value, row.source, row.at = value, source, change.at
            change.session.add(row)
        _follow_target(change, values)


def _follow_target(change: Change, values: Mapping[str, str]) -> None:
    """Move the draft's p95 criterion with the worksheet's target, unless a person chose another value."""
    gate, target = change.dossier.gate, as_decimal(values.get("target_p95_ms"))
    row = change.session.get(tables.GateRow, change.dossier.play_id)
    if gate is None or target is None or row is None or row.locked_at is not None:
        return
    before = worksheet_numbers(change.dossier).get("target_p95_ms")
    moved = with_target(gate, before, target)
    if moved != gate:
        row.content = to_json(moved)
        change.session.add(row)
        change.detail["gate"] = digest(moved)


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
    project: Project,
    play_id: int,
    actor: Actor,
    expected: str | None = None,
    *,
    cannot_pass: bool = False,
    key: Path | None = None,
) -> None:
    """Lock the gate by its digest; with a key, sign the gate and the roster.

    With `cannot_pass` it is locked although criteria cannot hold in the best case; they are logged.
    """
    seen = project.dossier(play_id)
    about = {"gate": digest(seen.gate)} if seen.gate else {}
    signed = signed_decisions.give(seen, actor, StatementKind.GATE, about, key) if seen.gate else None
    shown = (expected or about.get("gate")) if expected or signed else None
    request = LockGate(signed_decisions.proof(actor, signed), shown, cannot_pass)
    roster = signed_decisions.roster(seen, actor, key)
    with project.change(Action.LOCK_GATE, play_id, actor, request) as change:
        row, gate = change.session.get(tables.GateRow, play_id), change.dossier.gate
        assert row is not None and gate is not None
        row.content, row.digest = to_json(gate), digest(gate)
        row.locked_by, row.locked_at = change.person, change.at
        facts = json.loads(encode(lock_facts(change.dossier)))
        row.facts = canonical(facts).decode()
        change.session.add(row)
        change.detail |= {"gate": row.digest, **facts}
        if hopeless := failing(change.dossier):
            change.detail["cannot_pass"] = hopeless
        signed_decisions.keep(change, signed, roster)
