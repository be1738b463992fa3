"""Whether a project file goes on from what this account saw of it: restored, forked and torn files are noticed here.

What an account saw is kept outside the project (`people.log_heads`). A file that lacks it is read-only until its keeper
and one more person accept it; the two entries are in the log, so that every other account goes on from there, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from distill_tui.people import log_heads
from distill_tui.people.log_heads import Head
from distill_tui.rules import entities
from distill_tui.rules.dossier import Lineage, PlayDossier, ProjectDossier
from distill_tui.store import audit_log, sqlite
from distill_tui.store.rows import first, select
from distill_tui.store.sqlite import Connection
from distill_tui.terms import Action

_ACCEPTING = f"WHERE action = '{Action.ACCEPT_RESTORED.value}' ORDER BY seq"  # answered by an index of its own
_ENROLLED = f"SELECT seq FROM audit WHERE action = '{Action.ENROL_PERSON.value}' ORDER BY seq LIMIT 1"


_UNREADABLE: tuple[type[Exception], ...] = (TypeError, *sqlite.DatabaseErrors)


def read(connection: Connection, project: entities.Project, last: entities.AuditEntry | None) -> Lineage:
    """Compare the log with what this account saw of it, and remember where it ends if it goes on from there."""
    found = _accepted(connection, project.keeper)
    if last is None:
        return found
    before, now = log_heads.seen(project.uid), Head(last.seq, last.digest, found.accepted)
    if before is not None and before.size == now.size and before.digest == now.digest:
        return found
    if before is None or before.continued_by(audit_log.head(connection, before.size), found.accepted):
        log_heads.remember(project.uid, now)
        return found
    return Lineage(found.accepted, found.waiting, _trouble(before, now), before.size)


def trouble(path: Path) -> str:
    """Return why a project file is read-only, from a short look at it."""
    with sqlite.reading(path) as connection:
        project = first(connection, entities.Project)
        last = first(connection, entities.AuditEntry, "ORDER BY seq DESC")
        if project is None:
            return ""
        people = {person.id: person for person in select(connection, entities.Person)}
        found = read(connection, project, last)
    return ProjectDossier(
        uid=project.uid, name=project.name, keeper=project.keeper, people=people, lineage=found
    ).read_only


def wrote(seen: ProjectDossier | PlayDossier, entry: entities.AuditEntry) -> None:
    """Remember the entry that this account just committed, where the log before it was the one that it knows."""
    project = seen.project if isinstance(seen, PlayDossier) else seen
    if not project.lineage.trouble:
        log_heads.remember(project.uid, Head(entry.seq, entry.digest, project.lineage.accepted))


def accepted(entries: Iterable[entities.AuditEntry], keeper: str, enrolled: int | None = None) -> Lineage:
    """Return what the entries that accept a restored file come to; see `log_heads.accepted`."""
    found = (log_heads.Acceptance(each.seq, str(each.person_id), each.digest) for each in entries)
    return Lineage(*log_heads.accepted(found, keeper, enrolled))


def _trouble(before: Head, now: Head) -> str:
    if now.size < before.size:
        return (
            f"The audit log has {now.size} entries, and you have seen {before.size}: this file is an older copy, or "
            "part of its log was removed."
        )
    return (
        f"Entry {before.size} of the audit log is not the one that you have seen: the log was rewritten, or this is "
        "another copy of the project."
    )


def see_follows(path: Path) -> None:
    """See, before anything is written back, whether the write-ahead log goes on from the file that it is next to.

    Where the file alone has an entry that the two together lack, that entry is remembered as seen: from then on this
    file is one that was restored.
    """
    if not Path(f"{path}-wal").exists():
        return
    uri = path.absolute().as_uri()
    try:
        with closing(sqlite.module.connect(f"{uri}?mode=ro&immutable=1", uri=True)) as alone:
            (uid,) = alone.execute("SELECT uid FROM project").fetchone()
            size, digest = alone.execute("SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
        with closing(sqlite.connect(path, read_only=True)) as both:
            there = audit_log.head(both, size)
            (keeper,) = both.execute("SELECT keeper FROM project").fetchone()
            known = _accepted(both, str(keeper)).accepted
    except _UNREADABLE:  # a checkpoint was cut short: only the two together can be read
        return
    if there != digest:
        log_heads.remember(str(uid), Head(size, str(digest), known))


def _accepted(connection: Connection, keeper: str) -> Lineage:
    accepting = select(connection, entities.AuditEntry, _ACCEPTING)
    enrolled = connection.execute(_ENROLLED).fetchone() if accepting else None
    return accepted(accepting, keeper, enrolled[0] if enrolled else None)
