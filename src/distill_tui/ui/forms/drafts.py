"""Undo and redo of drafts, and rows that are dropped: undo asks nothing, because redo takes it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.rules.requests import DropRow
from distill_tui.store.project import Project
from distill_tui.terms import Action
from distill_tui.ui.forms.form import REASON, Call, Form, Say, Step, call, opens
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

UNDO = "u undoes it."


@opens(Action.UNDO)
def undo(app: DistillApp, view: View) -> Step:
    def work(project: Project) -> str:
        return actions.undo(project, view.play_id, view.actor)

    return Call(work, then=lambda what: Say(f"Undid: {what}. ctrl+r does it again.", "success"))


@opens(Action.REDO)
def redo(app: DistillApp, view: View) -> Step:
    def work(project: Project) -> str:
        return actions.redo(project, view.play_id, view.actor)

    return Call(work, then=lambda what: Say(f"Redid: {what}. {UNDO}", "success"))


def drop_row(view: View, row: int, text: str) -> Step:

    def submit(asked: DropRow) -> Step:
        return call(view, f"Row {row} is dropped; B builds without it. {UNDO}", actions.drop_row, row, asked.reason)

    return Form(
        Action.DROP_ROW,
        "drop it",
        submit,
        (
            f"“{text}”",
            "It is left out of this data set and of later ones, from the next build on. The reason is in the log, and "
            "the data set counts it. Until the freeze it can be put back.",
        ),
        (REASON,),
        lambda values: DropRow(row, True, values["reason"]),
        title=f"Drop row {row} of {view.play.code}",
        command=f"distill-tui row drop {view.play.code} {row} -m TEXT",
    )
