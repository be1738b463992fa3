"""The questions that screens and commands ask. Plain values out; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping

from distill_tui.rules.entities import AuditEntry, Run, RunPoint
from distill_tui.store import audit_log, cards, whole_check
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.rows import first, select
from distill_tui.terms import Action, RunStatus


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
    with project.view() as connection:
        found = list(whole_check.troubles(connection, project.artifacts))
        found += cards.false(connection, project.artifacts).values() if not found else []
    for play in plays(project):
        dossier = project.dossier(play)
        troubles = [dossier.gate_trouble, *dossier.file_troubles]
        troubles += [facts.trouble for facts in dossier.sign_offs] + [facts.trouble for facts in dossier.statements]
        found += [trouble for trouble in troubles if trouble and trouble not in found]
    return found


def revocations(project: Project) -> dict[str, int]:
    """Return the keys that were revoked, by fingerprint, with the entry of the log that did it."""
    with project.view() as connection:
        found = select(connection, AuditEntry, f"WHERE play_id IS NULL AND action = '{Action.REVOKE_KEY.value}'")
    return {str(audit_log.read_object(each.detail).get("fingerprint")): each.seq for each in found}


def enrolments(project: Project) -> dict[str, tuple[str, str]]:
    """Return who enrolled each person, account (“uid 7”) and key (its fingerprint), and when; from the log."""
    actions = ", ".join(f"'{each.value}'" for each in (Action.OPEN_PROJECT, *audit_log.ENROLS))
    with project.view() as connection:
        found = select(connection, AuditEntry, f"WHERE play_id IS NULL AND action IN ({actions}) ORDER BY seq")
    enrolled: dict[str, tuple[str, str]] = {}
    for each in found:
        detail, by = audit_log.read_object(each.detail), (each.person_id or "", each.at)
        enrolled.setdefault(str(detail.get("person", detail.get("keeper"))), by)
        enrolled |= {f"uid {detail['uid']}": by} if "uid" in detail else {}
        enrolled |= {str(detail["fingerprint"]): by} if "fingerprint" in detail else {}
    return enrolled


def proof(entry: AuditEntry, revoked: Mapping[str, int]) -> str:
    """Return how the person of an entry was proved, and whether that key was revoked before or after it."""
    at = audit_log.revocation(revoked.get(entry.proof.rpartition("key ")[2]), entry.seq)
    return f"{entry.proof} ({at})" if at else entry.proof


def plays(project: Project) -> list[int]:
    with project.view() as connection:
        return [int(number) for (number,) in connection.execute("SELECT id FROM play ORDER BY id")]


def read_only(project: Project) -> str:
    """Return a sentence where the file lacks what this account saw of it, or is not accepted yet; else empty."""
    return project.project_dossier().read_only


def log_since(project: Project, after: int, size: int) -> list[list[object]]:
    """Return entries after one up to another: number, content's digest, the digest before, and its own."""
    with project.view() as connection:
        found = select(connection, AuditEntry, "WHERE seq > ? AND seq <= ? ORDER BY seq", after, size)
    return [[each.seq, audit_log.content_digest(each), each.previous, each.digest] for each in found]


def acceptances(project: Project) -> list[list[object]]:
    """Return the entries that accept a restored file and the first entry, which names the keeper: number and content.

    Nothing where none was accepted.
    """
    with project.view() as connection:
        found = select(connection, AuditEntry, f"WHERE action = '{Action.ACCEPT_RESTORED.value}' ORDER BY seq")
        opened = select(connection, AuditEntry, "WHERE seq = 1") if found else ()
    return [[each.seq, audit_log.entry_fields(each)] for each in (*opened, *found)]


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
