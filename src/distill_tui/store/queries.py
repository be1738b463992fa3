"""The questions that screens and commands ask. Plain values out; nothing is written."""

from __future__ import annotations

from typing import Any

from distill_tui.people import log_heads
from distill_tui.rules import entities
from distill_tui.rules.entities import AuditEntry, Run, RunPoint
from distill_tui.store import audit_log
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.rows import first, select
from distill_tui.terms import RunStatus


def find_play(project: Project, word: str) -> int:
    """Find a play by its code (P-007), its number or its name. Raises ProjectError with what there is."""
    with project.view() as connection:
        plays = connection.execute("SELECT id, name FROM play ORDER BY id").fetchall()
    for number, name in plays:
        if word in (str(number), name) or word.upper() in (f"P-{number:03d}", f"P-{number}"):
            return int(number)
    known = ", ".join(f"P-{number:03d} {name}" for number, name in plays[:20]) or "none yet"
    raise ProjectError(f"There is no play “{word}”; there are: {known}.")


def entries(project: Project, play_id: int | None = None, last: int | None = None) -> list[AuditEntry]:
    """Read audit entries, oldest first: of one play or of all, and only the last so many."""
    which = "WHERE play_id = ?" if play_id is not None else "WHERE ? IS NULL"
    with project.view() as connection:
        found = select(
            connection, AuditEntry, f"{which} ORDER BY seq DESC LIMIT ?", play_id, -1 if last is None else last
        )
    return list(reversed(found))


def untrustworthy(project: Project) -> list[str]:
    """Return what is wrong in any play: tables that differ from the log, and signed statements that do not hold."""
    found: list[str] = []
    for play in plays(project):
        dossier = project.dossier(play, thorough=True)
        troubles = [dossier.project.audit_trouble, dossier.gate_trouble]
        troubles += [facts.trouble for facts in dossier.sign_offs] + [facts.trouble for facts in dossier.statements]
        found += [trouble for trouble in troubles if trouble and trouble not in found]
    return found


def plays(project: Project) -> list[int]:
    with project.view() as connection:
        return [int(number) for (number,) in connection.execute("SELECT id FROM play ORDER BY id")]


def look_back(project: Project) -> str:
    """Return a sentence where the log does not continue what this account saw of it; else remember where it ends."""
    with project.view() as connection:
        last = first(connection, AuditEntry, "ORDER BY seq DESC")
        row = first(connection, entities.Project)
        if last is None or row is None:
            return ""
        before, now = log_heads.seen(row.uid), log_heads.Head(last.seq, last.digest)
        then = audit_log.head(connection, before.size) if before else None
    trouble = log_heads.trouble(row.uid, now, then)
    if not trouble and before != now:
        log_heads.remember(row.uid, now)
    return trouble


def log_since(project: Project, after: int, size: int) -> list[list[Any]]:
    """Return the entries after one up to another: the fields that their digests cover, and the digest of each."""
    with project.view() as connection:
        found = select(connection, AuditEntry, "WHERE seq > ? AND seq <= ? ORDER BY seq", after, size)
    return [[*audit_log.entry_fields(each), each.digest] for each in found]


def run(project: Project, run_id: int) -> Run | None:
    with project.view() as connection:
        return first(connection, Run, "WHERE id = ?", run_id)


def curve(project: Project, run_id: int) -> list[RunPoint]:
    """Return the points of a run's curve, in order."""
    with project.view() as connection:
        return list(select(connection, RunPoint, "WHERE run_id = ? ORDER BY step", run_id))


_ACTIVE = f"status IN ({', '.join(repr(status.value) for status in RunStatus if status.active)})"


def active_runs(project: Project) -> list[Run]:
    """Return the runs that a worker has, or is about to have."""
    with project.view() as connection:
        return list(select(connection, Run, f"WHERE {_ACTIVE}"))


def jobs(project: Project, last: int) -> list[tuple[Run, str]]:
    """Return the last runs of all plays with the play's code and name: the active ones first, then the newest."""
    with project.view() as connection:
        found = select(connection, Run, f"ORDER BY {_ACTIVE} DESC, id DESC LIMIT ?", last)
        names = dict(connection.execute("SELECT id, name FROM play"))
    return [(each, f"P-{each.play_id:03d} {names[each.play_id]}") for each in found]
