"""Everything known at one moment about a project and one of its plays: the only input of the rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from distill_tui.gates import interim, judging
from distill_tui.gates.gate import Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.record import Record
from distill_tui.rules import entities
from distill_tui.rules.drifted import Drift
from distill_tui.rules.results import RefreshDetail, known, observed
from distill_tui.rules.serving_mode import Serving
from distill_tui.terms import FIVE_STAGES, Assurance, Remedy, Role, Stage, Standing


@dataclass(frozen=True)
class SignOffFacts:
    """A sign-off with the results of its checks: `trouble` is why its bytes cannot be trusted."""

    row: entities.SignOff
    statement: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""
    withdrawn: bool = False
    key: str = ""  # fingerprint of the key that signed it
    revoked: str = ""  # whether that key was revoked, before it or after

    @property
    def covers(self) -> Mapping[str, Any]:
        covers = self.statement.get("predicate", {}).get("covers", {})
        return covers if isinstance(covers, dict) else {}


@dataclass(frozen=True)
class StatementFacts:
    """Another signed statement, with the results of its checks."""

    row: entities.Statement
    statement: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""
    assurance: Assurance = Assurance.SIGNED
    revoked: str = ""  # whether its key was revoked, before it or after

    def about(self, name: str) -> str:
        """Return the digest of one of its subjects by name; empty if there is none."""
        for subject in self.statement.get("subject", ()):
            if subject["name"] == name:
                return f"sha256:{subject['digest']['sha256']}"
        return ""


@dataclass(frozen=True)
class Looked:
    """What one evaluation showed, read when a reader first looks: most commands look at neither or at one of the two.

    Reading a record takes time with its rows, and judging it imports scipy.
    """

    read: Callable[[], Record | None] = lambda: None
    judge: Callable[[], tuple[Judgement, ...]] = tuple

    @classmethod
    def at(cls, record: Record | None, judgements: tuple[Judgement, ...] = ()) -> Looked:
        """Return what is known already."""
        return cls(lambda: record, lambda: judgements)

    @cached_property
    def record(self) -> Record | None:
        """The record; None where there is none, or it cannot be used."""
        return self.read()

    @cached_property
    def judgements(self) -> tuple[Judgement, ...]:
        """The judgement of each criterion in each scope; none where there is no record."""
        return self.judge()


@dataclass(frozen=True)
class AfterShip:
    """A validator's objection to a live bundle, as the log has it; `lift` where it takes one back."""

    person: str
    reason: str
    at: str
    bundle: int
    lift: bool
    seq: int  # of the log entry


@dataclass(frozen=True)
class Lineage:
    """Whether a project file goes on from what this account saw of it, and who accepts it where it does not."""

    accepted: tuple[str, ...] = ()  # digests of the entries that completed an acceptance
    waiting: tuple[str, ...] = ()  # who accepted it, where another person has to as well
    trouble: str = ""  # what this account saw and the log lacks
    seen: int = 0  # entries that this account saw, where there is trouble


@dataclass(frozen=True, kw_only=True)
class ProjectDossier:
    """Everything known at one moment about the project."""

    uid: str
    name: str
    keeper: str
    minimum_assurance: Assurance = Assurance.ACCOUNT
    forbids: frozenset[str] = frozenset()  # words of `terms.Weakness`
    currency: str = "USD"  # of every amount, ISO 4217
    gates_locked: bool = False  # whether amounts are fixed: some gate is locked
    on_alarm: tuple[str, ...] = ()  # the command that gets each drift alarm
    webhook: str = ""
    now: str = ""  # when it was loaded: rules read no clock
    people: Mapping[str, entities.Person] = field(default_factory=dict)
    accounts: tuple[entities.Account, ...] = ()
    keys: tuple[entities.SshKey, ...] = ()
    play_names: frozenset[str] = frozenset()
    audit_size: int = 0
    audit_head: str = ""
    tables_trouble: str = ""  # the first row that is not what the log says; compared at every load
    exposed: str = ""  # who else may write the file, or put another one in its place
    lineage: Lineage = Lineage()  # compared at every load with what this account remembers
    audit_trouble: str = ""  # what of the whole file is not what its log says; checked before a sign-off and a ship

    @property
    def read_only(self) -> str:
        """Return why nothing is decided in a restored or forked file, with the cure; empty where it goes on."""
        lineage = self.lineage
        if not lineage.trouble and not lineage.waiting:
            return ""
        have = f"{', '.join(lineage.waiting)} accepted this copy of the project." if lineage.waiting else ""
        why = f"{lineage.trouble} {have}".strip()
        return f"{why} It is read-only: {self.must_accept} must accept it with `distill-tui audit accept -m TEXT`."

    @property
    def must_accept(self) -> str:
        """Return who still has to accept a restored or forked file."""
        keeper, waiting = f"the keeper ({self.keeper})", self.lineage.waiting
        if self.keeper in waiting:
            return "one more person"
        return keeper if waiting or len(self.people) <= 1 else f"{keeper} and one more person"


@dataclass(frozen=True, kw_only=True)
class PlayDossier:
    """Everything known at one moment about one play and its project."""

    project: ProjectDossier
    play: entities.Play
    roles: Mapping[Role, str] = field(default_factory=dict)
    builders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    worksheet: Mapping[str, entities.WorksheetValue] = field(default_factory=dict)
    gate: Gate | None = None  # None where the stored gate cannot be read
    gate_row: entities.GateRow | None = None
    gate_trouble: str = ""  # the stored gate cannot be read, or is not the locked one
    traffic: tuple[entities.Traffic, ...] = ()
    data_sets: tuple[entities.DataSet, ...] = ()
    opened: tuple[entities.OpenedRow, ...] = ()
    terms: entities.ProviderTerms | None = None
    accepted: tuple[entities.AcceptedFinding, ...] = ()
    dropped: tuple[entities.DroppedRow, ...] = ()
    runs: tuple[entities.Run, ...] = ()
    evaluations: tuple[entities.Evaluation, ...] = ()
    looked: Looked = Looked()  # at this round's evaluation
    before: Looked = Looked()  # at that of the round before, to compare with
    of_live: Looked = Looked()  # at that of the student that is live, where that is another round's
    validation: Callable[[int], Record | None] = lambda _: None  # by training run: builders may see these
    spot_checks: tuple[entities.SpotCheck, ...] = ()  # those that the log knows
    sign_offs: tuple[SignOffFacts, ...] = ()
    statements: tuple[StatementFacts, ...] = ()
    bundles: tuple[entities.Bundle, ...] = ()
    feeds: tuple[entities.Feed, ...] = ()
    watches: tuple[entities.Watch, ...] = ()
    remedies: tuple[entities.RemedyRow, ...] = ()
    serving: Serving | None = None  # the mode that was set last, by a person or by a gateway that fell back
    late_roles: tuple[tuple[str, str, str], ...] = ()  # changed after the lock: role, from whom, to whom
    enrolled_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # who enrolled a person or added a proof
    after_ship: tuple[AfterShip, ...] = ()  # by the log, oldest first
    file_troubles: tuple[str, ...] = ()  # artifacts missing or altered; checked before a sign-off and a ship

    @property
    def play_id(self) -> int:
        return self.play.id

    @property
    def code(self) -> str:
        return self.play.code

    @property
    def record(self) -> Record | None:
        """Return what this round's evaluation measured."""
        return self.looked.record

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """Return the verdicts on this round's evaluation."""
        return self.looked.judgements

    @property
    def data_set(self) -> entities.DataSet | None:
        """Return the data set of this round."""
        return next((d for d in self.data_sets if d.round == self.play.round), None)

    @property
    def burnt(self) -> frozenset[str]:
        """Return the input digests of held-out rows that a builder opened: they no longer count as held out."""
        return frozenset(row.input_digest for row in self.opened if row.person_id in self.builders)

    @property
    def evaluation(self) -> entities.Evaluation | None:
        """Return this round's one look at the held-out split."""
        return next((e for e in self.round_evaluations if not e.reproduced), None)

    @property
    def round_evaluations(self) -> tuple[entities.Evaluation, ...]:
        """Return every evaluation of this round, reproductions included."""
        return tuple(e for e in self.evaluations if e.round == self.play.round)

    @property
    def locked(self) -> bool:
        return self.gate_row is not None and self.gate_row.locked_at is not None

    @property
    def passed(self) -> bool:
        """Return whether this round's student passes the gate."""
        return bool(self.judgements) and judging.passed(self.judgements)

    @property
    def interim(self) -> bool:
        """Return whether this round's student misses the gate and may ship for the days that the gate allows."""
        gate, record, live = self.gate, self.record, self.live
        if gate is None or gate.interim is None or record is None or live is None or not self.refreshing:
            return False
        judged = self.evaluation_of(live)
        same = judged is not None and record.live_model == judged.model
        return same and interim.may_ship(self.judgements, gate, record)

    @property
    def verdict(self) -> str:
        """Return the verdict on this round as a sign-off covers it."""
        return "passed" if self.passed else "interim" if self.interim else "missed"

    @property
    def judged_from(self) -> str:
        """Return the day from which on the rows of this refresh may judge; empty outside a refresh."""
        opened = [r for r in self.remedies if r.kind is Remedy.REFRESH]
        detail = known(RefreshDetail, opened[-1].detail) if opened else None
        return detail.judged_from if detail is not None else ""

    @property
    def first_round(self) -> int:
        """Return the first round of this effort: 1, or that of the newest refresh. Looks count from it."""
        return max((r.round for r in self.remedies if r.kind is Remedy.REFRESH), default=1)

    @property
    def looks(self) -> tuple[entities.Evaluation, ...]:
        """Return this effort's looks at the held-out split, without reproductions."""
        return tuple(e for e in self.evaluations if not e.reproduced and e.round >= self.first_round)

    @property
    def round_of_effort(self) -> int:
        """Return the number of the round within this effort, from 1."""
        return self.play.round - self.first_round + 1

    @property
    def live(self) -> entities.Bundle | None:
        """Return the live bundle: the newest, or the one rolled back to after it."""
        if not self.bundles:
            return None
        newest = self.bundles[-1]
        back = [r for r in self.remedies if r.kind is Remedy.ROLL_BACK and r.newest_bundle == newest.id]
        return next((b for b in self.bundles if back and b.id == back[-1].bundle_id), newest)

    def evaluation_of(self, bundle: entities.Bundle) -> entities.Evaluation | None:
        """Return the evaluation by which a bundle shipped."""
        return next((e for e in self.evaluations if e.round == bundle.round and not e.reproduced), None)

    @property
    def suspended(self) -> entities.RemedyRow | None:
        """Return who suspended the live student and why; None while it answers. A ship or rollback ends it."""
        switches = (Remedy.SUSPEND, Remedy.RESUME, Remedy.ROLL_BACK)
        last = next((r for r in reversed(self.remedies) if r.kind in switches), None)
        newest = self.bundles[-1].id if self.bundles else None
        return last if last and last.kind is Remedy.SUSPEND and last.newest_bundle == newest else None

    @property
    def interim_until(self) -> str:
        """Return the day on which the live student's interim ends, ISO 8601; empty where it passed its gate."""
        live, gate = self.live, self.gate
        if live is None or gate is None or gate.interim is None:
            return ""
        judged = self.evaluation_of(live)
        if judged is None or judged.passed:
            return ""
        return (date.fromisoformat(live.shipped_at[:10]) + timedelta(gate.interim.days)).isoformat()

    @property
    def interim_over(self) -> bool:
        """Return whether the live student's interim has ended: it answers nothing any more."""
        return bool(self.interim_until) and self.project.now[:10] >= self.interim_until

    @property
    def interim_line(self) -> str:
        """Return a sentence about the live student's interim; empty where it passed its gate."""
        if not self.interim_until:
            return ""
        state = "ended on" if self.interim_over else "until"
        return f"interim: it missed its gate and was better than what was live; {state} {self.interim_until}"

    @property
    def answering(self) -> entities.Bundle | None:
        """Return the bundle that may answer requests: the live one, unless it is suspended, over or retired."""
        return None if self.suspended or self.interim_over or self.play.stage is Stage.KILLED else self.live

    @property
    def objection(self) -> AfterShip | None:
        """Return the newest objection to the live bundle that was not taken back."""
        live, standing = self.live, dict[str, AfterShip]()
        for each in self.after_ship:
            if live is not None and each.bundle == live.id:
                standing[each.person] = each
        return next((each for each in reversed(standing.values()) if not each.lift), None)

    @property
    def watched_from(self) -> int:
        """Return the last feed before the current watch: one begins with an acknowledgement, and with a bundle.

        A rollback does not begin one: what is known of the bundle that is live again stands until rows change it.
        """
        return max((r.feed_id for r in self.remedies if r.kind is Remedy.ACKNOWLEDGE), default=0)

    @property
    def watch(self) -> entities.Watch | None:
        """Return the newest state of the current watch of the live bundle."""
        live = self.live
        mine = [w for w in self.watches if live and w.bundle_id == live.id and w.feed_id > self.watched_from]
        return mine[-1] if mine else None

    @property
    def drift(self) -> Drift | None:
        """Return what drifted, as the newest run of the current watch measured it; None where nothing did."""
        found = observed(self.runs, self.watch.feed_id) if self.watch else None
        return found.drift if found is not None else None

    @property
    def standing(self) -> Standing:
        """Return the standing of the live student by its current watch."""
        return self.watch.standing if self.watch else Standing.UNLABELLED

    @property
    def refreshing(self) -> bool:
        """Return whether another round is open while a bundle is live."""
        return bool(self.bundles) and self.play.stage in FIVE_STAGES

    @property
    def refresh_due(self) -> str:
        """Return the day on which a refresh is due, ISO 8601; empty if none is."""
        if self.live is None or self.play.refresh_days is None or self.play.stage is Stage.KILLED:
            return ""
        due = (date.fromisoformat(self.live.shipped_at[:10]) + timedelta(self.play.refresh_days)).isoformat()
        return min(due, self.interim_until or due)

    @property
    def overdue(self) -> bool:
        """Return whether a refresh is due and not open."""
        return bool(self.refresh_due) and not self.refreshing and self.project.now[:10] >= self.refresh_due

    def run(self, run_id: object) -> entities.Run | None:
        return next((r for r in self.runs if r.id == run_id), None)

    def holder(self, role: Role) -> str:
        """Name the holder of a role for a sentence."""
        return self.roles.get(role, "not assigned")


def read_object(column: str) -> dict[str, Any]:
    """Read a JSON object from a column; empty if it is not one."""
    try:
        value = json.loads(column)
    except (ValueError, TypeError, RecursionError):  # another program wrote it
        return {}
    return value if isinstance(value, dict) else {}


def read_list(column: str) -> list[str]:
    """Read a JSON list of texts from a column; empty if it is not one."""
    try:
        value = json.loads(column)
    except (ValueError, TypeError, RecursionError):  # another program wrote it
        return []
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
