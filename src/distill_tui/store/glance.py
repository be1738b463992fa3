"""One look at the whole project by plain sqlite3: the board's frames and `distill-tui list`.

SQLModel takes about a second to import, so whatever only looks goes through here. Nothing is decided: what a card
says is a summary of its rows, and `rules` is asked before anything happens. Reads only; imports neither SQLModel nor
Textual.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from distill_tui.gates import economics
from distill_tui.store import sqlite
from distill_tui.terms import FIVE_STAGES, Opinion, PlayKind, Role, RunKind, RunStatus, Stage, Standing

T = TypeVar("T", bound=str)
ENDED_EARLY = (RunStatus.STOPPED, RunStatus.FAILED, RunStatus.LOST)


@dataclass(frozen=True)
class RunGlance:
    """The run of a card: the active one, else the newest of this round."""

    id: int
    kind: RunKind
    status: RunStatus
    step: int
    total: int

    @property
    def share(self) -> float | None:
        """How much of it is done, 0 to 1; None where nobody knows."""
        return min(1.0, self.step / self.total) if self.total else None


@dataclass
class Card:
    """What the board shows of one play. Nobody changes one; not frozen, for that takes ten thousand 40 ms more."""

    id: int
    name: str
    kind: PlayKind
    stage: Stage
    round: int
    stage_since: str
    summary: str = ""
    outcome: str = ""
    teacher_source: str = ""
    maintained: bool = False  # sampling budget and refresh cadence are set
    roles: dict[Role, str] = field(default_factory=dict)
    worksheet: dict[str, str] = field(default_factory=dict)  # as it was written
    gate_written: bool = False
    gate_locked: bool = False
    traffic: int = 0  # rows imported
    data_built: bool = False  # of this round, like all below
    data_frozen: bool = False
    run: RunGlance | None = None
    trained: bool = False
    quality: float | None = None  # the best student's score on the validation split
    passed: bool | None = None  # the evaluation of this round, where there is one
    approved: int = 0
    refused: int = 0
    standing: Standing = Standing.STEADY  # of the live student
    diverges: str = ""  # where it diverges first
    overdue: bool = False  # its refresh is due, and none is under way

    @cached_property
    def code(self) -> str:
        """The short id that people type."""
        return f"P-{self.id:03d}"

    @cached_property
    def text(self) -> str:
        """What a filter looks in, in lower case."""
        return "\n".join((self.code, self.name, self.kind.value, *self.roles.values())).lower()

    @cached_property
    def numbers(self) -> dict[str, Decimal]:
        """The numbers of the worksheet that can be read."""
        read = {}
        for name, value in self.worksheet.items():
            try:
                number = Decimal(value)
            except InvalidOperation:
                continue
            if number.is_finite():
                read[name] = number
        return read

    @cached_property
    def saves(self) -> Decimal | None:
        """What a student saves a month at most, by the worksheet: where its own answers cost nothing."""
        try:
            return economics.monthly_saving(economics.Prices.from_values(self.numbers), Decimal(0))
        except ValueError:
            return None

    @cached_property
    def state(self) -> tuple[str, str]:
        """How it stands: a word that has a mark (`holds`, `misses`, `waiting`, `running` …), and a few words."""
        if self.stage is Stage.LIVE:
            return _live(self)
        if self.stage is Stage.KILLED:
            return self.stage.value, self.stage.value
        if self.run is not None and self.run.status.active:
            return _running(self.run)
        if self.run is not None and self.run.status in ENDED_EARLY:
            return self.run.status.value, f"{self.run.kind.value} {self.run.status.value}"
        return _STATES[self.stage](self)

    @property
    def turn(self) -> Role | None:
        """Whose turn it is, as far as a glance tells."""
        if self.stage is Stage.LIVE and (self.standing is Standing.ALARM or self.overdue):
            return Role.OPERATOR
        if self.stage in (Stage.LIVE, Stage.KILLED):
            return None
        if self.stage is Stage.GATE and self.gate_written and len(self.roles) == len(Role):
            return Role.SPONSOR
        if self.stage is Stage.DECIDE and self.passed and self.maintained and not self.approved:
            return Role.VALIDATOR
        return Role.DRIVER

    @property
    def waits(self) -> str | None:
        """The person whose turn it is."""
        turn = self.turn
        return self.roles.get(turn) if turn is not None else None


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
    """Give the project's name and its counts; `before` holds while the log stands still, but for runs that ended."""
    with _reading(path) as connection:
        (head,) = connection.execute("SELECT coalesce(max(seq), 0) FROM audit").fetchone()
        if before is not None and before.head == head:
            return replace(before, active=_active(connection, before.active)) if before.active else before
        (name, keeper) = connection.execute("SELECT name, keeper FROM project").fetchone() or (path.stem, "")
        stages = {_STAGE[stage]: count for stage, count in connection.execute(_STAGES)}
        active = _active(connection)
    return Header(str(name), str(keeper), sum(stages.values()), active, stages, int(head))


def _active(connection: Any, among: Iterable[int] | None = None) -> dict[int, int]:
    """Give the runs under way, each with its play; no run begins without an entry in the log."""
    known = "" if among is None else f" AND id IN ({', '.join(map(str, among))})"
    return dict(connection.execute(f"SELECT id, play_id FROM run WHERE status IN ('queued', 'running'){known}"))


def whose(path: Path, uid: int) -> str | None:
    """Give the person that an OS account belongs to."""
    with _reading(path) as connection:
        row = connection.execute("SELECT person_id FROM account WHERE uid = ?", (uid,)).fetchone()
    return str(row[0]) if row else None


def holder(path: Path, fingerprint: str) -> str | None:
    """Give the person that an SSH key belongs to; a revoked key is nobody's."""
    query = "SELECT person_id FROM ssh_key WHERE fingerprint = ? AND revoked_at IS NULL"
    with _reading(path) as connection:
        row = connection.execute(query, (fingerprint,)).fetchone()
    return str(row[0]) if row else None


def names(path: Path) -> frozenset[str]:
    """Give the names of all plays."""
    with _reading(path) as connection:
        return frozenset(str(name) for (name,) in connection.execute("SELECT name FROM play"))


def has_play(path: Path, play: int) -> bool:
    """Whether there is such a play."""
    with _reading(path) as connection:
        return connection.execute("SELECT 1 FROM play WHERE id = ?", (play,)).fetchone() is not None


def neighbour(path: Path, play: int, by: int) -> int | None:
    """Give the next play by number (`by` 1), or the previous one (-1), round the ends; None where there is no other."""
    first, beyond = ("min", ">") if by > 0 else ("max", "<")
    query = f"SELECT coalesce((SELECT {first}(id) FROM play WHERE id {beyond} ?), (SELECT {first}(id) FROM play))"
    with _reading(path) as connection:
        (other,) = connection.execute(query, (play,)).fetchone()
    return None if other in (None, play) else int(other)


def touched(path: Path, since: int) -> set[int]:
    """Give the plays that the log names behind its entry `since`."""
    with _reading(path) as connection:
        return {play for (play,) in connection.execute(_TOUCHED, (since,))}


def cards(path: Path, *, first: int = 0, only: Iterable[int] | None = None) -> list[Card]:
    """Give a card for every play, oldest first, all of one moment; or of each stage's first few; or of some `only`."""
    with _reading(path) as connection:
        if first:
            only = [play for (play,) in connection.execute(_FIRST, (first,))]
        which = "1" if only is None else f"{{}} IN ({', '.join(str(int(play)) for play in only)})"
        of = {name: which.format(column) for name, column in _COLUMNS.items()}
        plays = connection.execute(_PLAYS.format(**of)).fetchall()
        roles = _grouped(connection.execute(_ROLES.format(**of)), _roles)
        numbers = _grouped(connection.execute(_NUMBERS.format(**of)), json.loads)
        about, lives = _about(connection, of), _lives(connection, of)
    return [
        _card(
            play, roles.get(play[0], {}), numbers.get(play[0], {}), about.get(play[0], _NOTHING), lives.get(play[0], {})
        )
        for play in plays
    ]


_STAGES = "SELECT stage, count(*) FROM play GROUP BY stage"

_TOUCHED = "SELECT DISTINCT play_id FROM audit WHERE seq > ? AND play_id IS NOT NULL"

_COLUMNS = {"play": "play.id", "play_id": "play_id"}  # under which name a query knows the play that it is about

_FIRST = """SELECT id FROM
    (SELECT id, row_number() OVER (PARTITION BY stage ORDER BY id) AS place FROM play) WHERE place <= ?"""

_PLAYS = """
SELECT play.id, name, kind, stage, play.round, stage_since, summary, outcome, teacher_source,
    sampling_per_month IS NOT NULL AND refresh_days IS NOT NULL,
    gate.play_id IS NOT NULL, gate.locked_at IS NOT NULL, data_set.id IS NOT NULL, data_set.frozen_at IS NOT NULL
FROM play
LEFT JOIN gate ON gate.play_id = play.id
LEFT JOIN data_set ON data_set.play_id = play.id AND data_set.round = play.round
WHERE {play} ORDER BY play.id
"""

_ROLES = "SELECT play_id, json_group_object(role, person_id) FROM role_holder WHERE {play_id} GROUP BY play_id"

_NUMBERS = "SELECT play_id, json_group_object(name, value) FROM worksheet_value WHERE {play_id} GROUP BY play_id"

_TRAFFIC = "SELECT play_id, sum(rows) FROM traffic WHERE {play_id} GROUP BY play_id"

_PASSED = """
SELECT evaluation.play_id, passed FROM evaluation
JOIN play ON play.id = evaluation.play_id AND play.round = evaluation.round
WHERE NOT reproduced AND {play} ORDER BY evaluation.id
"""

_RUNS = """
SELECT run.play_id, run.id, run.kind, run.status, run.step, run.total FROM run
JOIN play ON play.id = run.play_id AND play.round = run.round
WHERE (run.kind NOT IN ('observe', 'rehearse') OR run.status IN ('queued', 'running')) AND {play}
ORDER BY run.status IN ('queued', 'running'), run.id
"""

_STUDENTS = """
SELECT run.play_id, max(json_extract(run.result, '$.validation_score')) FROM run
JOIN play ON play.id = run.play_id AND play.round = run.round
WHERE run.kind = 'train' AND run.status = 'finished' AND run.artifact IS NOT NULL AND {play}
GROUP BY run.play_id
"""

_LIVES = """
SELECT play.id, play.refresh_days, bundle.id, bundle.shipped_at, watch.standing, watch.findings, watch.bundle_id,
    max(watch.feed_id) > coalesce((SELECT max(feed_id) FROM remedy
        WHERE remedy.play_id = play.id AND kind <> 'refresh'), 0)
FROM play
JOIN bundle ON bundle.id = coalesce(
    (SELECT bundle_id FROM remedy WHERE remedy.play_id = play.id AND kind = 'roll_back'
        AND newest_bundle = (SELECT max(id) FROM bundle WHERE bundle.play_id = play.id) ORDER BY id DESC LIMIT 1),
    (SELECT max(id) FROM bundle WHERE bundle.play_id = play.id))
LEFT JOIN watch ON watch.play_id = play.id
WHERE {play} GROUP BY play.id
"""

_OPINIONS = """
SELECT sign_off.play_id, sign_off.person_id, sign_off.opinion FROM sign_off
JOIN play ON play.id = sign_off.play_id AND play.round = sign_off.round
WHERE sign_off.id NOT IN (SELECT sign_off_id FROM withdrawal) AND {play} ORDER BY sign_off.id
"""


@contextmanager
def _reading(path: Path) -> Iterator[Any]:
    connection = sqlite.connect(path, read_only=True)
    try:
        connection.execute("BEGIN")
        yield connection
    finally:
        connection.close()


class _Words(dict[str, Any]):
    """The words of an enum by value: a look-up is many times quicker than a call; an unknown word is a ValueError."""

    def __init__(self, words: type[StrEnum]) -> None:
        super().__init__({word.value: word for word in words})
        self.words = words

    def __missing__(self, value: str) -> Any:
        return self.words(value)


_ROLE, _KIND, _STAGE = _Words(Role), _Words(PlayKind), _Words(Stage)


def _roles(written: str) -> dict[Role, str]:
    return {_ROLE[role]: person for role, person in json.loads(written).items()}


def _grouped(rows: Iterable[tuple[int, str]], read: Callable[[str], dict[T, str]]) -> dict[int, dict[T, str]]:
    """Read one JSON object a play; each that differs once, and shared: ten thousand plays have few sets of people."""
    known: dict[str, dict[T, str]] = {}
    found = {}
    for play, written in rows:
        values = known.get(written)
        if values is None:
            values = known[written] = read(written)
        found[play] = values
    return found


def _lives(connection: Any, of: dict[str, str]) -> dict[int, dict[str, Any]]:
    """Say of each play that shipped how its live student stands, where it diverges, and whether a refresh is due."""
    found: dict[int, dict[str, Any]] = {}
    today = datetime.now(UTC).date()
    for play, days, live, shipped, standing, findings, watched, counts in connection.execute(_LIVES.format(**of)):
        found[play] = {"overdue": days is not None and today >= date.fromisoformat(shipped[:10]) + timedelta(days)}
        if counts and watched == live:
            told = json.loads(findings)
            where = str(told[0].get("where") or "all") if told else ""
            found[play] |= {"standing": Standing(standing), "diverges": where}
    return found


@dataclass
class _About:
    """What is known of a play besides its own row; most plays of a large project have little of it."""

    traffic: int = 0
    run: RunGlance | None = None
    quality: float | None = None
    passed: bool | None = None
    opinions: dict[str, str] = field(default_factory=dict)  # the last word of each person


_NOTHING = _About()


def _about(connection: Any, of: dict[str, str]) -> dict[int, _About]:
    found: defaultdict[int, _About] = defaultdict(_About)
    for play, rows in connection.execute(_TRAFFIC.format(**of)):
        found[play].traffic = rows
    for play, run, kind, status, step, total in connection.execute(_RUNS.format(**of)):  # the last one wins
        found[play].run = RunGlance(run, RunKind(kind), RunStatus(status), step, total)
    for play, score in connection.execute(_STUDENTS.format(**of)):
        found[play].quality = float(score) if isinstance(score, int | float) else None
    for play, passed in connection.execute(_PASSED.format(**of)):
        found[play].passed = bool(passed)
    for play, person, opinion in connection.execute(_OPINIONS.format(**of)):
        found[play].opinions[person] = opinion
    return found


def _card(
    play: tuple[Any, ...], roles: dict[Role, str], worksheet: dict[str, str], about: _About, live: dict[str, Any]
) -> Card:
    id, name, kind, stage, number, since, summary, outcome, teacher, maintained, written, locked, built, frozen = play
    said, run = list(about.opinions.values()), about.run
    return Card(
        id=id,
        name=name,
        kind=_KIND[kind],
        stage=_STAGE[stage],
        round=number,
        stage_since=since,
        summary=summary,
        outcome=outcome,
        teacher_source=teacher,
        maintained=bool(maintained),
        roles=roles,
        worksheet=worksheet,
        gate_written=bool(written),
        gate_locked=bool(locked),
        traffic=about.traffic,
        data_built=bool(built),
        data_frozen=bool(frozen),
        run=run,
        trained=about.quality is not None or (run is not None and run.kind is RunKind.EVALUATE),
        quality=about.quality,
        passed=about.passed,
        approved=said.count(Opinion.APPROVE.value),
        refused=said.count(Opinion.REFUSE.value),
        **live,
    )


# --- how a card stands -------------------------------------------------------------------------------------------

_DOING = {
    RunKind.LABEL: "labelling",
    RunKind.TRAIN: "training",
    RunKind.EVALUATE: "evaluating",
    RunKind.REPRODUCE: "reproducing",
    RunKind.OBSERVE: "observing",
    RunKind.REHEARSE: "rehearsing",
}


def _live(card: Card) -> tuple[str, str]:
    if card.standing is Standing.ALARM:
        return "drift", f"drift: {card.diverges}"
    if card.overdue:
        return "look", "refresh due"
    if card.standing is Standing.LOOK:
        return "look", f"look: {card.diverges}"
    return "live", "live"


def _running(run: RunGlance) -> tuple[str, str]:
    if run.status is RunStatus.QUEUED:
        return "queued", f"{run.kind.value} queued"
    share = f" {100 * run.share:.0f} %" if run.share is not None else ""
    return "running", f"{_DOING[run.kind]}{share}"


def _at_qualify(card: Card) -> tuple[str, str]:
    missing = [role.value for role in Role if role not in card.roles]
    if missing:
        return "waiting", f"needs {missing[0]}" if len(missing) == 1 else f"needs {len(missing)} roles"
    if any(question.name not in card.numbers for question in economics.WORKSHEET[card.kind]):
        return "waiting", "fill worksheet"
    if economics.trigger_holds(card.kind, card.numbers):
        return "look", "trigger fails"
    return "holds", "trigger holds"


def _at_gate(card: Card) -> tuple[str, str]:
    if not card.gate_written:
        return "waiting", "write the gate"
    return "waiting", "lock the gate"


def _at_data(card: Card) -> tuple[str, str]:
    if not card.traffic:
        return "waiting", "import traffic"
    if not card.teacher_source:
        return "waiting", "choose teacher"
    return "waiting", "freeze the data" if card.data_built else "build the data"


def _at_train(card: Card) -> tuple[str, str]:
    return ("holds", "trained: evaluate") if card.trained else ("waiting", "ready to train")


def _at_decide(card: Card) -> tuple[str, str]:
    if card.refused:
        return "refused", "sign-off refused"
    if card.passed is False:
        return "misses", "gate not held"
    if card.approved:
        return "holds", "signed off"
    return "holds", "held: sign off" if card.maintained else "held: maintain"


_STATES = dict(zip(FIVE_STAGES, (_at_qualify, _at_gate, _at_data, _at_train, _at_decide), strict=True))
