"""How a live student is watched: what it is held to, which rows are sampled, and the monitor that reads them.

Pure: rows in, a standing and its findings out. A monitor never looks at a clock, so that a replay of the same
observations gives the same state to the bit. Who answers an alarm, and how, is with `rules` and `actions`.
"""

from __future__ import annotations

import calendar
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from distill_tui.digests import sorted_json
from distill_tui.gates.gate import Gate
from distill_tui.gates.label_sets import members
from distill_tui.gates.record import Record, scale_of
from distill_tui.gates.scale import Scale, apart
from distill_tui.gates.statistics import Scores
from distill_tui.monitor import drift
from distill_tui.monitor.drift import OVERALL
from distill_tui.tasks.label_map import Spelled, with_spelling
from distill_tui.terms import Metric, Reference, Standing

if TYPE_CHECKING:
    from distill_tui.rules.entities import Observation

PEOPLE = "answers of people"  # the student against a person's answer, where the held-out rows have gold
NEW = "new segments"  # what the gate never saw goes by this name, and is held to the overall ceiling
TEACHER_CHANGES = 0.05  # share of the probe that a teacher may answer differently than at the gate
PROBE_ROWS, PROBE_DAYS = 40, 28  # how many inputs are asked again, and how often a local teacher is
WATCHED = 500  # inputs of one day of one feed that are scored without asking the teacher
EXCERPT = 200  # characters of an open row that diverges
MOST_NAMED = 5  # answers outside the labels that a sentence names
MOST_CATEGORIES = 8  # labels, and segments, whose share is watched one by one; the rest are one
NUMBERS = ("uncertainty", "distance", "length")
OUTSIDE = 0.02  # share of answers outside the labels that is allowed over that at the gate
DISAGREEMENT, TEACHER, INPUTS, ANSWERS = "disagreement", "teacher", "inputs", "answers"


# --- the plan --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What one watch holds a student to. Fixed when it begins, so that nothing set later changes what is past."""

    ceilings: dict[str, float]  # of disagreement: overall, by segment, of new segments, and with people
    rates: dict[str, tuple[int, int]]  # at the gate: rows that differ, rows
    horizon_rows: int
    horizon_days: int
    reference: str  # the artifact of the scores at the gate

    @property
    def horizon_probe_rows(self) -> int:
        """The answers of the probe that come within the horizon, where it is asked as often as it is due."""
        return PROBE_ROWS * ceil(self.horizon_days / PROBE_DAYS)

    def to_json(self) -> str:
        return sorted_json(asdict(self))


def plan(record: Record, gate: Gate, sample: int, refresh_days: int, reference: str = "") -> Plan:
    """Hold a student to the locked agreement, or to what the gate's rows allow where that is more.

    `sample` rows a month are expected. The horizon is twice what comes until the refresh is due.
    """
    ceilings, rates = {}, {}
    for name, rows in _scopes(record).items():
        seen = [i for i in rows if record.teacher[i] >= 0]
        if seen:
            ceilings[name], rates[name] = _held_to(record, seen, record.teacher, _locked(gate, Metric.AGREEMENT, name))
    ceilings.setdefault(OVERALL, 1.0)
    if len(ceilings) > 1:
        ceilings[NEW] = ceilings[OVERALL]
    seen = [i for i, gold in enumerate(record.gold) if gold >= 0]
    if seen:
        ceilings[PEOPLE], rates[PEOPLE] = _held_to(record, seen, record.gold, _locked(gate, Metric.ACCURACY, OVERALL))
    rows_expected = ceil(sample / 30 * refresh_days * 2)
    return Plan(ceilings, rates, max(200, rows_expected), max(14, 2 * refresh_days), reference)


def _held_to(
    record: Record, seen: Sequence[int], truth: Sequence[int], locked: float | None
) -> tuple[float, tuple[int, int]]:
    """Return the ceiling of these rows, and how many of them differ."""
    scale, said = scale_of(record), record.labels
    differs = [apart(scale, said[record.student[i]], said[truth[i]]) for i in seen]
    bound = Scores.of(
        ((hit, False, record.group[i]) for hit, i in zip(differs, seen, strict=True)), paired=False
    ).at_most(0.10)
    return max(drift.ceiling(sum(differs), len(seen), locked), bound), (sum(differs), len(seen))


def _scopes(record: Record) -> dict[str, list[int]]:
    scopes: dict[str, list[int]] = {OVERALL: list(range(len(record.rows)))}
    for i, segment in enumerate(record.segment):
        if segment >= 0:
            scopes.setdefault(record.segments[segment], []).append(i)
    return scopes if len(scopes) > 2 else {OVERALL: scopes[OVERALL]}  # one segment is all of it


def _locked(gate: Gate, metric: Metric, segment: str) -> float | None:
    """Return what the locked gate allows to differ at most, where it has a threshold for the student alone."""
    if gate.deferral is not None:
        return None
    wanted = ["all"] if segment == OVERALL else [f"segment: {segment}", "every segment", "all"]
    for scope in wanted:
        for each in gate.criteria:
            named = (each.metric, each.reference, each.scope) == (metric, Reference.NONE, scope)
            if named and each.counts and each.threshold is not None:
                return 1 - float(each.threshold)
    return None


def alone(gate: Gate | None) -> str:
    """Return, where the gate sends requests back, that the student is watched without its teacher; else nothing."""
    if gate is None or gate.deferral is None:
        return ""
    return (
        "The gate judged student and teacher together, and here the student is watched alone, as if it answered every "
        "request: so are its ceilings, and what is served disagrees with the teacher less often."
    )


# --- which rows ------------------------------------------------------------------------------------------------------


def order(day: str, digest: str) -> str:
    """Put the rows of a day in an order that is independent of their content."""
    return hashlib.sha256(f"order {day} {digest}".encode()).hexdigest()


def chance(day: str, digest: str) -> float:
    """Return a number in (0, 1] for a row that breaks ties, always the same one."""
    return (int(hashlib.sha256(f"chance {day} {digest}".encode()).hexdigest()[:13], 16) + 1) / 2**52


def allowance(budget: int, day: str, asked: int) -> int:
    """Return how many more teacher calls a day may make when `asked` were made this month."""
    year, month, number = (int(part) for part in day.split("-"))
    spent_by_now = ceil(budget * number / calendar.monthrange(year, month)[1])
    return max(0, spent_by_now - asked)


# --- the scores at the gate ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The scores at the gate: numbers of held-out rows, never the rows; and the probe, which is of training rows."""

    uncertainty: tuple[float, ...] = ()
    distance: tuple[float, ...] = ()
    length: tuple[float, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)  # answer → rows
    segments: Mapping[str, int] = field(default_factory=dict)
    centre: tuple[float, ...] = ()  # of the embeddings of training rows
    spread: tuple[float, ...] = ()
    probe: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # input digest → input, the teacher's answer
    answers: tuple[str, ...] = ()  # the labels
    several: bool = False  # whether an answer is a set of them
    outside: float = 0.0  # share of the teacher's answers that are none of them
    people: bool = False  # whether any held-out row has gold
    of_scale: bool = False  # whether the labels are levels of a scale, or points of a range


# --- the monitor -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Divergence:
    """One thing that diverges: what, where, since when, how much."""

    what: str  # disagreement, teacher, inputs or answers
    where: str
    since: str  # the day on which the climb began
    noticed: str
    red: bool
    rate: float | None = None  # since then
    ceiling: float | None = None
    rows: int = 0  # since then

    @classmethod
    def from_stored(cls, values: Mapping[str, object]) -> Divergence:
        """Read what a watch stored. Raises TypeError where a field is missing or unknown."""
        return cls(**{name: value for name, value in values.items() if name != "sentence"})  # type: ignore[arg-type]

    @property
    def sentence(self) -> str:
        if self.what == INPUTS:
            return f"The inputs differ from those at the gate: {self.where}, since about {self.since}."
        share = f"{100 * (self.rate or 0):.1f}% of {self.rows:,} rows since about {self.since}"
        if self.what == ANSWERS:
            return (
                f"The teacher answers outside the labels on {share}: {self.where}. The task, the teacher or the "
                "spelling of its answers changed; such an answer counts as a disagreement and is not replaced."
            )
        if self.what == TEACHER:
            return (
                f"The teacher itself changed: it answers {share} of the probe differently than at the gate; the "
                "student is not the cause."
            )
        other = "people" if self.where == PEOPLE else "teacher"
        place = "" if self.where in (OVERALL, PEOPLE) else f" on {self.where}"
        limit = f"{100 * (self.ceiling or 0):.1f}%"
        how = "alarm by the day" if self.red else "row by row only; a burst would look the same"
        return f"Student and {other} disagree{place} on {share}; the ceiling is {limit} ({how})."


@dataclass(frozen=True)
class State:
    """All that the next observation depends on."""

    day: str
    batch: Mapping[str, tuple[int, int]]
    rows: drift.GroupState
    days: drift.GroupState
    teacher: drift.GroupState
    inputs: drift.GroupState
    outside: drift.GroupState


class Monitor:
    """Everything that is watched of one live student since its watch began; rows come in the order they were stored."""

    def __init__(self, plan: Plan, scored: Scored) -> None:
        self.plan = plan
        self.rows = drift.Rates(plan.ceilings, plan.horizon_rows, batches=False)
        self.days = drift.Rates(plan.ceilings, plan.horizon_days, batches=True)
        self.teacher = drift.Rates({OVERALL: TEACHER_CHANGES}, plan.horizon_probe_rows, batches=False)
        self.labels, self.several = frozenset(scored.answers), scored.several
        self.scale = Scale.of(scored.answers) if scored.of_scale else None
        self.spelled = Spelled(scored.answers)
        self.strange = min(0.5, OUTSIDE + scored.outside)  # the share of answers outside them that is allowed
        self.outside = drift.Rates({OVERALL: self.strange}, plan.horizon_rows, batches=False)
        self.named: Counter[str] = Counter()  # answers outside the labels
        self.answered: dict[str, list[int]] = {}  # by day: rows with an answer, rows outside the labels
        self.categories = {"labels": _categories(scored.labels), "segments": _categories(scored.segments)}
        self.inputs = _inputs(scored, self.categories, 4 * plan.horizon_rows)
        self.day = ""
        self.batch: dict[str, list[int]] = {}
        self.older: dict[str, dict[str, list[int]]] = {}  # by day, of this feed: batches of days before the open one
        self.bet: set[str] = set()  # days that were bet on
        self.tally: dict[str, dict[str, list[int]]] = {}  # by segment and day: rows, rows that differ
        self.probed: dict[str, list[int]] = {}  # by day
        self.unknown: dict[str, int] = {}  # rows of segments that the gate never saw

    def add(self, seen: Observation) -> None:
        """Take in one observation."""
        differs = seen.teacher is not None and apart(self.scale, seen.answer, seen.teacher)
        if seen.probe:
            self.teacher.add({OVERALL: float(differs)}, seen.day)
            _count(self.probed.setdefault(seen.day, [0, 0]), differs)
            return
        if seen.day > self.day:
            self._close_day()
            self.day = seen.day
        name = seen.segment if seen.segment in self.plan.ceilings else NEW
        if not seen.late:
            if name == NEW:
                self.unknown[seen.segment] = self.unknown.get(seen.segment, 0) + 1
            self.inputs.add(self._scores(seen), chance(seen.day, seen.input_digest), seen.day)
        shares: dict[str, bool] = {}
        if seen.teacher is not None:
            if self.labels:
                self._compare_with_labels(seen.teacher, seen.day)
            shares = dict.fromkeys([OVERALL, name] if name in self.plan.ceilings else [OVERALL], differs)
        tallied = shares if seen.teacher is None else shares | {seen.segment: differs}
        if seen.gold is not None and PEOPLE in self.plan.ceilings:
            people = {PEOPLE: apart(self.scale, seen.answer, seen.gold)}
            shares, tallied = shares | people, tallied | people
        if not shares:
            return
        self.rows.add({each: float(hit) for each, hit in shares.items()}, seen.day)
        is_open = seen.day == self.day and self.day not in self.bet
        batch = self.batch if is_open else self.older.setdefault(seen.day, {})
        for each, hit in shares.items():
            _count(batch.setdefault(each, [0, 0]), hit)
        for each, hit in tallied.items():
            _count(self.tally.setdefault(each, {}).setdefault(seen.day, [0, 0]), hit)

    def _compare_with_labels(self, answer: str, day: str) -> None:
        strange = not self.labels.issuperset(self._members(answer))
        self.outside.add({OVERALL: float(strange)}, day)
        _count(self.answered.setdefault(day, [0, 0]), strange)
        self.named[answer] += strange

    def end_feed(self, received: str) -> None:
        """Close the last day of a feed that came on a later one: nothing more of it is to come.

        One that lies ahead is closed too, and time goes on from the day of the feed: a row with a wrong year would
        else hold its batch open, and every later day with it.
        """
        self._close_older()
        if self.day < received[:10]:
            self._close_day()
        elif self.day > received[:10]:
            self._close_day()
            self.day = received[:10]

    def _close_day(self) -> None:
        if self.batch:
            self._bet_on(self.day, self.batch)
            self.batch = {}

    def _close_older(self) -> None:
        """Bet on days before the open one, of which answers came late: once on each day.

        What comes later still, of days that were bet on, is one bet for the whole feed: the rows of one day depend on
        each other, so that a second bet on the same day would count it twice.
        """
        again: dict[str, list[int]] = {}
        since = ""
        for day, batch in sorted(self.older.items()):
            if day not in self.bet:
                self._bet_on(day, batch)
                continue
            since = since or day
            for name, (rows, hits) in batch.items():
                counts = again.setdefault(name, [0, 0])
                counts[0], counts[1] = counts[0] + rows, counts[1] + hits
        if again:
            self._bet_on(since, again)
        self.older = {}

    def _bet_on(self, day: str, batch: Mapping[str, Sequence[int]]) -> None:
        self.days.add({name: hits / rows for name, (rows, hits) in batch.items()}, day)
        self.bet.add(day)

    def _scores(self, seen: Observation) -> dict[str, float]:
        scores = {"uncertainty": seen.uncertainty, "distance": seen.distance, "length": float(seen.length)}
        for kind, value in (("labels", seen.answer), ("segments", seen.segment)):
            known = self.categories[kind]
            for category in known:
                here = value == category or (category == "" and value not in known)
                scores[_score_name(kind, category)] = float(here)
        return scores

    @property
    def standing(self) -> Standing:
        if self.days.group.alarm:
            return Standing.ALARM
        amber = (self.rows.group, self.teacher.group, self.inputs.group, self.outside.group)
        if any(group.alarm for group in amber):
            return Standing.LOOK
        return Standing.STEADY if self.rows.group.total else Standing.UNLABELLED

    def findings(self) -> list[Divergence]:
        """Return what diverges, where and since when; the teacher first, because it can explain the rest.

        Answers outside the labels are named from the first one on; they make amber once they are more than a few.
        """
        found = [*self._strange()]
        if self.teacher.group.alarm:
            since = self.teacher.group.began(OVERALL)
            rows, hits = _since(self.probed, since)
            found.append(
                Divergence(
                    TEACHER, "the probe", since, self.teacher.group.alarm, False, hits / rows, TEACHER_CHANGES, rows
                )
            )
        for rates, red in ((self.days, True), (self.rows, False)):
            if rates.group.alarm:
                found += [
                    self._disagreement(rates, name, red) for name in rates.group.flagged(rates.segments) or [OVERALL]
                ]
                break  # what is red is not shown in amber again
        group = self.inputs.group
        for name in group.flagged(group.weights) if group.alarm else ():
            found.append(Divergence(INPUTS, name, group.began(name), group.alarm, False))
        return found

    def _strange(self) -> Iterator[Divergence]:
        first = min((day for day, (_, hits) in self.answered.items() if hits), default="")
        if not first:
            return
        rows, hits = _since(self.answered, first)
        names = [(name, count) for name, count in self.named.most_common() if count]
        more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
        like = [self.spelled.like(self._members(name)) for name, _ in names[:MOST_NAMED]]
        where = ", ".join(with_spelling(*each, own) for each, own in zip(names, like, strict=False)) + more
        noticed = self.outside.group.alarm or ""
        yield Divergence(ANSWERS, where, first, noticed, False, hits / rows, self.strange, rows)

    def _members(self, answer: str) -> tuple[str, ...]:
        return members(answer) if self.several else (answer,)

    def _disagreement(self, rates: drift.Rates, name: str, red: bool) -> Divergence:
        since = rates.group.began(name)
        rows, hits = _since(self.tally.get(name, {}), since)
        where = f"{NEW} ({', '.join(sorted(self.unknown))})" if name == NEW and self.unknown else name
        rate = hits / rows if rows else None
        return Divergence(DISAGREEMENT, where, since, rates.group.alarm, red, rate, self.plan.ceilings[name], rows)

    def state(self) -> State:
        batch = {name: (rows, differ) for name, (rows, differ) in sorted(self.batch.items())}
        groups = (each.group.state() for each in (self.rows, self.days, self.teacher, self.inputs, self.outside))
        return State(self.day, batch, *groups)


def replay(plan: Plan, scored: Scored, feeds: Iterable[tuple[str, Iterable[Observation]]]) -> Monitor:
    """Read the observations of a watch again, feed by feed: when it was received, and its rows as they were stored."""
    monitor = Monitor(plan, scored)
    for received, rows in feeds:
        feed(monitor, received, rows)
    return monitor


def feed(monitor: Monitor, received: str, rows: Iterable[Observation]) -> None:
    """Add the rows of one feed."""
    for row in rows:
        monitor.add(row)
    monitor.end_feed(received)


def _count(counts: list[int], differs: bool) -> None:
    counts[0] += 1
    counts[1] += differs


def _since(days: Mapping[str, Sequence[int]], since: str) -> tuple[int, int]:
    counted = [counts for day, counts in days.items() if day >= since]
    return sum(rows for rows, _ in counted), sum(hits for _, hits in counted)


def _categories(counts: Mapping[str, int]) -> tuple[str, ...]:
    common = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_CATEGORIES]
    return (*sorted(common), "") if common else ()


def _score_name(kind: str, category: str) -> str:
    return f"share of {kind.rstrip('s')} {category}" if category else f"share of other {kind}"


def _inputs(scored: Scored, categories: Mapping[str, Sequence[str]], horizon: int) -> drift.Inputs:
    """Watch each number, and each share of a label or a segment; the five kinds carry the same part of the alarm."""
    kinds: list[Mapping[str, Sequence[float]]] = [{name: getattr(scored, name)} for name in NUMBERS]
    for kind, names in categories.items():
        counts = scored.labels if kind == "labels" else scored.segments
        total = sum(counts.values())
        shares = {}
        for name in names:
            here = counts[name] if name else sum(n for other, n in counts.items() if other not in names)
            shares[_score_name(kind, name)] = [1.0] * here + [0.0] * (total - here)
        if shares:
            kinds.append(shares)
    weights = {name: 1 / len(kinds) / len(kind) for kind in kinds for name in kind}
    calibration = {name: scores for kind in kinds for name, scores in kind.items()}
    return drift.Inputs(calibration, weights, horizon)


# --- what can be noticed ---------------------------------------------------------------------------------------------


def noticing(plan: Plan, sample: int) -> list[tuple[float, float, int | None, int | None]]:
    """Return what a monthly sample notices: rate at the gate, risen rate, rows until amber, days until red."""
    hits, rows = plan.rates.get(OVERALL, (0, 0))
    limit = plan.ceilings[OVERALL]
    if not rows or limit >= 1:
        return []
    rate, batch = max(hits, 1) / rows, max(1, round(sample / 30))
    share = 1.0 if len(plan.rates) < 2 else 0.5
    found = []
    base = rate if 2 * rate > limit else limit  # where the ceiling is far above the rate, what rises is the ceiling
    for rise in (1.5, 2.0, 3.0):
        risen = min(rise * base, 1.0)
        notice = partial(drift.rows_to_notice, round(risen, 3), limit, share=share, lives=101)
        amber, red = notice(plan.horizon_rows), notice(plan.horizon_days * batch, batch=batch)
        found.append((rate, risen, amber, None if red is None else ceil(red / batch)))
    return found


def noticing_sentence(rate: float, risen: float, amber: int | None, red: int | None, sample: int) -> str:
    """Return one line of what a sample notices."""
    rise = f"A rise from {100 * rate:.1f}% to {100 * risen:.1f}%"
    if amber is None or red is None:
        return f"{rise} stays within what the ceiling allows, or takes more than 20,000 rows to notice."
    days = ceil(amber / (sample / 30))
    return (
        f"{rise} is noticed after about {amber:,} labelled rows (amber): {_span(days)} at {sample:,} a month; as an "
        f"alarm that no single bad day can raise (red), after {_span(red)}."
    )


def _span(days: int) -> str:
    if days < 14:
        return f"{days} day{'s' * (days != 1)}"
    return f"{round(days / 7)} weeks" if days < 84 else f"{round(days / 30)} months"
