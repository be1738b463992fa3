"""The forms of a live student: observe, acknowledge an alarm, roll back, refresh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui import actions
from distill_tui.rules.requests import RollBack, WithReason
from distill_tui.serving import feed
from distill_tui.store.project import Project
from distill_tui.terms import Action
from distill_tui.ui.forms.form import REASON, About, Call, Form, Say, Step, WrongField, filled, opens
from distill_tui.ui.forms.paths import PathSuggester
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


@dataclass(frozen=True)
class ObserveCommand:
    """The command that observes a file, or each new file of a folder, in a process of its own."""

    code: str
    file: str

    def take(self, app: DistillApp, dossier: About) -> None:
        app.run_command("observe", self.code, "--no-wait", "--", self.file)


@opens(Action.OBSERVE)
def observe(app: DistillApp, view: View) -> Step:
    def read(values: Values) -> str:
        if not values["file"]:
            raise ValueError("Name a file or a folder.")
        if not Path(values["file"]).expanduser().exists():
            raise WrongField(f"{Path(values['file']).name} is not a file or a folder on this machine.", "file")
        return values["file"]

    bundle = view.dossier.live
    body = (
        "A sample of production: JSONL, CSV or Parquet, or a folder of such files. Each file is read once.",
        f"A worker runs bundle {bundle.id if bundle else ''} on it, and asks the teacher within the budget.",
    )
    fields = (
        Field("file", "file or folder", hint="A path on this machine; tab completes it.", completes=PathSuggester),
    )
    title = f"Observe the live student of {view.play.code}"
    start = lambda file: ObserveCommand(view.play.code, file)  # noqa: E731
    return Form(Action.OBSERVE, "observe it", start, body, fields, read, title=title)


@opens(Action.ACKNOWLEDGE)
def acknowledge(app: DistillApp, view: View) -> Step:
    done = "Acknowledged. A new watch begins."
    body = ("A new watch begins with the same ceiling. If the student keeps drifting, the alarm fires again.",)
    return filled(view, Action.ACKNOWLEDGE, "acknowledge it", actions.acknowledge, done, WithReason, body=body)


@opens(Action.SUSPEND)
def suspend(app: DistillApp, view: View) -> Step:
    done = "Suspended. The teacher answers."
    body = (
        "The live student answers nothing until it is resumed; running gateways send everything to the teacher.",
        "The watch goes on. A ship or a rollback ends the suspension too.",
    )
    return filled(view, Action.SUSPEND, "suspend it", actions.suspend, done, WithReason, body=body)


@opens(Action.RESUME)
def resume(app: DistillApp, view: View) -> Step:
    seen = view.dossier.suspended
    body = (f"{seen.person_id} suspended it on {page.when(seen.at)}: “{seen.reason}”.",) if seen else ()
    return filled(view, Action.RESUME, "resume it", actions.resume, "Resumed.", WithReason, body=body)


@opens(Action.ROLL_BACK)
def roll_back(app: DistillApp, view: View) -> Step:
    dossier = view.dossier
    known = [b for b in dossier.bundles if dossier.refreshing or dossier.live is None or b.id != dossier.live.id]
    body = [
        *(["The refresh under way is abandoned."] if dossier.refreshing else []),
        "The serving system must then serve that bundle's folder.",
        *(f"{b.id}: round {b.round}, shipped {page.when(b.shipped_at)}, {page.short(b.digest)}" for b in known),
    ]
    fields = (Field("bundle", "bundle", str(known[-1].id) if known else ""), REASON)
    title = f"Roll {view.play.code} back to an earlier bundle"
    done = "Bundle {bundle} is live."
    return filled(
        view, Action.ROLL_BACK, "roll back", actions.roll_back, done, RollBack, fields, body, title=title, typed=True
    )


@opens(Action.REFRESH)
def refresh(app: DistillApp, view: View) -> Step:
    gate, seen = view.dossier.gate, view.life
    rows = f"{seen.rows:,} rows of this watch" if seen is not None else "the observed rows"
    held_out = f"{gate.held_out_rows:,}" if gate else "its"
    drift, days = view.dossier.drift, view.play.refresh_days
    when = f"dated {drift.since} or later" if drift else f"of the last {days} days" if days else "of the last days"
    body: tuple[str, ...] = (
        f"Round {view.play.round + 1} opens in data with {rows}; more can be imported. The shipped bundle stays live.",
        f"The same locked gate judges on {held_out} new held-out rows, {when}, with looks of their own, and the "
        "validator signs again. Earlier rows may train. You become a builder, because you add training data.",
    )
    if view.gateway is not None:
        body = (*body, "Calls that the gateway captured since the last import are imported too, in a worker.")

    def submit(asked: WithReason) -> Step:
        def opened(project: Project) -> feed.Captured:
            return feed.refresh(project, view.play_id, view.play.code, view.actor, asked.reason)

        def follow(found: feed.Captured) -> Step | None:
            if found.run:
                app.file_watch.await_run(found.run)
                return Say(f"The refresh is open. {found.rows:,} captured calls are being imported.")
            return Say(f"The refresh is open. Captured calls wait: {found.waits}", "warning") if found.waits else None

        return Call(opened, "The refresh is open.", follow)

    def read(values: Values) -> WithReason:
        return WithReason(values["reason"])

    return Form(Action.REFRESH, "open it", submit, body, (REASON,), read)
