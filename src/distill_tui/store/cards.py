"""The cards of plays in the project file: written by the door under the log's head, computed again where out of date.

A card is for showing only. It is valid while no later log entry names its play or, at `decide`, changes the roster.
"""

from __future__ import annotations

import json
from typing import Any

from distill_tui.rules.card import edition
from distill_tui.rules.how_it_stands import stored_card
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.glance import RECORDS, STALE, is_stale
from distill_tui.store.load import Logs, load

COLUMNS = (
    "play_id", "seq", "head", "edition", "roles", "quality", "saves", "passed", "signed_off", "word", "words",
    "next_step", "waits_for", "refresh_due", "run_id",
)  # fmt: skip


def write(connection: Any, artifacts: Artifacts, play_id: int, logs: Logs | None = None) -> None:
    """Compute a play's card and keep it under the head of the log, in the caller's transaction."""
    dossier = load(connection, artifacts, play_id, logs)
    (records,) = connection.execute(f"SELECT {RECORDS} FROM play WHERE id = ?", (play_id,)).fetchone()
    card = stored_card(dossier)
    values = (
        play_id,
        dossier.project.audit_size,
        dossier.project.audit_head,
        edition(artifacts.folder, records),
        json.dumps(card.roles, sort_keys=True),
        card.quality,
        None if card.saves is None else str(card.saves),
        None if card.passed is None else int(card.passed),
        int(card.signed_off),
        *card.settled,
        card.next_step.value if card.next_step is not None else None,
        card.waits_for,
        card.refresh_due,
        card.run.id if card.run is not None else None,
    )
    query = f"REPLACE INTO play_card ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    connection.execute(query, values)


def write_deciding(connection: Any, artifacts: Artifacts, logs: Logs | None = None) -> None:
    """Write the cards at `decide`: who has which key, and how strongly, decides whether a sign-off counts."""
    for (play_id,) in connection.execute("SELECT id FROM play WHERE stage = 'decide'").fetchall():
        write(connection, artifacts, play_id, logs)


def any_of_another_edition(connection: Any, artifacts: Artifacts) -> bool:
    """Whether a card was computed by other code or with other files, as before an upgrade or in a copy."""
    found = connection.execute(f"SELECT edition, {RECORDS} FROM play_card JOIN play ON play.id = play_id")
    return any(computed_with != edition(artifacts.folder, records) for computed_with, records in found)


def stale(connection: Any, artifacts: Artifacts) -> list[int]:
    """Return the plays whose cards are missing or out of date."""
    query = f"SELECT play.id, {STALE}, edition, {RECORDS} FROM play LEFT JOIN play_card ON play_id = play.id"
    return [play_id for play_id, *known in connection.execute(query).fetchall() if is_stale(artifacts, *known)]
