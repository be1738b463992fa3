"""The arguments of actions, as values. A screen that only dims a key asks the rules without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from distill_tui.gates.currencies import USUAL
from distill_tui.terms import (
    Action,
    Assurance,
    KeptContent,
    OnObjection,
    Role,
    ServingMode,
    Task,
    TeacherFault,
    TeacherSource,
)

if TYPE_CHECKING:
    from distill_tui.rules import entities
    from distill_tui.rules.objection import Objection
    from distill_tui.spec import Spec

AUDIT_SHARE = Decimal("0.02")


@dataclass(frozen=True)
class OpenProject:
    person: str  # who becomes the keeper
    currency: str = USUAL


@dataclass(frozen=True)
class Enrol:
    """Enrol a person, or add an account or a key to one."""

    person: str
    uid: int | None = None
    fingerprint: str | None = None
    proof: Assurance | None = None


@dataclass(frozen=True)
class RevokeKey:
    fingerprint: str
    proof: Assurance | None = None


@dataclass(frozen=True)
class SetAssurance:
    assurance: Assurance
    proof: Assurance | None = None


@dataclass(frozen=True)
class SetSeparation:
    forbids: Sequence[str]  # words of `terms.Weakness`, all that hold from now on
    proof: Assurance | None = None


@dataclass(frozen=True)
class AcceptRestored:
    reason: str
    proof: Assurance | None = None


@dataclass(frozen=True)
class SetCurrency:
    currency: str  # ISO 4217


@dataclass(frozen=True)
class SetAlarms:
    command: Sequence[str]  # arguments, never a line for a shell; none: no command
    webhook: str
    proof: Assurance | None = None


@dataclass(frozen=True)
class OpenPlay:
    name: str
    predecessor: entities.Play | None = None
    task: Task = Task.CLASSIFICATION
    scale: str = ""  # of a play of scores, as it is typed


@dataclass(frozen=True)
class AssignRole:
    role: Role
    person: str
    proof: Assurance | None = None


@dataclass(frozen=True)
class SignRoster:
    roster: Mapping[str, object]  # as shown to the sponsor
    proof: Assurance | None = None


@dataclass(frozen=True)
class FillWorksheet:
    values: Mapping[str, str]


@dataclass(frozen=True)
class LockGate:
    proof: Assurance | None = None  # None: the assurance of the actor
    expected: str | None = None  # digest of the gate shown to the sponsor
    cannot_pass: bool = False  # locks it although criteria were named that cannot hold


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
    models: Sequence[tuple[str, int]] = ()  # that answered: name, rows
    answers_of: str = ""  # the model that was chosen as the teacher; "" where none was
    worker: WorkerReport | None = None  # of the run that did it; None when a person queues it


@dataclass(frozen=True)
class DropTraffic:
    file: int  # the number of the imported file, from 1
    reason: str


@dataclass(frozen=True)
class SetTeacher:
    source: TeacherSource
    chooses: bool | None = None  # whether it chooses among labels; None for recorded outputs
    digest: str | None = None  # None before the folder is copied in
    faults: Sequence[Objection] = ()  # what the trial on a few rows of traffic found
    worker: WorkerReport | None = None  # of the run that tried it; None when a person queues it


@dataclass(frozen=True)
class Label:
    limits: Mapping[str, str] | None = None
    tried: bool = True  # whether the teacher has answered one row with this prompt
    vary: bool = False
    sealed: Sequence[int] = ()  # row numbers that are held out

    @property
    def command(self) -> str:
        return "data vary" if self.vary else "label"


@dataclass(frozen=True)
class MapLabels:
    names: Mapping[str, str | None]  # as written → label; None for no label


@dataclass(frozen=True)
class AcceptFindings:
    findings: Sequence[str]
    reason: str


@dataclass(frozen=True)
class DropRow:
    row: int
    open: bool  # whether the data set has this row, and it is not held out
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
class Repeat:
    """Train the evaluated student so many times more, each time with another seed."""

    seeds: int


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

    covers: Mapping[str, object]  # as shown to the validator
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
    proof: Assurance | None = None


@dataclass(frozen=True)
class ServeMode:
    mode: ServingMode
    percent: int = 0  # of requests that the student answers, in a canary
    content: KeptContent = KeptContent.FULL
    audit_share: Decimal = AUDIT_SHARE  # of the student's requests that the teacher answers too
    on_fault: TeacherFault = TeacherFault.FAIL
    reason: str = ""
    on_objection: OnObjection = OnObjection.FALL_BACK
    proof: Assurance | None = None
    trouble: str = ""  # what is wrong with the live bundle's files, signatures or verdicts, as just verified


@dataclass(frozen=True)
class FallBack:
    since: int  # the log entry that set the mode
    reason: str


@dataclass(frozen=True)
class WithReason:
    """Acknowledge, suspend, resume, refresh or kill."""

    reason: str
    proof: Assurance | None = None


@dataclass(frozen=True)
class Object:
    reason: str
    lift: bool = False
    proof: Assurance | None = None


@dataclass(frozen=True)
class Undo:
    """Undo or redo one entry of the log."""

    done: Action | None  # what that entry did; None where there is none
    moved: Sequence[str] = ()  # rows that were changed since


@dataclass(frozen=True)
class Comment:
    text: str


Reasoned = AcceptRestored | Object | AcceptFindings | DropTraffic | DropRow | SignOff | Withdraw | RollBack | WithReason
Decision = (
    SetSeparation | AcceptRestored | Enrol | RevokeKey | SetAssurance | SetAlarms | AssignRole | ServeMode | RollBack
    | WithReason
)  # fmt: skip
Signable = Decision | Object | SignRoster | LockGate | SignOff | Withdraw | Ship
Request = (
    Signable | OpenProject | Enrol | RevokeKey | SetAssurance | OpenPlay | AssignRole
    | FillWorksheet | ConfirmTerms | ImportTraffic | SetTeacher | MapLabels | Label | AcceptFindings | BuildData
    | FreezeData | DropTraffic | QueueRun | OpenRow
    | StartRun | ForRun | Repeat | WorkerReport | SpotCheck | SetMaintenance | Observe | FallBack
    | SetCurrency | DropRow | Undo | Comment
)  # fmt: skip
