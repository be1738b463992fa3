"""The forms of runs: train, stop, resume, evaluate, reproduce, rehearse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distill_tui import actions, tasks
from distill_tui.rules.measurable import rows_used
from distill_tui.rules.requests import ForRun, Repeat, StartRun
from distill_tui.rules.training import OF_DATA, resumable, suits, trained
from distill_tui.spec import Spec
from distill_tui.terms import Action, Export
from distill_tui.ui.forms.form import Call, Form, Say, Step, call, filled, opens, plain
from distill_tui.ui.forms.paths import PathSuggester
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play import evidence
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.rules import entities
    from distill_tui.rules.actor import Actor
    from distill_tui.ui.app import DistillApp

AUTO = "Empty: the student's default."
BY_KIND = ("epochs", "temperature", "learning_rate", "batch_size")  # empty: the student's default
HINTS = {  # the fields of a spec in the form's order
    "student": "",
    "folder": "A local model that a frozen, folder or static student starts from; it is copied in.",
    "layers": "Of a layers student: the teacher's layers it starts from, like 0,5.",
    "lora": "Rank of adapters that are trained instead of a language model's own weights, like 16. 0: none.",
    "epochs": AUTO,
    "temperature": f"Softens both distributions; above 0. {AUTO}",
    "alpha": "Weight of the teacher's soft labels against the hard labels, 0 to 1.",
    "learning_rate": AUTO,
    "batch_size": AUTO,
    "seed": "",
    "threads": "Torch threads. Recorded, because latency and exact weights depend on it.",
    "ladder": "Students to try instead, like ngram, static, layers 0 5. A run stops at the first that is good enough.",
    "controls": "Trained for comparison, to show what distillation is worth: hard, gold, both, or empty.",
    "seeds": "Further trainings with other seeds, to show how much of a score is the seed's; 0 for none.",
    "probe": "True also trains on 25% and 50% of the rows, to show whether more rows would help.",
    "export": "The form that ships and that the gate judges.",
}
GENERATION_HINTS = {
    "layers": "The folder's layers it starts from, like 0,5. Empty: all of them.",
    "ladder": "Students to try instead, like tagger, causal folder. A run stops at the first that is good enough.",
    "alpha": "Weight of the probabilities of a local teacher with the same vocabulary; causal students only.",
    "temperature": f"Softens both distributions; above 0. Ignored when alpha is 0. {AUTO}",
    "controls": "Trained for comparison, to show what distillation is worth: gold trains on people's answers alone.",
}


@opens(Action.START_RUN)
def start_run(app: DistillApp, view: View) -> Step:
    usual = Spec.from_mapping({"student": suits(view.dossier)})
    kinds = tasks.of(view.play.task).students
    hints = HINTS | {"student": f"Cheapest first: {', '.join(kinds)}."}
    hints |= GENERATION_HINTS if usual.writes else {}
    choices = {"student": kinds, "export": tuple(Export), "probe": ("False", "True")}
    if app.restricted:
        del hints["folder"]  # a session over SSH reads no file of the host

    def text(name: str) -> str:
        value = "" if name in BY_KIND else getattr(usual, name)
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    def read(values: Values) -> StartRun:
        if values.get("folder") and not Path(values["folder"]).is_dir():
            raise ValueError(f"There is no folder {values['folder']}.")
        given = {name: value for name, value in values.items() if value or name not in BY_KIND}
        return StartRun(Spec.from_mapping(given))

    return Form(
        Action.START_RUN,
        "start it",
        lambda asked: call(view, "The run is queued.", actions.start_run, asked.spec),
        ("A background worker trains it, also after you leave. K stops it and keeps the checkpoint.",),
        [
            Field(
                name,
                name,
                text(name),
                hint,
                choices.get(name, ()),
                completes=PathSuggester if name == "folder" else None,
            )
            for name, hint in hints.items()
        ],
        read,
        title=f"Train a student for {view.play.code}",
    )


@opens(Action.STOP_RUN)
def stop_run(app: DistillApp, view: View) -> Step:
    run = next((run for run in view.dossier.runs if run.status.active), None)
    if run is None or run.id is None:
        return Say("No run is active.")
    return stop(view.play_id, view.actor, view.play.code, run)


def stop(play: int, actor: Actor, code: str, run: entities.Run) -> Step:
    number = run.id or 0
    kept = "keeps nothing" if run.kind in OF_DATA else "keeps its checkpoint"
    return Form(
        Action.STOP_RUN,
        "stop it",
        lambda asked: Call(
            lambda project: actions.stop_run(project, play, actor, number), f"Run {number} is stopping."
        ),
        (f"It stops after this step and {kept}. C on the play's screen resumes it.",),
        read=lambda values: ForRun(number),
        title=f"Stop run {number} ({run.kind.value}) of {code}",
        command=f"distill-tui train stop {code} --run {number}",
    )


@opens(Action.RESUME_RUN)
def resume_run(app: DistillApp, view: View) -> Step:
    run = resumable(view.dossier)
    if run is None or run.id is None:
        return Say("No run can be resumed.")
    resume = call(view, f"Run {run.id} is queued.", actions.resume_run, run.id)
    body = f"Run {run.id} ({run.kind.value}, {run.status.value}) continues from its last checkpoint."
    return plain(view, Action.RESUME_RUN, "resume it", resume, body, request=ForRun(run.id))


@opens(Action.EVALUATE)
def evaluate(app: DistillApp, view: View) -> Step:
    chosen, gate = evidence.chosen_student(view), view.dossier.gate
    best = trained(view.dossier)[0]
    number = (chosen or best).id or 0
    which = "the best on validation" if number == best.id else f"chosen on the tab Eval; run {best.id} is better on it"
    looks = f"{gate.rounds} looks in all, one a round" if gate else "one look a round"
    return plain(
        view,
        Action.EVALUATE,
        "spend the look",
        call(view, "A worker evaluates.", actions.evaluate, number),
        f"The student of run {number} ({which}) is judged on the sealed held-out rows ({looks}).",
        "The look is spent whatever the result. j and k on the tab Eval choose another student.",
        *(
            ("look" if used < rows else "holds", f"{words}: {used:,} of the {rows:,} held-out rows can be used.")
            for words, used, rows in rows_used(view.dossier)
        ),
        title=f"Evaluate the student of run {number} by the locked gate",
        typed=True,
        request=ForRun(number),
    )


@opens(Action.REPRODUCE)
def reproduce(app: DistillApp, view: View) -> Step:
    start = call(view, "A worker reproduces the evaluation.", actions.reproduce)
    body = "A worker evaluates the same student again on the same rows. This does not make you a builder."
    return plain(view, Action.REPRODUCE, "start it", start, body)


@opens(Action.REPEAT)
def repeat(app: DistillApp, view: View) -> Step:
    return filled(
        view,
        Action.REPEAT,
        "start it",
        actions.repeat,
        "A worker trains it with other seeds.",
        Repeat,
        (Field("seeds", "further seeds", "3", "Each takes about as long as the student did."),),
        ("Shows how much of a difference is the seed's, on the validation rows. It spends no look.",),
    )


@opens(Action.REHEARSE)
def rehearse(app: DistillApp, view: View) -> Step:
    start = call(view, "A worker runs the recipe again.", actions.rehearse)
    again = "A worker trains the evaluated student again from its recipe and compares the weights."
    return plain(view, Action.REHEARSE, "start it", start, f"{again} This does not make you a builder.")
