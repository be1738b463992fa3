"""What the keys do from the first run to the end of a play: train, evaluate, withdraw, ship, iterate, kill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui.review import controls
from distill_tui.rules.decide import counting_sign_off
from distill_tui.rules.training import resumable, suits, trained
from distill_tui.spec import Spec
from distill_tui.terms import Action, Export, StudentKind
from distill_tui.ui.board import preview
from distill_tui.ui.forms.asking import ask, objects, plain, twin, typed, with_reason
from distill_tui.ui.forms.sheets import Body, Field, Sheet, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

# --- runs --------------------------------------------------------------------------------------------------------

SPEC_FIELDS = (
    *(
        "student",
        "folder",
        "layers",
        "epochs",
        "temperature",
        "alpha",
        "learning_rate",
        "batch_size",
        "seed",
        "threads",
    ),
    *("ladder", "controls", "probe", "export"),
)
_BY_KIND = ("epochs", "temperature", "learning_rate", "batch_size")  # empty: as it suits the student
_HINTS = {
    "epochs": "Empty: as it suits the student.",
    "learning_rate": "Empty: as it suits the student.",
    "batch_size": "Empty: as it suits the student.",
    "ladder": "Students to try instead, like ngram, static, layers 0 5; a run stops at the first that is good enough.",
    "controls": "Trained beside the student to see what distillation is worth: hard, gold, both, or nothing.",
    "probe": "True also trains on a quarter and a half of the rows, and says whether more would help.",
    "export": "The form that ships, and that the gate judges.",
    "layers": "For a student of layers: which of the teacher's it starts from, like 0,5.",
    "folder": "A local model to start from, which is copied; empty: from nothing.",
    "alpha": "The weight of the teacher's soft labels against the hard labels, 0 to 1.",
    "temperature": "Softens both distributions; above 0. Empty: as it suits the student.",
    "threads": "Torch threads; recorded, because latency and bits depend on it.",
}


_WRITING = {  # where the answers are texts
    "layers": "Which of the folder's layers it starts from, like 0,5; empty: all of them.",
    "ladder": "Students to try instead, like tagger, causal folder; a run stops at the first that is good enough.",
    "alpha": "The weight of the probabilities of a local teacher of the same vocabulary; of a causal student only.",
    "temperature": "Softens both distributions; above 0. Empty: as it suits the student. Without alpha of no account.",
    "controls": "Trained beside it to see what distillation is worth: gold, the same on people's answers alone.",
}


def start(app: DistillApp, view: View) -> None:
    """Start a training run."""
    usual = Spec.from_mapping({"student": suits(view.dossier)})
    kinds = tuple(kind for kind in StudentKind if kind.generates == usual.generates)
    hints = _HINTS | {"student": f"One of {', '.join(kinds)}, cheapest first."}
    hints |= _WRITING if usual.generates else {}
    names = SPEC_FIELDS if not app.restricted else tuple(name for name in SPEC_FIELDS if name != "folder")

    def text(name: str) -> str:
        value = "" if name in _BY_KIND else getattr(usual, name)
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def asked(values: Values) -> Spec:
        return Spec.from_mapping({name: value for name, value in values.items() if value or name not in _BY_KIND})

    def check(values: Values) -> str:
        if values.get("folder") and not Path(values["folder"]).is_dir():
            return f"There is no folder {values['folder']}."
        try:
            return objects(Action.START_RUN, view, {"spec": asked(values)})
        except ValueError as error:
            return str(error)

    choices = {"student": kinds, "export": tuple(Export), "probe": ("False", "True")}
    fields = [Field(name, name, text(name), hints.get(name, ""), choices.get(name, ())) for name in names]
    sheet = Sheet(
        f"Train a student for {view.play.code}",
        ("A background worker trains it; it goes on when you leave. K stops it and keeps its checkpoint.",),
        fields,
        does="start it",
        check=check,
        twin=twin(Action.START_RUN, view),
    )

    def begin(values: Values) -> None:
        from distill_tui import actions

        app.perform(actions.start_run, view.play_id, app.actor, asked(values), done="The run is queued.")

    ask(app, sheet, begin)


def stop(app: DistillApp, view: View) -> None:
    """Stop the run that is active."""
    run = next((run for run in view.dossier.runs if run.status.active), None)
    if run is not None:
        body = (f"Run {run.id} ({run.kind.value}) stops after its step and keeps its checkpoint; C resumes it.",)
        plain(app, Action.STOP_RUN, view, body, does="stop it", done=f"Run {run.id} is asked to stop.", args=(run.id,))


def resume(app: DistillApp, view: View) -> None:
    """Resume the newest run that ended early."""
    run = resumable(view.dossier)
    if run is not None:
        body = (f"Run {run.id} ({run.kind.value}, {run.status.value}) goes on from its last checkpoint.",)
        plain(app, Action.RESUME_RUN, view, body, does="resume it", done=f"Run {run.id} is queued.", args=(run.id,))


def evaluate(app: DistillApp, view: View) -> None:
    """Spend the round's look on the best student."""
    best = trained(view.dossier)[0]
    gate = view.dossier.gate
    looks = f"{gate.rounds} looks in all, one a round" if gate else "one look a round"
    body = (
        f"The student of run {best.id}, the best on validation, is judged on the sealed held-out rows ({looks}).",
        "The look is spent whatever it shows. Another run: `distill-tui eval … --run N`.",
    )
    title = f"Judge the student of run {best.id} by the locked gate"
    typed(app, Action.EVALUATE, view, title, body, does="spend the look", args=(best.id,), done="A worker evaluates.")


def reproduce(app: DistillApp, view: View) -> None:
    """Run the evaluation again, as the validator."""
    body = ("A worker evaluates the same student again on the same rows. It makes nobody a builder.",)
    plain(app, Action.REPRODUCE, view, body, does="start it", done="A worker reproduces the evaluation.")


# --- decide ------------------------------------------------------------------------------------------------------


def withdraw(app: DistillApp, view: View) -> None:
    """Take back one's own sign-off."""
    body = ("Your newest sign-off or refusal here no longer counts; it stays in the log.",)
    with_reason(app, Action.WITHDRAW, view, body, does="withdraw it", done="It is withdrawn.")


def kill(app: DistillApp, view: View) -> None:
    """End the play for good."""
    body = ("A killed play never comes back; a new one may name it as its predecessor.",)
    with_reason(app, Action.KILL, view, body, does="kill it", code=view.play.code, done="The play is killed.")


def maintain(app: DistillApp, view: View) -> None:
    """Set the maintenance loop."""
    play = view.play

    def request(values: Values) -> dict[str, int]:
        return {name: int(values[name]) for name in ("sample", "refresh_days")}

    def check(values: Values) -> str:
        try:
            return objects(Action.SET_MAINTENANCE, view, request(values))
        except ValueError:
            return "Give two whole numbers, like 400 and 90."

    sheet = Sheet(
        f"The maintenance loop of {play.code}",
        ("What is promised from day one: how many calls a month are sampled, and how often the student is refreshed.",),
        [
            Field("sample", "calls a month sampled", str(play.sampling_per_month or 400), "Like 400."),
            Field("refresh_days", "days between refreshes", str(play.refresh_days or 90), "Like 90."),
        ],
        does="set it",
        check=check,
        twin=twin(Action.SET_MAINTENANCE, view),
    )

    def act(values: Values) -> None:
        from distill_tui import actions

        given = request(values)
        told = given["sample"], given["refresh_days"]
        app.perform(actions.set_maintenance, play.id, app.actor, *told, done="The maintenance loop is set.")

    ask(app, sheet, act)


def ship(app: DistillApp, view: View) -> None:
    """Write the bundle and go live."""
    signed = counting_sign_off(view.dossier)
    by = f"Signed off by {signed.row.person_id}, {signed.row.assurance.value}. " if signed else ""
    worth = ". ".join(preview.worth(preview.figures(view.dossier), view.play.kind))
    notices = [("todo", sentence) for sentence in view.expected]
    body: Body = (f"{by}The bundle is written, and the play goes live.", f"{worth}.", *notices)
    title = f"Ship {view.play.code} {view.play.name}"
    typed(app, Action.SHIP, view, title, body, does="ship it", by_twin=True, done="It is live; the bundle is written.")


def iterate(app: DistillApp, view: View) -> None:
    """Open the next round."""
    rounds = view.dossier.gate.rounds if view.dossier.gate else view.play.round
    body = (
        f"Round {view.play.round + 1} of {rounds} opens in data. Its training rows are weighted to the failures on the "
        "validation split; the held-out rows and the gate stay.",
        controls.probed(view.dossier),
    )
    plain(app, Action.ITERATE, view, body, does="iterate", done="The next round is open.")


def comment(app: DistillApp, view: View) -> None:
    """Leave a comment."""
    sheet = Sheet(
        f"A comment on {view.play.code}",
        (),
        [Field("text", "comment")],
        does="leave it",
        check=lambda values: objects(Action.COMMENT, view, {"text": values["text"]}),
        twin=twin(Action.COMMENT, view),
    )

    def act(values: Values) -> None:
        from distill_tui import actions

        app.perform(actions.comment, view.play_id, app.actor, values["text"], done="The comment is in the log.")

    ask(app, sheet, act)
