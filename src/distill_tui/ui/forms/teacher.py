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
from distill_tui.teachers.description import ANSWER_TOKENS
from distill_tui.teachers.limits import Limits
from distill_tui.terms import Action, TeacherSource
from distill_tui.ui.forms.form import Call, Command, Form, Step, call, nothing, opens, whole
from distill_tui.ui.forms.sheet import Field, Values
from distill_tui.ui.play.view import View

if TYPE_CHECKING:
    from distill_tui.ui.app import DistillApp

ADDRESS = ("http://", "https://")
HOW = ("as a classifier", "zero-shot", "prompted")
ANSWER = (
    Field("template", "template file", "", "The prompt, with {input} in it. Empty: the input alone."),
    Field("tokens", "tokens of an answer", str(ANSWER_TOKENS), "The most that the teacher may write."),
)
IN_YOUR_WORDS = "Each request holds one input, in the words of your template. What the teacher writes is the answer."


@opens(Action.SET_TEACHER, reads_host=True)
def set_teacher(app: DistillApp, view: View) -> Step:
    def read(values: Values) -> str:
        named = values["teacher"]
        if not named:
            raise ValueError("Write “recorded”, or name a folder or an endpoint.")
        if not (named == "recorded" or named.startswith(ADDRESS) or Path(named).is_dir()):
            raise ValueError(f"There is no folder {named}. Write “recorded”, a folder, or an https:// address.")
        return named

    def submit(named: str) -> Step:
        if named == "recorded":
            return Command(("teacher", view.play.code, "--recorded"))
        if named.startswith(ADDRESS):
            return endpoint(view, named)
        return classifier(view, named) if tasks.of(view.play.task).has_labels else writer(view, named)

    return Form(
        None,
        "choose it",
        read,
        submit,
        (
            "recorded: the outputs in the traffic.",
            "A folder: a local model, which is copied in.",
            "An address: an OpenAI-compatible endpoint. Its key is read from DISTILL_TEACHER_KEY, or the keyring.",
        ),
        [Field("teacher", "teacher", "recorded", "recorded, a folder, or https://host/v1", ("recorded",))],
        title=f"Teacher of {view.play.code}",
        command=f"distill-tui teacher {view.play.code} FOLDER|--recorded|--endpoint URL",
    )


def endpoint(view: View, url: str) -> Step:
    """Ask how an endpoint is asked."""
    writes = not tasks.of(view.play.task).has_labels

    def read(values: Values) -> Values:
        if not values["model"] or values.get("labels") == "":
            raise ValueError(f"Name the model{'' if writes else ' and the labels, separated by commas'}.")
        return template(values) if writes else values

    def submit(asked: Values) -> Step:
        more = worded(asked) if writes else ("--labels", asked["labels"])
        return Command(("teacher", view.play.code, "--endpoint", url, "--model", asked["model"], *more))

    choices = "Each request holds one input and the labels to choose from. The command also takes a --template FILE."
    labels = Field("labels", "labels", "", "With commas, like bad,fine,good.")
    return Form(
        None,
        "choose it",
        read,
        submit,
        (IN_YOUR_WORDS if writes else choices,),
        [Field("model", "model", "", "The model's name at the endpoint."), *(ANSWER if writes else (labels,))],
        title=f"How {url} is asked",
        command=f"distill-tui teacher {view.play.code} --endpoint {url} --model NAME"
        + (" --template FILE" if writes else " --labels A,B,C"),
    )


def writer(view: View, folder: str) -> Step:
    """Ask how a causal language model of a folder is prompted."""
    return Form(
        None,
        "choose it",
        template,
        lambda asked: Command(("teacher", view.play.code, "--prompted", *worded(asked), "--", folder)),
        (f"A causal language model. {IN_YOUR_WORDS}",),
        ANSWER,
        title=f"How {Path(folder).name} is asked",
        command=f"distill-tui teacher {view.play.code} {folder} --prompted --template FILE",
    )


def classifier(view: View, folder: str) -> Step:
    """Ask how a model of a folder chooses a label."""

    def read(values: Values) -> Values:
        if values["how"] not in HOW:
            raise ValueError(f"A folder is asked in one of these ways: {', '.join(HOW)}.")
        if values["how"] != HOW[0] and not values["labels"]:
            raise ValueError("Name the labels, separated by commas.")
        return values

    def submit(asked: Values) -> Step:
        how = () if asked["how"] == HOW[0] else (f"--{asked['how']}", "--labels", asked["labels"])
        return Command(("teacher", view.play.code, *how, "--", folder))

    return Form(
        None,
        "choose it",
        read,
        submit,
        (
            "A classifier answers with its own labels. An NLI model (zero-shot) and a causal language model (prompted) "
            "choose from the labels that you name.",
        ),
        [
            Field("how", "it is asked", HOW[0], f"{', '.join(HOW)}; → completes it.", HOW),
            Field("labels", "labels", "", "With commas, like bad,fine,good. Not for a classifier."),
        ],
        title=f"How {Path(folder).name} is asked",
        command=f"distill-tui teacher {view.play.code} {folder}",
    )


def template(values: Values) -> Values:
    """Check the prompt's file and the length of an answer. Raises ValueError."""
    if values["template"] and not Path(values["template"]).is_file():
        raise ValueError(f"There is no file {values['template']}.")
    whole(values, "tokens", "Write a whole number: the most tokens an answer may have.")
    return values


def worded(values: Values) -> tuple[str, ...]:
    words = ("--template", values["template"]) if values["template"] else ()
    return (*words, "--answer-tokens", values["tokens"])


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
        read,
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
        start = call(view, done, actions.label)
        return Form(Action.LABEL, "start it", nothing, lambda asked: start, (body,))

    def estimate(asked: Label) -> Step:
        within = asked.limits or {}

        def one_row(project: Project) -> Estimate:
            from distill_tui.rounds import cost_estimate  # pyarrow, only in this thread

            return cost_estimate.estimate_labels(project.artifacts, project.dossier(view.play_id), within)

        return tried(view, one_row, call(view, done, actions.label, within))

    return Form(
        Action.LABEL,
        "try one row",
        lambda values: Label(limits(values)),
        estimate,
        (body, *controls.before_paying(view.dossier), TRIED_FIRST, KEY),
        LIMITS,
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
            nothing,
            lambda asked: start,
            list(data.estimate(found)),
            title=f"One row was labelled, and its answer is cached: {view.play.code}",
            command=f"distill-tui label {view.play.code} --budget MONEY --price-in MONEY --price-out MONEY",
        )

    return Call(work, then=shown, before="Labelling one row.")
