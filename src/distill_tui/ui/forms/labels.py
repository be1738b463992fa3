"""The form of the label map: what the names in gold and in the teacher's answers stand for, seen and confirmed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.reports import labels as reports
from distill_tui.rules.labels import reading, settling
from distill_tui.rules.requests import MapLabels
from distill_tui.tasks.label_map import Name
from distill_tui.terms import Action
from distill_tui.ui.forms.drafts import UNDO
from distill_tui.ui.forms.form import Form, Step, call, opens
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

MOST = 2_000  # names that the sheet lists; pgdn and the mouse scroll


@opens(Action.MAP_LABELS)
def map_labels(app: DistillApp, view: View) -> Step:
    found = reading(view.dossier)
    asked = [each for each in found.names if each.proposed or each.label is None]

    def read(values: Values) -> MapLabels:
        given: dict[str, str | None] = {}
        for pair in filter(None, (each.strip() for each in values["names"].split(";"))):
            name, equals, label = pair.rpartition("=")
            if not equals or not name:
                raise ValueError(f"“{pair}” is not NAME=LABEL. Separate several with semicolons.")
            given[name] = label.strip() or None
        return settling(found, given)

    def submit(request: MapLabels) -> Step:
        return call(view, f"The label map is confirmed. {UNDO}", actions.map_labels, request.names)

    more = [f"and {len(asked) - MOST:,} more: `distill-tui labels {view.play.code}`"] if len(asked) > MOST else []
    return Form(
        Action.MAP_LABELS,
        "confirm it",
        submit,
        [
            *reports.counted(found),
            f"Labels: {', '.join(found.labels) or 'none yet'}.",
            *(("look" if each.proposed else "misses", _line(each)) for each in asked[:MOST]),
            *more,
        ],
        [Field("names", "otherwise", "", "NAME=LABEL; NAME=NAME makes it a label, NAME= leaves it without one.")],
        read,
        title=f"Labels of {view.play.code}",
    )


def _line(each: Name) -> str:
    stands = f"stands for {each.label}, by {each.way}" if each.label else "stands for no label"
    return f"“{each.name}” ({each.gold:,} rows with gold, {each.answers:,} answers) {stands}"
