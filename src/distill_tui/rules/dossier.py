"""Everything known at one moment about a project and one of its plays: the only input of the rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from typing import Any, overload

from distill_tui.gates import judging
from distill_tui.gates.gate import Gate
from distill_tui.gates.judgement import Judgement
from distill_tui.gates.record import Record
from distill_tui.rules import entities
from distill_tui.terms import FIVE_STAGES, Assurance, Remedy, Role, Stage, Standing


@dataclass(frozen=True)
class SignOffFacts:
    """A sign-off with the results of its checks: `trouble` is why its bytes cannot be trusted."""

    row: entities.SignOff
    statement: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""
    withdrawn: bool = False

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

    def about(self, name: str) -> str:
        """Return the digest of one of its subjects by name; empty if there is none."""
        for subject in self.statement.get("subject", ()):
            if subject["name"] == name:
                return f"sha256:{subject['digest']['sha256']}"
        return ""


class LateJudgements(Sequence[Judgement]):
    """Judgements that are computed when a reader first looks: judging imports scipy, and most commands read none."""

    def __init__(self, judge: Callable[[], tuple[Judgement, ...]]) -> None:
        self._judge = judge

    @cached_property
    def _judged(self) -> tuple[Judgement, ...]:
        return self._judge()

    @overload
    def __getitem__(self, place: int) -> Judgement: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Judgement]: ...
    def __getitem__(self, place: int | slice) -> Judgement | Sequence[Judgement]:
        return self._judged[place]

    def __len__(self) -> int:
        return len(self._judged)


@dataclass(frozen=True, kw_only=True)
class ProjectDossier:
    """Everything known at one moment about the project."""

    uid: str
    name: str
    keeper: str
    minimum_assurance: Assurance = Assurance.ACCOUNT
    now: str = ""  # when it was loaded: rules read no clock
    people: Mapping[str, entities.Person] = field(default_factory=dict)
    accounts: tuple[entities.Account, ...] = ()
    keys: tuple[entities.SshKey, ...] = ()
    play_names: frozenset[str] = frozenset()
    audit_size: int = 0
    audit_head: str = ""
    audit_trouble: str = ""  # where the chain breaks; checked before a sign-off and a ship


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
    runs: tuple[entities.Run, ...] = ()
    evaluations: tuple[entities.Evaluation, ...] = ()
    record: Record | None = None
    record_before: Record | None = None  # of the round before, to compare with
    judgements_before: Sequence[Judgement] = ()
    record_live: Record | None = None  # of the student that is live, where that is another round's
    judgements_live: Sequence[Judgement] = ()
    validations: Mapping[int, Record] = field(default_factory=dict)  # by training run: builders may see these
    judgements: Sequence[Judgement] = ()
    spot_checks: tuple[entities.SpotCheck, ...] = ()  # those that the log knows
    sign_offs: tuple[SignOffFacts, ...] = ()
    statements: tuple[StatementFacts, ...] = ()
    bundles: tuple[entities.Bundle, ...] = ()
    feeds: tuple[entities.Feed, ...] = ()
    watches: tuple[entities.Watch, ...] = ()
    remedies: tuple[entities.RemedyRow, ...] = ()
    file_troubles: tuple[str, ...] = ()  # artifacts missing or altered; checked before a sign-off and a ship

    @property
    def play_id(self) -> int:
        return self.play.id

    @property
    def code(self) -> str:
        return self.play.code

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

    @property
    def watched_from(self) -> int:
        """Return the last feed before the current watch, which began with an acknowledgement or rollback."""
        return max((r.feed_id for r in self.remedies if r.kind is not Remedy.REFRESH), default=0)

    @property
    def watch(self) -> entities.Watch | None:
        """Return the newest state of the current watch of the live bundle."""
        live = self.live
        mine = [w for w in self.watches if live and w.bundle_id == live.id and w.feed_id > self.watched_from]
        return mine[-1] if mine else None

    @property
    def standing(self) -> Standing:
        """Return the standing of the live student; steady while nothing was observed."""
        return self.watch.standing if self.watch else Standing.STEADY

    @property
    def refreshing(self) -> bool:
        """Return whether another round is open while a bundle is live."""
        return bool(self.bundles) and self.play.stage in FIVE_STAGES

    @property
    def refresh_due(self) -> str:
        """Return the day on which a refresh is due, ISO 8601; empty if none is."""
        if self.live is None or self.play.refresh_days is None or self.play.stage is Stage.KILLED:
            return ""
        return (date.fromisoformat(self.live.shipped_at[:10]) + timedelta(self.play.refresh_days)).isoformat()

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


def read_number(value: object) -> float:
    """Return a reported number as a float; 0 if it is not a number."""
    return float(value) if isinstance(value, int | float) else 0.0
