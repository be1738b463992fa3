"""What was observed of a live student, read from the project file for screens and commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from distill_tui.gates.scale import Scale, apart
from distill_tui.monitor import plan as observe
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.drifted import Drift
from distill_tui.rules.labels import scale_of
from distill_tui.rules.results import ObserveSpec, decode, encode, run_of_feed
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import read, stored_list
from distill_tui.store.project import Project, ProjectError
from distill_tui.store.records import read_record
from distill_tui.store.rows import select
from distill_tui.store.sqlite import Connection
from distill_tui.terms import Stage

WORST = 5  # rows that are shown of what diverges


# --- a watch ---------------------------------------------------------------------------------------------------------


def read_scored(artifacts: Artifacts, digest: str) -> observe.Scored:
    """Read the scores at the gate. Raises ValueError where they were altered."""
    return decode(observe.Scored, artifacts.text(digest))


def plan_of(watch: entities.Watch) -> observe.Plan:
    """Read what a watch holds a student to. Raises ProjectError where another program wrote something else there."""
    return read(observe.Plan, watch.plan, f"the plan of the watch of feed {watch.feed_id}")


def listed(numbers: Iterable[int]) -> str:
    return ", ".join(str(int(number)) for number in numbers)


def read_feeds(
    connection: Connection, feeds: Sequence[entities.Feed], after: int, until: int | None = None
) -> list[tuple[str, list[entities.Observation]]]:
    """Return what was observed after a feed (and up to another), feed by feed, in the order of recording."""
    wanted = {each.id: each.received_at for each in feeds if each.id > after}
    found: dict[int, list[entities.Observation]] = {}
    for row in select(connection, entities.Observation, f"WHERE feed_id IN ({listed(wanted)}) ORDER BY id"):
        if until is None or row.feed_id <= until:
            found.setdefault(row.feed_id, []).append(row)
    return [(wanted[feed_id], rows) for feed_id, rows in found.items()]


def new_plan(project: Project, dossier: PlayDossier, bundle: entities.Bundle, reference: str) -> observe.Plan:
    """Fix what a watch that begins now holds the bundle's student to."""
    judged = dossier.evaluation_of(bundle)
    assert judged is not None
    record = read_record(project.artifacts, judged.record)
    play, gate = dossier.play, dossier.gate
    if gate is None:
        raise ProjectError(dossier.gate_trouble or "The gate of this play is not there; restore a backup.")
    return observe.plan(record, gate, play.sampling_per_month or 1, play.refresh_days or 1, reference)


def labelled_rows(project: Project, dossier: PlayDossier) -> list[entities.Observation]:
    if dossier.live is None:
        return []
    which = "WHERE bundle_id = ? AND feed_id > ? AND probe = 0 AND teacher IS NOT NULL ORDER BY id"
    with project.view() as connection:
        return list(select(connection, entities.Observation, which, dossier.live.id, dossier.watched_from))


def reject_reasons(dossier: PlayDossier, feed: entities.Feed) -> tuple[tuple[str, int], ...]:
    """Return why rows of a feed's file could not be used: reason, rows."""
    run = run_of_feed(dossier.runs, feed.id)
    return read(ObserveSpec, run.spec, f"the spec of run {run.id}").reasons if run is not None else ()


# --- for screens and commands ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Week:
    """What was observed of one bundle in one week, which begins on a Monday."""

    monday: str
    bundle_id: int
    rows: int
    differ: int

    @property
    def rate(self) -> float:
        return self.differ / self.rows


@dataclass(frozen=True)
class Day:
    """What was observed of the live student on one day in one segment, since the watch began."""

    day: str
    segment: str
    rows: int
    differ: int


@dataclass(frozen=True)
class Example:
    """An open row on which student and teacher disagree."""

    day: str
    segment: str
    answer: str
    teacher: str
    sure: float  # the student's highest probability
    text: str


@dataclass(frozen=True)
class Segment:
    """How a segment does, since the watch began or in its last days."""

    name: str
    rows: int
    differ: int
    ceiling: float | None
    at_gate: float | None


@dataclass(frozen=True)
class LiveView:
    """All that is known of a live student's life."""

    plan: observe.Plan | None
    findings: tuple[observe.Divergence, ...]
    weeks: tuple[Week, ...]
    days: tuple[Day, ...]
    ceilings: dict[int, float]  # by bundle: the disagreement that it is, or was, held to
    drift: Drift | None  # since the onset, against before
    people: Segment | None  # rows with a person's answer; None where there are none
    worst: tuple[Example, ...]
    rows: int  # observed since the watch began
    labelled: int
    asked_this_month: int
    noticing: tuple[tuple[float, float, int | None, int | None], ...]

    def since(self, window: int) -> str:
        """Name the first of the last so many days that were observed; nothing where the window is the whole watch."""
        if not window or not self.days:
            return ""
        return (date.fromisoformat(max(each.day for each in self.days)) - timedelta(window - 1)).isoformat()

    def within(self, window: int) -> tuple[Segment, ...]:
        """Return how each segment does in the last so many days that were observed, 0: since the watch began.

        The first, without a name, is all of them.
        """
        since = self.since(window)
        return _segments([each for each in self.days if each.day >= since], self.plan)

    @property
    def people_line(self) -> str:
        """Return how often people answered otherwise than the student; empty where no row has a person's answer."""
        if self.people is None:
            return ""
        return f"people: {self.people.differ:,} of {self.people.rows:,} answers differ from the student's"

    @property
    def rate(self) -> float | None:
        overall = self.within(0)[0]
        return overall.differ / overall.rows if overall.rows else None


def life(project: Project, dossier: PlayDossier) -> LiveView | None:
    live = dossier.live
    if live is None:
        return None
    watch, sample = dossier.watch, dossier.play.sampling_per_month or 0
    plan = plan_of(watch) if watch else _plan(project, dossier, live)
    findings = stored_findings(watch) if watch else ()
    labelled = labelled_rows(project, dossier)
    since = "bundle_id = ? AND feed_id > ? AND probe = 0 AND late = 0"
    this_month = "play_id = ? AND asked = 1 AND substr(day, 1, 7) = ?"
    return LiveView(
        plan=plan,
        findings=findings,
        weeks=_weeks(project, dossier),
        days=_days(labelled, scale_of(dossier.play)),
        ceilings={w.bundle_id: plan_of(w).ceilings[""] for w in dossier.watches},
        drift=dossier.drift,
        people=_people(project, dossier, plan),
        worst=_worst(labelled, findings),
        rows=_count(project, since, live.id, dossier.watched_from),
        labelled=len(labelled),
        asked_this_month=_count(project, this_month, dossier.play_id, dossier.project.now[:7]),
        noticing=tuple(observe.noticing(plan, sample)) if plan and sample else (),
    )


def stored_findings(watch: entities.Watch) -> tuple[observe.Divergence, ...]:
    """Read what a watch found."""
    what = f"what feed {watch.feed_id} showed"
    try:
        return tuple(map(observe.Divergence.from_stored, stored_list(watch.findings, what, dict)))
    except TypeError:
        raise ProjectError(f"{what.capitalize()} cannot be read from the project file; restore a backup.") from None


def expected(dossier: PlayDossier) -> tuple[str, ...]:
    """Return before a ship what the sampling budget will notice, by the record that is about to ship."""
    play, gate, record = dossier.play, dossier.gate, dossier.record
    if gate is None or record is None or not dossier.passed:
        return ()
    if play.stage is not Stage.DECIDE or not play.sampling_per_month or not play.refresh_days:
        return ()
    sample = play.sampling_per_month
    plan = observe.plan(record, gate, sample, play.refresh_days)
    return tuple(observe.noticing_sentence(*line, sample) for line in observe.noticing(plan, sample))


def _plan(project: Project, dossier: PlayDossier, bundle: entities.Bundle) -> observe.Plan | None:
    try:
        return new_plan(project, dossier, bundle, "")
    except (OSError, ValueError, StopIteration):
        return None  # the record was altered or lost: `doctor` and the next ship report it


def _weeks(project: Project, dossier: PlayDossier) -> tuple[Week, ...]:
    query = """SELECT day, bundle_id, answer, teacher, count(*) FROM observation
        WHERE play_id = ? AND probe = 0 AND teacher IS NOT NULL GROUP BY day, bundle_id, answer, teacher"""
    found: dict[tuple[str, int], list[int]] = {}
    scale = scale_of(dossier.play)
    with project.view() as connection:
        for day, bundle_id, answer, teacher, rows in connection.execute(query, (dossier.play_id,)):
            at = date.fromisoformat(day)
            counts = found.setdefault(((at - timedelta(at.weekday())).isoformat(), bundle_id), [0, 0])
            counts[0] += int(rows)
            counts[1] += int(rows) * apart(scale, answer, teacher)
    return tuple(Week(monday, bundle, *counts) for (monday, bundle), counts in sorted(found.items()))


def _days(labelled: list[entities.Observation], scale: Scale | None) -> tuple[Day, ...]:
    found: dict[tuple[str, str], list[int]] = {}
    for row in labelled:
        counts = found.setdefault((row.day, row.segment), [0, 0])
        counts[0] += 1
        counts[1] += apart(scale, row.answer, row.teacher or "")
    return tuple(Day(*where, *counts) for where, counts in sorted(found.items()))


def _segments(days: Sequence[Day], plan: observe.Plan | None) -> tuple[Segment, ...]:
    counts: dict[str, list[int]] = {"": [0, 0]}
    for day in days:
        for name in ("", day.segment):
            here = counts.setdefault(name, [0, 0])
            here[0] += day.rows
            here[1] += day.differ
    if len(counts) == 2:
        counts = {"": counts[""]}  # one segment is all of it
    ceilings, rates = (plan.ceilings, plan.rates) if plan else ({}, {})
    found = []
    for name, (rows, differ) in sorted(counts.items()):
        hits, of = rates.get(name, (0, 0))
        ceiling = ceilings.get(name, ceilings.get(observe.NEW))
        found.append(Segment(name, rows, differ, ceiling, hits / of if of else None))
    return tuple(found)


def _onset(findings: Sequence[observe.Divergence]) -> str:
    """Return the day on which the disagreement began; empty where none was found."""
    return min((each.since for each in findings if each.what == observe.DISAGREEMENT), default="")


def _worst(labelled: list[entities.Observation], findings: tuple[observe.Divergence, ...]) -> tuple[Example, ...]:
    """Return open rows since the onset on which the teacher disagrees: of what diverges first, then the surest.

    They are spread over the pairs of answers: the first of each pair comes before the second of any.
    """
    diverging = [each.where for each in findings if each.what == observe.DISAGREEMENT]
    shown = [row for row in labelled if row.excerpt and row.day >= _onset(findings)]
    shown.sort(key=lambda row: (not any(row.segment in where for where in diverging), row.uncertainty, row.id))
    turns, seen = {}, Counter[tuple[str, str | None]]()
    for row in shown:
        turns[row.id] = seen[row.answer, row.teacher]
        seen[row.answer, row.teacher] += 1
    shown.sort(key=lambda row: turns[row.id])
    return tuple(
        Example(row.day, row.segment, row.answer, row.teacher or "", 1 - row.uncertainty, row.excerpt)
        for row in shown[:WORST]
    )


def _people(project: Project, dossier: PlayDossier, plan: observe.Plan | None) -> Segment | None:
    """Return how the student does against people's answers since the watch began."""
    query = """SELECT answer, gold, count(*) FROM observation
        WHERE bundle_id = ? AND feed_id > ? AND probe = 0 AND gold IS NOT NULL GROUP BY answer, gold"""
    with project.view() as connection:
        of = (dossier.live.id if dossier.live else 0, dossier.watched_from)
        pairs = connection.execute(query, of).fetchall()
    scale, rows = scale_of(dossier.play), sum(count for _, _, count in pairs)
    different = sum(count for answer, gold, count in pairs if apart(scale, answer, gold))
    if not rows:
        return None
    hits, judged = plan.rates.get(observe.PEOPLE, (0, 0)) if plan else (0, 0)
    ceiling = plan.ceilings.get(observe.PEOPLE) if plan else None
    return Segment(observe.PEOPLE, rows, different, ceiling, hits / judged if judged else None)


def _count(project: Project, which: str, *values: int | str) -> int:
    with project.view() as connection:
        return int(connection.execute(f"SELECT count(*) FROM observation WHERE {which}", values).fetchone()[0])


def replay_trouble(project: Project, dossier: PlayDossier) -> str:
    """Replay the observations of the present watch; return what is wrong where they do not give the stored state."""
    watch = dossier.watch
    if watch is None:
        return ""
    plan = plan_of(watch)
    try:
        scored = read_scored(project.artifacts, plan.reference)
    except ValueError as error:
        return str(error)
    feeds = [feed for feed in dossier.feeds if feed.bundle_id == watch.bundle_id]
    with project.view() as connection:
        read = read_feeds(connection, feeds, dossier.watched_from, watch.feed_id)
        monitor = observe.replay(plan, scored, read)
    return state_trouble(monitor, watch)


def state_trouble(monitor: observe.Monitor, watch: entities.Watch) -> str:
    """Return what is wrong where a monitor that has read a watch's observations is not as the watch left it."""
    if encode(monitor.state()) == watch.state and monitor.standing is watch.standing:
        return ""
    return f"The observations do not give the state that feed {watch.feed_id} left; restore the file from a backup."


def probe(project: Project, dossier: PlayDossier) -> list[dict[str, str]]:
    """Return the inputs that the teacher is asked again, with its answer at the gate."""
    watches = [w for w in dossier.watches if dossier.live and w.bundle_id == dossier.live.id]
    if not watches:
        return []
    try:
        asked = read_scored(project.artifacts, plan_of(watches[-1]).reference).probe
    except ValueError as error:
        raise ProjectError(str(error)) from None
    return [{"input": text, "said_at_gate": label} for _, (text, label) in sorted(asked.items())]
