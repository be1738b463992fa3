"""The forms of the data set: build it, accept what its audit found, freeze it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.rules.data import open_findings
from distill_tui.rules.requests import AcceptFindings
from distill_tui.terms import Action, FindingLevel
from distill_tui.ui.forms.form import STARTED, Form, Step, call, nothing, opens
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


@opens(Action.BUILD_DATA)
def build_data(app: DistillApp, view: View) -> Step:
    build = call(view, STARTED, actions.build_data)
    body = ("This round's draft is replaced. Nothing is frozen yet.",)
    return Form(Action.BUILD_DATA, "build it", nothing, lambda asked: build, body)


@opens(Action.FREEZE_DATA)
def freeze_data(app: DistillApp, view: View) -> Step:
    data, code = view.dossier.data_set, view.play.code
    freeze = call(view, STARTED, actions.freeze_data)
    digest = f"Digest {page.short(data.digest if data else '')}."
    body = ("A frozen data set never changes. Other data need another round.", digest)
    title = f"Freeze the data set of {code} for good"
    return Form(Action.FREEZE_DATA, "freeze it", nothing, lambda asked: freeze, body, title=title, typed=code)


@opens(Action.ACCEPT_FINDINGS)
def accept_findings(app: DistillApp, view: View) -> Step:
    found = sorted(open_findings(view.dossier), key=lambda each: each.level is not FindingLevel.MUST)
    ids, word = tuple(each.id for each in found), {FindingLevel.MUST: "misses", FindingLevel.NOTE: "look"}
    done = "Accepted, and recorded in the log."

    def read(values: Values) -> AcceptFindings:
        if not values["which"]:
            raise ValueError("Write “all”, or finding ids separated by spaces.")
        return AcceptFindings([] if values["which"] == "all" else values["which"].split(), values["reason"])

    return Form(
        Action.ACCEPT_FINDINGS,
        "accept",
        read,
        lambda asked: call(view, done, actions.accept_findings, asked.findings, asked.reason),
        [(word[each.level], f"{each.id}: {each.says}") for each in found],
        (
            Field("which", "which", "all", "all, or finding ids. Fix the others and build again.", ("all", *ids)),
            Field("reason", "reason", hint="It is kept in the log and printed on the model card."),
        ),
        title=f"Accept findings of the audit: {view.play.code}",
    )
