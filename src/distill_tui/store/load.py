"""Read everything that is known of a project, and of a play: the dossier that rules and screens ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from distill_tui import gates
from distill_tui.rules.dossier import PlayDossier, ProjectDossier
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import NO_PLAY
from distill_tui.store import audit_log, project_file, tables
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.records import judged, read_gate, read_record, record_of
from distill_tui.terms import Action


def load(
    session: Session,
    artifacts: Artifacts,
    play_id: int,
    told: dict[int, audit_log.Told],
    *,
    thorough: bool = False,
) -> PlayDossier:
    """Read everything that rules and screens need of a play, as it is in this session's view. Raises Refused.

    `told` keeps what the log said of each play from one call to the next, so that nobody reads a long log at each
    write; a thorough look reads all of it.
    """
    last = session.exec(_LAST).first()
    project = load_project(session, last, thorough=thorough)
    play = session.get(tables.Play, play_id)
    if play is None:
        raise Refused([NO_PLAY])
    logged = _logged(session, play_id, last, {} if thorough else told)
    dossier = PlayDossier(project=project, **_rows_of(session, play, logged))
    troubles = list(_file_troubles(artifacts, dossier)) if thorough else []
    if thorough and not project.audit_trouble:
        project = replace(project, audit_trouble=next(logged.disagreements(dossier), ""))
    return replace(
        dossier,
        project=project,
        **_verdicts(artifacts, dossier, troubles),
        validations=dict(_validations(artifacts, dossier)),
        file_troubles=tuple(dict.fromkeys(troubles)),
        **_signed(session, play_id, project, logged),
    )


def _all(session: Session, table: Any) -> Any:
    return tuple(session.exec(_all_of(table)))


def _theirs(session: Session, play_id: int, table: Any, order: str = "id") -> Any:
    return tuple(session.exec(_of_play(table, order), params={"play": play_id}))


def load_project(session: Session, last: tables.AuditEntry | None = None, *, thorough: bool = False) -> ProjectDossier:
    """Read what belongs to the project itself: its people, and the head of its log. Raises ProjectError."""
    last = last or session.exec(_LAST).first()
    row = session.get(tables.Project, 1)
    if row is None:
        raise project_file.ProjectError("The project file does not name its project; restore it from a backup.")
    return ProjectDossier(
        uid=row.uid,
        name=row.name,
        keeper=row.keeper,
        minimum_assurance=row.minimum_assurance,
        now=project_file.now(),
        people={person.id: person for person in _all(session, tables.Person)},
        accounts=_all(session, tables.Account),
        keys=_all(session, tables.SshKey),
        play_names=frozenset(session.exec(select(tables.Play.name))),
        audit_size=last.seq if last else 0,
        audit_head=last.digest if last else "",
        audit_trouble=audit_log.chain_trouble(session) if thorough else "",
    )


def _rows_of(session: Session, play: tables.Play, logged: audit_log.Logged) -> dict[str, Any]:
    """Read the rows of a play; its own and the gate's are copied, as the rules judge what was while a caller edits."""
    of_play = partial(_theirs, session, play.id or 0)
    gate_row = session.get(tables.GateRow, play.id)
    if gate_row is not None:
        gate_row = tables.GateRow(**gate_row.model_dump())
    gate, gate_trouble = read_gate(gate_row)
    return {
        "play": tables.Play(**play.model_dump()),
        "roles": {holder.role: holder.person_id for holder in of_play(tables.RoleHolder, "role")},
        "builders": _builders(of_play(tables.Builder, "at"), logged),
        "worksheet": {value.name: value for value in of_play(tables.WorksheetValue, "name")},
        "gate": gate,
        "gate_row": gate_row,
        "gate_trouble": gate_trouble,
        "traffic": of_play(tables.Traffic),
        "data_sets": of_play(tables.DataSet),
        "opened": of_play(tables.OpenedRow, "at"),
        "terms": session.get(tables.ProviderTerms, play.id),
        "accepted": of_play(tables.AcceptedFinding, "at"),
        "runs": of_play(tables.Run),
        "evaluations": of_play(tables.Evaluation),
        "bundles": of_play(tables.Bundle),
        "feeds": of_play(tables.Feed),
        "watches": of_play(tables.Watch, "feed_id"),
        "remedies": of_play(tables.RemedyRow),
    }


def _verdicts(artifacts: Artifacts, dossier: PlayDossier, troubles: list[str]) -> dict[str, Any]:
    """Judge the record of this round, of the last that was judged before, and of what is live; add what is wrong."""
    gate, play, evaluation, known = dossier.gate, dossier.play, dossier.evaluation, dict[str, Any]()
    if gate is None:
        return {}
    if evaluation is not None:
        try:
            content = read_record(artifacts, evaluation.record)
            known["record"], known["judgements"] = judged(content, gates.to_json(gate))
        except (OSError, ValueError) as error:
            troubles.append(f"The record of evaluation {evaluation.id} cannot be used: {error}")
    before = [e for e in dossier.evaluations if not e.reproduced and e.round < play.round]
    of_live = [e for e in before if dossier.live is not None and e.round == dossier.live.round]
    for name, found in (("before", before), ("live", of_live)):
        if found:
            with suppress(OSError, ValueError):  # what cannot be read is not compared with; `verify` says what is wrong
                content = read_record(artifacts, found[-1].record)
                known[f"record_{name}"], known[f"judgements_{name}"] = judged(content, gates.to_json(gate))
    return known


def _signed(session: Session, play_id: int, project: ProjectDossier, logged: audit_log.Logged) -> dict[str, Any]:
    """Read the sign-offs, statements and spot checks, each with what the log and its signature say of it."""
    of_play = partial(_theirs, session, play_id)

    def head(size: object) -> str | None:
        there = isinstance(size, int) and 0 < size <= project.audit_size
        entry = session.get(tables.AuditEntry, size) if there else None
        return entry.digest if entry is not None else None

    keys, rows = project.keys, of_play(tables.SignOff)
    withdrawn = {row.sign_off_id for row in _all(session, tables.Withdrawal)} if rows else set()
    signed = of_play(tables.Statement)
    return {
        "spot_checks": tuple(row for row in of_play(tables.SpotCheck) if logged.has_spot_check(row)),
        "statements": tuple(audit_log.statement_facts(row, keys, head, logged) for row in signed),
        "sign_offs": tuple(audit_log.sign_off_facts(row, keys, head, row.id in withdrawn, logged) for row in rows),
    }


_LAST = select(tables.AuditEntry).order_by(col(tables.AuditEntry.seq).desc()).limit(1)
_NEWER = (
    select(tables.AuditEntry).where(tables.AuditEntry.seq > bindparam("after")).order_by(col(tables.AuditEntry.seq))
)
_DECIDING = _NEWER.where(
    tables.AuditEntry.play_id == bindparam("play"),
    col(tables.AuditEntry.action).in_(audit_log.DECIDES) | col(tables.AuditEntry.detail).contains('"signed"'),
)
_REVOKING = _NEWER.where(col(tables.AuditEntry.play_id).is_(None), tables.AuditEntry.action == Action.REVOKE_KEY)


@lru_cache
def _all_of(table: Any) -> Any:
    return select(table)


@lru_cache
def _of_play(table: Any, order: str) -> Any:
    return select(table).where(table.play_id == bindparam("play")).order_by(getattr(table, order))


def _logged(
    session: Session, play_id: int, last: tables.AuditEntry | None, told: dict[int, audit_log.Told]
) -> audit_log.Logged:
    """Read what the log says of a play: all of it once, then what came since; anew where it is another log."""
    nothing = audit_log.Told(audit_log.Logged(), 0, "")
    before = told.get(play_id, nothing)
    there = session.get(tables.AuditEntry, before.size) if before.size else None
    if there is None or there.digest != before.head:
        before = nothing
    if last is None or last.seq == before.size:
        return before.logged
    entries = [*session.exec(_DECIDING, params={"play": play_id, "after": before.size})]
    entries += session.exec(_REVOKING, params={"after": before.size})
    logged = before.logged.after(entries) if entries else before.logged
    told[play_id] = audit_log.Told(logged, last.seq, last.digest)
    return logged


def _validations(artifacts: Artifacts, dossier: PlayDossier) -> Iterator[tuple[int, gates.Record]]:
    """Read what the students that were evaluated did on the validation split; what cannot be read is not there."""
    for evaluation in dossier.evaluations:
        run = dossier.run(evaluation.run_id)
        with suppress(OSError, ValueError, AttributeError):
            digest = json.loads(run.result).get("validation") if run is not None else None
            if isinstance(digest, str):
                yield evaluation.run_id, record_of(artifacts.path(digest), digest)


def _builders(rows: tuple[tables.Builder, ...], logged: audit_log.Logged) -> dict[str, tuple[str, ...]]:
    """Whoever the table or the log names: to take a row away does not help."""
    deeds: dict[str, tuple[str, ...]] = {}
    for row in rows:
        deeds[row.person_id] = (*deeds.get(row.person_id, ()), row.deed)
    for person, logged_deeds in logged.builders.items():
        deeds[person] = tuple(dict.fromkeys((*deeds.get(person, ()), *logged_deeds)))
    return deeds


def _file_troubles(artifacts: Artifacts, dossier: PlayDossier) -> Iterator[str]:
    """Look at every file that this round's decision stands on."""
    wanted = [e.record for e in dossier.round_evaluations]
    wanted += [e.model for e in dossier.round_evaluations]
    if dossier.data_set is not None:
        wanted.append(dossier.data_set.artifact)
    for digest in dict.fromkeys(wanted):
        trouble = artifacts.trouble(digest)
        if trouble:
            yield trouble
