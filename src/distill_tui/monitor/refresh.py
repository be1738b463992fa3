"""What a refresh takes in: observed rows as traffic, and where the live student diverged, for the weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from distill_tui import tasks
from distill_tui.dataset import traffic
from distill_tui.digests import canonical
from distill_tui.monitor.history import labelled_rows, listed
from distill_tui.rounds.weights import cell
from distill_tui.rules import entities
from distill_tui.rules.dossier import PlayDossier
from distill_tui.rules.results import ImportReport, encode
from distill_tui.store import tables
from distill_tui.store.project import Project
from distill_tui.terms import Remedy


def take_in(project: Project, dossier: PlayDossier, out: Path, at: str) -> entities.Traffic | None:
    """Collect the rows that were observed and not judged on yet, with the teacher's answers, for the next round."""
    feeds = [feed for feed in dossier.feeds if feed.id > _judged_until(dossier)]
    if not feeds:
        return None
    query = f"SELECT input_digest FROM observation WHERE probe = 0 AND feed_id IN ({listed(f.id for f in feeds)})"
    with project.view() as connection:
        wanted = {digest for (digest,) in connection.execute(query)}
    files = [project.artifacts.path(feed.artifact) for feed in feeds]
    rows = traffic.pick(files, lambda row: row["input_digest"] in wanted, out)
    if not rows:
        return None
    gold = sum(row["gold"] is not None for row in traffic.rows([out]))
    segments = Counter(row["segment"] or "all" for row in traffic.rows([out]))
    report = ImportReport(
        observed=True, rows=rows, rejects=0, gold_share=gold / rows, segments=tuple(segments.most_common(1000))
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


def _judged_until(dossier: PlayDossier) -> int:
    """Return the newest feed that an evaluated refresh took in; what was never judged on is taken in again."""
    looked = max((e.round for e in dossier.evaluations if not e.reproduced), default=0)
    opened = [r for r in dossier.remedies if r.kind is Remedy.REFRESH and r.round <= looked]
    return max((r.feed_id for r in opened), default=0)


def failures(project: Project, dossier: PlayDossier) -> dict[str, list[int]]:
    """Count by cell where the live student diverged since the watch began: [rows that differ, rows].

    Open rows only: what is sealed may become held-out, and nothing of it goes into the weights of a data set.
    """
    found: dict[str, list[int]] = {}
    task = tasks.of(dossier.play.task)
    for row in labelled_rows(project, dossier):
        if not traffic.sealed(row.input_digest):
            counts = found.setdefault(cell(row.segment, task.cell_label(row.teacher)), [0, 0])
            counts[0] += row.answer != row.teacher
            counts[1] += 1
    return found
