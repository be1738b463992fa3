"""The sheets of variations: have the teacher write some, read what it wrote, take it in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui.review import controls
from distill_tui.rules.permission import objections
from distill_tui.terms import Action, TeacherSource
from distill_tui.ui.forms import data_deeds
from distill_tui.ui.forms.asking import ask
from distill_tui.ui.forms.sheets import Field, Sheet, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.rounds.variations import Waiting
    from distill_tui.store.project import Project
    from distill_tui.ui.app import DistillApp


def variations(app: DistillApp, view: View) -> None:
    """Show what waits to be taken in; where nothing does, have the teacher write."""

    def known(wait: Waiting | None) -> None:
        action, request = (Action.IMPORT_TRAFFIC, {}) if wait else (Action.LABEL, {"vary": True})
        reasons = objections(action, view.dossier, view.actor, request)
        if reasons:
            app.say(reasons[0].sentence, "warning")
        elif wait:
            _take(app, view, wait)
        else:
            _write(app, view)

    app.perform(_waiting, view.play_id, then=known)


def _waiting(project: Project, play_id: int) -> Waiting | None:
    from distill_tui.rounds import variations
    from distill_tui.store.project import ProjectError

    try:
        return variations.waiting(project, project.dossier(play_id))
    except ProjectError:
        return None


def _write(app: DistillApp, view: View) -> None:
    paid = view.play.teacher_source is TeacherSource.ENDPOINT
    sheet = Sheet(
        f"Have {view.play.teacher_name} write variations: {view.play.code}",
        (
            "Of validation rows on which the last student fails and the teacher is right, at most a quarter of all. "
            "They train afterwards and judge no student. No held-out row is ever shown to the teacher.",
            "What comes back is sifted and waits until you have read it: press v again.",
            *controls.before_paying(view.dossier),
            *((data_deeds.TRIED_FIRST, data_deeds.KEY) if paid else ()),
        ),
        [
            Field("each", "variations of a row", "3", "1 to 20."),
            Field("rows", "rows at most", "50", "Of the failures on validation."),
            *(data_deeds.LIMITS if paid else ()),
        ],
        does="try one row" if paid else "start it",
        check=lambda values: _wrong(view, values),
        twin=f"distill-tui data vary {view.play.code} --each N --rows N",
    )

    def start(values: Values) -> None:
        from distill_tui import actions
        from distill_tui.rounds import cost_estimate

        each, rows, limits = int(values["each"]), int(values["rows"]), data_deeds.given(values)
        done = "A worker has the teacher write; v shows what it wrote."
        if not paid:
            app.perform(actions.vary, view.play_id, app.actor, each, rows, done=done)
            return

        def estimate(project: Project) -> data_deeds.Found:
            dossier = project.dossier(view.play_id)
            return cost_estimate.estimate_variations(project, dossier, limits, each, rows, ())

        data_deeds.tried(app, view, estimate, lambda verbs: (verbs.vary, each, rows, (), limits), done)

    ask(app, sheet, start)


def _wrong(view: View, values: Values) -> str:
    if not all(values[name].isdecimal() and int(values[name]) > 0 for name in ("each", "rows")):
        return "Say in whole numbers how many variations of a row, and of how many rows."
    return data_deeds.limits_wrong(view, values, {"vary": True})


def _take(app: DistillApp, view: View, wait: Waiting) -> None:
    written = [
        f"{place}  (of row {one.like_row}, {one.cell}, weight {wait.weights.get(one.cell, 1.0):g})  {one.input}"
        for place, one in enumerate(wait.written, 1)
    ]
    left = ", ".join(f"{count:,} {why}" for why, count in wait.left_out.items()) or "none"
    sheet = Sheet(
        f"Run {wait.run} wrote {len(wait.written):,} variations: {view.play.code}",
        [f"Read them: what you take in trains. Left out as the same, near or held-out: {left}.", *written],
        [Field("without", "leave out", "", "The numbers of those that are no good, with blanks between them.")],
        does="take them in",
        check=lambda values: _no_numbers(values, len(wait.written)),
        twin=f"distill-tui data take {view.play.code} --without N",
    )

    def take(values: Values) -> None:
        from distill_tui import actions

        without = [int(word) for word in values["without"].replace(",", " ").split()]
        done = "They are taken in as a source of their own; O asks the teacher about them."
        app.perform(actions.take_variations, view.play_id, app.actor, wait.run, without, done=done)

    ask(app, sheet, take)


def _no_numbers(values: Values, most: int) -> str:
    words = values["without"].replace(",", " ").split()
    good = all(word.isdecimal() and 1 <= int(word) <= most for word in words)
    return "" if good else f"Write numbers from 1 to {most}, with blanks between them."
