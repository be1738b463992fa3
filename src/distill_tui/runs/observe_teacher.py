"""What a teacher says of the rows of a feed: asked and kept as for labels, so that no row is paid for twice.

What was answered once says nothing of what is answered now, so the probe is asked anew each time; its answers are kept
under a name of their own, and a worker that goes on after a kill finds them there. Runs in workers only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui import tasks
from distill_tui.dataset import traffic
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.runs.claim import Claim
from distill_tui.runs.label import batches, local_writer
from distill_tui.store.artifacts import Artifacts
from distill_tui.store.json_columns import stored
from distill_tui.teachers import cache, endpoint
from distill_tui.teachers.description import Described
from distill_tui.teachers.endpoint import Answer
from distill_tui.teachers.limits import Limits
from distill_tui.terms import RunKind, RunStatus, TeacherSource
from distill_tui.training.folders import teacher_labels

if TYPE_CHECKING:
    from pathlib import Path

    from distill_tui.rules.dossier import PlayDossier
    from distill_tui.runs.observe import Row

Todo = list[tuple[str, str]]  # (input digest, text)
Said = Mapping[str, str | None]  # input digest to label; None where an answer named no label


def room(connection: Any, artifacts: Artifacts, dossier: PlayDossier, feed: entities.Feed) -> int:
    """Say how many calls the month in which a feed came in has left; of a model on this machine, as many as one likes.

    What runs that ended early have paid for counts as well, by the answers that are kept: whoever gives the next file
    instead of going on with such a run spends no month twice.
    """
    play = dossier.play
    if play.teacher_source is not TeacherSource.ENDPOINT:
        return sys.maxsize
    month = [each for each in dossier.feeds if each.received_at[:7] == feed.received_at[:7]]
    feeds = ", ".join(str(each.id) for each in month)
    query = f"SELECT count(*) FROM observation WHERE asked = 1 AND feed_id IN ({feeds})"
    asked = int(connection.execute(query).fetchone()[0])
    ended = {
        stored(run.spec, f"the spec of run {run.id}").get("feed")
        for run in dossier.runs
        if run.status is RunStatus.FINISHED
    }
    for other in month:
        if other.id not in ended and other.id != feed.id:
            asked += _paid(artifacts, play.teacher_digest, other)
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


def ask(claimed: Claim, dossier: PlayDossier, rows: Sequence[Row]) -> Said:
    """Ask the play's teacher about rows, as far as it has not answered before. Raises ValueError with one sentence."""
    play = dossier.play
    trouble = claimed.project.artifacts.trouble(play.teacher_digest)
    if trouble:
        raise ValueError(trouble)
    if play.teacher_source is TeacherSource.ENDPOINT:
        said = _endpoint(claimed, dossier, play.teacher_digest, rows)
    elif (described := Described.of(claimed.project.artifacts, play)) is not None and described.writes:
        said = _writer(claimed, play.teacher_digest, rows)
    else:
        return _local(claimed, play.teacher_source, play.teacher_digest, rows)
    spelled = tasks.of(play.task).spelled
    return {digest: text and spelled(text) for digest, text in said.items()}


def _writer(claimed: Claim, teacher: str, rows: Sequence[Row]) -> Said:
    """Have a model on this machine write its answers."""

    def write(name: str, todo: Todo) -> None:
        local_writer(claimed, teacher, todo, "answered by the teacher", name=name)

    return _kept(claimed.project.artifacts.folder, teacher, rows, write)


def _kept(folder: Path, teacher: str, rows: Sequence[Row], ask: Callable[[str, Todo], None]) -> Said:
    """Have asked what is not answered yet, the probe under its own name; every answer is kept the moment it comes."""
    said = dict[str, str | None]()
    for probe in (False, True):
        part = {row.digest: row for row in rows if row.probe is probe}
        name = cache.probe_name(teacher, next(iter(part.values())).day) if probe and part else teacher
        known = cache.answered(folder, name)
        ask(name, [(digest, row.input) for digest, row in part.items() if digest not in known])
        answers = cache.answers(folder, name)
        said |= {digest: answers[digest][0] for digest in part}
    return said


def _local(claimed: Claim, source: TeacherSource, teacher: str, rows: Sequence[Row]) -> Said:
    """Ask a model on this machine; every batch is kept as it comes."""
    artifacts = claimed.project.artifacts
    answered = cache.outputs(artifacts.folder, teacher)
    again = {row.digest for row in rows if row.probe}
    todo = list({row.digest: row for row in rows if row.digest not in answered or row.digest in again}.values())
    done = 0
    for positions, shares in batches(artifacts.path, source, teacher, [row.input for row in todo]):
        fresh = [(todo[at].digest, share.tolist()) for at, share in zip(positions, shares, strict=True)]
        answered |= dict(fresh)
        cache.add(artifacts.folder, teacher, [each for each in fresh if each[0] not in again])
        done += len(fresh)
        claimed.report(1, 3, f"the teacher answered {done:,} of {len(todo):,}")
    path = artifacts.path(teacher)
    local = source is TeacherSource.LOCAL
    labels = teacher_labels(path) if local else Described.from_json(path.read_text(encoding="utf-8")).labels
    return {row.digest: labels[answered[row.digest].index(max(answered[row.digest]))] for row in rows}


def _endpoint(claimed: Claim, dossier: PlayDossier, teacher: str, rows: Sequence[Row]) -> Said:
    """Ask an endpoint; every answer is kept the moment it comes. The rows are within the month's budget already."""
    folder = claimed.project.artifacts.folder
    described, limits = Described.from_json(claimed.project.artifacts.text(teacher)), _limits(dossier)
    key = endpoint.key_for(described.base_url)

    def ask(name: str, todo: Todo) -> None:
        def keep(answer: Answer) -> None:
            cache.add_answer(folder, name, answer)

        def tell(done: int, retries: int, spent: Decimal) -> None:
            told = f"the teacher answered {done:,} of {len(todo):,}, {spent:.4f} spent, {retries:,} retries"
            claimed.report(1, 3, told)

        endpoint.ask(described, todo, limits, spent=Decimal(0), keep=keep, tell=tell, key=key)

    return _kept(folder, teacher, rows, ask)


def _limits(dossier: PlayDossier) -> Limits:
    """Ask as the last labelling run did, at its prices; what bounds the money is the month's number of calls."""
    labelled = [run for run in dossier.runs if run.kind is RunKind.LABEL]
    given = stored(labelled[-1].spec, f"the spec of run {labelled[-1].id}") if labelled else {}
    return replace(Limits.read(given), budget=Decimal("Infinity"))
