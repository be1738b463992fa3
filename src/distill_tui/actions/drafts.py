"""Undo and redo of a person's own changes of drafts, and rows that are dropped: each is an entry of the log."""

from __future__ import annotations

from distill_tui.dataset import frozen
from distill_tui.rules.actor import Actor
from distill_tui.rules.requests import DropRow, Undo
from distill_tui.store import drafts, tables
from distill_tui.store.project import Project
from distill_tui.terms import Action, Split


def undo(project: Project, play_id: int, actor: Actor) -> str:
    """Take back the actor's last change of a draft; return what it was, in words."""
    return _again(project, play_id, actor, Action.UNDO)


def redo(project: Project, play_id: int, actor: Actor) -> str:
    """Do again what the actor took back last; return what it was, in words."""
    return _again(project, play_id, actor, Action.REDO)


def _again(project: Project, play_id: int, actor: Actor, action: Action) -> str:
    find = drafts.next_undo if action is Action.UNDO else drafts.next_redo
    with project.view() as connection:
        step = find(connection, play_id, actor.person or "")
        moved = drafts.moved(connection, step) if step is not None else []
    done = step.entry.action if step is not None else None
    with project.change(action, play_id, actor, Undo(done, moved)) as change:
        assert step is not None and done is not None
        drafts.take(change.connection, step.pieces)
        change.detail |= {"entry": step.entry.seq, "action": done.value}
        return f"{done.command} of {step.entry.at[11:16]} UTC"


def drop_row(project: Project, play_id: int, actor: Actor, row: int, reason: str) -> None:
    """Leave a row of the draft out of this data set and of later ones, from the next build on."""
    data = project.ask_first(Action.DROP_ROW, play_id, actor).data_set
    found = frozen.row_of(project.artifacts.path(data.artifact), row) if data is not None else None
    gone = {each.input_digest for each in project.dossier(play_id).dropped}
    is_open = found is not None and found["split"] != Split.HELD_OUT and found["input_digest"] not in gone
    with project.change(Action.DROP_ROW, play_id, actor, DropRow(row, is_open, reason)) as change:
        assert found is not None
        change.session.add(
            tables.DroppedRow(
                play_id=play_id,
                input_digest=found["input_digest"],
                round=change.play.round,
                reason=reason.strip(),
                person_id=change.person,
                at=change.at,
            )
        )
        change.detail |= {"row": row, "input_digest": found["input_digest"], "reason": reason.strip()}
