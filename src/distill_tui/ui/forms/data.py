"""The forms of the data set: build it, accept what its audit found, freeze it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.rules.data import open_findings
from distill_tui.rules.findings import folded
from distill_tui.rules.requests import AcceptFindings
from distill_tui.terms import Action, FindingLevel
from distill_tui.ui.forms.drafts import UNDO
from distill_tui.ui.forms.form import Form, Step, call, opens, plain, worker
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


@opens(Action.BUILD_DATA)
def build_data(app: DistillApp, view: View) -> Step:
    body = "This round's draft is replaced. Nothing is frozen yet."
    return plain(view, Action.BUILD_DATA, "build it", worker(app, view, actions.build_data), body)


@opens(Action.FREEZE_DATA)
def freeze_data(app: DistillApp, view: View) -> Step:
    data, freeze = view.dossier.data_set, worker(app, view, actions.freeze_data)
    body = (
        "A frozen data set never changes. Other data need another round.",
        f"Digest {page.short(data.digest if data else None)}.",
    )
    title = f"Freeze the data set of {view.play.code} for good"
    return plain(view, Action.FREEZE_DATA, "freeze it", freeze, *body, title=title, typed=True)


@opens(Action.ACCEPT_FINDINGS)
def accept_findings(app: DistillApp, view: View) -> Step:
    found = folded(open_findings(view.dossier))
    word = {FindingLevel.MUST: "misses", FindingLevel.NOTE: "look"}
    choices = ("notes", *(each.name for each in found))
    must = " ".join(each.name for each in found if each.level is FindingLevel.MUST)

    def read(values: Values) -> AcceptFindings:
        if not values["which"]:
            raise ValueError("Write “notes” for all notes, or ids or kinds separated by spaces.")
        return AcceptFindings([] if values["which"] == "notes" else values["which"].split(), values["reason"])

    def submit(asked: AcceptFindings) -> Step:
        done = f"Accepted, and recorded in the log. {UNDO}"
        return call(view, done, actions.accept_findings, asked.findings, asked.reason)

    return Form(
        Action.ACCEPT_FINDINGS,
        "accept",
        submit,
        [(word[each.level], f"{each.name}: {each.says}") for each in found],
        (
            Field("which", "which", must or "notes", "IDs or kinds of findings, or “notes”: all of these.", choices),
            Field("reason", "reason", hint="It is kept in the log and printed on the model card."),
        ),
        read,
        title=f"Accept findings of the audit: {view.play.code}",
    )
