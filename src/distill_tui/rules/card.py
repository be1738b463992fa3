"""A play's card: how it stands, as the board and `list` show it. Nothing is decided by a card.

`rules.how_it_stands` computes it; the door keeps it in the project file, under the head of the log that it was computed
at. What moves without a log entry is added at reading: how far a run is, and whether a refresh is due today. The module
imports neither rules nor gates, because the first frame of the screens needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache, cached_property
from pathlib import Path
from zlib import crc32

from distill_tui.terms import Action, Metric, PlayKind, Role, RunKind, RunStatus, Stage

_DOING = {
    RunKind.IMPORT: "importing",
    RunKind.TEACHER: "trying a teacher",
    RunKind.LABEL: "labelling",
    RunKind.BUILD: "building",
    RunKind.FREEZE: "freezing",
    RunKind.TRAIN: "training",
    RunKind.EVALUATE: "evaluating",
    RunKind.REPRODUCE: "reproducing",
    RunKind.OBSERVE: "observing",
    RunKind.REHEARSE: "rehearsing",
    RunKind.REPEAT: "repeating",
}

PACKAGE = Path(__file__).parents[1]
COMPUTED_BY = ("terms.py", "rules/*.py", "gates/*.py", "tasks/*.py", "people/*.py", "store/*.py")

LOWER_IS_BETTER = (Metric.BRIER, Metric.HAMMING, Metric.MAE)


@cache
def _code() -> int:
    """Return the CRC-32 of all the code that computes cards: it changes with every change of a rule."""
    found = 0
    for path in sorted(path for pattern in COMPUTED_BY for path in PACKAGE.glob(pattern)):
        found = crc32(path.read_bytes(), found)
    return found


def edition(artifacts: Path, records: str | None) -> int:
    """Return a number for what a card is computed with: the code, and the files of these records as they are now."""
    found = _code()
    for digest in (records or "").split():
        try:
            file = (artifacts / digest.removeprefix("sha256:")).stat()
            found = crc32(f"{digest} {file.st_size} {file.st_mtime_ns}".encode(), found)
        except (OSError, ValueError):
            found = crc32(f"{digest} is missing".encode(), found)
    return found


@dataclass(frozen=True)
class CardRun:
    """The run of a card: the active one, else the newest of this round."""

    id: int
    kind: RunKind
    status: RunStatus
    step: int
    total: int

    @property
    def share(self) -> float | None:
        """How much of it is done, 0 to 1; None while its length is not known."""
        return min(1.0, self.step / self.total) if self.total else None

    @property
    def state(self) -> tuple[str, str]:
        """How an active run stands, as a card shows it."""
        if self.status is RunStatus.QUEUED:
            return "queued", f"{self.kind.value} queued"
        share = f" {100 * self.share:.0f}%" if self.share is not None else ""
        return "running", f"{_DOING[self.kind]}{share}"


OBJECTS = "objects"  # the last of the few words of a live play whose validator objects


def is_under_way(stage: Stage, status: RunStatus) -> bool:
    """Whether a run is one that the play's next step has to wait for: nothing of a live or killed play does."""
    return status.active and stage not in (Stage.LIVE, Stage.KILLED)


@dataclass
class Card:
    """How one play stands. Not changed once made; not frozen, because ten thousand frozen ones take 40 ms more."""

    id: int
    name: str
    kind: PlayKind
    stage: Stage
    round: int
    stage_since: str
    summary: str = ""
    roles: dict[Role, str] = field(default_factory=dict)
    quality: float | None = None  # the best student's score on the validation split of this round
    saves: Decimal | None = None  # per month at most, by the worksheet: as if the student's own answers cost nothing
    passed: bool | None = None  # whether this round's evaluation holds the gate; None before it
    signed_off: bool = False  # by a sign-off that counts now
    settled: tuple[str, str] = ("waiting", "")  # the state while no run is active
    next_step: Action | None = None
    waits_for: str | None = None
    refresh_due: str = ""  # the day from which the next step is a refresh, ISO 8601
    run: CardRun | None = None
    currency: str = ""  # of `saves`
    per_minute: int | None = None  # requests at its gateway; None where no gateway serves it now
    served: str = ""  # of that gateway: who answers, how quickly, what it costs and saves
    measure: str = ""  # the metric that `quality` is, where it is not the share of right answers

    @property
    def score(self) -> str:
        """Return `quality` as words: a share as percent, another metric by name on its own scale; empty for None."""
        if self.quality is None:
            return ""
        if not self.measure:
            return f"{100 * self.quality:.1f}%"
        share = self.measure == Metric.WITHIN_ONE
        return f"{self.measure} {100 * self.quality:.1f}%" if share else f"{self.measure} {self.quality:.3f}"

    @property
    def best(self) -> float | None:
        """Return `quality` so that more is better."""
        falls = self.measure in LOWER_IS_BETTER and self.quality is not None
        return 1 - self.quality if falls and self.quality is not None else self.quality

    @cached_property
    def code(self) -> str:
        """The short id that people type."""
        return f"P-{self.id:03d}"

    @cached_property
    def text(self) -> str:
        """What a filter looks in, in lower case."""
        return "\n".join((self.code, self.name, self.kind.value, *self.roles.values())).lower()

    @property
    def state(self) -> tuple[str, str]:
        """How the play stands: a word that has a mark (`holds`, `misses`, `waiting`, `running` …), and a few words."""
        return self.run.state if self.run is not None and self.is_under_way else self.settled

    @property
    def is_under_way(self) -> bool:
        """Whether a run is active that the next step has to wait for."""
        return self.run is not None and is_under_way(self.stage, self.run.status)

    def is_turn_of(self, person: str | None) -> bool:
        """Whether the play waits for this person, and for no run."""
        return person is not None and self.waits_for == person and not self.is_under_way

    def objection_concerns(self, person: str | None) -> bool:
        """Whether a validator's objection is this person's to settle: the operator and the sponsor decide about it."""
        if person is None or not self.settled[1].endswith(f" {OBJECTS}"):
            return False
        return person in (self.roles.get(Role.OPERATOR), self.roles.get(Role.SPONSOR))

    def on(self, day: str) -> Card:
        """Add what follows from the date."""
        if self.refresh_due and day >= self.refresh_due:
            self.settled, self.next_step = ("look", "refresh due"), Action.REFRESH
            self.waits_for = self.roles.get(Role.OPERATOR)
        return self
