"""The questions that screens and commands ask. Plain values out; nothing is written."""

from __future__ import annotations

import json
from typing import Any

from sqlmodel import col, select

from distill_tui import tables
from distill_tui.project import Project, ProjectError
from distill_tui.terms import RunStatus


def find_play(project: Project, word: str) -> int:
    """Find a play by its code (P-007), its number or its name. Raises ProjectError with what there is."""
    with project.read() as session:
        plays = list(session.exec(select(tables.Play).order_by(col(tables.Play.id))))
    for play in plays:
        if word in (play.code, str(play.id), play.name) or word.upper() in (play.code, f"P-{play.id}"):
            assert play.id is not None
            return play.id
    known = ", ".join(f"{play.code} {play.name}" for play in plays[:20]) or "none yet"
    raise ProjectError(f"There is no play “{word}”; there are: {known}.")


def entries(project: Project, play_id: int | None = None, last: int | None = None) -> list[tables.AuditEntry]:
    """Give audit entries, oldest first: of one play or of all, and only the last so many."""
    query = select(tables.AuditEntry)
    if play_id is not None:
        query = query.where(tables.AuditEntry.play_id == play_id)
    query = query.order_by(col(tables.AuditEntry.seq).desc())
    if last is not None:
        query = query.limit(last)
    with project.read() as session:
        return list(reversed(list(session.exec(query))))


def curve(project: Project, run_id: int) -> list[tables.RunPoint]:
    """Give the points of a run's curve, in order."""
    query = select(tables.RunPoint).where(tables.RunPoint.run_id == run_id).order_by(col(tables.RunPoint.step))
    with project.read() as session:
        return list(session.exec(query))


def active_runs(project: Project) -> list[tables.Run]:
    """Give the runs that a worker has, or is about to have."""
    active = [status for status in RunStatus if status.active]
    with project.read() as session:
        return list(session.exec(select(tables.Run).where(col(tables.Run.status).in_(active))))


def result(run: tables.Run) -> dict[str, Any]:
    """Give what a run reported at its end."""
    value = json.loads(run.result)
    return value if isinstance(value, dict) else {}
