"""The cards of plays in the project file: written by the door under the log's head, computed again where out of date.

A card is for showing only. It is valid while no later log entry names its play or, at `decide`, changes the roster.
"""

from __future__ import annotations

import json
from typing import Any

from distill_tui.rules.card import EDITION
from distill_tui.rules.how_it_stands import stored_card
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.glance import STALE
from distill_tui.store.load import Logs, load

COLUMNS = (
    "play_id", "seq", "head", "edition", "roles", "quality", "saves", "passed", "signed_off", "word", "words",
    "next_step", "waits_for", "refresh_due", "run_id",
)  # fmt: skip


def write(connection: Any, artifacts: Artifacts, play_id: int, logs: Logs | None = None) -> None:
    """Compute a play's card and keep it under the head of the log, in the caller's transaction."""
    dossier = load(connection, artifacts, play_id, logs)
    card = stored_card(dossier)
    values = (
        play_id,
        dossier.project.audit_size,
        dossier.project.audit_head,
        EDITION,
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


def any_of_other_rules(connection: Any) -> bool:
    """Whether a card was computed by another edition of the rules, as before an upgrade."""
    query = "SELECT 1 FROM play_card WHERE edition <> ? LIMIT 1"
    return connection.execute(query, (EDITION,)).fetchone() is not None


def write_stale(connection: Any, artifacts: Artifacts) -> int:
    """Write the cards that are missing or out of date; return how many there were."""
    stale = connection.execute(f"SELECT play.id FROM play LEFT JOIN play_card ON play_id = play.id WHERE {STALE}")
    plays = [play_id for (play_id,) in stale.fetchall()]
    for play_id in plays:
        write(connection, artifacts, play_id)
    return len(plays)
