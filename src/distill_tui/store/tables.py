"""How rows are written: one class for each table of the project file. `rules.entities` says what each column means.

The schema itself, with its CHECKs and triggers, is in `migrations`; `tests/test_project.py` holds the three together.
There are no relationships, so reading an attribute of a row never touches the file.
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
    id: int = Field(default=1, primary_key=True)
    uid: str
    name: str
    keeper: str
    minimum_assurance: Assurance = _word(Assurance, first=Assurance.ACCOUNT)
    created_at: str


class Person(SQLModel, table=True):
    id: str = Field(primary_key=True)
    name: str
    enrolled_at: str


class Account(SQLModel, table=True):
    uid: int = Field(primary_key=True)
    person_id: str
    added_at: str


class SshKey(SQLModel, table=True):
    __tablename__ = "ssh_key"
    fingerprint: str = Field(primary_key=True)
    person_id: str
    kind: str
    blob: str
    added_at: str
    revoked_at: str | None = None


class Play(SQLModel, table=True):
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
    teacher_digest: str = ""
    sampling_per_month: int | None = None
    refresh_days: int | None = None
    outcome: str = ""
    opened_at: str
    stage_since: str

    @property
    def code(self) -> str:
        return f"P-{self.id:03d}"


class RoleHolder(SQLModel, table=True):
    __tablename__ = "role_holder"
    play_id: int = Field(primary_key=True)
    role: Role = _word(Role, primary_key=True)
    person_id: str


class Builder(SQLModel, table=True):
    play_id: int = Field(primary_key=True)
    person_id: str = Field(primary_key=True)
    deed: str = Field(primary_key=True)
    at: str


class WorksheetValue(SQLModel, table=True):
    __tablename__ = "worksheet_value"
    play_id: int = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: str
    source: str
    at: str = ""


class GateRow(SQLModel, table=True):
    __tablename__ = "gate"
    play_id: int = Field(primary_key=True)
    content: str
    digest: str | None = None
    locked_by: str | None = None
    locked_at: str | None = None
    facts: str = "{}"


class Traffic(SQLModel, table=True):
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
    __tablename__ = "opened_row"
    play_id: int = Field(primary_key=True)
    input_digest: str = Field(primary_key=True)
    person_id: str = Field(primary_key=True)
    round: int
    at: str


class ProviderTerms(SQLModel, table=True):
    __tablename__ = "provider_terms"
    play_id: int = Field(primary_key=True)
    provider: str
    version: str
    dated: str
    permits: int
    checked_by: str
    checked_at: str


class AcceptedFinding(SQLModel, table=True):
    __tablename__ = "accepted_finding"
    play_id: int = Field(primary_key=True)
    round: int = Field(primary_key=True)
    finding: str = Field(primary_key=True)
    says: str = Field(primary_key=True)
    reason: str
    person_id: str
    at: str


class Run(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    kind: RunKind = _word(RunKind)
    status: RunStatus = _word(RunStatus)
    spec: str
    data_set_id: int | None = None
    student_run: int | None = None
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
    __tablename__ = "run_point"
    run_id: int = Field(primary_key=True)
    step: int = Field(primary_key=True)
    loss: float
    validation: float | None = None
    rows_per_second: float = 0


class Evaluation(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    run_id: int
    evaluation_run: int
    gate_digest: str
    data_digest: str
    model: str
    record: str
    passed: int
    reproduced: int
    recorded_at: str


class SignOff(SQLModel, table=True):
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
    __tablename__ = "spot_check"
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    person_id: str
    evaluation: str
    content: str
    recorded_at: str


class Statement(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    kind: StatementKind = _word(StatementKind)
    person_id: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signature: str
    recorded_at: str


class Withdrawal(SQLModel, table=True):
    sign_off_id: int = Field(primary_key=True)
    reason: str
    recorded_at: str


class Bundle(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    round: int
    digest: str
    sign_off_id: int
    shipped_by: str
    shipped_at: str


class Feed(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    bundle_id: int
    name: str
    source_digest: str
    artifact: str
    rows: int
    rejects: int
    received_at: str


class Observation(SQLModel, table=True):
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
    asked: int
    uncertainty: float
    distance: float
    length: int
    excerpt: str


class Watch(SQLModel, table=True):
    feed_id: int = Field(primary_key=True)
    play_id: int
    bundle_id: int
    standing: Standing = _word(Standing)
    plan: str
    state: str
    findings: str
    recorded_at: str


class RemedyRow(SQLModel, table=True):
    __tablename__ = "remedy"
    id: int | None = Field(default=None, primary_key=True)
    play_id: int
    kind: Remedy = _word(Remedy)
    round: int
    bundle_id: int
    newest_bundle: int
    feed_id: int
    reason: str
    detail: str
    person_id: str
    at: str


class AuditEntry(SQLModel, table=True):
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
