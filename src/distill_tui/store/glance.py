"""One look at the whole project by plain sqlite3: the board's frames and `distill-tui list`.

It reads the cards that the door keeps (see `cards`); a card that is out of date is computed again, never shown. Reads
only. Imports neither SQLModel nor Textual, and rules and gates only where a card is out of date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from distill_tui.people import log_heads
from distill_tui.rules.card import Card, CardRun, edition
from distill_tui.store import gateway
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.sqlite import Connection, Words, reading
from distill_tui.terms import ABOUT_THE_ROSTER, Action, Metric, PlayKind, Role, RunKind, RunStatus, Stage, Task


@dataclass(frozen=True)
class Header:
    """The project in one line."""

    project: str
    keeper: str
    plays: int
    active: dict[int, int]  # the runs under way, each with its play
    stages: dict[Stage, int]  # how many plays stand in each
    head: int  # the log's newest entry

    @property
    def active_runs(self) -> int:
        """How many runs are under way."""
        return len(self.active)

    @property
    def killed(self) -> int:
        """How many plays were killed."""
        return self.stages.get(Stage.KILLED, 0)


def header(path: Path, before: Header | None = None) -> Header:
    """Read the project's name and counts; without a new log entry, `before` with the runs that are still active."""
    with reading(path) as connection:
        (head,) = connection.execute("SELECT coalesce(max(seq), 0) FROM audit").fetchone()
        if before is not None and before.head == head:
            return replace(before, active=_active(connection, before.active)) if before.active else before
        (name, keeper) = connection.execute("SELECT name, keeper FROM project").fetchone() or (path.stem, "")
        stages = {_STAGE[stage]: count for stage, count in connection.execute(_STAGES)}
        active = _active(connection)
    return Header(str(name), str(keeper), sum(stages.values()), active, stages, int(head))


def _active(connection: Connection, among: Iterable[int] | None = None) -> dict[int, int]:
    """Read the active runs, each with its play; no run begins without an entry in the log."""
    known = "" if among is None else f" AND id IN ({', '.join(map(str, among))})"
    return dict(connection.execute(f"SELECT id, play_id FROM run WHERE status IN ('queued', 'running'){known}"))


def whose(path: Path, uid: int) -> str | None:
    """Read which person an OS account belongs to."""
    with reading(path) as connection:
        row = connection.execute("SELECT person_id FROM account WHERE uid = ?", (uid,)).fetchone()
    return str(row[0]) if row else None


def holder(path: Path, fingerprint: str) -> str | None:
    """Read which person an SSH key belongs to; None for a revoked key."""
    query = "SELECT person_id FROM ssh_key WHERE fingerprint = ? AND revoked_at IS NULL"
    with reading(path) as connection:
        row = connection.execute(query, (fingerprint,)).fetchone()
    return str(row[0]) if row else None


def names(path: Path) -> frozenset[str]:
    """Read the names of all plays."""
    with reading(path) as connection:
        return frozenset(str(name) for (name,) in connection.execute("SELECT name FROM play"))


def has_play(path: Path, play: int) -> bool:
    """Whether there is such a play."""
    with reading(path) as connection:
        return connection.execute("SELECT 1 FROM play WHERE id = ?", (play,)).fetchone() is not None


def neighbour(path: Path, play: int, by: int) -> int | None:
    """Read the next play by number (`by` 1), or the previous one (-1), around the ends; None if there is no other."""
    first, beyond = ("min", ">") if by > 0 else ("max", "<")
    query = f"SELECT coalesce((SELECT {first}(id) FROM play WHERE id {beyond} ?), (SELECT {first}(id) FROM play))"
    with reading(path) as connection:
        (other,) = connection.execute(query, (play,)).fetchone()
    return None if other in (None, play) else int(other)


def in_doubt(path: Path) -> bool:
    """Whether this account saw what the log lacks, or a restored file was ever accepted: `lineage` says more."""
    with reading(path) as connection:
        (uid,) = connection.execute("SELECT uid FROM project").fetchone() or ("",)
        before = log_heads.seen(str(uid))
        at = before and connection.execute("SELECT digest FROM audit WHERE seq = ?", (before.size,)).fetchone()
        if before is not None and at != (before.digest,):
            return True
        return connection.execute(_ACCEPTED).fetchone() is not None


_ACCEPTED = f"SELECT 1 FROM audit WHERE action = '{Action.ACCEPT_RESTORED.value}' LIMIT 1"


def touched(path: Path, since: int) -> set[int]:
    """Read the plays that the log names after its entry `since`."""
    with reading(path) as connection:
        return {play for (play,) in connection.execute(_TOUCHED, (since,))}


def cards(path: Path, *, first: int = 0, only: Iterable[int] | None = None) -> list[Card]:
    """Read a card for every play, oldest first, all of one moment; or of each stage's first few; or of some `only`."""
    today = datetime.now(UTC).date().isoformat()
    with reading(path) as connection:
        which = "1" if only is None else f"play.id IN ({', '.join(str(int(play)) for play in only)})"
        if first:
            which = f"play.id IN ({_FIRST.format(int(first))})"
        known: dict[str, dict[Role, str]] = {}  # ten thousand plays have few sets of people
        artifacts = Artifacts(path.parent / f"{path.name}.artifacts")
        rows = connection.execute(f"{_CARDS} WHERE {which} ORDER BY play.id").fetchall()
        found = [
            _computed(connection, artifacts, row[3]) if is_stale(artifacts, *row[:3]) else _card(row[3:], known)
            for row in rows
        ]
    if gateway.any_served(path):
        for card in found:
            now = gateway.read(path, card.code)
            if now is not None and now.running:
                card.per_minute, card.served = now.per_minute, now.words
    return [card.on(today) for card in found]


def _computed(connection: Connection, artifacts: Artifacts, play_id: int) -> Card:
    from distill_tui.rules.how_it_stands import stored_card
    from distill_tui.store.load import load

    return stored_card(load(connection, artifacts, play_id))


def is_stale(artifacts: Artifacts, stale: int, computed_with: int | None, records: str | None) -> bool:
    """Whether a card is out of date: by the log, or because code or files are others than when it was computed."""
    return bool(stale) or computed_with != edition(artifacts.folder, records)


_STAGES = "SELECT stage, count(*) FROM play GROUP BY stage"

_TOUCHED = "SELECT DISTINCT play_id FROM audit WHERE seq > ? AND play_id IS NOT NULL"

_FIRST = """SELECT id FROM
    (SELECT id, row_number() OVER (PARTITION BY stage ORDER BY id) AS place FROM play) WHERE place <= {}"""

_ROSTER = ", ".join(f"'{action.value}'" for action in ABOUT_THE_ROSTER)

# The records from which a play's verdicts are computed: of its evaluations, and of their students on validation.
RECORDS = """(SELECT group_concat(record, ' ') FROM (
    SELECT record FROM evaluation WHERE evaluation.play_id = play.id UNION
    SELECT result ->> '$.validation' FROM run WHERE id IN (SELECT run_id FROM evaluation WHERE play_id = play.id)))"""
FILES = f"CASE stage WHEN 'decide' THEN {RECORDS} END"  # that the next step depends on

# A card is out of date where a later entry names its play or, at `decide`, changes the roster; where the log is another
# than the one that it was computed at; and where its edition is another (see `is_stale`).
STALE = f"""(play_card.seq IS NULL
    OR play_card.seq < (SELECT coalesce(max(seq), 0) FROM audit WHERE audit.play_id = play.id)
    OR play.stage = 'decide' AND play_card.seq <
        (SELECT coalesce(max(seq), 0) FROM audit WHERE audit.play_id IS NULL AND action IN ({_ROSTER}))
    OR play_card.head IS NOT (SELECT digest FROM audit WHERE audit.seq = play_card.seq))"""

# What a headline can be besides the share of right answers: `gates.gate.SCORED` without those of one label each
# (`tests/test_headline.py` compares them). The gate is not imported for a first screen.
SCORED = (
    *(Metric.BRIER, Metric.HAMMING, Metric.MAE, Metric.WITHIN_ONE, Metric.FIELD_F1, Metric.CHRF),
    *(Metric.MICRO_F1, Metric.MACRO_F1, Metric.KAPPA, Metric.SPEARMAN),
)
_SCORED = ", ".join(f"'{each}'" for each in SCORED)

AGE = f"{STALE}, edition, {FILES}"  # what `is_stale` asks of a play and its card

_CARDS = f"""
SELECT {AGE},
    play.id, name, play.kind, stage, play.round, stage_since, summary, roles, quality, saves, passed, signed_off, word,
    words, next_step, waits_for, refresh_due, run.id, run.kind, run.status, run.step, run.total,
    (SELECT currency FROM project),
    CASE WHEN quality IS NOT NULL THEN
        (SELECT play.task || ' ' || json_extract(content, '$.criteria') FROM gate WHERE gate.play_id = play.id
            AND (play.task IN ('multilabel', 'score') OR EXISTS (SELECT 1 FROM json_each(content, '$.criteria')
                WHERE json_extract(value, '$.metric') IN ({_SCORED})))) END
FROM play
LEFT JOIN play_card ON play_card.play_id = play.id
LEFT JOIN run ON run.id = coalesce(
    (SELECT max(id) FROM run AS active WHERE active.play_id = play.id AND active.status IN ('queued', 'running')),
    play_card.run_id)
"""

_KIND, _STAGE, _ROLE, _ACTION = Words(PlayKind), Words(Stage), Words(Role), Words(Action)
_RUN_KIND, _RUN_STATUS = Words(RunKind), Words(RunStatus)


def _card(row: tuple[Any, ...], known: dict[str, dict[Role, str]]) -> Card:
    id, name, kind, stage, number, since, summary, written, quality, saves, passed, signed_off = row[:12]
    word, words, step, waits_for, due, run_id, run_kind, status, done, total, currency, judged = row[12:]
    roles = known.get(written)
    if roles is None:
        roles = known[written] = {_ROLE[role]: person for role, person in json.loads(written).items()}
    return Card(
        id,
        name,
        _KIND[kind],
        _STAGE[stage],
        number,
        since,
        summary,
        roles,
        quality,
        None if saves is None else Decimal(saves),
        None if passed is None else bool(passed),
        bool(signed_off),
        (word, words),
        None if step is None else _ACTION[step],
        waits_for,
        due,
        None if run_id is None else CardRun(run_id, _RUN_KIND[run_kind], _RUN_STATUS[status], done, total),
        currency,
        measure="" if judged is None else _measure(judged),
    )


@lru_cache
def _measure(judged: str) -> str:
    """Return the metric of a play, by its task and the criteria of its gate; empty for the share of right answers."""
    headline = import_module("distill_tui.gates.headline")  # a board of shares of right answers does without the gate
    task, _, criteria = judged.partition(" ")
    metric = headline.metric_in(json.loads(criteria), Task(task))
    return "" if metric in (Metric.ACCURACY, Metric.AGREEMENT) else str(metric)
