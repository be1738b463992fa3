"""The nouns: one class for each table of the project file. Rows are inert; nothing here asks or decides.

The schema itself, with its CHECKs and triggers, is in `migrations`; `tests/test_project.py` holds the two together.
A row leaves its session as plain data: there are no relationships, so reading an attribute never touches the file.
Times are UTC, ISO 8601, as text. Money and shares are decimal text. JSON columns hold canonical JSON.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import Column, Enum, LargeBinary
from sqlmodel import Field, SQLModel

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


def _word(words: type[StrEnum], *, first: StrEnum | None = None, **arguments: Any) -> Any:
    """Store a word by its value, and refuse any other, when written and when read."""
    kind = Enum(words, values_callable=lambda all_: [w.value for w in all_], native_enum=False, validate_strings=True)
    more: dict[str, Any] = {} if first is None else {"default": first}
    return Field(sa_column=Column(kind, nullable=False, **arguments), **more)


class Project(SQLModel, table=True):
    """This project file: one row."""

    id: int = Field(default=1, primary_key=True)
    uid: str
    name: str
    keeper: str
    minimum_assurance: Assurance = _word(Assurance, first=Assurance.ACCOUNT)
    created_at: str


class Person(SQLModel, table=True):
    """Somebody. Separation of duties is judged between persons; the name is for display only."""

    id: str = Field(primary_key=True)
    name: str
    enrolled_at: str


class Account(SQLModel, table=True):
    """An OS account, by uid, of a person."""

    uid: int = Field(primary_key=True)
    person_id: str
    added_at: str


class SshKey(SQLModel, table=True):
    """An SSH public key of a person: `kind` and `blob` as in an authorized_keys line, without the comment."""

    __tablename__ = "ssh_key"
    fingerprint: str = Field(primary_key=True)
    person_id: str
    kind: str
    blob: str
    added_at: str
    revoked_at: str | None = None


class Play(SQLModel, table=True):
    """One effort to replace a teacher by a student on one task."""

    id: int | None = Field(default=None, primary_key=True)
    name: str
    summary: str = ""
    kind: PlayKind = _word(PlayKind)
    task: Task = _word(Task)
    stage: Stage = _word(Stage)
    round: int = 1
    predecessor: int | None = None
    teacher_source: TeacherSource = _word(TeacherSource, first=TeacherSource.NONE)
    teacher_name: str = ""
    teacher_digest: str = ""  # the artifact of a local teacher, or of its description
    sampling_per_month: int | None = None
    refresh_days: int | None = None
    outcome: str = ""
    opened_at: str
    stage_since: str

    @property
    def code(self) -> str:
        """The short id that people type."""
        return f"P-{self.id:03d}"


class RoleHolder(SQLModel, table=True):
    """Who holds a role in a play now."""

    __tablename__ = "role_holder"
    play_id: int = Field(primary_key=True)
    role: Role = _word(Role, primary_key=True)
    person_id: str


class Builder(SQLModel, table=True):
    """That a person ever built in a play. Append-only: nobody stops having built."""

    play_id: int = Field(primary_key=True)
    person_id: str = Field(primary_key=True)
    deed: str = Field(primary_key=True)
    at: str


class WorksheetValue(SQLModel, table=True):
    """One number of a play's trigger, and where it comes from."""

    __tablename__ = "worksheet_value"
    play_id: int = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: str
    source: str
    at: str = ""  # when it was filled in


class GateRow(SQLModel, table=True):
    """A play's gate: a draft until `locked_at`, then fixed by the file itself."""

    __tablename__ = "gate"
    play_id: int = Field(primary_key=True)
    content: str
    digest: str | None = None
    locked_by: str | None = None
    locked_at: str | None = None
    facts: str = "{}"  # what else the lock fixes: methods, teacher, segments, prices, roles (see `rules.lock_facts`)


class Traffic(SQLModel, table=True):
    """One imported file of traffic."""

    id: int | None = Field(default=None, primary_key=True)
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


class DataSet(SQLModel, table=True):
    """A data set: a draft until `frozen_at`, then fixed by the file itself."""

    __tablename__ = "data_set"
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    artifact: str
    digest: str
    labels: str
    counts: str
    built_at: str
    frozen_at: str | None = None


class OpenedRow(SQLModel, table=True):
    """That somebody opened a held-out row. Append-only. Whether it is burnt follows from who has built: see `rules`."""

    __tablename__ = "opened_row"
    play_id: int = Field(primary_key=True)
    input_digest: str = Field(primary_key=True)  # the row's name in every round
    person_id: str = Field(primary_key=True)
    round: int
    at: str


class ProviderTerms(SQLModel, table=True):
    """What the terms of the teacher's provider say of training on its outputs, and who read them."""

    __tablename__ = "provider_terms"
    play_id: int = Field(primary_key=True)
    provider: str
    version: str  # of the terms, as they name it themselves
    dated: str  # ISO 8601 date of the terms
    permits: int
    checked_by: str
    checked_at: str


class AcceptedFinding(SQLModel, table=True):
    """That somebody accepted a finding about a data set, word for word. Append-only; it holds for those words only."""

    __tablename__ = "accepted_finding"
    play_id: int = Field(primary_key=True)
    round: int = Field(primary_key=True)
    finding: str = Field(primary_key=True)
    says: str = Field(primary_key=True)
    reason: str
    person_id: str
    at: str


class Run(SQLModel, table=True):
    """One execution in one worker process. `token` fences off a worker that lost its claim."""

    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    kind: RunKind = _word(RunKind)
    status: RunStatus = _word(RunStatus)
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


class RunPoint(SQLModel, table=True):
    """One point of a run's curve. Telemetry: no decision, no audit entry."""

    __tablename__ = "run_point"
    run_id: int = Field(primary_key=True)
    step: int = Field(primary_key=True)
    loss: float
    validation: float | None = None
    rows_per_second: float = 0


class Evaluation(SQLModel, table=True):
    """What a student did on the held-out split, judged by the locked gate. Append-only."""

    id: int | None = Field(default=None, primary_key=True)
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


class SignOff(SQLModel, table=True):
    """A validator's statement, byte for byte as it was made, and its signature where there is one. Append-only."""

    __tablename__ = "sign_off"
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    person_id: str
    opinion: Opinion = _word(Opinion)
    assurance: Assurance = _word(Assurance)
    statement: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signature: str | None = None
    comment: str
    recorded_at: str


class SpotCheck(SQLModel, table=True):
    """What a validator said of held-out answers, not knowing whose they are. Append-only."""

    __tablename__ = "spot_check"
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    person_id: str
    evaluation: str  # digest of the record whose answers were judged; the draw follows from it
    content: str  # canonical JSON: which rows, in which order, judged how
    recorded_at: str


class Statement(SQLModel, table=True):
    """What somebody signed with a key besides a sign-off: a gate, a roster, a withdrawal, a ship. Append-only."""

    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    kind: StatementKind = _word(StatementKind)
    person_id: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signature: str
    recorded_at: str


class Withdrawal(SQLModel, table=True):
    """That a sign-off was taken back by who made it. Append-only."""

    sign_off_id: int = Field(primary_key=True)
    reason: str
    recorded_at: str


class Bundle(SQLModel, table=True):
    """What shipped. Append-only."""

    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    digest: str
    sign_off_id: int
    shipped_by: str
    shipped_at: str


class Feed(SQLModel, table=True):
    """One file of production that was taken in to watch a live student. Append-only."""

    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    bundle_id: int  # the bundle that was live, and is watched by it
    name: str
    source_digest: str
    artifact: str  # the rows, as imported traffic
    rows: int
    rejects: int
    received_at: str


class Observation(SQLModel, table=True):
    """One sampled row: what the live student said, and the teacher where it was asked. Append-only.

    Of a row of the probe, `answer` is what the teacher said at the gate instead.
    """

    id: int | None = Field(default=None, primary_key=True)
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


class Watch(SQLModel, table=True):
    """How the monitor stood after a feed. Append-only; a replay of the observations must give it again."""

    feed_id: int = Field(primary_key=True)
    play_id: int
    bundle_id: int
    standing: Standing = _word(Standing)
    plan: str
    state: str
    findings: str
    recorded_at: str


class RemedyRow(SQLModel, table=True):
    """What somebody did about a live student, and why. Append-only."""

    __tablename__ = "remedy"
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    kind: Remedy = _word(Remedy)
    round: int  # the round after it: of a refresh, its first
    bundle_id: int  # the bundle that is live after it
    newest_bundle: int  # the newest bundle at that moment
    feed_id: int  # the newest feed at that moment, 0 where there was none
    reason: str
    detail: str
    person_id: str
    at: str


class AuditEntry(SQLModel, table=True):
    """One link of the chain: who did what, when, how that was proved, before and after. Append-only."""

    __tablename__ = "audit"
    seq: int = Field(primary_key=True)
    at: str
    person_id: str | None
    proof: str
    action: Action = _word(Action)
    play_id: int | None
    detail: str
    previous: str
    digest: str
