"""The cards of plays in the project file: written by the door under the log's head, computed again where out of date.

A card is for showing only. It is valid while no later log entry names its play or, at `decide`, changes the roster.
"""

from __future__ import annotations

from functools import lru_cache

from distill_tui.digests import canonical
from distill_tui.gates.written import digest
from distill_tui.rules.card import edition
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.how_it_stands import stored_card
from distill_tui.rules.results import encode, known
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.glance import AGE, FILES, RECORDS, is_stale
from distill_tui.store.load import Logs, Stored, load
from distill_tui.store.records import Keyed
from distill_tui.store.sqlite import Connection

COLUMNS = (
    "play_id", "seq", "head", "edition", "roles", "quality", "saves", "passed", "signed_off", "word", "words",
    "next_step", "waits_for", "refresh_due", "run_id", "verdicts",
)  # fmt: skip


def write(connection: Connection, artifacts: Artifacts, play_id: int, logs: Logs | None = None) -> None:
    """Compute a play's card and keep it under the head of the log, in the caller's transaction."""
    query = f"REPLACE INTO play_card ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    connection.execute(query, _values(connection, artifacts, play_id, logs))


def _values(connection: Connection, artifacts: Artifacts, play_id: int, logs: Logs | None = None) -> tuple[object, ...]:
    """Compute the columns of a play's card."""
    dossier = load(connection, artifacts, play_id, logs, compare=False)
    (files,) = connection.execute(f"SELECT {FILES} FROM play WHERE id = ?", (play_id,)).fetchone()
    card = stored_card(dossier)
    return (
        play_id,
        dossier.project.audit_size,
        dossier.project.audit_head,
        edition(artifacts.folder, files),
        canonical(card.roles).decode(),
        card.quality,
        None if card.saves is None else str(card.saves),
        None if card.passed is None else int(card.passed),
        int(card.signed_off),
        *card.settled,
        card.next_step.value if card.next_step is not None else None,
        card.waits_for,
        card.refresh_due,
        card.run.id if card.run is not None else None,
        _verdicts(dossier),
    )


def _verdicts(dossier: PlayDossier) -> str:
    """Write the verdicts that this card was computed from; nothing where reading them would not give the same."""
    if dossier.evaluation is None or dossier.gate is None or not dossier.judgements:
        return ""
    found = Stored(dossier.evaluation.record, digest(dossier.gate), dossier.judgements)
    return _written(Keyed(f"{found.record} {found.gate}", found))


@lru_cache(maxsize=16)
def _written(found: Keyed[Stored]) -> str:
    text = encode(found.value)
    return text if known(Stored, text) == found.value else ""


def verdicts(connection: Connection, artifacts: Artifacts, play_id: int) -> Stored | None:
    """Read the verdicts of a card that is not out of date, so that showing them takes no scipy. For showing only."""
    query = f"SELECT {AGE}, verdicts FROM play LEFT JOIN play_card ON play_id = play.id WHERE play.id = ?"
    for *age, written in connection.execute(query, (play_id,)):
        return known(Stored, written) if written and not is_stale(artifacts, *age) else None
    return None


def write_signed(connection: Connection, artifacts: Artifacts, logs: Logs | None = None) -> None:
    """Write the cards at `decide` and live: who has which key, and how strongly, decides whether a sign-off counts."""
    for (play_id,) in connection.execute("SELECT id FROM play WHERE stage IN ('decide', 'live')").fetchall():
        write(connection, artifacts, play_id, logs)


def any_of_another_edition(connection: Connection, artifacts: Artifacts) -> bool:
    """Whether a card was computed by other code or with other files, as before an upgrade or in a copy."""
    found = connection.execute(f"SELECT edition, {FILES} FROM play_card JOIN play ON play.id = play_id")
    return any(computed_with != edition(artifacts.folder, records) for computed_with, records in found)


def stale(connection: Connection, artifacts: Artifacts) -> list[int]:
    """Return the plays whose cards are missing or out of date."""
    query = f"SELECT play.id, {AGE} FROM play LEFT JOIN play_card ON play_id = play.id"
    return [play_id for play_id, *known in connection.execute(query).fetchall() if is_stale(artifacts, *known)]


def false(connection: Connection, artifacts: Artifacts) -> dict[int, str]:
    """Return the plays whose cards another program wrote, each with a sentence.

    Cards that are out of date are not among them, nor those whose records are altered or gone: no card is known then.
    """
    outdated, found = set(stale(connection, artifacts)), {}
    shown = COLUMNS.index("roles")  # what is before it, the head of the log and the edition, is compared by `stale`
    for there in connection.execute(f"SELECT {', '.join(COLUMNS)} FROM play_card ORDER BY play_id").fetchall():
        play_id = int(there[0])
        if play_id in outdated or any(map(artifacts.trouble, _records(connection, play_id))):
            continue
        if there[shown:] != _values(connection, artifacts, play_id)[shown:]:
            found[play_id] = f"The card of P-{play_id:03d} is not what the rules say; `audit repair` writes it again."
    return found


def _records(connection: Connection, play_id: int) -> list[str]:
    """Return the digests of the records of a play's evaluations and of its students on validation."""
    (found,) = connection.execute(f"SELECT {RECORDS} FROM play WHERE id = ?", (play_id,)).fetchone() or (None,)
    return (found or "").split()
