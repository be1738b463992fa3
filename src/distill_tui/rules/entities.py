"""What the project file holds, as the rules and the screens read it: one frozen class for each table.

Attributes are the columns, in the order of the table. Rows leave the file as plain data: reading an attribute never
touches it. Times are UTC, ISO 8601, as text. Money and shares are decimal text. JSON columns hold canonical JSON.
`store.tables` derives the classes that can be edited and written; a test holds the schema and these classes together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast, dataclass_transform

from distill_tui.terms import (
    Action,
    Assurance,
    Opinion,
    PlayKind,
    Remedy,
    Role,
    RunKind,
    RunStatus,
    Stage,
    Standing,
    StatementKind,
    Task,
    TeacherSource,
)

T = TypeVar("T")
TABLES: dict[type, str] = {}  # the table of each class
NEW = cast(int, None)  # the number of a row that the file has not numbered yet


@dataclass_transform(kw_only_default=True)
def entity(table: str) -> Callable[[type[T]], type[T]]:
    """Make a class the rows of a table, frozen. mypy sees it as its subclass in `store.tables`, which can be edited."""

    def made(kind: type[T]) -> type[T]:
        found = dataclass(frozen=True, slots=True, kw_only=True)(kind)
        TABLES[found] = table
        return found

    return made


@entity("project")
class Project:
    """This project file: one row."""

    id: int = 1
    uid: str
    name: str
    keeper: str
    minimum_assurance: Assurance = Assurance.ACCOUNT
    forbids: str = "[]"  # JSON: what the project forbids of `terms.Weakness`
    currency: str = "USD"  # of every amount, ISO 4217
    created_at: str
    on_alarm: str = "[]"  # the command that gets each drift alarm: a list of arguments
    webhook: str = ""  # the address that does


@entity("person")
class Person:
    """A person. Separation of duties is judged between persons; the name is for display only."""

    id: str
    name: str
    enrolled_at: str


@entity("account")
class Account:
    """An OS account, by uid, of a person."""

    uid: int
    person_id: str
    added_at: str


@entity("ssh_key")
class SshKey:
    """An SSH public key of a person: `kind` and `blob` as in an authorized_keys line, without the comment."""

    fingerprint: str
    person_id: str
    kind: str
    blob: str
    added_at: str
    revoked_at: str | None = None


@entity("play")
class Play:
    """One effort to replace a teacher by a student on one task."""

    id: int = NEW
    name: str
    summary: str = ""
    kind: PlayKind
    task: Task
    stage: Stage
    round: int = 1
    predecessor: int | None = None
    teacher_source: TeacherSource = TeacherSource.NONE
    teacher_name: str = ""
    teacher_digest: str = ""  # the artifact of a local teacher, or of its description
    teacher_labels: str = "[]"  # of a teacher that computes, in the order of its outputs
    label_map: str = "{}"  # what a person confirmed: name as written → label, or null for none
    sampling_per_month: int | None = None
    refresh_days: int | None = None
    outcome: str = ""
    opened_at: str
    stage_since: str

    @property
    def code(self) -> str:
        """The short id that people type."""
        return f"P-{self.id:03d}"


@entity("role_holder")
class RoleHolder:
    """Who holds a role in a play now."""

    play_id: int
    role: Role
    person_id: str


@entity("builder")
class Builder:
    """That a person built in a play. Append-only: it stays so for good."""

    play_id: int
    person_id: str
    act: str
    at: str


@entity("worksheet_value")
class WorksheetValue:
    """One number of a play's trigger, and where it comes from."""

    play_id: int
    name: str
    value: str
    source: str
    at: str = ""  # when it was filled in


@entity("gate")
class GateRow:
    """A play's gate: a draft until `locked_at`, then fixed by the file itself."""

    play_id: int
    content: str
    digest: str | None = None
    locked_by: str | None = None
    locked_at: str | None = None
    facts: str = "{}"  # what else the lock fixes: methods, teacher, segments, prices, roles (see `rules.lock_facts`)


@entity("traffic")
class Traffic:
    """One imported file of traffic."""

    id: int = NEW
    play_id: int
    round: int
    name: str
    source_digest: str
    artifact: str
    mapping: str
    rows: int
    rejects: int
    report: str
    imported_at: str


@entity("data_set")
class DataSet:
    """A data set: a draft until `frozen_at`, then fixed by the file itself."""

    id: int = NEW
    play_id: int
    round: int
    artifact: str
    digest: str
    labels: str
    counts: str
    built_at: str
    frozen_at: str | None = None


@entity("opened_row")
class OpenedRow:
    """That a person opened a held-out row. Append-only. Whether it is burnt follows from who has built: see `rules`."""

    play_id: int
    input_digest: str  # the row's name in every round
    person_id: str
    round: int
    at: str


@entity("provider_terms")
class ProviderTerms:
    """What the terms of the teacher's provider permit, and who read them."""

    play_id: int
    provider: str
    version: str  # of the terms, as they name it themselves
    dated: str  # ISO 8601 date of the terms
    permits: int
    checked_by: str
    checked_at: str


@entity("accepted_finding")
class AcceptedFinding:
    """That a person accepted a finding of a data set, for exactly those words. Fixed by the freeze."""

    play_id: int
    round: int
    finding: str
    says: str
    reason: str
    person_id: str
    at: str


@entity("dropped_row")
class DroppedRow:
    """That a row is left out of the data sets, and why. Fixed by the freeze of the round."""

    play_id: int
    input_digest: str  # the row's name in every round
    round: int
    reason: str
    person_id: str
    at: str


@entity("run")
class Run:
    """One execution in one worker process. `token` fences off a worker that lost its claim."""

    id: int = NEW
    play_id: int
    round: int
    kind: RunKind
    status: RunStatus
    spec: str
    data_set_id: int | None = None
    student_run: int | None = None  # the training run that an evaluation judges
    started_by: str
    created_at: str
    token: str | None = None
    pid: int | None = None
    claimed_at: str | None = None
    heartbeat_at: str | None = None
    step: int = 0
    total: int = 0
    message: str = ""
    stop_requested: int = 0
    ended_at: str | None = None
    error: str | None = None
    artifact: str | None = None
    result: str = "{}"


@entity("run_point")
class RunPoint:
    """One point of a run's curve. Telemetry: no decision, no audit entry."""

    run_id: int
    step: int
    loss: float
    validation: float | None = None
    rows_per_second: float = 0


@entity("evaluation")
class Evaluation:
    """What a student did on the held-out split, judged by the locked gate. Append-only."""

    id: int = NEW
    play_id: int
    round: int
    run_id: int
    evaluation_run: int
    gate_digest: str
    data_digest: str
    model: str
    record: str  # digest of the record: every prediction and latency, from which the verdicts are computed again
    passed: int
    reproduced: int
    recorded_at: str


@entity("sign_off")
class SignOff:
    """A validator's statement, byte for byte as it was made, and its signature where there is one. Append-only."""

    id: int = NEW
    play_id: int
    round: int
    person_id: str
    opinion: Opinion
    assurance: Assurance
    statement: bytes
    signature: str | None = None
    comment: str
    recorded_at: str


@entity("spot_check")
class SpotCheck:
    """A validator's blind judgements of held-out answers. Append-only."""

    id: int = NEW
    play_id: int
    round: int
    person_id: str
    evaluation: str  # digest of the record whose answers were judged; the draw follows from it
    content: str  # canonical JSON: which rows, in which order, judged how
    recorded_at: str


@entity("statement")
class Statement:
    """A signed statement that is not a sign-off: a gate, a roster, its change, a withdrawal, a ship. Append-only."""

    id: int = NEW
    play_id: int | None  # none: about the project and its roster
    kind: StatementKind
    person_id: str
    content: bytes
    signature: str
    recorded_at: str


@entity("withdrawal")
class Withdrawal:
    """That a sign-off was taken back by who made it. Append-only."""

    sign_off_id: int
    reason: str
    recorded_at: str


@entity("bundle")
class Bundle:
    """What shipped. Append-only."""

    id: int = NEW
    play_id: int
    round: int
    digest: str
    sign_off_id: int
    shipped_by: str
    shipped_at: str


@entity("feed")
class Feed:
    """One file of production that was taken in to watch a live student. Append-only."""

    id: int = NEW
    play_id: int
    bundle_id: int  # the bundle that was live, and is watched by it
    name: str
    source_digest: str
    artifact: str  # the rows, as imported traffic
    rows: int
    rejects: int
    received_at: str


@entity("observation")
class Observation:
    """One sampled row: the live student's answer, and the teacher's where it was asked. Append-only.

    Of a row of the probe, `answer` is the teacher's at the gate instead.
    """

    id: int = NEW
    play_id: int
    bundle_id: int
    feed_id: int
    day: str
    input_digest: str
    probe: int
    segment: str
    answer: str
    teacher: str | None
    asked: int  # whether the sampling budget paid for the teacher's answer
    uncertainty: float  # 1 - the student's highest probability
    distance: float  # of the student's embedding from its training rows, in their standard deviations
    length: int  # characters
    excerpt: str  # the beginning of an open row that diverges; sealed rows keep none
    gold: str | None = None  # a person's answer
    late: int = 0  # how often the input was recorded before: such a row only adds an answer


@entity("watch")
class Watch:
    """How the monitor stood after a feed. Append-only; a replay of the observations must give it again."""

    feed_id: int
    play_id: int
    bundle_id: int
    standing: Standing
    plan: str
    state: str
    findings: str
    recorded_at: str


@entity("remedy")
class RemedyRow:
    """A remedy for a live student, and its reason. Append-only."""

    id: int = NEW
    play_id: int
    kind: Remedy
    round: int  # the round after it: of a refresh, its first
    bundle_id: int  # the bundle that is live after it
    newest_bundle: int  # the newest bundle at that moment
    feed_id: int  # the newest feed at that moment, 0 where there was none
    reason: str
    detail: str
    person_id: str
    at: str


@entity("audit")
class AuditEntry:
    """One link of the chain: who did what, when, how that was proved, before and after. Append-only."""

    seq: int
    at: str
    person_id: str | None
    proof: str
    action: Action
    play_id: int | None
    detail: str
    rows: str  # every deciding row that its transaction wrote, as it was afterwards: see `store.deciding`
    state: str  # digest of all deciding rows of its play, or of the project, afterwards
    previous: str
    digest: str
