"""What a teacher answers to the rows of a feed: asked and kept as for labels, so that no row is paid for twice."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from distill_tui import tasks
from distill_tui.dataset import traffic
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import ObserveSpec
from distill_tui.runs import ask as asking
from distill_tui.runs.claim import Claim
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import read, stored
from distill_tui.store.sqlite import Connection
from distill_tui.teachers import cache
from distill_tui.teachers.limits import Limits
from distill_tui.terms import RunKind, RunStatus, TeacherSource


@dataclass(frozen=True)
class Row:
    """A row of a feed on its way to an observation."""

    day: str
    digest: str
    input: str
    segment: str
    teacher: str | None
    probe: bool = False
    asked: bool = False
    gold: str | None = None
    late: int = 0  # how often the input was recorded before


def room(connection: Connection, artifacts: Artifacts, dossier: PlayDossier, feed: entities.Feed) -> int:
    """Return how many calls are left of the month in which a feed came in; for a local model there is no limit.

    What runs that ended early have paid for counts as well, by the answers that are kept: who gives the next file
    instead of resuming such a run spends no month twice.
    """
    play = dossier.play
    if play.teacher_source is not TeacherSource.ENDPOINT:
        return sys.maxsize
    month = [each for each in dossier.feeds if each.received_at[:7] == feed.received_at[:7]]
    feeds = ", ".join(str(each.id) for each in month)
    query = f"SELECT count(*) FROM observation WHERE asked = 1 AND feed_id IN ({feeds})"
    asked = int(connection.execute(query).fetchone()[0])
    ended = {
        read(ObserveSpec, run.spec, f"the spec of run {run.id}").feed
        for run in dossier.runs
        if run.kind is RunKind.OBSERVE and run.status is RunStatus.FINISHED
    }
    asked += sum(_paid(artifacts, play.teacher_digest, other) for other in month if other.id not in ended | {feed.id})
    return (play.sampling_per_month or 0) - asked


def _paid(artifacts: Artifacts, teacher: str, feed: entities.Feed) -> int:
    """Count the answers that are kept of a feed's rows, and of the probe on its last day."""
    days = {
        row["input_digest"]: (row["time"] or feed.received_at)[:10]
        for row in traffic.rows([artifacts.path(feed.artifact)])
    }
    probe = cache.probe_name(teacher, max(days.values(), default=""))
    kept = cache.answered(artifacts.folder, teacher) & days.keys()
    return len(kept) + len(cache.answered(artifacts.folder, probe))


def ask(claimed: Claim, dossier: PlayDossier, rows: Sequence[Row]) -> Mapping[str, str | None]:
    """Ask the play's teacher about rows, and return input digest → answer, as it is written where it names no label.

    The probe is asked again each time, because it compares the teacher of today with the one of then; its answers have
    a name of their own, and a worker that resumes after a kill finds them there. The rows are within the month's budget
    already. Raises ValueError with one sentence.
    """
    artifacts, play = claimed.project.artifacts, dossier.play
    trouble = artifacts.trouble(play.teacher_digest)
    if trouble:
        raise ValueError(trouble)
    several = tasks.of(play.task).several
    labels, limits, found = asking.labels_of(artifacts, play), _limits(dossier), dict[str, str | None]()
    for probe in (False, True):
        part = {row.digest: row for row in rows if row.probe is probe}
        name = play.teacher_digest
        if probe and part:
            name = cache.probe_name(name, next(iter(part.values())).day)
        known = cache.answered(artifacts.folder, name)
        todo = [(digest, row.input) for digest, row in part.items() if digest not in known]
        if todo:
            asking.ask(claimed, play.teacher_source, play.teacher_digest, todo, name=name, limits=limits, step=(1, 3))
        answers = cache.labelled(artifacts.folder, play.teacher_source, name, labels, several=several)
        unread = cache.said(artifacts.folder, name) if labels else {}
        found |= {digest: answers[digest][0] or unread.get(digest) or None for digest in part}
    spelled = tasks.of(play.task).spelled
    return {digest: text and spelled(text) for digest, text in found.items()}


def _limits(dossier: PlayDossier) -> Limits:
    """Return the limits of the last labelling run; what bounds the money is the month's number of calls."""
    labelled = [run for run in dossier.runs if run.kind is RunKind.LABEL]
    given = stored(labelled[-1].spec, f"the spec of run {labelled[-1].id}") if labelled else {}
    return replace(Limits.read(given), budget=Decimal("Infinity"))
