"""What a refresh takes in: observed rows as traffic, and where the live student diverged, for the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from distill_tui import tasks
from distill_tui.dataset import traffic
from distill_tui.dataset.row_identity import sealed
from distill_tui.digests import canonical
from distill_tui.gates.scale import apart
from distill_tui.monitor.history import labelled_rows, listed
from distill_tui.rounds.weights import cell
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.labels import scale_of
from distill_tui.rules.results import NO_NAMES, ImportReport, encode
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.terms import Remedy

LAST_DAYS = 90  # that judge a refresh, where neither a drift nor a cadence says from when


def take_in(project: Project, dossier: PlayDossier, out: Path, at: str) -> entities.Traffic | None:
    """Collect the rows that were observed and not judged on yet, with the teacher's answers, for the next round."""
    feeds = [feed for feed in dossier.feeds if feed.id > _judged_until(dossier)]
    if not feeds:
        return None
    query = f"SELECT input_digest FROM observation WHERE probe = 0 AND feed_id IN ({listed(f.id for f in feeds)})"
    with project.view() as connection:
        wanted = {digest for (digest,) in connection.execute(query)}
        answered_late = {digest for (digest,) in connection.execute(f"{query} AND late > 0")}
    files = list(dict.fromkeys(project.artifacts.path(feed.artifact) for feed in feeds))  # two bundles may share one

    def counts(row: Mapping[str, object]) -> bool:
        """Whether a row is taken: of an input whose answer came late, the row with the answer."""
        answers = (row["teacher_output"], row["teacher_probabilities"], row["gold"])
        late = row["input_digest"] in answered_late and all(answer is None for answer in answers)
        return row["input_digest"] in wanted and not late

    rows = traffic.pick(files, counts, out)
    if not rows:
        return None
    gold = sum(row["gold"] is not None for row in traffic.rows([out]))
    segments = Counter(row["segment"] or "all" for row in traffic.rows([out]))
    names, usable = traffic.counted([out], several=tasks.of(dossier.play.task).several)
    scale = scale_of(dossier.play)
    report = ImportReport(
        observed=True,
        rows=rows,
        rejects=0,
        gold_share=gold / rows,
        segments=tuple(segments.most_common(1000)),
        names=NO_NAMES if scale is not None and scale.ranged else names,  # numbers do not name labels
        usable=usable,
    )
    artifact, round = project.artifacts.store(out), dossier.play.round + 1
    return tables.Traffic(
        play_id=dossier.play_id,
        round=round,
        name=f"observed {feeds[0].received_at[:10]} to {feeds[-1].received_at[:10]}",
        source_digest=artifact,
        artifact=artifact,
        mapping=canonical({"observed": str(round)}).decode(),
        rows=rows,
        rejects=0,
        report=encode(report),
        imported_at=at,
    )


def judged_from(project: Project, dossier: PlayDossier, days: int | None = None) -> str:
    """Return the day from which on rows may judge a refresh that is opened now.

    Without a number of days it is the onset of the drift; else the first of the last so many days that were observed.
    """
    if days is None and dossier.drift is not None:
        return dossier.drift.since
    with project.view() as connection:
        query = "SELECT max(day) FROM observation WHERE play_id = ? AND probe = 0"
        newest = connection.execute(query, (dossier.play_id,)).fetchone()[0] or dossier.project.now[:10]
    return (date.fromisoformat(newest) - timedelta((days or dossier.play.refresh_days or LAST_DAYS) - 1)).isoformat()


@dataclass(frozen=True)
class CanJudge:
    """How many observed inputs could judge a refresh, and how many could not."""

    since: str
    may: int
    shown: int  # of the open half
    before: int  # sealed, of before that day
    wanted: int  # held-out rows of the gate

    @property
    def sentence(self) -> str:
        lacks = self.wanted + 1 - self.may
        more = f"{lacks:,} more are needed, observed or imported" if lacks > 0 else "they are enough"
        return (
            f"Held-out rows are drawn from {self.since} on: {self.may:,} observed inputs may judge, and the gate asks "
            f"for {self.wanted:,}; {more}. {self.before:,} are of before that day and {self.shown:,} may have been "
            "shown; these can train."
        )


def can_judge(project: Project, dossier: PlayDossier, since: str) -> CanJudge:
    """Count the observed inputs that no refresh was judged on."""
    query = """SELECT input_digest, max(day) FROM observation
        WHERE play_id = ? AND probe = 0 AND feed_id > ? GROUP BY input_digest"""
    with project.view() as connection:
        seen = connection.execute(query, (dossier.play_id, _judged_until(dossier))).fetchall()
    sealed = [day for digest, day in seen if traffic.sealed(digest)]
    may = sum(day >= since for day in sealed)
    wanted = dossier.gate.held_out_rows if dossier.gate else 0
    return CanJudge(since, may, len(seen) - len(sealed), len(sealed) - may, wanted)


def _judged_until(dossier: PlayDossier) -> int:
    """Return the newest feed that an evaluated refresh took in; what was never judged on is taken in again."""
    looked = max((e.round for e in dossier.evaluations if not e.reproduced), default=0)
    opened = [r for r in dossier.remedies if r.kind is Remedy.REFRESH and r.round <= looked]
    return max((r.feed_id for r in opened), default=0)


def failures(project: Project, dossier: PlayDossier) -> dict[str, tuple[int, int]]:
    """Count by cell where the live student diverged since the watch began: rows that differ, rows.

    Open rows only: what is sealed may become held-out, and nothing of it goes into the weights of a data set.
    """
    found: dict[str, list[int]] = {}
    task, scale = tasks.of(dossier.play.task), scale_of(dossier.play)
    for row in labelled_rows(project, dossier):
        if not sealed(row.input_digest):
            counts = found.setdefault(cell(row.segment, task.cell_label(row.teacher)), [0, 0])
            counts[0] += apart(scale, row.answer, row.teacher or "")
            counts[1] += 1
    return {name: (differ, rows) for name, (differ, rows) in found.items()}
