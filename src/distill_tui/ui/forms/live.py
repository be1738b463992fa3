"""The forms of a live student: observe, acknowledge an alarm, roll back, refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.rules.requests import RollBack, WithReason
from distill_tui.terms import Action
from distill_tui.ui.forms.form import REASON, Command, Form, Step, call, opens, reason, whole
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


@opens(Action.OBSERVE, reads_host=True)
def observe(app: DistillApp, view: View) -> Step:
    def read(values: Values) -> str:
        if not values["file"]:
            raise ValueError("Name a file or a folder.")
        return values["file"]

    bundle = view.dossier.live
    return Form(
        Action.OBSERVE,
        "observe it",
        read,
        lambda file: Command(("observe", view.play.code, "--no-wait", "--", file)),
        (
            "A sample of production: JSONL, CSV or Parquet, or a folder of such files. Each file is read once.",
            f"A worker runs bundle {bundle.id if bundle else ''} on it, and asks the teacher within the budget.",
        ),
        (Field("file", "file or folder", hint="A path on this machine."),),
        title=f"Observe the live student of {view.play.code}",
    )


@opens(Action.ACKNOWLEDGE)
def acknowledge(app: DistillApp, view: View) -> Step:
    def submit(asked: WithReason) -> Step:
        return call(view, "Acknowledged. A new watch begins.", actions.acknowledge, asked.reason)

    body = ("A new watch begins with the same ceiling. If the student keeps drifting, the alarm fires again.",)
    return Form(Action.ACKNOWLEDGE, "acknowledge it", reason, submit, body, (REASON,))


@opens(Action.ROLL_BACK)
def roll_back(app: DistillApp, view: View) -> Step:
    dossier = view.dossier
    known = [b for b in dossier.bundles if dossier.refreshing or dossier.live is None or b.id != dossier.live.id]
    listed = [f"{b.id}: round {b.round}, shipped {page.when(b.shipped_at)}, {page.short(b.digest)}" for b in known]

    def read(values: Values) -> RollBack:
        return RollBack(
            whole(values, "bundle", f"“{values['bundle']}” is not the number of a bundle."), values["reason"]
        )

    def submit(asked: RollBack) -> Step:
        return call(view, f"Bundle {asked.bundle} is live.", actions.roll_back, asked.bundle, asked.reason)

    return Form(
        Action.ROLL_BACK,
        "roll back",
        read,
        submit,
        (
            *(("The refresh under way is abandoned.",) if dossier.refreshing else ()),
            "The serving system must then serve that bundle's folder.",
            *listed,
        ),
        (Field("bundle", "bundle", str(known[-1].id) if known else ""), REASON),
        title=f"Roll {view.play.code} back to an earlier bundle",
        typed=view.play.code,
    )


@opens(Action.REFRESH)
def refresh(app: DistillApp, view: View) -> Step:
    gate, seen = view.dossier.gate, view.life
    rows = f"{seen.rows:,} rows of this watch" if seen is not None else "the observed rows"
    held_out = f"{gate.held_out_rows:,}" if gate else "its"
    body = (
        f"Round {view.play.round + 1} opens in data with {rows}; more can be imported. The shipped bundle stays live.",
        f"The same locked gate judges on {held_out} new held-out rows, with looks of their own, and the validator "
        "signs again. You become a builder, because you add training data.",
    )

    def submit(asked: WithReason) -> Step:
        return call(view, "The refresh is open.", actions.refresh, asked.reason)

    return Form(Action.REFRESH, "open it", reason, submit, body, (REASON,))
