"""Read all that is known of a project, and of a play: the dossier that rules and screens ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from distill_tui.gates.record import Record
from distill_tui.rules import entities
from distill_tui.rules.dossier import Lineage, PlayDossier, ProjectDossier, read_list
from distill_tui.rules.entities import AuditEntry
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import NO_PLAY
from distill_tui.rules.results import train_result
from distill_tui.store import audit_log, exposure, lineage, project_file, whole_check
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.looks import Stored as Stored
from distill_tui.store.looks import look
from distill_tui.store.records import read_content, read_gate, read_record
from distill_tui.store.rows import first, select
from distill_tui.store.sqlite import Connection
from distill_tui.terms import Action

Logs = dict[int, audit_log.LogRead]  # by play: what its log entries say, as far as they were read


def load(
    connection: Connection,
    artifacts: Artifacts,
    play_id: int,
    logs: Logs | None = None,
    *,
    thorough: bool = False,
    stored: Stored | None = None,
    compare: bool = True,
) -> PlayDossier:
    """Read everything that rules and screens need of a play, in the view of one connection. Raises Refused.

    `logs` is kept from one call to the next, so that a long log is read once; a thorough look reads all of it again.
    `stored` are verdicts to show while the record is whole; what decides computes them. Without `compare` the tables
    are not compared with the log: to show a card, or right after the entry was written.
    """
    last = first(connection, AuditEntry, "ORDER BY seq DESC")
    project = _project(connection, last, artifacts if thorough else None, compare=compare)
    play = first(connection, entities.Play, "WHERE id = ?", play_id)
    if play is None:
        raise Refused([NO_PLAY])
    if compare:
        project = replace(
            project,
            tables_trouble=project.tables_trouble or audit_log.tables_trouble(connection, play_id),
            exposed=exposure.trouble(artifacts.project),
        )
    logged = _logged(connection, play_id, last, {} if thorough or logs is None else logs)
    dossier = PlayDossier(project=project, **_rows_of(connection, play, logged))
    troubles = list(_file_troubles(artifacts, dossier, thorough=thorough))
    now = [dossier.evaluation] if dossier.evaluation is not None else []
    before = [e for e in dossier.evaluations if not e.reproduced and e.round < play.round]
    return replace(
        dossier,
        project=project,
        looked=look(artifacts, dossier, now, None if troubles else stored),
        before=look(artifacts, dossier, before),
        of_live=look(artifacts, dossier, [e for e in before if dossier.live and e.round == dossier.live.round]),
        validation=_validation(artifacts, dossier),
        file_troubles=tuple(dict.fromkeys(troubles)),
        **_signed(connection, play_id, project, logged),
    )


def load_project(connection: Connection, artifacts: Artifacts | None = None) -> ProjectDossier:
    """Read what belongs to the project itself: people, names of plays, the log's head. Raises ProjectError.

    With the artifacts the look is thorough: the whole file is compared with its log.
    """
    project = _project(connection, first(connection, AuditEntry, "ORDER BY seq DESC"), artifacts)
    return replace(project, play_names=frozenset(name for (name,) in connection.execute("SELECT name FROM play")))


def _project(
    connection: Connection, last: AuditEntry | None, artifacts: Artifacts | None, *, compare: bool = True
) -> ProjectDossier:
    row = first(connection, entities.Project)
    if row is None:
        raise project_file.ProjectError("The project file does not name its project; restore it from a backup.")
    return ProjectDossier(
        uid=row.uid,
        name=row.name,
        keeper=row.keeper,
        minimum_assurance=row.minimum_assurance,
        forbids=frozenset(read_list(row.forbids)),
        currency=row.currency,
        gates_locked=bool(connection.execute("SELECT 1 FROM gate WHERE locked_at IS NOT NULL LIMIT 1").fetchone()),
        on_alarm=tuple(read_list(row.on_alarm)),
        webhook=row.webhook,
        now=project_file.now(),
        people={person.id: person for person in select(connection, entities.Person)},
        accounts=select(connection, entities.Account),
        keys=select(connection, entities.SshKey),
        audit_size=last.seq if last else 0,
        audit_head=last.digest if last else "",
        tables_trouble=audit_log.tables_trouble(connection, None) if compare else "",
        lineage=lineage.read(connection, row, last) if compare else Lineage(),
        audit_trouble=whole_check.trouble(connection, artifacts) if artifacts is not None else "",
    )


def _of_play(connection: Connection, play_id: int) -> Callable[..., Any]:
    def of_play(kind: type, order: str = "id") -> Any:
        return select(connection, kind, f"WHERE play_id = ? ORDER BY {order}", play_id)

    return of_play


def _rows_of(connection: Connection, play: entities.Play, logged: audit_log.Logged) -> dict[str, Any]:
    of_play = _of_play(connection, play.id)
    gate_row = first(connection, entities.GateRow, "WHERE play_id = ?", play.id)
    gate, gate_trouble = read_gate(gate_row)
    return {
        "play": play,
        "roles": {holder.role: holder.person_id for holder in of_play(entities.RoleHolder, "role")},
        "builders": audit_log.builders(of_play(entities.Builder, "at"), logged),
        "worksheet": {value.name: value for value in of_play(entities.WorksheetValue, "name")},
        "gate": gate,
        "gate_row": gate_row,
        "gate_trouble": gate_trouble,
        "traffic": of_play(entities.Traffic),
        "data_sets": of_play(entities.DataSet),
        "opened": of_play(entities.OpenedRow, "at"),
        "terms": first(connection, entities.ProviderTerms, "WHERE play_id = ?", play.id),
        "accepted": of_play(entities.AcceptedFinding, "at"),
        "dropped": of_play(entities.DroppedRow, "at"),
        "runs": of_play(entities.Run),
        "evaluations": of_play(entities.Evaluation),
        "bundles": of_play(entities.Bundle),
        "feeds": of_play(entities.Feed),
        "watches": of_play(entities.Watch, "feed_id"),
        "remedies": of_play(entities.RemedyRow),
        "serving": logged.serving,
        "after_ship": tuple(logged.after_ship),
        "late_roles": tuple(logged.late_roles),
        "enrolled_by": {person: tuple(by) for person, by in logged.enrolled_by.items()},
    }


def _validation(artifacts: Artifacts, dossier: PlayDossier) -> Callable[[int], Record | None]:
    """Return a reader of the evaluated students' validation records by run; None for one that cannot be read."""

    def read(run_id: int) -> Record | None:
        run = dossier.run(run_id)
        result = train_result(run) if run is not None else None
        with suppress(OSError, ValueError):
            return read_record(artifacts, result.validation) if result is not None else None
        return None

    return read


def _signed(connection: Connection, play_id: int, project: ProjectDossier, logged: audit_log.Logged) -> dict[str, Any]:
    """Read the sign-offs, statements and spot checks, each checked against the log and its signature."""
    of_play, keys = _of_play(connection, play_id), project.keys
    head = partial(audit_log.head, connection)
    rows = of_play(entities.SignOff)
    withdrawn = {number for (number,) in connection.execute("SELECT sign_off_id FROM withdrawal")} if rows else set()
    signed = of_play(entities.Statement)
    return {
        "spot_checks": tuple(row for row in of_play(entities.SpotCheck) if logged.has_spot_check(row)),
        "statements": tuple(audit_log.statement_facts(row, keys, head, logged) for row in signed),
        "sign_offs": tuple(audit_log.sign_off_facts(row, keys, head, row.id in withdrawn, logged) for row in rows),
    }


_DECIDING = f"""WHERE seq > ? AND play_id = ?
    AND (action IN ({", ".join(f"'{action.value}'" for action in audit_log.DECIDES)}) OR instr(detail, '"signed"'))
    ORDER BY seq"""
_ROSTER = ", ".join(f"'{action.value}'" for action in (Action.REVOKE_KEY, *audit_log.ENROLS))
_REVOKING = f"WHERE seq > ? AND play_id IS NULL AND action IN ({_ROSTER}) ORDER BY seq"


def _logged(connection: Connection, play_id: int, last: AuditEntry | None, logs: Logs) -> audit_log.Logged:
    """Read what the log says of a play: all of it once, then the newer entries; from the start in another log."""
    nothing = audit_log.LogRead(audit_log.Logged(), 0, "")
    before = logs.get(play_id, nothing)
    if audit_log.head(connection, before.size) != before.head:
        before = nothing
    if last is None or last.seq == before.size:
        return before.logged
    entries = select(connection, AuditEntry, _DECIDING, before.size, play_id)
    entries += select(connection, AuditEntry, _REVOKING, before.size)
    logged = before.logged.after(entries) if entries else before.logged
    logs[play_id] = audit_log.LogRead(logged, last.seq, last.digest)
    return logged


def _file_troubles(artifacts: Artifacts, dossier: PlayDossier, *, thorough: bool) -> Iterator[str]:
    """Check this round's record, and thoroughly every file that its decision rests on."""
    now = dossier.evaluation
    if now is not None and dossier.gate is not None:
        try:
            (read_record if thorough else read_content)(artifacts, now.record)
        except (OSError, ValueError) as error:
            yield f"The record of evaluation {now.id} cannot be used: {error}"
    if not thorough:
        return
    wanted = [e.record for e in dossier.round_evaluations]
    wanted += [e.model for e in dossier.round_evaluations]
    if dossier.data_set is not None:
        wanted.append(dossier.data_set.artifact)
    for digest in dict.fromkeys(wanted):
        trouble = artifacts.trouble(digest)
        if trouble:
            yield trouble
