"""The form of the gateway: what answers a play's requests."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar

from distill_tui import actions
from distill_tui.rules import typed
from distill_tui.rules.requests import ServeMode
from distill_tui.terms import Action, KeptContent, OnObjection, ServingMode, TeacherFault
from distill_tui.ui.forms.form import REASON, Form, Step, WrongField, call, opens, whole
from distill_tui.ui.forms.sheet import Body, Field, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

Word = TypeVar("Word", bound=StrEnum)
ANSWERS = {
    ServingMode.CAPTURE: "capture: the teacher answers everything, and every call is recorded",
    ServingMode.SHADOW: "shadow: the teacher answers; the student is computed unseen, off the critical path",
    ServingMode.CANARY: "canary: the student answers a fixed share of inputs, the teacher the others",
    ServingMode.CASCADE: "cascade: the student answers where it is sure enough, the teacher the others",
    ServingMode.SUSPENDED: "suspended: the teacher answers everything; the student is off",
}


@opens(Action.SERVE_MODE)
def serve_mode(app: DistillApp, view: View) -> Step:
    serving = view.dossier.serving
    now = ServeMode(ServingMode.CAPTURE) if serving is None else serving.kept(serving.mode)
    fields = (
        Field("mode", "mode", now.mode.value, "capture, shadow, canary, cascade or suspended.", tuple(ServingMode)),
        Field("percent", "percent of a canary", f"{now.percent or ''}", "1 to 100; empty in any other mode."),
        Field("content", "what the log keeps", now.content.value, "full, scrubbed or digests.", tuple(KeptContent)),
        Field("audit_share", "audit share", str(now.audit_share), "Of the student's requests, also to the teacher."),
        Field(
            "on_fault",
            "if the teacher fails",
            now.on_fault.value,
            "fail: pass the error on. student: it answers, marked.",
            tuple(TeacherFault),
        ),
        Field(
            "on_objection",
            "if the validator objects",
            now.on_objection.value,
            "fall-back: the teacher answers. go-on: operator and sponsor decide.",
            tuple(OnObjection),
        ),
        REASON,
    )

    def submit(asked: ServeMode) -> Step:
        return call(view, f"{view.play.code} is served as {asked.mode.value}.", actions.set_mode, asked)

    command = f"distill-tui serve mode {view.play.code} MODE -m REASON"
    return Form(Action.SERVE_MODE, "set it", submit, says({"mode": now.mode}), fields, read, command=command, live=says)


def says(values: Values) -> Body:
    """Mark the mode that is typed among all."""
    chosen = values["mode"].strip().casefold()
    marked = [("running" if mode.value == chosen else "todo", text) for mode, text in ANSWERS.items()]
    return (*marked, "It is in force within a second at every gateway that runs. Only a person goes forward again.")


def read(values: Values) -> ServeMode:
    """Read the fields. Raises ValueError with one sentence."""
    share = typed.number(values["audit_share"])
    if share is None or not 0 <= share <= 1:
        raise WrongField(f"“{values['audit_share']}” is not a share. Write a number like 0.02 or 2%.", "audit_share")
    return ServeMode(
        _word(ServingMode, values, "mode"),
        whole(values, "percent") if values["percent"] else 0,
        _word(KeptContent, values, "content"),
        share,
        _word(TeacherFault, values, "on_fault"),
        values["reason"],
        _word(OnObjection, values, "on_objection"),
    )


def _word(kind: type[Word], values: Values, name: str) -> Word:
    found = next((word for word in kind if word.value == values[name].strip().casefold()), None)
    if found is None:
        raise WrongField(f"“{values[name]}” is none of {', '.join(kind)}.", name)
    return found
