"""The arguments of actions, as values. A screen that only dims a key asks the rules without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from distill_tui.terms import Action, Assurance, Role, TeacherSource

if TYPE_CHECKING:
    from distill_tui.rules import entities
    from distill_tui.spec import Spec


@dataclass(frozen=True)
class OpenProject:
    person: str  # who becomes the keeper


@dataclass(frozen=True)
class Enrol:
    """Enrol a person, or add an account or a key to one."""

    person: str
    uid: int | None = None
    fingerprint: str | None = None


@dataclass(frozen=True)
class RevokeKey:
    fingerprint: str


@dataclass(frozen=True)
class SetAssurance:
    assurance: Assurance


@dataclass(frozen=True)
class OpenPlay:
    name: str
    predecessor: entities.Play | None = None


@dataclass(frozen=True)
class AssignRole:
    role: Role
    person: str


@dataclass(frozen=True)
class SignRoster:
    roster: Mapping[str, Any]  # as shown to the sponsor
    proof: Assurance | None = None


@dataclass(frozen=True)
class FillWorksheet:
    values: Mapping[str, str]


@dataclass(frozen=True)
class LockGate:
    proof: Assurance | None = None  # None: the assurance of the actor
    expected: str | None = None  # digest of the gate shown to the sponsor


@dataclass(frozen=True)
class ConfirmTerms:
    provider: str
    version: str
    dated: str
    permits: bool = True


@dataclass(frozen=True)
class ImportTraffic:
    name: str
    source_digest: str
    mapping: str
    rows: int = 0
    rejects: int = 0
    most_rejects: float = 1.0
    reasons: Sequence[tuple[str, int]] = ()  # why rows were rejected, most frequent first
    held_out: Mapping[str, int] = field(default_factory=dict)  # rows too close to held-out rows, by kind
    variations: bool = False
    worker: WorkerReport | None = None  # of the run that did it; None when a person queues it


@dataclass(frozen=True)
class SetTeacher:
    source: TeacherSource
    chooses: bool | None = None  # whether it chooses among labels; None for recorded outputs
    digest: str | None = None  # None before the folder is copied in


@dataclass(frozen=True)
class Label:
    limits: Mapping[str, str] | None = None
    tried: bool = True  # whether the teacher has answered one row with this prompt
    vary: bool = False
    sealed: Sequence[int] = ()  # row numbers that are held out


@dataclass(frozen=True)
class AcceptFindings:
    findings: Sequence[str]
    reason: str


@dataclass(frozen=True)
class BuildData:
    worker: WorkerReport | None = None


@dataclass(frozen=True)
class FreezeData:
    leaks: Sequence[str]
    worker: WorkerReport | None = None


@dataclass(frozen=True)
class QueueRun:
    """Queue this action for a worker."""

    queues: Action


@dataclass(frozen=True)
class OpenRow:
    row: int
    held_out: bool
    burn: bool


@dataclass(frozen=True)
class StartRun:
    spec: Spec
    soft_rows: int | None = None  # training rows with teacher probabilities; None where not counted


@dataclass(frozen=True)
class ForRun:
    """Stop, resume or evaluate this run."""

    run: int


@dataclass(frozen=True)
class WorkerReport:
    run: int
    token: str | None


@dataclass(frozen=True)
class SpotCheck:
    content: str


@dataclass(frozen=True)
class SignOff:
    """Approve or reject."""

    covers: Mapping[str, Any]  # as shown to the validator
    reason: str
    proof: Assurance | None = None


@dataclass(frozen=True)
class Withdraw:
    reason: str
    proof: Assurance | None = None


@dataclass(frozen=True)
class SetMaintenance:
    sample: int
    refresh_days: int


@dataclass(frozen=True)
class Ship:
    proof: Assurance | None = None


@dataclass(frozen=True)
class Observe:
    name: str
    source_digest: str


@dataclass(frozen=True)
class RollBack:
    bundle: int
    reason: str


@dataclass(frozen=True)
class WithReason:
    """Acknowledge, refresh or kill."""

    reason: str


@dataclass(frozen=True)
class Comment:
    text: str


Reasoned = AcceptFindings | SignOff | Withdraw | RollBack | WithReason
Signable = SignRoster | LockGate | SignOff | Withdraw | Ship
Request = (
    Signable | OpenProject | Enrol | RevokeKey | SetAssurance | OpenPlay | AssignRole
    | FillWorksheet | ConfirmTerms | ImportTraffic | SetTeacher | Label | AcceptFindings | BuildData | FreezeData
    | QueueRun | OpenRow
    | StartRun | ForRun | WorkerReport | SpotCheck | SetMaintenance | Observe | RollBack | WithReason | Comment
)  # fmt: skip
