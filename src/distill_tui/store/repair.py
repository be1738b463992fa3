"""Put back what the log says: its rows into the tables, and this release's guards into the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from distill_tui.rules.actor import Actor
from distill_tui.rules.dossier import ProjectDossier
from distill_tui.rules.objection import Refused
from distill_tui.rules.permission import objections
from distill_tui.store import audit_log, deciding, fold, migrations, project_file, whole_check
from distill_tui.store.project_file import ProjectError
from distill_tui.store.sqlite import Connection
from distill_tui.terms import Action


def repair(connection: Connection, who: Callable[[ProjectDossier], Actor]) -> list[str]:
    """Repair a file in the caller's transaction, log it, and return a sentence for each change.

    `who` finds the actor among the people that the log names, not those of the tables. Raises Refused, and ProjectError
    where the log itself does not hold, because nothing is left then that could be trusted.
    """
    known = whole_check.replay(connection)
    if known.troubles:
        raise ProjectError(
            f"{known.troubles[0]} The log itself cannot be trusted, so nothing can be repaired from it: restore the "
            "file from a backup."
        )
    actor = who(known.project())
    reasons = objections(Action.REPAIR, known.project(), actor)
    if reasons:
        raise Refused(reasons)
    connection.execute("PRAGMA defer_foreign_keys=ON")
    said = list(_drop_guards(connection))
    try:
        said += fold.repair(connection, fold.differences(connection, known.fold))
    except ValueError as error:
        raise ProjectError(str(error)) from None
    _add_guards(connection)
    if said:
        connection.execute("DELETE FROM play_card")
        deciding.watch(connection)
        audit_log.append(connection, project_file.now(), actor, Action.REPAIR, None, {"changed": said})
    return said


def _drop_guards(connection: Connection) -> Iterator[str]:
    """Drop every trigger and index, so that rows can be put back; yield what was not as this release makes it."""
    found, wanted = migrations.schema(connection), migrations.expected_schema()
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            there, made = found.get(name, ""), wanted.get(name, "")
            if not (there or made).startswith(("CREATE TRIGGER", "CREATE INDEX")):
                raise ProjectError(f"The table “{name}” is not as this release makes it; only a backup can mend that.")
            how = "was missing" if not there else "was added" if not made else "was changed"
            yield f"The guard “{name}” {how}."
    for name, text in found.items():
        if text.startswith(("CREATE TRIGGER", "CREATE INDEX")):
            connection.execute(f'DROP {text.split()[1]} "{name}"')


def _add_guards(connection: Connection) -> None:
    for text in migrations.expected_schema().values():
        if text.startswith(("CREATE TRIGGER", "CREATE INDEX")):
            connection.execute(text)
