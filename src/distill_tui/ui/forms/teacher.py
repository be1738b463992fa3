"""The forms of the teacher: which it is and how it is asked, its provider's terms, and labelling within a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_tui import actions, tasks
from distill_tui.reports import data
from distill_tui.review import controls
from distill_tui.rules.requests import ConfirmTerms, Label
from distill_tui.store.project import Project, ProjectError
from distill_tui.teachers.description import ANSWER_TOKENS, Described
from distill_tui.teachers.limits import Limits
from distill_tui.terms import Action, TeacherSource
from distill_tui.ui.forms.form import Call, Form, Say, Step, call, file_text, opens, plain, whole
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

ADDRESS = ("http://", "https://")
CLASSIFIER = "as a classifier"
KINDS = {CLASSIFIER: None, "zero-shot": TeacherSource.ZERO_SHOT, "prompted": TeacherSource.PROMPTED}
KIND = Field("kind", "it is asked", CLASSIFIER, f"{', '.join(KINDS)}; → completes it.", tuple(KINDS))
MODEL = Field("model", "model", "", "The model's name at the endpoint.")
LABELS = Field("labels", "labels", "", "With commas, like bad,fine,good. Not for a classifier.")
ANSWER = (
    Field("template", "template file", "", "The prompt, with {input} in it. Empty: the input alone."),
    Field("tokens", "tokens of an answer", str(ANSWER_TOKENS), "The most that the teacher may write."),
)
IN_YOUR_WORDS = "Each request holds one input, in the words of your template. What the teacher writes is the answer."
AMONG_LABELS = "Each request holds one input and the labels to choose from. The command also takes a --template FILE."
A_WRITER = f"A causal language model. {IN_YOUR_WORDS}"
A_CHOOSER = (
    "A classifier answers with its own labels. An NLI model (zero-shot) and a causal language model (prompted) choose "
    "from the labels that you name."
)


def choose(view: View, source: TeacherSource | None, folder: str | None, url: str, asked: Values) -> Step:
    """Choose a teacher; a folder is copied in. `source` is that of a teacher that is prompted."""

    def work(project: Project) -> str:
        described = None
        if source is not None:
            file, tokens = asked.get("template"), asked.get("tokens")
            words = file_text(file, "Name the file of the template.") if file else ""
            model, labels = asked.get("model", ""), asked.get("labels", "")
            described = Described.chosen(source, model, labels, words, url, tokens=int(tokens) if tokens else None)
        actions.set_teacher(project, view.play_id, view.actor, Path(folder) if folder else None, described)
        return project.dossier(view.play_id).play.teacher_name

    done = lambda name: Say(f"The teacher is {name}.", "success")  # noqa: E731
    return Call(work, then=done, before="Setting the teacher.")


@opens(Action.SET_TEACHER)
def set_teacher(app: DistillApp, view: View) -> Step:
    def read(values: Values) -> str:
        named = values["teacher"]
        if not named:
            raise ValueError("Write “recorded”, or name a folder or an endpoint.")
        if not (named == "recorded" or named.startswith(ADDRESS) or Path(named).is_dir()):
            raise ValueError(f"There is no folder {named}. Write “recorded”, a folder, or an https:// address.")
        return named

    def submit(named: str) -> Step:
        return choose(view, None, None, "", {}) if named == "recorded" else asked_how(view, named)

    return Form(
        None,
        "choose it",
        submit,
        (
            "recorded: the outputs in the traffic.",
            "A folder: a local model, which is copied in.",
            "An address: an OpenAI-compatible endpoint. Its key is read from DISTILL_TEACHER_KEY, or the keyring.",
        ),
        [Field("teacher", "teacher", "recorded", "recorded, a folder, or https://host/v1", ("recorded",))],
        read,
        title=f"Teacher of {view.play.code}",
        command=f"distill-tui teacher {view.play.code} FOLDER|--recorded|--endpoint URL",
    )


def asked_how(view: View, named: str) -> Step:
    """Ask how an endpoint, or the model of a folder, is asked."""
    remote, writes = named.startswith(ADDRESS), not tasks.of(view.play.task).has_labels
    folder_fields = ANSWER if writes else (KIND, LABELS)
    options = " --template FILE" if writes else " --labels A,B,C"
    command = f"--endpoint {named} --model NAME{options}" if remote else f"{named} --prompted{options}"

    def read(values: Values) -> Values:
        kind = values.get("kind", "")
        if kind and kind not in KINDS:
            raise ValueError(f"A folder is asked in one of these ways: {', '.join(KINDS)}.")
        if values.get("model") == "":
            raise ValueError("Name the model.")
        if values.get("labels") == "" and kind != CLASSIFIER:
            raise ValueError("Name the labels, separated by commas.")
        if values.get("template") and not Path(values["template"]).is_file():
            raise ValueError(f"There is no file {values['template']}.")
        if writes:
            whole(values, "tokens", "Write a whole number: the most tokens an answer may have.")
        return values

    def submit(asked: Values) -> Step:
        if remote:
            return choose(view, TeacherSource.ENDPOINT, None, named, asked)
        return choose(view, TeacherSource.PROMPTED if writes else KINDS[asked["kind"]], named, "", asked)

    return Form(
        None,
        "choose it",
        submit,
        ((IN_YOUR_WORDS if writes else AMONG_LABELS) if remote else A_WRITER if writes else A_CHOOSER,),
        (MODEL, *(ANSWER if writes else (LABELS,))) if remote else folder_fields,
        read,
        title=f"How {named if remote else Path(named).name} is asked",
        command=f"distill-tui teacher {view.play.code} {command}",
    )


# --- terms --------------------------------------------------------------------------------------------------------

YES, NO = "permitted", "forbidden"


@opens(Action.CONFIRM_TERMS)
def confirm_terms(app: DistillApp, view: View) -> Step:
    known = view.dossier.terms
    says = "" if known is None else YES if known.permits else NO

    def read(values: Values) -> ConfirmTerms:
        if values["says"] not in (YES, NO):
            raise ValueError(f"Write {YES} or {NO}: what the terms allow about training on outputs.")
        return ConfirmTerms(values["provider"], values["version"], values["dated"], values["says"] == YES)

    def submit(asked: ConfirmTerms) -> Step:
        terms = asked.provider, asked.version, asked.dated, asked.permits
        return call(view, "The terms are recorded.", actions.confirm_terms, *terms)

    return Form(
        Action.CONFIRM_TERMS,
        "record it",
        submit,
        (
            "Read what the provider permits before you build on its outputs. The record carries your name. "
            "A stability play cannot lock its gate without it.",
        ),
        [
            Field("provider", "provider", known.provider if known else "", "The company or project behind the model."),
            Field("version", "version of the terms", known.version if known else "", "As the terms name it."),
            Field("dated", "date of the terms", known.dated if known else "", "Like 2026-11-24."),
            Field("says", "training on outputs is", says, f"{YES} or {NO}; → completes it.", (YES, NO)),
        ],
        read,
        title=f"Terms of the teacher's provider: {view.play.code}",
    )


# --- labelling ----------------------------------------------------------------------------------------------------

Estimate = Mapping[str, Any]
TRIED_FIRST = "One row is labelled first, to show the answer and what all rows would cost. It is cached and paid once."
KEY = "The key is read from DISTILL_TEACHER_KEY, or the keyring. It is never stored."
LIMITS = (
    Field("budget", "budget", "", "The most that this teacher may cost in all. The run ends before."),
    Field("price_in", "price in", "", "Of a million tokens; 0 if free."),
    Field("price_out", "price out", "", "Of a million tokens; 0 if free."),
    Field("concurrency", "requests at once", "4", "1 to 256."),
    Field("per_minute", "requests a minute", "0", "At most; 0 for no limit."),
)


def limits(values: Values) -> Values:
    """Return the limits that were filled in. Raises ValueError."""
    names = [field.name for field in LIMITS]
    given = {name: value for name, value in values.items() if value and name in names}
    Limits.read(given)
    return given


@opens(Action.LABEL)
def label(app: DistillApp, view: View) -> Step:
    rows = sum(traffic.rows for traffic in view.dossier.traffic)
    body = f"A worker asks {view.play.teacher_name} for {rows:,} rows. Cached answers are not asked for again."
    done = "A worker asks the teacher."
    if view.play.teacher_source is not TeacherSource.ENDPOINT:
        return plain(view, Action.LABEL, "start it", call(view, done, actions.label), body)

    def estimate(asked: Label) -> Step:
        within = asked.limits or {}

        def one_row(project: Project) -> Estimate:
            from distill_tui.rounds import cost_estimate  # pyarrow, only in this thread

            return cost_estimate.estimate_labels(project.artifacts, project.dossier(view.play_id), within)

        return tried(view, one_row, call(view, done, actions.label, within))

    return Form(
        Action.LABEL,
        "try one row",
        estimate,
        (body, *controls.before_paying(view.dossier), TRIED_FIRST, KEY),
        LIMITS,
        lambda values: Label(limits(values)),
        title=f"Label with the teacher: {view.play.code}",
        more=" --estimate --budget MONEY --price-in MONEY --price-out MONEY",
    )


def tried(view: View, estimate: Callable[[Project], Estimate], start: Step) -> Step:
    """Label one row, show the answer and what all rows would cost, and start the run on enter."""

    def work(project: Project) -> Estimate:
        try:
            return estimate(project)
        except ValueError as error:
            raise ProjectError(str(error)) from None

    def shown(found: Estimate) -> Step:
        return Form(
            None,
            "start it",
            lambda asked: start,
            list(data.estimate(found)),
            title=f"One row was labelled, and its answer is cached: {view.play.code}",
            command=f"distill-tui label {view.play.code} --budget MONEY --price-in MONEY --price-out MONEY",
        )

    return Call(work, then=shown, before="Labelling one row.")
