"""What the keys do about a live student, and the rehearsal before it: observe, acknowledge, roll back, refresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_tui.terms import Action
from distill_tui.ui.forms.asking import ask, objects, plain, twin, with_reason
from distill_tui.ui.forms.sheets import Field, Sheet, Values
from distill_tui.ui.play.view import View
from distill_tui.ui.widgets import page

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp


def rehearse(app: DistillApp, view: View) -> None:
    """Run the recipe again."""
    body = (
        "A worker trains the judged student again from its recipe and compares the weights. It makes nobody a builder.",
    )
    plain(app, Action.REHEARSE, view, body, does="start it", done="A worker runs the recipe again.")


def observe(app: DistillApp, view: View) -> None:
    """Take a file in, in a process of its own."""
    bundle = view.dossier.live
    sheet = Sheet(
        f"Observe the live student of {view.play.code}",
        (
            "A sample of production: JSONL, CSV or Parquet, or a folder of such files. A file comes in once.",
            f"Bundle {bundle.id if bundle else ''} answers it in a worker; the teacher is asked within the budget.",
        ),
        [Field("file", "file or folder", hint="A path on this machine.")],
        does="observe it",
        check=lambda values: "" if values["file"] else "Name a file or a folder.",
        twin=twin(Action.OBSERVE, view),
    )
    ask(app, sheet, lambda values: app.twin("observe", view.play.code, "--no-wait", "--", values["file"]))


def acknowledge(app: DistillApp, view: View) -> None:
    """Answer an alarm."""
    body = ("The watch begins anew under the same ceiling: what goes on diverging will alarm again.",)
    with_reason(app, Action.ACKNOWLEDGE, view, body, does="acknowledge it", done="Acknowledged; a new watch begins.")


def roll_back(app: DistillApp, view: View) -> None:
    """Put a bundle back."""
    dossier = view.dossier
    known = [b for b in dossier.bundles if dossier.refreshing or dossier.live is None or b.id != dossier.live.id]
    listed = [f"{b.id}: round {b.round}, shipped {page.when(b.shipped_at)}, {page.short(b.digest)}" for b in known]
    aside = ("The refresh that is under way is put aside.",) if dossier.refreshing else ()

    def request(values: Values) -> dict[str, object]:
        number = values["bundle"]
        return {"bundle": int(number) if number.isdigit() else number, "reason": values["reason"]}

    sheet = Sheet(
        f"Put a bundle of {view.play.code} back as the live one",
        (*aside, "Who serves the student must then serve that bundle's folder.", *listed),
        [Field("bundle", "bundle", str(known[-1].id) if known else ""), Field("reason", "reason")],
        does="put it back",
        check=lambda values: objects(Action.ROLL_BACK, view, request(values)),
        typed=view.play.code,
        twin=twin(Action.ROLL_BACK, view),
    )

    def act(values: Values) -> None:
        from distill_tui import actions

        given = int(values["bundle"]), values["reason"]
        app.perform(actions.roll_back, view.play_id, app.actor, *given, done=f"Bundle {given[0]} is live.")

    ask(app, sheet, act)


def refresh(app: DistillApp, view: View) -> None:
    """Open a refresh."""
    gate, seen = view.dossier.gate, view.life
    rows = f"{seen.rows:,} rows of this watch" if seen is not None else "what was observed"
    held_out = f"{gate.held_out_rows:,}" if gate else "its"
    body = (
        f"Round {view.play.round + 1} opens in data with {rows}; import more there. What shipped stays live.",
        f"The same locked gate judges on {held_out} new held-out rows, with looks of their own; it is signed anew. "
        "You become a builder: you take in training data.",
    )
    with_reason(app, Action.REFRESH, view, body, does="open it", done="A refresh is open.")
