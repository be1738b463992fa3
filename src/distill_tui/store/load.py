"""Read all that is known of a project, and of a play: the dossier that rules and screens ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from distill_tui.gates.gate import Gate
from distill_tui.gates.record import Record
from distill_tui.rules import entities
from distill_tui.rules.dossier import LateJudgements, PlayDossier, ProjectDossier
from distill_tui.rules.entities import AuditEntry
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import NO_PLAY
from distill_tui.rules.results import train_result
from distill_tui.store import audit_log, project_file
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.records import judged, read_gate, read_record
from distill_tui.store.rows import first, select
from distill_tui.terms import Action

Logs = dict[int, audit_log.LogRead]  # by play: what its log entries say, as far as they were read


def load(
    connection: Any, artifacts: Artifacts, play_id: int, logs: Logs | None = None, *, thorough: bool = False
) -> PlayDossier:
    """Read everything that rules and screens need of a play, in the view of one connection. Raises Refused.

    `logs` is kept from one call to the next, so that a long log is read once; a thorough look reads all of it again.
    """
    last = first(connection, AuditEntry, "ORDER BY seq DESC")
    project = _project(connection, last, thorough=thorough)
    play = first(connection, entities.Play, "WHERE id = ?", play_id)
    if play is None:
        raise Refused([NO_PLAY])
    logged = _logged(connection, play_id, last, {} if thorough or logs is None else logs)
    dossier = PlayDossier(project=project, **_rows_of(connection, play, logged))
    troubles = list(_file_troubles(artifacts, dossier)) if thorough else []
    if thorough and not project.audit_trouble:
        project = replace(project, audit_trouble=next(logged.disagreements(dossier), ""))
    return replace(
        dossier,
        project=project,
        **_verdicts(artifacts, dossier, troubles),
        validations=dict(_validations(artifacts, dossier)),
        file_troubles=tuple(dict.fromkeys(troubles)),
        **_signed(connection, play_id, project, logged),
    )


def load_project(connection: Any, *, thorough: bool = False) -> ProjectDossier:
    """Read what belongs to the project itself: people, names of plays, the log's head. Raises ProjectError."""
    project = _project(connection, first(connection, AuditEntry, "ORDER BY seq DESC"), thorough=thorough)
    return replace(project, play_names=frozenset(name for (name,) in connection.execute("SELECT name FROM play")))


def _project(connection: Any, last: AuditEntry | None, *, thorough: bool) -> ProjectDossier:
    row = first(connection, entities.Project)
    if row is None:
        raise project_file.ProjectError("The project file does not name its project; restore it from a backup.")
    return ProjectDossier(
        uid=row.uid,
        name=row.name,
        keeper=row.keeper,
        minimum_assurance=row.minimum_assurance,
        now=project_file.now(),
        people={person.id: person for person in select(connection, entities.Person)},
        accounts=select(connection, entities.Account),
        keys=select(connection, entities.SshKey),
        audit_size=last.seq if last else 0,
        audit_head=last.digest if last else "",
        audit_trouble=audit_log.chain_trouble(connection) if thorough else "",
    )


def _of_play(connection: Any, play_id: int) -> Callable[..., Any]:
    def of_play(kind: type, order: str = "id") -> Any:
        return select(connection, kind, f"WHERE play_id = ? ORDER BY {order}", play_id)

    return of_play


def _rows_of(connection: Any, play: entities.Play, logged: audit_log.Logged) -> dict[str, Any]:
    of_play = _of_play(connection, play.id)
    gate_row = first(connection, entities.GateRow, "WHERE play_id = ?", play.id)
    gate, gate_trouble = read_gate(gate_row)
    return {
        "play": play,
        "roles": {holder.role: holder.person_id for holder in of_play(entities.RoleHolder, "role")},
        "builders": _builders(of_play(entities.Builder, "at"), logged),
        "worksheet": {value.name: value for value in of_play(entities.WorksheetValue, "name")},
        "gate": gate,
        "gate_row": gate_row,
        "gate_trouble": gate_trouble,
        "traffic": of_play(entities.Traffic),
        "data_sets": of_play(entities.DataSet),
        "opened": of_play(entities.OpenedRow, "at"),
        "terms": first(connection, entities.ProviderTerms, "WHERE play_id = ?", play.id),
        "accepted": of_play(entities.AcceptedFinding, "at"),
        "runs": of_play(entities.Run),
        "evaluations": of_play(entities.Evaluation),
        "bundles": of_play(entities.Bundle),
        "feeds": of_play(entities.Feed),
        "watches": of_play(entities.Watch, "feed_id"),
        "remedies": of_play(entities.RemedyRow),
    }


def _builders(rows: tuple[entities.Builder, ...], logged: audit_log.Logged) -> dict[str, tuple[str, ...]]:
    """Return the union of table and log, so that deleting a row hides no builder."""
    built: dict[str, tuple[str, ...]] = {}
    for row in rows:
        built[row.person_id] = (*built.get(row.person_id, ()), row.act)
    for person, actions in logged.builders.items():
        built[person] = tuple(dict.fromkeys((*built.get(person, ()), *actions)))
    return built


def _verdicts(artifacts: Artifacts, dossier: PlayDossier, troubles: list[str]) -> dict[str, Any]:
    """Judge the records of this round, of the last evaluation before it, and of the live student; collect troubles."""
    gate, play, evaluation, known = dossier.gate, dossier.play, dossier.evaluation, dict[str, Any]()
    if gate is None:
        return {}
    if evaluation is not None:
        try:
            known |= _late(artifacts, evaluation.record, gate)
        except (OSError, ValueError) as error:
            troubles.append(f"The record of evaluation {evaluation.id} cannot be used: {error}")
    before = [e for e in dossier.evaluations if not e.reproduced and e.round < play.round]
    of_live = [e for e in before if dossier.live is not None and e.round == dossier.live.round]
    for name, found in (("before", before), ("live", of_live)):
        if found:
            with suppress(OSError, ValueError):  # an unreadable record is not compared with; `verify` reports it
                known |= _late(artifacts, found[-1].record, gate, f"_{name}")
    return known


def _late(artifacts: Artifacts, digest: str, gate: Gate, which: str = "") -> dict[str, Any]:
    """Read a record, to be judged when its judgements are looked at. Raises OSError or ValueError."""
    record = read_record(artifacts, digest)
    return {f"record{which}": record, f"judgements{which}": LateJudgements(partial(judged, record, digest, gate))}


def _validations(artifacts: Artifacts, dossier: PlayDossier) -> Iterator[tuple[int, Record]]:
    """Read the validation records of the evaluated students; one that cannot be read is left out."""
    for evaluation in dossier.evaluations:
        run = dossier.run(evaluation.run_id)
        result = train_result(run) if run is not None else None
        if result is not None:
            with suppress(OSError, ValueError):
                yield evaluation.run_id, read_record(artifacts, result.validation)


def _signed(connection: Any, play_id: int, project: ProjectDossier, logged: audit_log.Logged) -> dict[str, Any]:
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
_REVOKING = f"WHERE seq > ? AND play_id IS NULL AND action = '{Action.REVOKE_KEY.value}' ORDER BY seq"


def _logged(connection: Any, play_id: int, last: AuditEntry | None, logs: Logs) -> audit_log.Logged:
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


def _file_troubles(artifacts: Artifacts, dossier: PlayDossier) -> Iterator[str]:
    """Check every file that this round's decision rests on."""
    wanted = [e.record for e in dossier.round_evaluations]
    wanted += [e.model for e in dossier.round_evaluations]
    if dossier.data_set is not None:
        wanted.append(dossier.data_set.artifact)
    for digest in dict.fromkeys(wanted):
        trouble = artifacts.trouble(digest)
        if trouble:
            yield trouble
